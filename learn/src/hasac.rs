//! HASAC (Liu et al. 2024; `me_igm.md` §11): heterogeneous-agent soft actor-critic. A policy network of each agent, twin soft critics of the state
//! and of what all agents do, a replay of transitions; the agents step one after the other, each on what those before it do by then.
//!
//! ```text
//! Q⁻ ← Q (two of each), α_i = α = e⁰, D = ∅
//! repeat: T steps of E environments, a_i ~ π_i, at first any allowed action, into D
//!         G times: B transitions (s, a, R, s') of D, R = Σ_{k < n'} γ^k r_{t+k}, n' = n, or fewer where the episode ends before
//!                  a' ~ π(s'), y = R + γ^n' (1 - over) (min Q⁻(s', a') - α Σ_i ln π_i(a'_i))
//!                  a step of every Q on (Q(s, a) - y)²
//!                  a ~ π(s)
//!                  for every agent i, in random order:
//!                      a_i ~ π_i with gradient, a step of π_i on α_i ln π_i(a_i) - min Q(s, a), mean over those alive
//!                      a_i ~ π_i as it is now
//!                  a step of ω_i = ln α_i on -ω_i (ln π_i(a_i) + H̄), of ω = ln α on -ω Σ_i (ln π_i(a_i) + H̄)
//!                  Q⁻ ← Q⁻ + τ (Q - Q⁻)
//! ```
//!
//! A discrete action is one-hot, drawn as the largest of the logits with Gumbel noise; on the way back the softmax of the same sums stands in its
//! place. A continuous one is tanh of normal numbers, whose noise stays the same on the way back. A batch is laid out agent by agent, `[A, P, B, …]`, so that each policy's rows are one piece of memory.

use std::collections::BTreeMap;

use merit_sim::env::{ActionSpace, EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::rng::threefry2x32;

use crate::LearnError;
use crate::adam::{self, Adam, AdamConfig, Steps};
use crate::checkpoint::Parameters;
use crate::config::{Config, HasacEntropy, Optimiser};
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::net::{Network, UNIFORM_WORDS};
use crate::off_policy::{self, OffPolicy};
use crate::policy::{Choice, SQUASHED};
use crate::ppo::keys;
use crate::replay::{ReplaySizes, TRANSITIONS};
use crate::rng::Purpose;
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const HASAC: &str = include_str!("../../shaders/learn/hasac.wgsl");

/// Words of a temperature: α, ω, Adam's moments, the entropy of the last batch.
pub const TEMPERATURE_WORDS: usize = 5;

/// What is drawn from the policies in a gradient step, each with random numbers of its own; the shaders' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Behind the windows, for the target.
    Next = 0,
    /// Where the windows begin, before anyone's step.
    Before = 1,
    /// What an agent is judged by in its turn.
    Trial = 2,
    /// The same agent after its step.
    After = 3,
}

impl Draw {
    pub const ALL: [Self; 4] = [Self::Next, Self::Before, Self::Trial, Self::After];
}

/// The policies' networks, two hidden layers each: logits of the actions, or means and logarithms of deviations of their numbers.
pub fn policies(config: &Config, sizes: &Sizes) -> Network {
    let squashed = matches!(sizes.actions, ActionSpace::Continuous(_));
    let outputs = sizes.outputs() * if squashed { 2 } else { 1 };
    let net = Network::feed_forward(0, sizes.obs, config.hidden, outputs);
    Network {
        normalised: config.feature_norm,
        squashed,
        ..net.of_each(sizes.agents)
    }
}

/// Q(s, a), one behind the other in a member's parameters: from the state and all agents' actions to a number.
pub fn critics(config: &Config, sizes: &Sizes) -> Vec<Network> {
    let inputs = sizes.state + sizes.agents * sizes.outputs();
    let mut first = 0;
    let critic = |_| {
        let net = Network::feed_forward(first, inputs, config.critic_hidden, 1);
        first = net.end().next_multiple_of(UNIFORM_WORDS);
        net
    };
    (0..1 + usize::from(config.twin_critics))
        .map(critic)
        .collect()
}

