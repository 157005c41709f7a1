//! Payoff tables as text: what `payoff_file` holds, and what the published games are written in.

use std::path::Path;

/// Joint actions of a table at most: it stays within a megabyte and in every cache.
pub const MOST_JOINT_ACTIONS: usize = 1 << 16;

/// A table for `A` agents.
#[derive(Clone, Debug, PartialEq)]
pub struct Payoffs {
    /// `[A]`: actions of each agent.
    pub counts: Vec<usize>,
    /// One for each joint action, the last agent's action running fastest: two payoffs of probability 1/2 each.
    pub entries: Vec<[f32; 2]>,
}

/// Why a file is no payoff table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayoffError {
    #[error("cannot read the payoff file {path}: {reason}")]
    Read { path: String, reason: String },
    #[error("{path}, line {line}, column {column}: {problem}")]
    Malformed {
        path: String,
        line: usize,
        /// In characters, from 1.
        column: usize,
        problem: String,
    },
}

/// A word and where it begins.
struct Word<'a> {
    text: &'a str,
    line: usize,
    column: usize,
}

/// The words of a line: what spaces, tabs or commas part, up to a `#`.
fn words(line: usize, text: &str) -> Vec<Word<'_>> {
    let text = text.split('#').next().unwrap_or_default();
    let separates = |c: char| c.is_whitespace() || c == ',';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(|c| !separates(c)) {
        let from = &rest[begin..];
        let end = from.find(separates).unwrap_or(from.len());
        let before = text.len() - from.len();
        found.push(Word {
            text: &from[..end],
            line,
            column: text[..before].chars().count() + 1,
        });
        rest = &from[end..];
    }
    found
}

/// Reads a file.
///
/// # Errors
/// [`PayoffError`].
pub fn read(path: &Path) -> Result<Payoffs, PayoffError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| PayoffError::Read {
        path: name.clone(),
        reason: e.to_string(),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|e| {
        let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
        let last = valid.rsplit('\n').next().unwrap_or_default();
        PayoffError::Malformed {
            path: name.clone(),
            line: valid.matches('\n').count() + 1,
            column: last.chars().count() + 1,
            problem: "no UTF-8 text".into(),
        }
    })?;
    parse(&name, text)
}

/// Reads a table: a line for each action of the last agent but one, a number for each action of the last, `x/y` where x
/// or y is paid with probability 1/2 each. Empty lines part the tables of the actions of a first agent of three. For other
/// numbers of agents a first line `actions 2 3 2 2` says how many actions each has. `#` begins a comment.
///
/// # Errors
/// [`PayoffError::Malformed`] with the line and the column.
pub fn parse(path: &str, text: &str) -> Result<Payoffs, PayoffError> {
    let bad = |line: usize, column: usize, problem: String| PayoffError::Malformed {
        path: path.to_owned(),
        line,
        column,
        problem,
    };
    let mut header = None;
    // Lines of payoffs, and how many blocks of them are complete.
    let mut rows: Vec<Vec<Word<'_>>> = Vec::new();
    let mut blocks: Vec<usize> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let row = words(number + 1, line);
        match row.first() {
            None => {
                // A line of nothing but a comment parts no blocks.
                if line.trim().is_empty() && rows.len() > blocks.iter().sum() {
                    blocks.push(rows.len() - blocks.iter().sum::<usize>());
                }
            }
            Some(first) if first.text == "actions" && rows.is_empty() && header.is_none() => {
                header = Some(row);
            }
            Some(_) => rows.push(row),
        }
    }
    let parted: usize = blocks.iter().sum();
    if rows.len() > parted {
        blocks.push(rows.len() - parted);
    }
    let Some(width) = rows.first().map(Vec::len) else {
        let line = text.lines().count().max(1);
        return Err(bad(
            line,
            1,
            "no payoffs: expected a line of numbers".into(),
        ));
    };

    let counts = match &header {
        Some(header) => {
            let mut counts = Vec::new();
            for word in &header[1..] {
                let count = word.text.parse().ok().filter(|n| (1..=1024).contains(n));
                counts.push(count.ok_or_else(|| {
                    let problem = format!("`{}` is no number of actions from 1 to 1024", word.text);
                    bad(word.line, word.column, problem)
                })?);
            }
            if counts.is_empty() || counts.len() > 16 {
                let problem = format!("`actions` with {} agents: it takes 1 to 16", counts.len());
                return Err(bad(header[0].line, header[0].column, problem));
            }
            counts
        }
        None if blocks.len() == 1 => vec![rows.len(), width],
        None => vec![blocks.len(), blocks[0], width],
    };
    if header.is_none() {
        let mut first = 0;
        for &block in &blocks {
            if block != blocks[0] {
                let at = &rows[first][0];
                let problem = format!("a table of {block} lines, the first has {}", blocks[0]);
                return Err(bad(at.line, at.column, problem));
            }
            first += block;
        }
    }
    let joint = counts.iter().try_fold(1usize, |n, &c| {
        n.checked_mul(c).filter(|&n| n <= MOST_JOINT_ACTIONS)
    });
    let Some(joint) = joint else {
        let at = header.as_ref().map_or(&rows[0][0], |h| &h[0]);
        let problem = format!("more than {MOST_JOINT_ACTIONS} joint actions ({counts:?})");
        return Err(bad(at.line, at.column, problem));
    };

    let width = counts[counts.len() - 1];
    let height = joint / width;
    let mut entries = Vec::with_capacity(joint);
    for row in &rows {
        // Only now does a number that is none count: before, it might have been the header.
        for word in row {
            let numbers: Vec<Option<f32>> = word
                .text
                .split('/')
                .map(|n| n.parse().ok().filter(|x: &f32| x.is_finite()))
                .collect();
            entries.push(match numbers[..] {
                [Some(x)] => [x; 2],
                [Some(x), Some(y)] => [x, y],
                _ => {
                    let problem = format!(
                        "`{}` is no payoff: expected a number, or `x/y` for x or y with probability 1/2",
                        word.text
                    );
                    return Err(bad(word.line, word.column, problem));
                }
            });
        }
        if let Some(extra) = row.get(width) {
            let problem = format!("{} payoffs in a line of {width}", row.len());
            return Err(bad(extra.line, extra.column, problem));
        }
        if let Some(last) = row.last().filter(|_| row.len() < width) {
            let column = last.column + last.text.chars().count();
            let problem = format!("{} payoffs in a line of {width}", row.len());
            return Err(bad(last.line, column, problem));
        }
    }
    if let Some(extra) = rows.get(height) {
        let problem = format!("more than {height} lines of payoffs");
        return Err(bad(extra[0].line, extra[0].column, problem));
    }
    if rows.len() < height {
        let problem = format!(
            "the text ends after {} of {height} lines of payoffs",
            rows.len()
        );
        return Err(bad(text.lines().count(), 1, problem));
    }
    Ok(Payoffs { counts, entries })
}
