//! Particle worlds (MPE): Cooperative Navigation, Predator-Prey and Triangle Area. The rules are in `shaders/mpe/`, this
//! file says shapes and holds the memory.
//!
//! References: JaxMARL 0.2.0, and the environments of SQDDPG, STAS and LaRe; `docs/environments/mpe.md` tells them apart.

pub mod options;
pub(crate) mod parity;
mod prey;
mod state;

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError};
use crate::kernels::{
    Constants, Grid, Kernels, Program, THREAD_FIELDS, constants, thread_source, thread_state,
};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions};
use options::{
    ActionType, ContactDistance, Integrator, LandmarkLayout, MpeOptions, Prey, Task, Variant,
};
use prey::PreyNet;
pub use state::MpeState;

/// Every particle world's name.
pub fn names() -> Vec<String> {
    let all = options::NAMES.iter();
    all.map(|(name, ..)| format!("mpe/{name}")).collect()
}

/// A particle world with its options, checked.
#[derive(Clone, Debug)]
pub struct MpeConfig {
    pub name: String,
    pub variant: Variant,
    pub task: Task,
    pub options: MpeOptions,
    /// The network of pretrained prey.
    prey_net: Option<PreyNet>,
}

/// Finds `mpe/NAME` and reads its options.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, asked: &EnvOptions) -> Result<MpeConfig, EnvError> {
    let short = name.strip_prefix("mpe/");
    let found = options::NAMES.iter().find(|(n, ..)| Some(*n) == short);
    let &(_, variant, task, n) = found.ok_or_else(|| registry::unknown(name))?;
    let options = options::read(name, variant, task, n, asked)?;
    let prey_net = match &options.prey_weights {
        Some(path) => Some(PreyNet::open(name, path, options.features(true))?),
        None => None,
    };
    Ok(MpeConfig {
        name: name.to_owned(),
        variant,
        task,
        options,
        prey_net,
    })
}

impl MpeConfig {
    pub fn spec(&self) -> EnvSpec {
        let o = &self.options;
        let (agents, acting) = (o.num_agents, o.acting());
        let (size, prey_size) = (o.features(false), o.features(true));
        let names = match o.action_type {
            ActionType::Discrete => ["nothing", "left", "right", "down", "up"],
            ActionType::Continuous => ["unused", "left", "right", "down", "up"],
        };
        let names = match o.mirrored_actions {
            false => names,
            true => [names[0], names[2], names[1], names[4], names[3]],
        };
        EnvSpec {
            name: self.name.clone(),
            agents: acting,
            obs: if acting > agents {
                size.max(prey_size)
            } else {
                size
            },
            state: agents * size + (acting - agents) * prey_size,
            actions: match o.action_type {
                ActionType::Discrete => ActionSpace::Discrete(names.len()),
                ActionType::Continuous => ActionSpace::Continuous(names.len()),
            },
            max_steps: o.max_steps as usize,
            shortest_limit: o.max_steps as usize,
            action_names: names.map(str::to_owned).to_vec(),
            reference: self.reference(),
        }
    }

