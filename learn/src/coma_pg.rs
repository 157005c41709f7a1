//! COMA by itself (Foerster et al. 2018), as PyMARL has it: a policy gradient with counterfactual advantages, from a critic of every own
//! action that is taught TD(λ) targets of a target network, a step of it per time step, and a policy that explores with probability ε.
//! `ppo_family.md` §6.1 and 6.2. COMA's advantage in PPO is in `coma.rs`.
//!
//! PyMARL learns from whole episodes, this from rollouts of T steps of E environments, which may begin and end within one: the action in
//! the slot after the last step is drawn for the targets and, as there, not executed.

use std::collections::BTreeMap;

use merit_sim::env::{ActionSpace, EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::adam::{self, Adam, AdamConfig};
use crate::checkpoint::{Contents, Parameters};
use crate::config::Config;
use crate::credit::Credit;
use crate::dead_units::DeadUnits;
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::evaluate::Evaluation;
use crate::gae::Estimates;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::minibatch::{Batch, MINIBATCH, TICK};
use crate::net::{Network, UNIFORM_WORDS};
use crate::policy::{Behaviour, Choice, Context, Policy, Remembered, Resets, Value, View};
use crate::ppo::{Networks, carry_kernel, keys, shaping_weight};
use crate::recurrent::{Memory, TrunkStack};
use crate::replaced::Replaced;
use crate::rng::Purpose;
use crate::sizes::Sizes;
use crate::timing::Timestamps;

/// Words of a member's report, in the shader's order.
const REPORT: [&str; 5] = [
    "actor_loss",
    "value_loss",
    "entropy",
    "actor_grad_norm",
    "critic_grad_norm",
];

pub struct ComaPg {
    gpu: Gpu,
    pub config: Config,
    pub sizes: Sizes,
    pub env: Box<dyn VecEnv>,
    pub ticks: Ticks,
    pub actor: Actor,
    pub critic: Critic,
    /// Ĝ, the critic's targets, and Âⁱ, `[T + 1, P, E, A]`.
    pub estimates: Estimates,
    credit: Credit,
    dead_units: DeadUnits,
    /// `[P, 7]`
    report: Region,
    report_kernel: Kernel,
    carry: Kernel,
    timestamps: Timestamps,
    evaluation: Option<Evaluation>,
    updates_done: u64,
}

/// The policy πⁱ(· | oⁱ), collecting and learning.
pub struct Actor {
    pub net: Network,
    policy: Policy,
    memory: Option<Remembering>,
    replaced: Option<Replaced>,
    gather: Kernel,
    gather_groups: [usize; 3],
    trunk: Option<TrunkStack>,
    stack: Stack,
    /// `[P, T · E · A, N]`
    pub logits: Region,
    pub logits_grad: Region,
    /// `[P]`
    entropy_weight: Region,
    gradient: Kernel,
    gradient_groups: [usize; 3],
    pub adam: Adam,
}

/// What a recurrent policy adds.
struct Remembering {
    memory: Memory,
    resets: Resets,
    /// In front of the slot after the last step, where the policy acts once too often.
    before_last: Region,
}

/// Q(s, (·, a⁻ⁱ)), a value per own action.
pub struct Critic {
    pub net: Network,
    see: Kernel,
    carry: Kernel,
    rows: usize,
    /// `[P, E, A] u32`: what was done in front of slot 0.
    carried: Region,
    /// `[T + 1, P, E, A, columns]`: the inputs of all slots.
    pub seen: Region,
    /// `[P, stride]`: the target network.
    pub target: Region,
    target_values: Value,
    /// `[T + 1, P, E, A, N]`: what it says.
    pub target_q: Region,
    td_lambda: Kernel,
    td_groups: [usize; 3],
    /// One time step's.
    input: Rows,
    stack: Stack,
    error: Kernel,
    /// `[T, P, E, A, N]`: each time step's, before the critic's step there.
    pub q: Region,
    /// `[T + 1, P, E, A]`: of what was done.
    pub values: Region,
    pub adam: Adam,
}

/// Actor and critic, each at the beginning of parameters of its own. The critic's input is padded to whole vectors of four.
pub fn networks(config: &Config, sizes: &Sizes) -> [Network; 2] {
    let columns = sizes.state + sizes.obs + sizes.agents + 2 * sizes.agents * sizes.outputs();
    let columns = columns.next_multiple_of(4);
    [
        Networks::network(config, 0, sizes.obs, sizes.outputs()),
        Network::feed_forward(0, columns, config.critic_hidden, sizes.outputs()),
    ]
}

impl ComaPg {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let sizes = Sizes::new(config, env.spec())?;
        sizes.check_dispatches(config)?;
        let ActionSpace::Discrete(n) = sizes.actions else {
            return Err(LearnError::Config(
                "algo = \"coma_pg\" needs discrete actions; take coma, dae, gpae, mappo or ippo"
                    .into(),
            ));
        };
        let [actor, critic] = networks(config, &sizes);
        let of_slots = (sizes.slots() * sizes.members) as u64;
        for (what, width) in [
            ("the critic's inputs", critic.inputs()),
            ("activations", config.hidden),
        ] {
            let bytes = 4 * of_slots * (width * sizes.agents) as u64;
            gpu.check_fits(what, bytes, sizes.envs as u64, "environments")?;
        }
        if config.reward_shaping_horizon > 0 && !env.set_reward_shaping(gpu, 1.0) {
            return Err(LearnError::Config(format!(
                "`reward_shaping_horizon` is {}, but {} has no shaped reward; set it to 0",
                config.reward_shaping_horizon, config.env
            )));
        }
        let ticks = Ticks::new(gpu, sizes.steps + 2 + sizes.steps);
        gpu.guarded("the learner's kernels", || {
            let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
            let values = words("values", sizes.slots() * sizes.rows());
            let q = words("values of actions", sizes.steps * sizes.rows() * n);
            let estimates = Estimates::new(gpu, &sizes);
            let losses = words("losses", 2 * sizes.members * sizes.samples());
            let parts = Parts {
                gpu,
                config,
                sizes: &sizes,
                env: &*env,
                ticks: &ticks,
                n,
                estimates: &estimates,
                values: &values,
                q: &q,
                losses: &losses,
            };
            let actor = parts.actor(actor)?;
            let critic = parts.critic(critic);
            let report = words("report", 7 * sizes.members);
            let constants = Constants::default()
                .uint("MEMBERS", sizes.members)
                .uint("RPM", sizes.member_rows())
                .uint("ROWS", sizes.samples());
            let binds = [
                Bind::Read(&values),
                Bind::Read(&estimates.goal),
                Bind::Read(&losses),
                Bind::Read(&actor.adam.norms),
                Bind::Read(&critic.adam.norms),
                Bind::Write(&report),
            ];
            let files = [
                crate::diagnostics::REDUCE,
                include_str!("../../shaders/learn/coma_pg_report.wgsl"),
            ];
            let stacks = [
                ("actor", actor.stack.hidden().collect(), sizes.samples()),
                (
                    "critic",
                    critic.stack.hidden().collect(),
                    sizes.member_rows(),
                ),
            ];
            let learner = Self {
                dead_units: DeadUnits::new(gpu, sizes.members, stacks),
                report_kernel: Kernel::new(gpu, "coma_report", &constants, &files, &binds),
                report,
                credit: Credit::new(gpu, &sizes, &*env, &estimates, &values, &ticks),
                carry: carry_kernel(gpu, &sizes, env.io(), None, &ticks),
                timestamps: Timestamps::new(gpu),
                gpu: gpu.clone(),
                config: config.clone(),
                sizes,
                env,
                ticks,
                actor,
                critic,
                estimates,
                evaluation: None,
                updates_done: 0,
            };
            learner.initialise();
            Ok(learner)
        })?
    }

    /// Initial parameters, the target network the critic's; the first observations; nothing was done before.
    fn initialise(&self) {
        let fill = |net: &Network, adam: &Adam, stream: u32, gain: f64| {
            let stride = stride(net);
            let mut words = vec![0.0; self.sizes.members * stride];
            let seeds = self.config.seeds_from(self.config.seed);
            for (words, seed) in words.chunks_exact_mut(stride).zip(seeds) {
                net.initialise(words, seed, stream, gain);
            }
            self.gpu.write(&adam.params, &words);
            words
        };
        fill(&self.actor.net, &self.actor.adam, 0, 0.01);
        let critic = fill(&self.critic.net, &self.critic.adam, 16, 1.0);
        self.gpu.write(&self.critic.target, &critic);
        let nothing = vec![self.sizes.outputs() as u32; self.sizes.rows()];
        self.gpu.write(&self.critic.carried, &nothing);
        let mut to = Recorder::new(&self.gpu);
        self.env.record_reset(to.pass());
        to.submit();
    }

    /// Where a recurrent actor forgets, `[T + 1, P, E, A]`, and what it remembered when the rollout began, `[P, E, A, H]`.
    pub fn remembered(&self) -> Option<(&Region, &Region)> {
        let m = self.actor.memory.as_ref()?;
        Some((&m.resets.reset_in, &m.memory.start))
    }

    /// ε of the coming rollout: linear over the environment steps, constant within an update.
    pub fn epsilon(&self) -> f64 {
        self.epsilon_at(self.env_steps())
    }

    fn epsilon_at(&self, step: u64) -> f64 {
        let c = &self.config;
        let gone = (step as f64 / c.epsilon_anneal.max(1) as f64).min(1.0);
        c.epsilon_start + (c.epsilon_finish - c.epsilon_start) * gone
    }

    /// Tick of what is for the whole rollout, the actor's step among it.
    pub fn rollout_tick(&self) -> usize {
        self.sizes.steps + 1
    }

    /// Tick of the critic's step at time step `t`.
    pub fn critic_tick(&self, t: usize) -> usize {
        self.sizes.steps + 2 + t
    }

    /// Writes the ticks of the coming update.
    pub fn begin_update(&mut self) -> Recorder {
        let (steps, done) = (self.sizes.steps, self.updates_done);
        let epsilon = self.epsilon() as f32;
        let left = 1.0 - done as f64 / self.updates() as f64;
        let anneal = if self.config.anneal_lr { left } else { 1.0 } as f32;
        if self.config.anneal_ent_coef {
            let weights = self.config.each(|m| (m.ent_coef * left) as f32);
            self.gpu.write(&self.actor.entropy_weight, &weights);
        }
        for t in 0..=steps {
            let tick = Tick {
                slot: t as u32,
                step: t as u32,
                draw: (done * steps as u64 + t as u64) as u32,
                before: if t == 0 { Tick::CARRIED } else { t as u32 - 1 },
                epsilon,
                ..Tick::default()
            };
            self.ticks.set(t, tick);
        }
        let [correction_1, correction_2] = adam::corrections(done + 1);
        let whole = Tick {
            epsilon,
            correction_1,
            correction_2,
            anneal,
            ..Tick::default()
        };
        self.ticks.set(self.rollout_tick(), whole);
        for t in 0..steps {
            // From the last time step to the first.
            let step = done * steps as u64 + (steps - t) as u64;
            let [correction_1, correction_2] = adam::corrections(step);
            let tick = Tick {
                slot: t as u32,
                correction_1,
                correction_2,
                anneal,
                ..Tick::default()
            };
            self.ticks.set(self.critic_tick(t), tick);
        }
        self.ticks.upload(&self.gpu);
        if self.config.reward_shaping_horizon > 0 {
            let weight = shaping_weight(self.env_steps(), self.config.reward_shaping_horizon);
            self.env.set_reward_shaping(&self.gpu, weight);
        }
        Recorder::new(&self.gpu)
    }

    /// T steps of E environments with the exploring policy, and an action in the slot after the last that is not executed.
    pub fn record_rollout(&mut self, to: &mut Recorder) {
        self.timestamps.begin_rollout(to.encoder());
        let memory = self.actor.memory.as_ref();
        if let Some(m) = memory {
            m.memory.record_start(to, &m.memory.state, 0);
        }
        for t in 0..self.sizes.steps {
            self.actor.policy.record(to, t);
            self.env.record_step(to.pass(), t);
            to.launches += u64::from(self.env.dispatches_per_step());
        }
        if let Some(m) = memory {
            to.copy(&m.memory.state, &m.before_last);
        }
        self.actor.policy.record(to, self.sizes.steps);
        if let Some(m) = memory {
            to.copy(&m.before_last, &m.memory.state);
            m.resets.record(to);
        }
        if let Some(replaced) = &self.actor.replaced {
            replaced.record(to);
        }
        self.timestamps.end_rollout(to.encoder());
    }

    /// What the critic sees of every slot, what the target network says of it, TD(λ) targets.
    pub fn record_targets(&self, to: &mut Recorder) {
        let critic = &self.critic;
        critic
            .see
            .record(to, 0, [critic.rows.div_ceil(8), self.sizes.slots(), 1]);
        critic.target_values.record(to, 0, 1);
        critic.td_lambda.record(to, 0, critic.td_groups);
    }

    /// The gradient of the critic's loss at time step `t`; what it says there is kept.
    pub fn record_critic_gradient(&self, to: &mut Recorder, t: usize) {
        let critic = &self.critic;
        let words = critic.rows * critic.net.inputs();
        to.copy(&critic.seen.part(t * words, words), &critic.input.region);
        critic.stack.record_forward(to);
        let groups = [critic.rows.div_ceil(64), 1, 1];
        critic.error.record(to, self.critic_tick(t), groups);
        critic.stack.record_backward(to);
    }

    /// The gradient of −Σ Âⁱ ln πⁱ(aⁱ | oⁱ) − c H over the rollout.
    pub fn record_actor_gradient(&self, to: &mut Recorder) {
        let (actor, tick) = (&self.actor, self.rollout_tick());
        actor.gather.record(to, tick, actor.gather_groups);
        if let Some(trunk) = &actor.trunk {
            trunk.record_gather(to, tick);
            trunk.record_forward(to);
        }
        actor.stack.record_forward(to);
        actor.gradient.record(to, tick, actor.gradient_groups);
        actor.stack.record_backward(to);
        if let Some(trunk) = &actor.trunk {
            trunk.record_backward(to);
        }
    }

    /// Whether the target network becomes the critic after this update: at the end of the first that leaves it as many of its steps behind.
    fn target_due(&self) -> bool {
        let updates = self
            .config
            .target_interval
            .div_ceil(self.sizes.steps as u64)
            .max(1);
        (self.updates_done + 1).is_multiple_of(updates)
    }

    /// The last slot becomes the first, and the update is over.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where a dispatch of it needed too many workgroups.
    fn end_update(&mut self, mut to: Recorder) -> Result<(), LearnError> {
        self.dead_units.record(&mut to);
        self.report_kernel
            .record(&mut to, 0, [self.sizes.members, 1, 1]);
        self.carry.record(&mut to, 0, [64, 1, 1]);
        let groups = [self.critic.rows.div_ceil(64), 1, 1];
        self.critic.carry.record(&mut to, 0, groups);
        if let Some(m) = &self.actor.memory {
            m.resets.carry(&mut to, self.sizes.steps);
        }
        let launches = to.launches;
        self.timestamps.end_update(to.encoder(), launches);
        to.finish()?;
        self.updates_done += 1;
        Ok(())
    }

    fn contents(&self) -> Contents<'_> {
        let s = &self.sizes;
        let of = |name: &str, net: &Network, adam: &Adam| {
            let shape = vec![s.members, stride(net)];
            [
                (format!("{name}.adam.m"), adam.m.clone(), shape.clone()),
                (format!("{name}.adam.v"), adam.v.clone(), shape),
            ]
        };
        let mut memory = Vec::from(of("actor", &self.actor.net, &self.actor.adam));
        memory.extend(of("critic", &self.critic.net, &self.critic.adam));
        let (io, envs) = (self.env.io(), s.members * s.envs);
        let first = [
            ("env.obs", &io.obs, s.rows() * s.obs),
            ("env.state", &io.state, envs * s.state),
            ("env.avail", &io.avail, s.rows() * s.actions.mask()),
            ("before.actions", &self.critic.carried, s.rows()),
        ];
        for (name, region, words) in first.into_iter().filter(|(_, _, words)| *words > 0) {
            memory.push((name.into(), region.part(0, words), vec![words]));
        }
        let sums = vec![EpisodeStats::WORDS, envs];
        memory.push(("env.sums".into(), self.env.env_sums().clone(), sums));
        if let Some(m) = &self.actor.memory {
            let shape = vec![s.rows()];
            memory.push(("memory.reset".into(), m.resets.carried.clone(), shape));
            let shape = vec![s.rows(), self.config.hidden];
            memory.push(("memory.0".into(), m.memory.state.clone(), shape));
        }
        let parameters = |name: &str, net: &Network, words| Parameters {
            words,
            stride: stride(net),
            arrays: net.arrays(name),
        };
        let (actor, critic) = (&self.actor, &self.critic);
        Contents {
            gpu: &self.gpu,
            members: s.members,
            parameters: vec![
                parameters("actor", &actor.net, &actor.adam.params),
                parameters("critic", &critic.net, &critic.adam.params),
                parameters("target", &critic.net, &critic.target),
            ],
            memory,
            whole: vec![],
        }
    }
}

