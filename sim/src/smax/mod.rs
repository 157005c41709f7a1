//! SMAX, JaxMARL's StarCraft-like battle: the rules are in `shaders/smax/`, this file says shapes and holds the memory.
//!
//! Reference: JaxMARL 0.2.0, `SMAX` and `HeuristicEnemySMAX`; `docs/environments/smax.md` describes both.

pub mod options;
pub(crate) mod parity;
pub mod scenario;
mod state;

use std::fmt::Write as _;

use bytemuck::{Pod, Zeroable};

use crate::env::{ActionSpace, EnvIo, EnvSpec, EpisodeStats, VecEnv};
use crate::gpu::{Access, Gpu, GpuError, Region, UNIFORM_STRIDE};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions, Layout};
use crate::rng;
use options::{AttackMode, Opponent, SmaxOptions};
use scenario::{Scenario, Types};
pub use state::{Replay, SmaxState};

/// Every scenario's name, `smax/custom` last.
pub fn names() -> Vec<String> {
    let named = scenario::all().into_iter().map(|s| s.name);
    named
        .chain(["custom".to_owned()])
        .map(|n| format!("smax/{n}"))
        .collect()
}

/// A scenario with its options, checked.
#[derive(Clone, Debug)]
pub struct SmaxConfig {
    pub scenario: Scenario,
    pub options: SmaxOptions,
}

/// Finds `smax/NAME` and reads its options.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<SmaxConfig, EnvError> {
    let unknown = || EnvError::Unknown {
        asked: name.to_owned(),
        nearest: registry::nearest(name),
    };
    let short = name.strip_prefix("smax/").ok_or_else(unknown)?;
    let options: SmaxOptions = serde_json::from_value(serde_json::Value::Object(options.clone()))
        .map_err(|e| EnvError::Options {
        env: name.to_owned(),
        reason: e.to_string(),
    })?;
    let scenario = match short {
        "custom" => options.custom_scenario(),
        _ => scenario::find(short).ok_or_else(unknown)?,
    };
    options.check(&scenario)?;
    Ok(SmaxConfig { scenario, options })
}

impl SmaxConfig {
    /// Units of both teams, `N`.
    pub fn units(&self) -> usize {
        self.scenario.allies + self.scenario.enemies
    }

    /// Agents: the allies, or both teams where nobody plays the enemies.
    pub fn agents(&self) -> usize {
        match self.options.opponent {
            Opponent::Heuristic => self.scenario.allies,
            Opponent::External => self.units(),
        }
    }

    pub fn spec(&self) -> EnvSpec {
        let (n, types) = (self.units(), self.options.unit_types.len());
        let (na, ne) = (self.scenario.allies, self.scenario.enemies);
        let targets = match self.options.opponent {
            Opponent::Heuristic => ne,
            Opponent::External => na.max(ne),
        };
        EnvSpec {
            name: format!("smax/{}", self.scenario.name),
            agents: self.agents(),
            obs: (7 + types) * (n - 1) + 4 + types,
            state: (6 + types) * n,
            actions: ActionSpace::Discrete(5 + targets),
            max_steps: self.options.max_steps as usize,
        }
    }
}

/// A row of the shader's unit table.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct UnitRow {
    health: f32,
    attack: f32,
    attack_range: f32,
    sight_range: f32,
    radius: f32,
    velocity: f32,
    cooldown: f32,
    pad: f32,
}

/// Where the words of the state lie; the shader's `unit_word`, `memory_word` and `env_word` say the same.
#[derive(Clone, Copy, Debug)]
struct StateLayout {
    tile: bool,
    envs: usize,
    units: usize,
    memory_first: usize,
    memory_units: usize,
}

const UNIT_FIELDS: usize = 5;
const MEMORY_FIELDS: usize = 2;
const ENV_FIELDS: usize = 3;

impl StateLayout {
    fn words(&self) -> usize {
        UNIT_FIELDS * self.units + MEMORY_FIELDS * self.memory_units + ENV_FIELDS
    }