/// H̄ of an agent: the share of ln N for N actions that are allowed, and what it is in place of that where the share is 0.
///
/// All actions' ln N, masks or none, is more than policies can have that masks keep from most of them: the temperature would rise for ever.
pub fn target_entropy(config: &Config, actions: ActionSpace) -> [f64; 2] {
    match (config.hasac_entropy_target, actions) {
        (HasacEntropy::Intended, ActionSpace::Discrete(_)) => [0.98, 0.0],
        (HasacEntropy::Code, ActionSpace::Discrete(_)) => [0.0, 0.0],
        (_, ActionSpace::Continuous(k)) => [0.0, -(k as f64)],
    }
}

/// In which order the agents take their turns in gradient step `step`: a random one, the same whatever the seed, for the members of a population
/// take them together.
pub fn order(step: u64, agents: usize) -> Vec<usize> {
    const KEY: [u32; 2] = [0x6861_7361, 0x6f72_6465];
    let mut order: Vec<_> = (0..agents).collect();
    for i in (1..agents).rev() {
        let counter = [step as u32, ((step >> 32) as u32) << 16 | i as u32];
        let [bits, _] = threefry2x32(KEY, counter);
        order.swap(i, bits as usize % (i + 1));
    }
    order
}

/// What was drawn from the replay.
pub struct Batch {
    /// `[2, A, P, B, D]`: what the agents see, now and behind the windows.
    pub seen: Rows,
    /// `[2, A, P, B, N]`: what they may do.
    pub allowed: Region,
    /// `[2, P, B, S + A · N]`: states and actions, one-hot or numbers.
    pub joint: Rows,
    /// `[P, B, 2]`: R, and γ^n' or 0.
    pub outcomes: Region,
    /// `[A, P, B]`: 1 where the agent was alive.
    pub valid: Region,
    gather_seen: Kernel,
    gather: Kernel,
}

/// π_i, of every agent.
pub struct Policies {
    /// All of them.
    pub net: Network,
    pub stride: usize,
    /// An optimiser of each.
    pub adam: Adam,
    turns: Vec<Steps>,
    now: Vec<Stack>,
    next: Vec<Stack>,
    /// `[2, A, P, B, N]`, or 2 K numbers
    pub logits: Region,
    /// `[A, P, B, N]`, the same
    pub logits_grad: Region,
    /// `[draws, A, P, B]`
    pub log_probs: Region,
    /// `[draws, A, P, B] u32`: discrete actions.
    pub chosen: Region,
    draw_all: [Kernel; 2],
    /// Of each agent, in its turn and after it.
    draw_one: Vec<[Kernel; 2]>,
    gradient: Vec<Kernel>,
}

/// Q and Q⁻.
pub struct Critics {
    pub nets: Vec<Network>,
    pub stride: usize,
    /// An optimiser of each.
    pub adam: Adam,
    /// `[P, stride]`
    pub target_params: Region,
    online: Vec<Stack>,
    target: Vec<Stack>,
    /// `[critics, P, B]`
    pub q: Region,
    pub q_grad: Region,
    pub target_q: Region,
    /// `[P, B, S + A · N]`: of a policy's loss.
    pub input_grad: Region,
    /// `[P, B, 4]`: loss, absolute error, value, target, means of the critics.
    pub said: Region,
    /// `[A, P, B]`: of the policies' losses, whose sum over the rows is the loss.
    pub policy_loss: Region,
    learn: Kernel,
    judge: Vec<Kernel>,
    polyak: Kernel,
}

pub struct Hasac {
    pub run: OffPolicy,
    pub batch: Batch,
    pub policies: Policies,
    pub critics: Critics,
    /// `[P, A + 1, TEMPERATURE_WORDS]`: of each agent, and of the team, which the critics have.
    pub temperature: Region,
    temperature_step: Kernel,
}

