//! Frames as SVG text.

use std::fmt::Write as _;

use merit_sim::frame::{Colour, Shape};

use super::{CAPITALS, Captioned, INK, PAPER, Sheet};

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            // XML allows no other control characters.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Centred at `x`, standing on `baseline`.
fn text(x: f32, baseline: f32, size: f32, colour: Colour, text: &str) -> String {
    let (fill, text) = (hex(colour), escape(text));
    format!(
        r#"<text x="{x}" y="{baseline}" font-size="{size}" font-family="monospace" text-anchor="middle" fill="{fill}">{text}</text>"#
    )
}

fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Circle {
            centre: [x, y],
            radius,
            fill,
        } => format!(
            r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{}"/>"#,
            hex(*fill)
        ),
        Shape::Rect {
            from: [x, y],
            size: [width, height],
            fill,
        } => format!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{}"/>"#,
            hex(*fill)
        ),
        Shape::Line {
            from: [x1, y1],
            to: [x2, y2],
            width,
            colour,
        } => format!(
            r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke-width="{width}" stroke="{}"/>"#,
            hex(*colour)
        ),
        Shape::Polygon { points, fill } => {
            let points: Vec<_> = points.iter().map(|[x, y]| format!("{x},{y}")).collect();
            format!(
                r#"<polygon points="{}" fill="{}"/>"#,
                points.join(" "),
                hex(*fill)
            )
        }
        Shape::Text {
            at: [x, y],
            size,
            text: letters,
            colour,
        } => text(*x, y + size / 2.0, size / CAPITALS, *colour, letters),
    }
}

/// A picture of its own; frames are clipped to their places.
pub fn document(frames: &[Captioned], width: u32) -> String {
    let sheet = Sheet::new(frames, width);
    let [w, h] = sheet.size;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}">
<rect width="{w}" height="{h}" fill="{}"/>
"#,
        hex(PAPER)
    );
    for (f, cell) in frames.iter().zip(&sheet.cells) {
        let (p, [w, h]) = (cell.place, f.frame.size);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            r#"<svg x="{}" y="{}" width="{}" height="{}" viewBox="0 0 {w} {h}">
<rect width="{w}" height="{h}" fill="{}"/>"#,
            p.x,
            p.y,
            p.width,
            p.height,
            hex(f.frame.background)
        );
        for s in &f.frame.shapes {
            svg += &(shape(s) + "\n");
        }
        let [x, y] = cell.caption;
        svg += "</svg>\n";
        svg += &(text(x, y, cell.caption_size, INK, &f.caption) + "\n");
    }
    svg + "</svg>\n"
}
