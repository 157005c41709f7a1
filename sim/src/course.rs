//! One environment, step by step, with its way kept: for playing, drawing and replaying.
//!
//! A course is a list of moments, each the outcome of a step or of the reset that begins an episode. It can be gone back
//! and forth on: a few snapshots are kept, and what lies between them is stepped again.

use serde::{Deserialize, Serialize};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::Frame;
use crate::gpu::{Gpu, GpuError, Region};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions};
use crate::rng::threefry2x32;

/// What decides a course beside the actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    pub env: String,
    pub options: EnvOptions,
    pub seed: u64,
    /// [`Driver::External`] where actions are given; else they follow from the seed.
    pub driver: Driver,
}

/// How a moment came about.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// An episode begins.
    Reset,
    /// `[A]` whole numbers or `[A, K]` bits of `f32`, as the action region holds them; empty where the shader acts.
    Step(Vec<u32>),
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    pub act: Act,
    /// Episodes before this one.
    pub episode: usize,
    /// Steps of this episode so far.
    pub step: usize,
    /// `[A]`
    pub reward: Vec<f32>,
    /// The team's return of the episode so far (agent 0's, undiscounted).
    pub total: f32,
    /// `[A]`
    pub agent_done: Vec<f32>,
    /// `[A]`: whose action the step replaced ([`VecEnv::replaced`]).
    pub replaced: Vec<bool>,
    pub terminated: bool,
    pub truncated: bool,
    /// CRC-32 of each of [`Course::fields`]; where an episode begins, of those that a reset writes.
    pub sums: Vec<u32>,
}

impl Moment {
    /// Whether the episode is over.
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Moments from one kept snapshot to the next.
const KEEP_EVERY: usize = 32;

/// An environment on its way.
pub struct Course {
    gpu: Gpu,
    pub start: Start,
    env: Box<dyn VecEnv>,
    fields: Vec<String>,
    moments: Vec<Moment>,
    at: usize,
    /// Of moments 0, [`KEEP_EVERY`], ….
    kept: Vec<Vec<u8>>,
}

impl Course {
    /// Makes the environment and begins its first episode.
    ///
    /// # Errors
    /// As [`registry::make`].
    pub fn begin(gpu: &Gpu, start: Start) -> Result<Self, EnvError> {
        let batch = Batch {
            seeds: vec![start.seed],
            envs_per_member: 1,
            steps: 1,
            slots: 1,
            driver: start.driver,
            // Else the last picture of an episode would never be seen.
            keep_ended: true,
            ..Batch::default()
        };
        let env = registry::make(gpu, &start.env, &start.options, &batch)?;
        Ok(Self::of(gpu, start, env)?)
    }

    /// The same in an environment that is there already: a batch of one with one step and slot, which stays as it ended.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn of(gpu: &Gpu, start: Start, env: Box<dyn VecEnv>) -> Result<Self, GpuError> {
        let names = parts(env.as_ref()).map(|(name, _)| name);
        let fields = names
            .chain(seen(env.as_ref()).map(|(name, _)| name))
            .chain(outcome(env.as_ref()).map(|(name, _)| name))
            .map(str::to_owned)
            .collect();
        let mut course = Self {
            gpu: gpu.clone(),
            start,
            env,
            fields,
            moments: Vec::new(),
            at: 0,
            kept: Vec::new(),
        };
        course.go_on(Act::Reset)?;
        Ok(course)
    }

    pub fn spec(&self) -> &EnvSpec {
        self.env.spec()
    }

    pub fn env(&self) -> &dyn VecEnv {
        self.env.as_ref()
    }

    /// What a moment has checksums of: the parts of the state, what the environment shows, and what it says of a step.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The number of the present moment.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The present moment.
    pub fn now(&self) -> &Moment {
        &self.moments[self.at]
    }

    /// Steps that the course has in all.
    pub fn steps(&self) -> usize {
        let steps = self.moments.iter().filter(|m| m.act != Act::Reset);
        steps.count()
    }

