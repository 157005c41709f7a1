//! SMAX, JaxMARL's StarCraft-like battle: the rules are in `shaders/smax/`, this file says shapes and holds the memory.
//!
//! Reference: JaxMARL 0.2.0, `SMAX` and `HeuristicEnemySMAX`; `docs/environments/smax.md` describes both.

pub mod options;
pub(crate) mod parity;
pub mod scenario;
mod state;

use bytemuck::{Pod, Zeroable};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Colour, Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError, Region, STORAGE_BUFFERS_NEEDED};
use crate::kernels::{Grid, Kernels, Program, constants};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions, Layout};
use options::{ActionType, AttackMode, ObservationType, Opponent, SmaxOptions};
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
    let unknown = || registry::unknown(name);
    let short = name.strip_prefix("smax/").ok_or_else(unknown)?;
    let options: SmaxOptions = registry::read_options(name, options)?;
    let scenario = match short {
        "custom" => options.custom_scenario()?,
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

    /// Workgroup memory of `envs` environments, an invocation a unit (`layout_tile.wgsl`).
    fn workgroup_bytes(&self, envs: usize) -> usize {
        let n = self.units();
        // 15 numbers of a unit, and a bit for each that it sees; 5 of an environment.
        let words = n * (15 + n.div_ceil(32)) + 5;
        let (sections, per_section) = self.options.sections();
        let listed = match self.options.observation_type {
            ObservationType::UnitList => 0,
            ObservationType::Conic => self.agents() * (sections * per_section).div_ceil(4),
        };
        4 * (envs * (words + listed) + 1)
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
        let (sections, per_section) = self.options.sections();
        let rows = match self.options.observation_type {
            ObservationType::UnitList => n - 1,
            ObservationType::Conic => sections * per_section,
        };
        let names = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        let (actions, action_names) = match self.options.action_type {
            ActionType::Discrete => {
                let mut names = names(&["up", "right", "down", "left", "stop"]);
                names.extend((0..targets).map(|k| format!("attack {k}")));
                (ActionSpace::Discrete(5 + targets), names)
            }
            ActionType::Continuous => {
                let four = [
                    "shoot_last_enemy",
                    "do_shoot",
                    "coordinate_1",
                    "coordinate_2",
                ];
                (ActionSpace::Continuous(four.len()), names(&four))
            }
        };
        EnvSpec {
            name: format!("smax/{}", self.scenario.name),
            agents: self.agents(),
            obs: (7 + types) * rows + 4 + types,
            state: (6 + types) * n,
            actions,
            max_steps: self.options.max_steps as usize,
            shortest_limit: self.options.max_steps as usize,
            action_names,
            reference: match self.options.opponent {
                Opponent::Heuristic => "JaxMARL 0.2.0, HeuristicEnemySMAX",
                Opponent::External => "JaxMARL 0.2.0, SMAX",
            },
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
    /// Words of a unit: position, health, cooldown, packed numbers; with continuous actions the last move's two.
    unit_fields: usize,
    memory_first: usize,
    memory_units: usize,
}

const MEMORY_FIELDS: usize = 2;
const ENV_FIELDS: usize = 3;

impl StateLayout {
    fn keeps_moves(&self) -> bool {
        self.unit_fields == 7
    }

    fn words(&self) -> usize {
        self.unit_fields * self.units + MEMORY_FIELDS * self.memory_units + ENV_FIELDS
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
            let word = self.unit_fields * self.units + field * self.memory_units + slot;
            self.place(word, env)
        })
    }

    fn env(&self, field: usize, env: usize) -> usize {
        let word = self.unit_fields * self.units + MEMORY_FIELDS * self.memory_units + field;
        self.place(word, env)
    }
}

/// A batch of battles on the device.
pub struct Smax {
    config: SmaxConfig,
    spec: EnvSpec,
    layout: StateLayout,
    kernels: Kernels,
    replay: Region,
    /// `[T, G, A] f32`, only with anomalies.
    replaced: Option<Region>,
}