impl Hasac {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration or the adapter.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        off_policy::check(gpu, config, &*env)?;
        let sizes = Sizes::new(config, env.spec())?;
        let replay = ReplaySizes::new(config, env.spec())?;
        let (net, nets) = (policies(config, &sizes), critics(config, &sizes));
        let widths = [
            ("a batch's observations", 2 * sizes.agents * sizes.obs),
            ("a batch's states and actions", 2 * nets[0].inputs()),
            (
                "a batch's activations",
                config.hidden.max(config.critic_hidden),
            ),
        ];
        for (what, width) in widths {
            let bytes = 4 * (sizes.members * width.next_multiple_of(4)) as u64;
            gpu.check_fits(what, bytes, config.batch as u64, "transitions in a batch")?;
        }
        let ticks = off_policy::ticks(gpu, config);
        let made = gpu.guarded("the learner's kernels", || {
            let stride = net.end().next_multiple_of(UNIFORM_WORDS);
            let critic_stride = nets[nets.len() - 1].end().next_multiple_of(UNIFORM_WORDS);
            let shape = |net: &Network, stride: usize| {
                let widths = [net.hidden(), net.inputs()].map(|n| n.next_multiple_of(4));
                let by_rows = config.by_rows(gpu);
                Shape::new(gpu, sizes.members, replay.batch, stride, &widths, by_rows)
            };
            let shapes = [shape(&net, stride), shape(&nets[0], critic_stride)];
            let optimiser = |shape: &Shape, ends: &[usize], rates: &[f32]| {
                let settings = AdamConfig {
                    epsilon: config.adam_eps,
                    max_grad_norm: vec![config.max_grad_norm as f32; ends.len()],
                    rule: Optimiser::Adam,
                };
                Adam::new(gpu, shape, ends, &settings, rates, &ticks)
            };
            let ends: Vec<_> = (1..=sizes.agents).map(|i| i * net.copy_stride()).collect();
            let rates = config.each(|m| m.learning_rate as f32);
            let adam = optimiser(&shapes[0], &ends, &rates);
            let ends = nets.iter().map(|n| n.end().next_multiple_of(UNIFORM_WORDS));
            let rates = vec![config.critic_learning_rate as f32; sizes.members];
            let critic_adam = optimiser(&shapes[1], &ends.collect::<Vec<_>>(), &rates);
            let run = OffPolicy::new(
                gpu,
                config,
                sizes,
                replay,
                env,
                ticks,
                &net,
                (&adam.params, stride),
                Choice::Mixture,
            );
            let parts = Parts::new(gpu, config, &run);
            let batch = parts.batch(&nets[0]);
            let temperature = parts.words(
                "temperatures",
                sizes.members * (sizes.agents + 1) * TEMPERATURE_WORDS,
            );
            let critics = parts.critics(nets, &shapes[1], critic_adam, &batch, &temperature);
            let policies = parts.policies(net, &shapes[0], adam, &batch, &critics, &temperature);
            let [share, target] = target_entropy(config, sizes.actions);
            let constants = parts
                .constants
                .clone()
                .uint("TRIAL", Draw::Trial as usize)
                .float("SHARE", share)
                .float("TARGET", target)
                .float("RATE", config.temperature_lr)
                .float("BETA_1", adam::BETA_1)
                .float("BETA_2", adam::BETA_2)
                .float("EPSILON", config.adam_eps);
            let binds = [
                Bind::Tick(&run.ticks),
                Bind::Read(&parts.log_probs),
                Bind::Read(&batch.allowed),
                Bind::Write(&temperature),
            ];
            let file = include_str!("../../shaders/learn/hasac_temperature.wgsl");
            let files = [TICK, RNG, HASAC, file];
            let temperature_step =
                Kernel::new(gpu, "hasac_temperature", &constants, &files, &binds);
            let hasac = Self {
                run,
                batch,
                policies,
                critics,
                temperature,
                temperature_step,
            };
            hasac.initialise();
            hasac
        })?;
        Ok(made)
    }

    /// Initial parameters, the targets' the same, and the first observations.
    fn initialise(&self) {
        let (members, config) = (self.run.sizes.members, &self.run.config);
        let seeds = config.seeds_from(config.seed);
        let (net, stride) = (&self.policies.net, self.policies.stride);
        let mut of_policies = vec![0.0; members * stride];
        for (words, &seed) in of_policies.chunks_exact_mut(stride).zip(&seeds) {
            net.initialise(words, seed, 64, 0.01);
        }
        let stride = self.critics.stride;
        let mut of_critics = vec![0.0; members * stride];
        for (words, &seed) in of_critics.chunks_exact_mut(stride).zip(&seeds) {
            for (net, stream) in self.critics.nets.iter().zip((0..).step_by(16)) {
                net.initialise_uniform(words, seed, stream);
            }
        }
        let gpu = &self.run.gpu;
        gpu.write(&self.policies.adam.params, &of_policies);
        gpu.write(&self.critics.adam.params, &of_critics);
        gpu.write(&self.critics.target_params, &of_critics);
        let alpha = config.temperature_init;
        let one = [alpha, alpha.ln(), 0.0, 0.0, 0.0].map(|x| x as f32);
        gpu.write(
            &self.temperature,
            &one.repeat(members * (self.run.sizes.agents + 1)),
        );
        self.run.reset();
    }

    fn groups(&self, z: usize) -> [usize; 3] {
        let (batch, members) = (self.run.replay.sizes.batch, self.run.sizes.members);
        [batch.div_ceil(64), members, z]
    }

    /// Draws a batch and gathers it.
    pub fn record_batch(&self, to: &mut Recorder, tick: usize) {
        self.run.replay.record_draw(to, tick);
        let agents = self.run.sizes.agents;
        let (seen, all) = (self.groups(2 * agents), self.groups(1));
        self.batch.gather_seen.record(to, tick, seen);
        self.batch.gather.record(to, tick, all);
    }

    /// y, and the critics' losses of what was done with the gradient of every weight in partial sums.
    pub fn record_critic_gradients(&self, to: &mut Recorder, tick: usize) {
        let (policies, critics) = (&self.policies, &self.critics);
        policies.next.iter().for_each(|net| net.record_forward(to));
        policies.draw_all[0].record(to, tick, self.groups(self.run.sizes.agents));
        critics.target.iter().for_each(|net| net.record_forward(to));
        critics.online.iter().for_each(|net| net.record_forward(to));
        critics.learn.record(to, tick, self.groups(1));
        let online = critics.online.iter();
        online.for_each(|net| net.record_backward_to_weights(to));
    }

    /// What all agents would do now, in place of what they did.
    pub fn record_before(&self, to: &mut Recorder, tick: usize) {
        let policies = &self.policies;
        policies.now.iter().for_each(|net| net.record_forward(to));
        policies.draw_all[1].record(to, tick, self.groups(self.run.sizes.agents));
    }

    /// The turn of `agent`: its action anew, what the critics say of it beside what the others do by now, and its loss's gradient by
    /// every weight in partial sums.
    pub fn record_policy_gradient(&self, to: &mut Recorder, tick: usize, agent: usize) {
        let (policies, critics, groups) = (&self.policies, &self.critics, self.groups(1));
        policies.draw_one[agent][0].record(to, tick, groups);
        critics.online.iter().for_each(|net| net.record_forward(to));
        critics.judge[agent].record(to, tick, groups);
        let online = critics.online.iter();
        online.for_each(|net| net.record_backward_to_input(to));
        policies.gradient[agent].record(to, tick, groups);
        policies.now[agent].record_backward(to);
    }

    /// The step of `agent`.
    pub fn record_policy_step(&self, to: &mut Recorder, tick: usize, agent: usize) {
        self.policies.turns[agent].record_norms(to, tick);
        self.policies.turns[agent].record_step(to, tick);
    }

    /// What `agent` would do after its step, for those who come behind it.
    pub fn record_after(&self, to: &mut Recorder, tick: usize, agent: usize) {
        self.policies.now[agent].record_forward(to);
        self.policies.draw_one[agent][1].record(to, tick, self.groups(1));
    }

    pub fn record_temperatures(&self, to: &mut Recorder, tick: usize) {
        let (agents, members) = (self.run.sizes.agents, self.run.sizes.members);
        self.temperature_step
            .record(to, tick, [agents + 1, members, 1]);
    }

    /// Q⁻ ← Q⁻ + τ (Q - Q⁻).
    pub fn record_target_update(&self, to: &mut Recorder, tick: usize) {
        let groups = [self.critics.stride.div_ceil(64), self.run.sizes.members, 1];
        self.critics.polyak.record(to, tick, groups);
    }

    /// Names and places of all parameters.
    fn parameters(&self) -> Vec<Parameters<'_>> {
        let critics = &self.critics;
        let named = |before: &str| {
            let nets = critics.nets.iter().enumerate();
            nets.flat_map(|(k, net)| net.arrays(&format!("{before}critic_{k}")))
                .collect()
        };
        vec![
            Parameters {
                words: &self.policies.adam.params,
                stride: self.policies.stride,
                arrays: self.policies.net.arrays("actor"),
            },
            Parameters {
                words: &critics.adam.params,
                stride: critics.stride,
                arrays: named(""),
            },
            Parameters {
                words: &critics.target_params,
                stride: critics.stride,
                arrays: named("target."),
            },
        ]
    }

    fn memory(&self) -> Vec<(String, Region, Vec<usize>)> {
        let s = &self.run.sizes;
        let of = |name: &str, adam: &Adam, stride: usize| {
            let shape = vec![s.members, stride];
            [
                (format!("{name}.adam.m"), adam.m.clone(), shape.clone()),
                (format!("{name}.adam.v"), adam.v.clone(), shape),
            ]
        };
        let mut memory = Vec::from(of("actor", &self.policies.adam, self.policies.stride));
        memory.extend(of("critic", &self.critics.adam, self.critics.stride));
        let shape = vec![s.members, s.agents + 1, TEMPERATURE_WORDS];
        memory.push(("temperature".to_owned(), self.temperature.clone(), shape));
        memory
    }
}