    /// Goes on from the present moment; moments that lay ahead are forgotten.
    ///
    /// # Errors
    /// [`GpuError::Lost`]; [`GpuError::Size`] for actions of another number of agents.
    pub fn go_on(&mut self, act: Act) -> Result<&Moment, GpuError> {
        if !self.moments.is_empty() {
            self.moments.truncate(self.at + 1);
            self.kept.truncate(self.at / KEEP_EVERY + 1);
        }
        self.run(&act)?;
        let moment = self.look(act)?;
        self.moments.push(moment);
        self.at = self.moments.len() - 1;
        if self.at.is_multiple_of(KEEP_EVERY) {
            self.kept.push(self.env.snapshot(&self.gpu)?);
        }
        Ok(self.now())
    }

    /// Goes to moment `to`, or to the last one if there are fewer.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn seek(&mut self, to: usize) -> Result<(), GpuError> {
        let to = to.min(self.moments.len() - 1);
        let mut from = self.at;
        if to < from {
            from = to / KEEP_EVERY * KEEP_EVERY;
            self.env.restore(&self.gpu, &self.kept[to / KEEP_EVERY])?;
            self.record(|env, pass| env.record_observe(pass));
            // A recurrent policy looks at how the last step ended, also where an episode has begun since.
            let last = match self.moments[from].act {
                Act::Reset => from.saturating_sub(1),
                Act::Step(_) => from,
            };
            let (moment, io) = (&self.moments[last], self.env.io());
            let flag = |on: bool| [if on { 1.0f32 } else { 0.0 }];
            self.gpu.write(&io.reward, &moment.reward);
            self.gpu.write(&io.agent_done, &moment.agent_done);
            self.gpu.write(&io.terminated, &flag(moment.terminated));
            self.gpu.write(&io.truncated, &flag(moment.truncated));
        }
        for i in from + 1..=to {
            self.run(&self.moments[i].act)?;
        }
        self.at = to;
        Ok(())
    }

    /// The present moment as people see it.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn frame(&self) -> Result<Frame, GpuError> {
        self.env.frame(&self.gpu, 0)
    }

    /// `[A, N]`: what each agent may do now; empty where actions are continuous.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn allowed(&self) -> Result<Vec<Vec<bool>>, GpuError> {
        let mask = self.spec().actions.mask();
        if mask == 0 {
            return Ok(Vec::new());
        }
        let avail: Vec<f32> = self.gpu.read(&self.env.io().avail)?;
        let rows = avail.chunks_exact(mask);
        Ok(rows
            .map(|row| row.iter().map(|&x| x > 0.0).collect())
            .collect())
    }

    /// An allowed action for every agent, uniformly at random: a function of seed and moment. `None` where actions are
    /// continuous: only the environment knows what they may be.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn random_actions(&self) -> Result<Option<Vec<u32>>, GpuError> {
        if matches!(self.spec().actions, ActionSpace::Continuous(_)) {
            return Ok(None);
        }
        // Keeps these blocks apart from what environments and learners draw under the same seed.
        const COURSE: u32 = 0x706c_6179;
        let seed = self.start.seed;
        let key = threefry2x32([(seed >> 32) as u32, seed as u32], [0, COURSE]);
        let choose = |(i, row): (usize, &Vec<bool>)| {
            let allowed: Vec<u32> = (0..)
                .zip(row)
                .filter_map(|(action, &may)| may.then_some(action))
                .collect();
            let [bits, _] = threefry2x32(key, [self.at as u32, i as u32]);
            let drawn = (u64::from(bits) * allowed.len() as u64) >> 32;
            allowed.get(drawn as usize).copied().unwrap_or(0)
        };
        Ok(Some(
            self.allowed()?.iter().enumerate().map(choose).collect(),
        ))
    }

    /// What is in the action region: after a policy on the device has written it.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn written_actions(&self) -> Result<Vec<u32>, GpuError> {
        self.gpu.read(&self.env.io().actions)
    }

    fn record(&self, f: impl FnOnce(&dyn VecEnv, &mut wgpu::ComputePass<'_>)) {
        self.gpu.compute(|pass| f(self.env.as_ref(), pass));
    }

    fn run(&self, act: &Act) -> Result<(), GpuError> {
        match act {
            Act::Reset => self.record(|env, pass| env.record_reset(pass)),
            Act::Step(actions) => {
                let region = &self.env.io().actions;
                if self.start.driver == Driver::External {
                    let found = 4 * actions.len() as u64;
                    if found != region.size {
                        return Err(GpuError::Size {
                            what: "the actions of a step",
                            found,
                            needed: region.size,
                        });
                    }
                    self.gpu.write(region, actions);
                }
                self.record(|env, pass| env.record_step(pass, 0));
            }
        }
        Ok(())
    }

    /// Reads regions with one wait for the device.
    fn read_together(&self, regions: &[&Region]) -> Result<Vec<Vec<u8>>, GpuError> {
        let all = self
            .gpu
            .storage("moment", regions.iter().map(|r| r.size).sum());
        let mut encoder = self.gpu.encoder();
        let mut at = 0;
        for r in regions {
            encoder.copy_buffer_to_buffer(&r.buffer, r.offset, &all.buffer, at, r.size);
            at += r.size;
        }
        self.gpu.submit(encoder);
        let bytes: Vec<u8> = self.gpu.read(&all)?;
        let mut rest = &bytes[..];
        let parts = regions.iter().map(|r| {
            let (part, after) = rest.split_at(r.size as usize);
            rest = after;
            part.to_vec()
        });
        Ok(parts.collect())
    }

    /// Reads what the last act led to.
    fn look(&self, act: Act) -> Result<Moment, GpuError> {
        let agents = self.spec().agents;
        let env = self.env.as_ref();
        let regions = seen(env).chain(outcome(env)).map(|(_, region)| region);
        let regions = [&env.kernels().state].into_iter().chain(regions);
        let regions: Vec<_> = regions.chain(env.replaced()).collect();
        let mut read = self.read_together(&regions)?;
        let replaced = env.replaced().and_then(|_| read.pop());
        let (shown, told) = read.split_at(read.len() - OUTCOMES);
        let mut sums = Vec::new();
        let mut state = &shown[0][..];
        for (_, words) in parts(env) {
            let (field, rest) = state.split_at(4 * words);
            sums.push(crc32fast::hash(field));
            state = rest;
        }
        sums.extend(shown[1..].iter().map(|bytes| crc32fast::hash(bytes)));
        let mut moment = Moment {
            act,
            episode: self.moments.last().map_or(0, |m| m.episode),
            step: 0,
            reward: vec![0.0; agents],
            total: 0.0,
            agent_done: vec![0.0; agents],
            replaced: vec![false; agents],
            terminated: false,
            truncated: false,
            sums,
        };
        if moment.act == Act::Reset {
            moment.episode += usize::from(!self.moments.is_empty());
            return Ok(moment);
        }
        let told_sums = told.iter().map(|bytes| crc32fast::hash(bytes));
        moment.sums.extend(told_sums);
        let flag = |bytes: &[u8]| bytes.iter().any(|&b| b != 0);
        // In the order of `outcome`.
        moment.reward = bytemuck::pod_collect_to_vec(&told[0]);
        moment.terminated = flag(&told[1]);
        moment.truncated = flag(&told[2]);
        moment.agent_done = bytemuck::pod_collect_to_vec(&told[3]);
        if let Some(bytes) = replaced {
            let flags: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
            moment.replaced = flags.into_iter().map(|flag| flag > 0.0).collect();
        }
        if let Some(before) = self.moments.last() {
            moment.step = before.step + 1;
            moment.total = before.total + moment.reward[0];
        }
        Ok(moment)
    }
}

/// The parts of the state, but for those that this environment does without.
fn parts(env: &dyn VecEnv) -> impl Iterator<Item = (&'static str, usize)> {
    let all = env.state_fields().into_iter();
    all.filter(|&(_, words)| words > 0)
}

/// What an environment shows at every moment, by name.
fn seen(env: &dyn VecEnv) -> impl Iterator<Item = (&'static str, &Region)> {
    let (io, mask) = (env.io(), env.spec().actions.mask());
    let all = [
        ("observations", &io.obs),
        ("world state", &io.state),
        ("action mask", &io.avail),
    ];
    all.into_iter().take(if mask > 0 { 3 } else { 2 })
}

/// Fields that a step has and a reset has not.
pub(crate) const OUTCOMES: usize = 4;

/// What it says of a step, by name.
fn outcome(env: &dyn VecEnv) -> [(&'static str, &Region); OUTCOMES] {
    let io = env.io();
    [
        ("rewards", &io.reward),
        ("terminated", &io.terminated),
        ("truncated", &io.truncated),
        ("agents done", &io.agent_done),
    ]
}