    fn reference(&self) -> &'static str {
        match (self.variant, self.task) {
            (Variant::JaxMarl, Task::Tag) => "JaxMARL 0.2.0, MPE_simple_tag",
            (Variant::JaxMarl, _) => "JaxMARL 0.2.0, MPE_simple_spread",
            (Variant::Lica, Task::Tag) => "SQDDPG 33eef74 (used by LICA), simple_tag",
            (Variant::Lica, _) => "SQDDPG 33eef74 (used by LICA), simple_spread",
            (Variant::Stas, Task::Tag) => "STAS 6312725, simple_tag, random prey by default",
            (Variant::Stas, _) => "STAS 6312725, simple_spread",
            (Variant::Lare, Task::Tag) => "LaRe 332cbe9, simple_tag, random prey by default",
            (Variant::Lare, Task::Area) => "LaRe 332cbe9, simple_area",
            (Variant::Lare, Task::Spread) => "LaRe 332cbe9, simple_spread",
            (Variant::LareCompetitive, _) => "LaRe 332cbe9, competitive simple_tag",
        }
    }

    /// Options as constants of the shader.
    fn constants(&self, constants: Constants) -> Constants {
        let o = &self.options;
        let speed = |limit: Option<f32>| limit.map_or(-1.0, f64::from);
        let [landmark_order, agent_order] = o.order_numbers();
        let [landmarks, agents, prey] = o.seen(false);
        let [prey_landmarks, prey_agents, prey_prey] = o.seen(true);
        constants
            .uint("NP", o.num_agents)
            .uint("NG", o.num_prey)
            .uint("L", o.num_landmarks)
            .uint("LAST_STEP", o.last_step())
            .flag("CONTINUOUS", o.action_type == ActionType::Continuous)
            .flag("MIRRORED", o.mirrored_actions)
            .flag("CLIP_ACTIONS", o.clip_actions)
            .flag("POSITION_FIRST", o.integrator == Integrator::PositionFirst)
            .flag(
                "UNIFORM_CONTACT",
                o.contact_distance == ContactDistance::Uniform,
            )
            .flag("SOLID_LANDMARKS", MpeOptions::solid_landmarks(self.task))
            .uint("REWARD", o.reward_number())
            .float("LOCAL_RATIO", o.local_ratio.into())
            .flag("SELF_COLLISIONS", o.self_collisions)
            .flag("EPISODIC", o.episodic_reward)
            .flag("LAST_PREY_ONLY", o.last_prey_only)
            .flag("BOUNDARY_PENALTY", o.boundary_penalty)
            .flag("END_ON_CAPTURE", o.end_on_capture)
            .flag("PREY_NOISE", o.prey_noise)
            .uint("LANDMARK_ORDER", landmark_order)
            .uint("AGENT_ORDER", agent_order)
            .uint("SEEN_LANDMARKS", landmarks)
            .uint("SEEN_AGENTS", agents)
            .uint("SEEN_PREY", prey)
            .uint("PREY_SEEN_LANDMARKS", prey_landmarks)
            .uint("PREY_SEEN_AGENTS", prey_agents)
            .uint("PREY_SEEN_PREY", prey_prey)
            .uint("MOST_SEEN", o.most_seen())
            .uint("AGENT_SIZE", o.features(false))
            .uint("PREY_SIZE", o.features(true))
            .flag("MESSAGES", o.messages)
            .flag("AGENT_ID", o.agent_id)
            .float("ARENA", o.agent_box.into())
            .float("AGENT_BOX", o.agent_box.into())
            .float("LANDMARK_BOX", o.landmark_box.into())
            .uint("MAX_POINTS", o.most_points())
            .float("AGENT_RADIUS", o.agent_radius.into())
            .float("PREY_RADIUS", o.prey_radius.into())
            .float("LANDMARK_RADIUS", o.landmark_radius.into())
            .float("AGENT_ACCEL", o.agent_accel.into())
            .float("PREY_ACCEL", o.prey_accel.into())
            .float("AGENT_MAX_SPEED", speed(o.agent_max_speed))
            .float("PREY_MAX_SPEED", speed(o.prey_max_speed))
            .uint("HIDDEN", self.prey_net.as_ref().map_or(0, |n| n.hidden))
    }

    /// The files that the options choose among.
    fn files(&self) -> [&'static str; 6] {
        let o = &self.options;
        [
            include_str!("../../../shaders/mpe/world.wgsl"),
            match o.prey {
                Prey::Learned | Prey::Frozen => {
                    include_str!("../../../shaders/mpe/prey_still.wgsl")
                }
                Prey::Random => include_str!("../../../shaders/mpe/prey_random.wgsl"),
                Prey::Scripted => include_str!("../../../shaders/mpe/prey_scripted.wgsl"),
                Prey::Pretrained => include_str!("../../../shaders/mpe/prey_pretrained.wgsl"),
            },
            match self.task {
                Task::Spread => include_str!("../../../shaders/mpe/reward_spread.wgsl"),
                Task::Tag => include_str!("../../../shaders/mpe/reward_tag.wgsl"),
                Task::Area => include_str!("../../../shaders/mpe/reward_area.wgsl"),
            },
            include_str!("../../../shaders/mpe/reset.wgsl"),
            match o.landmark_layout {
                LandmarkLayout::Uniform => {
                    include_str!("../../../shaders/mpe/landmarks_uniform.wgsl")
                }
                LandmarkLayout::PoissonDisc => {
                    include_str!("../../../shaders/mpe/landmarks_poisson_disc.wgsl")
                }
            },
            include_str!("../../../shaders/mpe/observe.wgsl"),
        ]
    }
}

/// A batch of particle worlds on the device.
pub struct Mpe {
    config: MpeConfig,
    spec: EnvSpec,
    kernels: Kernels,
}

