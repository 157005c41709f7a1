//! Kitchens: the reference's five, and the reading of text grids.

use std::collections::BTreeMap;

/// What a cell is; the numbers are those of the shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Floor = 0,
    Pot = 1,
    Counter = 2,
    OnionPile = 3,
    PlatePile = 4,
    Delivery = 5,
}

impl Cell {
    /// The letter of a text grid.
    pub fn letter(self) -> char {
        match self {
            Self::Floor => ' ',
            Self::Pot => 'P',
            Self::Counter => 'W',
            Self::OnionPile => 'O',
            Self::PlatePile => 'B',
            Self::Delivery => 'X',
        }
    }
}

/// A kitchen. Cell (x, y), x to the right and y down, has index `y * width + x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kitchen {
    pub width: usize,
    pub height: usize,
    pub cells: Vec<Cell>,
    /// Where the two agents begin.
    pub starts: [usize; 2],
}

/// What is wrong with a text grid, and where (counted from 1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct LayoutError {
    pub line: usize,
    pub column: usize,
    pub reason: String,
}

/// Cells of a kitchen at most: the shader has 11 bits for one, and keeps the last number for none.
pub const MAX_CELLS: usize = 2047;
/// Pots of a kitchen at most.
pub const MAX_POTS: usize = 64;

/// JaxMARL's layouts; digits are the start cells of agents 0 and 1.
const LAYOUTS: [(&str, &str); 5] = [
    ("cramped_room", "WWPWW\nO0 1O\nW   W\nWBWXW\n"),
    (
        "asymm_advantages",
        "WWWWWWWWW\nO WXWOW X\nW   P   W\nW 0 P1  W\nWWWBWBWWW\n",
    ),
    ("coord_ring", "WWWPW\nW 0 P\nB1W W\nO   W\nWOXWW\n"),
    ("forced_coord", "WWWPW\nO W1P\nO0W W\nB W W\nWWWXW\n"),
    (
        "counter_circuit",
        "WWWPPWWW\nW 0    W\nB WWWW X\nW     1W\nWWWOOWWW\n",
    ),
];

/// Names of the reference's layouts.
pub fn names() -> impl Iterator<Item = &'static str> {
    LAYOUTS.into_iter().map(|(name, _)| name)
}

/// The text grid of one of the reference's layouts.
pub fn grid(name: &str) -> Option<&'static str> {
    let found = LAYOUTS.into_iter().find(|(n, _)| *n == name);
    found.map(|(_, grid)| grid)
}

