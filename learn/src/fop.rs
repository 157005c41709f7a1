//! FOP (Zhang et al. 2021; `me_igm.md` §10): factorised optimal joint policies. Soft actor-critic in which every agent has a policy of its
//! own, and a joint value that factorises as QPLEX's does, with the agents' soft values in place of their best utilities.
//!
//! ```text
//! v_i = α ln Σ_a exp(Q_i(o_i, a) / α)
//! Q_tot = Σ_i Q_i(o_i, u_i) + V(s) + Σ_i (λ_i(s, u) - 1) (Q_i(o_i, u_i) - v_i),  of which the second sum sends nothing back to the utilities
//! λ_i(s, u) = Σ_k κ_k(s) σ(φ_k(s))_i σ(ξ_k(s, u))_i
//!
//! Q⁻ ← Q (two of each), D = ∅
//! repeat: T steps of E environments, a ~ π, with probability ε any allowed action, into D
//!         G times: B whole episodes of D
//!                  a step of π on Σ_a π_i(a) (α ln π_i(a) - min(Q¹_i, Q²_i)(a))
//!                  u' ~ π, G = TD(λ) of r and min(Q¹⁻_tot, Q²⁻_tot)(s, u'), y_t = G_t - α mean_i ln π_i(u'_{t+1})
//!                  a step of Q¹ and one of Q² on (Q_tot(s, u) - y)²
//!                  Q⁻ ← Q every so often
//! α falls linearly
//! ```
//!
//! Execution draws from the policies, or takes their most probable actions. The policies need not agree with the joint value about what is
//! best: that is what ME-IGM holds against it, and `joint_gap` measures.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{Tensor, activation};
use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::adam::{Adam, AdamConfig};
use crate::agents::{self, Agents};
use crate::alignment::{self, Joint, Ranked};
use crate::burn_device::{BurnDevice, Flat, Recorded};
use crate::checkpoint::Parameters;
use crate::config::{Config, FopEntropy};
use crate::decomposition::{Decomposition, HyperMemory, HyperNet, HyperStacks, Own, Utilities};
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::loss::sum_over_rows;
use crate::net::{Network, UNIFORM_WORDS};
use crate::off_policy::{self, OffPolicy};
use crate::policy::Choice;
use crate::ppo::keys;
use crate::replay::{Batch, EPISODES, GatherAgents, Places, ReplaySizes, episode_constants};
use crate::rng::Purpose;
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const SOFT_VALUE: &str = include_str!("../../shaders/learn/soft_value.wgsl");

/// Critics, of which targets and policies take the smaller value.
pub const CRITICS: usize = 2;

/// Keeps weights from being 0, as in the public code.
const LEAST_WEIGHT: f64 = 1e-10;

/// What the critics' losses say of a batch, per member: means over its steps and both critics.
const DIAGNOSTICS: [&str; 4] = ["td_loss", "td_error", "q_taken", "q_target"];

/// A critic: utilities from the observation and the agent's number, and their mixer.
pub struct CriticNet {
    /// Q_i(o_i, ·), shared by the agents.
    pub utilities: Network,
    pub mixer: Decomposition,
    /// Its words among a member's.
    pub words: Range<usize>,
}

/// Both critics, one behind the other in a member's parameters.
pub fn critics(config: &Config, sizes: &Sizes) -> Vec<CriticNet> {
    let mut first = 0;
    let critic = |k: usize| {
        let inputs = sizes.obs + sizes.agents;
        let utilities = Network::feed_forward(first, inputs, config.critic_hidden, sizes.outputs());
        let mixer = mixer(config, sizes, utilities.end(), k);
        let words = first..mixer.end(first).next_multiple_of(UNIFORM_WORDS);
        first = words.end;
        CriticNet {
            utilities,
            mixer,
            words,
        }
    };
    (0..CRITICS).map(critic).collect()
}

/// The mixer of critic `k` behind word `first`. The heads' layers are linear, so all heads of a kind are one layer.
fn mixer(config: &Config, sizes: &Sizes, first: usize, k: usize) -> Decomposition {
    let (state, agents, heads) = (sizes.state, sizes.agents, config.attention_kernels);
    let joint = state + agents * sizes.outputs();
    let name = |what: &str| format!("mixer_{k}.{what}");
    let value = HyperNet::new(first, &name("value"), &[state, config.mixing_embed, 1]);
    let key = HyperNet::new(value.end(), &name("key"), &[state, heads]);
    let of_agents = HyperNet::new(key.end(), &name("agents"), &[state, heads * agents]);
    let mut action = HyperNet::new(of_agents.end(), &name("action"), &[joint, heads * agents]);
    action.sees_actions = true;
    Decomposition {
        nets: vec![value, key, of_agents, action],
        mixing: 4,
        values: 1,
        mix: Box::new(mix),
        fit: None,
        own: Own::default(),
    }
}

