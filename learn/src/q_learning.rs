//! Value decomposition with double Q-learning (`value_decomposition.md` §3, 4 and 10): IQL, VDN, QMIX, QPLEX and QTRAN, which differ by their
//! [`Decomposition`], and the memory and steps that ME-IGM shares with them.
//!
//! ```text
//! θ⁻ ← θ, D = ∅
//! repeat: T steps of E environments, ε-greedy by Q_θ, into D
//!         G times: B whole episodes of D
//!                  u* = argmax Q_θ(τ', ·), y = TD(λ) of r and Q_tot⁻(s', Q⁻(τ', u*))
//!                  a step of Adam on ½ (Q_tot(s, Q(τ, u)) - y)², the norm of the gradient clipped
//!                  θ⁻ ← θ every so often
//! ```
//!
//! A gradient step follows a number of environment steps, not of episodes: the environments never wait for each other, and the
//! host, which knows no ends of episodes, need not ask.

use std::collections::BTreeMap;

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::registry;

use crate::LearnError;
use crate::adam::{self, Adam, AdamConfig};
use crate::agents::{self, Agents};
use crate::alignment::alignment;
use crate::config::{Algo, Config, Init, Optimiser};
use crate::decomposition::{Decomposition, HyperMemory, HyperStacks};
use crate::dense::{Activate, Shape};
use crate::evaluate::Evaluation;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::learner::{Array, Checkpoint, Learner, MemberReport, Timing};
use crate::net::{Network, UNIFORM_WORDS};
use crate::policy::{Behaviour, Choice, Context, Itself, Policy, Remembered};
use crate::ppo::{keys, options, shaping_weight};
use crate::q_loss::{BEST, GOAL, MASK, QLoss, TAKEN};
use crate::qtran::{Around, JointValue};
use crate::recurrent::Memory;
use crate::replay::{Batch, EPISODES, Places, Replay, ReplaySizes, episode_constants};
use crate::rng::Purpose;
use crate::sizes::Sizes;
use crate::timing::Timestamps;
use crate::{iql, me_igm, qmix, qplex, qtran, vdn};

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");

/// The decomposition that `config` names; its networks lie behind word `first` of a member's parameters.
pub fn decomposition(config: &Config, sizes: &Sizes, first: usize) -> Decomposition {
    match config.algo {
        Algo::Iql => iql::decomposition(sizes),
        Algo::Vdn => vdn::decomposition(),
        Algo::Qmix => qmix::decomposition(config, sizes, first),
        Algo::Qtran => qtran::decomposition(config, sizes, first),
        Algo::MeQmix | Algo::MeQplex => me_igm::decomposition(config, sizes, first),
        _ => qplex::decomposition(config, sizes, first),
    }
}

/// Words of a member's parameters, whose decomposition lies behind `first`.
pub fn stride(decomposition: &Decomposition, first: usize) -> usize {
    decomposition.end(first).next_multiple_of(UNIFORM_WORDS)
}

/// The environments of a run: their ring of steps is the replay.
///
/// # Errors
/// [`LearnError`]: what the environment or the adapter objects to, among them a replay that does not fit.
pub fn train_env(gpu: &Gpu, config: &Config) -> Result<Box<dyn VecEnv>, LearnError> {
    let options = options(config)?;
    let spec = registry::spec(&config.env, &options)?;
    let sizes = ReplaySizes::new(config, &spec)?;
    crate::replay::check_fits(gpu, config, &spec)?;
    let batch = crate::replay::environments(config, &sizes);
    Ok(registry::make(gpu, &config.env, &options, &batch)?)
}

