//! Who learns from a replay of episodes, rollouts or transitions: collecting with the policy, counting, evaluating and saving, which do not
//! depend on what is learned.

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::adam;
use crate::checkpoint::{Contents, Parameters};
use crate::config::{Config, Optimiser};
use crate::dense::Activate;
use crate::evaluate::Evaluation;
use crate::kernel::{Recorder, Tick, Ticks};
use crate::learner::{Checkpoint, Timing};
use crate::net::Network;
use crate::policy::{Behaviour, Choice, Context, Itself, Policy, Remembered};
use crate::ppo::{keys, shaping_weight};
use crate::recurrent::Memory;
use crate::replay::{Replay, ReplaySizes};
use crate::rng::Purpose;
use crate::sizes::Sizes;
use crate::timing::Timestamps;

/// Environments, their policy and the replay that they write into.
pub struct OffPolicy {
    pub gpu: Gpu,
    pub config: Config,
    pub sizes: Sizes,
    pub env: Box<dyn VecEnv>,
    pub ticks: Ticks,
    pub replay: Replay,
    /// What the policy is told of itself, where it is one network of all agents.
    itself: Option<Itself>,
    policy: Policy,
    memory: Option<Memory>,
    timestamps: Timestamps,
    evaluation: Option<Evaluation>,
    updates_done: u64,
}

/// Checks what nobody can do with who learns from a replay, and sets the environment's shaped rewards.
///
/// # Errors
/// [`LearnError::Config`].
pub fn check(gpu: &Gpu, config: &Config, env: &dyn VecEnv) -> Result<(), LearnError> {
    if env.replaced().is_some() {
        return Err(LearnError::Config(format!(
            "{} replaces actions, and a replay would not say so; set env_options.anomaly_probability = 0",
            config.env
        )));
    }
    if config.reward_shaping_horizon > 0 && !env.set_reward_shaping(gpu, 1.0) {
        return Err(LearnError::Config(format!(
            "`reward_shaping_horizon` is {}, but {} has no shaped reward; set it to 0",
            config.reward_shaping_horizon, config.env
        )));
    }
    Ok(())
}

/// Ticks of an update: one per step, then one per gradient step.
pub fn ticks(gpu: &Gpu, config: &Config) -> Ticks {
    Ticks::new(gpu, config.rollout + config.gradient_steps)
}

impl OffPolicy {
    /// `params: [P, stride]`: of the policy `network`, of whose outputs actions are made by `choice`.
    #[allow(clippy::too_many_arguments)] // What was made before it, and what it is made from.
    pub fn new(
        gpu: &Gpu,
        config: &Config,
        sizes: Sizes,
        replay: ReplaySizes,
        env: Box<dyn VecEnv>,
        ticks: Ticks,
        network: &Network,
        (params, stride): (&Region, usize),
        choice: Choice<'_>,
    ) -> Self {
        let context = context(gpu, config, &sizes, &ticks, params, stride);
        let seeds = config.seeds_from(config.seed);
        let io = env.io().clone();
        let told = config.algo.decomposes_values();
        let itself = told.then(|| Itself::new(&context, config, &io));
        let memory = network
            .trunk
            .map(|t| Memory::new(gpu, sizes.rows(), t.hidden(), 1));
        // In front of a rollout: whole rollouts are learned from as if nothing had come before.
        let forgotten = if replay.rollouts { 1.0_f32 } else { 0.0 };
        let carried = gpu.storage_from("what is carried", &vec![forgotten; sizes.rows()]);
        let log_probs = gpu.storage(
            "log-probabilities",
            4 * (replay.capacity * sizes.rows()) as u64,
        );
        let policy = Policy::new(
            &context,
            network,
            &io,
            &keys(gpu, &seeds, Purpose::Act),
            &log_probs,
            memory.as_ref().map(|m| Remembered {
                memory: &m.state,
                carried: &carried,
            }),
            Behaviour {
                itself: itself.as_ref(),
                choice,
            },
        );
        let replay = Replay::new(&context, &io, replay, &keys(gpu, &seeds, Purpose::Sample));
        Self {
            gpu: gpu.clone(),
            config: config.clone(),
            timestamps: Timestamps::new(gpu),
            evaluation: None,
            updates_done: 0,
            sizes,
            env,
            ticks,
            replay,
            itself,
            policy,
            memory,
        }
    }

