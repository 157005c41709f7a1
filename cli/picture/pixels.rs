//! Frames as pixels: shapes and letters as paths, whose coverage is blended into a canvas.

use std::sync::OnceLock;

use epaint_default_fonts::HACK_REGULAR;
use merit_sim::frame::{Colour, Shape};
use ttf_parser::{Face, OutlineBuilder};
use zeno::{Command, Mask, PathBuilder, Point, Stroke, Style, Vector};

use super::{CAPITALS, Captioned, INK, PAPER, Sheet};

/// Rows of red, green and blue.
pub struct Canvas {
    pub size: [u32; 2],
    pub pixels: Vec<Colour>,
}

/// Left, top, right and bottom, in pixels, the last two excluded.
type Clip = [i32; 4];

impl Canvas {
    /// One frame, or a sheet of several.
    pub fn of(frames: &[Captioned], width: u32) -> Self {
        let sheet = Sheet::new(frames, width);
        let [w, h] = sheet.size;
        let mut canvas = Self {
            size: sheet.size,
            pixels: vec![PAPER; (w * h) as usize],
        };
        for (f, cell) in frames.iter().zip(&sheet.cells) {
            let p = cell.place;
            let clip = [p.x, p.y, p.x + p.width, p.y + p.height].map(|x| x.round() as i32);
            let pen = Pen {
                origin: [p.x, p.y],
                scale: cell.scale,
                clip,
            };
            let [w, h] = f.frame.size;
            pen.fill(&mut canvas, &rect([0.0, 0.0], [w, h]), f.frame.background);
            for shape in &f.frame.shapes {
                pen.draw(&mut canvas, shape);
            }
            let page = Pen {
                origin: [0.0, 0.0],
                scale: 1.0,
                clip: [0, 0, sheet.size[0] as i32, sheet.size[1] as i32],
            };
            let letters = letters(cell.caption, cell.caption_size, &f.caption);
            page.fill(&mut canvas, &letters, INK);
        }
        canvas
    }

    #[cfg(test)]
    pub fn at(&self, [x, y]: [usize; 2]) -> Colour {
        self.pixels[y * self.size[0] as usize + x]
    }

    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.size[0], self.size[1]);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder
            .write_header()?
            .write_image_data(self.pixels.as_flattened())?;
        Ok(bytes)
    }

    /// Blends `colour` in by the coverage of `mask`.
    fn blend(&mut self, mask: &[u8], place: zeno::Placement, clip: Clip, colour: Colour) {
        let [w, h] = self.size.map(|n| n as i32);
        let width = place.width as i32;
        if width == 0 {
            return;
        }
        for (row, coverage) in (place.top..).zip(mask.chunks_exact(place.width as usize)) {
            if row < clip[1].max(0) || row >= clip[3].min(h) {
                continue;
            }
            for (column, &share) in (place.left..).zip(coverage) {
                if share == 0 || column < clip[0].max(0) || column >= clip[2].min(w) {
                    continue;
                }
                let pixel = &mut self.pixels[(row * w + column) as usize];
                let share = u32::from(share);
                for (old, new) in pixel.iter_mut().zip(colour) {
                    let mixed = u32::from(*old) * (255 - share) + u32::from(new) * share;
                    *old = ((mixed + 127) / 255) as u8;
                }
            }
        }
    }
}

/// From the units of a frame to pixels.
struct Pen {
    origin: [f32; 2],
    scale: f32,
    clip: Clip,
}

impl Pen {
    fn place(&self, p: Point) -> Point {
        Vector::new(
            self.origin[0] + self.scale * p.x,
            self.origin[1] + self.scale * p.y,
        )
    }

    fn fill(&self, canvas: &mut Canvas, path: &[Command], colour: Colour) {
        self.paint(canvas, path, Style::default(), colour);
    }

