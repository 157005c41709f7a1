//! The sizes of a run, under one name each.

use merit_sim::env::{ActionSpace, EnvSpec};

use crate::LearnError;
use crate::config::{Algo, Config, CriticActions, Init, Network, Optimiser, ReplayUnit, RnnReset};
use crate::net::UNIFORM_WORDS;

/// Workgroups of a dispatch in one dimension, as WebGPU has it; adapters hardly have more.
const MOST_GROUPS: usize = 65_535;

/// Samples that a workgroup gathers (`gather.wgsl`).
const ROWS_A_GROUP: usize = 8;

/// Numbers that a workgroup permutes (`shuffle.wgsl`).
const ITEMS_A_GROUP: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `P`
    pub members: usize,
    /// `E`, per member.
    pub envs: usize,
    /// `A`
    pub agents: usize,
    /// `T`
    pub steps: usize,
    /// `D`
    pub obs: usize,
    /// `S`
    pub state: usize,
    /// `N` to choose among, or `K` numbers.
    pub actions: ActionSpace,
    pub minibatches: usize,
    pub epochs: usize,
    /// Sequences of a minibatch per member; 0: single samples are permuted.
    pub sequences: usize,
    /// Rollouts that are kept, `M`: 1 for those who learn from the newest alone.
    pub reuse: usize,
}

