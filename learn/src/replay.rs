//! Replay of whole episodes that never leaves the device (`value_decomposition.md` §1).
//!
//! The environments write into a ring of steps, each into its own slot: that is the replay. An index says in which steps episodes ended;
//! a batch is drawn from it and gathered into padded sequences, slot after slot, `[P, SLOTS, B, A, …]`. Slot `l` of an episode is
//! what action `l` was chosen from; behind its last step lies what it ended with, where the step limit cut it, for a value to
//! bootstrap from. Slots behind the longest episode of the batch are not computed.

use merit_sim::env::{EnvIo, EnvSpec};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::registry::{Batch as Environments, Driver};

use crate::LearnError;
use crate::burn_device::Flat;
use crate::config::{Algo, Config, ReplayUnit, RnnReset};
use crate::dense::{Live, Rows, Shape};
use crate::kernel::{Bind, Constants, Kernel, Recorder, over_two};
use crate::minibatch::FEISTEL;
use crate::policy::{Context, Itself};
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
pub(crate) const TRANSITIONS: &str = include_str!("../../shaders/learn/transitions.wgsl");
pub(crate) const EPISODES: &str = include_str!("../../shaders/learn/episodes.wgsl");

/// Workgroups of the gathering kernels at most: enough for any device, few enough that a dispatch is one.
const GATHER_GROUPS: usize = 1024;

/// Sizes of the ring and of what is drawn from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplaySizes {
    /// Steps of an environment that the ring holds.
    pub capacity: usize,
    /// Ends of cut episodes that are kept of each environment.
    pub kept: usize,
    /// Episodes of a batch, `B`.
    pub batch: usize,
    /// Slots of an episode, the one behind its last step included; a whole number of chunks of rows.
    pub slots: usize,
    /// Truncated episodes of an environment end at least so many steps apart.
    pub limit: usize,
    /// Whole rollouts in place of episodes: what their last slot holds stands behind their last step.
    pub rollouts: bool,
    /// Single transitions in place of episodes: the steps of their window at most; else 0.
    pub window: usize,
}

impl ReplaySizes {
    /// # Errors
    /// [`LearnError::Config`] where the replay is too small for the environment's episodes.
    pub fn new(config: &Config, spec: &EnvSpec) -> Result<Self, LearnError> {
        let replay = match config.replay {
            0 => most_steps(config, spec),
            steps => steps,
        };
        let capacity = (replay / config.envs as u64) as usize;
        let least = least_steps(config, spec);
        if capacity < least {
            return Err(LearnError::Config(format!(
                "replay = {}: {} environments keep {capacity} steps each, and {} with its episodes of up to {} steps needs {least}; set replay to {} or more",
                replay,
                config.envs,
                config.env,
                spec.max_steps,
                least * config.envs
            )));
        }
        if config.total_steps / config.envs as u64 >= 1 << 31 {
            return Err(LearnError::Config(format!(
                "total_steps = {}: an environment can count 2^31 steps, so envs = {} allow {}",
                config.total_steps,
                config.envs,
                config.envs as u64 * ((1 << 31) - 1)
            )));
        }
        let window = match config.algo {
            Algo::Hasac => config.n_step,
            _ => 0,
        };
        let first = config
            .learning_starts
            .max((config.envs * config.rollout) as u64);
        if window > 0 && first < config.batch as u64 {
            return Err(LearnError::Config(format!(
                "batch = {}: a gradient step needs as many transitions, and the first has {first}; set learning_starts to {} or more",
                config.batch, config.batch
            )));
        }
        let rollouts = config.replay_unit == ReplayUnit::Rollouts;
        if rollouts && config.rollout < 2 {
            return Err(LearnError::Config(format!(
                "rollout = {}: replay_unit = \"rollouts\" needs at least 2, for the last step of a rollout is bootstrapped from",
                config.rollout
            )));
        }
        if config.jaxmarl_done_index && !rollouts {
            return Err(LearnError::Config(
                "jaxmarl_done_index = true: nothing in an episode follows its end; set replay_unit = \"rollouts\" or jaxmarl_done_index = false".into(),
            ));
        }
        if config.reset_at_rollout && !rollouts {
            return Err(LearnError::Config(
                "reset_at_rollout = true: it would cut every episode that is longer than a rollout; set replay_unit = \"rollouts\" or reset_at_rollout = false".into(),
            ));
        }
        // Rows of a slot times slots in whole chunks of weight gradients.
        let quantum = 256 / gcd(256, config.batch);
        // Some references count one step more than the limit says.
        let slots = match (rollouts, window) {
            (true, _) => config.rollout,
            (false, 0) => spec.max_steps + 2,
            _ => 1,
        };
        Ok(Self {
            capacity,
            kept: if rollouts {
                1
            } else {
                capacity / spec.shortest_limit + 2
            },
            rollouts,
            window,
            batch: config.batch,
            slots: slots.next_multiple_of(quantum),
            limit: spec.shortest_limit,
        })
    }

