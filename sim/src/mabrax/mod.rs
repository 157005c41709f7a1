//! Articulated robots: MABrax, whose robots are moved by several agents, and Brax's tasks for one. The physics is in
//! `shaders/mabrax/`, the robots are data; this file says shapes and holds the memory.
//!
//! References: JaxMARL 0.2.0 and Brax 0.14.2, positional pipeline; `docs/environments/mabrax.md` tells what they compute.

mod frame;
pub mod mjcf;
mod model;
pub mod options;
pub(crate) mod parity;
pub mod split;
mod state;
pub mod system;
mod tables;
pub mod task;

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::Frame;
use crate::gpu::{Access, Gpu, GpuError, Region, WORKGROUP_BYTES_NEEDED};
use crate::kernels::{
    Constants, Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source,
    tile_source,
};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions, Layout};
use options::{Homogenisation, MabraxOptions, Payment};
pub use parity::check_file_of;
use split::Mapping;
pub use state::MabraxState;
use state::StateLayout;
use system::{Dof, Part, System};
use tables::Tables;
use task::{Goal, Sees, Task};

/// What recordings call their `environment`: a task and a split, or a file of a robot with its test vectors.
pub const RECORDINGS: &[&str] = &[
    "ant_*",
    "halfcheetah_*",
    "hopper_*",
    "humanoid_*",
    "walker2d_*",
    "brax-positional-system",
];

/// Names of a family, `mabrax` or `brax`.
pub fn names(family: &str) -> Vec<String> {
    match family {
        "mabrax" => split::SPLITS
            .iter()
            .map(|(n, _)| format!("mabrax/{n}"))
            .collect(),
        _ => task::TASKS
            .iter()
            .map(|t| format!("brax/{}", t.name))
            .collect(),
    }
}

/// A robot with its task and its agents, checked.
#[derive(Clone, Debug)]
pub struct MabraxConfig {
    pub name: String,
    pub task: &'static Task,
    pub system: System,
    /// Agents: what they move and see.
    pub parts: Vec<Part>,
    pub options: MabraxOptions,
    /// Substeps of an environment step; parity runs them one by one too.
    pub(crate) frames: usize,
    /// The state's `start_q` and `start_qd` are written in every step, not only where an episode begins.
    pub(crate) keeps_joints: bool,
    /// The shader keeps what a substep computes on its way.
    pub(crate) notes: bool,
}

