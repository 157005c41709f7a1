//! The configuration of a training run: every switch of the algorithms, with JaxMARL's values as defaults.
//!
//! A configuration is resolved from layers, each of which may name any of the keys; the last one wins:
//! [`Config::default`], the shipped files of `configs/` (family, then environment), and the [`Layer`]s of the caller.

use std::path::{Path, PathBuf};

use merit_sim::gpu::Gpu;
use merit_sim::registry::{EnvOptions, nearest};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::population::Member;

/// The learning algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algo {
    /// Independent PPO: actor and critic see the agent's own observation.
    Ippo,
    /// Multi-agent PPO: the critic sees the world state.
    Mappo,
    /// PPO with the counterfactual advantage of a critic of the own actions.
    Coma,
    /// COMA by itself: a policy gradient, a critic that is taught TD(λ) targets of a target network.
    ComaPg,
    /// Difference advantage estimation: GAE less what a learned reward model expects without the agent.
    Dae,
    /// Generalised per-agent advantage estimation: values that see what the others did.
    Gpae,
    /// Independent Q-learning: every agent's utility regresses on the team's return.
    Iql,
    /// Value decomposition network: the joint value is the sum of the utilities.
    Vdn,
    /// A monotone mixing network of the utilities.
    Qmix,
    /// A duplex dueling mixing network of the utilities.
    Qplex,
    /// A joint value of any shape, and utilities whose sum is bound to it by losses.
    Qtran,
    /// QMIX with softmax policies of order-preserving transforms of the utilities.
    MeQmix,
    /// QPLEX with such policies.
    MeQplex,
    /// Soft actor-critic with a factorised joint value and policies of their own.
    Fop,
    /// Soft actor-critic with a policy network of each agent, stepped one after the other.
    Hasac,
}

impl Algo {
    /// As configurations and the command line write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ippo => "ippo",
            Self::Mappo => "mappo",
            Self::Coma => "coma",
            Self::ComaPg => "coma_pg",
            Self::Dae => "dae",
            Self::Gpae => "gpae",
            Self::Iql => "iql",
            Self::Vdn => "vdn",
            Self::Qmix => "qmix",
            Self::Qplex => "qplex",
            Self::Qtran => "qtran",
            Self::MeQmix => "me_qmix",
            Self::MeQplex => "me_qplex",
            Self::Fop => "fop",
            Self::Hasac => "hasac",
        }
    }

    /// Whether it learns utilities from a replay of episodes (`value_decomposition.md`), and not a policy from its own rollouts.
    pub fn decomposes_values(self) -> bool {
        matches!(
            self,
            Self::Iql
                | Self::Vdn
                | Self::Qmix
                | Self::Qplex
                | Self::Qtran
                | Self::MeQmix
                | Self::MeQplex
                | Self::Fop
        )
    }

    /// Whether it learns from a replay.
    pub fn replays(self) -> bool {
        self.decomposes_values() || self == Self::Hasac
    }

    /// Whether what its agents' network puts out are a policy's logits, or parameters, and not utilities.
    pub fn has_actor(self) -> bool {
        !self.decomposes_values() || self == Self::Fop
    }

    /// Whether its policies are softmax policies with a temperature (`me_igm.md`).
    pub fn max_entropy(self) -> bool {
        matches!(self, Self::MeQmix | Self::MeQplex)
    }

    /// Whether it can learn Q(λ)'s corrected targets.
    pub fn corrects_targets(self) -> bool {
        matches!(self, Self::Iql | Self::Vdn | Self::Qmix | Self::Qplex)
    }

    /// Whether its weights can begin as JaxMARL's.
    pub fn chooses_init(self) -> bool {
        matches!(self, Self::Iql | Self::Vdn | Self::Qmix)
    }

    /// Whether its joint value is QPLEX's.
    pub fn duplex(self) -> bool {
        matches!(self, Self::Qplex | Self::MeQplex)
    }
}

/// How the weights of a monotone mixer are kept from being negative (`value_decomposition.md` §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positivity {
    Abs,
    Softplus,
    /// ½x².
    Square,
}

/// What makes logits of utilities (`me_igm.md` §2.1 and 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// |w(s)| x + b(s).
    Affine,
    /// W₂ elu(W₁ x + b₁) + b₂ with non-negative weights.
    Mlp2,
    /// x and [`Transform::Mlp2`] of it.
    Residual,
    /// None: the utilities themselves are the logits, nothing is fitted (+Entropy).
    Identity,
    /// Three dense layers of all utilities of an agent and of the state, of any sign: the order is not kept (ME-QMIX (MLP)).
    Mlp,
}

/// Whose actions a soft target is about (`me_igm.md` §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SoftNext {
    /// Drawn again from the policies as they are.
    Resample,
    /// Those that were done next.
    Stored,
}

/// The entropy that the temperature is moved by (`me_igm.md` §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyEstimate {
    /// Of the policies, summed over the agents.
    Exact,
    /// −log π of the actions that were done.
    Stored,
}

/// The entropy in the targets of FOP's critics (`me_igm.md` §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FopEntropy {
    /// −α mean_i ln π_i, not discounted, as in the public code.
    Code,
    /// −γ α Σ_i ln π_i.
    Principled,
}

/// The entropy of an agent that HASAC's temperatures aim at (`me_igm.md` §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HasacEntropy {
    /// 0.98 ln N of N actions; −K of K numbers.
    Intended,
    /// As the public code has it: 0 of actions, whose space has an empty shape; −K of K numbers.
    Code,
}

/// The kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Two hidden dense layers (`ppo_family.md` §1.4).
    Ff,
    /// Dense, GRU, dense (`ppo_family.md` §1.1–1.3).
    Gru,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Relu,
    Tanh,
}

/// When a recurrent network forgets (`ppo_family.md` §0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RnnReset {
    /// At the end of the episode, and every step while the agent is dead.
    EpisodeOrAgent,
    /// Only where the agent itself was dead on the previous step: JaxMARL's behaviour, which carries the memory of those
    /// alive at the end into the next episode.
    AgentDone,
}

/// Weights of the traces over rollouts that older policies collected (`ppo_family.md` §8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// Double truncation: λ · min(1, ρⁱ · min(η, ρ⁻ⁱ)).
    Dt,
    /// Of the team's ratio: λ · min(1, ρ).
    St,
    /// Of the agent's: λ · min(1, ρⁱ).
    It,
    /// λ: as if this policy had collected them.
    None,
    /// ρ, whatever it is.
    Full,
}

/// Whose probabilities PPO's ratio is against on rollouts that older policies collected (`ppo_family.md` §8.6): μ collected, π_k is the
/// policy when the update began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorRatio {
    /// π/μ, clipped about 1.
    Behaviour,
    /// π/μ, clipped about π_k/μ.
    Geppo,
    /// π/π_k, clipped about 1, times min(1, π_k/μ).
    Weighted,
}

