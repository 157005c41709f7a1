//! What is asked of a robot: the tasks of Brax 0.14.2, as numbers.

/// What is rewarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The torso moves along x.
    Torso,
    /// The centre of mass moves along x.
    CentreOfMass,
    /// The torso is high.
    Height,
    /// The tip of the arm is near the target.
    Reach,
}

/// What the whole robot's observation is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Joint coordinates and velocities.
    Joints,
    /// The same, and each link's inertia and velocity, and the motors' forces.
    Bodies,
    /// Reacher's own.
    Reaching,
}

/// A task. Lengths in metres, angles in radians.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    pub name: &'static str,
    pub goal: Goal,
    pub sees: Sees,
    /// The first number is the torso's height above the floor instead of its coordinate.
    pub sees_height: bool,
    /// Velocities are shown clipped to this.
    pub fastest_seen: f32,
    /// Uniform noise of the first coordinates.
    pub position_noise: f32,
    /// Of the first velocities: half the width of a uniform distribution, or the deviation of a normal one.
    pub velocity_noise: f32,
    pub normal_velocities: bool,
    pub forward_reward: f32,
    pub alive_reward: f32,
    pub control_cost: f32,
    /// Actions in [-1, 1] are scaled to the motors' range (Brax from 0.10.5 on).
    pub scales_actions: bool,
    /// The torso's height beyond which an episode ends; whether the bounds themselves end it.
    pub height: Option<([f32; 2], bool)>,
    /// The same of its pitch; the bounds end it.
    pub pitch: Option<f32>,
    /// Any coordinate beyond the first two, or velocity, of 100 or more ends the episode.
    pub bounded_state: bool,
    pub reference: &'static str,
}

const RUNNER: Task = Task {
    name: "",
    goal: Goal::Torso,
    sees: Sees::Joints,
    sees_height: false,
    fastest_seen: f32::MAX,
    position_noise: 0.1,
    velocity_noise: 0.1,
    normal_velocities: true,
    forward_reward: 1.0,
    alive_reward: 0.0,
    control_cost: 0.1,
    scales_actions: false,
    height: None,
    pitch: None,
    bounded_state: false,
    reference: "",
};

const WALKER: Task = Task {
    sees_height: true,
    fastest_seen: 10.0,
    position_noise: 0.005,
    velocity_noise: 0.005,
    normal_velocities: false,
    alive_reward: 1.0,
    control_cost: 0.001,
    ..RUNNER
};

const HUMANOID: Task = Task {
    name: "humanoid",
    goal: Goal::CentreOfMass,
    sees: Sees::Bodies,
    position_noise: 0.01,
    velocity_noise: 0.01,
    normal_velocities: false,
    forward_reward: 1.25,
    alive_reward: 5.0,
    scales_actions: true,
    height: Some(([1.0, 2.0], false)),
    reference: "Brax 0.14.2 humanoid, positional pipeline",
    ..RUNNER
};

/// In the order in which their names are listed.
pub const TASKS: [Task; 7] = [
    Task {
        name: "ant",
        alive_reward: 1.0,
        control_cost: 0.5,
        height: Some(([0.2, 1.0], false)),
        reference: "Brax 0.14.2 ant, positional pipeline",
        ..RUNNER
    },
    Task {
        name: "halfcheetah",
        reference: "Brax 0.14.2 halfcheetah, positional pipeline",
        ..RUNNER
    },
    Task {
        name: "hopper",
        height: Some(([0.7, f32::MAX], true)),
        pitch: Some(0.2),
        bounded_state: true,
        reference: "Brax 0.14.2 hopper, positional pipeline",
        ..WALKER
    },
    Task {
        name: "walker2d",
        height: Some(([0.8, 2.0], true)),
        pitch: Some(1.0),
        reference: "Brax 0.14.2 walker2d, positional pipeline",
        ..WALKER
    },
    HUMANOID,
    Task {
        name: "humanoidstandup",
        goal: Goal::Height,
        forward_reward: 0.0,
        alive_reward: 1.0,
        control_cost: 0.01,
        height: None,
        reference: "Brax 0.14.2 humanoidstandup, positional pipeline",
        ..HUMANOID
    },
    Task {
        name: "reacher",
        goal: Goal::Reach,
        sees: Sees::Reaching,
        velocity_noise: 0.005,
        normal_velocities: false,
        forward_reward: 0.0,
        control_cost: 1.0,
        reference: "Brax 0.14.2 reacher, positional pipeline",
        ..RUNNER
    },
];

pub fn find(name: &str) -> Option<&'static Task> {
    TASKS.iter().find(|t| t.name == name)
}
