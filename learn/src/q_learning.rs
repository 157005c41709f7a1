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
use crate::adam::{Adam, AdamConfig};
use crate::agents::{self, Agents};
use crate::alignment::alignment;
use crate::checkpoint::Parameters;
use crate::config::{Algo, Config, Init};
use crate::decomposition::{Decomposition, HyperMemory, HyperStacks};
use crate::dense::Shape;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::net::{Network, UNIFORM_WORDS};
use crate::off_policy::{self, OffPolicy};
use crate::policy::Choice;
use crate::ppo::options;
use crate::q_loss::{BEST, GOAL, MASK, QLoss, TAKEN};
use crate::qtran::{Around, JointValue};
use crate::replay::{Batch, EPISODES, Places, ReplaySizes, episode_constants};
use crate::sizes::Sizes;
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

/// A population of learners of utilities: environments and replay, networks, and the memory between them.
pub struct QLearner {
    pub run: OffPolicy,
    /// The agents', at the front of a member's parameters.
    pub network: Network,
    pub decomposition: Decomposition,
    pub stride: usize,
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
        off_policy::check(gpu, config, &*env)?;
        let sizes = Sizes::new(config, env.spec())?;
        let replay_sizes = ReplaySizes::new(config, env.spec())?;
        let network = agents::network(config, &sizes);
        let first = network.end();
        let decomposition = decomposition(config, &sizes, first);
        let stride = stride(&decomposition, first);
        let (members, by_rows) = (sizes.members, config.by_rows(gpu));
        let rows = replay_sizes.rows();
        // Before burn is asked for it.
        let of_row = QLoss::words(&sizes, &decomposition);
        gpu.check_fits(
            "a batch's mixer",
            4 * (members * replay_sizes.slots * of_row) as u64,
            config.batch as u64,
            "episodes in a batch",
        )?;
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
        let (weighted, q_lambda) = (config.weighted_td, config.q_lambda);
        let loss = QLoss::new(gpu, &sizes, rows, &decomposition, weighted, q_lambda)?;
        let ticks = off_policy::ticks(gpu, config);

