//! The exact state of a batch of robots on the host: what goes in comes out, bit for bit.

use super::Mabrax;
use super::system::System;
use crate::env::VecEnv;
use crate::gpu::{Gpu, GpuError};
use crate::kernels::THREAD_WORDS;

/// State of `G` environments with `B` links, `U` motors, `Q` coordinates and `V` velocities, environment-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MabraxState {
    /// `[G, B]`: the links' centres of mass, in metres.
    pub position: Vec<[f32; 3]>,
    /// `[G, B]`: quaternions w, x, y, z.
    pub rotation: Vec<[f32; 4]>,
    /// `[G, B]`: in rad/s and m/s, of the centres of mass.
    pub angular_velocity: Vec<[f32; 3]>,
    pub velocity: Vec<[f32; 3]>,
    /// `[G, U]`: what the motors were told in the last step.
    pub control: Vec<f32>,
    /// `[G]`: rewards of this episode, as they would be paid step by step; with sparse rewards the distance.
    pub earned: Vec<f32>,
    /// `[G, Q]` and `[G, V]`: the joint coordinates and velocities that the episode began with, which its first observation shows.
    pub start_q: Vec<f32>,
    pub start_qd: Vec<f32>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: what agent 0 was paid in this episode.
    pub running_return: Vec<f32>,
}

impl MabraxState {
    /// Room for `envs` robots, every link at the origin and at rest.
    pub fn zeroed(envs: usize, system: &System) -> Self {
        let links = envs * system.links.len();
        Self {
            position: vec![[0.0; 3]; links],
            rotation: vec![[1.0, 0.0, 0.0, 0.0]; links],
            angular_velocity: vec![[0.0; 3]; links],
            velocity: vec![[0.0; 3]; links],
            control: vec![0.0; envs * system.actuators.len()],
            earned: vec![0.0; envs],
            start_q: vec![0.0; envs * system.nq],
            start_qd: vec![0.0; envs * system.nv],
            step: vec![0; envs],
            episode: vec![0; envs],
            running_return: vec![0.0; envs],
        }
    }

    /// The words of environment `g`'s own state in the order of the shaders.
    fn visit(&mut self, g: usize, system: &System, mut word: impl FnMut(&mut f32)) {
        let (b, u) = (system.links.len(), system.actuators.len());
        let row = g * b..(g + 1) * b;
        self.position[row.clone()]
            .iter_mut()
            .flatten()
            .for_each(&mut word);
        self.rotation[row.clone()]
            .iter_mut()
            .flatten()
            .for_each(&mut word);
        self.angular_velocity[row.clone()]
            .iter_mut()
            .flatten()
            .for_each(&mut word);
        self.velocity[row].iter_mut().flatten().for_each(&mut word);
        self.control[g * u..(g + 1) * u]
            .iter_mut()
            .for_each(&mut word);
        word(&mut self.earned[g]);
        let (nq, nv) = (system.nq, system.nv);
        self.start_q[g * nq..(g + 1) * nq]
            .iter_mut()
            .for_each(&mut word);
        self.start_qd[g * nv..(g + 1) * nv]
            .iter_mut()
            .for_each(&mut word);
    }
}

/// Where the words of the state lie on the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateLayout {
    envs: usize,
    /// Per environment, its counters included.
    words: usize,
    /// An environment's words lie together; else environments run fastest.
    together: bool,
}

impl StateLayout {
    pub(super) fn new(envs: usize, s: &System, together: bool) -> Self {
        let own = 13 * s.links.len() + s.actuators.len() + 1 + s.nq + s.nv;
        Self {
            envs,
            words: THREAD_WORDS + own,
            together,
        }
    }

    fn at(self, g: usize, word: usize) -> usize {
        match self.together {
            true => g * self.words + word,
            false => word * self.envs + g,
        }
    }

    /// The state that the first reset finds; it counts the episode up to 0.
    pub(super) fn first(self) -> Vec<u32> {
        let mut state = vec![0; self.words * self.envs];
        for g in 0..self.envs {
            state[self.at(g, 1)] = u32::MAX;
        }
        state
    }
}

impl Mabrax {
    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<MabraxState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let (envs, system) = (self.envs(), &self.config.system);
        let mut s = MabraxState::zeroed(envs, system);
        for g in 0..envs {
            let word = |i: usize| words[self.layout.at(g, i)];
            s.step[g] = word(0);
            s.episode[g] = word(1);
            s.running_return[g] = f32::from_bits(word(2));
            let mut at = THREAD_WORDS;
            s.visit(g, system, |x| {
                *x = f32::from_bits(word(at));
                at += 1;
            });
        }
        Ok(s)
    }

    /// Puts a state in. Observations follow with `record_observe` or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch or another robot.
    pub fn set_state(&self, gpu: &Gpu, s: &MabraxState) -> Result<(), GpuError> {
        let (envs, system) = (self.envs(), &self.config.system);
        let links = envs * system.links.len();
        for (what, found, needed) in [
            ("the positions", s.position.len(), links),
            ("the rotations", s.rotation.len(), links),
            ("the angular velocities", s.angular_velocity.len(), links),
            ("the velocities", s.velocity.len(), links),
            ("the motors", s.control.len(), envs * system.actuators.len()),
            ("the rewards so far", s.earned.len(), envs),
            ("the start coordinates", s.start_q.len(), envs * system.nq),
            ("the start velocities", s.start_qd.len(), envs * system.nv),
            ("the step counters", s.step.len(), envs),
            ("the episode counters", s.episode.len(), envs),
            ("the returns", s.running_return.len(), envs),
        ] {
            if found != needed {
                return Err(GpuError::Size {
                    what,
                    found: found as u64,
                    needed: needed as u64,
                });
            }
        }
        let mut s = s.clone();
        let layout = self.layout;
        let mut all = vec![0u32; layout.words * envs];
        for g in 0..envs {
            all[layout.at(g, 0)] = s.step[g];
            all[layout.at(g, 1)] = s.episode[g];
            all[layout.at(g, 2)] = s.running_return[g].to_bits();
            let mut at = THREAD_WORDS;
            s.visit(g, system, |x| {
                all[layout.at(g, at)] = x.to_bits();
                at += 1;
            });
        }
        gpu.write(&self.kernels.state, &all);
        Ok(())
    }
}
