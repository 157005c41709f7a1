//! The exact state of a batch of kitchens on the host: what goes in comes out.

use super::layout::Cell;
use super::{AGENTS, COOKS, Overcooked, POINTS, POTS};
use crate::gpu::{Gpu, GpuError};
use crate::registry::EnvError;

/// What an agent holds, or what lies on a counter; the numbers are those of the shader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Item {
    #[default]
    Nothing = 0,
    Onion = 1,
    Plate = 2,
    /// A plate of soup.
    Dish = 3,
}

impl Item {
    /// From the two bits of the device's state.
    fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            1 => Self::Onion,
            2 => Self::Plate,
            3 => Self::Dish,
            _ => Self::Nothing,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Onion => "an onion",
            Self::Plate => "a plate",
            Self::Dish => "a dish",
        }
    }

    /// A letter for a terminal.
    pub(super) fn letter(self, nothing: char) -> char {
        match self {
            Self::Nothing => nothing,
            Self::Onion => 'o',
            Self::Plate => 'b',
            Self::Dish => 'd',
        }
    }
}

/// Status of a pot: empty; with one onion less than one below per onion; full, from where it cooks a step at a time; ready.
pub const POT_EMPTY: u8 = 23;
pub const POT_FULL: u8 = 20;
pub const POT_READY: u8 = 0;

/// State of `G` kitchens of `H` rows, `W` columns and `N` pots, environment-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OvercookedState {
    /// `[G, 2]`: x and y.
    pub positions: Vec<[u16; 2]>,
    /// `[G, 2]`: 0 north (up), 1 south, 2 east, 3 west.
    pub facing: Vec<u8>,
    /// `[G, 2]`.
    pub held: Vec<Item>,
    /// `[G, N]`, in reading order: 23 empty, 22 and 21 one and two onions, 20 full, 19 to 1 steps left to cook, 0 ready.
    pub pot_status: Vec<u8>,
    /// `[G, H, W]`: what lies on the counters, nothing elsewhere.
    pub items: Vec<Item>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the team's return of this episode, deliveries only.
    pub running_return: Vec<f32>,
    /// `[G]`: shaped points of both agents in this episode, unweighted.
    pub shaped_points: Vec<u32>,
}

impl OvercookedState {
    /// The pots of environment `env`.
    pub fn pots(&self, env: usize) -> &[u8] {
        let n = self.pot_status.len() / self.step.len().max(1);
        &self.pot_status[env * n..(env + 1) * n]
    }
}

