//! Options of the robots.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::split::Mapping;
use crate::registry::Layout;

/// When the reward is paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payment {
    /// In every step.
    #[default]
    Dense,
    /// The sum of all steps with the last one.
    Episodic,
    /// `sparse_reward` with the last step, if the torso came farther than `sparse_distance`.
    Sparse,
}

/// What the agents are shown of the whole robot's observation, and how they say what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Homogenisation {
    /// Their own parts, filled up with zeros to the longest.
    #[default]
    None,
    /// The agent's number one-hot, its part written over it right after the 1.
    Max,
    /// The whole robot's observation and actions, zeros where a part is not the agent's.
    Concat,
}

/// What can be asked of a robot. What is not given is the task's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MabraxOptions {
    /// A robot of one's own, in one of the formats of `docs/environments/mabrax.md` §9 (`.xml` is MJCF), for the task and rewards of the named one.
    pub system: Option<PathBuf>,
    /// Joints of each agent, instead of the named split.
    pub split: Option<Vec<Vec<String>>>,
    /// With `split`: agents see the coordinates of joints this far from their own.
    pub obs_distance: usize,
    pub mapping: Mapping,
    pub homogenisation: Homogenisation,
    pub max_steps: u32,
    pub payment: Payment,
    /// Metres.
    pub sparse_distance: f32,
    pub sparse_reward: f32,
    pub forward_reward: Option<f32>,
    pub alive_reward: Option<f32>,
    pub control_cost: Option<f32>,
    /// Whether episodes end when the robot falls, where the task says what that is.
    pub terminate: bool,
    /// Whether a humanoid's actions in [-1, 1] are scaled to its motors' range: Brax does from 0.10.5 on.
    pub humanoid_action_scaling: bool,
    /// An invocation per robot or per link; results agree to rounding.
    pub layout: Layout,
}

impl Default for MabraxOptions {
    fn default() -> Self {
        Self {
            system: None,
            split: None,
            obs_distance: 1,
            mapping: Mapping::Reference,
            homogenisation: Homogenisation::None,
            max_steps: 1000,
            payment: Payment::Dense,
            sparse_distance: 50.0,
            sparse_reward: 100.0,
            forward_reward: None,
            alive_reward: None,
            control_cost: None,
            terminate: true,
            humanoid_action_scaling: true,
            layout: Layout::Auto,
        }
    }
}