impl Smax {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: SmaxConfig, batch: &Batch) -> Result<Self, EnvError> {
        let name = config.spec().name;
        Kernels::guarded(gpu, &name, batch, || Self::build(gpu, config, batch, false))
    }

    /// A batch whose random draws come from [`Smax::set_replay`]: recorded cooldown noise and chased units.
    ///
    /// # Errors
    /// As [`Smax::new`].
    pub fn replaying(gpu: &Gpu, config: SmaxConfig, batch: &Batch) -> Result<Self, EnvError> {
        let name = config.spec().name;
        Kernels::guarded(gpu, &name, batch, || Self::build(gpu, config, batch, true))
    }

    fn build(
        gpu: &Gpu,
        config: SmaxConfig,
        batch: &Batch,
        replaying: bool,
    ) -> Result<Self, EnvError> {
        let envs = batch.envs();
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
        let o = &config.options;
        let played = !o.enemy_shoots || o.attack_mode != AttackMode::Closest;
        if played && !heuristic.1 {
            return Err(EnvError::Option {
                env: spec.name,
                option: "enemy_shoots, attack_mode".into(),
                found: "opponent = \"external\"".into(),
                need: "`opponent = \"heuristic\"`: both teams are agents otherwise".into(),
            });
        }
        // Barriers are cheapest where a workgroup is what a GPU runs in lock step: 2s3z on an H200, 65,536 environments, made 220 M steps/s
        // with 32 invocations, 196 with 128 (docs/results/2026-11-27-h200). Where an eighth of them would be idle, 128 hold more units; and
        // of many units (27m_vs_30m), observations are written faster by more invocations.
        let filled = |&w: &usize| n <= 32 && 8 * (w / n * n) >= 7 * w;
        let workgroup = [32, 64].into_iter().find(filled);
        let workgroup = workgroup.unwrap_or(n.next_multiple_of(128));
        let needed = config.workgroup_bytes(workgroup / n);
        let found = gpu.limits.max_compute_workgroup_storage_size as usize;
        let tile = match batch.layout {
            Layout::Auto => !gpu.is_software() && needed <= found,
            Layout::Thread => false,
            Layout::Tile if needed > found => {
                return Err(EnvError::Gpu(GpuError::Limit {
                    adapter: gpu.info.name.clone(),
                    what: "max_compute_workgroup_storage_size",
                    found: found as u64,
                    needed: needed as u64,
                }));
            }
            Layout::Tile => true,
        };
        let layout = StateLayout {
            tile,
            envs,
            units: n,
            unit_fields: match config.options.action_type {
                ActionType::Discrete => 5,
                ActionType::Continuous => 7,
            },
            memory_first,
            memory_units,
        };
        Kernels::check_fits(gpu, &spec, batch, layout.words())?;
        let grid = if tile {
            Grid::new(workgroup, envs, workgroup / n, "tile")
        } else {
            Grid::thread(gpu, batch)
        };
        let replay_words = if replaying {
            (config.options.world_steps_per_env_step as usize + 1) * n * envs
        } else {
            1
        };
        let replay = gpu.storage("smax replay", 4 * replay_words as u64);
        let types = config.options.unit_types.iter();
        let rows: Vec<UnitRow> = types
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
        let table_bytes = (size_of::<UnitRow>() * rows.len()) as u64;
        // The first reset counts the episode up to 0.
        let mut state = vec![0u32; layout.words() * envs];
        for g in 0..envs {
            state[layout.env(1, g)] = u32::MAX;
        }
        let mut extra = vec![
            (Access::Uniform(table_bytes), table.as_entire_binding()),
            (Access::Read, replay.binding()),
        ];
        let replaced = if config.options.anomaly_probability > 0.0 {
            let (found, needed) = (
                gpu.limits.max_storage_buffers_per_shader_stage,
                STORAGE_BUFFERS_NEEDED + 1,
            );
            if found < needed {
                return Err(EnvError::Gpu(GpuError::Limit {
                    adapter: gpu.info.name.clone(),
                    what: "max_storage_buffers_per_shader_stage",
                    found: found.into(),
                    needed: needed.into(),
                }));
            }
            // As large as the rewards, which fit.
            let words = batch.steps * spec.agents * envs;
            Some(gpu.storage("smax replaced", 4 * words as u64))
        } else {
            None
        };
        extra.extend(replaced.iter().map(|r| (Access::ReadWrite, r.binding())));
        let source = Source {
            config: &config,
            spec: &spec,
            layout,
            grid,
            batch,
            replaying,
        };
        let kernels = Kernels::new(
            gpu,
            batch,
            Program {
                spec: &spec,
                source: source.text(),
                grid,
                state,
                extra: &extra,
            },
        )?;
        Ok(Self {
            config,
            spec,
            layout,
            kernels,
            replay,
            replaced,
        })
    }

    pub fn config(&self) -> &SmaxConfig {
        &self.config
    }
}

impl VecEnv for Smax {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn replaced(&self) -> Option<&Region> {
        self.replaced.as_ref()
    }

    fn replacement(&self) -> Option<u32> {
        // STOP of `shaders/smax/rules.wgsl`.
        matches!(self.spec().actions, ActionSpace::Discrete(_)).then_some(4)
    }

