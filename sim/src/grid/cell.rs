//! Cells as the shader packs them (`shaders/grid/grid.wgsl`), and MiniGrid's ids.

/// MiniGrid's object ids.
pub const OBJECTS: [&str; 11] = [
    "unseen", "empty", "wall", "floor", "door", "key", "ball", "box", "goal", "lava", "agent",
];
/// MiniGrid's colour ids.
pub const COLOURS: [&str; 6] = ["red", "green", "blue", "purple", "yellow", "grey"];
/// States of a door.
pub const DOOR_STATES: [&str; 3] = ["open", "closed", "locked"];

const CLOSED: u16 = 10;
const FIRST_GHOST: u16 = 12;
const FULL_BOX: u16 = 15;
/// From an object's kind to that of the empty cell that it left behind.
const GHOST: u16 = 7;

/// One cell: kind, colour, and for wide cells a bit per description of the mission that means this object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell(pub u16);

impl Cell {
    pub const EMPTY: Self = Self(1);
    pub const WALL: Self = Self(0x52);
    pub const GOAL: Self = Self(0x18);
    pub const LAVA: Self = Self(0x09);

    /// From MiniGrid's triple of object, colour and state.
    pub fn new(object: u8, colour: u8, state: u8) -> Self {
        let (object, colour, state) = (u16::from(object), u16::from(colour), u16::from(state));
        match (object, state) {
            (1, _) => Self::EMPTY,
            (4, 1 | 2) => Self((CLOSED - 1 + state) | (colour << 4)),
            _ => Self(object | (colour << 4)),
        }
    }

    /// MiniGrid's triple of object, colour and state.
    pub fn triple(self) -> [u8; 3] {
        let colour = ((self.0 >> 4) & 7) as u8;
        match self.0 & 15 {
            kind @ (10 | 11) => [4, colour, (kind - 9) as u8],
            1 | FIRST_GHOST..FULL_BOX => [1, 0, 0],
            FULL_BOX => [7, colour, 0],
            kind => [kind as u8, colour, 0],
        }
    }

    /// A box with something in it.
    pub fn filled(self) -> Self {
        Self(self.0 | 15)
    }

    pub fn is_filled(self) -> bool {
        self.0 & 15 == FULL_BOX
    }

    pub fn is_empty(self) -> bool {
        self.triple()[0] == 1
    }

    /// The empty cell where goto clauses still remember this key, ball or box.
    pub fn ghost(self) -> Self {
        Self(self.0 + GHOST)
    }

    pub fn is_ghost(self) -> bool {
        (FIRST_GHOST..FULL_BOX).contains(&(self.0 & 15))
    }

    /// Meant by the description of this number (`2 · clause`, and one more for a second description).
    pub fn meant(self, description: usize) -> Self {
        Self(self.0 | (1 << (8 + description)))
    }
}