impl Learner for ComaPg {
    fn update(&mut self) -> Result<(), LearnError> {
        let mut to = self.begin_update();

        // COLLECT: T steps of E environments with the exploring policy, in one submission.
        self.record_rollout(&mut to);

        // TARGETS: TD(λ), from the target network's values of what was done.
        self.record_targets(&mut to);

        // CRITIC: a step for every time step, from the last to the first; what it said before its step is kept for the actor.
        for t in (0..self.sizes.steps).rev() {
            self.record_critic_gradient(&mut to, t);
            let tick = self.critic_tick(t);
            self.critic.adam.record_norms(&mut to, tick);
            self.critic.adam.record_step(&mut to, tick);
        }

        // ACTOR: Âⁱ = Q(s, a) − Σ πⁱ(a') Q(s, (a', a⁻ⁱ)), one step.
        self.record_actor_gradient(&mut to);
        let tick = self.rollout_tick();
        self.actor.adam.record_norms(&mut to, tick);
        self.actor.adam.record_step(&mut to, tick);
        self.credit.record(&mut to);

        // TARGET NETWORK: every so many steps of the critic.
        if self.target_due() {
            to.copy(&self.critic.adam.params, &self.critic.target);
        }
        self.end_update(to)?;
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.updates_done * self.steps_per_update()
    }