/// `q.best`: the soft values v_i. `outputs`: V `[P, R, 1]`, κ of all heads `[P, R, K]`, φ and ξ `[P, R, K · A]`.
fn mix(q: &Utilities, outputs: &[Tensor<3>]) -> Tensor<3> {
    let [members, rows, agents] = q.taken.dims();
    let heads = outputs[1].dims()[2];
    let of_heads = |x: Tensor<3>| x.reshape([members, rows, heads, agents]);
    let key = (outputs[1].clone().abs() + LEAST_WEIGHT).reshape([members, rows, heads, 1]);
    let of_agents = activation::sigmoid(of_heads(outputs[2].clone()));
    let action = activation::sigmoid(of_heads(outputs[3].clone()));
    let importance = (key * of_agents * action).sum_dim(2);
    let importance = importance.reshape([members, rows, agents]);
    let advantage = (q.taken.clone() - q.best.clone()).detach();
    let weighted = q.taken.clone() + (importance - 1.0) * advantage;
    weighted.sum_dim(2) + outputs[0].clone()
}

/// Where a critic's utilities and soft values lie in both allocations.
pub fn taken(k: usize) -> usize {
    2 * k
}

pub fn soft(k: usize) -> usize {
    2 * k + 1
}

/// In the loss's: targets, and 1 where there is a step, `[P, R, 1]` each.
pub const GOAL: usize = 2 * CRITICS;
pub const MASK: usize = GOAL + 1;

struct LossOutputs {
    taken_grads: Vec<Option<Tensor<3>>>,
    net_grads: Vec<Vec<Option<Tensor<3>>>>,
    /// `[P, DIAGNOSTICS]`
    diagnostics: Tensor<2>,
}

/// The critics' losses in burn, recorded once: the targets' least joint value, and the TD losses with their derivatives. `R` rows of a
/// batch: slots times episodes.
pub struct CriticLoss {
    burn: BurnDevice,
    /// Of each critic the utilities `[P, R, A]` of what was done and the soft values; targets, mask; outputs of each mixer's networks.
    pub batch: Flat,
    /// Of each target critic the same, of what would be done next; outputs of the target mixers' networks.
    pub target: Flat,
    /// Networks of a mixer.
    nets: usize,
    loss: Recorded<LossOutputs>,
    target_values: Recorded<Tensor<3>>,
    /// `[P, R, A]` of each critic.
    pub taken_grads: Vec<Region>,
    /// `[P, R, width]` of each network of each mixer.
    pub net_grads: Vec<Vec<Region>>,
    /// `[P, R, 1]`: the smaller joint value of what would be done next.
    pub next_values: Region,
    /// `[P, DIAGNOSTICS]`
    pub diagnostics: Region,
}

impl CriticLoss {
    /// Words of a row of a batch, of a member.
    fn words(sizes: &Sizes, critics: &[CriticNet]) -> usize {
        let nets = critics.iter().flat_map(|c| &c.mixer.nets);
        2 * CRITICS * sizes.agents + 2 + nets.map(HyperNet::outputs).sum::<usize>()
    }

    /// Records the losses of batches of `rows` rows per member.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        rows: usize,
        critics: &[CriticNet],
    ) -> Result<Self, LearnError> {
        let burn = BurnDevice::new(gpu)?;
        let of_rows = |width: usize| vec![sizes.members, rows, width];
        let utilities = vec![of_rows(sizes.agents); 2 * CRITICS];
        let nets = critics.iter().flat_map(|c| &c.mixer.nets);
        let nets: Vec<_> = nets.map(|net| of_rows(net.outputs())).collect();
        let of_steps = vec![of_rows(1); 2];
        let batch = burn.flat(&[utilities.clone(), of_steps, nets.clone()].concat())?;
        let target = burn.flat(&[utilities, nets].concat())?;
        for flat in [&batch, &target] {
            gpu.write(&flat.region, &vec![0.0_f32; flat.total_words()]);
        }
        let per_mixer = critics[0].mixer.nets.len();
        let target_values = burn.capture(|| {
            let joint = |k: usize| {
                let q = Utilities {
                    taken: target.tensor(taken(k)),
                    best: target.tensor(soft(k)),
                };
                let nets = (0..per_mixer).map(|i| target.tensor(GOAL + k * per_mixer + i));
                (critics[k].mixer.mix)(&q, &nets.collect::<Vec<_>>())
            };
            joint(0).min_pair(joint(1))
        })?;
        let loss = burn.capture(|| td_loss(&batch, critics))?;
        let outputs = &loss.output;
        let region = |grad: &Option<Tensor<3>>| {
            let absent = || LearnError::Burn("the loss has no gradient".into());
            burn.region(grad.as_ref().ok_or_else(absent)?)
        };
        let regions = |grads: &Vec<Option<Tensor<3>>>| grads.iter().map(region).collect();
        let net_grads = outputs.net_grads.iter().map(regions);
        Ok(Self {
            taken_grads: regions(&outputs.taken_grads)?,
            net_grads: net_grads.collect::<Result<_, LearnError>>()?,
            diagnostics: burn.region(&outputs.diagnostics)?,
            next_values: burn.region(&target_values.output)?,
            nets: per_mixer,
            burn,
            batch,
            target,
            loss,
            target_values,
        })
    }

    /// Where network `i` of mixer `k` puts its outputs, that of its target if `target`.
    pub fn output(&self, k: usize, i: usize, target: bool) -> Region {
        let net = k * self.nets + i;
        if target {
            self.target.part(GOAL + net)
        } else {
            self.batch.part(MASK + 1 + net)
        }
    }

    /// # Errors
    /// [`LearnError::Burn`].
    fn replay(&self) -> Result<u64, LearnError> {
        self.loss.replay()?;
        self.burn.flush()?;
        Ok(self.loss.launches)
    }

    /// # Errors
    /// [`LearnError::Burn`].
    pub fn replay_target(&self) -> Result<u64, LearnError> {
        self.target_values.replay()?;
        self.burn.flush()?;
        Ok(self.target_values.launches)
    }
}