/// How a critic of actions (GPAE's and COMA's) sees what agents did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticActions {
    /// Behind the state and the agent's number, the own one blank.
    Concat,
    /// Embedded apart and put beside what the critic remembers, in front of its last hidden layer: what was done is not remembered.
    Head,
    /// GPAE: not at all: MAPPO with the same traces and the same rollouts again.
    None,
}

/// Gradient steps of an update over several rollouts (`ppo_family.md` §8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReuseSteps {
    /// As many as over the newest alone.
    Same,
    /// Every epoch goes over all of them.
    All,
}

/// How `coma_pg` and value decomposition step along their gradients; the other algorithms have Adam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimiser {
    Adam,
    /// PyMARL's: the gradient over the root of its mean square, of which 0.99 is kept.
    Rmsprop,
    /// JaxMARL's value baselines': Adam with its variance rectified, and in the first steps without it (Liu et al. 2020).
    Radam,
}

/// What a replay is made of (`value_decomposition.md` §1 and 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayUnit {
    /// Whole episodes, from their first step to their last.
    Episodes,
    /// Whole rollouts, in which episodes begin and end, as in JaxMARL.
    Rollouts,
}

/// What weights of value decomposition begin with (`value_decomposition.md` §2 and 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Uniform in ±1/√fan-in, biases too: PyMARL's.
    Uniform,
    /// Orthogonal with gain 1, the mixer's networks with [`Config::mixer_init_scale`], a GRU's gates as flax has them; biases 0: JaxMARL's.
    Orthogonal,
}

/// Everything that decides what a run computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `family/name` of the environment.
    pub env: String,
    /// Options of the environment, by name, as its page lists them (`max_steps = 60`); checked by the environment.
    pub env_options: toml::Table,
    pub algo: Algo,
    /// Environment steps of each member, in all.
    pub total_steps: u64,
    /// Seed of the first member; member `p` has `seed + p`.
    pub seed: u64,
    /// Members of the population, `P`.
    pub seeds: usize,
    /// Environments of each member, `E`.
    pub envs: usize,
    /// Steps of a rollout, `T`.
    pub rollout: usize,

    pub network: Network,
    /// Width of the hidden layers and of the GRU.
    pub hidden: usize,
    pub activation: Activation,
    pub rnn_reset: RnnReset,
    /// MAPPO: append the one-hot agent index to the world state.
    pub obs_with_agent_id: bool,
    /// Continuous actions: the logarithm of the standard deviations to begin with.
    pub log_std_init: f64,

    pub epochs: usize,
    pub minibatches: usize,
    pub learning_rate: f64,
    /// Linear to 0 over the updates.
    pub anneal_lr: bool,
    pub adam_eps: f64,
    /// Global norm per network and member above which gradients are scaled down.
    pub max_grad_norm: f64,
    pub gamma: f64,
    pub gae_lambda: f64,
    pub clip_eps: f64,
    /// Divide `clip_eps` by the number of agents.
    pub scale_clip_eps: bool,
    /// Clip the value's change by `clip_eps` too.
    pub clip_value: bool,
    pub ent_coef: f64,
    /// `ent_coef` falls linearly to 0 over the updates, as the learning rate does; JaxMARL keeps it.
    pub anneal_ent_coef: bool,
    pub vf_coef: f64,
    /// Bootstrap from the final state where the step limit cut an episode; JaxMARL does not. HASAC: its `use_proper_time_limits`.
    pub bootstrap_truncated: bool,

    /// GPAE: rollouts that are learned from, the newest and those before it, `M`. 1: on-policy.
    pub reuse: usize,
    /// GPAE: weights of the traces over older rollouts.
    pub trace: Trace,
    /// GPAE: bound of the others' ratio in `trace = "dt"`, slightly above 1.
    pub eta: f64,
    /// GPAE: the policy's ratio on older rollouts.
    pub actor_ratio: ActorRatio,
    /// GPAE, COMA: how the critic sees what agents did.
    pub critic_actions: CriticActions,
    /// DAE: weight β of the expected reward that is taken off, 0 (GAE) to 1.
    pub dae_beta: f64,
    /// DAE: the critic's target is the shaped advantage plus the value, as in the published code; else GAE's.
    pub dae_shaped_target: bool,
    /// DAE: reward models, whose mean is used.
    pub reward_models: usize,
    /// DAE: width of their layers.
    pub reward_hidden: usize,
    /// DAE: layer normalisation in them, as in the published code.
    pub reward_layer_norm: bool,
    /// COMA, DAE with continuous actions: samples of the policy that stand for the expectation over an agent's own action.
    pub counterfactual_samples: usize,

    /// GPAE: gradient steps over older rollouts.
    pub reuse_steps: ReuseSteps,
    /// GPAE: how far the network whose values estimate follows the critic when an update begins; 1: it is the critic. Value
    /// decomposition: how far the target follows in a copy, 1 for all the way. HASAC: how far it follows in every gradient step.
    pub target_polyak: f64,

    /// `coma_pg` and value decomposition: λ of the targets, 0 for one step.
    pub td_lambda: f64,
    /// IQL, VDN, QMIX, QPLEX: Q(λ), targets that are corrected by how much better than the action the best one was (`value_decomposition.md` §4.3).
    pub q_lambda: bool,
    /// `coma_pg` and value decomposition: probability of a uniform action among the available ones to begin with, …
    pub epsilon_start: f64,
    /// … in the end, …
    pub epsilon_finish: f64,
    /// … and the environment steps (per member) between, over which it changes linearly.
    pub epsilon_anneal: u64,
    /// `coma_pg`: steps of the critic between two copies to the target network, rounded up to whole updates. Value decomposition: gradient
    /// steps between them.
    pub target_interval: u64,
    /// `coma_pg`, FOP, HASAC: width of the critic's hidden layers.
    pub critic_hidden: usize,
    /// `coma_pg` and value decomposition.
    pub optimiser: Optimiser,

    /// Value decomposition: environment steps (per member) that the replay holds; 0: those of 5,000 episodes (HASAC: a million), or as many as
    /// fit the adapter ([`crate::settle`]).
    pub replay: u64,
    /// Value decomposition: episodes, or rollouts, of a gradient step. HASAC: transitions.
    pub batch: usize,
    /// Value decomposition: what the replay is made of.
    pub replay_unit: ReplayUnit,
    /// Value decomposition from rollouts: no bootstrap behind the step that follows an end in place of the one that ends, as in JaxMARL's
    /// published baselines.
    pub jaxmarl_done_index: bool,
    /// Value decomposition from rollouts: every rollout begins with new episodes, as in JaxMARL; those under way are not counted.
    pub reset_at_rollout: bool,
    /// IQL, VDN, QMIX: what weights begin with.
    pub init: Init,
    /// QMIX with orthogonal weights: gain of the networks that give the mixer's.
    pub mixer_init_scale: f64,
    /// Value decomposition, HASAC: gradient steps after every `rollout` steps of `envs` environments.
    pub gradient_steps: usize,
    /// Value decomposition, HASAC: environment steps (per member) before the first gradient step; HASAC's are of uniform actions.
    pub learning_starts: u64,
    /// Value decomposition: what agents are told beside the observation.
    pub obs_last_action: bool,
    pub obs_agent_id: bool,
    /// Value decomposition, HASAC: factor of the rewards that are learned from.
    pub reward_scale: f64,
    /// QMIX, QPLEX: units of the mixing network, and of the networks that give its weights. QTRAN: the former, of the joint networks.
    pub mixing_embed: usize,
    pub hyper_hidden: usize,
    /// QMIX: what keeps the mixing weights from being negative.
    pub positivity: Positivity,
    /// QPLEX: kernels of the importance weights, their layers (1 to 3) and units.
    pub attention_kernels: usize,
    pub attention_layers: usize,
    pub attention_hidden: usize,
    /// QTRAN: weights of the losses that bind the utilities to the joint value, where their actions are the best ones and where not.
    pub opt_coef: f64,
    pub nopt_coef: f64,
    /// ME-IGM: what makes logits of utilities, and the units of those that have some.
    pub transform: Transform,
    pub transform_hidden: usize,
    /// ME-IGM: whose actions the soft target is about.
    pub soft_next: SoftNext,
    /// ME-IGM: entropy per agent that the temperature aims at, in nats, and how it is measured.
    pub target_entropy: f64,
    pub entropy_estimate: EntropyEstimate,
    /// ME-IGM, HASAC: learning rate of the temperatures, 0 to keep them as they begin.
    pub temperature_lr: f64,
    pub temperature_init: f64,
    /// ME-IGM: halve the weight of a TD step that moves the joint value away from the sum of the transforms.
    pub weighted_td: bool,

    /// FOP: where the temperature, which begins with `temperature_init`, ends, …
    pub temperature_finish: f64,
    /// … and the environment steps (per member) over which it falls linearly.
    pub temperature_anneal: u64,
    /// FOP: the entropy in the critics' targets.
    pub fop_entropy: FopEntropy,

    /// HASAC: steps of the returns.
    pub n_step: usize,
    /// HASAC: two critics, of which the smaller value counts.
    pub twin_critics: bool,
    /// HASAC: error from which a critic's loss is linear (Huber's δ); 0: nowhere.
    pub huber_delta: f64,
    /// HASAC: learning rate of the critics; `learning_rate` is the policies'.
    pub critic_learning_rate: f64,
    /// HASAC: the entropy that the temperatures aim at.
    pub hasac_entropy_target: HasacEntropy,
    /// HASAC: policies see every observation less its mean, over its deviation.
    pub feature_norm: bool,

    /// Environment steps (per member) over which the weight of shaped rewards falls linearly from 1 to 0, in environments
    /// that have them (JaxMARL's Overcooked: 2.5M); 0 leaves the environment's own coefficient.
    pub reward_shaping_horizon: u64,

    /// Environment steps (per member) between two lines of `metrics.jsonl`, rounded up to whole updates.
    pub log_every: u64,
    /// Environment steps (per member) between two checkpoints, rounded up to whole updates.
    pub checkpoint_every: u64,
    /// Environment steps (per member) between two evaluations during training; 0 = only before and after.
    pub eval_every: u64,
    /// Episodes of each evaluation, per member.
    pub eval_episodes: usize,
    /// Policies take their most probable action in the evaluations of training; else they draw. Utilities always take the largest.
    pub eval_greedy: bool,

    /// Where members differ in more than `seed + p`: one entry each, in place of the values above. No key of a file that people
    /// write: `merit sweep` batches what fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,

    /// Whether dense layers give an invocation whole rows, where they can: on software devices if `None`. Results differ in their
    /// rounding only, so it is no key of a file.
    #[serde(skip)]
    pub by_rows: Option<bool>,
}

