//! Charts as SVG to be put into a page.

use std::ops::Range;

use anyhow::anyhow;
use plotters::prelude::*;

use super::stats::Interval;

/// Labels of an axis, whose ticks are an eighth to a quarter of it apart: with as many decimals as tell them apart.
fn ticks(axis: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let largest = axis.start.abs().max(axis.end.abs());
    let (unit, name) = match largest {
        n if n >= 1e9 => (1e9, " G"),
        n if n >= 1e6 => (1e6, " M"),
        n if n >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let apart = (axis.end - axis.start).abs() / 8.0 / unit;
    let decimals = (-apart.log10()).ceil().clamp(0.0, 12.0) as usize;
    move |x| match *x / unit {
        _ if largest > 0.0 && largest < 1e-3 => format!("{x:.1e}"),
        // What rounding leaves of a zero.
        x if x.abs() < apart / 1e3 => "0".into(),
        x => format!("{x:.decimals$}{name}"),
    }
}

/// The palette of Okabe and Ito (2008), which people who see few colours can tell apart; without its yellow, which is pale
/// on white.
const COLORS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x00, 0x00),
];

fn color(i: usize) -> RGBColor {
    COLORS[i % COLORS.len()]
}

/// From the eighth on, colours come again, dashed.
fn dashed(i: usize) -> bool {
    i / COLORS.len() % 2 == 1
}

/// As pages write it.
pub fn css_color(i: usize) -> String {
    let RGBColor(r, g, b) = color(i);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// How a page marks the lines of a colour: a rule of this style.
pub fn css_line(i: usize) -> &'static str {
    if dashed(i) { "dashed" } else { "solid" }
}

/// A line with the band of its interval.
pub struct Line {
    pub color: usize,
    pub points: Vec<(f64, Interval)>,
}

pub struct Axes<'a> {
    pub size: (u32, u32),
    pub x: &'a str,
    pub y: &'a str,
    /// From the points, with 0, where there is none.
    pub heights: Option<Range<f64>>,
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

/// For a page: the namespace is the page's, and a reader without eyes is told what is drawn.
fn inline(svg: &str, label: &str) -> String {
    let label = super::document::escape(label);
    svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "")
        .replacen(
            "<svg ",
            &format!("<svg role=\"img\" aria-label=\"{label}\" "),
            1,
        )
        .trim_end()
        .to_owned()
}

/// The range that finite numbers take, a little wider than the highest and the lowest.
fn range(numbers: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = numbers.filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| {
        (l.min(x), h.max(x))
    });
    if low > high {
        return 0.0..1.0;
    }
    let margin = if high > low {
        0.05 * (high - low)
    } else {
        0.05 * high.abs().max(1.0)
    };
    low - margin..high + margin
}