/// Σ mask (Q_tot - y)² / Σ mask of each critic. Critics and members have parameters of their own, so that in the sum the gradient of each
/// is its own loss's.
fn td_loss(batch: &Flat, critics: &[CriticNet]) -> LossOutputs {
    let tensor = |i: usize| Tensor::<3>::from_inner(batch.tensor(i));
    let (goal, mask) = (tensor(GOAL), tensor(MASK));
    let steps = sum_over_rows(mask.clone()).clamp_min(1.0);
    let mean = |x: Tensor<3>| sum_over_rows(x * mask.clone()) / steps.clone();
    let (mut utilities, mut nets, mut losses, mut said) = (vec![], vec![], vec![], vec![]);
    let mut first = MASK + 1;
    for (k, critic) in critics.iter().enumerate() {
        let q = Utilities {
            taken: tensor(taken(k)).require_grad(),
            best: tensor(soft(k)),
        };
        let end = first + critic.mixer.nets.len();
        let of_mixer: Vec<_> = (first..end).map(|i| tensor(i).require_grad()).collect();
        first = end;
        let joint = (critic.mixer.mix)(&q, &of_mixer);
        let error = joint.clone() - goal.clone();
        let loss = mean(error.clone() * error.clone());
        let of_batch = [
            loss.clone(),
            mean(error.abs()),
            mean(joint),
            mean(goal.clone()),
        ];
        said.push(Tensor::cat(Vec::from(of_batch.map(|x| x.inner())), 2));
        losses.push(loss);
        utilities.push(q.taken);
        nets.push(of_mixer);
    }
    let loss = Tensor::cat(losses, 2).sum();
    let mut grads = loss.backward();
    // Gradients get memory of their own: our kernels know no strides.
    let mut grad = |x: &Tensor<3>| x.grad_remove(&mut grads).map(|grad| grad * 1.0);
    let taken_grads = utilities.iter().map(&mut grad).collect();
    let net_grads = nets
        .iter()
        .map(|of_mixer| of_mixer.iter().map(&mut grad).collect())
        .collect();
    let critics = said.len() as f64;
    let said = Tensor::cat(said, 1).sum_dim(1) / critics;
    let [members, _, width] = said.dims();
    LossOutputs {
        taken_grads,
        net_grads,
        diagnostics: said.reshape([members, width]),
    }
}

/// π_i(· | τ_i): the agents' network, whose outputs are logits.
pub struct Actor {
    pub net: Network,
    pub stride: usize,
    pub adam: Adam,
    pub agents: Agents,
    gradient: Kernel,
    /// `[P, SLOTS · B · A, 2]`: of each row its part of the loss, and the policy's entropy.
    pub said: Region,
    /// `[P, 2]`: loss and entropy of the last batch.
    pub report: Region,
    report_kernel: Kernel,
}

/// Both critics over a batch, those that learn and their targets.
pub struct Critics {
    pub nets: Vec<CriticNet>,
    pub stride: usize,
    /// An optimiser of each.
    pub adam: Adam,
    /// `[P, stride]`
    pub target_params: Region,
    pub input: Rows,
    gather: GatherAgents,
    stacks: Vec<CriticStacks>,
    utilities: Kernel,
    utilities_backward: Kernel,
}

/// One of them.
pub struct CriticStacks {
    online: Stack,
    target: Stack,
    mixer: Vec<HyperStacks>,
    /// `[P, SLOTS, B, A, N]`
    pub q: Region,
    q_grad: Region,
    pub target_q: Region,
}