/// What batch, critics and policies are made from.
struct Parts<'a> {
    gpu: &'a Gpu,
    config: &'a Config,
    run: &'a OffPolicy,
    /// Transitions of a batch, `B`.
    rows: usize,
    /// Columns of an agent's action before the critics.
    n: usize,
    /// Of all kernels.
    constants: Constants,
    log_probs: Region,
    share: Region,
}

impl<'a> Parts<'a> {
    fn new(gpu: &'a Gpu, config: &'a Config, run: &'a OffPolicy) -> Self {
        let (s, rows, n) = (&run.sizes, run.replay.sizes.batch, run.sizes.outputs());
        let all = 4 * (s.agents * s.members * rows) as u64;
        Self {
            gpu,
            config,
            run,
            rows,
            n,
            constants: Constants::default()
                .uint("MEMBERS", s.members)
                .uint("AGENTS", s.agents)
                .uint("BATCH", rows)
                .uint("N", n)
                .uint("STATE", s.state),
            log_probs: gpu.storage("log-probabilities of a batch", Draw::ALL.len() as u64 * all),
            share: gpu.storage("shares of rows", all),
        }
    }

    fn words(&self, what: &str, n: usize) -> Region {
        self.gpu.storage(what, 4 * n as u64)
    }

    /// Part `i` of a region of `[…, P, B, width]`.
    fn part(&self, of: &Region, i: usize, width: usize) -> Region {
        let words = self.run.sizes.members * self.rows * width;
        of.part(i * words, words)
    }