/// A population of learners of utilities: environments, replay, networks, and the memory between them.
pub struct QLearner {
    pub gpu: Gpu,
    pub sizes: Sizes,
    pub config: Config,
    seeds: Vec<u64>,
    pub env: Box<dyn VecEnv>,
    pub ticks: Ticks,
    /// The agents', at the front of a member's parameters.
    pub network: Network,
    pub decomposition: Decomposition,
    stride: usize,
    by_rows: bool,
    pub itself: Itself,
    pub policy: Policy,
    memory: Option<Memory>,
    pub replay: Replay,
    pub batch: Batch,
    pub online: Agents,
    pub target: Agents,
    pub nets: Vec<HyperStacks>,
    /// QTRAN's.
    joint: Option<JointValue>,
    /// ME-IGM's, where an MLP stands in the transform's place.
    pub mlp: Option<me_igm::MlpTransform>,
    utilities: Kernel,
    utilities_backward: Kernel,
    /// Where the best actions' utilities learn too.
    best_backward: Option<Kernel>,
    /// The target's utilities of what was done, for Q(λ).
    done_taken: Option<Kernel>,
    greedy_next: Kernel,
    td_lambda: Kernel,
    pub loss: QLoss,
    pub adam: Adam,
    /// `[P, stride]`: θ⁻.
    pub target_params: Region,
    polyak: Kernel,
    timestamps: Timestamps,
    evaluation: Option<Evaluation>,
    updates_done: u64,
    gradient_steps_done: u64,
}

/// What ME-IGM adds to the policy and the targets; nothing for ε-greedy learners.
pub struct SoftParts<'a> {
    pub soft: &'a crate::policy::Soft,
    /// `[P, SLOTS, B, A]`: ln π of what would be done next.
    pub log_probs: &'a Region,
}