impl Critics {
    /// Utilities of critic `k`, `[P, SLOTS, B, A, N]`.
    pub fn q(&self, k: usize) -> &Region {
        &self.stacks[k].q
    }

    pub fn target_q(&self, k: usize) -> &Region {
        &self.stacks[k].target_q
    }
}

pub struct Fop {
    pub run: OffPolicy,
    pub batch: Batch,
    pub actor: Actor,
    pub critics: Critics,
    pub loss: CriticLoss,
    /// `[1]`: α.
    pub temperature: Region,
    next: Kernel,
    /// `[P, SLOTS, B, A]`: ln π of what would be done next.
    pub log_probs: Region,
    td_lambda: Kernel,
    entropy: Kernel,
}

impl Fop {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        off_policy::check(gpu, config, &*env)?;
        let sizes = Sizes::new(config, env.spec())?;
        let replay = ReplaySizes::new(config, env.spec())?;
        let nets = critics(config, &sizes);
        let of_row = CriticLoss::words(&sizes, &nets);
        gpu.check_fits(
            "a batch's mixers",
            4 * (sizes.members * replay.slots * of_row) as u64,
            config.batch as u64,
            "episodes in a batch",
        )?;
        let loss = CriticLoss::new(gpu, &sizes, replay.rows(), &nets)?;
        let ticks = off_policy::ticks(gpu, config);
        gpu.guarded("the learner's kernels", || -> Result<Self, LearnError> {
            let net = agents::network(config, &sizes);
            let by_rows = config.by_rows(gpu);
            let (rows, agent_rows) = (replay.rows(), replay.rows() * sizes.agents);
            let actor_stride = net.end().next_multiple_of(UNIFORM_WORDS);
            let critic_stride = nets[CRITICS - 1].words.end;
            let hidden = config.hidden.max(config.critic_hidden);
            let of_states = nets[0].mixer.hidden();
            // As a batch has them, for whoever sums gradients over its rows.
            let shape = |rows: usize, stride: usize, widths: [usize; 2]| {
                let widths = widths.map(|n| n.next_multiple_of(4));
                Shape::new(gpu, sizes.members, rows, stride, &widths, by_rows)
            };
            let of_agents = [hidden, net.inputs()];
            let actor_shape = shape(agent_rows, actor_stride, of_agents);
            let of_utilities = shape(agent_rows, critic_stride, of_agents);
            let of_mixers = shape(rows, critic_stride, [of_states, sizes.state]);
            // As many partial sums as the weights have that have the most.
            let critic_shape = match of_utilities.chunks() >= of_mixers.chunks() {
                true => of_utilities,
                false => of_mixers,
            };
            for shape in [&actor_shape, &critic_shape] {
                shape.check_gradients(gpu, config.batch)?;
            }
            let rates = config.each(|m| m.learning_rate as f32);
            let optimiser = |shape: &Shape, ends: &[usize]| {
                let settings = AdamConfig {
                    epsilon: config.adam_eps,
                    max_grad_norm: vec![config.max_grad_norm as f32; ends.len()],
                    rule: config.optimiser,
                };
                Adam::new(gpu, shape, ends, &settings, &rates, &ticks)
            };
            let actor_adam = optimiser(&actor_shape, &[actor_stride]);
            let ends: Vec<_> = nets.iter().map(|net| net.words.end).collect();
            let critic_adam = optimiser(&critic_shape, &ends);
            let run = OffPolicy::new(
                gpu,
                config,
                sizes,
                replay,
                env,
                ticks,
                &net,
                (&actor_adam.params, actor_stride),
                Choice::Mixture,
            );
            let io = run.env.io().clone();
            let context = off_policy::context(
                gpu,
                config,
                &sizes,
                &run.ticks,
                &actor_adam.params,
                actor_stride,
            );
            let places = Places {
                batch: &loss.batch,
                mask: loss.batch.words[MASK].start,
            };
            let widths = [hidden, of_states];
            let batch = Batch::new(&context, config, &io, &run.replay, widths, true, &places)?;

            let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
            let temperature = words("temperature", 1);
            let log_probs = words("log-probabilities of a batch", sizes.members * agent_rows);
            let critics = Parts {
                gpu,
                sizes: &sizes,
                run: &run,
                batch: &batch,
                loss: &loss,
                temperature: &temperature,
            }
            .critics(nets, critic_stride, critic_adam, &context);

            let sequences = [replay.slots, replay.batch * sizes.agents];
            let agents = Agents::new(
                gpu,
                &net,
                context.activate,
                &actor_adam.params,
                &batch,
                sequences,
                Some(&actor_adam.partials),
            )?;
            let episodes = episode_constants(&sizes, &replay)
                .uint("ROWS", agent_rows)
                .uint("N", sizes.outputs());
            let said = words("losses of the policies", 2 * sizes.members * agent_rows);
            let report = words("report of the policies", 2 * sizes.members);
            let binds = [
                Bind::Write(&agents.q),
                Bind::Write(&batch.allowed),
                Bind::Write(critics.q(0)),
                Bind::Write(critics.q(1)),
                Bind::Read(&temperature),
                Bind::Write(&agents.q_grad),
                Bind::Write(&said),
                Bind::Read(&run.replay.drawn),
            ];
            let file = include_str!("../../shaders/learn/fop_actor.wgsl");
            let constants = episodes.clone().uint("DRAWN", 7);
            let gradient = Kernel::new(gpu, "fop_actor", &constants, &[EPISODES, file], &binds);
            let binds = [
                Bind::Write(&said),
                Bind::Write(&report),
                Bind::Read(&run.replay.drawn),
            ];
            let file = include_str!("../../shaders/learn/fop_report.wgsl");
            let constants = episodes.clone().uint("DRAWN", 2);
            let report_kernel =
                Kernel::new(gpu, "fop_report", &constants, &[EPISODES, file], &binds);

            let seeds = config.seeds_from(config.seed);
            let resample = keys(gpu, &seeds, Purpose::Resample);
            let start = |i: usize| loss.target.words[i].start;
            let constants = Constants::default()
                .uint("ROWS", agent_rows)
                .uint("N", sizes.outputs())
                .uints("TAKEN", &[start(taken(0)), start(taken(1))])
                .uints("SOFT", &[start(soft(0)), start(soft(1))]);
            let binds = [
                Bind::Tick(&run.ticks),
                Bind::Write(&agents.q),
                Bind::Write(&batch.allowed),
                Bind::Write(critics.target_q(0)),
                Bind::Write(critics.target_q(1)),
                Bind::Write(&batch.next),
                Bind::Write(&log_probs),
                Bind::Read(&resample),
                Bind::Read(&temperature),
                Bind::Write(&loss.target.region),
            ];
            let file = include_str!("../../shaders/learn/fop_next.wgsl");
            let files = [TICK, RNG, SOFT_VALUE, file];
            let next = Kernel::new(gpu, "fop_next", &constants, &files, &binds);

            let discount = config.each(|m| [m.gamma as f32, config.td_lambda as f32]);
            let discount = gpu.storage_from("discounts", &discount);
            let goal = loss.batch.words[GOAL].start;
            let constants = episode_constants(&sizes, &replay)
                .uint("SLOTS", replay.slots)
                .uint("UNITS", 1)
                .uint("GOAL", goal)
                .flag("SOFT", false)
                .flag("Q_LAMBDA", false)
                .uint("TEMPERATURE_STRIDE", 0)
                .uint("DRAWN", 6);
            let none = gpu.storage("nothing", 4);
            let binds = [
                Bind::Read(&discount),
                Bind::Write(&batch.rewards),
                Bind::Write(&loss.next_values),
                Bind::Write(&loss.batch.region),
                Bind::Write(&log_probs),
                Bind::Read(&temperature),
                Bind::Read(&run.replay.drawn),
                Bind::Write(&batch.ended),
                Bind::Write(&none),
            ];
            let file = include_str!("../../shaders/learn/episode_td_lambda.wgsl");
            let files = [EPISODES, file];
            let td_lambda = Kernel::new(gpu, "episode_td_lambda", &constants, &files, &binds);
            let constants = episode_constants(&sizes, &replay)
                .uint("ROWS", rows)
                .uint("GOAL", goal)
                .flag("PRINCIPLED", config.fop_entropy == FopEntropy::Principled)
                .uint("DRAWN", 4);
            let binds = [
                Bind::Read(&discount),
                Bind::Read(&temperature),
                Bind::Write(&log_probs),
                Bind::Write(&loss.batch.region),
                Bind::Read(&run.replay.drawn),
            ];
            let file = include_str!("../../shaders/learn/fop_entropy.wgsl");
            let entropy = Kernel::new(gpu, "fop_entropy", &constants, &[EPISODES, file], &binds);
            let fop = Self {
                actor: Actor {
                    net,
                    stride: actor_stride,
                    adam: actor_adam,
                    agents,
                    gradient,
                    said,
                    report,
                    report_kernel,
                },
                run,
                batch,
                critics,
                loss,
                temperature,
                next,
                log_probs,
                td_lambda,
                entropy,
            };
            fop.initialise();
            Ok(fop)
        })?
    }

    /// Initial parameters, the targets' the same, and the first observations.
    fn initialise(&self) {
        let (members, config) = (self.run.sizes.members, &self.run.config);
        let seeds = config.seeds_from(config.seed);
        let mut of_actor = vec![0.0; members * self.actor.stride];
        let mut of_critics = vec![0.0; members * self.critics.stride];
        for (words, &seed) in of_actor.chunks_exact_mut(self.actor.stride).zip(&seeds) {
            self.actor.net.initialise_uniform(words, seed, 0);
        }
        let words = of_critics.chunks_exact_mut(self.critics.stride);
        for (words, &seed) in words.zip(&seeds) {
            for (critic, stream) in self.critics.nets.iter().zip((16..).step_by(32)) {
                critic.utilities.initialise_uniform(words, seed, stream);
                let nets = critic.mixer.nets.iter().zip((stream + 16..).step_by(4));
                nets.for_each(|(net, stream)| net.initialise(words, seed, stream));
            }
        }
        let gpu = &self.run.gpu;
        gpu.write(&self.actor.adam.params, &of_actor);
        gpu.write(&self.critics.adam.params, &of_critics);
        gpu.write(&self.critics.target_params, &of_critics);
        self.write_temperature();
        self.run.reset();
    }

    /// α of the coming update.
    pub fn alpha(&self) -> f64 {
        self.alpha_at(self.run.env_steps())
    }

    /// In front of environment step `steps` of a member.
    fn alpha_at(&self, steps: u64) -> f64 {
        let c = &self.run.config;
        let (from, to) = (c.temperature_init, c.temperature_finish);
        off_policy::falling(from, to, c.temperature_anneal, steps)
    }

    fn write_temperature(&self) {
        let alpha = self.alpha() as f32;
        self.run.gpu.write(&self.temperature, &[alpha]);
    }

    /// Workgroups of a kernel with an invocation for every agent of a batch.
    fn agent_groups(&self) -> [usize; 3] {
        let rows = self.run.replay.sizes.rows() * self.run.sizes.agents;
        [rows.div_ceil(64), self.run.sizes.members, 1]
    }

    /// Draws a batch, and what policies and critics say of it.
    pub fn record_batch(&self, to: &mut Recorder, tick: usize) {
        self.run.replay.record_draw(to, tick);
        self.batch.record_gather(to);
        self.critics.gather.record(to);
        self.actor.agents.record_forward(to);
        for critic in &self.critics.stacks {
            critic.online.record_forward(to);
            critic.mixer.iter().for_each(|net| net.record_forward(to));
        }
        let groups = self.agent_groups();
        self.critics.utilities.record(to, tick, groups);
    }

    /// The gradient of the policies' loss.
    pub fn record_actor_gradient(&self, to: &mut Recorder, tick: usize) {
        self.actor.gradient.record(to, tick, self.agent_groups());
        self.actor.agents.record_backward(to, |_| ());
    }

    /// Actions of the policies in every slot, ln π of them, what the target critics say of them.
    pub fn record_next(&self, to: &mut Recorder, tick: usize) {
        self.next.record(to, tick, self.agent_groups());
    }

    /// What the policies as they are now would do in every slot, what the target critics say of it, TD(λ) and the entropy.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_targets(&self, to: &mut Recorder, tick: usize) -> Result<(), LearnError> {
        self.actor.agents.record_forward(to);
        for critic in &self.critics.stacks {
            critic.target.record_forward(to);
        }
        self.record_next(to, tick);
        self.batch.record_gather_next(to);
        for critic in &self.critics.stacks {
            critic.mixer.iter().for_each(|net| net.record_target(to));
        }
        to.submit();
        to.launches += self.loss.replay_target()?;
        let (r, members) = (&self.run.replay.sizes, self.run.sizes.members);
        let groups = [r.batch.div_ceil(64), members, 1];
        self.td_lambda.record(to, tick, groups);
        let groups = [r.rows().div_ceil(64), members, 1];
        self.entropy.record(to, tick, groups);
        Ok(())
    }

    /// The critics' losses, and their gradient by every weight in partial sums.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_critic_gradients(
        &self,
        to: &mut Recorder,
        tick: usize,
    ) -> Result<(), LearnError> {
        to.submit();
        to.launches += self.loss.replay()?;
        let groups = self.agent_groups();
        self.critics.utilities_backward.record(to, tick, groups);
        for critic in &self.critics.stacks {
            critic.online.record_backward(to);
            critic.mixer.iter().for_each(|net| net.record_backward(to));
        }
        Ok(())
    }

    /// What the last batch's policies were like.
    pub fn record_report(&self, to: &mut Recorder) {
        let groups = [self.run.sizes.members, 1, 1];
        self.actor.report_kernel.record(to, 0, groups);
    }

    /// Names and places of all parameters.
    fn parameters(&self) -> Vec<Parameters<'_>> {
        let (actor, critics) = (&self.actor, &self.critics);
        let named = |before: &str| {
            let mut arrays = vec![];
            for (k, critic) in critics.nets.iter().enumerate() {
                arrays.extend(critic.utilities.arrays(&format!("{before}critic_{k}")));
                for net in &critic.mixer.nets {
                    let of_net = net.arrays().into_iter();
                    arrays.extend(
                        of_net
                            .map(|(name, place, shape)| (format!("{before}{name}"), place, shape)),
                    );
                }
            }
            arrays
        };
        vec![
            Parameters {
                words: &actor.adam.params,
                stride: actor.stride,
                arrays: actor.net.arrays("actor"),
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

    fn optimisers(&self) -> Vec<(String, Region, Vec<usize>)> {
        let members = self.run.sizes.members;
        let of = |name: &str, adam: &Adam, stride: usize| {
            let shape = vec![members, stride];
            [
                (format!("{name}.adam.m"), adam.m.clone(), shape.clone()),
                (format!("{name}.adam.v"), adam.v.clone(), shape),
            ]
        };
        let mut memory = Vec::from(of("actor", &self.actor.adam, self.actor.stride));
        memory.extend(of("critic", &self.critics.adam, self.critics.stride));
        memory
    }

    /// How far the least of the joint values is above what it is at the policies' most probable actions.
    ///
    /// # Errors
    /// [`LearnError`].
    pub fn alignment(&self) -> Result<Option<Vec<alignment::Alignment>>, LearnError> {
        let alpha = self.run.gpu.read::<f32>(&self.temperature)?[0];
        let soft_value = |utilities: &[(f32, bool)]| {
            let most = utilities.iter().map(|(q, _)| *q).fold(f32::MIN, f32::max);
            let total: f32 = utilities
                .iter()
                .map(|(q, _)| ((q - most) / alpha).exp())
                .sum();
            most + alpha * total.ln()
        };
        let joint = |k: usize| Joint {
            decomposition: &self.critics.nets[k].mixer,
            q: self.critics.q(k),
            best: &soft_value,
            hidden: None,
        };
        alignment::of_batch(&Ranked {
            gpu: &self.run.gpu,
            sizes: &self.run.sizes,
            batch: &self.batch,
            mask: &self.loss.batch.part(MASK),
            preferences: &self.actor.agents.q,
            params: &self.critics.adam.params,
            joint: &[joint(0), joint(1)],
        })
    }
}

/// What critics are made from.
struct Parts<'a> {
    gpu: &'a Gpu,
    sizes: &'a Sizes,
    run: &'a OffPolicy,
    batch: &'a Batch,
    loss: &'a CriticLoss,
    temperature: &'a Region,
}