    fn paint(&self, canvas: &mut Canvas, path: &[Command], style: Style<'_>, colour: Colour) {
        let numbers = |c: &Command| match *c {
            Command::MoveTo(p) => Command::MoveTo(self.place(p)),
            Command::LineTo(p) => Command::LineTo(self.place(p)),
            Command::QuadTo(a, p) => Command::QuadTo(self.place(a), self.place(p)),
            Command::CurveTo(a, b, p) => {
                Command::CurveTo(self.place(a), self.place(b), self.place(p))
            }
            Command::Close => Command::Close,
        };
        let path: Vec<Command> = path.iter().map(numbers).collect();
        // What is far outside would need a mask as large; what is no number has none.
        let near = |p: Point| p.x.abs() < 1e5 && p.y.abs() < 1e5;
        let points = path.iter().all(|c| match *c {
            Command::MoveTo(p) | Command::LineTo(p) => near(p),
            Command::QuadTo(a, p) => near(a) && near(p),
            Command::CurveTo(a, b, p) => near(a) && near(b) && near(p),
            Command::Close => true,
        });
        if !points || path.is_empty() {
            return;
        }
        let (mask, place) = Mask::new(&path[..]).style(style).render();
        canvas.blend(&mask, place, self.clip, colour);
    }

    fn draw(&self, canvas: &mut Canvas, shape: &Shape) {
        match shape {
            Shape::Circle {
                centre: [x, y],
                radius,
                fill,
            } => {
                let mut path: Vec<Command> = Vec::new();
                path.add_circle(Vector::new(*x, *y), *radius);
                self.fill(canvas, &path, *fill);
            }
            Shape::Rect { from, size, fill } => self.fill(canvas, &rect(*from, *size), *fill),
            Shape::Line {
                from,
                to,
                width,
                colour,
            } => {
                let path = lines(&[*from, *to]);
                let stroke = Stroke::new(width * self.scale);
                self.paint(canvas, &path, Style::Stroke(stroke), *colour);
            }
            Shape::Polygon { points, fill } => {
                let mut path = lines(points);
                path.push(Command::Close);
                self.fill(canvas, &path, *fill);
            }
            Shape::Text {
                at: [x, y],
                size,
                text,
                colour,
            } => {
                let letters = letters([*x, y + size / 2.0], size / CAPITALS, text);
                self.fill(canvas, &letters, *colour);
            }
        }
    }
}

fn lines(points: &[[f32; 2]]) -> Vec<Command> {
    let points = points.iter().enumerate().map(|(i, &[x, y])| match i {
        0 => Command::MoveTo(Vector::new(x, y)),
        _ => Command::LineTo(Vector::new(x, y)),
    });
    points.collect()
}

fn rect([x, y]: [f32; 2], [w, h]: [f32; 2]) -> Vec<Command> {
    let mut path = lines(&[[x, y], [x + w, y], [x + w, y + h], [x, y + h]]);
    path.push(Command::Close);
    path
}

fn font() -> Option<&'static Face<'static>> {
    static FONT: OnceLock<Option<Face<'static>>> = OnceLock::new();
    let font = FONT.get_or_init(|| Face::parse(HACK_REGULAR, 0).ok());
    font.as_ref()
}

/// The outlines of `text`, centred and standing on `at`, in a font of that size.
fn letters(at: [f32; 2], size: f32, text: &str) -> Vec<Command> {
    // The embedded font is part of the program; the tests draw with it.
    let Some(font) = font() else {
        return Vec::new();
    };
    let scale = size / f32::from(font.units_per_em());
    let glyphs = text.chars().map(|c| {
        font.glyph_index(c)
            .or(font.glyph_index('?'))
            .unwrap_or_default()
    });
    let glyphs: Vec<_> = glyphs.collect();
    let advance = |glyph| scale * f32::from(font.glyph_hor_advance(glyph).unwrap_or(0));
    let width: f32 = glyphs.iter().map(|&g| advance(g)).sum();
    let mut outline = Outline {
        path: Vec::new(),
        at: [at[0] - width / 2.0, at[1]],
        scale,
    };
    for glyph in glyphs {
        // A space has no outline.
        let _ = font.outline_glyph(glyph, &mut outline);
        outline.at[0] += advance(glyph);
    }
    outline.path
}

/// From the font's units, y up, to the path's, y down.
struct Outline {
    path: Vec<Command>,
    at: [f32; 2],
    scale: f32,
}

impl Outline {
    fn point(&self, x: f32, y: f32) -> Point {
        Vector::new(self.at[0] + self.scale * x, self.at[1] - self.scale * y)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.push(Command::MoveTo(self.point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.push(Command::LineTo(self.point(x, y)));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let command = Command::QuadTo(self.point(x1, y1), self.point(x, y));
        self.path.push(command);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (a, b) = (self.point(x1, y1), self.point(x2, y2));
        self.path.push(Command::CurveTo(a, b, self.point(x, y)));
    }

    fn close(&mut self) {
        self.path.push(Command::Close);
    }
}