/// Lines over a shared axis, each with its band.
pub fn lines(axes: &Axes<'_>, lines: &[Line]) -> anyhow::Result<String> {
    let mut svg = String::new();
    draw_lines(&mut svg, axes, lines).map_err(|e| drawing(e.as_ref()))?;
    Ok(inline(&svg, &format!("{} over {}", axes.y, axes.x)))
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_lines(svg: &mut String, axes: &Axes<'_>, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|l| &l.points);
    let bands = points().flat_map(|(_, i)| [i.value, i.low, i.high]);
    let heights = axes.heights.clone().unwrap_or_else(|| range(bands));
    let first = points().map(|(x, _)| *x).fold(0.0, f64::min);
    let last = points().map(|(x, _)| *x).fold(first + 1e-9, f64::max);
    let root = SVGBackend::with_string(svg, axes.size).into_drawing_area();
    let (x_ticks, y_ticks) = (ticks(&(first..last)), ticks(&heights));
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(first..last, heights)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(6)
        .y_labels(6)
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&x_ticks)
        .y_label_formatter(&y_ticks)
        .label_style(("sans-serif", 12))
        .draw()?;
    for line in lines {
        let color = color(line.color);
        // What is not finite cannot be drawn: the ends of an interval of one seed, or a diverged value.
        let bounded = |i: &Interval| i.low.is_finite() && i.high.is_finite();
        let points: Vec<_> = line.points.iter().filter(|(_, i)| bounded(i)).collect();
        let upper = points.iter().map(|(x, i)| (*x, i.high));
        let lower = points.iter().rev().map(|(x, i)| (*x, i.low));
        let band: Vec<_> = upper.chain(lower).collect();
        if !band.is_empty() {
            chart.draw_series([Polygon::new(band, color.mix(0.18).filled())])?;
        }
        let middle = line.points.iter().map(|(x, i)| (*x, i.value));
        let middle = middle.filter(|(_, y)| y.is_finite());
        let style = color.stroke_width(2);
        if dashed(line.color) {
            let middle: Vec<_> = middle.collect();
            chart.draw_series(DashedLineSeries::new(middle, 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(middle, style))?;
        }
    }
    root.present()?;
    Ok(())
}

/// A row of [`intervals`].
pub struct Row {
    pub label: String,
    pub color: usize,
    pub interval: Interval,
}

/// A point and its interval per row, top to bottom; `at` is drawn as a rule.
pub fn intervals(
    x: &str,
    within: Option<Range<f64>>,
    at: Option<f64>,
    rows: &[Row],
) -> anyhow::Result<String> {
    let mut svg = String::new();
    draw_intervals(&mut svg, x, within, at, rows).map_err(|e| drawing(e.as_ref()))?;
    Ok(inline(&svg, x))
}

fn draw_intervals(
    svg: &mut String,
    x: &str,
    within: Option<Range<f64>>,
    at: Option<f64>,
    rows: &[Row],
) -> Drawn {
    let ends = rows
        .iter()
        .flat_map(|r| [r.interval.value, r.interval.low, r.interval.high]);
    let within = within.unwrap_or_else(|| range(ends.chain(at)));
    let widest = rows.iter().map(|r| r.label.chars().count()).max();
    let label_area = (7 * widest.unwrap_or(0) as u32 + 14).clamp(60, 420);
    let size = (420 + label_area, 56 + 22 * rows.len() as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    let count = rows.len();
    let x_ticks = ticks(&within);
    let mut chart = ChartBuilder::on(&root)
        .margin(6)
        .margin_right(24)
        .x_label_area_size(38)
        .y_label_area_size(label_area)
        .build_cartesian_2d(within, -0.5..count as f64 - 0.5)?;
    // Rows are whole numbers; the axis runs upwards, and has marks between them too.
    let label = |y: &f64| {
        let row = (count as f64 - 1.0 - y).round();
        let whole = (y - y.round()).abs() < 1e-6;
        let row = rows.get(row.max(0.0) as usize).filter(|_| whole);
        row.map_or_else(String::new, |r| r.label.clone())
    };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(6)
        .y_labels(2 * count)
        .x_desc(x)
        .x_label_formatter(&x_ticks)
        .y_label_formatter(&label)
        .label_style(("sans-serif", 12))
        .draw()?;
    if let Some(at) = at {
        let rule = [(at, -0.5), (at, count as f64 - 0.5)];
        chart.draw_series([PathElement::new(rule, BLACK.mix(0.6))])?;
    }
    for (i, row) in rows.iter().rev().enumerate() {
        let (color, of) = (color(row.color), row.interval);
        let place = |x: f64| (x, i as f64);
        if of.low.is_finite() && of.high.is_finite() {
            let span = [place(of.low), place(of.high)];
            chart.draw_series([PathElement::new(span, color.stroke_width(3))])?;
        }
        if of.value.is_finite() {
            chart.draw_series([Circle::new(place(of.value), 5, color.filled())])?;
        }
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_an_axis_can_be_told_apart() {
        let labels = |axis: Range<f64>, at: &[f64]| -> Vec<String> {
            let label = ticks(&axis);
            at.iter().map(label).collect()
        };
        let small = labels(0.0..0.02, &[0.0, 0.005, 0.01, 0.015, 0.02]);
        assert_eq!(small, ["0", "0.005", "0.010", "0.015", "0.020"]);
        let near_one = labels(0.99999..1.00001, &[0.999_995, 1.0, 1.000_005]);
        assert_eq!(near_one, ["0.999995", "1.000000", "1.000005"]);
        assert_eq!(
            labels(1250.0..1270.0, &[1255.0, 1260.0]),
            ["1.255 k", "1.260 k"]
        );
        let steps = labels(0.0..1e6, &[0.0, 200_000.0, 1e6]);
        assert_eq!(steps, ["0", "0.2 M", "1.0 M"]);
        assert_eq!(labels(-30.0..-20.0, &[-28.0, -26.0]), ["-28", "-26"]);
        assert_eq!(labels(0.0..2e-6, &[1e-6]), ["1.0e-6"]);
        // A curve of nothing yet.
        assert_eq!(labels(0.0..1e-9, &[0.0]).len(), 1);
    }
}