    /// As [`StateLayout`] has them.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let (n, memory) = (self.layout.units, self.layout.memory_units);
        vec![
            ("positions", 2 * n),
            ("health", n),
            ("cooldowns", n),
            ("types and last actions", n),
            // Two more words a unit with continuous actions.
            ("last moves", (self.layout.unit_fields - 5) * n),
            ("walking targets", MEMORY_FIELDS * memory),
            ("step counter", 1),
            ("episode counter", 1),
            ("return", 1),
        ]
    }

    /// The map with y up and a line every 4 units: allies blue, enemies vermilion, a bar of health above each, a line of its
    /// side's colour to whom it attacks; crosses where units fell.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let s = self.get_state(gpu)?;
        let (n, na) = (self.layout.units, self.config.scenario.allies);
        let (w, h) = (
            self.config.options.map_width,
            self.config.options.map_height,
        );
        let at = |i: usize| {
            let [x, y] = s.positions[env * n + i];
            [x, h - y]
        };
        let living = |i: &usize| s.health[env * n + i] > 0.0;
        let unit = |i: usize| &self.config.options.unit_types[usize::from(s.types[env * n + i])];
        let mut shapes = Vec::new();
        let line = |from: [f32; 2], to: [f32; 2], width: f32, colour: Colour| Shape::Line {
            from,
            to,
            width,
            colour,
        };
        const PALE: Colour = [235; 3];
        for x in (0..w as usize).step_by(4).skip(1) {
            shapes.push(line([x as f32, 0.0], [x as f32, h], 0.06, PALE));
        }
        for y in (0..h as usize).step_by(4).skip(1) {
            shapes.push(line([0.0, y as f32], [w, y as f32], 0.06, PALE));
        }
        for i in (0..n).filter(|i| !living(i)) {
            let ([x, y], r) = (at(i), 0.35);
            for r in [[r, r], [r, -r]] {
                let (from, to) = ([x - r[0], y - r[1]], [x + r[0], y + r[1]]);
                shapes.push(line(from, to, 0.12, [190; 3]));
            }
        }
        for i in (0..n).filter(living) {
            let target = usize::from(s.last_action[env * n + i]).checked_sub(5);
            // The larger team has more numbers than the smaller one opponents.
            let target = target.filter(|k| *k < if i < na { n - na } else { na });
            // Enemies count the allies from the last one down.
            let target = target.map(|k| if i < na { na + k } else { na - 1 - k });
            if let Some(j) = target {
                let colour = if i < na { PALETTE[2] } else { PALETTE[1] };
                shapes.push(line(at(i), at(j), 0.14, colour));
            }
        }
        let (columns, rows) = (48usize, 24usize);
        let mut cells = vec![vec!['.'; columns]; rows];
        let (mut list, mut bars) = (String::new(), Vec::new());
        for i in 0..n {
            let letter = unit(i).name.chars().next().unwrap_or('?');
            let (mark, team) = if i < na {
                (letter.to_ascii_uppercase(), PALETTE[5])
            } else {
                (letter.to_ascii_lowercase(), PALETTE[6])
            };
            let (centre, share) = (at(i), s.health[env * n + i] / unit(i).health);
            let side = if i < na { "ally" } else { "enemy" };
            let number = if i < na { i } else { i - na };
            list += &format!(
                "{mark} {side} {number}: {} health {:.0} of {:.0}, at {:.1} {:.1}\n",
                unit(i).name,
                s.health[env * n + i].max(0.0),
                unit(i).health,
                s.positions[env * n + i][0],
                s.positions[env * n + i][1],
            );
            if !living(&i) {
                continue;
            }
            let cell = |x: f32, size: f32, count: usize| {
                ((x / size * count as f32) as usize).min(count - 1)
            };
            cells[cell(centre[1], h, rows)][cell(centre[0], w, columns)] = mark;
            let radius = unit(i).radius;
            shapes.push(Shape::Circle {
                centre,
                radius,
                fill: team,
            });
            shapes.push(Shape::Text {
                at: centre,
                size: 1.2 * radius,
                text: mark.to_string(),
                colour: [255, 255, 255],
            });
            let bar = [centre[0] - radius, centre[1] - radius - 0.4];
            for (length, fill) in [
                (2.0 * radius, [200, 200, 200]),
                (2.0 * radius * share, PALETTE[3]),
            ] {
                bars.push(Shape::Rect {
                    from: bar,
                    size: [length, 0.25],
                    fill,
                });
            }
        }
        // On top of the units that crowd around.
        shapes.extend(bars);
        let map = cells
            .iter()
            .map(|row| row.iter().chain(&['\n']).collect::<String>());
        Ok(Frame {
            size: [w, h],
            background: [255, 255, 255],
            shapes,
            text: map.collect::<String>() + &list,
        })
    }
}