impl Parts<'_> {
    fn critics(
        &self,
        nets: Vec<CriticNet>,
        stride: usize,
        adam: Adam,
        context: &crate::policy::Context<'_>,
    ) -> Critics {
        let (gpu, s, batch, loss) = (self.gpu, self.sizes, self.batch, self.loss);
        let of_agents = Shape {
            stride,
            ..batch.agent_shape.clone()
        };
        let of_states = Shape {
            stride,
            ..batch.state_shape.clone()
        };
        let rows = of_agents.rows;
        let target_params = gpu.storage("target parameters", adam.params.size);
        let columns = s.obs + s.agents;
        let input = Rows::padded(gpu, "critics' inputs", s.members * rows, columns);
        let io = self.run.env.io();
        let told = [false, true];
        let gather = GatherAgents::new(context, io, &self.run.replay, &of_agents, &input, told);
        let utilities = |what: &str| gpu.storage(what, 4 * (s.members * rows * s.outputs()) as u64);
        let relu = Activate::Relu;
        let stacks = nets.iter().enumerate().map(|(k, net)| {
            let (q, q_grad) = (
                utilities("utilities"),
                utilities("derivatives of utilities"),
            );
            let target_q = utilities("the target's utilities");
            let layers = &net.utilities.layers;
            let mixer = net.mixer.nets.iter().enumerate().map(|(i, net)| {
                let inputs = match &batch.joint_input {
                    Some([now, next]) if net.sees_actions => [now, next],
                    _ => [&batch.state_input, &batch.state_input],
                };
                let memory = HyperMemory {
                    input: inputs,
                    output: &loss.output(k, i, false),
                    output_grad: &loss.net_grads[k][i],
                    target: Some((&target_params, &loss.output(k, i, true))),
                    of_done: None,
                };
                HyperStacks::new(gpu, &of_states, net, &adam.params, &adam.partials, &memory)
            });
            CriticStacks {
                mixer: mixer.collect(),
                online: Stack::new(
                    gpu,
                    &of_agents,
                    layers,
                    relu,
                    &adam.params,
                    &input,
                    None,
                    &q,
                    &q_grad,
                    &adam.partials,
                ),
                target: Stack::evaluated(
                    gpu,
                    &of_agents,
                    layers,
                    relu,
                    &target_params,
                    &input,
                    &target_q,
                ),
                q,
                q_grad,
                target_q,
            }
        });
        let stacks: Vec<_> = stacks.collect();
        let start = |i: usize| loss.batch.words[i].start;
        let constants = Constants::default()
            .uint("ROWS", rows)
            .uint("N", s.outputs())
            .uints("TAKEN", &[start(taken(0)), start(taken(1))])
            .uints("SOFT", &[start(soft(0)), start(soft(1))]);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Write(&stacks[0].q),
                Bind::Write(&stacks[1].q),
                Bind::Write(&batch.done),
                Bind::Read(self.temperature),
                Bind::Write(&loss.batch.region),
                Bind::Write(&loss.taken_grads[0]),
                Bind::Write(&loss.taken_grads[1]),
                Bind::Write(&stacks[0].q_grad),
                Bind::Write(&stacks[1].q_grad),
            ];
            let file = include_str!("../../shaders/learn/fop_utilities.wgsl");
            Kernel::new(gpu, entry, &constants, &[SOFT_VALUE, file], &binds)
        };
        Critics {
            utilities: kernel("fop_utilities"),
            utilities_backward: kernel("fop_utilities_backward"),
            nets,
            stride,
            adam,
            target_params,
            input,
            gather,
            stacks,
        }
    }
}