impl Sizes {
    /// # Errors
    /// [`LearnError::Config`] where the configuration does not fit the environment or itself.
    pub fn new(config: &Config, spec: &EnvSpec) -> Result<Self, LearnError> {
        let wrong = |what: String| Err(LearnError::Config(what));
        for (key, value) in [
            ("seeds", config.seeds),
            ("envs", config.envs),
            ("rollout", config.rollout),
            ("epochs", config.epochs),
            ("minibatches", config.minibatches),
        ] {
            if value == 0 {
                return wrong(format!("{key} = 0: at least 1 is needed"));
            }
        }
        for (key, width) in [
            ("hidden", config.hidden),
            ("critic_hidden", config.critic_hidden),
            ("reward_hidden", config.reward_hidden),
        ] {
            if !(16..=256).contains(&width) || !width.is_multiple_of(8) {
                return wrong(format!(
                    "{key} = {width}: a multiple of 8 from 16 to 256 is needed"
                ));
            }
        }
        let rectified = config.optimiser == Optimiser::Radam;
        let another_step = matches!(config.algo, Algo::ComaPg | Algo::Fop | Algo::Hasac);
        if rectified && (another_step || config.algo.max_entropy()) {
            return wrong(format!(
                "optimiser = \"radam\": {} has another step with Adam's corrections beside it; set optimiser = \"adam\" or \"rmsprop\"",
                config.algo.name()
            ));
        }
        if config.q_lambda && config.algo.decomposes_values() && !config.algo.corrects_targets() {
            return wrong(format!(
                "q_lambda = true: {} has no such targets; take iql, vdn, qmix or qplex, or set q_lambda = false",
                config.algo.name()
            ));
        }
        let orthogonal = config.init == Init::Orthogonal;
        if orthogonal && config.algo.decomposes_values() && !config.algo.chooses_init() {
            return wrong(format!(
                "init = \"orthogonal\": {} begins uniform; take iql, vdn or qmix, or set init = \"uniform\"",
                config.algo.name()
            ));
        }
        if config.algo == Algo::Fop && config.target_polyak != 1.0 {
            return wrong(format!(
                "target_polyak = {}: fop copies its targets every `target_interval` gradient steps; set target_polyak = 1.0",
                config.target_polyak
            ));
        }
        let whole_episodes =
            config.algo.decomposes_values() && config.replay_unit == ReplayUnit::Episodes;
        if whole_episodes
            && config.network == Network::Gru
            && config.rnn_reset == RnnReset::AgentDone
        {
            return wrong(format!(
                "rnn_reset = \"agent_done\": {} unrolls the episodes of its replay from an empty memory, and would act with what it remembers of the battle before; set rnn_reset = \"episode_or_agent\" or replay_unit = \"rollouts\"",
                config.algo.name()
            ));
        }
        if config.replay_unit == ReplayUnit::Rollouts && config.algo == Algo::Fop {
            return wrong(
                "replay_unit = \"rollouts\": fop learns from episodes; set replay_unit = \"episodes\""
                    .into(),
            );
        }
        if config.algo == Algo::Hasac {
            if config.network != Network::Ff {
                return wrong(
                    "network = \"gru\": hasac learns from transitions, and its policies remember nothing; set network = \"ff\"".into(),
                );
            }
            if !config.batch.is_multiple_of(UNIFORM_WORDS) {
                return wrong(format!(
                    "batch = {}: hasac needs a multiple of {UNIFORM_WORDS}; {} is the next",
                    config.batch,
                    config.batch.next_multiple_of(UNIFORM_WORDS)
                ));
            }
            if config.replay_unit == ReplayUnit::Rollouts {
                return wrong(
                    "replay_unit = \"rollouts\": hasac learns from transitions; leave replay_unit = \"episodes\"".into(),
                );
            }
        }
        if config.total_steps < (config.envs * config.rollout) as u64 {
            return wrong(format!(
                "total_steps = {}: one update takes envs * rollout = {} steps",
                config.total_steps,
                config.envs * config.rollout
            ));
        }
        // Its actor has one step a rollout, of all of it.
        let whole = config.algo == Algo::ComaPg;
        let mut sizes = Self {
            members: config.seeds,
            envs: config.envs,
            agents: spec.agents,
            steps: config.rollout,
            obs: spec.obs,
            state: spec.state,
            actions: spec.actions,
            minibatches: if whole { 1 } else { config.minibatches },
            epochs: if whole { 1 } else { config.epochs },
            sequences: 0,
            reuse: config.rollouts_kept(),
        };
        if config.algo.replays() {
            crate::replay::ReplaySizes::new(config, spec)?;
            return match spec.actions {
                ActionSpace::Discrete(_) => Ok(sizes),
                ActionSpace::Continuous(_) if config.algo == Algo::Hasac => Ok(sizes),
                ActionSpace::Continuous(_) => wrong(format!(
                    "algo = \"{}\" needs discrete actions, and those of {} are numbers; take gpae, mappo or ippo",
                    config.algo.name(),
                    config.env
                )),
            };
        }
        let items = sizes.shared(config.network);
        let of = match config.network {
            Network::Ff => "envs * agents * rollout samples",
            Network::Gru => "envs * agents sequences",
        };
        if !items.is_multiple_of(sizes.minibatches) {
            return wrong(format!(
                "minibatches = {}: it must divide the {items} {of} ({} does)",
                config.minibatches,
                (1..=config.minibatches)
                    .rev()
                    .find(|m| items.is_multiple_of(*m))
                    .unwrap_or(1)
            ));
        }
        if let (ActionSpace::Continuous(_), Algo::ComaPg) = (spec.actions, config.algo) {
            return wrong(format!(
                "algo = \"coma_pg\" needs discrete actions, and those of {} are numbers; take coma, dae, gpae, mappo or ippo",
                config.env
            ));
        }
        match (config.algo, config.critic_actions) {
            (Algo::Coma, CriticActions::None) => {
                return wrong(
                    "critic_actions = \"none\": the critic of coma is asked what an agent's action changes; set critic_actions = \"concat\" or \"head\"".into(),
                );
            }
            (Algo::Coma | Algo::Gpae, _) => {}
            (Algo::ComaPg, CriticActions::Head) => {
                return wrong(
                    "critic_actions = \"head\": the critic of coma_pg remembers nothing; take coma or gpae, or set critic_actions = \"concat\"".into(),
                );
            }
            (_, CriticActions::Head) => {
                return wrong(format!(
                    "critic_actions = \"head\": the critic of {} sees no actions{}; take coma or gpae, or set critic_actions = \"concat\"",
                    config.algo.name(),
                    if config.algo == Algo::Dae {
                        ", and its reward models embed them apart in any case"
                    } else {
                        ""
                    }
                ));
            }
            _ => {}
        }
        if matches!(config.algo, Algo::Coma | Algo::ComaPg | Algo::Gpae)
            && config.bootstrap_truncated
        {
            return wrong(format!(
                "bootstrap_truncated = true: the critic of {} sees what the others do, and nobody acts in the final state. Set bootstrap_truncated = false",
                config.algo.name()
            ));
        }
        if config.network == Network::Gru {
            if config.bootstrap_truncated {
                return wrong(
                    "bootstrap_truncated needs network = \"ff\": a recurrent critic is not carried on to the final state. Set bootstrap_truncated = false".into(),
                );
            }
            sizes.sequences = items / sizes.minibatches;
        }
        Ok(sizes)
    }