        gpu.guarded("the learner's kernels", || -> Result<Self, LearnError> {
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
            let soft = temperature.map(|t| t.parts());
            let choice = match &soft {
                Some(parts) => Choice::Soft(parts.soft),
                None => Choice::EpsilonGreedy,
            };
            let run = OffPolicy::new(
                gpu,
                config,
                sizes,
                replay_sizes,
                env,
                ticks,
                &network,
                (&adam.params, stride),
                choice,
            );
            let context =
                off_policy::context(gpu, config, &sizes, &run.ticks, &adam.params, stride);
            let activate = context.activate;
            let places = Places {
                batch: &loss.batch,
                mask: loss.batch.words[MASK].start,
            };
            let batch = Batch::new(
                &context,
                config,
                run.env.io(),
                &run.replay,
                [config.hidden, decomposition.hidden()],
                decomposition.joint(),
                &places,
            )?;
            let sequences = [replay_sizes.slots, replay_sizes.batch * sizes.agents];
            let agents = |params: &Region, partials: Option<&Region>| {
                Agents::new(gpu, &network, activate, params, &batch, sequences, partials)
            };
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
                Bind::Read(&run.replay.drawn),
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
                Bind::Tick(&run.ticks),
                Bind::Read(&adam.params),
                Bind::Write(&target_params),
            ];
            let file = include_str!("../../shaders/learn/polyak.wgsl");
            let polyak = Kernel::new(gpu, "polyak", &constants, &[TICK, file], &binds);

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
                run,
                network,
                decomposition,
                stride,
                batch,
                online,
                target,
                nets,
                loss,
                target_params,
                adam,
            };
            learner.initialise();
            Ok(learner)
        })?
    }

    /// Initial parameters, the target's the same, and the first observations.
    fn initialise(&self) {
        let (members, config) = (self.run.sizes.members, &self.run.config);
        let seeds = config.seeds_from(config.seed);
        let mut words = vec![0.0; members * self.stride];
        for (words, &seed) in words.chunks_exact_mut(self.stride).zip(&seeds) {
            let nets = self.decomposition.all_nets().zip((16..).step_by(4));
            match config.init {
                Init::Uniform => {
                    self.network.initialise_uniform(words, seed, 0);
                    nets.for_each(|(net, stream)| net.initialise(words, seed, stream));
                }
                Init::Orthogonal => {
                    self.network.initialise_with(words, seed, 0, [1.0; 3]);
                    let gain = config.mixer_init_scale;
                    nets.for_each(|(net, stream)| {
                        net.initialise_orthogonal(words, seed, stream, gain);
                    });
                }
            }
        }
        self.run.gpu.write(&self.adam.params, &words);
        self.run.gpu.write(&self.target_params, &words);
        self.run.reset();
    }

    /// Draws a batch, and what the networks say of it.
    pub fn record_batch(&self, to: &mut Recorder, tick: usize) {
        self.run.replay.record_draw(to, tick);
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
        let rows = self.run.replay.sizes.rows() * self.run.sizes.agents;
        [rows.div_ceil(64), self.run.sizes.members, 1]
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
        let lanes = self.run.replay.sizes.batch * self.decomposition.values;
        let groups = [lanes.div_ceil(64), self.run.sizes.members, 1];
        self.td_lambda.record(to, tick, groups);
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

    /// θ⁻ ← θ behind gradient step `i` of the update, every so many of them.
    pub fn record_target_update(&self, to: &mut Recorder, i: usize) {
        if !self.run.target_due(i) {
            return;
        }
        if self.run.config.target_polyak == 1.0 {
            to.copy(&self.adam.params, &self.target_params);
        } else {
            let groups = [self.stride.div_ceil(64), self.run.sizes.members, 1];
            self.polyak.record(to, self.run.gradient_tick(i), groups);
        }
    }

    /// Episodes since the last report, and what the last gradient step was like.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let (episodes, timing) = self.run.report()?;
        let gpu = &self.run.gpu;
        let said: Vec<f32> = gpu.read(&self.loss.diagnostics)?;
        let names = self.loss.names;
        let norms: Vec<f32> = gpu.read(&self.adam.norms)?;
        let (learned, rollouts) = (self.learned(), self.run.replay.sizes.rollouts);
        let fits = self.decomposition.fit.is_some();
        let algo = self.run.config.algo;
        let (soft, duplex) = (algo.max_entropy(), algo.duplex());
        let reports = episodes
            .into_iter()
            .zip(said.chunks_exact(names.len()))
            .zip(&norms);
        let reports = reports.map(|(((episodes, held), said), &norm)| {
            let unit = if rollouts {
                "replay_rollouts"
            } else {
                "replay_episodes"
            };
            let mut diagnostics = BTreeMap::from([(unit.to_owned(), f64::from(held))]);
            if !soft {
                let before = self.run.env_steps_before();
                diagnostics.insert("epsilon".into(), self.run.epsilon_at(before));
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
        let params = (&self.adam.params, self.stride);
        self.run
            .evaluate(&self.network, params, episodes, true, seed)
    }

    /// Names and places of all parameters.
    fn parameters(&self) -> Vec<Parameters<'_>> {
        let mut arrays = self.network.arrays("actor");
        for net in self.decomposition.all_nets() {
            arrays.extend(net.arrays());
        }
        vec![Parameters {
            words: &self.adam.params,
            stride: self.stride,
            arrays,
        }]
    }

    /// The optimiser's moments, and the target's parameters as they lie.
    fn memory(&self) -> Vec<(String, Region, Vec<usize>)> {
        let shape = vec![self.run.sizes.members, self.stride];
        let (m, v) = (&self.adam.m, &self.adam.v);
        let all = [
            ("adam.m", m),
            ("adam.v", v),
            ("target", &self.target_params),
        ];
        let all = all.map(|(name, words)| (name.to_owned(), words.clone(), shape.clone()));
        Vec::from(all)
    }

    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn checkpoint(&self) -> Result<Checkpoint, LearnError> {
        self.run.save(self.parameters(), self.memory())
    }

    /// # Errors
    /// [`LearnError::Checkpoint`] says which array is missing or of another shape; the learner is as it was then.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let run = &self.run;
        let done = run.restore(self.parameters(), self.memory(), checkpoint)?;
        self.run.go_on_from(done);
        Ok(())
    }

    /// Whether there has been a gradient step.
    pub fn learned(&self) -> bool {
        self.run.gradient_steps_done() > 0
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
        let mut to = q.run.begin_update();

        // COLLECT: T steps of E environments, ε-greedy, into the replay.
        q.run.record_rollout(&mut to);

        for i in 0..q.run.gradient_steps() {
            let tick = q.run.gradient_tick(i);
            // SAMPLE: whole episodes, and their utilities.
            q.record_batch(&mut to, tick);

            // TARGET: the online networks choose, the target's value, TD(λ).
            q.record_greedy_next(&mut to, tick);
            q.record_targets(&mut to, tick)?;

            // LEARN.
            q.record_descent(&mut to, tick)?;
            q.record_target_update(&mut to, i);
        }
        q.run.end_update(to)?;
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.0.run.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.0.run.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.0.run.updates()
    }

    fn updates_done(&self) -> u64 {
        self.0.run.updates_done()
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