impl Learner for Fop {
    fn update(&mut self) -> Result<(), LearnError> {
        self.write_temperature();
        let mut to = self.run.begin_update();

        // COLLECT: T steps of E environments, each action drawn from its policy, into the replay.
        self.run.record_rollout(&mut to);

        for i in 0..self.run.gradient_steps() {
            let tick = self.run.gradient_tick(i);
            // SAMPLE: whole episodes, what policies and critics say of them.
            self.record_batch(&mut to, tick);

            // ACTOR: every policy towards the softmax of the smaller utilities.
            self.record_actor_gradient(&mut to, tick);
            self.actor.adam.record_norms(&mut to, tick);
            self.actor.adam.record_step(&mut to, tick);

            // TARGET: what the policies would do now, the smaller of the targets' joint values, TD(λ), entropy.
            self.record_targets(&mut to, tick)?;

            // CRITICS: a step each.
            self.record_critic_gradients(&mut to, tick)?;
            self.critics.adam.record_norms(&mut to, tick);
            self.critics.adam.record_step(&mut to, tick);
            if self.run.target_due(i) {
                to.copy(&self.critics.adam.params, &self.critics.target_params);
            }
        }
        self.record_report(&mut to);
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
        let gpu = &self.run.gpu;
        let said: Vec<f32> = gpu.read(&self.loss.diagnostics)?;
        let of_actor: Vec<f32> = gpu.read(&self.actor.report)?;
        let actor_norms: Vec<f32> = gpu.read(&self.actor.adam.norms)?;
        let critic_norms: Vec<f32> = gpu.read(&self.critics.adam.norms)?;
        let learned = self.run.gradient_steps_done() > 0;
        let before = self.run.env_steps_before();
        let alignment = if learned { self.alignment()? } else { None };
        let reports = episodes
            .into_iter()
            .enumerate()
            .map(|(p, (episodes, held))| {
                let mut diagnostics = BTreeMap::from([
                    ("replay_episodes".to_owned(), f64::from(held)),
                    ("epsilon".to_owned(), self.run.epsilon_at(before)),
                    ("temperature".to_owned(), self.alpha_at(before)),
                ]);
                if learned {
                    let said = &said[p * DIAGNOSTICS.len()..];
                    let said = DIAGNOSTICS.iter().zip(said).map(|(name, x)| (*name, *x));
                    let norms = &critic_norms[p * CRITICS..(p + 1) * CRITICS];
                    let more = [
                        ("actor_loss", of_actor[2 * p]),
                        ("entropy", of_actor[2 * p + 1]),
                        ("actor_grad_norm", actor_norms[p]),
                        (
                            "critic_grad_norm",
                            norms.iter().copied().fold(0.0, f32::max),
                        ),
                    ];
                    let all = said.chain(more);
                    diagnostics.extend(all.map(|(name, x)| (name.to_owned(), f64::from(x))));
                }
                if let Some(a) = alignment.as_ref().map(|all| all[p]) {
                    diagnostics.insert("joint_gap".into(), a.gap);
                    diagnostics.insert("joint_best".into(), a.best);
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
        let (net, params) = (&self.actor.net, &self.actor.adam.params);
        let params = (params, self.actor.stride);
        self.run.evaluate(net, params, episodes, greedy, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.run.save(self.parameters(), self.optimisers())
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let run = &self.run;
        let done = run.restore(self.parameters(), self.optimisers(), checkpoint)?;
        self.run.go_on_from(done);
        Ok(())
    }
}