    /// Rows of states of a batch, per member.
    pub fn rows(&self) -> usize {
        self.slots * self.batch
    }

    /// Bytes of the replay itself, of one member: what the documentation says (`docs/algorithms/value-decomposition.md`).
    pub fn bytes(&self, envs: usize, sizes: &Sizes) -> u64 {
        // Observation, mask, action; reward, death, what the policy says of the action.
        let agent = sizes.obs + sizes.actions.mask() + sizes.actions.words() + 3;
        // The state; both kinds of end and their index.
        let step = sizes.agents * agent + sizes.state + 3;
        let end = sizes.agents * sizes.obs + sizes.state;
        4 * (envs * (self.capacity * step + self.kept * end)) as u64
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The environments' batch: as many slots and steps as the ring has.
pub fn environments(config: &Config, replay: &ReplaySizes) -> Environments {
    Environments {
        seeds: config.seeds_from(config.seed),
        envs_per_member: config.envs,
        steps: replay.capacity,
        slots: replay.capacity,
        driver: Driver::External,
        ..Environments::default()
    }
}

/// The replay of the published code, in episodes (`value_decomposition.md` §10).
const EPISODES_WANTED: u64 = 5_000;

/// HASAC's replay, in transitions (`me_igm.md` §11).
const TRANSITIONS_WANTED: u64 = 1_000_000;

/// Environment steps of [`EPISODES_WANTED`] episodes, however long, or of [`TRANSITIONS_WANTED`]; more where the environments alone need more.
fn most_steps(config: &Config, spec: &EnvSpec) -> u64 {
    let wanted = match config.algo {
        Algo::Hasac => TRANSITIONS_WANTED,
        _ => EPISODES_WANTED * spec.max_steps as u64,
    };
    wanted.max(least(config, spec))
}

/// Environment steps that each member's replay must have at least.
pub fn least(config: &Config, spec: &EnvSpec) -> u64 {
    (least_steps(config, spec) * config.envs) as u64
}

/// Steps of an environment that the ring must have: what is collected next, the longest episode and what is seen behind it.
fn least_steps(config: &Config, spec: &EnvSpec) -> usize {
    if config.algo == Algo::Hasac {
        // What is seen behind the newest step takes the place of the oldest.
        return config.rollout.max(config.batch.div_ceil(config.envs)) + 1;
    }
    match config.replay_unit {
        ReplayUnit::Episodes => config.rollout + spec.max_steps + 2,
        // What is seen behind a rollout takes the place of the oldest's first step.
        ReplayUnit::Rollouts => config.rollout + 1,
    }
}

/// The tensors of the replay that may be too large, and the bytes of a step of all members in each.
fn per_step(config: &Config, spec: &EnvSpec) -> [(&'static str, u64); 3] {
    let bytes = |words: usize| 4 * (config.seeds * words).max(1) as u64;
    [
        ("the replay's observations", bytes(spec.agents * spec.obs)),
        ("the replay's states", bytes(spec.state)),
        (
            "the replay's action masks",
            bytes(spec.agents * spec.actions.mask()),
        ),
    ]
}

/// Environment steps of each member's replay where `config.replay` is 0: those of 5,000 episodes, or what the adapter binds as one buffer.
pub fn largest(gpu: &Gpu, config: &Config, spec: &EnvSpec) -> u64 {
    let fitting = per_step(config, spec).map(|(_, bytes)| gpu.max_binding() / bytes);
    let fitting = fitting.into_iter().fold(most_steps(config, spec), u64::min);
    // Whole steps of all environments.
    fitting / config.envs as u64 * config.envs as u64
}

/// Says before anything is allocated how large a replay the adapter can hold.
///
/// # Errors
/// [`LearnError::Gpu`], with the largest number of steps that fits.
pub fn check_fits(gpu: &Gpu, config: &Config, spec: &EnvSpec) -> Result<(), LearnError> {
    for (what, bytes) in per_step(config, spec) {
        gpu.check_fits(what, bytes, config.replay, "steps of replay")?;
    }
    Ok(())
}

/// The index of the ring, and what a batch needs that the ring does not keep.
pub struct Replay {
    pub sizes: ReplaySizes,
    /// `[CAPACITY, P, E] u32`: steps that episodes ended in.
    ends: Region,
    /// `[P, E, 2] u32`: episodes so far, and the first that is there.
    counts: Region,
    /// `[KEPT, P, E, A, D]`
    pub kept_obs: Region,
    /// `[KEPT, P, E, S]`
    pub kept_state: Region,
    /// `[P, B, 4] u32`
    pub drawn: Region,
    keep: Kernel,
    index: Kernel,
    draw: Kernel,
    draw_groups: [usize; 3],
    envs: usize,
}

impl Replay {
    /// `keys: [P]` for the drawing.
    pub fn new(c: &Context<'_>, io: &EnvIo, sizes: ReplaySizes, keys: &Region) -> Self {
        let (gpu, s) = (c.gpu, c.sizes);
        let envs = s.members * s.envs;
        let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
        let obs_words = s.agents * s.obs;
        let kept_obs = words("ends of cut episodes", sizes.kept * envs * obs_words);
        let kept_state = words("states of cut episodes", sizes.kept * envs * s.state);
        let ends = words("ends of episodes", sizes.capacity * envs);
        let counts = words("episodes", 2 * envs);
        let before = words("episodes in front", s.members * (s.envs + 1));
        let drawn = words("drawn episodes", 4 * s.members * sizes.batch);
        let constants = Constants::default()
            .uint("GROUPS", envs)
            .uint("ENVS", s.envs)
            .uint("T", s.steps)
            .uint("CAPACITY", sizes.capacity)
            .uint("BATCH", sizes.batch)
            .uint("OBS_WORDS", obs_words)
            .uint("STATE_WORDS", s.state)
            .uint("LIMIT", sizes.limit)
            .uint("KEPT", sizes.kept)
            .uint("WINDOW", sizes.window)
            .flag("ROLLOUTS", sizes.rollouts);
        let keep = [
            Bind::Tick(c.ticks),
            Bind::Read(&io.truncated),
            Bind::Read(&io.final_obs),
            Bind::Read(&io.final_state),
            Bind::Write(&kept_obs),
            Bind::Write(&kept_state),
        ];
        let index = [
            Bind::Tick(c.ticks),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Write(&ends),
            Bind::Write(&counts),
        ];
        let draw = [
            Bind::Tick(c.ticks),
            Bind::Read(&ends),
            Bind::Read(&counts),
            Bind::Read(keys),
            Bind::Write(&before),
            Bind::Write(&drawn),
        ];
        let kernel = |entry: &str, files: &[&str], binds: &[Bind<'_>]| {
            Kernel::new(gpu, entry, &constants, files, binds)
        };
        let file = include_str!("../../shaders/learn/keep_ends.wgsl");
        let keep = kernel("keep_ends", &[TICK, file], &keep);
        let file = include_str!("../../shaders/learn/index_episodes.wgsl");
        let index = kernel("index_episodes", &[TICK, file], &index);
        let (draw, draw_groups) = if sizes.window > 0 {
            let transitions = [
                Bind::Tick(c.ticks),
                Bind::Read(&io.terminated),
                Bind::Read(&io.truncated),
                Bind::Read(keys),
                Bind::Write(&drawn),
            ];
            let file = include_str!("../../shaders/learn/draw_transitions.wgsl");
            let files = [TICK, RNG, FEISTEL, TRANSITIONS, file];
            let draw = kernel("draw_transitions", &files, &transitions);
            (draw, [sizes.batch.div_ceil(64), s.members, 1])
        } else {
            let file = include_str!("../../shaders/learn/draw_episodes.wgsl");
            let draw = kernel("draw_episodes", &[TICK, RNG, FEISTEL, file], &draw);
            (draw, [s.members, 1, 1])
        };
        Self {
            sizes,
            ends,
            counts,
            kept_obs,
            kept_state,
            drawn,
            keep,
            index,
            draw,
            draw_groups,
            envs,
        }
    }

    /// Behind a step of the environments.
    pub fn record_step(&self, to: &mut Recorder, tick: usize) {
        if !self.sizes.rollouts {
            self.keep.record(to, tick, over_two(self.envs));
        }
    }

    /// Behind the steps of an update; `tick`: of the last one.
    pub fn record_index(&self, to: &mut Recorder, tick: usize) {
        self.index.record(to, tick, [self.envs.div_ceil(64), 1, 1]);
    }

    pub fn record_draw(&self, to: &mut Recorder, tick: usize) {
        self.draw.record(to, tick, self.draw_groups);
    }

    /// What a checkpoint needs beside the ring: name, region, shape, whether whole numbers.
    pub fn saved(&self) -> Vec<(&'static str, &Region, Vec<usize>, bool)> {
        let (s, envs) = (&self.sizes, self.envs);
        let words = |region: &Region| (region.size / 4) as usize;
        vec![
            ("replay.ends", &self.ends, vec![s.capacity, envs], true),
            ("replay.counts", &self.counts, vec![envs, 2], true),
            (
                "replay.kept_obs",
                &self.kept_obs,
                vec![words(&self.kept_obs)],
                false,
            ),
            (
                "replay.kept_state",
                &self.kept_state,
                vec![words(&self.kept_state)],
                false,
            ),
        ]
    }

    /// The ring, which is the environments' memory: name, region, shape, whether whole numbers.
    pub fn ring(&self, io: &EnvIo, s: &Sizes) -> Vec<(String, Region, Vec<usize>, bool)> {
        let (envs, slots) = (s.members * s.envs, self.sizes.capacity);
        let all = [
            ("replay.obs", &io.obs, s.rows() * s.obs, false),
            ("replay.state", &io.state, envs * s.state, false),
            (
                "replay.avail",
                &io.avail,
                s.rows() * s.actions.mask(),
                false,
            ),
            (
                "replay.actions",
                &io.actions,
                s.rows() * s.actions.words(),
                true,
            ),
            ("replay.reward", &io.reward, s.rows(), false),
            ("replay.terminated", &io.terminated, envs, false),
            ("replay.truncated", &io.truncated, envs, false),
            ("replay.agent_done", &io.agent_done, s.rows(), false),
        ];
        let saved = all.map(|(name, region, words, whole)| {
            let region = region.part(0, slots * words);
            (name.to_owned(), region, vec![slots, words], whole)
        });
        Vec::from(saved)
    }

    /// `[P, E, 2]`: episodes so far, and the first that is there.
    pub fn counts(&self) -> &Region {
        &self.counts
    }
}

/// Where in a learner's burn allocation a batch leaves what the loss reads.
pub struct Places<'a> {
    pub batch: &'a Flat,
    /// Words at which the mask `[P, SLOTS, B]` begins.
    pub mask: usize,
}

/// What says where the sequences of a batch of rollouts forget.
struct Resets {
    terminated: Region,
    truncated: Region,
    agent_done: Region,
    drawn: Region,
    constants: Constants,
    groups: [usize; 3],
}

/// A drawn batch as the networks read it.
pub struct Batch {
    pub agent_input: Rows,
    pub state_input: Rows,
    /// States, and behind them what the agents did; and what they would do next, for the target. Where a network sees that.
    pub joint_input: Option<[Rows; 2]>,
    /// `[P, SLOTS, B, A] u32`: what was done.
    pub done: Region,
    /// `[P, SLOTS, B, A] u32`: what would be done next.
    pub next: Region,
    /// `[P, SLOTS, B, A, N] f32`
    pub allowed: Region,
    /// `[P, SLOTS, B] f32`
    pub rewards: Region,
    /// `[P, SLOTS, B] f32`: 1 where nothing comes behind the step.
    pub ended: Region,
    /// Where an episode is not the first of its rollout.
    resets: Option<Resets>,
    /// Of a member, `B`.
    pub episodes: usize,
    /// Slots are computed in whole numbers of so many.
    pub quantum: usize,
    pub agent_shape: Shape,
    pub state_shape: Shape,
    live: Kernel,
    agents: GatherAgents,
    states: Kernel,
    joint: Option<[Kernel; 2]>,
    outcomes: Kernel,
    agent_rows: usize,
    members: usize,
    /// Workgroups of the gathering of states and of states with actions.
    groups: [usize; 2],
}

/// From what was drawn to the inputs of a network of the agents.
pub struct GatherAgents {
    kernel: Kernel,
    groups: [usize; 3],
}

impl GatherAgents {
    /// `input: [P, SLOTS, B, A, columns]` with the rows of `shape`; `told`: whether the last action and the agent's number follow the
    /// observation.
    pub fn new(
        c: &Context<'_>,
        io: &EnvIo,
        replay: &Replay,
        shape: &Shape,
        input: &Rows,
        [last_action, agent_id]: [bool; 2],
    ) -> Self {
        let (gpu, s) = (c.gpu, c.sizes);
        let groups = (shape.rows * input.stride).div_ceil(64).min(GATHER_GROUPS);
        let constants = episode_constants(s, &replay.sizes)
            .uint("ROWS", shape.rows)
            .uint("INPUT", input.stride)
            .uint("OBS", s.obs)
            .uint("ACTION", if last_action { s.outputs() } else { 0 })
            .uint("ID", if agent_id { s.agents } else { 0 })
            .uint("THREADS", 64 * groups)
            .uint("DRAWN", 4)
            .uint("LIVE", 7);
        let live = shape.live_rows(None);
        let mut binds = vec![
            Bind::Read(&io.obs),
            Bind::Read(&replay.kept_obs),
            Bind::Read(&io.actions),
            Bind::Write(&input.region),
            Bind::Read(&replay.drawn),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
        ];
        binds.extend(live.as_ref().map(Bind::Read));
        let file = include_str!("../../shaders/learn/gather_agents.wgsl");
        let files = [EPISODES, shape.live_file(), file];
        Self {
            kernel: Kernel::new(gpu, "gather_agents", &constants, &files, &binds),
            groups: [groups, s.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}

impl Batch {
    /// `stride`: words of a member's parameters. `widths`: of hidden layers of agents, and of networks of the state.
    /// `joint`: whether a network sees what all agents do.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where a batch does not fit.
    #[allow(clippy::too_many_arguments)] // Everything that a batch is made of.
    pub fn new(
        c: &Context<'_>,
        config: &Config,
        io: &EnvIo,
        replay: &Replay,
        widths: [usize; 2],
        joint: bool,
        places: &Places<'_>,
    ) -> Result<Self, LearnError> {
        let (gpu, s, r) = (c.gpu, c.sizes, &replay.sizes);
        let (state_rows, agent_rows) = (r.rows(), r.rows() * s.agents);
        let columns = s.obs + Itself::columns(config, s);
        let joint_columns = if joint { s.agents * s.outputs() } else { 0 };
        let widest = columns.max(3 * widths[0]).max(s.outputs());
        let episode = 4 * (s.members * r.slots) as u64;
        for (what, width) in [
            ("a batch's agent networks", s.agents * widest),
            ("a batch's states", (s.state + joint_columns).max(widths[1])),
        ] {
            gpu.check_fits(
                what,
                episode * width as u64,
                r.batch as u64,
                "episodes in a batch",
            )?;
        }
        let padded = |n: usize| n.next_multiple_of(4);
        let shape = |rows: usize, widths: &[usize]| {
            let mut shape = Shape::new(gpu, s.members, rows, c.stride, widths, c.by_rows);
            let live = Live::new(gpu, shape.chunks());
            shape.live = Some(live.clone());
            (shape, live)
        };
        let (agent_shape, live_agents) = shape(agent_rows, &[widths[0], padded(columns)]);
        let (state_shape, live_states) = shape(state_rows, &[widths[1], padded(s.state)]);
        let words = |what: &str, n: usize| gpu.storage(what, 4 * (s.members * n) as u64);
        let agent_input = Rows::padded(gpu, "agents of a batch", s.members * agent_rows, columns);
        let state_input = Rows::padded(gpu, "states of a batch", s.members * state_rows, s.state);
        let with_joint = || {
            Rows::padded(
                gpu,
                "states and actions of a batch",
                s.members * state_rows,
                s.state + joint_columns,
            )
        };
        let joint_input = joint.then(|| [with_joint(), with_joint()]);
        let done = words("actions of a batch", agent_rows);
        let next = words("next actions of a batch", agent_rows);
        let allowed = words("masks of a batch", agent_rows * s.outputs());
        let rewards = words("rewards of a batch", state_rows);
        let ended = words("ends of a batch", state_rows);

        // Steps in whole chunks of both kinds of rows.
        let slots_of = |chunk: usize, per_slot: usize| chunk / gcd(chunk, per_slot);
        let [a, b] = [
            slots_of(agent_shape.chunk, r.batch * s.agents),
            slots_of(state_shape.chunk, r.batch),
        ];
        let quantum = a / gcd(a, b) * b;
        let constants = Constants::default()
            .uint("DRAWS", s.members * r.batch)
            .uint("SLOTS", r.slots)
            .uint("QUANTUM", quantum)
            .uints("ROWS", &[r.batch * s.agents, r.batch])
            .uints("CHUNK", &[agent_shape.chunk, state_shape.chunk])
            .uints("CHUNKS", &[agent_shape.chunks(), state_shape.chunks()])
            .uint("ENTRY", Live::STRIDE);
        let file = include_str!("../../shaders/learn/live_steps.wgsl");
        let binds = [
            Bind::Read(&replay.drawn),
            Bind::Write(live_agents.region()),
            Bind::Write(live_states.region()),
        ];
        let live = Kernel::new(gpu, "live_steps", &constants, &[file], &binds);

        let of_state_rows = live_states.rows(None);
        let groups = |rows: usize, stride: usize| (rows * stride).div_ceil(64).min(GATHER_GROUPS);
        let threads = |rows: usize, stride: usize| 64 * groups(rows, stride);
        let episodes = episode_constants(s, r);
        let live_file = agent_shape.live_file();
        let told = [config.obs_last_action, config.obs_agent_id];
        let agents = GatherAgents::new(c, io, replay, &agent_shape, &agent_input, told);

        let of_states = |rows: &Rows, actions: &Region, joint: usize| {
            let constants = episodes
                .clone()
                .uint("ROWS", state_rows)
                .uint("INPUT", rows.stride)
                .uint("STATE", s.state)
                .uint("N", s.outputs())
                .uint("JOINT", joint)
                .uint("THREADS", threads(state_rows, rows.stride))
                .uint("DRAWN", 4)
                .uint("LIVE", 5);
            let binds = [
                Bind::Read(&io.state),
                Bind::Read(&replay.kept_state),
                Bind::Write(actions),
                Bind::Write(&rows.region),
                Bind::Read(&replay.drawn),
                Bind::Read(&of_state_rows),
            ];
            let file = include_str!("../../shaders/learn/gather_states.wgsl");
            let files = [EPISODES, live_file, file];
            Kernel::new(gpu, "gather_states", &constants, &files, &binds)
        };
        let states = of_states(&state_input, &done, 0);
        let joint = joint_input.as_ref().map(|[now, after]| {
            [
                of_states(now, &done, joint_columns),
                of_states(after, &next, joint_columns),
            ]
        });

        let constants = episodes
            .uint("ROWS", agent_rows)
            .uint("N", s.outputs())
            .float("REWARD_SCALE", config.reward_scale)
            .uint("MASK", places.mask)
            .flag("DONE_BEFORE", config.jaxmarl_done_index)
            .uint("DRAWN", 7);
        let binds = [
            Bind::Read(&io.actions),
            Bind::Read(&io.avail),
            Bind::Read(&io.reward),
            Bind::Write(&done),
            Bind::Write(&allowed),
            Bind::Write(&places.batch.region),
            Bind::Write(&rewards),
            Bind::Read(&replay.drawn),
            Bind::Write(&ended),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
        ];
        let file = include_str!("../../shaders/learn/gather_outcomes.wgsl");
        let outcomes = Kernel::new(
            gpu,
            "gather_outcomes",
            &constants,
            &[EPISODES, file],
            &binds,
        );
        let resets = r.rollouts.then(|| Resets {
            terminated: io.terminated.clone(),
            truncated: io.truncated.clone(),
            agent_done: io.agent_done.clone(),
            drawn: replay.drawn.clone(),
            constants: episode_constants(s, r)
                .uint("ROWS", agent_rows)
                .flag(
                    "FORGET_EPISODE",
                    config.rnn_reset == RnnReset::EpisodeOrAgent,
                )
                .uint("DRAWN", 4),
            groups: [agent_rows.div_ceil(64), s.members, 1],
        });
        let joint_stride = joint_input.as_ref().map_or(0, |[rows, _]| rows.stride);
        Ok(Self {
            groups: [
                groups(state_rows, state_input.stride),
                groups(state_rows, joint_stride),
            ],
            agent_input,
            state_input,
            joint_input,
            done,
            next,
            allowed,
            rewards,
            ended,
            resets,
            episodes: r.batch,
            quantum,
            agent_shape,
            state_shape,
            live,
            agents,
            states,
            joint,
            outcomes,
            agent_rows,
            members: s.members,
        })
    }

    /// From what was drawn to how many slots are computed.
    pub fn record_live(&self, to: &mut Recorder) {
        self.live.record(to, 0, [1, 1, 1]);
    }

    /// From what was drawn to what the networks read.
    pub fn record_gather(&self, to: &mut Recorder) {
        let [states, joint] = self.groups;
        self.record_live(to);
        self.outcomes
            .record(to, 0, [self.agent_rows.div_ceil(64), self.members, 1]);
        self.agents.record(to);
        self.states.record(to, 0, [states, self.members, 1]);
        if let Some([now, _]) = &self.joint {
            now.record(to, 0, [joint, self.members, 1]);
        }
    }

    /// Into `reset: [P, SLOTS, B, A]` where a recurrent network forgets within a sequence, with its workgroups; none where sequences are
    /// episodes.
    pub fn reset_kernel(&self, gpu: &Gpu, reset: &Region) -> Option<(Kernel, [usize; 3])> {
        let r = self.resets.as_ref()?;
        let binds = [
            Bind::Read(&r.terminated),
            Bind::Read(&r.truncated),
            Bind::Read(&r.agent_done),
            Bind::Write(reset),
            Bind::Read(&r.drawn),
        ];
        let file = include_str!("../../shaders/learn/gather_resets.wgsl");
        let kernel = Kernel::new(
            gpu,
            "gather_resets",
            &r.constants,
            &[EPISODES, file],
            &binds,
        );
        Some((kernel, r.groups))
    }

    /// Behind the kernel that says what would be done next.
    pub fn record_gather_next(&self, to: &mut Recorder) {
        if let Some([_, next]) = &self.joint {
            next.record(to, 0, [self.groups[1], self.members, 1]);
        }
    }
}

/// A kernel over the live rows of a batch, whatever their number.
pub struct OverLive {
    kernel: Kernel,
    groups: [usize; 3],
}

impl OverLive {
    /// `file` strides by THREADS over the live ones of `words` words of each member.
    pub fn new(
        gpu: &Gpu,
        entry: &str,
        constants: Constants,
        shape: &Shape,
        file: &str,
        binds: &[Bind<'_>],
        words: usize,
    ) -> Self {
        let groups = words.div_ceil(64).min(GATHER_GROUPS);
        let live = shape.live_rows(None);
        let constants = constants
            .uint("THREADS", 64 * groups)
            .uint("LIVE", binds.len());
        let mut binds = binds.to_vec();
        binds.extend(live.as_ref().map(Bind::Read));
        Self {
            kernel: Kernel::new(gpu, entry, &constants, &[shape.live_file(), file], &binds),
            groups: [groups, shape.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}

/// For `episodes.wgsl`.
pub(crate) fn episode_constants(s: &Sizes, r: &ReplaySizes) -> Constants {
    Constants::default()
        .uint("BATCH", r.batch)
        .uint("CAPACITY", r.capacity)
        .uint("GROUPS", s.members * s.envs)
        .uint("AGENTS", s.agents)
        .uint("LIMIT", r.limit)
        .uint("KEPT", r.kept)
        .flag("ROLLOUTS", r.rollouts)
}