    /// What a member's minibatches share: samples, or the sequences of a recurrent network.
    fn shared(&self, network: Network) -> usize {
        match network {
            Network::Ff => self.samples(),
            Network::Gru => self.member_rows(),
        }
    }

    /// What one dispatch of each kernel can do, of which a dimension holds [`MOST_GROUPS`] workgroups. Asked once the environments exist: where
    /// their buffers do not fit, it is their number that has to change, and no number of minibatches would help.
    ///
    /// # Errors
    /// [`LearnError::Config`], which says what to set.
    pub(crate) fn check_dispatches(&self, config: &Config) -> Result<(), LearnError> {
        let most = MOST_GROUPS * ROWS_A_GROUP;
        if self.minibatch_rows() > most {
            // Where there are no minibatches, their number is nothing to set.
            let whole = config.algo == Algo::ComaPg;
            let items = self.shared(config.network);
            let enough = self.samples().div_ceil(most);
            let dividing = (enough..=items).find(|m| items.is_multiple_of(*m) && !whole);
            return Err(LearnError::Config(format!(
                "envs * agents * rollout = {}: a minibatch would have {} samples of a member, and {most} are the most; {}",
                self.samples(),
                self.minibatch_rows(),
                match dividing {
                    Some(minibatches) => format!("set minibatches = {minibatches} or more"),
                    None => "set envs or rollout lower".to_owned(),
                }
            )));
        }
        let kept = self.reuse * self.samples();
        let most = MOST_GROUPS * ITEMS_A_GROUP;
        if kept > most || self.slots() > MOST_GROUPS {
            return Err(LearnError::Config(format!(
                "reuse = {}, rollout = {}, envs = {}: {kept} samples of a member in {} slots would be kept, and {most} in {MOST_GROUPS} are the most; set one of them lower",
                self.reuse,
                self.steps,
                self.envs,
                self.slots()
            )));
        }
        Ok(())
    }

    /// Outputs of the actor: a logit per action, or the mean of each number.
    pub fn outputs(&self) -> usize {
        match self.actions {
            ActionSpace::Discrete(n) => n,
            ActionSpace::Continuous(k) => k,
        }
    }

    /// Rows of one step and member, `E · A`.
    pub fn member_rows(&self) -> usize {
        self.envs * self.agents
    }

    /// Rows of one step, `P · E · A`.
    pub fn rows(&self) -> usize {
        self.members * self.member_rows()
    }

    /// Slots of the memory of all rollouts: rollout `m` has `m (T + 1)` to `m (T + 1) + T`, the last of which is what it ended with.
    pub fn slots(&self) -> usize {
        self.reuse * (self.steps + 1)
    }

    /// Samples of a rollout per member, `T · E · A`.
    pub fn samples(&self) -> usize {
        self.steps * self.member_rows()
    }

    /// Samples of a minibatch per member.
    pub fn minibatch_rows(&self) -> usize {
        self.samples() / self.minibatches
    }
}