struct Source<'a> {
    config: &'a SmaxConfig,
    spec: &'a EnvSpec,
    layout: StateLayout,
    grid: Grid,
    batch: &'a Batch,
    /// The draws come from outside.
    replaying: bool,
}

impl Source<'_> {
    /// The shader's text: constants of the scenario and its options, then the files.
    fn text(&self) -> String {
        let (c, o) = (self.config, &self.config.options);
        let numbers = |list: &[u8]| list.iter().map(|&t| usize::from(t)).collect::<Vec<_>>();
        let (fixed, drawn, marines) = match &c.scenario.types {
            Types::Fixed(list) => (numbers(list), vec![0], false),
            Types::Drawn {
                among,
                extra_marines,
            } => (vec![0], numbers(among), *extra_marines),
        };
        let driver = match self.batch.driver {
            Driver::External => 0,
            Driver::Random => 1,
            Driver::Heuristic => 2,
        };
        let enemy_driver = match o.opponent {
            Opponent::Heuristic => 2,
            Opponent::External => driver,
        };
        let (sections, per_section) = o.sections();
        let constants = constants(self.spec, self.batch, self.grid)
            .uint("N", c.units())
            .uint("NA", c.scenario.allies)
            .uint("NE", c.scenario.enemies)
            .uint("TYPES", o.unit_types.len())
            .uint("WORLD_STEPS", o.world_steps_per_env_step as usize)
            .uint("UNIT_FIELDS", self.layout.unit_fields)
            .uint("SECTIONS", sections)
            .uint("PER_SECTION", per_section)
            .uint("MEMORY_FIRST", self.layout.memory_first)
            .uint("MEMORY_UNITS", self.layout.memory_units)
            .uint("ENEMY_DRIVER", enemy_driver)
            .uint("DRAWN", drawn.len())
            .float("MAP_W", o.map_width.into())
            .float("MAP_H", o.map_height.into())
            .float("DT", o.time_per_step.into())
            .float("WIN_BONUS", o.won_battle_bonus.into())
            .float("ANOMALY", o.anomaly_probability.into())
            .flag("CORRECTED_CONIC", o.corrected_conic.unwrap_or(false))
            .flag("SELF_PLAY_REWARD", o.use_self_play_reward)
            .flag("SEE_ENEMY_ACTIONS", o.see_enemy_actions)
            .flag("WALLS_KILL", o.walls_cause_death)
            .flag("RAW_STATE", !o.normalized_world_state)
            .flag("ENEMY_SHOOTS", o.enemy_shoots)
            .flag("ATTACK_RANDOM", o.attack_mode == AttackMode::Random)
            .flag("SMACV2_POSITIONS", c.scenario.smacv2_positions)
            .flag(
                "DRAW_TYPES",
                matches!(c.scenario.types, Types::Drawn { .. }),
            )
            .flag("EXTRA_ENEMIES_ARE_MARINES", marines)
            .flag("REPLAY", self.replaying)
            .uints("FIXED_TYPES", &fixed)
            .uints("DRAWN_TYPES", &drawn);
        let (layout, observe) = if self.layout.tile {
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
        let rows = match o.observation_type {
            ObservationType::UnitList => include_str!("../../../shaders/smax/unit_list.wgsl"),
            ObservationType::Conic => include_str!("../../../shaders/smax/conic.wgsl"),
        };
        let actions = match o.action_type {
            ActionType::Discrete => include_str!("../../../shaders/smax/discrete.wgsl"),
            ActionType::Continuous => include_str!("../../../shaders/smax/continuous.wgsl"),
        };
        let anomaly = if o.anomaly_probability > 0.0 {
            include_str!("../../../shaders/smax/anomaly.wgsl")
        } else {
            include_str!("../../../shaders/smax/no_anomaly.wgsl")
        };
        constants.source(&[
            include_str!("../../../shaders/common/rng.wgsl"),
            include_str!("../../../shaders/common/env.wgsl"),
            include_str!("../../../shaders/common/obs.wgsl"),
            include_str!("../../../shaders/smax/angle.wgsl"),
            layout,
            include_str!("../../../shaders/smax/rules.wgsl"),
            actions,
            anomaly,
            rows,
            observe,
            include_str!("../../../shaders/smax/step.wgsl"),
        ])
    }
}
