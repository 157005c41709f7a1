//! Frames as an animated GIF.

use std::collections::HashMap;

use gif::{DisposalMethod, Encoder, Frame, Repeat};
use merit_sim::frame::Colour;

use super::Captioned;
use super::fitting;
use super::pixels::Canvas;

/// Index of the colour that leaves a pixel as the frame before had it.
const UNCHANGED: u8 = 255;

/// `fps` frames a second; the last one stays for two seconds longer, then it begins again.
pub fn film(frames: &[Captioned], width: u32, fps: f32) -> anyhow::Result<Vec<u8>> {
    let mut before: Option<Canvas> = None;
    let mut encoder: Option<Encoder<Vec<u8>>> = None;
    // Hundredths of a second; viewers take less than two for a mistake.
    let delay = (100.0 / fps).round().clamp(2.0, 6000.0) as u16;
    for (i, frame) in frames.iter().enumerate() {
        let frame = std::slice::from_ref(frame);
        let [w, h] = fitting(frame, width, "a GIF")?;
        let canvas = Canvas::of(frame, width);
        let same = before.as_ref().filter(|b| b.size == canvas.size);
        let changed = |i: usize| same.is_none_or(|b| b.pixels[i] != canvas.pixels[i]);
        let drawn = canvas.pixels.iter().enumerate();
        let palette = palette(drawn.filter(|(i, _)| changed(*i)).map(|(_, c)| *c));
        let mut index = HashMap::new();
        let mut nearest = |c: Colour| *index.entry(c).or_insert_with(|| nearest(&palette, c));
        let pixels = canvas
            .pixels
            .iter()
            .enumerate()
            .map(|(i, &c)| if changed(i) { nearest(c) } else { UNCHANGED });
        let buffer: Vec<u8> = pixels.collect();
        let encoder = match &mut encoder {
            Some(encoder) => encoder,
            none => {
                let mut new = Encoder::new(Vec::new(), w, h, &[])?;
                new.set_repeat(Repeat::Infinite)?;
                none.insert(new)
            }
        };
        let last = i + 1 == frames.len();
        encoder.write_frame(&Frame {
            width: w,
            height: h,
            delay: if last { delay + 200 } else { delay },
            dispose: DisposalMethod::Keep,
            transparent: Some(UNCHANGED),
            palette: Some(palette.as_flattened().to_vec()),
            buffer: buffer.into(),
            ..Frame::default()
        })?;
        before = Some(canvas);
    }
    let bytes = encoder.map(Encoder::into_inner).transpose()?;
    Ok(bytes.unwrap_or_default())
}

/// The most frequent colours: what is flat keeps its own, what is smoothed at an edge may move a little.
fn palette(pixels: impl Iterator<Item = Colour>) -> Vec<Colour> {
    let mut counts: HashMap<Colour, usize> = HashMap::new();
    for colour in pixels {
        *counts.entry(colour).or_default() += 1;
    }
    let mut colours: Vec<_> = counts.into_iter().collect();
    // By colour where counts are equal, so that the same film has the same bytes.
    colours.sort_unstable_by_key(|&(colour, count)| (std::cmp::Reverse(count), colour));
    colours.truncate(usize::from(UNCHANGED));
    let mut palette: Vec<_> = colours.into_iter().map(|(colour, _)| colour).collect();
    palette.resize(usize::from(UNCHANGED) + 1, [0; 3]);
    palette
}

/// The place of the colour most like `c`.
fn nearest(palette: &[Colour], c: Colour) -> u8 {
    let distance = |p: &Colour| -> u32 {
        p.iter()
            .zip(c)
            .map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2))
            .sum()
    };
    let usable = (0..UNCHANGED).zip(palette);
    usable
        .min_by_key(|(_, p)| distance(p))
        .map_or(0, |(i, _)| i)
}