impl Mpe {
    /// # Errors
    /// [`EnvError::Options`] for the driver `Heuristic`, [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`]
    /// for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: MpeConfig, batch: &Batch) -> Result<Self, EnvError> {
        if batch.driver == Driver::Heuristic {
            return Err(EnvError::Options {
                env: config.name,
                reason: "its agents have no policy of their own; use `random`, or train one".into(),
            });
        }
        let spec = config.spec();
        let name = spec.name.clone();
        Kernels::guarded(gpu, &name, batch, || {
            let grid = Grid::thread(gpu, batch);
            let o = &config.options;
            let words = state::words(o.moving(), o.moving() + o.num_landmarks);
            let constants = config.constants(constants(&spec, batch, grid));
            let net = config
                .prey_net
                .as_ref()
                .map(|n| gpu.storage_from("prey network", &n.words));
            let extra: Vec<_> = net.iter().map(|n| (Access::Read, n.binding())).collect();
            let program = Program {
                spec: &spec,
                source: thread_source(&constants, &config.files()),
                grid,
                state: thread_state(batch.envs(), words),
                extra: &extra,
            };
            let kernels = Kernels::new(gpu, batch, program)?;
            Ok(Self {
                config,
                spec,
                kernels,
            })
        })
    }

    pub fn config(&self) -> &MpeConfig {
        &self.config
    }
}

/// Half the side of the picture, in sides of the square that an episode starts in.
const VIEW: f32 = 1.5;

impl VecEnv for Mpe {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// As `world.wgsl` stores them.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let o = &self.config.options;
        let (moving, bodies) = (o.moving(), o.moving() + o.num_landmarks);
        let own = [
            ("positions", 2 * bodies),
            ("velocities", 2 * moving),
            ("rewards so far", 2),
            ("touches", 1),
        ];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// The plane with y up, the square of the beginning pale, agents blue, prey vermilion, landmarks grey; who leaves the view shrinks the world until
    /// everybody is in it again.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let o = &self.config.options;
        let s = self.get_state(gpu)?;
        let (n, bodies) = (o.moving(), o.moving() + o.num_landmarks);
        let positions = &s.positions[env * bodies..][..bodies];
        let half = VIEW * o.agent_box.max(o.landmark_box);
        let farthest = positions
            .iter()
            .flatten()
            .fold(0.0f32, |m, x| m.max(x.abs()));
        let scale = (half / (farthest + o.agent_radius)).min(1.0);
        let at = |[x, y]: [f32; 2]| [half + x * scale, half - y * scale];
        let kind = |e: usize| {
            if e >= n {
                (o.landmark_radius, [150, 150, 150], '+', "landmark", e - n)
            } else if e >= o.num_agents {
                (o.prey_radius, PALETTE[6], 'o', "prey", e - o.num_agents)
            } else {
                (o.agent_radius, PALETTE[5], 'A', "agent", e)
            }
        };
        let (columns, rows) = (48usize, 24usize);
        let mut cells = vec![vec!['.'; columns]; rows];
        let (corner, side) = (at([-o.agent_box, o.agent_box]), 2.0 * o.agent_box * scale);
        let (mut shapes, mut list) = (Vec::new(), String::new());
        shapes.push(Shape::Rect {
            from: corner,
            size: [side; 2],
            fill: [245; 3],
        });
        // Landmarks first: they lie below the others.
        for e in (n..bodies).chain(0..n) {
            let (radius, fill, mark, ..) = kind(e);
            let centre = at(positions[e]);
            let cell =
                |x: f32, count: usize| ((x / (2.0 * half) * count as f32) as usize).min(count - 1);
            cells[cell(centre[1], rows)][cell(centre[0], columns)] = mark;
            shapes.push(Shape::Circle {
                centre,
                radius: radius * scale,
                fill,
            });
            if e < n {
                // Where it will be in a fifth of a second.
                let [x, y] = positions[e];
                let [vx, vy] = s.velocities[env * n + e];
                shapes.push(Shape::Line {
                    from: centre,
                    to: at([x + 0.2 * vx, y + 0.2 * vy]),
                    width: 0.015 * half,
                    colour: fill,
                });
                shapes.push(Shape::Text {
                    at: centre,
                    size: radius * scale,
                    text: kind(e).4.to_string(),
                    colour: [255, 255, 255],
                });
            }
        }
        for (e, [x, y]) in positions.iter().enumerate() {
            let (_, _, mark, name, number) = kind(e);
            list += &format!("{mark} {name} {number}: at {x:.2} {y:.2}");
            if e < n {
                let [x, y] = s.velocities[env * n + e];
                list += &format!(", velocity {x:.2} {y:.2}");
            }
            list.push('\n');
        }
        let map = cells
            .iter()
            .map(|row| row.iter().chain(&['\n']).collect::<String>());
        Ok(Frame {
            size: [2.0 * half; 2],
            background: [255, 255, 255],
            shapes,
            text: map.collect::<String>() + &list,
        })
    }
}