impl QLearner {
    /// `temperature`: where the policies are soft.
    ///
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(
        gpu: &Gpu,
        config: &Config,
        env: Box<dyn VecEnv>,
        temperature: Option<&me_igm::Temperature>,
    ) -> Result<Self, LearnError> {
        let sizes = Sizes::new(config, env.spec())?;
        let replay_sizes = ReplaySizes::new(config, env.spec())?;
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
        let network = agents::network(config, &sizes);
        let first = network.end();
        let decomposition = decomposition(config, &sizes, first);
        let stride = stride(&decomposition, first);
        let (members, by_rows) = (sizes.members, config.by_rows(gpu));
        let seeds = config.seeds_from(config.seed);
        let rows = replay_sizes.rows();
        // Before burn is asked for it.
        let of_row = QLoss::words(&sizes, &decomposition);
        gpu.check_fits(
            "a batch's mixer",
            4 * (members * replay_sizes.slots * of_row) as u64,
            config.batch as u64,
            "episodes in a batch",
        )?;
        let (weighted, q_lambda) = (config.weighted_td, config.q_lambda);
        let loss = QLoss::new(gpu, &sizes, rows, &decomposition, weighted, q_lambda)?;
        let ticks = Ticks::new(gpu, sizes.steps + config.gradient_steps);
        let io = env.io().clone();
        let activate = Activate::from(config.activation);

        gpu.guarded("the learner's kernels", || {
            // As many partial sums as the weights have that have the most.
            let agent_rows = rows * sizes.agents;
            let widths = [config.hidden, network.inputs()].map(|n| n.next_multiple_of(4));
            let of_agents = Shape::new(gpu, members, agent_rows, stride, &widths, by_rows);
            let widths = [decomposition.hidden(), sizes.state].map(|n| n.next_multiple_of(4));
            let of_states = Shape::new(gpu, members, rows, stride, &widths, by_rows);
            let shape = if of_agents.chunks() >= of_states.chunks() {
                of_agents
            } else {
                of_states
            };
            shape.check_gradients(gpu, config.batch)?;
            let adam_config = AdamConfig {
                epsilon: config.adam_eps,
                max_grad_norm: vec![config.max_grad_norm as f32],
                rule: config.optimiser,
            };
            let adam = Adam::new(
                gpu,
                &shape,
                &[stride],
                &adam_config,
                &config.each(|m| m.learning_rate as f32),
                &ticks,
            );
            let target_params = gpu.storage("target parameters", adam.params.size);
            let context = Context {
                gpu,
                sizes: &sizes,
                activate,
                rnn_reset: config.rnn_reset,
                by_rows,
                params: &adam.params,
                stride,
                ticks: &ticks,
            };
            let replay = Replay::new(
                &context,
                &io,
                replay_sizes,
                &keys(gpu, &seeds, Purpose::Sample),
            );
            let places = Places {
                batch: &loss.batch,
                mask: loss.batch.words[MASK].start,
            };
            let batch = Batch::new(
                &context,
                config,
                &io,
                &replay,
                [config.hidden, decomposition.hidden()],
                decomposition.joint(),
                &places,
            )?;
            let sequences = [replay_sizes.slots, replay_sizes.batch * sizes.agents];
            let agents = |params: &Region, partials: Option<&Region>| {
                Agents::new(gpu, &network, activate, params, &batch, sequences, partials)
            };
            let rollouts = replay_sizes.rollouts;
            let online = agents(&adam.params, Some(&adam.partials))?;
            let target = agents(&target_params, None)?;
            let nets = decomposition.nets.iter().enumerate().map(|(i, net)| {
                let input = match &batch.joint_input {
                    Some([now, next]) if net.sees_actions => [now, next],
                    _ => [&batch.state_input, &batch.state_input],
                };
                let target = (i < decomposition.mixing).then(|| loss.output(i, true));
                let memory = HyperMemory {
                    input,
                    output: &loss.output(i, false),
                    output_grad: &loss.net_grads[i],
                    target: target.as_ref().map(|output| (&target_params, output)),
                    of_done: loss.output_of_done(i),
                };
                let shape = &batch.state_shape;
                HyperStacks::new(gpu, shape, net, &adam.params, &adam.partials, &memory)
            });
            let nets = nets.collect();
            let joint = JointValue::new(
                gpu,
                &Around {
                    sizes: &sizes,
                    decomposition: &decomposition,
                    batch: &batch,
                    loss: &loss,
                    online: &online,
                    target: &target,
                    params: &adam.params,
                    target_params: &target_params,
                    partials: &adam.partials,
                },
            )?;

            let mlp = me_igm::MlpTransform::new(
                gpu,
                &sizes,
                &decomposition,
                &batch,
                &online.q,
                &loss,
                &adam.params,
                &adam.partials,
            );
            let constants = Constants::default()
                .uint("ROWS", agent_rows)
                .uint("N", sizes.outputs());
            let best_backward = loss.best_grad.as_ref().map(|best_grad| {
                let binds = [
                    Bind::Write(&batch.next),
                    Bind::Write(best_grad),
                    Bind::Write(&online.q_grad),
                ];
                let file = include_str!("../../shaders/learn/best_backward.wgsl");
                Kernel::new(gpu, "best_backward", &constants, &[file], &binds)
            });
            let of_batch = constants
                .clone()
                .uint("TAKEN", loss.batch.words[TAKEN].start)
                .uint("BEST", loss.batch.words[BEST].start);
            let utilities = |entry: &str| {
                let binds = [
                    Bind::Write(&online.q),
                    Bind::Write(&batch.done),
                    Bind::Write(&batch.allowed),
                    Bind::Write(&loss.batch.region),
                    Bind::Write(&loss.taken_grad),
                    Bind::Write(&online.q_grad),
                ];
                let file = include_str!("../../shaders/learn/utilities.wgsl");
                Kernel::new(gpu, entry, &of_batch, &[file], &binds)
            };
            let done_taken = loss.done_taken.as_ref().map(|taken| {
                let binds = [
                    Bind::Write(&target.q),
                    Bind::Write(&batch.done),
                    Bind::Write(taken),
                ];
                let file = include_str!("../../shaders/learn/select_taken.wgsl");
                Kernel::new(gpu, "select_taken", &constants, &[file], &binds)
            });
            let of_target = constants
                .uint("TAKEN", loss.target.words[TAKEN].start)
                .uint("BEST", loss.target.words[BEST].start);
            let binds = [
                Bind::Write(&online.q),
                Bind::Write(&target.q),
                Bind::Write(&batch.allowed),
                Bind::Write(&batch.next),
                Bind::Write(&loss.target.region),
            ];
            let file = include_str!("../../shaders/learn/greedy_next.wgsl");
            let greedy_next = Kernel::new(gpu, "greedy_next", &of_target, &[file], &binds);
            let none = gpu.storage("not soft", 4);
            let none_done = gpu.storage("no Q(λ)", 4);
            let soft = temperature.map(|t| t.parts());
            let discount = config.each(|m| [m.gamma as f32, config.td_lambda as f32]);
            let discount = gpu.storage_from("discounts", &discount);
            let constants = episode_constants(&sizes, &replay_sizes)
                .uint("SLOTS", replay_sizes.slots)
                .uint("UNITS", decomposition.values)
                .uint("GOAL", loss.batch.words[GOAL].start)
                .flag("SOFT", soft.is_some())
                .flag("Q_LAMBDA", config.q_lambda)
                .uint(
                    "TEMPERATURE_STRIDE",
                    soft.as_ref().map_or(1, |s| s.soft.temperature_stride),
                )
                .uint("DRAWN", 6);
            let binds = [
                Bind::Read(&discount),
                Bind::Write(&batch.rewards),
                Bind::Write(&loss.next_values),
                Bind::Write(&loss.batch.region),
                Bind::Write(soft.as_ref().map_or(&none, |s| s.log_probs)),
                Bind::Read(soft.as_ref().map_or(&discount, |s| &s.soft.temperature)),
                Bind::Read(&replay.drawn),
                Bind::Write(&batch.ended),
                Bind::Write(loss.done_values.as_ref().unwrap_or(&none_done)),
            ];
            let file = include_str!("../../shaders/learn/episode_td_lambda.wgsl");
            let td_lambda = Kernel::new(
                gpu,
                "episode_td_lambda",
                &constants,
                &[EPISODES, file],
                &binds,
            );
            let constants = Constants::default()
                .uint("STRIDE", stride)
                .uint("FIRST", 0)
                .uint("LENGTH", stride)
                .float("TAU", config.target_polyak);
            let binds = [
                Bind::Tick(&ticks),
                Bind::Read(&adam.params),
                Bind::Write(&target_params),
            ];
            let file = include_str!("../../shaders/learn/polyak.wgsl");
            let polyak = Kernel::new(gpu, "polyak", &constants, &[TICK, file], &binds);

            let itself = Itself::new(&context, config, &io);
            let memory = network
                .trunk
                .map(|t| Memory::new(gpu, sizes.rows(), t.hidden(), 1));
            // In front of a rollout: whole rollouts are learned from as if nothing had come before.
            let forgotten = if rollouts { 1.0_f32 } else { 0.0 };
            let carried = gpu.storage_from("what is carried", &vec![forgotten; sizes.rows()]);
            let log_probs = gpu.storage(
                "log-probabilities",
                4 * (replay_sizes.capacity * sizes.rows()) as u64,
            );
            let choice = match &soft {
                Some(parts) => Choice::Soft(parts.soft),
                None => Choice::EpsilonGreedy,
            };
            let policy = Policy::new(
                &context,
                &network,
                &io,
                &keys(gpu, &seeds, Purpose::Act),
                &log_probs,
                memory.as_ref().map(|m| Remembered {
                    memory: &m.state,
                    carried: &carried,
                }),
                Behaviour {
                    itself: Some(&itself),
                    choice,
                },
            );
            let learner = Self {
                utilities: utilities("utilities"),
                utilities_backward: utilities("utilities_backward"),
                best_backward,
                done_taken,
                greedy_next,
                td_lambda,
                polyak,
                joint,
                mlp,
                timestamps: Timestamps::new(gpu),
                evaluation: None,
                updates_done: 0,
                gradient_steps_done: 0,
                gpu: gpu.clone(),
                config: config.clone(),
                seeds,
                env,
                network,
                decomposition,
                stride,
                by_rows,
                itself,
                policy,
                memory,
                replay,
                batch,
                online,
                target,
                nets,
                loss,
                target_params,
                sizes,
                ticks,
                adam,
            };
            learner.initialise();
            Ok(learner)
        })?
    }

