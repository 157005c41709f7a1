//! The contract between an environment and whoever drives it: a learner, a benchmark, a replay.
//!
//! An environment owns its state on the device and reads and writes the regions of an [`EnvIo`]. A step is recorded,
//! not run: many steps go into one submission, and nothing travels to the host in between.

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::gpu::{Gpu, GpuError, Region};
use crate::kernels::Kernels;

/// What one agent may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// One of `n` actions; the action region holds `u32`.
    Discrete(usize),
    /// `k` numbers; the action region holds `[.., K] f32`.
    Continuous(usize),
}

impl ActionSpace {
    /// Words of the action region per agent.
    pub fn words(self) -> usize {
        match self {
            Self::Discrete(_) => 1,
            Self::Continuous(k) => k,
        }
    }

    /// Columns of the availability mask: `N` for discrete actions, none for continuous ones.
    pub fn mask(self) -> usize {
        match self {
            Self::Discrete(n) => n,
            Self::Continuous(_) => 0,
        }
    }
}

/// Shape and limits of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvSpec {
    /// `family/name`, as the command line takes it: `smax/2s3z`.
    pub name: String,
    /// Agents that act, `A`.
    pub agents: usize,
    /// Observation features of one agent, `D`.
    pub obs: usize,
    /// Features of the state that a central critic may see, `S`.
    pub state: usize,
    pub actions: ActionSpace,
    /// Steps after which an episode is truncated (the environment's page says whether the reference counts one more).
    pub max_steps: usize,
    /// The limit of the episodes that are truncated first: `max_steps`, unless the limit depends on the episode. Episodes that are truncated
    /// end at least so many steps apart.
    pub shortest_limit: usize,
    /// What discrete actions 0 .. N mean, or the numbers of a continuous one.
    pub action_names: Vec<String>,
    /// What it follows, with the version: `JaxMARL 0.2.0, HeuristicEnemySMAX`.
    pub reference: &'static str,
}

/// The device memory that an environment shares with its driver.
///
/// With `T = steps` and `G` environments. A step `t < T` reads `actions[t]`, writes `reward[t]`, `terminated[t]`,
/// `truncated[t]` and `agent_done[t]`, and writes what is seen next to slot `(t + 1) mod slots` of `obs`, `state` and
/// `avail`. A learner takes `slots = T + 1`, so that slot `t` is what action `t` was chosen from and slot `T` is the
/// bootstrap; a benchmark takes one slot and one step. A reset writes slot 0, or the one that it is told.
///
/// Where an episode ended in step `t`, slot `t + 1` already shows the next episode; what the old one ended with is in
/// `final_obs` and `final_state` until that environment's next episode ends.
///
/// Where a critic sees just what the agents see, `state` may be the memory of `obs`. An environment may leave words of
/// `obs`, `state`, `avail`, `final_obs` and `final_state` as they are that it knows to be right since it last wrote that
/// slot. So a driver writes to no slot that a step will write; it may write to those that none does, as slot 0 of several (a rollout
/// begins with what the last one ended with), and to any after [`VecEnv::restore`].
#[derive(Clone, Debug)]
pub struct EnvIo {
    /// `T`.
    pub steps: usize,
    /// Slots of `obs`, `state` and `avail`.
    pub slots: usize,
    /// `[T, G, A] u32`, or `[T, G, A, K] f32`.
    pub actions: Region,
    /// `[slots, G, A, D] f32`.
    pub obs: Region,
    /// `[slots, G, S] f32`.
    pub state: Region,
    /// `[slots, G, A, N] f32`, 1 = allowed.
    pub avail: Region,
    /// `[T, G, A] f32`.
    pub reward: Region,
    /// `[T, G] f32`: 1 where the episode ended by the rules of the game.
    pub terminated: Region,
    /// `[T, G] f32`: 1 where it was cut by the step limit (never together with `terminated`).
    pub truncated: Region,
    /// `[T, G, A] f32`: 1 where this agent is dead or done after the step.
    pub agent_done: Region,
    /// `[G, A, D] f32`.
    pub final_obs: Region,
    /// `[G, S] f32`.
    pub final_state: Region,
}