    fn place(&self, word: usize, env: usize) -> usize {
        if self.tile {
            env * self.words() + word
        } else {
            word * self.envs + env
        }
    }

    fn unit(&self, field: usize, unit: usize, env: usize) -> usize {
        self.place(field * self.units + unit, env)
    }

    /// `None` for a unit that the heuristic does not play.
    fn memory(&self, field: usize, unit: usize, env: usize) -> Option<usize> {
        let slot = unit.checked_sub(self.memory_first)?;
        (slot < self.memory_units).then(|| {
            let word = UNIT_FIELDS * self.units + field * self.memory_units + slot;
            self.place(word, env)
        })
    }

    fn env(&self, field: usize, env: usize) -> usize {
        let word = UNIT_FIELDS * self.units + MEMORY_FIELDS * self.memory_units + field;
        self.place(word, env)
    }
}

/// A batch of battles on the device.
pub struct Smax {
    config: SmaxConfig,
    spec: EnvSpec,
    layout: StateLayout,
    io: EnvIo,
    state: Region,
    sums: Region,
    totals: Region,
    replay: Region,
    groups: (u32, u32),
    members: u32,
    step: wgpu::ComputePipeline,
    reset: wgpu::ComputePipeline,
    observe: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    stats: wgpu::ComputePipeline,
    stats_bindings: wgpu::BindGroup,
}