impl Default for Config {
    /// JaxMARL's MAPPO on SMAX (`ppo_family.md` §5.1).
    fn default() -> Self {
        Self {
            env: "smax/3m".into(),
            env_options: toml::Table::new(),
            algo: Algo::Mappo,
            total_steps: 1_000_000,
            seed: 0,
            seeds: 1,
            envs: 128,
            rollout: 128,
            network: Network::Ff,
            hidden: 64,
            activation: Activation::Relu,
            rnn_reset: RnnReset::EpisodeOrAgent,
            obs_with_agent_id: true,
            log_std_init: 0.0,
            epochs: 4,
            minibatches: 4,
            learning_rate: 2e-3,
            anneal_lr: true,
            adam_eps: 1e-5,
            max_grad_norm: 0.25,
            gamma: 0.99,
            gae_lambda: 0.95,
            clip_eps: 0.2,
            scale_clip_eps: false,
            clip_value: true,
            ent_coef: 0.0,
            anneal_ent_coef: false,
            vf_coef: 0.5,
            bootstrap_truncated: false,
            reuse: 4,
            trace: Trace::Dt,
            eta: 1.05,
            actor_ratio: ActorRatio::Behaviour,
            critic_actions: CriticActions::Concat,
            dae_beta: 0.1,
            dae_shaped_target: true,
            reward_models: 2,
            reward_hidden: 128,
            reward_layer_norm: true,
            counterfactual_samples: 16,
            reuse_steps: ReuseSteps::Same,
            target_polyak: 1.0,
            td_lambda: 0.8,
            q_lambda: false,
            epsilon_start: 0.5,
            epsilon_finish: 0.01,
            epsilon_anneal: 100_000,
            target_interval: 200,
            critic_hidden: 128,
            optimiser: Optimiser::Adam,
            replay: 0,
            batch: 32,
            replay_unit: ReplayUnit::Episodes,
            jaxmarl_done_index: false,
            reset_at_rollout: false,
            init: Init::Uniform,
            mixer_init_scale: 1e-3,
            gradient_steps: 1,
            learning_starts: 2_000,
            obs_last_action: true,
            obs_agent_id: true,
            reward_scale: 1.0,
            mixing_embed: 32,
            hyper_hidden: 64,
            positivity: Positivity::Abs,
            attention_kernels: 4,
            attention_layers: 2,
            attention_hidden: 64,
            opt_coef: 1.0,
            nopt_coef: 0.1,
            transform: Transform::Affine,
            transform_hidden: 32,
            soft_next: SoftNext::Resample,
            target_entropy: 0.24,
            entropy_estimate: EntropyEstimate::Exact,
            temperature_lr: 0.3,
            temperature_init: 1.0,
            weighted_td: false,
            temperature_finish: 0.05,
            temperature_anneal: 90_000,
            fop_entropy: FopEntropy::Code,
            n_step: 20,
            twin_critics: true,
            huber_delta: 0.0,
            critic_learning_rate: 5e-4,
            hasac_entropy_target: HasacEntropy::Intended,
            feature_norm: true,
            reward_shaping_horizon: 0,
            log_every: 10_000,
            checkpoint_every: 200_000,
            eval_every: 0,
            eval_episodes: 512,
            eval_greedy: false,
            members: Vec::new(),
            by_rows: None,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}:{line}:{column}: {problem}")]
    Toml {
        path: PathBuf,
        line: usize,
        column: usize,
        problem: String,
    },
    #[error("{layer}: `{text}` is no assignment; write key=value")]
    Assignment { layer: String, text: String },
    #[error("{layer}: unknown key `{key}`{}", hint(.nearest))]
    UnknownKey {
        layer: String,
        key: String,
        nearest: Option<String>,
    },
    #[error("{layer}: `{key}` cannot be {found}; it takes {expected}{}", hint(.nearest))]
    Value {
        layer: String,
        key: String,
        found: String,
        expected: String,
        nearest: Option<String>,
    },
    #[error("`{key}` is {found}: {problem}")]
    Range {
        key: &'static str,
        found: String,
        problem: String,
    },
    #[error("the configuration cannot be built: {0}")]
    Build(String),
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |n| format!(", did you mean `{n}`?"))
}