    /// The first observations.
    pub fn reset(&self) {
        let mut to = Recorder::new(&self.gpu);
        self.env.record_reset(to.pass());
        to.submit();
    }

    pub fn env_steps(&self) -> u64 {
        self.updates_done * self.steps_per_update()
    }

    pub fn steps_per_update(&self) -> u64 {
        (self.sizes.envs * self.sizes.steps) as u64
    }

    pub fn updates(&self) -> u64 {
        self.config.total_steps / self.steps_per_update()
    }

    pub fn updates_done(&self) -> u64 {
        self.updates_done
    }

    /// ε of the coming update (`value_decomposition.md` §3). Who learns from transitions draws uniformly until it learns (`me_igm.md` §11).
    pub fn epsilon(&self) -> f64 {
        self.epsilon_at(self.env_steps())
    }

    /// ε in front of environment step `steps` of a member.
    pub fn epsilon_at(&self, steps: u64) -> f64 {
        let c = &self.config;
        if self.replay.sizes.window > 0 {
            return f64::from(u8::from(steps < c.learning_starts));
        }
        falling(c.epsilon_start, c.epsilon_finish, c.epsilon_anneal, steps)
    }

    /// Environment steps of a member in front of the last update, whose numbers are reported: the next has not begun.
    pub fn env_steps_before(&self) -> u64 {
        self.env_steps().saturating_sub(self.steps_per_update())
    }

    /// Gradient steps of an update when `done` updates have been: none before there is enough to learn from.
    fn gradient_steps_after(&self, done: u64) -> usize {
        if (done + 1) * self.steps_per_update() >= self.config.learning_starts {
            self.config.gradient_steps
        } else {
            0
        }
    }

    /// Gradient steps of the update under way.
    pub fn gradient_steps(&self) -> usize {
        self.gradient_steps_after(self.updates_done)
    }

    /// Gradient steps of the updates before.
    pub fn gradient_steps_done(&self) -> u64 {
        self.gradient_steps_before(self.updates_done)
    }

    /// Gradient steps of the first `updates` updates.
    fn gradient_steps_before(&self, updates: u64) -> u64 {
        // The last update that learns nothing ends below `learning_starts`.
        let starts = self.config.learning_starts;
        let idle = starts.div_ceil(self.steps_per_update()).saturating_sub(1);
        updates.saturating_sub(idle) * self.config.gradient_steps as u64
    }

    /// Tick of gradient step `i` of an update.
    pub fn gradient_tick(&self, i: usize) -> usize {
        self.sizes.steps + i
    }

    /// Writes the ticks of the coming update: one per step, then one per gradient step.
    pub fn begin_update(&mut self) -> Recorder {
        let (steps, capacity) = (self.sizes.steps, self.replay.sizes.capacity as u64);
        let first = self.updates_done * steps as u64;
        let epsilon = self.epsilon() as f32;
        for t in 0..steps {
            let step = first + t as u64;
            let slot = (step % capacity) as u32;
            let before = match step {
                0 => Tick::CARRIED,
                _ if self.replay.sizes.rollouts && t == 0 => Tick::CARRIED,
                _ => ((step - 1) % capacity) as u32,
            };
            let tick = Tick {
                slot,
                step: slot,
                draw: step as u32,
                before,
                epsilon,
                ..Tick::default()
            };
            self.ticks.set(t, tick);
        }
        let left = 1.0 - self.updates_done as f64 / self.updates() as f64;
        let anneal = if self.config.anneal_lr { left } else { 1.0 };
        let done = self.gradient_steps_done();
        for i in 0..self.config.gradient_steps {
            let step = done + i as u64;
            let [correction_1, correction_2] = match self.config.optimiser {
                Optimiser::Radam => adam::rectified_corrections(step + 1),
                _ => adam::corrections(step + 1),
            };
            let tick = Tick {
                draw: step as u32,
                correction_1,
                correction_2,
                anneal: anneal as f32,
                items: (first + steps as u64) as u32,
                ..Tick::default()
            };
            self.ticks.set(self.gradient_tick(i), tick);
        }
        self.ticks.upload(&self.gpu);
        if self.config.reward_shaping_horizon > 0 {
            let weight = shaping_weight(self.env_steps(), self.config.reward_shaping_horizon);
            self.env.set_reward_shaping(&self.gpu, weight);
        }
        Recorder::new(&self.gpu)
    }