impl Smax {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: SmaxConfig, batch: &Batch) -> Result<Self, EnvError> {
        Self::guarded(gpu, config, batch, None)
    }

    /// A batch whose random draws come from [`Smax::set_replay`]: recorded cooldown noise and chased units. Without
    /// `auto_reset` an environment that ended stays as it ended.
    ///
    /// # Errors
    /// As [`Smax::new`].
    pub fn replaying(
        gpu: &Gpu,
        config: SmaxConfig,
        batch: &Batch,
        auto_reset: bool,
    ) -> Result<Self, EnvError> {
        Self::guarded(gpu, config, batch, Some(auto_reset))
    }

    fn guarded(
        gpu: &Gpu,
        config: SmaxConfig,
        batch: &Batch,
        replaying: Option<bool>,
    ) -> Result<Self, EnvError> {
        let what = format!(
            "{} environments of smax/{}",
            batch.envs(),
            config.scenario.name
        );
        gpu.guarded(&what, || Self::build(gpu, config, batch, replaying))?
    }

    fn build(
        gpu: &Gpu,
        config: SmaxConfig,
        batch: &Batch,
        replaying: Option<bool>,
    ) -> Result<Self, EnvError> {
        let envs = batch.envs();
        if envs == 0 || batch.steps == 0 || batch.slots == 0 {
            return Err(EnvError::Empty {
                members: batch.seeds.len(),
                envs: batch.envs_per_member,
                steps: batch.steps.min(batch.slots),
            });
        }
        let spec = config.spec();
        let (n, na) = (config.units(), config.scenario.allies);
        let heuristic = (
            batch.driver == Driver::Heuristic,
            config.options.opponent == Opponent::Heuristic || batch.driver == Driver::Heuristic,
        );
        let (memory_first, memory_units) = match heuristic {
            (true, _) => (0, n),
            (false, true) => (na, n - na),
            (false, false) => (0, 0),
        };
        let tile = match batch.layout {
            Layout::Auto => !gpu.is_software(),
            Layout::Thread => false,
            Layout::Tile => true,
        };
        let layout = StateLayout {
            tile,
            envs,
            units: n,
            memory_first,
            memory_units,
        };
        let workgroup = workgroup_size(gpu, tile, n);
        let envs_per_group = if tile { workgroup / n } else { workgroup };
        let groups = envs.div_ceil(envs_per_group) as u32;
        // One dimension holds 65,535 workgroups.
        let groups_x = groups.min(32_768);
        let groups = (groups_x, groups.div_ceil(groups_x));

        let words = layout.words() as u64 * 4;
        gpu.check_fits("environment states", words, envs as u64, "environments")?;
        let io = EnvIo::allocate(gpu, &spec, envs, batch.steps, batch.slots)?;
        let state = gpu.storage("smax state", words * envs as u64);
        let sums = gpu.storage("smax sums", (EpisodeStats::WORDS * envs * 4) as u64);
        let totals = gpu.storage(
            "smax totals",
            (EpisodeStats::WORDS * batch.seeds.len() * 4) as u64,
        );
        let replay_words = if replaying.is_some() {
            (config.options.world_steps_per_env_step as usize + 1) * n * envs
        } else {
            1
        };
        let replay = gpu.storage("smax replay", 4 * replay_words as u64);
        let keys: Vec<[u32; 2]> = batch
            .seeds
            .iter()
            .flat_map(|&s| (0..batch.envs_per_member).map(move |e| rng::env_key(s, e as u32)))
            .collect();
        let keys = gpu.storage_from("smax keys", &keys);
        let rows: Vec<UnitRow> = config
            .options
            .unit_types
            .iter()
            .map(|t| UnitRow {
                health: t.health,
                attack: t.attack,
                attack_range: t.attack_range,
                sight_range: t.sight_range,
                radius: t.radius,
                velocity: t.velocity,
                cooldown: t.weapon_cooldown,
                pad: 0.0,
            })
            .collect();
        let table = gpu.uniform_from("smax unit types", &rows);
        let slots: Vec<[u32; (UNIFORM_STRIDE / 4) as usize]> = (0..batch.steps)
            .map(|t| {
                let mut block = [0; (UNIFORM_STRIDE / 4) as usize];
                block[0] = t as u32;
                block[1] = ((t + 1) % batch.slots) as u32;
                block
            })
            // The reset's block: observations go to slot 0.
            .chain([[0; (UNIFORM_STRIDE / 4) as usize]])
            .collect();
        let slots = gpu.uniform_from("smax slots", &slots);

        let source = source(&Source {
            config: &config,
            spec: &spec,
            layout,
            workgroup,
            groups_x,
            driver: batch.driver,
            quota: batch.episode_quota,
            replaying,
        });
        let module = gpu.shader("smax", &source, !batch.checked);
        let (read, write) = (Access::Read, Access::ReadWrite);
        let table_bytes = (size_of::<UnitRow>() * rows.len()) as u64;
        let bind_layout = gpu.layout(
            "smax",
            &[
                Access::Uniform(table_bytes),
                Access::DynamicUniform(16),
                write,
                read,
                read,
                write,
                write,
                write,
                write,
                write,
                write,
                write,
                write,
                write,
                write,
                read,
            ],
        );
        let slot_block = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &slots,
            offset: 0,
            size: std::num::NonZero::new(16),
        });
        let bindings = gpu.bind(
            "smax",
            &bind_layout,
            &[
                table.as_entire_binding(),
                slot_block,
                state.binding(),
                keys.binding(),
                io.actions.binding(),
                io.obs.binding(),
                io.state.binding(),
                io.avail.binding(),
                io.reward.binding(),
                io.terminated.binding(),
                io.truncated.binding(),
                io.agent_done.binding(),
                io.final_obs.binding(),
                io.final_state.binding(),
                sums.binding(),
                replay.binding(),
            ],
        );
        let pipeline = |entry: &str| gpu.pipeline(entry, &module, entry, &bind_layout);

        let stats_module = gpu.shader(
            "stats",
            include_str!("../../../shaders/common/stats.wgsl"),
            false,
        );
        let stats_layout = gpu.layout("stats", &[Access::Uniform(16), write, write]);
        let shape = gpu.uniform_from(
            "stats shape",
            &[[
                envs as u32,
                batch.envs_per_member as u32,
                EpisodeStats::WORDS as u32,
                0,
            ]],
        );
        let stats_bindings = gpu.bind(
            "stats",
            &stats_layout,
            &[shape.as_entire_binding(), sums.binding(), totals.binding()],
        );
        let smax = Self {
            step: pipeline("env_step"),
            reset: pipeline("env_reset"),
            observe: pipeline("env_observe"),
            bindings,
            stats: gpu.pipeline("stats", &stats_module, "reduce", &stats_layout),
            stats_bindings,
            config,
            spec,
            layout,
            io,
            state,
            sums,
            totals,
            replay,
            groups,
            members: batch.seeds.len() as u32,
        };
        // The first reset counts the episode up to 0.
        let mut words = vec![0u32; layout.words() * envs];
        for g in 0..envs {
            words[layout.env(1, g)] = u32::MAX;
        }
        gpu.write(&smax.state, &words);
        Ok(smax)
    }

    pub fn config(&self) -> &SmaxConfig {
        &self.config
    }

    /// Which layout was compiled.
    pub fn layout_name(&self) -> &'static str {
        if self.layout.tile { "tile" } else { "thread" }
    }

    fn dispatch(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        pipeline: &wgpu::ComputePipeline,
        block: usize,
    ) {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.bindings, &[(block as u64 * UNIFORM_STRIDE) as u32]);
        pass.dispatch_workgroups(self.groups.0, self.groups.1, 1);
    }

    /// Writes slot 0 of observations, states and masks from the state as it is.
    pub fn record_observe(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.dispatch(pass, &self.observe, self.io.steps);
    }
}