/// A count as people write it: `128`, `1_000_000`, `200k`, `1.5M`, `2G`, `1e6`.
///
/// # Errors
/// Says what is accepted.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let problem = || format!("`{text}` is no count; write it like 128, 200k, 1M or 1e6");
    let plain = text.trim().replace('_', "");
    if let Ok(count) = plain.parse() {
        return Ok(count);
    }
    let (number, unit) = match plain.as_bytes().last() {
        Some(b'k' | b'K') => (&plain[..plain.len() - 1], 1e3),
        Some(b'm' | b'M') => (&plain[..plain.len() - 1], 1e6),
        Some(b'g' | b'G') => (&plain[..plain.len() - 1], 1e9),
        _ => (plain.as_str(), 1.0),
    };
    let number: f64 = number.parse().map_err(|_| problem())?;
    // 4.1 × 1e6 is not whole in floating point.
    let (count, near) = (number * unit, (number * unit).round());
    let rounded = (count - near).abs() <= 4.0 * f64::EPSILON * near;
    whole(if rounded { near } else { count }).ok_or_else(problem)
}

/// The count that a float stands for, where it is exact.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = (1u64 << 53) as f64;
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// Values for some of the keys of [`Config`], and where they come from.
#[derive(Clone, Debug)]
pub struct Layer {
    /// For messages: a file, `--set`, `command line`.
    pub name: String,
    pub values: Table,
}

impl Layer {
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Toml`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut values = parse_toml(path, &text)?;
        // A run's `run.toml` has its configuration below what it was made by.
        if values.contains_key("merit")
            && let Some(Value::Table(config)) = values.remove("config")
        {
            values = config;
        }
        Ok(Self {
            name: path.display().to_string(),
            values,
        })
    }

    /// From `key=value` texts. A value is TOML; what TOML does not know (`smax/3m`, `1M`) is taken as text. A dot enters
    /// a table: `env_options.max_steps=60`.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`].
    pub fn from_assignments(name: &str, texts: &[String]) -> Result<Self, ConfigError> {
        let mut values = Table::new();
        for text in texts {
            let wrong = || ConfigError::Assignment {
                layer: name.to_owned(),
                text: text.clone(),
            };
            let (key, value) = text.split_once('=').ok_or_else(wrong)?;
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty() || value.is_empty() {
                return Err(wrong());
            }
            let value = value
                .parse()
                .unwrap_or_else(|_| Value::String(value.into()));
            match key.split_once('.') {
                None => values.insert(key.to_owned(), value),
                Some((table, key)) => match values
                    .entry(table)
                    .or_insert_with(|| Value::Table(Table::new()))
                {
                    Value::Table(t) => t.insert(key.to_owned(), value),
                    _ => return Err(wrong()),
                },
            };
        }
        Ok(Self {
            name: name.to_owned(),
            values,
        })
    }

    /// All values as options of an environment.
    ///
    /// # Errors
    /// [`ConfigError::Build`] for what has no JSON form.
    pub fn options(&self) -> Result<EnvOptions, ConfigError> {
        EnvOptions::deserialize(Value::Table(self.values.clone())).map_err(build)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }
}

/// Parses a TOML document; the error names line and column.
///
/// # Errors
/// [`ConfigError::Toml`].
pub fn parse_toml(path: &Path, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|e: toml::de::Error| {
        let before = &text[..e.span().map_or(0, |s| s.start.min(text.len()))];
        ConfigError::Toml {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1,
            problem: e.message().to_owned(),
        }
    })
}

/// The shipped files of `configs/`, by path without `.toml`.
const PRESETS: &[(&str, &str)] = &[
    (
        "babyai.ippo",
        include_str!("../../configs/babyai.ippo.toml"),
    ),
    ("brax.ippo", include_str!("../../configs/brax.ippo.toml")),
    ("brax.mappo", include_str!("../../configs/brax.mappo.toml")),
    ("coma", include_str!("../../configs/coma.toml")),
    ("coma_pg", include_str!("../../configs/coma_pg.toml")),
    ("fop", include_str!("../../configs/fop.toml")),
    ("gpae", include_str!("../../configs/gpae.toml")),
    ("hasac", include_str!("../../configs/hasac.toml")),
    (
        "mabrax.ippo",
        include_str!("../../configs/mabrax.ippo.toml"),
    ),
    (
        "mabrax.mappo",
        include_str!("../../configs/mabrax.mappo.toml"),
    ),
    ("mpe.ippo", include_str!("../../configs/mpe.ippo.toml")),
    ("mpe.mappo", include_str!("../../configs/mpe.mappo.toml")),
    (
        "mpe.value_decomposition",
        include_str!("../../configs/mpe.value_decomposition.toml"),
    ),
    (
        "overcooked.ippo",
        include_str!("../../configs/overcooked.ippo.toml"),
    ),
    (
        "smax.coma_pg",
        include_str!("../../configs/smax.coma_pg.toml"),
    ),
    ("qtran", include_str!("../../configs/qtran.toml")),
    ("smax.ippo", include_str!("../../configs/smax.ippo.toml")),
    ("smax.mappo", include_str!("../../configs/smax.mappo.toml")),
    (
        "smax/3m.mappo",
        include_str!("../../configs/smax/3m.mappo.toml"),
    ),
    (
        "smax/terran.me_igm",
        include_str!("../../configs/smax/terran.me_igm.toml"),
    ),
    (
        "smax.me_qmix",
        include_str!("../../configs/smax.me_qmix.toml"),
    ),
    (
        "smax.value_decomposition",
        include_str!("../../configs/smax.value_decomposition.toml"),
    ),
    (
        "value_decomposition",
        include_str!("../../configs/value_decomposition.toml"),
    ),
];