    fn steps_per_update(&self) -> u64 {
        (self.sizes.envs * self.sizes.steps) as u64
    }

    fn updates(&self) -> u64 {
        self.config.total_steps / self.steps_per_update()
    }

    fn updates_done(&self) -> u64 {
        self.updates_done
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let timing = self.timestamps.read(&self.gpu)?;
        let mut to = Recorder::new(&self.gpu);
        self.env.record_stats(to.pass());
        to.submit();
        let words: Vec<f32> = self.gpu.read(self.env.stats_region())?;
        let episodes = words
            .chunks_exact(EpisodeStats::WORDS)
            .map(EpisodeStats::from_words);
        let report: Vec<f32> = self.gpu.read(&self.report)?;
        let mut credit = self.credit.read(&self.gpu)?.into_iter();
        let mut dead_units = self.dead_units.read(&self.gpu)?.into_iter();
        // Of the last update: the next has not begun.
        let before = self.env_steps().saturating_sub(self.steps_per_update());
        let epsilon = self.epsilon_at(before);
        let reports = episodes.zip(report.chunks_exact(7)).map(|(episodes, w)| {
            let mut diagnostics = BTreeMap::from([("epsilon".to_owned(), epsilon)]);
            let means = REPORT.iter().zip(w);
            diagnostics.extend(means.map(|(k, &x)| ((*k).to_owned(), f64::from(x))));
            let explained = 1.0 - f64::from(w[6]) / f64::from(w[5]).max(1e-12);
            diagnostics.insert("explained_variance".into(), explained);
            diagnostics.extend(credit.next().unwrap_or_default());
            diagnostics.extend(dead_units.next().unwrap_or_default());
            MemberReport {
                episodes,
                diagnostics,
            }
        });
        Ok((reports.collect(), timing))
    }

