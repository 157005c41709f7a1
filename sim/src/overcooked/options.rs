//! Options of Overcooked, with the reference's defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::registry::EnvError;

/// When taking a plate from its pile earns shaped points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlateReward {
    /// While no plate lies on a counter and fewer are carried than pots hold something: JaxMARL 0.2.0.
    Useful,
    /// Never: JaxMARL's source at commit c793d09, whose test for plates on counters takes walls for plates.
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OvercookedOptions {
    pub max_steps: u32,
    /// Random places, items in hand and pots at the start of an episode; facing is random in any case.
    pub random_reset: bool,
    /// Weight of an agent's own shaped points in its reward.
    pub shaped_reward_coefficient: f32,
    pub plate_reward: PlateReward,
    /// `overcooked/custom` only: the text grid.
    pub layout_file: Option<PathBuf>,
}

impl Default for OvercookedOptions {
    fn default() -> Self {
        Self {
            max_steps: 400,
            random_reset: false,
            shaped_reward_coefficient: 0.0,
            plate_reward: PlateReward::Useful,
            layout_file: None,
        }
    }
}

impl OvercookedOptions {
    /// # Errors
    /// [`EnvError::Option`], which says the value and the bounds.
    pub fn check(&self, env: &str) -> Result<(), EnvError> {
        let bad = |option: &str, found: String, need: &str| {
            Err(EnvError::Option {
                env: env.into(),
                option: option.into(),
                found,
                need: need.into(),
            })
        };
        // The step shares a 32-bit random counter with the purpose and the index of a draw.
        if !(1..1 << 16).contains(&self.max_steps) {
            return bad("max_steps", self.max_steps.to_string(), "1 to 65535");
        }
        let coefficient = self.shaped_reward_coefficient;
        if !(0.0..=1e6).contains(&coefficient) {
            let found = coefficient.to_string();
            return bad("shaped_reward_coefficient", found, "a number from 0 to 1e6");
        }
        Ok(())
    }
}