/// What applies to `env` and `algo`, the more general first.
fn presets(env: &str, algo: &str) -> Result<Vec<Layer>, ConfigError> {
    let family = env.split('/').next().unwrap_or(env);
    // These are MAPPO with other advantages: what was tuned for it holds for them.
    let mut wanted = match algo {
        "coma" | "dae" | "gpae" => vec![format!("{family}.mappo"), format!("{env}.mappo")],
        "iql" | "vdn" | "qmix" | "qplex" | "qtran" | "me_qmix" | "me_qplex" => vec![
            "value_decomposition".into(),
            format!("{family}.value_decomposition"),
            format!("{env}.value_decomposition"),
        ],
        // Rewards and states of a family suit whoever learns a joint value.
        "fop" | "hasac" => vec![
            format!("{family}.value_decomposition"),
            format!("{env}.value_decomposition"),
        ],
        _ => vec![],
    };
    wanted.extend([
        algo.to_owned(),
        format!("{family}.{algo}"),
        format!("{env}.{algo}"),
    ]);
    if matches!(algo, "me_qmix" | "me_qplex") {
        // `smax/terran` of `smax/terran_5_vs_5`: the published aims of the entropy are a race's.
        let race = env.split('_').next().unwrap_or(env);
        wanted.push(format!("{race}.me_igm"));
    }
    let mut found = Vec::new();
    for name in wanted {
        for (_, text) in PRESETS.iter().filter(|(n, _)| *n == name) {
            let name = format!("configs/{name}.toml");
            let values = parse_toml(Path::new(&name), text)?;
            found.push(Layer { name, values });
        }
    }
    Ok(found)
}

/// The names that a text key takes, where it is a choice.
fn choices(key: &str) -> Option<&'static [&'static str]> {
    match key {
        "algo" => Some(&[
            "ippo", "mappo", "coma", "coma_pg", "dae", "gpae", "iql", "vdn", "qmix", "qplex",
            "qtran", "me_qmix", "me_qplex", "fop", "hasac",
        ]),
        "positivity" => Some(&["abs", "softplus", "square"]),
        "transform" => Some(&["affine", "mlp2", "residual", "identity", "mlp"]),
        "soft_next" => Some(&["resample", "stored"]),
        "entropy_estimate" => Some(&["exact", "stored"]),
        "fop_entropy" => Some(&["code", "principled"]),
        "hasac_entropy_target" => Some(&["intended", "code"]),
        "reuse_steps" => Some(&["same", "all"]),
        "replay_unit" => Some(&["episodes", "rollouts"]),
        "init" => Some(&["uniform", "orthogonal"]),
        "optimiser" => Some(&["adam", "rmsprop", "radam"]),
        "trace" => Some(&["dt", "st", "it", "none", "full"]),
        "actor_ratio" => Some(&["behaviour", "geppo", "weighted"]),
        "critic_actions" => Some(&["concat", "head", "none"]),
        "network" => Some(&["ff", "gru"]),
        "activation" => Some(&["relu", "tanh"]),
        "rnn_reset" => Some(&["episode_or_agent", "agent_done"]),
        _ => None,
    }
}

impl Config {
    /// Whether `key` changes what this configuration computes: its algorithm reads it, and no other key switches it off. Keys of
    /// records (`log_every`) are looked at by all; those that only some environments give a meaning count as read.
    pub fn looks_at(&self, key: &str) -> bool {
        use Algo::{Coma, ComaPg, Dae, Fop, Gpae, Hasac, Ippo, Mappo, MeQmix, Qmix, Qtran};
        let algo = self.algo;
        let ppo = matches!(algo, Ippo | Mappo | Coma | Dae | Gpae);
        let on_policy = ppo || algo == ComaPg;
        let older = algo == Gpae && self.reuse > 1;
        // ME-IGM reads no ε: its policies are softmax policies.
        let explores = algo == ComaPg || algo.decomposes_values() && !algo.max_entropy();
        let moves_temperature = self.temperature_lr != 0.0;
        match key {
            "rnn_reset" => self.network == Network::Gru && algo != Hasac,
            "obs_with_agent_id" => match algo {
                Mappo | Dae => true,
                Gpae => self.critic_actions == CriticActions::None,
                // The others' critics are always told whom they value.
                _ => false,
            },
            "log_std_init" | "epochs" | "minibatches" | "clip_eps" | "scale_clip_eps"
            | "clip_value" | "vf_coef" => ppo,
            "gae_lambda" => matches!(algo, Ippo | Mappo | Dae | Gpae),
            "ent_coef" => on_policy,
            "anneal_ent_coef" => on_policy && self.ent_coef != 0.0,
            "bootstrap_truncated" => !algo.decomposes_values(),

            "reuse" => algo == Gpae,
            "trace" | "actor_ratio" | "reuse_steps" => older,
            "eta" => older && self.trace == Trace::Dt,
            "critic_actions" => matches!(algo, Gpae | Coma),
            "dae_beta" | "reward_models" | "reward_hidden" | "reward_layer_norm" => algo == Dae,
            "dae_shaped_target" => algo == Dae && self.dae_beta != 0.0,
            "counterfactual_samples" => algo == Coma || algo == Dae && self.dae_beta != 0.0,
            "target_polyak" => algo == Gpae || algo.replays() && algo != Fop,

            "target_interval" | "td_lambda" | "optimiser" => {
                algo == ComaPg || algo.decomposes_values()
            }
            "epsilon_start" | "epsilon_finish" => explores,
            "epsilon_anneal" => explores && self.epsilon_start != self.epsilon_finish,
            "critic_hidden" => matches!(algo, ComaPg | Fop | Hasac),

            "replay" | "batch" | "gradient_steps" | "learning_starts" | "reward_scale" => {
                algo.replays()
            }
            "obs_last_action" | "obs_agent_id" => algo.decomposes_values(),
            "q_lambda" => algo.corrects_targets(),
            "init" => algo.chooses_init(),
            "mixer_init_scale" => algo == Qmix && self.init == Init::Orthogonal,
            "replay_unit" => algo.decomposes_values() && algo != Fop,
            "jaxmarl_done_index" | "reset_at_rollout" => {
                algo.decomposes_values() && algo != Fop && self.replay_unit == ReplayUnit::Rollouts
            }
            "mixing_embed" => matches!(algo, Qmix | MeQmix | Qtran | Fop),
            "positivity" => matches!(algo, Qmix | MeQmix),
            "hyper_hidden" => algo.duplex() || matches!(algo, Qmix | MeQmix),
            "attention_kernels" => algo.duplex() || algo == Fop,
            "attention_layers" => algo.duplex(),
            "attention_hidden" => algo.duplex() && self.attention_layers > 1,
            "opt_coef" | "nopt_coef" => algo == Qtran,

            "transform" | "soft_next" => algo.max_entropy(),
            "transform_hidden" => {
                let two_layers = matches!(self.transform, Transform::Mlp2 | Transform::Residual);
                algo.max_entropy() && two_layers
            }
            "weighted_td" => algo.max_entropy() && self.transform != Transform::Identity,
            "target_entropy" | "entropy_estimate" => algo.max_entropy() && moves_temperature,
            "temperature_lr" => algo.max_entropy() || algo == Hasac,
            "temperature_init" => algo.max_entropy() || matches!(algo, Fop | Hasac),
            "temperature_finish" | "fop_entropy" => algo == Fop,
            "temperature_anneal" => algo == Fop && self.temperature_init != self.temperature_finish,
            "n_step" | "twin_critics" | "huber_delta" | "critic_learning_rate" | "feature_norm" => {
                algo == Hasac
            }
            "hasac_entropy_target" => algo == Hasac && moves_temperature,
            "eval_greedy" => algo.has_actor(),
            _ => true,
        }
    }

