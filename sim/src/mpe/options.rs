//! Options of the particle worlds, and the settings that each published variant gives them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::registry::{EnvError, EnvOptions};

/// What the agents are rewarded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Cooperative Navigation, `simple_spread`: cover the landmarks.
    Spread,
    /// Predator-Prey, `simple_tag`: catch the prey.
    Tag,
    /// Triangle Area, `simple_area`: span a large triangle.
    Area,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// Five actions: nothing and the four directions.
    Discrete,
    /// A five-vector: nothing and how much of each direction.
    Continuous,
}

/// Whether a position advances by the velocity before or after the step's forces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrator {
    PositionFirst,
    VelocityFirst,
}

/// At which distance two bodies touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactDistance {
    /// The sum of their radii.
    Pair,
    /// Twice the radius of agent 0, whatever the bodies.
    Uniform,
}

/// The rewards of the agents (predators, where there are prey); `docs/environments/mpe.md` §7 has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reward {
    /// The team's coverage and the agent's own collisions, weighed by `local_ratio`.
    Mixed,
    /// The sum over the agents of what each would get, to each.
    Summed,
    /// The team's terms once, to each.
    Team,
    /// Each agent its own.
    Individual,
    /// Captures by anyone, to each.
    Captures,
    /// The smallest distance between a predator and a prey, and a capture (LICA's text).
    Nearest,
}

impl Reward {
    fn number(self) -> usize {
        match self {
            Self::Mixed => 0,
            Self::Summed => 1,
            Self::Team => 2,
            Self::Individual => 3,
            Self::Captures => 4,
            Self::Nearest => 5,
        }
    }
}

/// In which order an observation lists other bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Index,
    /// By distance from the observer.
    Nearest,
    /// By relative x, then y.
    Lexicographic,
    /// By the distance of the *relative* position from the observer's position: STAS's slip.
    Displaced,
}

impl Order {
    fn number(self) -> usize {
        match self {
            Self::Index => 0,
            Self::Nearest => 1,
            Self::Lexicographic => 2,
            Self::Displaced => 3,
        }
    }
}

/// Who plays the prey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prey {
    /// They are agents, after the predators.
    Learned,
    Random,
    /// Runs from the nearest predator.
    Scripted,
    /// Never accelerates.
    Frozen,
    /// A network from `prey_weights`.
    Pretrained,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandmarkLayout {
    Uniform,
    /// No two nearer than 0.675.
    PoissonDisc,
}

/// The rules that published variants differ in. Distances in world units, velocities in world units per second,
/// accelerations in world units per second squared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MpeOptions {
    /// Agents; in Predator-Prey the predators.
    pub num_agents: usize,
    pub num_prey: usize,
    /// Landmarks; in Predator-Prey and Triangle Area the obstacles.
    pub num_landmarks: usize,
    pub max_steps: u32,
    /// An episode has one step more than `max_steps`: JaxMARL compares the limit with the count before the step.
    pub extra_step: bool,
    pub action_type: ActionType,
    /// Action 1 is right, 2 left, 3 up, 4 down.
    pub mirrored_actions: bool,
    /// Numbers of continuous actions are clipped to [0, 1].
    pub clip_actions: bool,
    pub integrator: Integrator,
    pub contact_distance: ContactDistance,
    pub reward: Reward,
    /// Weight of an agent's own collisions in [`Reward::Mixed`].
    pub local_ratio: f32,
    /// Every agent collides with itself, at a distance of 0.
    pub self_collisions: bool,
    /// All rewards come at the episode's end, each side's sum in equal shares.
    pub episodic_reward: bool,
    /// Learning prey are charged for the last prey's captures, and only its velocity is seen, by predators.
    pub last_prey_only: bool,
    /// Learning prey pay for leaving the arena.
    pub boundary_penalty: bool,
    /// The first capture ends the episode.
    pub end_on_capture: bool,
    pub prey: Prey,
    /// safetensors file with `W1`, `b1`, `W2`, `b2`, `W3`, `b3` of [`Prey::Pretrained`].
    pub prey_weights: Option<PathBuf>,
    /// Gumbel noise on the logits of [`Prey::Pretrained`].
    pub prey_noise: bool,
    pub landmark_order: Order,
    /// Of other agents and of prey.
    pub agent_order: Order,
    /// How many of each an agent sees; all where it is not given.
    pub seen_landmarks: Option<usize>,
    pub seen_agents: Option<usize>,
    pub seen_prey: Option<usize>,
    /// The same for prey.
    pub prey_seen_landmarks: Option<usize>,
    pub prey_seen_agents: Option<usize>,
    pub prey_seen_prey: Option<usize>,
    /// Observations carry the other bodies' messages: two zeros each, since nobody here speaks.
    pub messages: bool,
    /// Observations end with the agent's number, one-hot.
    pub agent_id: bool,
    /// Half the side of the square that moving bodies start in.
    pub agent_box: f32,
    /// The same for landmarks.
    pub landmark_box: f32,
    pub landmark_layout: LandmarkLayout,
    pub agent_radius: f32,
    pub prey_radius: f32,
    pub landmark_radius: f32,
    /// What an action accelerates by.
    pub agent_accel: f32,
    pub prey_accel: f32,
    /// No limit where it is not given.
    pub agent_max_speed: Option<f32>,
    pub prey_max_speed: Option<f32>,
}