impl EnvIo {
    /// Words of each region per environment.
    fn words(spec: &EnvSpec, steps: usize, slots: usize) -> [(&'static str, usize); 10] {
        let (a, mask) = (spec.agents, spec.actions.mask());
        [
            ("actions", steps * a * spec.actions.words()),
            ("observations", slots * a * spec.obs),
            ("states", slots * spec.state),
            ("action masks", slots * a * mask),
            ("rewards", steps * a),
            ("terminated", steps),
            ("truncated", steps),
            ("agent_done", steps * a),
            ("final observations", a * spec.obs),
            ("final states", spec.state),
        ]
    }

    /// Checks that all regions fit for `envs` environments (`G`). `besides` says what else is held of each, in words.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] if a region exceeds what the adapter binds. It names the largest of all, `besides`
    /// included, so that the number of environments that it allows fits everywhere.
    pub fn check_fits(
        gpu: &Gpu,
        spec: &EnvSpec,
        envs: usize,
        steps: usize,
        slots: usize,
        besides: &[(&'static str, usize)],
    ) -> Result<(), GpuError> {
        let words = Self::words(spec, steps, slots);
        let all = words.iter().chain(besides);
        all.max_by_key(|(_, words)| *words)
            .map_or(Ok(()), |&(what, most)| {
                gpu.check_fits(what, 4 * most.max(1) as u64, envs as u64, "environments")
            })
    }

    /// Allocates the regions for `envs` environments (`G`).
    ///
    /// # Errors
    /// As [`EnvIo::check_fits`].
    pub fn allocate(
        gpu: &Gpu,
        spec: &EnvSpec,
        envs: usize,
        steps: usize,
        slots: usize,
    ) -> Result<Self, GpuError> {
        Self::check_fits(gpu, spec, envs, steps, slots, &[])?;
        let words = Self::words(spec, steps, slots);
        let [
            actions,
            obs,
            state,
            avail,
            reward,
            terminated,
            truncated,
            agent_done,
            final_obs,
            final_state,
        ] = words.map(|(what, words)| gpu.storage(what, (4 * words.max(1) * envs) as u64));
        Ok(Self {
            steps,
            slots,
            actions,
            obs,
            state,
            avail,
            reward,
            terminated,
            truncated,
            agent_done,
            final_obs,
            final_state,
        })
    }
}

/// Sums over the episodes that ended since the last read, per member of the population.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpisodeStats {
    /// Episodes that ended.
    pub episodes: f64,
    /// Sum and sum of squares of the team's return (agent 0's, undiscounted).
    pub return_sum: f64,
    pub return_sq_sum: f64,
    /// Sum and sum of squares of the episode lengths in environment steps.
    pub length_sum: f64,
    pub length_sq_sum: f64,
    /// Episodes that were won (0 where an environment knows no winning).
    pub wins: f64,
    /// Episodes cut by the step limit.
    pub truncations: f64,
    /// Two counts that an environment defines: SMAX sums the allies and the enemies alive at the end.
    pub extra: [f64; 2],
}

impl EpisodeStats {
    /// Words per member in the device's statistics region, in the order of the fields above.
    pub const WORDS: usize = 9;

    /// From the `WORDS` numbers of one member.
    pub fn from_words(w: &[f32]) -> Self {
        let w = |i: usize| f64::from(w[i]);
        Self {
            episodes: w(0),
            return_sum: w(1),
            return_sq_sum: w(2),
            length_sum: w(3),
            length_sq_sum: w(4),
            wins: w(5),
            truncations: w(6),
            extra: [w(7), w(8)],
        }
    }

    pub fn mean_return(&self) -> f64 {
        self.return_sum / self.episodes
    }

    pub fn mean_length(&self) -> f64 {
        self.length_sum / self.episodes
    }

    pub fn win_rate(&self) -> f64 {
        self.wins / self.episodes
    }
}

/// `G` environments of one kind, stepped together on the device.
///
/// Environment `g = p · E + e` is environment `e` of member `p`; its randomness depends on the seed of `p`, on `e` and
/// on its own episode and step counters, on nothing else.
pub trait VecEnv {
    fn spec(&self) -> &EnvSpec;

    /// The batch on the device.
    fn kernels(&self) -> &Kernels;

    /// Environment `env` as people see it. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError>;

    /// `G`.
    fn envs(&self) -> usize {
        self.kernels().envs()
    }

    fn io(&self) -> &EnvIo {
        &self.kernels().io
    }

    /// `[T, G, A] f32`: 1 where step `t` replaced what the agent was told by its own choice, and no region where an
    /// environment never does. SMAX's anomalies do (`anomaly_probability`): the action was then *stop* (4, or no move and
    /// no attack), whatever `actions` says, and a learner should treat it as the one chosen.
    fn replaced(&self) -> Option<&Region> {
        None
    }

    /// The discrete action that [`VecEnv::replaced`] ones became; none where actions are numbers.
    fn replacement(&self) -> Option<u32> {
        None
    }

    /// Starts a fresh episode everywhere and writes slot 0 of observations, states and masks.
    fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_reset_in(pass, 0);
    }

    /// The same, seen in slot `slot`. Episodes under way end in no step and are counted nowhere.
    fn record_reset_in(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize) {
        self.kernels().record_reset_in(pass, slot);
    }

    /// Records step `t < T`: acts, resets the environments that ended, observes.
    fn record_step(&self, pass: &mut wgpu::ComputePass<'_>, t: usize) {
        self.kernels().record_step(pass, t);
    }

    /// Writes slot 0 of observations, states and masks from the state as it is.
    fn record_observe(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.kernels().record_observe(pass);
    }

    /// Sets the weight of the shaped part of the reward for the steps of later submissions: annealing is the caller's
    /// matter, and no part of a snapshot. Says whether the environment has such a part.
    fn set_reward_shaping(&self, _gpu: &Gpu, _weight: f32) -> bool {
        false
    }

    /// Dispatches that one step records.
    fn dispatches_per_step(&self) -> u32 {
        1
    }

    /// Bytes that one step of one environment must move to and from device memory: the state in and out, the key, the
    /// actions, the outcome and what is seen next.
    fn bytes_per_step(&self) -> u64 {
        let (s, a) = (self.spec(), self.spec().agents);
        let state = 2 * self.kernels().state_words() + 2;
        let actions = a * s.actions.words();
        let outcome = 2 * a + 2 + self.replaced().map_or(0, |_| a);
        let seen = a * (s.obs + s.actions.mask()) + s.state;
        4 * (state + actions + outcome + seen) as u64
    }

    /// How the kernel spreads an environment over invocations: `thread` or `tile`.
    fn layout(&self) -> &'static str {
        self.kernels().layout()
    }