    /// The same of padded rows.
    fn rows_of(&self, of: &Rows, i: usize) -> Rows {
        Rows {
            region: self.part(&of.region, i, of.stride),
            stride: of.stride,
        }
    }

    fn batch(&self, critic: &Network) -> Batch {
        let (gpu, s, run, io) = (self.gpu, &self.run.sizes, self.run, self.run.env.io());
        let (r, each) = (&run.replay.sizes, s.members * self.rows);
        let mask = s.actions.mask();
        let seen = Rows::padded(gpu, "observations of a batch", 2 * s.agents * each, s.obs);
        let joint = Rows::padded(gpu, "critics' inputs", 2 * each, critic.inputs());
        let allowed = self.words("allowed actions of a batch", 2 * s.agents * each * mask);
        let outcomes = self.words("returns of a batch", 2 * each);
        let valid = self.words("living agents of a batch", s.agents * each);
        let ring = Constants::default()
            .uint("MEMBERS", s.members)
            .uint("GROUPS", s.members * s.envs)
            .uint("AGENTS", s.agents)
            .uint("BATCH", self.rows)
            .uint("CAPACITY", r.capacity)
            .uint("LIMIT", r.limit)
            .uint("KEPT", r.kept);
        let constants = ring
            .clone()
            .uint("OBS", s.obs)
            .uint("INPUT", seen.stride)
            .uint("N", mask)
            .flag("NORM", self.config.feature_norm);
        let binds = [
            Bind::Read(&io.obs),
            Bind::Read(&run.replay.kept_obs),
            Bind::Read(&io.avail),
            Bind::Read(&run.replay.drawn),
            Bind::Write(&seen.region),
            Bind::Write(&allowed),
        ];
        let file = include_str!("../../shaders/learn/gather_seen.wgsl");
        let files = [TRANSITIONS, file];
        let gather_seen = Kernel::new(gpu, "gather_seen", &constants, &files, &binds);
        let gamma = self.config.each(|m| m.gamma as f32);
        let gamma = gpu.storage_from("discounts", &gamma);
        let continuous = matches!(s.actions, ActionSpace::Continuous(_));
        let constants = ring
            .uint("STATE", s.state)
            .uint("JOINT", joint.stride)
            .uint("N", self.n)
            .flag("CONTINUOUS", continuous)
            .float("REWARD_SCALE", self.config.reward_scale)
            .flag("BOOTSTRAP_CUT", self.config.bootstrap_truncated);
        let binds = [
            Bind::Read(&io.state),
            Bind::Read(&run.replay.kept_state),
            Bind::Read(&io.actions),
            Bind::Read(&io.reward),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.agent_done),
            Bind::Read(&run.replay.drawn),
            Bind::Read(&gamma),
            Bind::Write(&joint.region),
            Bind::Write(&outcomes),
            Bind::Write(&valid),
        ];
        let file = include_str!("../../shaders/learn/gather_transitions.wgsl");
        let files = [TRANSITIONS, file];
        let gather = Kernel::new(gpu, "gather_transitions", &constants, &files, &binds);
        Batch {
            seen,
            allowed,
            joint,
            outcomes,
            valid,
            gather_seen,
            gather,
        }
    }

    /// The words of the shaders' `Who`.
    fn who(&self, agent: usize, draw: Draw) -> Region {
        let words = [agent as u32, draw as u32, 0, 0];
        self.gpu.storage_from("whose turn it is", &words)
    }

    fn critics(
        &self,
        nets: Vec<Network>,
        shape: &Shape,
        adam: Adam,
        batch: &Batch,
        temperature: &Region,
    ) -> Critics {
        let (gpu, s) = (self.gpu, &self.run.sizes);
        let each = s.members * self.rows;
        let columns = nets[0].inputs();
        let q = self.words("values", nets.len() * each);
        let q_grad = self.words("derivatives of values", nets.len() * each);
        let target_q = self.words("the targets' values", nets.len() * each);
        let input_grad = self.words("derivatives of actions", each * columns);
        let said = self.words("losses of the critics", 4 * each);
        let policy_loss = self.words("losses of the policies", s.agents * each);
        let target_params = gpu.storage("target parameters", adam.params.size);
        let activate = Activate::Relu;
        let (now, next) = (self.rows_of(&batch.joint, 0), self.rows_of(&batch.joint, 1));
        let online = nets.iter().enumerate().map(|(k, net)| {
            Stack::new(
                gpu,
                shape,
                &net.layers,
                activate,
                &adam.params,
                &now,
                Some((&input_grad, k > 0)),
                &self.part(&q, k, 1),
                &self.part(&q_grad, k, 1),
                &adam.partials,
            )
        });
        let online = online.collect();
        let target = nets.iter().enumerate().map(|(k, net)| {
            let out = self.part(&target_q, k, 1);
            let layers = &net.layers;
            Stack::evaluated(gpu, shape, layers, activate, &target_params, &next, &out)
        });
        let target = target.collect();
        let constants = self
            .constants
            .clone()
            .uint("CRITICS", nets.len())
            .float("HUBER", self.config.huber_delta);
        let file = include_str!("../../shaders/learn/hasac_critic.wgsl");
        // Compiled once for all agents.
        let kernel = |entry: &str, like: Option<&Kernel>, who: &Region| {
            let binds = [
                Bind::Read(who),
                Bind::Write(&q),
                Bind::Write(&target_q),
                Bind::Read(&batch.outcomes),
                Bind::Read(&self.log_probs),
                Bind::Read(temperature),
                Bind::Read(&batch.valid),
                Bind::Write(&q_grad),
                Bind::Write(&said),
                Bind::Write(&self.share),
                Bind::Write(&policy_loss),
            ];
            match like {
                None => Kernel::new(gpu, entry, &constants, &[RNG, HASAC, file], &binds),
                Some(kernel) => kernel.rebound(gpu, &binds),
            }
        };
        let learn = kernel("hasac_target", None, &self.who(0, Draw::Next));
        let mut judge: Vec<Kernel> = Vec::new();
        for i in 0..s.agents {
            let who = self.who(i, Draw::Trial);
            judge.push(kernel("hasac_value_gradient", judge.first(), &who));
        }
        let words = Constants::default()
            .uint("STRIDE", shape.stride)
            .uint("FIRST", 0)
            .uint("LENGTH", shape.stride)
            .float("TAU", self.config.target_polyak);
        let binds = [
            Bind::Tick(&self.run.ticks),
            Bind::Read(&adam.params),
            Bind::Write(&target_params),
        ];
        let files = [TICK, include_str!("../../shaders/learn/polyak.wgsl")];
        let polyak = Kernel::new(gpu, "polyak", &words, &files, &binds);
        Critics {
            nets,
            stride: shape.stride,
            adam,
            target_params,
            online,
            target,
            q,
            q_grad,
            target_q,
            input_grad,
            said,
            policy_loss,
            learn,
            judge,
            polyak,
        }
    }

    fn policies(
        &self,
        net: Network,
        shape: &Shape,
        adam: Adam,
        batch: &Batch,
        critics: &Critics,
        temperature: &Region,
    ) -> Policies {
        let (gpu, s, run) = (self.gpu, &self.run.sizes, self.run);
        let (each, n) = (s.members * self.rows, net.outputs());
        let logits = self.words("logits", 2 * s.agents * each * n);
        let logits_grad = self.words("derivatives of logits", s.agents * each * n);
        let chosen = self.words("actions of a batch", Draw::ALL.len() * s.agents * each);
        let activate = Activate::from(self.config.activation);
        let now = (0..s.agents).map(|i| {
            Stack::new(
                gpu,
                shape,
                &net.copy(i).layers,
                activate,
                &adam.params,
                &self.rows_of(&batch.seen, i),
                None,
                &self.part(&logits, i, n),
                &self.part(&logits_grad, i, n),
                &adam.partials,
            )
        });
        let now = now.collect();
        let next = (s.agents..2 * s.agents).map(|i| {
            let (seen, out) = (self.rows_of(&batch.seen, i), self.part(&logits, i, n));
            let layers = &net.copy(i - s.agents).layers;
            Stack::evaluated(gpu, shape, layers, activate, &adam.params, &seen, &out)
        });
        let next = next.collect();
        let seeds = self.config.seeds_from(self.config.seed);
        let resample = keys(gpu, &seeds, Purpose::Resample);
        let constants = self
            .constants
            .clone()
            .uint("COLUMNS", critics.nets[0].inputs())
            .uint("JOINT", batch.joint.stride);
        let (density, file) = match s.actions {
            ActionSpace::Discrete(_) => (
                "",
                include_str!("../../shaders/learn/hasac_categorical.wgsl"),
            ),
            ActionSpace::Continuous(_) => (
                SQUASHED,
                include_str!("../../shaders/learn/hasac_gaussian.wgsl"),
            ),
        };
        // Compiled once for all agents and draws.
        let kernel = |entry: &str, like: Option<&Kernel>, who: &Region| {
            let binds = [
                Bind::Tick(&run.ticks),
                Bind::Read(who),
                Bind::Read(&resample),
                Bind::Write(&logits),
                Bind::Read(&batch.allowed),
                Bind::Write(&batch.joint.region),
                Bind::Write(&self.log_probs),
                Bind::Write(&chosen),
                Bind::Read(&critics.input_grad),
                Bind::Read(temperature),
                Bind::Read(&self.share),
                Bind::Write(&logits_grad),
            ];
            let files = [TICK, RNG, HASAC, density, file];
            match like {
                None => Kernel::new(gpu, entry, &constants, &files, &binds),
                Some(kernel) => kernel.rebound(gpu, &binds),
            }
        };
        let first = kernel("hasac_draw", None, &self.who(0, Draw::Next));
        let draw = |i: usize, draw: Draw| kernel("hasac_draw", Some(&first), &self.who(i, draw));
        let before = draw(0, Draw::Before);
        let draw_one = (0..s.agents).map(|i| [Draw::Trial, Draw::After].map(|d| draw(i, d)));
        let draw_one = draw_one.collect();
        let mut gradient: Vec<Kernel> = Vec::new();
        for i in 0..s.agents {
            let who = self.who(i, Draw::Trial);
            gradient.push(kernel("hasac_policy_gradient", gradient.first(), &who));
        }
        let turns = (0..s.agents).map(|i| adam.one(gpu, i, &run.ticks));
        Policies {
            turns: turns.collect(),
            stride: shape.stride,
            net,
            adam,
            now,
            next,
            logits,
            logits_grad,
            log_probs: self.log_probs.clone(),
            chosen,
            draw_all: [first, before],
            draw_one,
            gradient,
        }
    }
}