/// Exclusion radius of [`LandmarkLayout::PoissonDisc`].
const EXCLUSION: f32 = 0.675;

impl MpeOptions {
    /// Landmarks push agents.
    pub fn solid_landmarks(task: Task) -> bool {
        task != Task::Spread
    }

    /// Bodies that move: agents, then prey.
    pub fn moving(&self) -> usize {
        self.num_agents + self.num_prey
    }

    /// Agents that act: with learning prey, they are the last ones.
    pub fn acting(&self) -> usize {
        match self.prey {
            Prey::Learned => self.moving(),
            _ => self.num_agents,
        }
    }

    /// Steps of an episode that nothing else ends.
    pub fn last_step(&self) -> usize {
        self.max_steps as usize + usize::from(self.extra_step)
    }

    /// How many landmarks, agents and prey an agent sees, or a prey.
    pub fn seen(&self, prey: bool) -> [usize; 3] {
        let others = |count: usize, own: bool| count.saturating_sub(usize::from(own));
        let agents = others(self.num_agents, !prey);
        let all_prey = others(self.num_prey, prey);
        let asked = if prey {
            [
                self.prey_seen_landmarks,
                self.prey_seen_agents,
                self.prey_seen_prey,
            ]
        } else {
            [self.seen_landmarks, self.seen_agents, self.seen_prey]
        };
        [
            asked[0].unwrap_or(self.num_landmarks),
            asked[1].unwrap_or(agents),
            asked[2].unwrap_or(all_prey),
        ]
    }

    /// Features that an agent observes, or a prey.
    pub fn features(&self, prey: bool) -> usize {
        let [landmarks, agents, seen_prey] = self.seen(prey);
        let velocities = match (self.last_prey_only, prey) {
            (false, _) => seen_prey,
            (true, false) => 1,
            (true, true) => 0,
        };
        let messages = if self.messages { self.moving() - 1 } else { 0 };
        let id = if self.agent_id { self.acting() } else { 0 };
        4 + 2 * (landmarks + agents + seen_prey + velocities + messages) + id
    }

    /// Bodies in the longest list of an observation, 1 at least.
    pub fn most_seen(&self) -> usize {
        let lists = self.seen(false).into_iter().chain(self.seen(true));
        lists.max().unwrap_or_default().max(1)
    }

    /// Points that a Poisson-disc layout can have at most: no packing of the plane is denser than the hexagonal one.
    pub fn most_points(&self) -> usize {
        let across = f64::from(2.0 * self.landmark_box / EXCLUSION) + 1.0;
        (across * across * 2.0 / 3f64.sqrt()).ceil() as usize
    }

    pub(super) fn reward_number(&self) -> usize {
        self.reward.number()
    }

    pub(super) fn order_numbers(&self) -> [usize; 2] {
        [self.landmark_order.number(), self.agent_order.number()]
    }
}

/// Whose rules a name follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    JaxMarl,
    /// SQDDPG's code, which LICA says that it used.
    Lica,
    Stas,
    Lare,
    /// LaRe with learning prey.
    LareCompetitive,
}