    /// `[EpisodeStats::WORDS, G] f32`: what [`VecEnv::record_stats`] sums, per environment.
    fn env_sums(&self) -> &Region {
        self.kernels().sums()
    }

    /// Sums the statistics of the ended episodes per member into [`VecEnv::stats_region`] and clears them.
    fn record_stats(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.kernels().record_stats(pass);
    }

    /// `[P, EpisodeStats::WORDS] f32`, valid after [`VecEnv::record_stats`].
    fn stats_region(&self) -> &Region {
        self.kernels().totals()
    }

    /// The parts of an environment's state in the order of its words: a name for people, and how many words. Replays name
    /// the part that diverges.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        vec![("state", self.kernels().state_words())]
    }

    /// The whole device-side state (all that the next step depends on, the random counters included).
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    fn snapshot(&self, gpu: &Gpu) -> Result<Vec<u8>, GpuError> {
        self.kernels().snapshot(gpu)
    }

    /// Puts back what [`VecEnv::snapshot`] returned. Observations are not rewritten: restore the [`EnvIo`] slots too.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it was taken from a batch of another size.
    fn restore(&self, gpu: &Gpu, snapshot: &[u8]) -> Result<(), GpuError> {
        self.kernels().restore(gpu, snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::AdapterChoice;

    /// What a refusal calls too large, and how many environments it allows.
    fn refusal(gpu: &Gpu, spec: &EnvSpec, envs: u64, sizes: [usize; 3]) -> (String, u64) {
        let [steps, slots, own] = sizes;
        match EnvIo::check_fits(gpu, spec, envs as usize, steps, slots, &[("own", own)]) {
            Err(GpuError::TooLarge { what, largest, .. }) => (what, largest),
            Err(e) => panic!("{e}"),
            Ok(()) => panic!("{envs} environments fit"),
        }
    }

    /// Every region is too large; the first one would still allow more environments than the others.
    #[test]
    fn a_refusal_names_the_tightest_region() {
        let gpu = Gpu::open(&AdapterChoice::from_env()).expect("a graphics adapter");
        let spec = EnvSpec {
            name: "test".into(),
            agents: 3,
            obs: 50,
            state: 200,
            actions: ActionSpace::Discrete(7),
            max_steps: 10,
            shortest_limit: 10,
            action_names: vec![],
            reference: "none",
        };
        // Words per environment at one step and two slots: actions 3, observations 300, states 400, masks 42.
        let limit = gpu.max_binding() / 4;
        let most = refusal(&gpu, &spec, limit, [1, 2, 399]);
        assert_eq!(most, ("states".into(), limit / 400));
        // One more than it allows is still refused, so what it allows is no underestimate.
        assert_eq!(refusal(&gpu, &spec, limit / 400 + 1, [1, 2, 399]), most);
        // What the environment holds besides counts too.
        let own = refusal(&gpu, &spec, limit, [1, 2, 401]);
        assert_eq!(own, ("own".into(), limit / 401));
        // A long rollout of few observations: 3 actions, rewards and flags a step.
        let long = refusal(&gpu, &spec, limit, [1000, 2, 401]);
        assert_eq!(long.1, limit / 3000);
    }
}