/// Finds `mabrax/NAME` or `brax/NAME` and reads its options and its robot.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, asked: &EnvOptions) -> Result<MabraxConfig, EnvError> {
    let unknown = || registry::unknown(name);
    let (family, short) = name.split_once('/').ok_or_else(unknown)?;
    let short = if short == "humanoid_9_8" {
        "humanoid_9|8"
    } else {
        short
    };
    let (registered, task) = match family {
        "mabrax" => {
            let found = split::SPLITS.iter().find(|(n, _)| *n == short);
            let (name, task) = found.ok_or_else(unknown)?;
            (Some(*name), *task)
        }
        "brax" => (None, short),
        _ => return Err(unknown()),
    };
    let task = task::find(task).ok_or_else(unknown)?;
    let name = format!("{family}/{short}");
    let wrong = |reason: String| EnvError::Options {
        env: name.clone(),
        reason,
    };
    let options: MabraxOptions = registry::read_options(&name, asked)?;
    check(&name, &options)?;
    let built_in = || System::built_in(task.name);
    let system = match &options.system {
        Some(path) if mjcf::is_mjcf(path) => built_in().and_then(|b| mjcf::open(path, &b)),
        Some(path) => System::open(path),
        None => built_in(),
    }
    .map_err(|e| wrong(e.to_string()))?;
    fits(task, &system).map_err(&wrong)?;
    let parts = match (&options.split, registered) {
        (Some(_), _) if task.sees == Sees::Reaching => {
            return Err(wrong(
                "option `split`: the observation of this task has no numbers of one joint each to share out".into(),
            ));
        }
        (Some(table), _) => {
            let split = split::from_joints(&system, table).map_err(&wrong)?;
            split::parts(&system, &split, options.obs_distance, &[])
        }
        (None, Some(name)) => {
            split::registered(&system, name, options.mapping).ok_or_else(|| {
                wrong(format!(
                    "{} gives no split `{name}`; say with `split` which agent has which joints",
                    system.file
                ))
            })?
        }
        (None, None) => vec![Part {
            actions: (0..system.actuators.len()).collect(),
            obs: (0..split::whole(&system, task.sees)).collect(),
        }],
    };
    if options.obs_distance != MabraxOptions::default().obs_distance && options.split.is_none() {
        return Err(wrong(
            "option `obs_distance` is one of `split`: a registered split has its own".into(),
        ));
    }
    if task.scales_actions && options.humanoid_action_scaling {
        let ranges: Vec<_> = system.actuators.iter().map(|a| a.ctrl_range).collect();
        let bounded = |[low, high]: &[f32; 2]| low.abs().max(high.abs()) < 1e6;
        if ranges.iter().any(|r| *r != ranges[0] || !bounded(r)) {
            return Err(wrong(format!(
                "{}: this task scales actions to the range of the motors (`ctrl_range`), which must be bounded and the same for all; set `humanoid_action_scaling` = false",
                system.file
            )));
        }
    }
    if options.payment == Payment::Sparse && matches!(task.goal, Goal::Height | Goal::Reach) {
        return Err(wrong(
            "option `payment` = \"sparse\" pays for a distance, and this task has none to go; take \"dense\" or \"episodic\"".into(),
        ));
    }
    if options.payment != Payment::Sparse {
        let mut sparse = ["sparse_distance", "sparse_reward"].into_iter();
        if let Some(option) = sparse.find(|o| asked.contains_key(*o)) {
            return Err(wrong(format!(
                "option `{option}` is one of `payment` = \"sparse\""
            )));
        }
    }
    if options.payment == Payment::Sparse {
        let mut dense = ["forward_reward", "alive_reward", "control_cost"].into_iter();
        if let Some(option) = dense.find(|o| asked.contains_key(*o)) {
            return Err(wrong(format!(
                "option `{option}` is none of `payment` = \"sparse\", which pays `sparse_reward` alone"
            )));
        }
    }
    if options.forward_reward.is_some() && matches!(task.goal, Goal::Height | Goal::Reach) {
        return Err(wrong(
            "option `forward_reward` pays for a distance, and this task has none to go".into(),
        ));
    }
    if !options.humanoid_action_scaling && !task.scales_actions {
        return Err(wrong(
            "option `humanoid_action_scaling` is one of the humanoids: nothing else scales its actions".into(),
        ));
    }
    if options.mapping == Mapping::Corrected && (registered.is_none() || options.split.is_some()) {
        return Err(wrong(
            "option `mapping` is one of the registered splits of `mabrax/…`".into(),
        ));
    }
    check_parts(&system, &parts).map_err(&wrong)?;
    Ok(MabraxConfig {
        frames: system.frames,
        keeps_joints: false,
        notes: false,
        name,
        task,
        system,
        parts,
        options,
    })
}

fn check(name: &str, o: &MabraxOptions) -> Result<(), EnvError> {
    let refuse = |option: &str, found: String, need: &str| {
        Err(EnvError::Option {
            env: name.to_owned(),
            option: option.to_owned(),
            found,
            need: need.to_owned(),
        })
    };
    if !(1..=65_535).contains(&o.max_steps) {
        return refuse("max_steps", o.max_steps.to_string(), "1 to 65535");
    }
    if o.obs_distance > 100 {
        return refuse("obs_distance", o.obs_distance.to_string(), "0 to 100");
    }
    for (option, x) in [
        ("sparse_distance", Some(o.sparse_distance)),
        ("sparse_reward", Some(o.sparse_reward)),
        ("forward_reward", o.forward_reward),
        ("alive_reward", o.alive_reward),
        ("control_cost", o.control_cost),
    ] {
        if let Some(x) = x.filter(|x| !(-1e6..=1e6).contains(x)) {
            return refuse(option, x.to_string(), "a number between -1e6 and 1e6");
        }
    }
    Ok(())
}