    /// Initial parameters, the target's the same, and the first observations.
    fn initialise(&self) {
        let mut words = vec![0.0; self.sizes.members * self.stride];
        for (words, &seed) in words.chunks_exact_mut(self.stride).zip(&self.seeds) {
            let nets = self.decomposition.all_nets().zip((16..).step_by(4));
            match self.config.init {
                Init::Uniform => {
                    self.network.initialise_uniform(words, seed, 0);
                    nets.for_each(|(net, stream)| net.initialise(words, seed, stream));
                }
                Init::Orthogonal => {
                    self.network.initialise_with(words, seed, 0, [1.0; 3]);
                    let gain = self.config.mixer_init_scale;
                    nets.for_each(|(net, stream)| {
                        net.initialise_orthogonal(words, seed, stream, gain);
                    });
                }
            }
        }
        self.gpu.write(&self.adam.params, &words);
        self.gpu.write(&self.target_params, &words);
        let mut to = Recorder::new(&self.gpu);
        self.env.record_reset(to.pass());
        to.submit();
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            gpu: &self.gpu,
            sizes: &self.sizes,
            activate: Activate::from(self.config.activation),
            rnn_reset: self.config.rnn_reset,
            by_rows: self.by_rows,
            params: &self.adam.params,
            stride: self.stride,
            ticks: &self.ticks,
        }
    }

    /// ε in front of environment step `steps` of a member (`value_decomposition.md` §3).
    pub fn epsilon(&self, steps: u64) -> f64 {
        let c = &self.config;
        let done = (steps as f64 / c.epsilon_anneal.max(1) as f64).min(1.0);
        c.epsilon_start + (c.epsilon_finish - c.epsilon_start) * done
    }

    /// Writes the ticks of the coming update: one per step, then one per gradient step.
    pub fn begin_update(&mut self) -> Recorder {
        let (steps, capacity) = (self.sizes.steps, self.replay.sizes.capacity as u64);
        let first = self.updates_done * steps as u64;
        let epsilon = self.epsilon(self.env_steps()) as f32;
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
        for i in 0..self.config.gradient_steps {
            let done = self.gradient_steps_done + i as u64;
            let [correction_1, correction_2] = match self.config.optimiser {
                Optimiser::Radam => adam::rectified_corrections(done + 1),
                _ => adam::corrections(done + 1),
            };
            let tick = Tick {
                draw: done as u32,
                correction_1,
                correction_2,
                anneal: anneal as f32,
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

    /// Tick of gradient step `i` of an update.
    pub fn gradient_tick(&self, i: usize) -> usize {
        self.sizes.steps + i
    }

    /// Gradient steps of the update under way: none before there is enough to learn from.
    pub fn gradient_steps(&self) -> usize {
        let steps = self.env_steps() + self.steps_per_update();
        if steps >= self.config.learning_starts {
            self.config.gradient_steps
        } else {
            0
        }
    }

    /// T steps of E environments into the ring; `prepare` comes in front of each choice.
    pub fn record_rollout(&mut self, to: &mut Recorder, prepare: impl Fn(&mut Recorder, usize)) {
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
        self.itself.record(to, t);
        self.policy.record(to, t);
        self.env.record_step(to.pass(), self.slot(t));
        to.launches += u64::from(self.env.dispatches_per_step());
    }

    /// Of step `t` of the rollout, in the environments' ring.
    pub fn slot(&self, t: usize) -> usize {
        let step = self.updates_done * self.sizes.steps as u64 + t as u64;
        (step % self.replay.sizes.capacity as u64) as usize
    }

    /// Draws a batch, and what the networks say of it.
    pub fn record_batch(&self, to: &mut Recorder, tick: usize) {
        self.replay.record_draw(to, tick);
        self.batch.record_gather(to);
        self.record_networks(to, tick);
    }

    /// What the networks say of the batch that is there.
    pub fn record_networks(&self, to: &mut Recorder, tick: usize) {
        self.online.record_forward(to);
        self.target.record_forward(to);
        for net in &self.nets {
            net.record_forward(to);
        }
        self.utilities.record(to, tick, self.agent_groups());
        if let Some(mlp) = &self.mlp {
            mlp.record_forward(to);
        }
    }

    /// Workgroups of a kernel with an invocation for every agent of a batch.
    pub fn agent_groups(&self) -> [usize; 3] {
        let rows = self.replay.sizes.rows() * self.sizes.agents;
        [rows.div_ceil(64), self.sizes.members, 1]
    }

    /// Double Q: the online networks' best actions, and what the target's say of them.
    pub fn record_greedy_next(&self, to: &mut Recorder, tick: usize) {
        self.greedy_next.record(to, tick, self.agent_groups());
    }

    /// Joint values of what would be done next, and the targets made of them.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_targets(&self, to: &mut Recorder, tick: usize) -> Result<(), LearnError> {
        self.batch.record_gather_next(to);
        if let Some(kernel) = &self.done_taken {
            kernel.record(to, tick, self.agent_groups());
        }
        for net in &self.nets {
            net.record_target(to);
        }
        if let Some(joint) = &self.joint {
            joint.record_forward(to);
        }
        to.submit();
        to.launches += self.loss.replay_target()?;
        let lanes = self.replay.sizes.batch * self.decomposition.values;
        self.td_lambda
            .record(to, tick, [lanes.div_ceil(64), self.sizes.members, 1]);
        Ok(())
    }

    /// From the loss to all weights, and a step of the optimiser.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_descent(&self, to: &mut Recorder, tick: usize) -> Result<(), LearnError> {
        self.record_gradients(to, tick)?;
        self.adam.record_norms(to, tick);
        self.adam.record_step(to, tick);
        Ok(())
    }

    /// The loss, and its gradient by every weight in partial sums.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_gradients(&self, to: &mut Recorder, tick: usize) -> Result<(), LearnError> {
        to.submit();
        to.launches += self.loss.replay()?;
        self.utilities_backward
            .record(to, tick, self.agent_groups());
        if let Some(kernel) = &self.best_backward {
            kernel.record(to, tick, self.agent_groups());
        }
        self.online.record_backward(to, |to| {
            if let Some(joint) = &self.joint {
                joint.record_backward(to);
            }
        });
        for net in &self.nets {
            net.record_backward(to);
        }
        if let Some(mlp) = &self.mlp {
            mlp.record_backward(to);
        }
        Ok(())
    }

    /// θ⁻ ← θ, every so many gradient steps; counts the step.
    pub fn record_target_update(&mut self, to: &mut Recorder, tick: usize) {
        self.gradient_steps_done += 1;
        let interval = self.config.target_interval;
        if !self.gradient_steps_done.is_multiple_of(interval) {
            return;
        }
        if self.config.target_polyak == 1.0 {
            to.copy(&self.adam.params, &self.target_params);
        } else {
            let groups = [self.stride.div_ceil(64), self.sizes.members, 1];
            self.polyak.record(to, tick, groups);
        }
    }

    /// Time of the updates since the last call. Waits for the device.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn timing(&mut self) -> Result<Timing, LearnError> {
        Ok(self.timestamps.read(&self.gpu)?)
    }

    pub fn end_update(&mut self, mut to: Recorder) {
        let launches = to.launches;
        self.timestamps.end_update(to.encoder(), launches);
        to.submit();
        self.updates_done += 1;
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

    /// Episodes since the last report, and what the last gradient step was like.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let timing = self.timestamps.read(&self.gpu)?;
        let mut to = Recorder::new(&self.gpu);
        self.env.record_stats(to.pass());
        to.submit();
        let words: Vec<f32> = self.gpu.read(self.env.stats_region())?;
        let episodes = words
            .chunks_exact(EpisodeStats::WORDS)
            .map(EpisodeStats::from_words);
        let said: Vec<f32> = self.gpu.read(&self.loss.diagnostics)?;
        let names = self.loss.names;
        let norms: Vec<f32> = self.gpu.read(&self.adam.norms)?;
        let counts: Vec<u32> = self.gpu.read(self.replay.counts())?;
        let of_member = counts.chunks_exact(2 * self.sizes.envs);
        let (learned, rollouts) = (self.learned(), self.replay.sizes.rollouts);
        let fits = self.decomposition.fit.is_some();
        let (soft, duplex) = (self.config.algo.max_entropy(), self.config.algo.duplex());
        let reports = episodes
            .zip(said.chunks_exact(names.len()))
            .zip(norms.iter().zip(of_member));
        let reports = reports.map(|((episodes, said), (&norm, counts))| {
            let held: u32 = counts.chunks_exact(2).map(|c| c[0] - c[1]).sum();
            let unit = if rollouts {
                "replay_rollouts"
            } else {
                "replay_episodes"
            };
            let mut diagnostics = BTreeMap::from([(unit.to_owned(), f64::from(held))]);
            if !soft {
                let epsilon = self.epsilon(self.env_steps());
                diagnostics.insert("epsilon".into(), epsilon);
            }
            if learned {
                let said = names.iter().zip(said);
                let said = said.filter(|(name, _)| fits || !name.starts_with("transform"));
                let said = said.filter(|(name, _)| duplex || **name != "hit_prob");
                diagnostics.extend(said.map(|(name, &x)| ((*name).to_owned(), f64::from(x))));
                diagnostics.insert("grad_norm".into(), f64::from(norm));
            }
            MemberReport {
                episodes,
                diagnostics,
            }
        });
        let mut reports: Vec<_> = reports.collect();
        if learned && let Some(alignment) = alignment(self)? {
            for (report, a) in reports.iter_mut().zip(alignment) {
                let said = [("joint_gap", a.gap), ("joint_best", a.best)];
                let said = said.map(|(name, x)| (name.to_owned(), x));
                report.diagnostics.extend(said);
            }
        }
        Ok((reports, timing))
    }

    /// Executes the best actions, whatever `training` explores with.
    ///
    /// # Errors
    /// As [`Evaluation::new`] and [`Evaluation::run`].
    pub fn evaluate(
        &mut self,
        episodes: usize,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        let fits = self
            .evaluation
            .as_ref()
            .is_some_and(|e| e.is_for(episodes, seed));
        if !fits {
            // The memory of the old one goes first.
            self.evaluation = None;
            let c = self.context();
            let evaluation = Evaluation::new(&c, &self.config, &self.network, episodes, seed)?;
            self.evaluation = Some(evaluation);
        }
        match &mut self.evaluation {
            Some(evaluation) => evaluation.run(&self.gpu, true),
            None => Ok(Vec::new()),
        }
    }

    /// Name, place and shape of every array of a member's parameters.
    fn arrays(&self) -> Vec<(String, std::ops::Range<usize>, Vec<usize>)> {
        let mut arrays = self.network.arrays("actor");
        for net in self.decomposition.all_nets() {
            arrays.extend(net.arrays());
        }
        arrays
    }

    /// Device memory that is saved as it is: name, region, shape, whether whole numbers.
    fn saved(&self) -> Vec<(String, Region, Vec<usize>, bool)> {
        let (s, io) = (&self.sizes, self.env.io());
        let envs = s.members * s.envs;
        let params = vec![s.members, self.stride];
        let mut saved = vec![
            (
                "adam.m".to_owned(),
                self.adam.m.clone(),
                params.clone(),
                false,
            ),
            (
                "adam.v".to_owned(),
                self.adam.v.clone(),
                params.clone(),
                false,
            ),
            (
                "target".to_owned(),
                self.target_params.clone(),
                params,
                false,
            ),
            (
                "env.sums".to_owned(),
                self.env.env_sums().clone(),
                vec![EpisodeStats::WORDS, envs],
                false,
            ),
        ];
        saved.extend(self.replay.ring(io, s));
        for (name, region, shape, whole) in self.replay.saved() {
            saved.push((name.to_owned(), region.clone(), shape, whole));
        }
        if let Some(memory) = &self.memory {
            let shape = vec![s.rows(), self.config.hidden];
            saved.push(("memory".into(), memory.state.clone(), shape, false));
        }
        saved
    }

    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn checkpoint(&self) -> Result<Checkpoint, LearnError> {
        let mut checkpoint = Checkpoint::new();
        let params: Vec<f32> = self.gpu.read(&self.adam.params)?;
        let members = params.chunks_exact(self.stride);
        for (name, place, shape) in self.arrays() {
            let data = members
                .clone()
                .flat_map(|m| m[place.clone()].iter().copied())
                .collect();
            let shape = [vec![self.sizes.members], shape].concat();
            checkpoint.insert(name, Array::F32 { shape, data });
        }
        for (name, region, shape, whole) in self.saved() {
            let array = if whole {
                Array::U32 {
                    shape,
                    data: self.gpu.read(&region)?,
                }
            } else {
                Array::F32 {
                    shape,
                    data: self.gpu.read(&region)?,
                }
            };
            checkpoint.insert(name, array);
        }
        let snapshot = self.env.snapshot(&self.gpu)?;
        checkpoint.insert(
            "env.snapshot".into(),
            Array::U8 {
                shape: vec![snapshot.len()],
                data: snapshot,
            },
        );
        checkpoint.insert(
            "counters".into(),
            Array::U64 {
                shape: vec![2],
                data: vec![self.updates_done, self.gradient_steps_done],
            },
        );
        Ok(checkpoint)
    }

    /// # Errors
    /// [`LearnError::Checkpoint`] says which array is missing or of another shape; the learner is as it was then.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let wrong = |name: &str, what: &str| LearnError::Checkpoint(format!("`{name}` {what}"));
        let find = |name: &str| {
            checkpoint
                .get(name)
                .ok_or_else(|| wrong(name, "is missing"))
        };
        let misfit = |name: &str, found: &[usize], needed: &[usize]| {
            wrong(
                name,
                &format!("has shape {found:?}, this run needs {needed:?}"),
            )
        };
        let mut params: Vec<f32> = self.gpu.read(&self.adam.params)?;
        for (name, place, shape) in self.arrays() {
            let needed = [vec![self.sizes.members], shape].concat();
            let data = match find(&name)? {
                Array::F32 { shape, data } if *shape == needed => data,
                Array::F32 { shape, .. } => return Err(misfit(&name, shape, &needed)),
                _ => return Err(wrong(&name, "does not hold f32")),
            };
            let members = params.chunks_exact_mut(self.stride);
            for (member, values) in members.zip(data.chunks_exact(place.len())) {
                member[place.clone()].copy_from_slice(values);
            }
        }
        let saved = self.saved();
        for (name, _, needed, whole) in &saved {
            match (find(name)?, whole) {
                (Array::U32 { shape, .. }, true) | (Array::F32 { shape, .. }, false) => {
                    if shape != needed {
                        return Err(misfit(name, shape, needed));
                    }
                }
                (_, true) => return Err(wrong(name, "does not hold u32")),
                (_, false) => return Err(wrong(name, "does not hold f32")),
            }
        }
        let Array::U64 { data: counters, .. } = find("counters")? else {
            return Err(wrong("counters", "does not hold u64"));
        };
        let [updates_done, gradient_steps_done] = counters[..] else {
            return Err(wrong("counters", "holds another number of counters"));
        };
        let Array::U8 { data: snapshot, .. } = find("env.snapshot")? else {
            return Err(wrong("env.snapshot", "does not hold u8"));
        };
        self.env
            .restore(&self.gpu, snapshot)
            .map_err(|e| wrong("env.snapshot", &e.to_string()))?;
        self.gpu.write(&self.adam.params, &params);
        for (name, region, ..) in &saved {
            match find(name)? {
                Array::U32 { data, .. } => self.gpu.write(region, data),
                Array::F32 { data, .. } => self.gpu.write(region, data),
                _ => {}
            }
        }
        self.updates_done = updates_done;
        self.gradient_steps_done = gradient_steps_done;
        Ok(())
    }

    pub fn updates_done(&self) -> u64 {
        self.updates_done
    }

    pub fn gradient_steps_done(&self) -> u64 {
        self.gradient_steps_done
    }

    /// Whether there has been a gradient step.
    pub fn learned(&self) -> bool {
        self.gradient_steps_done > 0
    }
}

