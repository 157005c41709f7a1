//! The exact state of a batch of grid worlds on the host: what goes in comes out, bit for bit.

use super::cell::Cell;
use super::mission::Mission;
use super::{CLAUSES_AT, Grid, Layout};
use crate::gpu::{Gpu, GpuError};

/// One environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// `[height, width]`.
    pub cells: Vec<Cell>,
    pub x: u8,
    pub y: u8,
    /// 0 right, 1 down, 2 left, 3 up.
    pub direction: u8,
    /// What the agent carries.
    pub hand: Option<Cell>,
    /// What the box with contents holds.
    pub contents: Option<Cell>,
    pub mission: Mission,
    /// Where the balls that move are, in the order in which they move: x, y.
    pub balls: Vec<[u8; 2]>,
    /// Steps of this episode, and episodes before it.
    pub step: u32,
    pub episode: u32,
    /// The return of this episode so far.
    pub running_return: f32,
    /// The generator found no valid level and left the last one that it tried.
    pub gave_up: bool,
}

/// What the expert would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    pub action: u8,
    /// Steps to the goal as the expert counts them, this one included; `None` where it sees no way.
    pub cost: Option<u32>,
}

impl Grid {
    /// Reads all environments. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<Vec<World>, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        Ok((0..self.layout.envs)
            .map(|g| self.layout.unpack(&words, g))
            .collect())
    }

    /// Puts states in. Observations follow with the next step or [`crate::env::VecEnv::record_observe`].
    ///
    /// # Errors
    /// [`GpuError::Size`] if they are of another batch size or level, or the agent is not within the outermost walls.
    pub fn set_state(&self, gpu: &Gpu, worlds: &[World]) -> Result<(), GpuError> {
        let l = &self.layout;
        check("the environments", worlds.len(), l.envs)?;
        let mut words: Vec<u32> = gpu.read(&self.kernels.state)?;
        for (g, world) in worlds.iter().enumerate() {
            check(
                "the cells of a level",
                world.cells.len(),
                l.width * l.height,
            )?;
            check(
                "the clauses of a mission",
                world.mission.clauses.len(),
                l.clauses,
            )?;
            check("the balls", world.balls.len(), l.balls)?;
            let inside = (1..l.width - 1).contains(&usize::from(world.x))
                && (1..l.height - 1).contains(&usize::from(world.y));
            check("agents within the outermost walls", usize::from(inside), 1)?;
            l.pack(&mut words, g, world);
        }
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }

    /// What [`Grid::record_expert`], or the last step of the driver `Heuristic`, found. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`], [`GpuError::Size`] for a batch without expert.
    pub fn advice(&self, gpu: &Gpu) -> Result<Vec<Advice>, GpuError> {
        let l = &self.layout;
        check("words of the expert's advice", l.advice, 1)?;
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let advice = |g: usize| {
            let word = words[l.place(l.advice_at(), g)];
            Advice {
                action: (word & 0xff) as u8,
                cost: ((word >> 8) & 0xffff).checked_sub(1),
            }
        };
        Ok((0..l.envs).map(advice).collect())
    }
}

impl Layout {
    fn unpack(&self, words: &[u32], g: usize) -> World {
        let at = |i: usize| words[self.place(i, g)];
        let (pose, held, progress) = (at(3), at(4), at(5));
        let cell = |bits: u32| (bits != 0).then_some(Cell(bits as u16));
        let clauses = (0..self.clauses).map(|k| at(CLAUSES_AT + k));
        World {
            cells: (0..self.width * self.height)
                .map(|i| {
                    let (word, shift) = self.cell(i);
                    Cell(((at(word) >> shift) & ((1 << self.cell_bits) - 1)) as u16)
                })
                .collect(),
            x: (pose & 0xff) as u8,
            y: ((pose >> 8) & 0xff) as u8,
            direction: ((pose >> 16) & 3) as u8,
            hand: cell(held & 0xffff),
            contents: cell(held >> 16),
            mission: Mission::from_code(progress, clauses),
            balls: (0..self.balls)
                .map(|k| {
                    let stride = self.row_words() * 32 / self.cell_bits;
                    let i = at(self.balls_at() + k) as usize;
                    [(i % stride) as u8, (i / stride) as u8]
                })
                .collect(),
            step: at(0),
            episode: at(1),
            running_return: f32::from_bits(at(2)),
            gave_up: pose & (1 << 19) != 0,
        }
    }

    fn pack(&self, words: &mut [u32], g: usize, world: &World) {
        let ghosts = world.cells.iter().any(|c| c.is_ghost());
        let bits = |c: Option<Cell>| c.map_or(0, |c| u32::from(c.0));
        let mut put = |i: usize, word: u32| words[self.place(i, g)] = word;
        put(0, world.step);
        put(1, world.episode);
        put(2, world.running_return.to_bits());
        put(
            3,
            u32::from(world.x)
                | (u32::from(world.y) << 8)
                | (u32::from(world.direction & 3) << 16)
                | (u32::from(ghosts) << 18)
                | (u32::from(world.gave_up) << 19),
        );
        put(4, bits(world.hand) | (bits(world.contents) << 16));
        put(5, world.mission.code());
        for (k, clause) in world.mission.clauses.iter().enumerate() {
            put(CLAUSES_AT + k, clause.map_or(0, |c| c.code()));
        }
        for (k, &[x, y]) in world.balls.iter().enumerate() {
            let stride = self.row_words() * 32 / self.cell_bits;
            put(
                self.balls_at() + k,
                u32::from(y) * stride as u32 + u32::from(x),
            );
        }
        for (n, word) in self.pack_cells(&world.cells).into_iter().enumerate() {
            put(self.grid_at() + n, word);
        }
    }
}

fn check(what: &'static str, found: usize, needed: usize) -> Result<(), GpuError> {
    if found == needed {
        return Ok(());
    }
    Err(GpuError::Size {
        what,
        found: found as u64,
        needed: needed as u64,
    })
}
