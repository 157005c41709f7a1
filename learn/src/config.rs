//! The configuration of a training run: every switch of the algorithms, with JaxMARL's values as defaults.

use serde::{Deserialize, Serialize};

/// The learning algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algo {
    /// Independent PPO: actor and critic see the agent's own observation.
    Ippo,
    /// Multi-agent PPO: the critic sees the world state.
    Mappo,
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
    pub vf_coef: f64,
    /// Bootstrap from the final state where the step limit cut an episode; JaxMARL does not.
    pub bootstrap_truncated: bool,

    /// Environment steps (per member) between two lines of `metrics.jsonl`, rounded up to whole updates.
    pub log_every: u64,
    /// Environment steps (per member) between two checkpoints, rounded up to whole updates.
    pub checkpoint_every: u64,
    /// Environment steps (per member) between two evaluations during training; 0 = only before and after.
    pub eval_every: u64,
    /// Episodes of each evaluation, per member.
    pub eval_episodes: usize,
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
            vf_coef: 0.5,
            bootstrap_truncated: false,
            log_every: 10_000,
            checkpoint_every: 200_000,
            eval_every: 0,
            eval_episodes: 512,
        }
    }
}