    fn evaluate(
        &mut self,
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        let of = |e: &Evaluation| e.is_for(episodes, seed);
        if !self.evaluation.as_ref().is_some_and(of) {
            // The memory of the old one goes first.
            self.evaluation = None;
            let adam = &self.actor.adam;
            let context = Context {
                gpu: &self.gpu,
                sizes: &self.sizes,
                activate: Activate::from(self.config.activation),
                forget: self.config.rnn_reset.into(),
                by_rows: self.config.by_rows(&self.gpu),
                params: &adam.params,
                stride: stride(&self.actor.net),
                ticks: &self.ticks,
            };
            let net = &self.actor.net;
            let evaluation = Evaluation::new(&context, &self.config, net, episodes, seed)?;
            self.evaluation = Some(evaluation);
        }
        match &mut self.evaluation {
            Some(evaluation) => evaluation.run(&self.gpu, greedy),
            None => Ok(Vec::new()),
        }
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.contents().save(&*self.env, self.updates_done)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        self.updates_done = self.contents().restore(&*self.env, checkpoint)?;
        Ok(())
    }
}

/// Words of a member's parameters.
fn stride(net: &Network) -> usize {
    net.end().next_multiple_of(UNIFORM_WORDS)
}

/// What actor and critic are made from.
struct Parts<'a> {
    gpu: &'a Gpu,
    config: &'a Config,
    sizes: &'a Sizes,
    env: &'a dyn VecEnv,
    ticks: &'a Ticks,
    /// Actions of an agent.
    n: usize,
    estimates: &'a Estimates,
    values: &'a Region,
    q: &'a Region,
    losses: &'a Region,
}

