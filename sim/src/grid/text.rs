//! The view in words, as BALROG puts it to language models (`docs/environments/grid.md`, §6).

use super::cell::{COLOURS, DOOR_STATES, OBJECTS};

/// Width and depth of the view.
pub const VIEW: usize = 7;

/// The agent's view, `[x][y] = (object, colour, state)`: columns from left to right, each from far to near. The agent is at
/// `[3][6]` and looks towards `y = 0`.
pub type Image = [[[u8; 3]; VIEW]; VIEW];

fn steps(n: usize) -> String {
    format!("{n} step{}", if n == 1 { "" } else { "s" })
}

/// The first object that is neither unseen nor empty on a line from the agent, if it is a wall.
fn wall(mut line: impl Iterator<Item = [u8; 3]>, direction: &str) -> Option<String> {
    let (n, cell) = (1..).zip(line.by_ref()).find(|(_, cell)| cell[0] > 1)?;
    (cell[0] == 2).then(|| format!("a wall {} {direction}", steps(n)))
}

/// BALROG's description of a view. The article stays `a` in front of a vowel, as there.
pub fn describe(image: &Image) -> String {
    let mut lines = Vec::new();
    let [object, colour, _] = image[3][6];
    if object > 1 {
        let (colour, object) = (COLOURS[usize::from(colour)], OBJECTS[usize::from(object)]);
        lines.push(format!("You carry a {colour} {object}"));
    }
    lines.extend(wall((0..6).rev().map(|y| image[3][y]), "forward"));
    lines.extend(wall((0..3).rev().map(|x| image[x][6]), "left"));
    lines.extend(wall((4..VIEW).map(|x| image[x][6]), "right"));
    for (x, column) in image.iter().enumerate() {
        for (y, &[object, colour, state]) in column.iter().enumerate() {
            if object < 3 || (x, y) == (3, 6) {
                continue;
            }
            let name = format!(
                "{} {}",
                COLOURS[usize::from(colour)],
                OBJECTS[usize::from(object)]
            );
            let name = match object {
                4 => format!("{} {name}", DOOR_STATES[usize::from(state)]),
                _ => name,
            };
            let side = match x {
                0..3 => Some(format!("{} left", steps(3 - x))),
                3 => None,
                _ => Some(format!("{} right", steps(x - 3))),
            };
            let depth = (y < 6).then(|| format!("{} forward", steps(6 - y)));
            let place: Vec<String> = [side, depth].into_iter().flatten().collect();
            lines.push(format!("a {name} {}", place.join(" and ")));
        }
    }
    lines.join("\n")
}