    /// Rollouts that stay on the device: the one that is learned from, or the last [`Config::reuse`] of them.
    pub fn rollouts_kept(&self) -> usize {
        match self.algo {
            Algo::Gpae => self.reuse,
            _ => 1,
        }
    }

    /// Whether dense layers give an invocation whole rows.
    pub(crate) fn by_rows(&self, gpu: &Gpu) -> bool {
        self.by_rows.unwrap_or(gpu.is_software())
    }

    /// Built-in defaults, shipped files and `layers`, each over the one before.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] and [`ConfigError::Value`]. Whether the values make sense together is
    /// [`Config::check`]'s matter.
    pub fn resolve(layers: &[Layer]) -> Result<Self, ConfigError> {
        let defaults = Table::try_from(Self::default()).map_err(build)?;
        // The environment and the algorithm decide which shipped files apply, so they are looked up first.
        let last = |key: &str| -> String {
            let own = layers.iter().rev().find_map(|l| l.text(key));
            own.or_else(|| defaults.get(key)?.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let shipped = presets(&last("env"), &last("algo"))?;
        let mut merged = defaults.clone();
        for layer in shipped.iter().chain(layers) {
            for (key, value) in &layer.values {
                let Some(default) = defaults.get(key) else {
                    return Err(ConfigError::UnknownKey {
                        layer: layer.name.clone(),
                        key: key.clone(),
                        nearest: nearest(key, defaults.keys().map(String::as_str)),
                    });
                };
                let value = coerce(layer, key, value, default)?;
                match (merged.get_mut(key), value) {
                    // Options add up over the layers: one of them set on the command line leaves those of a file alone.
                    (Some(Value::Table(options)), Value::Table(more)) => options.extend(more),
                    (_, value) => {
                        merged.insert(key.clone(), value);
                    }
                }
            }
        }
        Self::deserialize(Value::Table(merged)).map_err(build)
    }

    /// The options as the environment takes them.
    ///
    /// # Errors
    /// [`ConfigError::Build`] for a value that JSON does not know.
    pub fn options(&self) -> Result<EnvOptions, ConfigError> {
        EnvOptions::deserialize(Value::Table(self.env_options.clone())).map_err(build)
    }

    /// Checks every number alone, before anything is opened or written. What must fit together, and the environment,
    /// is the matter of [`crate::sizes::Sizes::new`].
    ///
    /// # Errors
    /// [`ConfigError::Range`] names the key, its value and what it may be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let count = |key, found: u64, most: u64| {
            range(key, found, (1..=most).contains(&found), || {
                format!("it takes 1 to {most}")
            })
        };
        count("seeds", self.seeds as u64, 1 << 12)?;
        // Evaluations have seeds above it, and TOML no larger numbers.
        range("seed", self.seed, self.seed <= 1 << 62, || {
            format!("it takes 0 to {}", 1u64 << 62)
        })?;
        count("envs", self.envs as u64, 1 << 22)?;
        count("rollout", self.rollout as u64, 1 << 16)?;
        count("hidden", self.hidden as u64, 1 << 12)?;
        count("epochs", self.epochs as u64, 1 << 10)?;
        count("minibatches", self.minibatches as u64, 1 << 16)?;
        count("total_steps", self.total_steps, 1 << 50)?;
        count("log_every", self.log_every, 1 << 50)?;
        count("checkpoint_every", self.checkpoint_every, 1 << 50)?;
        count("eval_episodes", self.eval_episodes as u64, 1 << 20)?;

        // A NaN fails every comparison, so each test says what must hold.
        let number = |key, found: f64, holds: bool, what: &str| {
            range(key, found, holds, || format!("it takes {what}"))
        };
        // What the device computes with has 32 bits.
        let finite = |x: f64| (x as f32).is_finite();
        let positive =
            |key, x: f64| number(key, x, x > 0.0 && finite(x), "a number above 0, to 3.4e38");
        let fraction = |key, x: f64| number(key, x, (0.0..=1.0).contains(&x), "0 to 1");
        let weight = |key, x: f64| number(key, x, x >= 0.0 && finite(x), "0 or more, to 3.4e38");
        positive("learning_rate", self.learning_rate)?;
        positive("adam_eps", self.adam_eps)?;
        positive("max_grad_norm", self.max_grad_norm)?;
        positive("clip_eps", self.clip_eps)?;
        fraction("gamma", self.gamma)?;
        fraction("gae_lambda", self.gae_lambda)?;
        let log_std = self.log_std_init;
        number("log_std_init", log_std, log_std.abs() <= 10.0, "-10 to 10")?;
        count("reuse", self.reuse as u64, 64)?;
        count("reward_models", self.reward_models as u64, 8)?;
        let samples = self.counterfactual_samples as u64;
        count("counterfactual_samples", samples, 1 << 10)?;
        number(
            "eta",
            self.eta,
            self.eta >= 1.0 && self.eta.is_finite(),
            "1 or more",
        )?;
        fraction("dae_beta", self.dae_beta)?;
        let polyak = self.target_polyak;
        let holds = polyak > 0.0 && polyak <= 1.0;
        number("target_polyak", polyak, holds, "a number above 0, to 1")?;
        fraction("td_lambda", self.td_lambda)?;
        fraction("epsilon_start", self.epsilon_start)?;
        fraction("epsilon_finish", self.epsilon_finish)?;
        count("target_interval", self.target_interval, 1 << 50)?;
        range("replay", self.replay, self.replay <= 1 << 30, || {
            format!("it takes 0 to {}", 1 << 30)
        })?;
        count("batch", self.batch as u64, 1 << 12)?;
        count("gradient_steps", self.gradient_steps as u64, 1 << 10)?;
        number(
            "reward_scale",
            self.reward_scale,
            self.reward_scale.is_finite(),
            "a finite number",
        )?;
        weight("mixer_init_scale", self.mixer_init_scale)?;
        count("mixing_embed", self.mixing_embed as u64, 256)?;
        count("hyper_hidden", self.hyper_hidden as u64, 256)?;
        count("attention_kernels", self.attention_kernels as u64, 16)?;
        count("attention_layers", self.attention_layers as u64, 3)?;
        count("attention_hidden", self.attention_hidden as u64, 256)?;
        count("transform_hidden", self.transform_hidden as u64, 128)?;
        weight("opt_coef", self.opt_coef)?;
        weight("nopt_coef", self.nopt_coef)?;
        weight("target_entropy", self.target_entropy)?;
        weight("temperature_lr", self.temperature_lr)?;
        positive("temperature_init", self.temperature_init)?;
        positive("temperature_finish", self.temperature_finish)?;
        count("n_step", self.n_step as u64, 1 << 10)?;
        weight("huber_delta", self.huber_delta)?;
        positive("critic_learning_rate", self.critic_learning_rate)?;
        weight("ent_coef", self.ent_coef)?;
        weight("vf_coef", self.vf_coef)?;

        let listed = self.members.len();
        let fits = listed == 0 || listed == self.seeds && self.members[0].seed == self.seed;
        range("members", listed, fits, || {
            format!(
                "it takes {}, the first with the seed {}",
                self.seeds, self.seed
            )
        })?;
        (0..listed).try_for_each(|p| self.alone(p).check())
    }

