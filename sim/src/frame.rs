//! What one environment looks like to people: a text for the terminal, shapes for pictures.

/// A colour, red, green and blue.
pub type Colour = [u8; 3];

/// Okabe and Ito's palette, told apart by colour-blind people: black, orange, sky blue, bluish green, yellow, blue,
/// vermilion, reddish purple.
pub const PALETTE: [Colour; 8] = [
    [0, 0, 0],
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
];

/// Something drawn, in the units of its [`Frame`]; y points down.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    Circle {
        centre: [f32; 2],
        radius: f32,
        fill: Colour,
    },
    /// `from` is the upper left corner.
    Rect {
        from: [f32; 2],
        size: [f32; 2],
        fill: Colour,
    },
    Line {
        from: [f32; 2],
        to: [f32; 2],
        width: f32,
        colour: Colour,
    },
    Polygon {
        points: Vec<[f32; 2]>,
        fill: Colour,
    },
    /// Centred at `at`; `size` is the height of its letters.
    Text {
        at: [f32; 2],
        size: f32,
        text: String,
        colour: Colour,
    },
}

/// One environment at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Width and height of the picture in the units of its shapes.
    pub size: [f32; 2],
    pub background: Colour,
    /// In drawing order.
    pub shapes: Vec<Shape>,
    /// The same for a terminal, lines of a fixed-width font.
    pub text: String,
}
