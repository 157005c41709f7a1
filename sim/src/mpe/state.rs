//! The exact state of a batch of particle worlds on the host: what goes in comes out, bit for bit.

use super::Mpe;
use crate::gpu::{Gpu, GpuError};
use crate::kernels::THREAD_WORDS;

/// State of `G` environments with `N` moving bodies (agents, then prey) and `B` bodies (with the landmarks, which come
/// last), environment-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MpeState {
    /// `[G, B]`: x and y.
    pub positions: Vec<[f32; 2]>,
    /// `[G, N]`.
    pub velocities: Vec<[f32; 2]>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: what agent 0 was paid in this episode.
    pub running_return: Vec<f32>,
    /// `[G]`: rewards of all agents, and of learning prey, so far, as they are paid step by step.
    pub earned: Vec<[f32; 2]>,
    /// `[G]`: collisions, captures or overlaps so far.
    pub touches: Vec<f32>,
}

impl MpeState {
    /// Room for `envs` environments, everything at the origin and at rest.
    pub fn zeroed(envs: usize, moving: usize, bodies: usize) -> Self {
        Self {
            positions: vec![[0.0; 2]; envs * bodies],
            velocities: vec![[0.0; 2]; envs * moving],
            step: vec![0; envs],
            episode: vec![0; envs],
            running_return: vec![0.0; envs],
            earned: vec![[0.0; 2]; envs],
            touches: vec![0.0; envs],
        }
    }
}

/// Words of an environment's own state: `load` and `store` of `world.wgsl` lay them out.
pub(super) fn words(moving: usize, bodies: usize) -> usize {
    2 * bodies + 2 * moving + 3
}

impl Mpe {
    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<MpeState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let (envs, n, b) = self.sizes();
        let word = |i: usize, g: usize| words[(THREAD_WORDS + i) * envs + g];
        let real = |i: usize, g: usize| f32::from_bits(word(i, g));
        let mut s = MpeState::zeroed(envs, n, b);
        for g in 0..envs {
            for e in 0..b {
                s.positions[g * b + e] = [real(e, g), real(b + e, g)];
            }
            for i in 0..n {
                s.velocities[g * n + i] = [real(2 * b + i, g), real(2 * b + n + i, g)];
            }
            let sums = 2 * b + 2 * n;
            s.earned[g] = [real(sums, g), real(sums + 1, g)];
            s.touches[g] = real(sums + 2, g);
            s.step[g] = words[g];
            s.episode[g] = words[envs + g];
            s.running_return[g] = f32::from_bits(words[2 * envs + g]);
        }
        Ok(s)
    }

    /// Puts a state in. Observations follow with `record_observe` or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch or another number of bodies.
    pub fn set_state(&self, gpu: &Gpu, s: &MpeState) -> Result<(), GpuError> {
        let (envs, n, b) = self.sizes();
        for (what, found, needed) in [
            ("the positions", s.positions.len(), envs * b),
            ("the velocities", s.velocities.len(), envs * n),
            ("the step counters", s.step.len(), envs),
            ("the episode counters", s.episode.len(), envs),
            ("the returns", s.running_return.len(), envs),
            ("the sums of rewards", s.earned.len(), envs),
            ("the counts of touches", s.touches.len(), envs),
        ] {
            if found != needed {
                return Err(GpuError::Size {
                    what,
                    found: found as u64,
                    needed: needed as u64,
                });
            }
        }
        let mut all = vec![0u32; (THREAD_WORDS + words(n, b)) * envs];
        for g in 0..envs {
            all[g] = s.step[g];
            all[envs + g] = s.episode[g];
            all[2 * envs + g] = s.running_return[g].to_bits();
            let mut put = |i: usize, x: f32| all[(THREAD_WORDS + i) * envs + g] = f32::to_bits(x);
            for e in 0..b {
                let [x, y] = s.positions[g * b + e];
                put(e, x);
                put(b + e, y);
            }
            for i in 0..n {
                let [x, y] = s.velocities[g * n + i];
                put(2 * b + i, x);
                put(2 * b + n + i, y);
            }
            let sums = 2 * b + 2 * n;
            put(sums, s.earned[g][0]);
            put(sums + 1, s.earned[g][1]);
            put(sums + 2, s.touches[g]);
        }
        gpu.write(&self.kernels.state, &all);
        Ok(())
    }

    /// Environments, moving bodies, bodies.
    fn sizes(&self) -> (usize, usize, usize) {
        let o = &self.config.options;
        (
            self.kernels.envs(),
            o.moving(),
            o.moving() + o.num_landmarks,
        )
    }
}