    /// T steps of E environments into the ring.
    pub fn record_rollout(&mut self, to: &mut Recorder) {
        self.record_rollout_with(to, |_, _| {});
    }

    /// The same; `prepare` comes in front of each choice.
    pub fn record_rollout_with(
        &mut self,
        to: &mut Recorder,
        prepare: impl Fn(&mut Recorder, usize),
    ) {
        self.begin_rollout(to);
        // The first one begins with new episodes anyway.
        if self.config.reset_at_rollout && self.updates_done > 0 {
            self.env.record_reset_in(to.pass(), self.slot(0));
            to.launches += 1;
        }
        for t in 0..self.sizes.steps {
            prepare(to, t);
            self.record_step(to, t);
            self.replay.record_step(to, t);
        }
        self.replay.record_index(to, self.sizes.steps - 1);
        self.end_rollout(to);
    }

    pub fn begin_rollout(&mut self, to: &mut Recorder) {
        self.timestamps.begin_rollout(to.encoder());
    }

    pub fn end_rollout(&mut self, to: &mut Recorder) {
        self.timestamps.end_rollout(to.encoder());
    }

    /// Chooses the actions of step `t` of the rollout and does them.
    pub fn record_step(&self, to: &mut Recorder, t: usize) {
        if let Some(itself) = &self.itself {
            itself.record(to, t);
        }
        self.policy.record(to, t);
        self.env.record_step(to.pass(), self.slot(t));
        to.launches += u64::from(self.env.dispatches_per_step());
    }

    /// Of step `t` of the rollout, in the environments' ring.
    pub fn slot(&self, t: usize) -> usize {
        let step = self.updates_done * self.sizes.steps as u64 + t as u64;
        (step % self.replay.sizes.capacity as u64) as usize
    }

    /// Whether the target networks follow after gradient step `i` of this update.
    pub fn target_due(&self, i: usize) -> bool {
        let step = self.gradient_steps_done() + i as u64 + 1;
        step.is_multiple_of(self.config.target_interval)
    }

    /// The update is over: what is left of it is handed over.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where a dispatch of it needed too many workgroups.
    pub fn end_update(&mut self, mut to: Recorder) -> Result<(), LearnError> {
        let launches = to.launches;
        self.timestamps.end_update(to.encoder(), launches);
        to.finish()?;
        self.updates_done += 1;
        Ok(())
    }

