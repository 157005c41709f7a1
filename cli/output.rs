//! What goes to standard output: a table for people, a JSON object per line for machines.

use std::io::{self, Write};

use serde::Serialize;

/// Writes and flushes. A closed pipe is an error here, not a panic as with `println!`.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A line for people, beside the output. Who does not listen misses it; `eprintln!` would end the program.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// One object on one line.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string(value)?))?;
    Ok(())
}

/// Columns under `head`; the first is flushed left, the others right.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |c: usize| all().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in all() {
        for (c, cell) in row.iter().enumerate() {
            let width = widths[c];
            text += &if c == 0 {
                format!("{cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// `340 k`, `1.23 M`: three digits and a unit.
pub fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        n if n >= 1e9 => (number / 1e9, " G"),
        n if n >= 1e6 => (number / 1e6, " M"),
        n if n >= 1e3 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = match scaled.abs() {
        0.0 => 0,
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{unit}")
}

/// `51.2 %`, or a dash where nothing was counted.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |s| format!("{:.1} %", 100.0 * s))
}

/// Three decimals, or a dash.
pub fn decimal(number: Option<f64>) -> String {
    number.map_or_else(|| "-".into(), |x| format!("{x:.3}"))
}

/// `1 seed`, `3 seeds`.
pub fn seeds(n: usize) -> String {
    format!("{n} seed{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["smax/3m".into(), "3".into()], ["x".into(), "1000".into()]];
        assert_eq!(
            table(["env", "n"], &rows),
            "env         n\nsmax/3m     3\nx        1000\n"
        );
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!(short(340_123.0), "340 k");
        assert_eq!(short(1_234_567.0), "1.23 M");
        assert_eq!(short(12.0), "12.0");
        assert_eq!(short(0.0), "0");
        assert_eq!(percent(Some(0.5123)), "51.2 %");
        assert_eq!(percent(None), "-");
    }
}