/// Whether a robot has what its task speaks of.
fn fits(task: &Task, system: &System) -> Result<(), String> {
    let need = |what: &str| {
        Err(format!(
            "{}: the task `{}` needs {what}",
            system.file, task.name
        ))
    };
    let root = &system.links[0];
    // Along x, along z, about y: the place, the height and the pitch are read from the coordinates in this order.
    let planar = || {
        let wanted = [
            (true, [1.0, 0.0, 0.0]),
            (true, [0.0, 0.0, 1.0]),
            (false, [0.0, 1.0, 0.0]),
        ];
        // A hinge that turns the other way bounds the same pitch.
        let near = |d: &Dof, wanted: [f64; 3]| {
            let axis = model::turned(d.axis, root.rotation);
            let backwards = !d.slide && axis[1] < 0.0;
            let sign = if backwards { -1.0 } else { 1.0 };
            (0..3).all(|i| (sign * axis[i] - wanted[i]).abs() < 1e-4)
        };
        root.axes == 3
            && system
                .axes(0)
                .zip(wanted)
                .all(|((_, _, d), (slide, axis))| d.slide == slide && near(d, axis))
    };
    match task.goal {
        Goal::Reach => {
            let target: Vec<_> = system.links.last().map_or(vec![], |_| {
                system
                    .axes(system.links.len() - 1)
                    .map(|(_, _, d)| d.slide)
                    .collect()
            });
            if system.links.len() != 3 || system.nq != 4 || target != [true, true] {
                return need("two hinged links and, last, a target on two slides");
            }
        }
        _ if task.pitch.is_some() => {
            if !planar() {
                return need(
                    "a first link on a slide along x, one along z and a hinge about y, its pitch",
                );
            }
        }
        _ => {
            if !root.free && !planar() {
                return need(
                    "a first link that is free, or on a slide along x, one along z and a hinge about y",
                );
            }
        }
    }
    Ok(())
}

/// Whether the parts name every motor once and only numbers that there are motors and columns for.
fn check_parts(system: &System, parts: &[Part]) -> Result<(), String> {
    let motors = system.actuators.len();
    let mut owner = vec![None; motors];
    for (i, part) in parts.iter().enumerate() {
        for (k, &a) in part.actions.iter().enumerate() {
            let field = format!(
                "{}: field `mabrax.agents[{i}].action_index[{k}]`",
                system.file
            );
            let Some(owner) = owner.get_mut(a) else {
                return Err(format!("{field} is {a}, but there are {motors} actuators"));
            };
            if let Some(other) = owner.replace(i) {
                return Err(format!(
                    "{field} names actuator {a} twice, agent {other} has it already"
                ));
            }
        }
    }
    match owner.iter().position(Option::is_none) {
        Some(left) => Err(format!(
            "{}: field `mabrax.agents` gives actuator {left} (`{}`) to no agent",
            system.file, system.actuators[left].joint
        )),
        None => Ok(()),
    }
}

impl MabraxConfig {
    /// Numbers of the whole robot's observation.
    pub fn whole(&self) -> usize {
        split::whole(&self.system, self.task.sees)
    }

    /// Numbers that an agent sees, and that it says.
    fn widths(&self) -> (usize, usize) {
        let most = |of: fn(&Part) -> usize| self.parts.iter().map(of).max().unwrap_or(0);
        let (obs, actions) = (most(|p| p.obs.len()), most(|p| p.actions.len()));
        match self.options.homogenisation {
            Homogenisation::None => (obs, actions),
            Homogenisation::Max => (self.parts.len() + obs, actions),
            Homogenisation::Concat => (self.whole(), self.system.actuators.len()),
        }
    }