/// An environment's name behind `mpe/`, its variant, task and number of agents.
pub(super) const NAMES: &[(&str, Variant, Task, usize)] = &[
    ("simple_spread", Variant::JaxMarl, Task::Spread, 3),
    ("simple_spread_5", Variant::JaxMarl, Task::Spread, 5),
    ("simple_spread_6", Variant::JaxMarl, Task::Spread, 6),
    ("simple_spread_15", Variant::JaxMarl, Task::Spread, 15),
    ("simple_spread_30", Variant::JaxMarl, Task::Spread, 30),
    ("simple_tag", Variant::JaxMarl, Task::Tag, 3),
    ("simple_tag_6", Variant::JaxMarl, Task::Tag, 6),
    ("simple_tag_15", Variant::JaxMarl, Task::Tag, 15),
    ("simple_tag_30", Variant::JaxMarl, Task::Tag, 30),
    ("lica_spread_3", Variant::Lica, Task::Spread, 3),
    ("lica_spread_5", Variant::Lica, Task::Spread, 5),
    ("lica_tag_3", Variant::Lica, Task::Tag, 3),
    ("stas_spread_3", Variant::Stas, Task::Spread, 3),
    ("stas_spread_6", Variant::Stas, Task::Spread, 6),
    ("stas_spread_15", Variant::Stas, Task::Spread, 15),
    ("stas_spread_30", Variant::Stas, Task::Spread, 30),
    ("stas_tag_3", Variant::Stas, Task::Tag, 3),
    ("stas_tag_6", Variant::Stas, Task::Tag, 6),
    ("stas_tag_15", Variant::Stas, Task::Tag, 15),
    ("stas_tag_30", Variant::Stas, Task::Tag, 30),
    ("lare_spread_6", Variant::Lare, Task::Spread, 6),
    ("lare_spread_15", Variant::Lare, Task::Spread, 15),
    ("lare_spread_30", Variant::Lare, Task::Spread, 30),
    ("lare_tag_6", Variant::Lare, Task::Tag, 6),
    ("lare_tag_15", Variant::Lare, Task::Tag, 15),
    ("lare_tag_30", Variant::Lare, Task::Tag, 30),
    (
        "lare_competitive_tag_6",
        Variant::LareCompetitive,
        Task::Tag,
        6,
    ),
    ("lare_triangle_area", Variant::Lare, Task::Area, 3),
];

/// The rules of a variant with `n` agents; with `defects` those slips of its reference that the corrected rules leave out.
pub fn preset(variant: Variant, task: Task, n: usize, defects: bool) -> MpeOptions {
    let base = match task {
        Task::Spread => spread(n),
        Task::Tag => tag(n),
        Task::Area => area(),
    };
    match variant {
        Variant::JaxMarl => MpeOptions {
            extra_step: true,
            integrator: Integrator::PositionFirst,
            last_prey_only: task == Task::Tag && defects,
            ..base
        },
        Variant::Lica => MpeOptions {
            max_steps: 200,
            mirrored_actions: true,
            reward: Reward::Summed,
            self_collisions: task == Task::Spread && defects,
            end_on_capture: task == Task::Tag,
            prey: if task == Task::Tag {
                Prey::Random
            } else {
                base.prey
            },
            landmark_box: if task == Task::Tag { 0.9 } else { 1.0 },
            ..base
        },
        Variant::Stas | Variant::Lare | Variant::LareCompetitive => {
            stas_lare(variant, task, n, defects, base)
        }
    }
}