impl Learner for Hasac {
    fn update(&mut self) -> Result<(), LearnError> {
        let mut to = self.run.begin_update();

        // COLLECT: T steps of E environments, each action drawn from its agent's policy, at first uniformly, into the replay.
        self.run.record_rollout(&mut to);

        for i in 0..self.run.gradient_steps() {
            let tick = self.run.gradient_tick(i);
            // SAMPLE: transitions with their n-step returns.
            self.record_batch(&mut to, tick);

            // CRITICS: a step each towards what the target critics say of the policies' next actions.
            self.record_critic_gradients(&mut to, tick);
            self.critics.adam.record_norms(&mut to, tick);
            self.critics.adam.record_step(&mut to, tick);

            // POLICIES: one agent after the other, beside what the agents before it do after their steps.
            self.record_before(&mut to, tick);
            let step = self.run.gradient_steps_done() + i as u64;
            let turns = order(step, self.run.sizes.agents);
            for (turn, &agent) in turns.iter().enumerate() {
                self.record_policy_gradient(&mut to, tick, agent);
                self.record_policy_step(&mut to, tick, agent);
                if turn + 1 < turns.len() {
                    self.record_after(&mut to, tick, agent);
                }
            }

            // TEMPERATURES and TARGETS.
            self.record_temperatures(&mut to, tick);
            self.record_target_update(&mut to, tick);
        }
        self.run.end_update(to)?;
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.run.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.run.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.run.updates()
    }