impl VecEnv for Smax {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn envs(&self) -> usize {
        self.layout.envs
    }

    fn io(&self) -> &EnvIo {
        &self.io
    }

    fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.dispatch(pass, &self.reset, self.io.steps);
    }

    fn record_step(&self, pass: &mut wgpu::ComputePass<'_>, t: usize) {
        self.dispatch(pass, &self.step, t);
    }

    fn dispatches_per_step(&self) -> u32 {
        1
    }

    fn layout(&self) -> &'static str {
        self.layout_name()
    }

    fn bytes_per_step(&self) -> u64 {
        let (a, s) = (self.spec.agents, &self.spec);
        let state = 2 * self.layout.words() + 2;
        let actions = a;
        let outcome = 2 * a + 2;
        let seen = a * (s.obs + s.actions.mask()) + s.state;
        4 * (state + actions + outcome + seen) as u64
    }

    fn record_stats(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.stats);
        pass.set_bind_group(0, &self.stats_bindings, &[]);
        pass.dispatch_workgroups(EpisodeStats::WORDS as u32, self.members, 1);
    }

    fn stats_region(&self) -> &Region {
        &self.totals
    }

    fn env_sums(&self) -> &Region {
        &self.sums
    }

    fn snapshot(&self, gpu: &Gpu) -> Result<Vec<u8>, GpuError> {
        let mut bytes = gpu.read::<u8>(&self.state)?;
        bytes.extend(gpu.read::<u8>(&self.sums)?);
        Ok(bytes)
    }

    fn restore(&self, gpu: &Gpu, snapshot: &[u8]) -> Result<(), GpuError> {
        let needed = self.state.size + self.sums.size;
        if snapshot.len() as u64 != needed {
            return Err(GpuError::Size {
                what: "the snapshot of the environments",
                found: snapshot.len() as u64,
                needed,
            });
        }
        let (state, sums) = snapshot.split_at(self.state.size as usize);
        gpu.write(&self.state, state);
        gpu.write(&self.sums, sums);
        Ok(())
    }
}

/// Invocations of a workgroup.
fn workgroup_size(gpu: &Gpu, tile: bool, units: usize) -> usize {
    if tile {
        // 128 keeps the arrays of a tile near 8 KiB, so that several workgroups share a multiprocessor; more units
        // than that need the next size.
        units.next_multiple_of(128)
    } else if gpu.is_software() {
        // A software device gives a workgroup to one core: small groups let few environments use all cores, and 8 is
        // the width of its vectors.
        8
    } else {
        64
    }
}

struct Source<'a> {
    config: &'a SmaxConfig,
    spec: &'a EnvSpec,
    layout: StateLayout,
    workgroup: usize,
    groups_x: u32,
    driver: Driver,
    quota: u32,
    /// `Some(auto_reset)` where the draws come from outside.
    replaying: Option<bool>,
}