fn stas_lare(
    variant: Variant,
    task: Task,
    n: usize,
    defects: bool,
    base: MpeOptions,
) -> MpeOptions {
    let stas = variant == Variant::Stas;
    let exact_pairs = stas && matches!((task, n), (Task::Spread, 6) | (Task::Tag, 3));
    let displaced = stas && matches!((task, n), (Task::Spread, 15 | 30) | (Task::Tag, 15));
    let ranked = if displaced && defects {
        Order::Displaced
    } else {
        Order::Nearest
    };
    let base = MpeOptions {
        contact_distance: if defects && !exact_pairs && task != Task::Area {
            ContactDistance::Uniform
        } else {
            ContactDistance::Pair
        },
        messages: false,
        reward: if stas {
            Reward::Team
        } else {
            Reward::Individual
        },
        ..base
    };
    match task {
        Task::Area => MpeOptions {
            reward: Reward::Summed,
            ..base
        },
        Task::Spread => {
            let half_side = match n {
                6 => 1.5,
                15 => 2.2,
                _ => 3.0,
            };
            let six_of_stas = stas && n == 6;
            MpeOptions {
                reward: if six_of_stas {
                    Reward::Summed
                } else {
                    base.reward
                },
                self_collisions: six_of_stas && defects,
                landmark_order: if six_of_stas { Order::Index } else { ranked },
                agent_order: if six_of_stas {
                    Order::Lexicographic
                } else {
                    ranked
                },
                seen_landmarks: (n > 6).then_some(6),
                seen_agents: (n > 6).then_some(5),
                agent_box: half_side,
                landmark_box: half_side,
                landmark_layout: if six_of_stas {
                    LandmarkLayout::Uniform
                } else {
                    LandmarkLayout::PoissonDisc
                },
                ..base
            }
        }
        Task::Tag => {
            let competitive = variant == Variant::LareCompetitive;
            // STAS shows everything, by index, up to 6 predators.
            let order = if stas && n <= 6 { Order::Index } else { ranked };
            let ([landmarks, agents, prey], [to_prey_landmarks, to_prey_agents, to_prey_prey]) =
                match (variant, n) {
                    (Variant::LareCompetitive, _) => ([3, 5, 1], [3, 5, 1]),
                    (_, 3) => ([2, 2, 1], [2, 3, 0]),
                    (_, 6) => ([3, 5, 2], [3, 6, 1]),
                    (_, 15) => ([3, 6, 3], [3, 6, 1]),
                    (Variant::Stas, _) => ([5, 5, 5], [3, 6, 1]),
                    _ => ([5, 6, 5], [3, 6, 1]),
                };
            let ([agent_box, landmark_box], [agent_radius, prey_radius, landmark_radius]) = match n
            {
                3 => ([1.0, 0.9], [0.075, 0.05, 0.2]),
                6 => ([1.5, 1.4], [0.075, 0.05, 0.2]),
                15 => ([1.0, 0.9], [0.02, 0.01, 0.1]),
                _ => ([1.0, 0.9], [0.01, 0.005, 0.05]),
            };
            MpeOptions {
                prey: if competitive {
                    Prey::Learned
                } else {
                    Prey::Random
                },
                boundary_penalty: false,
                agent_id: competitive,
                landmark_order: order,
                agent_order: order,
                seen_landmarks: Some(landmarks),
                seen_agents: Some(agents),
                seen_prey: Some(prey),
                prey_seen_landmarks: Some(to_prey_landmarks),
                prey_seen_agents: Some(to_prey_agents),
                prey_seen_prey: Some(to_prey_prey),
                agent_box,
                landmark_box,
                agent_radius,
                prey_radius,
                landmark_radius,
                ..base
            }
        }
    }
}

/// What all variants of Cooperative Navigation share, but for what the callers replace.
fn spread(n: usize) -> MpeOptions {
    MpeOptions {
        num_agents: n,
        num_prey: 0,
        num_landmarks: n,
        max_steps: 25,
        extra_step: false,
        action_type: ActionType::Discrete,
        mirrored_actions: false,
        clip_actions: false,
        integrator: Integrator::VelocityFirst,
        contact_distance: ContactDistance::Pair,
        reward: Reward::Mixed,
        local_ratio: 0.5,
        self_collisions: false,
        episodic_reward: false,
        last_prey_only: false,
        boundary_penalty: false,
        end_on_capture: false,
        prey: Prey::Frozen,
        prey_weights: None,
        prey_noise: true,
        landmark_order: Order::Index,
        agent_order: Order::Index,
        seen_landmarks: None,
        seen_agents: None,
        seen_prey: None,
        prey_seen_landmarks: None,
        prey_seen_agents: None,
        prey_seen_prey: None,
        messages: true,
        agent_id: false,
        agent_box: 1.0,
        landmark_box: 1.0,
        landmark_layout: LandmarkLayout::Uniform,
        agent_radius: 0.15,
        prey_radius: 0.05,
        landmark_radius: 0.05,
        agent_accel: 5.0,
        prey_accel: 4.0,
        agent_max_speed: None,
        prey_max_speed: None,
    }
}

/// What all variants of Predator-Prey share.
fn tag(n: usize) -> MpeOptions {
    let (prey, obstacles) = match n {
        3 => (1, 2),
        6 => (2, 3),
        15 => (5, 5),
        _ => (10, 10),
    };
    MpeOptions {
        num_prey: prey,
        num_landmarks: obstacles,
        reward: Reward::Captures,
        boundary_penalty: true,
        prey: Prey::Learned,
        messages: false,
        agent_radius: 0.075,
        landmark_radius: 0.2,
        agent_accel: 3.0,
        agent_max_speed: Some(1.0),
        prey_max_speed: Some(1.3),
        ..spread(n)
    }
}

