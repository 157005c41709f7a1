//! What a training loop needs of an algorithm.

use std::collections::BTreeMap;

/// A named array of a checkpoint. Names are paths (`actor.params`, `critic.adam.m`, `env.snapshot`, `counters`).
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    F32 { shape: Vec<usize>, data: Vec<f32> },
    U32 { shape: Vec<usize>, data: Vec<u32> },
    U64 { shape: Vec<usize>, data: Vec<u64> },
    U8 { shape: Vec<usize>, data: Vec<u8> },
}

/// All that a learner needs to go on as if it had never stopped: parameters, optimiser, random counters, environments.
pub type Checkpoint = BTreeMap<String, Array>;

/// What happened to one member since the last report. A number that is none is that of a member that has diverged; the order of keys is fixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberReport {
    /// Episodes of the training policy that ended since the last report.
    pub episodes: merit_sim::env::EpisodeStats,
    /// Losses and diagnostics of the last update, by name (`actor_loss`, `entropy`, `approx_kl`, `clip_fraction`,
    /// `first_ratio`, `explained_variance`, `value_loss`, `actor_grad_norm`, …).
    pub diagnostics: BTreeMap<String, f64>,
}

/// Where the time of the updates since the last report went. Not part of the deterministic record.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    pub rollout_s: f64,
    pub update_s: f64,
    /// Dispatches and replayed launches of one update (rollout included).
    pub launches_per_update: u64,
    /// Waits for the device within the updates, per update: 0.
    pub host_syncs_per_update: u64,
    /// What is held now, after all of that.
    pub held: crate::held::Held,
}

/// A population of learners of one algorithm, trained in one batch.
pub trait Learner {
    /// Environment steps that each member has done.
    fn env_steps(&self) -> u64;

    /// Environment steps of one update, per member (`E · T`).
    fn steps_per_update(&self) -> u64;

    /// Updates in all (`floor(total_steps / (E · T))`).
    fn updates(&self) -> u64;

    /// Updates done.
    fn updates_done(&self) -> u64;

    /// Collect, estimate, update. Reads nothing back to the host.
    fn update(&mut self) -> Result<(), crate::LearnError>;

    /// Reads what happened since the last call; waits for the device. One entry per member.
    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), crate::LearnError>;

    /// Plays `episodes` episodes per member with the current parameters, in environments of their own, and returns their
    /// statistics per member. Training is not touched. `greedy` takes the most probable action. Exactly `episodes`
    /// episodes count: the first of every environment, so that short episodes are not over-counted.
    fn evaluate(
        &mut self,
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<merit_sim::env::EpisodeStats>, crate::LearnError>;

    fn checkpoint(&mut self) -> Result<Checkpoint, crate::LearnError>;

    /// # Errors
    /// Says which array is missing or of another shape.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), crate::LearnError>;
}