    fn updates_done(&self) -> u64 {
        self.run.updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let (episodes, timing) = self.run.report()?;
        let (gpu, s, rows) = (&self.run.gpu, self.run.sizes, self.run.replay.sizes.batch);
        let said: Vec<f32> = gpu.read(&self.critics.said)?;
        let losses: Vec<f32> = gpu.read(&self.critics.policy_loss)?;
        let temperatures: Vec<f32> = gpu.read(&self.temperature)?;
        let actor_norms: Vec<f32> = gpu.read(&self.policies.adam.norms)?;
        let critic_norms: Vec<f32> = gpu.read(&self.critics.adam.norms)?;
        let learned = self.run.gradient_steps_done() > 0;
        let mean = |xs: &mut dyn Iterator<Item = f64>, n: usize| xs.sum::<f64>() / n as f64;
        let largest = |norms: &[f32], p: usize| {
            let n = norms.len() / s.members;
            let of_member = norms[p * n..][..n].iter();
            f64::from(of_member.copied().fold(0.0, f32::max))
        };
        let reports = episodes.into_iter().enumerate();
        let reports = reports.map(|(p, (episodes, held))| {
            let at = |a: usize, word: usize| {
                let temperature = p * (s.agents + 1) + a;
                f64::from(temperatures[temperature * TEMPERATURE_WORDS + word])
            };
            let mut diagnostics = BTreeMap::from([
                ("replay_episodes".to_owned(), f64::from(held)),
                ("temperature".to_owned(), at(s.agents, 0)),
            ]);
            if learned {
                let of_member = &said[4 * p * rows..][..4 * rows];
                let column = |k: usize| {
                    let column = of_member.iter().skip(k).step_by(4);
                    mean(&mut column.map(|&x| f64::from(x)), rows)
                };
                let loss = |a: usize| {
                    let of_agent = &losses[(a * s.members + p) * rows..][..rows];
                    of_agent.iter().map(|&x| f64::from(x)).sum::<f64>()
                };
                let more = [
                    ("td_loss", column(0)),
                    ("td_error", column(1)),
                    ("q_taken", column(2)),
                    ("q_target", column(3)),
                    ("actor_loss", mean(&mut (0..s.agents).map(loss), s.agents)),
                    ("entropy", at(s.agents, 4)),
                    (
                        "agent_temperature",
                        mean(&mut (0..s.agents).map(|a| at(a, 0)), s.agents),
                    ),
                    ("actor_grad_norm", largest(&actor_norms, p)),
                    ("critic_grad_norm", largest(&critic_norms, p)),
                ];
                diagnostics.extend(more.map(|(name, x)| (name.to_owned(), x)));
            }
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
        let (net, params) = (&self.policies.net, &self.policies.adam.params);
        let params = (params, self.policies.stride);
        self.run.evaluate(net, params, episodes, greedy, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.run.save(self.parameters(), self.memory())
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let run = &self.run;
        let done = run.restore(self.parameters(), self.memory(), checkpoint)?;
        self.run.go_on_from(done);
        Ok(())
    }
}