    pub fn spec(&self) -> EnvSpec {
        let (obs, width) = self.widths();
        let names = match (&self.parts[..], self.options.homogenisation) {
            ([only], _) => only
                .actions
                .iter()
                .map(|&a| self.system.actuators[a].joint.clone())
                .collect(),
            (_, Homogenisation::Concat) => self
                .system
                .actuators
                .iter()
                .map(|a| a.joint.clone())
                .collect(),
            // Agents move different joints by the same number.
            _ => (0..width).map(|k| format!("joint {k}")).collect(),
        };
        EnvSpec {
            name: self.name.clone(),
            agents: self.parts.len(),
            obs,
            state: self.whole(),
            actions: ActionSpace::Continuous(width),
            max_steps: self.options.max_steps as usize,
            shortest_limit: self.options.max_steps as usize,
            action_names: names,
            reference: self.reference(),
        }
    }

    fn reference(&self) -> &'static str {
        if self.options.system.is_some() || self.options.split.is_some() {
            return "none: a robot or a split of one's own";
        }
        match self.name.as_str() {
            "mabrax/ant_8x1" | "mabrax/walker2d_6x1" => {
                "none: by the rule of JaxMARL 0.2.0's MABrax splits"
            }
            name if name.starts_with("mabrax/") => {
                "JaxMARL 0.2.0, MABrax on Brax 0.14.2, positional pipeline"
            }
            _ => self.task.reference,
        }
    }

    /// Options as constants of the shader.
    fn constants(&self, constants: Constants) -> Constants {
        let (o, t, s) = (&self.options, self.task, &self.system);
        let goal = match t.goal {
            Goal::Torso => 0,
            Goal::CentreOfMass => 1,
            Goal::Height => 2,
            Goal::Reach => 3,
        };
        let payment = match o.payment {
            Payment::Dense => 0,
            Payment::Episodic => 1,
            Payment::Sparse => 2,
        };
        // With scaling, -1 and 1 are the ends of the motors' range, which is the same for all of them.
        let (scale, offset) = match s.actuators.first().map(|a| a.ctrl_range) {
            Some([low, high]) if t.scales_actions && o.humanoid_action_scaling => {
                ((high - low) / 2.0, (high + low) / 2.0)
            }
            _ => (1.0, 0.0),
        };
        let (height, strict) = t.height.unwrap_or(([0.0, 0.0], false));
        // Sparse rewards know no price of actions.
        let cost = o.control_cost.unwrap_or(t.control_cost);
        constants
            .flag("KEEPS_JOINTS", self.keeps_joints)
            .uint("WIDTH", self.widths().1)
            .uint("FRAMES", self.frames)
            .uint("NOBS", self.whole())
            .uint("REWARD", goal)
            .uint("PAYMENT", payment)
            .float("ACTION_SCALE", scale.into())
            .float("ACTION_OFFSET", offset.into())
            .float(
                "FORWARD_REWARD",
                o.forward_reward.unwrap_or(t.forward_reward).into(),
            )
            .float(
                "ALIVE_REWARD",
                o.alive_reward.unwrap_or(t.alive_reward).into(),
            )
            .float("CONTROL_COST", cost.into())
            .float("SPARSE_DISTANCE", o.sparse_distance.into())
            .float("SPARSE_REWARD", o.sparse_reward.into())
            .flag("BOUNDS_HEIGHT", o.terminate && t.height.is_some())
            .float("LOWEST", height[0].into())
            .float("HIGHEST", height[1].into())
            .flag("STRICT", strict)
            .flag("BOUNDS_PITCH", o.terminate && t.pitch.is_some())
            .float("STEEPEST", t.pitch.unwrap_or(0.0).into())
            .flag("BOUNDS_STATE", o.terminate && t.bounded_state)
            .float("POSITION_NOISE", t.position_noise.into())
            .float("VELOCITY_NOISE", t.velocity_noise.into())
            .flag("NORMAL_VELOCITIES", t.normal_velocities)
            .flag("SEES_HEIGHT", t.sees_height)
            .float("FASTEST_SEEN", t.fastest_seen.into())
            .float("LARGEST", LARGEST)
            .uint("TIP", usize::from(t.goal == Goal::Reach))
            .uint("TARGET", if t.goal == Goal::Reach { 2 } else { 0 })
    }

    /// For each motor the agent that moves it, and by which of its numbers.
    fn moved_by(&self) -> (Vec<usize>, Vec<usize>) {
        let in_place = self.options.homogenisation == Homogenisation::Concat;
        let (mut agents, mut numbers) = (Vec::new(), Vec::new());
        for a in 0..self.system.actuators.len() {
            for (i, part) in self.parts.iter().enumerate() {
                if let Some(k) = part.actions.iter().position(|&x| x == a) {
                    agents.push(i);
                    numbers.push(if in_place { a } else { k });
                }
            }
        }
        (agents, numbers)
    }

    /// Whether a link has an invocation of its own. The batch may ask for a layout, then the options; else it is by the device: a
    /// software one pays more for a barrier than for a pass over a link, and a GPU keeps a small robot in the registers of one
    /// invocation (docs/environments/mabrax.md §8).
    fn tiled(&self, gpu: &Gpu, batch: &Batch) -> bool {
        let asked = match batch.layout {
            Layout::Auto => self.options.layout,
            layout => layout,
        };
        match asked {
            Layout::Auto => !gpu.is_software() && self.system.links.len() > MOST_LINKS_OF_A_THREAD,
            Layout::Thread => false,
            Layout::Tile => true,
        }
    }

    /// How many robots share a workgroup, an invocation per link: what memory and about two of a GPU's warps hold.
    fn tile(&self, batch: &Batch) -> (Grid, usize) {
        let links = self.system.links.len();
        let workgroup = batch.workgroup.unwrap_or(64).max(links);
        // A quarter of a KiB for what lies between arrays.
        let held = (WORKGROUP_BYTES_NEEDED as usize - 256) / (4 * tables::workgroup_words(self));
        let robots = (workgroup / links).min(held).max(1);
        (Grid::new(workgroup, batch.envs(), robots, "tile"), robots)
    }

    /// `robots` of a workgroup, or none where an invocation is a robot.
    fn source(&self, constants: Constants, tables: &Tables, robots: Option<usize>) -> String {
        let constants = tables.constants(self.constants(constants));
        let task = include_str!("../../../shaders/mabrax/task.wgsl");
        let note = match self.notes {
            true => include_str!("../../../shaders/mabrax/note.wgsl"),
            false => include_str!("../../../shaders/mabrax/no_note.wgsl"),
        };
        let reach = self.task.goal == Goal::Reach;
        let tip = if reach { "LINK_1" } else { "LINK_0" };
        let target = if reach { "LINK_2" } else { "LINK_0" };
        let links = format!(
            "{}const LINK_TIP = {tip};\nconst LINK_TARGET = {target};\nconst TIP_AT = vec3({TIP}, 0.0, 0.0);\n",
            self.system.constants()
        );
        let (stages, task) = (stages(), self.system.unrolled(task, self.task.sees));
        let common = [
            include_str!("../../../shaders/mabrax/maths.wgsl"),
            include_str!("../../../shaders/mabrax/joints.wgsl"),
            &links,
            &stages,
            note,
            &task,
        ];
        if let Some(robots) = robots {
            let constants = tables::tile_constants(self, robots, constants);
            let layout = include_str!("../../../shaders/mabrax/layout_tile.wgsl");
            return tile_source(&constants, &[&common[..], &[layout]].concat());
        }
        let (agents, numbers) = self.moved_by();
        let constants = constants
            .uints("MOVED_BY", &agents)
            .uints("MOVED_WITH", &numbers);
        let layout = include_str!("../../../shaders/mabrax/layout_thread.wgsl");
        let layout = self.system.unrolled(layout, self.task.sees);
        thread_source(&constants, &[&common[..], &[&layout]].concat())
    }
}