    /// What a run must not begin with, beside [`Config::check`]; one that has begun is gone on with and evaluated all the same.
    ///
    /// # Errors
    /// [`ConfigError::Range`].
    pub fn check_start(&self) -> Result<(), ConfigError> {
        let update = self.envs as u64 * self.rollout as u64;
        let steps = self.total_steps / update.max(1) * update;
        if self.algo.replays() {
            let starts = self.learning_starts;
            range("learning_starts", starts, starts <= steps, || {
                format!("a run of {steps} steps would learn nothing; it takes at most as many")
            })?;
        }
        // What moves is kept between e⁻⁷ and e² (`me_igm.md` §3.3), and would jump there in the first step.
        if self.algo.max_entropy() && self.temperature_lr > 0.0 {
            let init = self.temperature_init;
            let holds = (9.12e-4..=7.389).contains(&init);
            range("temperature_init", init, holds, || {
                "it takes 9.12e-4 to 7.389, between which a temperature moves; any number above 0 stays with temperature_lr = 0".into()
            })?;
        }
        Ok(())
    }
}

fn build(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Build(error.to_string().trim().replace('\n', " "))
}

fn range<T: std::fmt::Display>(
    key: &'static str,
    found: T,
    holds: bool,
    problem: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Range {
        key,
        found: found.to_string(),
        problem: problem(),
    })
}