impl Kitchen {
    /// Reads a text grid: `W` counter, `P` pot, `O` onion pile, `B` plate pile, `X` delivery, a space for the floor, `0` and
    /// `1` the agents' start cells, or `A` twice for both in reading order, as JaxMARL has it. Empty lines around the grid
    /// are passed over.
    ///
    /// # Errors
    /// [`LayoutError`] for the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        let fail = |line: usize, column: usize, reason: String| {
            Err(LayoutError {
                line: line + 1,
                column: column + 1,
                reason,
            })
        };
        let lines: Vec<Vec<char>> = text.lines().map(|l| l.chars().collect()).collect();
        let Some(first) = lines.iter().position(|l| !l.is_empty()) else {
            return fail(0, 0, "there is no grid".into());
        };
        // The border is closed, so that a line of spaces is no part of a grid, but worth a message.
        let last = lines.iter().rposition(|l| !l.is_empty()).unwrap_or(first);
        let grid = &lines[first..=last];
        let (height, width) = (grid.len(), grid[0].len());
        if height * width > MAX_CELLS {
            let reason =
                format!("{width} columns and {height} lines are more than {MAX_CELLS} cells");
            return fail(first, 0, reason);
        }
        let mut cells = Vec::new();
        let mut starts: BTreeMap<(char, usize), usize> = BTreeMap::new();
        let mut pots = 0;
        for (y, row) in grid.iter().enumerate() {
            for (x, &letter) in row.iter().enumerate() {
                if x >= width {
                    break;
                }
                let cell = match letter {
                    'W' => Cell::Counter,
                    'P' => Cell::Pot,
                    'O' => Cell::OnionPile,
                    'B' => Cell::PlatePile,
                    'X' => Cell::Delivery,
                    ' ' | '0' | '1' | 'A' => Cell::Floor,
                    other => {
                        let known = "`W`, `P`, `O`, `B`, `X`, a space, `0`, `1` or `A`";
                        let reason = format!("`{}` is none of {known}", other.escape_default());
                        return fail(first + y, x, reason);
                    }
                };
                if cell == Cell::Floor && (y == 0 || y + 1 == height || x == 0 || x + 1 == width) {
                    let reason = "the border must be closed: floor is no part of it";
                    return fail(first + y, x, reason.into());
                }
                if matches!(letter, '0' | '1' | 'A') {
                    let twice = letter == 'A' && !starts.contains_key(&('A', 1));
                    let number = starts.keys().filter(|(l, _)| *l == letter).count();
                    let mixed = starts.keys().any(|(l, _)| (*l == 'A') != (letter == 'A'));
                    if mixed || (number > 0 && !twice) {
                        let reason = "one `0` and one `1` (or `A` twice) start the two agents";
                        return fail(first + y, x, reason.into());
                    }
                    starts.insert((letter, number), cells.len());
                }
                pots += usize::from(cell == Cell::Pot);
                if pots > MAX_POTS {
                    return fail(first + y, x, format!("more than {MAX_POTS} pots"));
                }
                cells.push(cell);
            }
            if row.len() != width {
                let reason = format!("{} columns, but line {} has {width}", row.len(), first + 1);
                return fail(first + y, width.min(row.len()), reason);
            }
        }
        let end = (last, width - 1);
        let starts: Vec<usize> = starts.into_values().collect();
        let [agent_0, agent_1] = starts[..] else {
            let reason = "the grid ends without a start for both agents (`0` and `1`)";
            return fail(end.0, end.1, reason.into());
        };
        for needed in [Cell::Pot, Cell::OnionPile, Cell::PlatePile, Cell::Delivery] {
            if !cells.contains(&needed) {
                let reason = format!("the grid ends without a `{}`", needed.letter());
                return fail(end.0, end.1, reason);
            }
        }
        Ok(Self {
            width,
            height,
            cells,
            starts: [agent_0, agent_1],
        })
    }

    /// Indices of the cells of a kind, in reading order.
    pub fn all(&self, kind: Cell) -> Vec<usize> {
        (0..self.cells.len())
            .filter(|&i| self.cells[i] == kind)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_layouts_have_their_cells_where_the_reference_has_them() {
        // Flat indices: agents, pots, onion piles, plate piles, deliveries.
        type Row = (&'static str, [usize; 2], [&'static [usize]; 4]);
        const TABLE: [Row; 5] = [
            ("cramped_room", [6, 8], [&[2], &[5, 9], &[16], &[18]]),
            (
                "asymm_advantages",
                [29, 32],
                [&[22, 31], &[9, 14], &[39, 41], &[12, 17]],
            ),
            ("coord_ring", [7, 11], [&[3, 9], &[15, 21], &[10], &[22]]),
            ("forced_coord", [11, 8], [&[3, 9], &[5, 10], &[15], &[23]]),
            (
                "counter_circuit",
                [10, 30],
                [&[3, 4], &[35, 36], &[16], &[23]],
            ),
        ];
        for (name, starts, places) in TABLE {
            let kitchen = Kitchen::parse(grid(name).expect("a layout")).expect("a kitchen");
            assert_eq!(kitchen.starts, starts, "{name}");
            let kinds = [Cell::Pot, Cell::OnionPile, Cell::PlatePile, Cell::Delivery];
            for (kind, cells) in kinds.into_iter().zip(places) {
                assert_eq!(kitchen.all(kind), cells, "{name} {kind:?}");
            }
        }
    }

    #[test]
    fn agents_may_be_two_letters_as_in_the_reference() {
        let ours = Kitchen::parse(grid("cramped_room").expect("a layout"));
        let theirs = Kitchen::parse("\nWWPWW\nOA AO\nW   W\nWBWXW\n\n");
        assert_eq!(ours, theirs);
        let windows = grid("cramped_room")
            .expect("a layout")
            .replace('\n', "\r\n");
        assert_eq!(Kitchen::parse(&windows), ours);
    }

    #[test]
    fn a_malformed_grid_says_where() {
        for (text, place, part) in [
            ("", (1, 1), "no grid"),
            ("WWPWW\nO0 1O\nW q W\nWBWXW", (3, 3), "`q` is none of"),
            ("WWPWW\nO0\t1O\nW   W\nWBWXW", (2, 3), "`\\t` is none of"),
            (
                "WWPWW\nO0 1O\nW   \nWBWXW",
                (3, 5),
                "4 columns, but line 1 has 5",
            ),
            (
                "\nWWPWW\nO0 1OW\nW   W\nWBWXW",
                (3, 6),
                "6 columns, but line 2 has 5",
            ),
            ("WWPWW\nO0 1O\n\nW   W\nWBWXW", (3, 1), "0 columns"),
            ("WWPWW\nO0 1O\nW    \nWBWXW", (3, 5), "border"),
            ("WWPWW\nO0 1O\nW 0 W\nWBWXW", (3, 3), "one `0` and one `1`"),
            ("WWPWW\nOA AO\nW A W\nWBWXW", (3, 3), "`A` twice"),
            ("WWPWW\nO0 AO\nW   W\nWBWXW", (2, 4), "`A` twice"),
            ("WWPWW\nO0  O\nW   W\nWBWXW", (4, 5), "without a start"),
            ("WWWWW\nO0 1O\nW   W\nWBWXW\n", (4, 5), "without a `P`"),
            ("WWPWW\nO0 1O\nW   W\nWBWWW\n", (4, 5), "without a `X`"),
        ] {
            let e = Kitchen::parse(text).expect_err(text);
            assert_eq!((e.line, e.column), place, "{text}: {e}");
            assert!(e.reason.contains(part), "{text}: {e}");
        }
        let wide = "W".repeat(MAX_CELLS + 1);
        let e = Kitchen::parse(&wide).expect_err("too large");
        assert!(e.to_string().contains("more than 2047 cells"), "{e}");
        let pots = "P".repeat(65);
        let e = Kitchen::parse(&pots).expect_err("too many pots");
        assert_eq!((e.line, e.column), (1, 65));
    }
}