/// Links up to which an invocation a robot is the faster layout on a GPU. Measured on an H200 at 16,384 robots: 7 and 9 links 1.4 times the rate
/// of an invocation a link, the humanoid's 12 the other way round (docs/results/2026-11-27-h200).
const MOST_LINKS_OF_A_THREAD: usize = 9;

/// Beyond this, or where it is no number, a state is unstable: it ends the episode, unpaid.
pub const LARGEST: f64 = 1e8;

/// The reacher's fingertip in the frame of its second link.
const TIP: &str = "0.11";

/// What the shader can note of a substep, in the order of `STAGE_…`.
pub(crate) const STAGES: [&str; 7] = [
    "FORCE",
    "INTEGRATED",
    "INTEGRATED_VELOCITY",
    "JOINTS",
    "CONTACT",
    "CONTACTS",
    "PROJECTED",
];

fn stages() -> String {
    let stages = STAGES.iter().enumerate();
    stages
        .map(|(i, name)| format!("const STAGE_{name} = {i}u;\n"))
        .collect()
}

/// A batch of robots on the device.
pub struct Mabrax {
    config: MabraxConfig,
    spec: EnvSpec,
    kernels: Kernels,
    layout: StateLayout,
    place: wgpu::ComputePipeline,
    /// `[STAGES, max(links, contacts), 2, G] vec4`, where they are kept.
    notes: Option<Region>,
}

