//! Moments as pictures: a frame with a line of text below, one of them, a sheet of many, or a film.

mod gif;
mod pixels;
mod svg;

use std::fs;
use std::path::{Path, PathBuf};

use merit_sim::frame::{Colour, Frame};

use crate::failure::BadInput;

/// A frame and what is written below it.
pub struct Captioned {
    pub frame: Frame,
    pub caption: String,
}

/// What a file is by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Gif,
    Png,
    Svg,
}

impl Format {
    /// Also checks that the file can lie there, so that nothing is played in vain.
    pub fn of(path: &Path) -> Result<Self, BadInput> {
        let extension = path.extension().and_then(|e| e.to_str());
        let format = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("gif") => Self::Gif,
            Some("png") => Self::Png,
            Some("svg") => Self::Svg,
            _ => {
                let path = path.display();
                return Err(BadInput(format!(
                    "{path} is no picture's name: it must end in .gif, .png or .svg"
                )));
            }
        };
        check_place(path)?;
        Ok(format)
    }
}

/// Whether a file can be made there: its folder exists, and it is no folder itself.
pub fn check_place(path: &Path) -> Result<(), BadInput> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let problem = if !folder.is_dir() {
        format!("{} is no folder", folder.display())
    } else if path.is_dir() {
        "it is a folder".into()
    } else {
        return Ok(());
    };
    Err(BadInput(format!(
        "cannot write {}: {problem}",
        path.display()
    )))
}

/// Lengths in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Box2 {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

/// Where a sheet's frames lie, row by row.
struct Sheet {
    size: [u32; 2],
    cells: Vec<Cell>,
}

struct Cell {
    /// Of the frame.
    place: Box2,
    /// Pixels per unit of its shapes.
    scale: f32,
    /// Middle of the caption's baseline.
    caption: [f32; 2],
    caption_size: f32,
}

const GAP: f32 = 8.0;
const INK: Colour = [40, 40, 40];
/// Not white, so that a frame shows where it ends.
const PAPER: Colour = [236, 236, 236];

impl Sheet {
    /// All frames `width` pixels wide; as many columns as make the sheet about as wide as it is high.
    fn new(frames: &[Captioned], width: u32) -> Self {
        let width = width as f32;
        let scales = frames.iter().map(|f| width / f.frame.size[0].max(1e-6));
        let scales: Vec<f32> = scales.collect();
        let height = |(f, scale): (&Captioned, &f32)| f.frame.size[1] * scale;
        let tallest = frames
            .iter()
            .zip(&scales)
            .map(height)
            .fold(1.0f32, f32::max);
        let caption_size = (width / 30.0).clamp(8.0, 20.0);
        let pitch = [width + GAP, tallest + 2.0 * caption_size];
        let square = (frames.len() as f32 * pitch[1] / pitch[0]).sqrt().round();
        let columns = (square as usize).clamp(1, frames.len().max(1));
        let rows = frames.len().div_ceil(columns).max(1);
        let cells = scales.iter().enumerate().map(|(i, &scale)| {
            let x = (i % columns) as f32 * pitch[0];
            let y = (i / columns) as f32 * pitch[1];
            let height = frames[i].frame.size[1] * scale;
            Cell {
                place: Box2 {
                    x,
                    y,
                    width,
                    height,
                },
                scale,
                caption: [x + width / 2.0, y + tallest + 1.3 * caption_size],
                caption_size,
            }
        });
        Self {
            cells: cells.collect(),
            size: [
                (columns as f32 * pitch[0] - GAP).ceil() as u32,
                (rows as f32 * pitch[1]).ceil() as u32,
            ],
        }
    }
}

/// More pixels than any screen has; a canvas takes three bytes for each.
const MOST_PIXELS: u64 = 1 << 27;

/// The size of what shows these frames, where it can be drawn.
///
/// # Errors
/// [`BadInput`] names `what` and the size.
fn fitting(frames: &[Captioned], width: u32, what: &str) -> Result<[u16; 2], BadInput> {
    let [w, h] = Sheet::new(frames, width).size;
    match (u16::try_from(w), u16::try_from(h)) {
        (Ok(x), Ok(y)) if u64::from(w) * u64::from(h) <= MOST_PIXELS => Ok([x, y]),
        _ => Err(BadInput(format!(
            "{what} of {w} by {h} pixels is too large: choose fewer --frames or a smaller --width"
        ))),
    }
}

/// Writes one frame or a sheet of several, or as GIF a film of `fps` frames a second.
pub fn write(
    path: &Path,
    format: Format,
    frames: &[Captioned],
    width: u32,
    fps: f32,
) -> anyhow::Result<()> {
    let bytes = match format {
        Format::Svg => svg::document(frames, width).into_bytes(),
        Format::Png => {
            fitting(frames, width, "a sheet")?;
            pixels::Canvas::of(frames, width).png()?
        }
        Format::Gif => gif::film(frames, width, fps)?,
    };
    fs::write(path, bytes).map_err(|e| NotWritten(path.to_owned(), e))?;
    Ok(())
}

/// The disk is full, or worse.
#[derive(Debug)]
pub struct NotWritten(PathBuf, std::io::Error);

impl std::fmt::Display for NotWritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write {}: {}", self.0.display(), self.1)
    }
}