fn area() -> MpeOptions {
    MpeOptions {
        landmark_order: Order::Index,
        agent_order: Order::Lexicographic,
        agent_box: 0.2,
        landmark_box: 1.5,
        landmark_radius: 0.4,
        messages: false,
        ..spread(3)
    }
}

/// Options that mean something in one task only.
const TAG_ONLY: &[&str] = &[
    "num_prey",
    "prey",
    "prey_weights",
    "prey_noise",
    "prey_seen_landmarks",
    "prey_seen_agents",
    "prey_seen_prey",
    "seen_prey",
    "prey_radius",
    "prey_accel",
    "prey_max_speed",
    "last_prey_only",
    "boundary_penalty",
    "end_on_capture",
];
const SPREAD_ONLY: &[&str] = &["local_ratio", "self_collisions"];

/// The options of `name`: its preset, with what `asked` says in its place.
///
/// # Errors
/// [`EnvError::Options`], [`EnvError::Option`].
pub(super) fn read(
    name: &str,
    variant: Variant,
    task: Task,
    n: usize,
    asked: &EnvOptions,
) -> Result<MpeOptions, EnvError> {
    let wrong = |reason: String| EnvError::Options {
        env: name.to_owned(),
        reason,
    };
    let mut asked = asked.clone();
    let defects = match asked.remove("reference_defects") {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| EnvError::Option {
            env: name.to_owned(),
            option: "reference_defects".into(),
            found: value.to_string(),
            need: "true or false".into(),
        })?,
    };
    let base = preset(variant, task, n, defects);
    let serde_json::Value::Object(base) =
        serde_json::to_value(&base).map_err(|e| wrong(e.to_string()))?
    else {
        return Err(wrong("the preset is no table".into()));
    };
    let parse = |o: EnvOptions| serde_json::from_value::<MpeOptions>(o.into());
    let mut all = base.clone();
    for (key, value) in asked.clone() {
        let elsewhere = [
            (TAG_ONLY, Task::Tag, "Predator-Prey"),
            (SPREAD_ONLY, Task::Spread, "Cooperative Navigation"),
        ];
        for (keys, its_task, called) in elsewhere {
            if keys.contains(&key.as_str()) && task != its_task {
                return Err(wrong(format!("option `{key}` is one of {called} only")));
            }
        }
        // One at a time, so that the message names the option.
        let mut one = base.clone();
        one.insert(key.clone(), value.clone());
        parse(one).map_err(|e| wrong(format!("option `{key}`: {e}")))?;
        all.insert(key, value);
    }
    let options = parse(all).map_err(|e| wrong(e.to_string()))?;
    check(name, task, &options)?;
    without_effect(name, &asked, &options)?;
    Ok(options)
}

/// Options that are asked for where nothing looks at them: whoever sets one expects another environment.
fn without_effect(name: &str, asked: &EnvOptions, o: &MpeOptions) -> Result<(), EnvError> {
    let rules = [
        (
            "local_ratio",
            o.reward == Reward::Mixed,
            "`reward = \"mixed\"`: no other reward is weighed by it",
        ),
        (
            "clip_actions",
            o.action_type == ActionType::Continuous,
            "`action_type = \"continuous\"`: the number of an action is not clipped",
        ),
        (
            "boundary_penalty",
            o.prey == Prey::Learned,
            "`prey = \"learned\"`: other prey have no rewards",
        ),
        (
            "prey_noise",
            o.prey == Prey::Pretrained,
            "`prey = \"pretrained\"`: other prey have no network",
        ),
    ];
    let unread = rules.into_iter().find_map(|(option, read, need)| {
        Some((option, asked.get(option).filter(|_| !read)?, need))
    });
    match unread {
        None => Ok(()),
        Some((option, found, need)) => Err(EnvError::Option {
            env: name.to_owned(),
            option: option.into(),
            found: found.to_string(),
            need: need.into(),
        }),
    }
}