impl Mabrax {
    /// # Errors
    /// [`EnvError::Options`] for the driver `Heuristic`, [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`]
    /// for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: MabraxConfig, batch: &Batch) -> Result<Self, EnvError> {
        if batch.driver == Driver::Heuristic {
            return Err(EnvError::Options {
                env: config.name,
                reason: "a robot has no policy of its own; use `random`, or train one".into(),
            });
        }
        let spec = config.spec();
        let name = spec.name.clone();
        Kernels::guarded(gpu, &name, batch, || {
            let (grid, robots) = if config.tiled(gpu, batch) {
                let (grid, robots) = config.tile(batch);
                (grid, Some(robots))
            } else {
                (Grid::thread(gpu, batch), None)
            };
            let tables = Tables::of(&config);
            let source = config.source(constants(&spec, batch, grid), &tables, robots);
            let tables = gpu.storage_from("robot tables", &tables.words);
            let s = &config.system;
            let layout = StateLayout::new(batch.envs(), s, robots.is_some());
            let notes = config.notes.then(|| {
                let rows = STAGES.len() * s.links.len().max(s.contacts.len()) * 2;
                gpu.storage("substep notes", (16 * rows * batch.envs()) as u64)
            });
            let mut extra = vec![(Access::Read, tables.binding())];
            extra.extend(notes.iter().map(|n| (Access::ReadWrite, n.binding())));
            let program = Program {
                spec: &spec,
                source,
                grid,
                state: layout.first(),
                extra: &extra,
            };
            let kernels = Kernels::new(gpu, batch, program)?;
            Ok(Self {
                place: kernels.entry(gpu, "env_place"),
                layout,
                config,
                spec,
                kernels,
                notes,
            })
        })
    }

    pub fn config(&self) -> &MabraxConfig {
        &self.config
    }

    /// Puts the links where the state's joint coordinates and velocities say, as a reset does.
    pub fn record_place(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.kernels.record_entry(pass, &self.place, None, None);
    }
}

impl VecEnv for Mabrax {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// As both layouts store them, one with environments, one with words running fastest.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let s = &self.config.system;
        let links = s.links.len();
        let own = [
            ("positions", 3 * links),
            ("rotations", 4 * links),
            ("angular velocities", 3 * links),
            ("velocities", 3 * links),
            ("motors", s.actuators.len()),
            ("reward so far", 1),
            ("start", s.nq + s.nv),
        ];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// As for every environment, but what an episode began with is touched at its beginning only, and the motors are only written.
    fn bytes_per_step(&self) -> u64 {
        let (s, a) = (&self.spec, self.spec.agents);
        let system = &self.config.system;
        let state = 2 * (THREAD_WORDS + 13 * system.links.len() + 1) + system.actuators.len() + 2;
        let told = a * s.actions.words() + 2 * a + 2;
        4 * (state + told + a * s.obs + s.state) as u64
    }

    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let state = self.get_state(gpu)?;
        Ok(frame::draw(&self.config, &state, env))
    }
}