impl std::error::Error for NotWritten {}

/// From a frame whose letters have height `size` to the size of the font: capitals take this share of it.
const CAPITALS: f32 = 0.73;

#[cfg(test)]
mod tests {
    use merit_sim::frame::Shape;

    use super::*;

    /// One of each shape, on 10 by 5 units.
    pub fn sample() -> Captioned {
        let red = [255, 0, 0];
        Captioned {
            caption: "a < b & c".into(),
            frame: Frame {
                size: [10.0, 5.0],
                background: [0, 0, 255],
                shapes: vec![
                    Shape::Rect {
                        from: [0.0, 0.0],
                        size: [2.0, 5.0],
                        fill: red,
                    },
                    Shape::Circle {
                        centre: [4.0, 2.5],
                        radius: 1.0,
                        fill: [0, 255, 0],
                    },
                    Shape::Line {
                        from: [6.0, 0.0],
                        to: [6.0, 5.0],
                        width: 0.4,
                        colour: [255, 255, 0],
                    },
                    Shape::Polygon {
                        points: vec![[8.0, 0.0], [10.0, 0.0], [10.0, 5.0]],
                        fill: [0, 0, 0],
                    },
                    Shape::Text {
                        at: [4.0, 2.5],
                        size: 1.0,
                        text: "I\"'".into(),
                        colour: [255, 255, 255],
                    },
                ],
                text: String::new(),
            },
        }
    }

    #[test]
    fn shapes_become_the_pixels_that_they_cover() {
        let canvas = pixels::Canvas::of(&[sample()], 200);
        assert_eq!(canvas.size, [200, 116]);
        for (at, colour) in [
            ([10, 50], [255, 0, 0]),
            ([50, 5], [0, 0, 255]),
            ([80, 35], [0, 255, 0]),
            ([93, 62], [0, 255, 0]),
            ([99, 69], [0, 0, 255]),
            ([120, 90], [255, 255, 0]),
            ([126, 90], [0, 0, 255]),
            ([190, 10], [0, 0, 0]),
            ([165, 90], [0, 0, 255]),
        ] {
            assert_eq!(canvas.at(at), colour, "{at:?}");
        }
        // The letter's stem, in the middle of the circle, is as high as its size says: 20 pixels.
        let white = |y: usize| (60..100).any(|x| canvas.at([x, y]) == [255, 255, 255]);
        let rows: Vec<usize> = (0..100).filter(|&y| white(y)).collect();
        assert!((18..=22).contains(&rows.len()), "{rows:?}");
        assert!((rows[0] + rows[rows.len() - 1]).abs_diff(100) <= 2);
        // Below the frame is the caption on paper.
        assert_eq!(canvas.at([1, 114]), PAPER);
        let mut strip = (104..111).flat_map(|y| (0..200).map(move |x| [x, y]));
        assert!(strip.any(|at| canvas.at(at)[0] < 150));
    }

    #[test]
    fn a_sheet_is_about_square_and_its_frames_do_not_touch() {
        let frames: Vec<_> = (0..8).map(|_| sample()).collect();
        let sheet = Sheet::new(&frames, 100);
        assert_eq!(sheet.size, [208, 264]);
        let places: Vec<_> = sheet.cells.iter().map(|c| (c.place.x, c.place.y)).collect();
        assert_eq!(places[..3], [(0.0, 0.0), (108.0, 0.0), (0.0, 66.0)]);
    }

    #[test]
    fn text_in_an_svg_is_escaped() {
        let svg = svg::document(&[sample()], 200);
        assert!(svg.contains(">a &lt; b &amp; c<"), "{svg}");
        let parsed = roxmltree::Document::parse(&svg).expect("XML");
        let count = |name| {
            parsed
                .descendants()
                .filter(|n| n.has_tag_name(name))
                .count()
        };
        assert_eq!(count(("http://www.w3.org/2000/svg", "circle")), 1);
        assert_eq!(count(("http://www.w3.org/2000/svg", "text")), 2);
    }

    #[test]
    fn a_film_has_a_frame_for_each_and_shows_what_changed() {
        let mut moved = sample();
        moved.frame.shapes.remove(0);
        let bytes = gif::film(&[sample(), moved], 200, 10.0).expect("encodes");
        let mut options = ::gif::DecodeOptions::new();
        options.set_color_output(::gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(&bytes[..]).expect("a GIF");
        assert_eq!((decoder.width(), decoder.height()), (200, 116));
        let pixel = |frame: &::gif::Frame<'_>, x: usize, y: usize| {
            let at = 4 * (y * 200 + x);
            <[u8; 4]>::try_from(&frame.buffer[at..at + 4]).expect("a pixel")
        };
        let first = decoder.read_next_frame().expect("reads").expect("a frame");
        assert_eq!(first.delay, 10);
        assert_eq!(pixel(first, 10, 50), [255, 0, 0, 255]);
        assert_eq!(pixel(first, 80, 35), [0, 255, 0, 255]);
        let second = decoder.read_next_frame().expect("reads").expect("a frame");
        assert_eq!(pixel(second, 10, 50), [0, 0, 255, 255]);
        assert_eq!(pixel(second, 80, 35)[3], 0, "unchanged, so transparent");
        assert!(decoder.read_next_frame().expect("reads").is_none());
    }
}