fn check(name: &str, task: Task, o: &MpeOptions) -> Result<(), EnvError> {
    let bad = |option: &str, found: String, need: &str| {
        Err(EnvError::Option {
            env: name.to_owned(),
            option: option.into(),
            found,
            need: need.into(),
        })
    };
    let agents_needed = match task {
        Task::Area => (3..=3, "3: a triangle has three corners"),
        Task::Spread | Task::Tag => (1..=100, "1 to 100"),
    };
    if !agents_needed.0.contains(&o.num_agents) {
        return bad("num_agents", o.num_agents.to_string(), agents_needed.1);
    }
    if task == Task::Tag && !(1..=100).contains(&o.num_prey) {
        return bad("num_prey", o.num_prey.to_string(), "1 to 100");
    }
    if !(1..=100).contains(&o.num_landmarks) {
        return bad("num_landmarks", o.num_landmarks.to_string(), "1 to 100");
    }
    // The step shares a 32-bit random counter with the purpose and the index of a draw: 16 bits are its own.
    if !(1..=65_000).contains(&o.max_steps) {
        return bad("max_steps", o.max_steps.to_string(), "1 to 65000");
    }
    let rewards: &[Reward] = match task {
        Task::Spread => &[
            Reward::Mixed,
            Reward::Summed,
            Reward::Team,
            Reward::Individual,
        ],
        Task::Tag => &[
            Reward::Captures,
            Reward::Summed,
            Reward::Team,
            Reward::Individual,
            Reward::Nearest,
        ],
        Task::Area => &[Reward::Summed, Reward::Individual],
    };
    let named = |r: &Reward| format!("{r:?}").to_lowercase();
    if !rewards.contains(&o.reward) {
        let known: Vec<_> = rewards.iter().map(named).collect();
        return bad(
            "reward",
            named(&o.reward),
            &format!("{} in this task", known.join(", ")),
        );
    }
    for (option, x, low, high) in [
        ("local_ratio", o.local_ratio, 0.0, 1.0),
        ("agent_box", o.agent_box, 1e-3, 1e3),
        ("landmark_box", o.landmark_box, 1e-3, 1e3),
        ("agent_radius", o.agent_radius, 1e-4, 1e2),
        ("prey_radius", o.prey_radius, 1e-4, 1e2),
        ("landmark_radius", o.landmark_radius, 1e-4, 1e2),
        ("agent_accel", o.agent_accel, 0.0, 1e3),
        ("prey_accel", o.prey_accel, 0.0, 1e3),
        (
            "agent_max_speed",
            o.agent_max_speed.unwrap_or_default(),
            0.0,
            1e3,
        ),
        (
            "prey_max_speed",
            o.prey_max_speed.unwrap_or_default(),
            0.0,
            1e3,
        ),
    ] {
        if !(low..=high).contains(&x) {
            let need = format!("a number from {low} to {high}");
            return bad(option, x.to_string(), &need);
        }
    }
    let everything = MpeOptions {
        seen_landmarks: None,
        seen_agents: None,
        seen_prey: None,
        prey_seen_landmarks: None,
        prey_seen_agents: None,
        prey_seen_prey: None,
        ..o.clone()
    };
    for (prey, prefix) in [(false, ""), (true, "prey_")] {
        if prey && task != Task::Tag {
            continue;
        }
        let (asked, there) = (o.seen(prey), everything.seen(prey));
        for (k, what) in ["landmarks", "agents", "prey"].into_iter().enumerate() {
            if asked[k] > there[k] {
                return bad(
                    &format!("{prefix}seen_{what}"),
                    asked[k].to_string(),
                    &format!("at most {}: there are no more to see", there[k]),
                );
            }
        }
    }
    if o.last_prey_only && (o.agent_order != Order::Index || o.seen_prey.is_some()) {
        let need = "false where prey are ranked or left out: JaxMARL shows them all by index";
        return bad("last_prey_only", "true".into(), need);
    }
    if o.landmark_layout == LandmarkLayout::PoissonDisc {
        // Five candidates a point fill about two thirds of this; half of it leaves no doubt that a layout is found.
        let across = 2.0 * o.landmark_box / EXCLUSION;
        let most = (0.5 * across * across) as usize;
        if o.num_landmarks > most {
            return bad(
                "num_landmarks",
                o.num_landmarks.to_string(),
                &format!(
                    "at most {most} in a Poisson-disc layout of landmark_box {}",
                    o.landmark_box
                ),
            );
        }
        if o.landmark_box > 5.0 {
            return bad(
                "landmark_box",
                o.landmark_box.to_string(),
                "at most 5 in a Poisson-disc layout",
            );
        }
    }
    match (o.prey, &o.prey_weights) {
        (Prey::Pretrained, None) => bad(
            "prey",
            "`pretrained`".into(),
            "`prey_weights` too: a safetensors file with its network (docs/environments/mpe.md §4.4)",
        ),
        (Prey::Pretrained, Some(_)) | (_, None) => Ok(()),
        (_, Some(path)) => bad(
            "prey_weights",
            path.display().to_string(),
            "`prey = \"pretrained\"`: other prey have no network",
        ),
    }
}