/// IQL, VDN, QMIX, QPLEX and QTRAN: double Q-learning with ε-greedy exploration.
pub struct DoubleQ(pub QLearner);

impl DoubleQ {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        Ok(Self(QLearner::new(gpu, config, env, None)?))
    }
}

impl Learner for DoubleQ {
    fn update(&mut self) -> Result<(), LearnError> {
        let q = &mut self.0;
        let mut to = q.begin_update();

        // COLLECT: T steps of E environments, ε-greedy, into the replay.
        q.record_rollout(&mut to, |_, _| {});

        for i in 0..q.gradient_steps() {
            let tick = q.gradient_tick(i);
            // SAMPLE: whole episodes, and their utilities.
            q.record_batch(&mut to, tick);

            // TARGET: the online networks choose, the target's value, TD(λ).
            q.record_greedy_next(&mut to, tick);
            q.record_targets(&mut to, tick)?;

            // LEARN.
            q.record_descent(&mut to, tick)?;
            q.record_target_update(&mut to, tick);
        }
        q.end_update(to);
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.0.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.0.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.0.updates()
    }

    fn updates_done(&self) -> u64 {
        self.0.updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        self.0.report()
    }

    fn evaluate(
        &mut self,
        episodes: usize,
        _greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        self.0.evaluate(episodes, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.0.checkpoint()
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        self.0.restore(checkpoint)
    }
}