/// The shader's text: constants of the scenario and its options, then the files.
fn source(s: &Source<'_>) -> String {
    let (c, o) = (s.config, &s.config.options);
    let mut text = String::new();
    let mut constant = |name: &str, kind: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "const {name}: {kind} = {value};");
    };
    let mut number = |name: &str, value: usize| constant(name, "u32", format!("{value}u"));
    number("N", c.units());
    number("NA", c.scenario.allies);
    number("NE", c.scenario.enemies);
    number("A", s.spec.agents);
    number("D", s.spec.obs);
    number("S", s.spec.state);
    number("ACTIONS", s.spec.actions.mask());
    number("TYPES", o.unit_types.len());
    number("G", s.layout.envs);
    number("WORKGROUP", s.workgroup);
    number("GROUPS_X", s.groups_x as usize);
    number("WORLD_STEPS", o.world_steps_per_env_step as usize);
    number("MAX_STEPS", o.max_steps as usize);
    number("QUOTA", s.quota as usize);
    number("MEMORY_FIRST", s.layout.memory_first);
    number("MEMORY_UNITS", s.layout.memory_units);
    let driver = match s.driver {
        Driver::External => 0,
        Driver::Random => 1,
        Driver::Heuristic => 2,
    };
    number("ALLY_DRIVER", driver);
    number(
        "ENEMY_DRIVER",
        match o.opponent {
            Opponent::Heuristic => 2,
            Opponent::External => driver,
        },
    );
    let types = match &c.scenario.types {
        Types::Fixed(list) => list.clone(),
        Types::Drawn { .. } => vec![0],
    };
    let among = match &c.scenario.types {
        Types::Fixed(_) => vec![0],
        Types::Drawn { among, .. } => among.clone(),
    };
    number("DRAWN", among.len());
    let mut real = |name: &str, value: f32| constant(name, "f32", format!("{value:?}f"));
    real("MAP_W", o.map_width);
    real("MAP_H", o.map_height);
    real("DT", o.time_per_step);
    real("WIN_BONUS", o.won_battle_bonus);
    let mut flag = |name: &str, value: bool| constant(name, "bool", value.to_string());
    flag("SELF_PLAY_REWARD", o.use_self_play_reward);
    flag("SEE_ENEMY_ACTIONS", o.see_enemy_actions);
    flag("WALLS_KILL", o.walls_cause_death);
    flag("RAW_STATE", !o.normalized_world_state);
    flag("ENEMY_SHOOTS", o.enemy_shoots);
    flag("ATTACK_RANDOM", o.attack_mode == AttackMode::Random);
    flag("SMACV2_POSITIONS", c.scenario.smacv2_positions);
    flag(
        "DRAW_TYPES",
        matches!(c.scenario.types, Types::Drawn { .. }),
    );
    flag(
        "EXTRA_ENEMIES_ARE_MARINES",
        matches!(
            c.scenario.types,
            Types::Drawn {
                extra_marines: true,
                ..
            }
        ),
    );
    flag("REPLAY", s.replaying.is_some());
    flag("AUTO_RESET", s.replaying != Some(false));
    let mut table = |name: &str, list: &[u8]| {
        let values: Vec<_> = list.iter().map(|t| format!("{t}u")).collect();
        let kind = format!("array<u32, {}>", list.len());
        constant(name, &kind, format!("{kind}({})", values.join(", ")));
    };
    table("FIXED_TYPES", &types);
    table("DRAWN_TYPES", &among);
    text.push_str(include_str!("../../../shaders/common/rng.wgsl"));
    let (layout, observe) = if s.layout.tile {
        (
            include_str!("../../../shaders/smax/layout_tile.wgsl"),
            include_str!("../../../shaders/smax/observe_tile.wgsl"),
        )
    } else {
        (
            include_str!("../../../shaders/smax/layout_thread.wgsl"),
            include_str!("../../../shaders/smax/observe_thread.wgsl"),
        )
    };
    for part in [
        layout,
        include_str!("../../../shaders/smax/rules.wgsl"),
        observe,
        include_str!("../../../shaders/smax/step.wgsl"),
    ] {
        text.push('\n');
        text.push_str(part);
    }
    text
}