impl Overcooked {
    /// The start of an episode in every environment: agents at their start cells, facing north with empty hands, all pots
    /// empty and counters bare. What [`Overcooked::set_state`] takes, to be changed at will.
    pub fn start_state(&self) -> OvercookedState {
        let (k, g) = (&self.config.kitchen, self.layout.envs);
        let at = |cell: usize| [(cell % k.width) as u16, (cell / k.width) as u16];
        OvercookedState {
            positions: k.starts.map(at).repeat(g),
            facing: vec![0; AGENTS * g],
            held: vec![Item::Nothing; AGENTS * g],
            pot_status: vec![POT_EMPTY; k.all(Cell::Pot).len() * g],
            items: vec![Item::Nothing; k.cells.len() * g],
            step: vec![0; g],
            episode: vec![0; g],
            running_return: vec![0.0; g],
            shaped_points: vec![0; g],
        }
    }

    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<OvercookedState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let (k, l) = (&self.config.kitchen, self.layout);
        let word = |w: usize, g: usize| words[w * l.envs + g];
        let mut s = self.start_state();
        let pots = k.all(Cell::Pot).len();
        let counters = k.all(Cell::Counter);
        for g in 0..l.envs {
            for i in 0..AGENTS {
                let cook = word(COOKS, g) >> (15 * i);
                let cell = cook as usize & 0x7ff;
                let at = AGENTS * g + i;
                s.positions[at] = [(cell % k.width) as u16, (cell / k.width) as u16];
                s.facing[at] = (cook >> 11 & 3) as u8;
                s.held[at] = Item::from_bits(cook >> 13);
            }
            for p in 0..pots {
                let status = word(POTS + p / 4, g) >> (8 * (p % 4));
                s.pot_status[pots * g + p] = status as u8;
            }
            for (c, cell) in counters.iter().enumerate() {
                let lies = word(POTS + l.pot_words + c / 16, g) >> (2 * (c % 16));
                s.items[k.cells.len() * g + cell] = Item::from_bits(lies);
            }
            s.step[g] = word(0, g);
            s.episode[g] = word(1, g);
            s.running_return[g] = f32::from_bits(word(2, g));
            s.shaped_points[g] = word(POINTS, g);
        }
        Ok(s)
    }

    /// Puts a state in. Observations follow with `record_observe` or the next step.
    ///
    /// # Errors
    /// [`EnvError::Options`] if it is of another batch or kitchen, or no state that the rules lead to: agents in one cell or
    /// not on the floor, items that lie elsewhere than on counters, numbers out of range.
    pub fn set_state(&self, gpu: &Gpu, s: &OvercookedState) -> Result<(), EnvError> {
        let (k, l) = (&self.config.kitchen, self.layout);
        let wrong = |reason: String| {
            Err(EnvError::Options {
                env: self.config.name.clone(),
                reason: format!("no state of this batch: {reason}"),
            })
        };
        let [pots, counters] = [Cell::Pot, Cell::Counter].map(|kind| k.all(kind));
        for (what, found, needed) in [
            ("positions", s.positions.len(), AGENTS * l.envs),
            ("facing", s.facing.len(), AGENTS * l.envs),
            ("held", s.held.len(), AGENTS * l.envs),
            ("pot_status", s.pot_status.len(), pots.len() * l.envs),
            ("items", s.items.len(), k.cells.len() * l.envs),
            ("step", s.step.len(), l.envs),
            ("episode", s.episode.len(), l.envs),
            ("running_return", s.running_return.len(), l.envs),
            ("shaped_points", s.shaped_points.len(), l.envs),
        ] {
            if found != needed {
                return wrong(format!("`{what}` has {found} entries, {needed} are needed"));
            }
        }
        let mut words = vec![0u32; l.words() * l.envs];
        for g in 0..l.envs {
            let mut put = |w: usize, bits: u32| words[w * l.envs + g] |= bits;
            let mut cells = [0; AGENTS];
            for (i, cell) in cells.iter_mut().enumerate() {
                let at = AGENTS * g + i;
                let [x, y] = s.positions[at].map(usize::from);
                *cell = y * k.width + x;
                if x >= k.width || y >= k.height || k.cells[*cell] != Cell::Floor {
                    let reason =
                        format!("agent {i} of environment {g} is at {x} {y}, not on the floor");
                    return wrong(reason);
                }
                if s.facing[at] > 3 {
                    return wrong(format!(
                        "agent {i} of environment {g} faces {}",
                        s.facing[at]
                    ));
                }
                let cook = *cell as u32 | u32::from(s.facing[at]) << 11 | (s.held[at] as u32) << 13;
                put(COOKS, cook << (15 * i));
            }
            if cells[0] == cells[1] {
                return wrong(format!("both agents of environment {g} are in one cell"));
            }
            for p in 0..4 * l.pot_words {
                let given = (p < pots.len()).then(|| s.pot_status[pots.len() * g + p]);
                let status = given.unwrap_or(POT_EMPTY);
                if status > POT_EMPTY {
                    return wrong(format!("pot {p} of environment {g} has status {status}"));
                }
                put(POTS + p / 4, u32::from(status) << (8 * (p % 4)));
            }
            let items = &s.items[k.cells.len() * g..][..k.cells.len()];
            for (c, &cell) in counters.iter().enumerate() {
                let lies = (items[cell] as u32) << (2 * (c % 16));
                put(POTS + l.pot_words + c / 16, lies);
            }
            let elsewhere =
                |(cell, item): (&Cell, &Item)| *cell != Cell::Counter && *item != Item::Nothing;
            if k.cells.iter().zip(items).any(elsewhere) {
                return wrong(format!("an item of environment {g} lies on no counter"));
            }
            if s.step[g] > self.config.options.max_steps {
                return wrong(format!("environment {g} is at step {}", s.step[g]));
            }
            put(0, s.step[g]);
            put(1, s.episode[g]);
            put(2, s.running_return[g].to_bits());
            put(POINTS, s.shaped_points[g]);
        }
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }
}
