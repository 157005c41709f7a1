//! Missions: their code on the device (`shaders/grid/verify.wgsl`) and their words (`docs/environments/grid.md`, §7).

use super::cell::{COLOURS, OBJECTS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    GoTo = 1,
    PickUp = 2,
    Open = 3,
    PutNext = 4,
    /// Stand on the goal.
    Reach = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Left = 1,
    Right = 2,
    Front = 3,
    Behind = 4,
}

/// Which objects are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// MiniGrid's object id.
    pub object: Option<u8>,
    pub colour: Option<u8>,
    /// As the agent starts, in its room.
    pub place: Option<Place>,
    /// More than one object was meant at the start.
    pub several: bool,
}

impl Description {
    pub fn new(object: u8, colour: u8) -> Self {
        Self {
            object: Some(object),
            colour: Some(colour),
            ..Self::default()
        }
    }

    fn code(self) -> u32 {
        let place = self.place.map_or(0, |p| p as u32);
        u32::from(self.object.unwrap_or(0))
            | (u32::from(self.colour.unwrap_or(6)) << 4)
            | (place << 7)
            | (u32::from(self.several) << 10)
    }

    fn from_code(code: u32) -> Self {
        let (object, colour) = ((code & 15) as u8, ((code >> 4) & 7) as u8);
        Self {
            object: (object > 0).then_some(object),
            colour: (colour < 6).then_some(colour),
            place: match (code >> 7) & 7 {
                1 => Some(Place::Left),
                2 => Some(Place::Right),
                3 => Some(Place::Front),
                4 => Some(Place::Behind),
                _ => None,
            },
            several: code & (1 << 10) != 0,
        }
    }

    fn text(self) -> String {
        let mut words = vec![if self.several { "a" } else { "the" }];
        words.extend(self.colour.map(|c| COLOURS[usize::from(c)]));
        words.push(self.object.map_or("object", |o| OBJECTS[usize::from(o)]));
        words.extend(self.place.map(|p| match p {
            Place::Left => "on your left",
            Place::Right => "on your right",
            Place::Front => "in front of you",
            Place::Behind => "behind you",
        }));
        words.join(" ")
    }
}

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    pub kind: Kind,
    pub first: Description,
    /// What it is put next to.
    pub second: Description,
    /// Fails by doing it to something else.
    pub strict: bool,
}

impl Clause {
    pub fn new(kind: Kind, first: Description) -> Self {
        Self {
            kind,
            first,
            second: Description::default(),
            strict: false,
        }
    }

    pub(super) fn code(self) -> u32 {
        let second = match self.kind {
            Kind::PutNext => self.second.code(),
            _ => 0,
        };
        self.kind as u32
            | (self.first.code() << 3)
            | (second << 14)
            | (u32::from(self.strict) << 25)
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        let kind = match code & 7 {
            1 => Kind::GoTo,
            2 => Kind::PickUp,
            3 => Kind::Open,
            4 => Kind::PutNext,
            5 => Kind::Reach,
            _ => return None,
        };
        Some(Self {
            kind,
            first: Description::from_code((code >> 3) & 0x7ff),
            second: match kind {
                Kind::PutNext => Description::from_code((code >> 14) & 0x7ff),
                _ => Description::default(),
            },
            strict: code & (1 << 25) != 0,
        })
    }

    fn text(self) -> String {
        let first = self.first.text();
        match self.kind {
            Kind::GoTo => format!("go to {first}"),
            Kind::PickUp => format!("pick up {first}"),
            Kind::Open => format!("open {first}"),
            Kind::PutNext => format!("put {first} next to {}", self.second.text()),
            Kind::Reach => "get to the green goal square".to_owned(),
        }
    }
}

/// How two parts follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// One part.
    #[default]
    Single,
    /// The first part, then the second.
    Before,
    /// The first part after the second.
    After,
}

/// What the agent is told, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mission {
    /// `[parts, clauses of a part]`, in the order of the text; empty places are `None`.
    pub clauses: Vec<Option<Clause>>,
    pub order: Order,
    /// Fails by fulfilling the later part first.
    pub strict_order: bool,
    /// The part that is being done, in the order of doing.
    pub turn: u8,
    /// Per clause: fulfilled, as a bit.
    pub fulfilled: u8,
    /// Per clause: tested at least once, as a bit.
    pub tested: u8,
    /// Journeys that the task takes, of which the step limit of BabyAI's levels is a multiple.
    pub navigations: u8,
}

impl Mission {
    /// One clause.
    pub fn single(clause: Clause) -> Self {
        Self {
            clauses: vec![Some(clause)],
            navigations: if clause.kind == Kind::PutNext { 2 } else { 1 },
            ..Self::default()
        }
    }

    /// Two clauses, done one after the other.
    pub fn sequence(order: Order, first: Clause, second: Clause) -> Self {
        let each = [first, second].map(Self::single);
        Self {
            clauses: vec![Some(first), Some(second)],
            order,
            navigations: each.iter().map(|m| m.navigations).sum(),
            ..Self::default()
        }
    }

    pub(super) fn code(&self) -> u32 {
        let order = match self.order {
            Order::Single => 0,
            Order::Before => 1,
            Order::After => 2,
        };
        u32::from(self.turn & 1)
            | (u32::from(self.fulfilled & 15) << 1)
            | (u32::from(self.tested & 15) << 5)
            | (u32::from(self.navigations & 15) << 9)
            | (order << 13)
            | (u32::from(self.strict_order) << 15)
    }

    pub(super) fn from_code(code: u32, clauses: impl Iterator<Item = u32>) -> Self {
        Self {
            clauses: clauses.map(Clause::from_code).collect(),
            order: match (code >> 13) & 3 {
                0 => Order::Single,
                1 => Order::Before,
                _ => Order::After,
            },
            strict_order: code & (1 << 15) != 0,
            turn: (code & 1) as u8,
            fulfilled: ((code >> 1) & 15) as u8,
            tested: ((code >> 5) & 15) as u8,
            navigations: ((code >> 9) & 15) as u8,
        }
    }

    /// BabyAI's sentence; `per_part` clauses make a part.
    pub fn text(&self, per_part: usize) -> String {
        let parts: Vec<String> = self
            .clauses
            .chunks(per_part)
            .map(|part| {
                let clauses: Vec<_> = part.iter().flatten().map(|c| c.text()).collect();
                clauses.join(" and ")
            })
            .filter(|part| !part.is_empty())
            .collect();
        let joint = match self.order {
            Order::After => " after you ",
            Order::Single | Order::Before => ", then ",
        };
        parts.join(joint)
    }
}
