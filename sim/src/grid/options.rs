//! Options of the grid worlds.

use serde::{Deserialize, Serialize};

use crate::registry::EnvError;

/// How categories (objects, colours, states, directions, the mission's code) are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// One number each, MiniGrid's ids.
    #[default]
    Ids,
    /// As many features as there are categories, one of them 1 (MiniGrid's `OneHotPartialObsWrapper`).
    OneHot,
}

/// What a central critic sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticState {
    /// The agent's observation.
    #[default]
    View,
    /// The whole level with the agent in it, in ids.
    Grid,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridOptions {
    /// Step limit in place of the level's own.
    pub max_steps: Option<u32>,
    /// Denominator of the reward, `1 - 0.9 · step / reward_horizon`; the step limit if not given.
    pub reward_horizon: Option<u32>,
    /// Distractors of the BALROG tasks: 0 there, 8 in the class that they come from.
    pub num_dists: Option<u32>,
    pub encoding: Encoding,
    pub critic_state: CriticState,
    /// Compile the expert in, for [`super::Grid::record_expert`].
    pub expert: bool,
}

/// The step counter shares a word of a random counter with purpose and index.
const MOST_STEPS: u32 = 65_535;
/// Objects that two cells of a 6 by 6 room leave room for, with tries to spare.
const MOST_DISTRACTORS: u32 = 20;

impl GridOptions {
    /// # Errors
    /// [`EnvError::Option`], which says the value and the bounds.
    pub fn check(&self, env: &str, takes_distractors: bool) -> Result<(), EnvError> {
        let bad = |option: &str, found: String, need: &str| {
            Err(EnvError::Option {
                env: env.to_owned(),
                option: option.into(),
                found,
                need: need.into(),
            })
        };
        for (name, steps) in [
            ("max_steps", self.max_steps),
            ("reward_horizon", self.reward_horizon),
        ] {
            if let Some(steps) = steps.filter(|s| !(1..=MOST_STEPS).contains(s)) {
                return bad(name, steps.to_string(), "1 to 65535");
            }
        }
        if let Some(n) = self.num_dists {
            if !takes_distractors {
                return bad(
                    "num_dists",
                    n.to_string(),
                    "one of the tasks goto, pickup, pick_up_seq_go_to, open, putnext: a named level has its own number",
                );
            }
            if n > MOST_DISTRACTORS {
                return bad("num_dists", n.to_string(), "0 to 20");
            }
        }
        Ok(())
    }
}