    /// Time of the updates since the last call. Waits for the device.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn timing(&mut self) -> Result<Timing, LearnError> {
        Ok(self.timestamps.read(&self.gpu)?)
    }

    /// Per member, the episodes that ended since the last report and how many the replay holds. Waits for the device.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn report(&mut self) -> Result<(Vec<(EpisodeStats, u32)>, Timing), LearnError> {
        let timing = self.timing()?;
        let mut to = Recorder::new(&self.gpu);
        self.env.record_stats(to.pass());
        to.submit();
        let words: Vec<f32> = self.gpu.read(self.env.stats_region())?;
        let episodes = words
            .chunks_exact(EpisodeStats::WORDS)
            .map(EpisodeStats::from_words);
        let counts: Vec<u32> = self.gpu.read(self.replay.counts())?;
        let held = counts.chunks_exact(2 * self.sizes.envs);
        let held = held.map(|of_member| of_member.chunks_exact(2).map(|c| c[0] - c[1]).sum());
        Ok((episodes.zip(held).collect(), timing))
    }

    /// # Errors
    /// As [`Evaluation::new`] and [`Evaluation::run`].
    pub fn evaluate(
        &mut self,
        network: &Network,
        (params, stride): (&Region, usize),
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        let of = |e: &Evaluation| e.is_for(episodes, seed);
        if !self.evaluation.as_ref().is_some_and(of) {
            // The memory of the old one goes first.
            self.evaluation = None;
            let (gpu, config) = (&self.gpu, &self.config);
            let context = context(gpu, config, &self.sizes, &self.ticks, params, stride);
            let evaluation = Evaluation::new(&context, config, network, episodes, seed)?;
            self.evaluation = Some(evaluation);
        }
        match &mut self.evaluation {
            Some(evaluation) => evaluation.run(&self.gpu, greedy),
            None => Ok(Vec::new()),
        }
    }

    /// `parameters` and `memory` of the networks, and all of this.
    fn contents<'a>(
        &'a self,
        parameters: Vec<Parameters<'a>>,
        memory: Vec<(String, Region, Vec<usize>)>,
    ) -> Contents<'a> {
        let (s, io) = (&self.sizes, self.env.io());
        let envs = s.members * s.envs;
        let mut contents = Contents {
            gpu: &self.gpu,
            members: s.members,
            parameters,
            memory,
            whole: vec![],
        };
        let sums = (
            "env.sums".to_owned(),
            self.env.env_sums().clone(),
            vec![EpisodeStats::WORDS, envs],
        );
        contents.memory.push(sums);
        if let Some(memory) = &self.memory {
            let shape = vec![s.rows(), self.config.hidden];
            let state = ("memory".to_owned(), memory.state.clone(), shape);
            contents.memory.push(state);
        }
        let index = self.replay.saved().into_iter();
        let index = index.map(|(name, region, shape, whole)| {
            let region = region.clone();
            (name.to_owned(), region, shape, whole)
        });
        for (name, region, shape, whole) in self.replay.ring(io, s).into_iter().chain(index) {
            let kind = if whole {
                &mut contents.whole
            } else {
                &mut contents.memory
            };
            kind.push((name, region, shape));
        }
        contents
    }

    /// With the gradient steps counted beside the updates.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn save(
        &self,
        parameters: Vec<Parameters<'_>>,
        memory: Vec<(String, Region, Vec<usize>)>,
    ) -> Result<Checkpoint, LearnError> {
        let counters = [self.updates_done, self.gradient_steps_done()];
        let contents = self.contents(parameters, memory);
        contents.save_counted(&*self.env, &counters)
    }

    /// Returns the updates that had been done, from which [`OffPolicy::go_on_from`] goes on.
    ///
    /// # Errors
    /// As [`Contents::restore`]; [`LearnError::Checkpoint`] where this run has other gradient steps in as many updates.
    pub fn restore(
        &self,
        parameters: Vec<Parameters<'_>>,
        memory: Vec<(String, Region, Vec<usize>)>,
        checkpoint: &Checkpoint,
    ) -> Result<u64, LearnError> {
        let contents = self.contents(parameters, memory);
        let check = |[updates, found]: [u64; 2]| match self.gradient_steps_before(updates) {
            needed if needed == found => Ok(()),
            needed => Err(LearnError::Checkpoint(format!(
                "`counters` has {found} gradient steps in {updates} updates, this run has {needed}"
            ))),
        };
        let [updates, _] = contents.restore_counted(&*self.env, checkpoint, check)?;
        Ok(updates)
    }

    pub fn go_on_from(&mut self, updates_done: u64) {
        self.updates_done = updates_done;
    }
}

/// What falls linearly from `from` to `to` over the first `over` environment steps of a member, in front of step `steps`.
pub fn falling(from: f64, to: f64, over: u64, steps: u64) -> f64 {
    let gone = (steps as f64 / over.max(1) as f64).min(1.0);
    from + (to - from) * gone
}

/// What kernels of networks with these parameters share.
pub fn context<'a>(
    gpu: &'a Gpu,
    config: &Config,
    sizes: &'a Sizes,
    ticks: &'a Ticks,
    params: &'a Region,
    stride: usize,
) -> Context<'a> {
    Context {
        gpu,
        sizes,
        activate: Activate::from(config.activation),
        forget: config.rnn_reset.into(),
        by_rows: config.by_rows(gpu),
        params,
        stride,
        ticks,
    }
}
