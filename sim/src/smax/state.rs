//! The exact state of a batch of battles on the host: what goes in comes out, bit for bit.

use super::Smax;
use crate::gpu::{Gpu, GpuError};

/// State of `G` environments of `N` units, environment-major: unit `i` of environment `g` is at `g * N + i`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmaxState {
    /// `[G, N]`: x and y.
    pub positions: Vec<[f32; 2]>,
    /// `[G, N]`; a unit is alive where this is above 0.
    pub health: Vec<f32>,
    /// `[G, N]`, seconds until the weapon is ready; goes on below 0.
    pub cooldown: Vec<f32>,
    /// `[G, N]`, indices into the unit table.
    pub types: Vec<u8>,
    /// `[G, N]`, the action of the last step: 0 to 3 a move, 4 stop, 5 and up an attack. With continuous actions 4 is also
    /// a move, to where `last_move` says.
    pub last_action: Vec<u8>,
    /// `[G, N]`, continuous actions only, 0 otherwise: the vector of the last move, at most 1 long.
    pub last_move: Vec<[f32; 2]>,
    /// `[G, N]`, heuristic units only: slot of the last victim, -1 for none.
    pub last_attacked: Vec<i32>,
    /// `[G, N]`, heuristic units only: where to walk while nobody is seen.
    pub default_target: Vec<[f32; 2]>,
    /// `[G]`: decisions taken in this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the allies' return so far.
    pub running_return: Vec<f32>,
}

impl SmaxState {
    /// Room for `envs` environments of `units` units.
    pub fn zeroed(envs: usize, units: usize) -> Self {
        let n = envs * units;
        Self {
            positions: vec![[0.0; 2]; n],
            health: vec![0.0; n],
            cooldown: vec![0.0; n],
            types: vec![0; n],
            last_action: vec![4; n],
            last_move: vec![[0.0; 2]; n],
            last_attacked: vec![-1; n],
            default_target: vec![[0.0; 2]; n],
            step: vec![0; envs],
            episode: vec![0; envs],
            running_return: vec![0.0; envs],
        }
    }
}

/// Random draws from outside, for replaying a recording (`[G, ...]`, environment-major).
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// `[G, world steps, N]`: added to a weapon's cooldown when the unit fires in that world step.
    pub cooldown_noise: Vec<f32>,
    /// `[G, N]`: the slot that a heuristic unit walks to if it sees anyone; unused for other units.
    pub chased: Vec<i32>,
}

impl Smax {
    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<SmaxState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let (l, n) = (self.layout, self.layout.units);
        let mut s = SmaxState::zeroed(l.envs, n);
        let real = |at: usize| f32::from_bits(words[at]);
        for g in 0..l.envs {
            for i in 0..n {
                let k = g * n + i;
                s.positions[k] = [real(l.unit(0, i, g)), real(l.unit(1, i, g))];
                s.health[k] = real(l.unit(2, i, g));
                s.cooldown[k] = real(l.unit(3, i, g));
                let packed = words[l.unit(4, i, g)].to_le_bytes();
                s.types[k] = packed[0];
                s.last_action[k] = packed[1];
                s.last_attacked[k] = i32::from(packed[2]) - 1;
                if l.keeps_moves() {
                    s.last_move[k] = [real(l.unit(5, i, g)), real(l.unit(6, i, g))];
                }
                if let (Some(x), Some(y)) = (l.memory(0, i, g), l.memory(1, i, g)) {
                    s.default_target[k] = [real(x), real(y)];
                }
            }
            s.step[g] = words[l.env(0, g)];
            s.episode[g] = words[l.env(1, g)];
            s.running_return[g] = real(l.env(2, g));
        }
        Ok(s)
    }

    /// Puts a state in. Observations follow with [`Smax::record_observe`] or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch size or scenario.
    pub fn set_state(&self, gpu: &Gpu, s: &SmaxState) -> Result<(), GpuError> {
        let (l, n) = (self.layout, self.layout.units);
        check("the state of the environments", s.health.len(), l.envs * n)?;
        check("the step counters", s.step.len(), l.envs)?;
        let mut words = vec![0u32; l.words() * l.envs];
        for g in 0..l.envs {
            for i in 0..n {
                let k = g * n + i;
                words[l.unit(0, i, g)] = s.positions[k][0].to_bits();
                words[l.unit(1, i, g)] = s.positions[k][1].to_bits();
                words[l.unit(2, i, g)] = s.health[k].to_bits();
                words[l.unit(3, i, g)] = s.cooldown[k].to_bits();
                let last = (s.last_attacked[k] + 1) as u8;
                words[l.unit(4, i, g)] =
                    u32::from_le_bytes([s.types[k], s.last_action[k], last, 0]);
                if l.keeps_moves() {
                    for axis in 0..2 {
                        words[l.unit(5 + axis, i, g)] = s.last_move[k][axis].to_bits();
                    }
                }
                for axis in 0..2 {
                    if let Some(at) = l.memory(axis, i, g) {
                        words[at] = s.default_target[k][axis].to_bits();
                    }
                }
            }
            words[l.env(0, g)] = s.step[g];
            words[l.env(1, g)] = s.episode[g];
            words[l.env(2, g)] = s.running_return[g].to_bits();
        }
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }

    /// Sets the draws of the following steps; only for a batch made with [`Smax::replaying`].
    ///
    /// # Errors
    /// [`GpuError::Size`] if the arrays are of another batch.
    pub fn set_replay(&self, gpu: &Gpu, replay: &Replay) -> Result<(), GpuError> {
        let (envs, n) = (self.layout.envs, self.layout.units);
        let steps = self.config.options.world_steps_per_env_step as usize;
        check(
            "the cooldown noise",
            replay.cooldown_noise.len(),
            envs * steps * n,
        )?;
        check("the chased units", replay.chased.len(), envs * n)?;
        let rows = replay.cooldown_noise.chunks(steps * n);
        let words: Vec<f32> = rows
            .zip(replay.chased.chunks(n))
            .flat_map(|(noise, chased)| {
                let chased = chased.iter().map(|&k| k as f32);
                noise.iter().copied().chain(chased)
            })
            .collect();
        check(
            "the replay of the environments",
            words.len() * 4,
            self.replay.size as usize,
        )?;
        gpu.write(&self.replay, &words);
        Ok(())
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