impl Parts<'_> {
    fn words(&self, what: &str, n: usize) -> Region {
        self.gpu.storage(what, 4 * n as u64)
    }

    fn shape(&self, net: &Network, rows: usize) -> Shape {
        let widths = [net.hidden(), net.inputs()].map(|n| n.next_multiple_of(4));
        let by_rows = self.config.by_rows(self.gpu);
        let members = self.sizes.members;
        Shape::new(self.gpu, members, rows, stride(net), &widths, by_rows)
    }

    fn adam(&self, net: &Network, shape: &Shape) -> Adam {
        let config = AdamConfig {
            epsilon: self.config.adam_eps,
            max_grad_norm: vec![self.config.max_grad_norm as f32],
            rule: self.config.optimiser,
        };
        let rates = self.config.each(|m| m.learning_rate as f32);
        Adam::new(self.gpu, shape, &[net.end()], &config, &rates, self.ticks)
    }

    fn context<'b>(&'b self, params: &'b Region, net: &Network) -> Context<'b> {
        Context {
            gpu: self.gpu,
            sizes: self.sizes,
            activate: Activate::from(self.config.activation),
            forget: self.config.rnn_reset.into(),
            by_rows: self.config.by_rows(self.gpu),
            params,
            stride: stride(net),
            ticks: self.ticks,
        }
    }

    fn actor(&self, net: Network) -> Result<Actor, LearnError> {
        let (gpu, s, io) = (self.gpu, self.sizes, self.env.io());
        let shape = self.shape(&net, s.samples());
        let adam = self.adam(&net, &shape);
        let context = self.context(&adam.params, &net);
        let seeds = self.config.seeds_from(self.config.seed);
        let memory = net.trunk.as_ref().map(|trunk| Remembering {
            memory: Memory::new(gpu, s.rows(), trunk.hidden(), 1),
            resets: Resets::new(&context, io),
            before_last: self.words("memory before the last slot", s.rows() * trunk.hidden()),
        });
        let constants = Constants::default()
            .uint("MEMBERS", s.members)
            .uint("T", s.steps)
            .uint("RPM", s.member_rows())
            .uint("ROWS", s.samples())
            .uint("OBS", s.obs)
            .uint("N", self.n);
        let input = Rows::padded(gpu, "actor input", s.members * s.samples(), s.obs);
        let logits = self.words("logits", s.members * s.samples() * self.n);
        let logits_grad = self.words("derivatives of logits", s.members * s.samples() * self.n);
        let entropy_weight = self.config.each(|m| m.ent_coef as f32);
        let entropy_weight = gpu.storage_from("entropy weights", &entropy_weight);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(self.ticks),
                Bind::Read(&io.obs),
                Bind::Read(&io.avail),
                Bind::Read(&io.actions),
                Bind::Read(self.q),
                Bind::Read(&entropy_weight),
                Bind::Write(&input.region),
                Bind::Write(&logits),
                Bind::Write(&logits_grad),
                Bind::Write(self.values),
                Bind::Write(&self.estimates.advantage),
                Bind::Write(self.losses),
            ];
            let files = [TICK, include_str!("../../shaders/learn/coma_pg_actor.wgsl")];
            Kernel::new(gpu, entry, &constants, &files, &binds)
        };
        let trunk = match (&net.trunk, &memory) {
            (Some(trunk), Some(m)) => {
                // The one minibatch is all sequences, as they are.
                let order: Vec<u32> = (0..s.members)
                    .flat_map(|_| 0..s.member_rows() as u32)
                    .collect();
                let order = gpu.storage_from("order", &order);
                let constants = constants
                    .clone()
                    .uint("ITEMS", s.member_rows())
                    .uint("SEQUENCES", s.member_rows())
                    .uint("STEPS", s.steps);
                let samples = Batch {
                    file: MINIBATCH,
                    constants,
                    which: &order,
                    rows: s.minibatch_rows(),
                    sequences: s.member_rows(),
                };
                let reset_in = &m.resets.reset_in;
                Some(TrunkStack::new(
                    &context,
                    &shape,
                    trunk,
                    &input,
                    &m.memory,
                    reset_in,
                    &samples,
                    &adam.partials,
                )?)
            }
            _ => None,
        };
        let stack = Stack::new(
            gpu,
            &shape,
            &net.layers,
            context.activate,
            &adam.params,
            trunk.as_ref().map_or(&input, |t| &t.output),
            trunk.as_ref().map(|t| (&t.output_grad, false)),
            &logits,
            &logits_grad,
            &adam.partials,
        );
        let log_probs = self.words("log-probabilities", s.slots() * s.rows());
        let remembered = memory
            .as_ref()
            .map(|m| (&m.resets.reset_in, &m.memory.start));
        let replaced = Replaced::new(&context, &net, self.env, &log_probs, remembered);
        let policy = Policy::new(
            &context,
            &net,
            io,
            &keys(gpu, &seeds, Purpose::Act),
            &log_probs,
            memory.as_ref().map(|m| Remembered {
                memory: &m.memory.state,
                carried: &m.resets.carried,
            }),
            Behaviour {
                choice: Choice::Mixture,
                ..Behaviour::default()
            },
        );
        Ok(Actor {
            policy,
            replaced,
            gather: kernel("coma_gather"),
            gather_groups: [s.samples().div_ceil(8), s.members, 1],
            gradient: kernel("coma_gradient"),
            gradient_groups: [s.samples().div_ceil(64), s.members, 1],
            net,
            memory,
            trunk,
            stack,
            logits,
            logits_grad,
            entropy_weight,
            adam,
        })
    }

    fn critic(&self, net: Network) -> Critic {
        let (gpu, s, io) = (self.gpu, self.sizes, self.env.io());
        let (rows, columns) = (s.rows(), net.inputs());
        let shape = self.shape(&net, s.member_rows());
        let adam = self.adam(&net, &shape);
        let seen = self.words("critic inputs", s.slots() * rows * columns);
        let carried = self.words("actions before", rows);
        let target = self.words("target network", s.members * stride(&net));
        let target_q = self.words("the target network's values", s.slots() * rows * self.n);
        let constants = Constants::default()
            .uint("T", s.steps)
            .uint("MEMBERS", s.members)
            .uint("RPM", s.member_rows())
            .uint("AGENTS", s.agents)
            .uint("STATE", s.state)
            .uint("OBS", s.obs)
            .uint("N", self.n)
            .uint("COLUMNS", columns);
        let see = |entry: &str| {
            let binds = [
                Bind::Read(&io.state),
                Bind::Read(&io.obs),
                Bind::Read(&io.actions),
                Bind::Read(&io.terminated),
                Bind::Read(&io.truncated),
                Bind::Write(&carried),
                Bind::Write(&seen),
            ];
            let files = [include_str!("../../shaders/learn/coma_pg_see.wgsl")];
            Kernel::new(gpu, entry, &constants, &files, &binds)
        };
        let discount = |m: &crate::population::Member| [m.gamma, self.config.td_lambda];
        let discount = self.config.each(|m| discount(m).map(|x| x as f32));
        let discount = gpu.storage_from("discounts", &discount);
        let td_lambda = [
            Bind::Read(&io.reward),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.actions),
            Bind::Read(&target_q),
            Bind::Read(&discount),
            Bind::Write(&self.estimates.goal),
        ];
        let td_lambda = Kernel::new(
            gpu,
            "td_lambda",
            &constants,
            &[include_str!("../../shaders/learn/td_lambda.wgsl")],
            &td_lambda,
        );
        let input = Rows::packed(&self.words("critic input", rows * columns), columns);
        let output = self.words("values of a step", rows * self.n);
        let output_grad = self.words("derivatives of values", rows * self.n);
        let error = [
            Bind::Tick(self.ticks),
            Bind::Read(&io.actions),
            Bind::Read(&self.estimates.goal),
            Bind::Read(&output),
            Bind::Write(&output_grad),
            Bind::Write(self.q),
        ];
        let error = Kernel::new(
            gpu,
            "coma_error",
            &constants,
            &[TICK, include_str!("../../shaders/learn/coma_pg_error.wgsl")],
            &error,
        );
        let context = self.context(&target, &net);
        Critic {
            see: see("coma_see"),
            carry: see("coma_carry"),
            rows,
            target_values: Value::of_rollouts(
                &context,
                &net,
                // Rows of numbers, one of each agent.
                View::Observation,
                &seen,
                &io.actions,
                &target_q,
            ),
            td_lambda,
            td_groups: [s.member_rows().div_ceil(64), s.members, 1],
            stack: Stack::new(
                gpu,
                &shape,
                &net.layers,
                context.activate,
                &adam.params,
                &input,
                None,
                &output,
                &output_grad,
                &adam.partials,
            ),
            error,
            q: self.q.clone(),
            values: self.values.clone(),
            net,
            carried,
            seen,
            target,
            target_q,
            input,
            adam,
        }
    }
}