/// `value` with the type that `key` has by default.
fn coerce(layer: &Layer, key: &str, value: &Value, default: &Value) -> Result<Value, ConfigError> {
    let wrong = |expected: String, nearest: Option<String>| ConfigError::Value {
        layer: layer.name.clone(),
        key: key.to_owned(),
        found: match value {
            Value::String(text) => format!("`{text}`"),
            other => other.to_string(),
        },
        expected,
        nearest,
    };
    let fitting = match (default, value) {
        (Value::Integer(_), Value::Integer(n)) => (*n >= 0).then_some(Value::Integer(*n)),
        (Value::Integer(_), Value::Float(x)) => whole(*x).map(|n| Value::Integer(n as i64)),
        (Value::Integer(_), Value::String(text)) => parse_count(text)
            .ok()
            .and_then(|n| i64::try_from(n).ok())
            .map(Value::Integer),
        (Value::Float(_), Value::Integer(n)) => Some(Value::Float(*n as f64)),
        (Value::String(_), Value::String(text)) => match choices(key) {
            Some(names) if !names.contains(&text.as_str()) => {
                let near = nearest(text, names.iter().copied());
                let (last, others) = names.split_last().unwrap_or((&"", &[]));
                return Err(wrong(format!("{} or {last}", others.join(", ")), near));
            }
            _ => Some(value.clone()),
        },
        (a, b) if a.same_type(b) => Some(value.clone()),
        _ => None,
    };
    fitting.ok_or_else(|| {
        let expected = match default {
            Value::Integer(_) => "a whole number, 0 or more",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Table(_) => "a table",
            _ => "a text",
        };
        wrong(expected.to_owned(), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Layer {
        let texts: Vec<_> = texts.iter().map(|t| (*t).to_owned()).collect();
        Layer::from_assignments("--set", &texts).expect("assignments")
    }

    fn error(texts: &[&str]) -> String {
        let resolved = Config::resolve(&[set(texts)]);
        resolved.expect_err("must be refused").to_string()
    }

    #[test]
    fn counts_are_read_as_people_write_them() {
        for (text, count) in [
            ("128", 128),
            ("200k", 200_000),
            ("1M", 1_000_000),
            ("1.5M", 1_500_000),
            ("4.1M", 4_100_000),
            ("16.1k", 16_100),
            ("2.001G", 2_001_000_000),
            ("2G", 2_000_000_000),
            ("1e6", 1_000_000),
            ("10_000", 10_000),
            ("0", 0),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in [
            "", "M", "-1", "1.5", "1.0005k", "1e-3", "abc", "nan", "inf", "1e300",
        ] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_layer_wins_and_options_add_up() {
        let file = Layer {
            name: "file".into(),
            values: "envs = 16\nrollout = 32\nenv_options = { max_steps = 60 }"
                .parse()
                .expect("toml"),
        };
        let over = set(&["envs=1k", "env_options.won_battle_bonus=2.5", "env=smax/3m"]);
        let config = Config::resolve(&[file, over]).expect("resolves");
        assert_eq!((config.envs, config.rollout), (1000, 32));
        assert_eq!(config.env, "smax/3m");
        let options = config.options().expect("json");
        assert_eq!(options["max_steps"], serde_json::json!(60));
        assert_eq!(options["won_battle_bonus"], serde_json::json!(2.5));
    }

    #[test]
    fn a_runs_own_file_is_a_configuration() {
        let folder = tempfile::tempdir().expect("temp");
        let file = folder.path().join("run.toml");
        let text = "merit = \"0.1.0\"\ncommit = \"c\"\n[config]\nenvs = 16\n[config.env_options]\nmax_steps = 60\n";
        std::fs::write(&file, text).expect("written");
        let config = Config::resolve(&[Layer::from_file(&file).expect("read")]).expect("resolves");
        assert_eq!(config.envs, 16);
        assert_eq!(config.env_options["max_steps"].as_integer(), Some(60));
    }

    #[test]
    fn shipped_values_follow_the_algorithm_and_yield_to_the_caller() {
        let ippo = Config::resolve(&[set(&["algo=ippo"])]).expect("resolves");
        assert_eq!((ippo.algo, ippo.learning_rate), (Algo::Ippo, 4e-3));
        let own = Config::resolve(&[set(&["algo=ippo", "clip_eps=0.3"])]).expect("resolves");
        assert_eq!(own.clip_eps, 0.3);
    }

    #[test]
    fn terran_races_have_an_aim_of_the_entropy_of_their_own() {
        let aim = |env: &str, algo: &str| {
            let layer = set(&[&format!("env={env}"), &format!("algo={algo}")]);
            let config = Config::resolve(&[layer]).expect("resolves");
            config.target_entropy
        };
        for algo in ["me_qmix", "me_qplex"] {
            assert_eq!(aim("smax/terran_5_vs_5", algo), 0.32);
            assert_eq!(aim("smax/terran_20_vs_23", algo), 0.32);
            assert_eq!(aim("smax/protoss_5_vs_5", algo), 0.24);
            assert_eq!(aim("smax/3m", algo), 0.24);
        }
    }

    #[test]
    fn every_shipped_file_is_embedded_and_resolves() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let mut names = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("configs/") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below").with_extension("");
                    names.push(name.to_str().expect("utf-8").replace('\\', "/"));
                }
            }
        }
        names.sort();
        let mut embedded: Vec<_> = PRESETS.iter().map(|(n, _)| (*n).to_owned()).collect();
        embedded.sort();
        assert_eq!(names, embedded);
        for name in names {
            let (env, algo) = name.rsplit_once('.').unwrap_or(("smax/3m", &name));
            let algo = match algo {
                "value_decomposition" => "qmix",
                "me_igm" => "me_qmix",
                algo => algo,
            };
            let env = if env.contains('/') {
                env.to_owned()
            } else {
                format!("{env}/3m")
            };
            let layer = set(&[&format!("env={env}"), &format!("algo={algo}")]);
            let config = Config::resolve(&[layer]).expect("resolves");
            config.check().expect("sensible");
        }
    }

    #[test]
    fn choices_are_those_of_the_enums() {
        for key in [
            "algo",
            "network",
            "activation",
            "rnn_reset",
            "trace",
            "actor_ratio",
            "critic_actions",
            "positivity",
            "replay_unit",
            "init",
            "transform",
            "soft_next",
            "entropy_estimate",
            "fop_entropy",
            "hasac_entropy_target",
            "optimiser",
            "reuse_steps",
        ] {
            for name in choices(key).expect("a choice") {
                Config::resolve(&[set(&[&format!("{key}={name}")])]).expect("resolves");
            }
        }
    }

    #[test]
    fn mistakes_are_named_with_what_is_near() {
        assert_eq!(
            error(&["learning_rat=1"]),
            "--set: unknown key `learning_rat`, did you mean `learning_rate`?"
        );
        assert_eq!(
            error(&["algo=mapo"]),
            "--set: `algo` cannot be `mapo`; it takes ippo, mappo, coma, coma_pg, dae, gpae, iql, vdn, qmix, qplex, qtran, me_qmix, me_qplex, fop or hasac, did you mean `mappo`?"
        );
        assert_eq!(
            error(&["envs=-4"]),
            "--set: `envs` cannot be -4; it takes a whole number, 0 or more"
        );
        assert_eq!(
            error(&["anneal_lr=7"]),
            "--set: `anneal_lr` cannot be 7; it takes true or false"
        );
        assert!(Layer::from_assignments("--set", &["envs".into()]).is_err());
        assert!(Layer::from_assignments("--set", &["envs=1".into(), "envs.x=1".into()]).is_err());
    }

    #[test]
    fn broken_toml_is_located() {
        let e = parse_toml(Path::new("a.toml"), "envs = 4\nrollout = = 3\n");
        let e = e.expect_err("must be refused").to_string();
        assert!(e.starts_with("a.toml:2:11: "), "{e}");
        let e = parse_toml(Path::new("a.toml"), "envs = 4\nenvs = 5\n");
        let e = e.expect_err("must be refused").to_string();
        assert!(e.starts_with("a.toml:2:1: "), "{e}");
    }

    #[test]
    fn runs_that_would_learn_nothing_do_not_begin() {
        let start = |texts: &[&str]| {
            let config = Config::resolve(&[set(texts)]).expect("resolves");
            config.check().expect("each number is one");
            config.check_start().map_err(|e| e.to_string())
        };
        let hot = start(&["algo=me_qmix", "temperature_init=10"]).expect_err("refused");
        assert!(
            hot.starts_with("`temperature_init` is 10: it takes 9.12e-4"),
            "{hot}"
        );
        start(&["algo=me_qmix", "temperature_init=1e-4", "temperature_lr=0"]).expect("it stays");
        // Updates of 8 x 50 steps, of which the last learns from `learning_starts` on.
        start(&["algo=hasac", "total_steps=10k"]).expect("the last update learns");
        let late = ["algo=hasac", "total_steps=10300", "learning_starts=10250"];
        let late = start(&late).expect_err("refused");
        assert!(
            late.starts_with("`learning_starts` is 10250: a run of 10000 steps"),
            "{late}"
        );
        start(&["algo=mappo", "total_steps=1"]).expect("no replay");
    }

    #[test]
    fn numbers_are_checked() {
        let refused = |texts: &[&str]| {
            let config = Config::resolve(&[set(texts)]).expect("resolves");
            config.check().expect_err("must be refused").to_string()
        };
        assert_eq!(refused(&["envs=0"]), "`envs` is 0: it takes 1 to 4194304");
        assert!(refused(&["envs=1e12"]).starts_with("`envs` is 1000000000000"));
        assert!(refused(&["learning_rate=nan"]).starts_with("`learning_rate` is NaN"));
        // Above what 32 bits hold the device would have infinity.
        assert!(refused(&["learning_rate=1e39"]).contains("to 3.4e38"));
        assert!(
            refused(&["seed=9000000000000000000"]).starts_with("`seed` is 9000000000000000000")
        );
        assert!(refused(&["gamma=1.1"]).starts_with("`gamma` is 1.1"));
        assert!(refused(&["log_std_init=-11"]).starts_with("`log_std_init` is -11: it takes"));
        Config::default().check().expect("the defaults are fine");
    }
}
