//! Options of SMAX, with the reference's defaults and the reference's names.

use serde::{Deserialize, Serialize};

use super::scenario::{Scenario, Types};
use crate::registry::EnvError;

/// Stats of a unit type. Health in points, distances in map units centre to centre, velocity in map units per second,
/// cooldown in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitType {
    pub name: String,
    pub health: f32,
    pub attack: f32,
    pub attack_range: f32,
    pub sight_range: f32,
    pub radius: f32,
    pub velocity: f32,
    pub weapon_cooldown: f32,
}

/// The reference's six types (`docs/environments/smax.md` has the table).
pub fn reference_types() -> Vec<UnitType> {
    let unit =
        |name: &str, [health, attack, range, sight, radius, velocity, cooldown]: [f32; 7]| {
            UnitType {
                name: name.into(),
                health,
                attack,
                attack_range: range,
                sight_range: sight,
                radius,
                velocity,
                weapon_cooldown: cooldown,
            }
        };
    vec![
        unit("marine", [45., 9., 5., 9., 0.375, 3.15, 0.61]),
        unit("marauder", [125., 10., 6., 10., 0.5625, 2.25, 1.07]),
        unit("stalker", [160., 13., 6., 10., 0.625, 4.13, 1.87]),
        unit("zealot", [150., 8., 2., 9., 0.5, 3.15, 0.86]),
        unit("zergling", [35., 5., 2., 8., 0.375, 4.13, 0.5]),
        unit("hydralisk", [80., 12., 5., 9., 0.625, 3.15, 0.59]),
    ]
}

/// Who plays the enemies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opponent {
    /// The built-in heuristic; the agents are the allies.
    Heuristic,
    /// Nobody: both teams are agents, allies first (the reference's base environment).
    External,
}

/// Which target in range the heuristic attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttackMode {
    Closest,
    Random,
}

/// How an observation lists the other units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationType {
    /// A row a unit.
    UnitList,
    /// Sectors around the agent, a few rows each.
    Conic,
}

/// What an agent's action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    Discrete,
    /// Four numbers in [0, 1].
    Continuous,
}

/// The reference's sizes of a conic observation.
const NUM_SECTIONS: usize = 32;
const MAX_UNITS_PER_SECTION: usize = 2;
/// Rows of a conic observation at most: the workgroup layout holds a byte for each.
const MAX_CONIC_ROWS: usize = 256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmaxOptions {
    pub map_width: f32,
    pub map_height: f32,
    pub world_steps_per_env_step: u32,
    /// Seconds of a world step.
    pub time_per_step: f32,
    pub max_steps: u32,
    pub won_battle_bonus: f32,
    /// Zero-sum: the bonus for a win, minus it for a loss, no reward for damage.
    pub use_self_play_reward: bool,
    pub see_enemy_actions: bool,
    pub walls_cause_death: bool,
    pub observation_type: ObservationType,
    /// `conic` only, as the next two: 32 and 2 unless given.
    pub num_sections: Option<usize>,
    pub max_units_per_section: Option<usize>,
    /// Ours: shows unit 0 and hides the dead, and a direction on the border of two sectors belongs to one of them.
    pub corrected_conic: Option<bool>,
    pub action_type: ActionType,
    /// Ours: the probability that a step replaces one living agent's action by stop.
    pub anomaly_probability: f32,
    /// Ours: positions of the world state over the map's size, cooldowns as in the observations, type numbers over the
    /// number of types, in place of the reference's raw numbers up to 32 and down to -50, which a critic of few updates
    /// cannot scale down. The agents see neither.
    pub normalized_world_state: bool,
    pub opponent: Opponent,
    pub enemy_shoots: bool,
    pub attack_mode: AttackMode,
    /// `smax/custom` only, as the next three.
    pub num_allies: Option<usize>,
    pub num_enemies: Option<usize>,
    pub smacv2_position_generation: Option<bool>,
    pub smacv2_unit_type_generation: Option<bool>,
    /// The table of unit types; a scenario's types are indices into it.
    pub unit_types: Vec<UnitType>,
}

impl Default for SmaxOptions {
    fn default() -> Self {
        Self {
            map_width: 32.0,
            map_height: 32.0,
            world_steps_per_env_step: 8,
            time_per_step: 1.0 / 16.0,
            max_steps: 100,
            won_battle_bonus: 1.0,
            use_self_play_reward: false,
            see_enemy_actions: true,
            walls_cause_death: true,
            observation_type: ObservationType::UnitList,
            num_sections: None,
            max_units_per_section: None,
            corrected_conic: None,
            action_type: ActionType::Discrete,
            anomaly_probability: 0.0,
            normalized_world_state: false,
            opponent: Opponent::Heuristic,
            enemy_shoots: true,
            attack_mode: AttackMode::Closest,
            num_allies: None,
            num_enemies: None,
            smacv2_position_generation: None,
            smacv2_unit_type_generation: None,
            unit_types: reference_types(),
        }
    }
}

/// Units of both teams at most: an action number and a unit index are stored in 8 bits each.
pub const MAX_UNITS: usize = 200;

impl SmaxOptions {
    /// Sectors of a conic observation, and rows of each.
    pub fn sections(&self) -> (usize, usize) {
        (
            self.num_sections.unwrap_or(NUM_SECTIONS),
            self.max_units_per_section.unwrap_or(MAX_UNITS_PER_SECTION),
        )
    }

    /// The scenario of `smax/custom`: marines, or any type at random.
    ///
    /// # Errors
    /// [`EnvError::Option`] for more units than there can be.
    pub fn custom_scenario(&self) -> Result<Scenario, EnvError> {
        let (allies, enemies) = (self.num_allies.unwrap_or(5), self.num_enemies.unwrap_or(5));
        let units = allies.checked_add(enemies);
        if allies == 0 || enemies == 0 || units.is_none_or(|n| n > MAX_UNITS) {
            return Err(EnvError::Option {
                env: "smax/custom".into(),
                option: "num_allies, num_enemies".into(),
                found: format!("{allies} and {enemies}"),
                need: "at least one each and at most 200 together".into(),
            });
        }
        let types = if self.smacv2_unit_type_generation.unwrap_or(false) {
            Types::Drawn {
                among: (0..self.unit_types.len() as u8).collect(),
                extra_marines: true,
            }
        } else {
            Types::Fixed(vec![0; allies + enemies])
        };
        Ok(Scenario {
            name: "custom".into(),
            allies,
            enemies,
            types,
            smacv2_positions: self.smacv2_position_generation.unwrap_or(false),
        })
    }

    /// Checks every value against what the shaders can do.
    ///
    /// # Errors
    /// [`EnvError::Option`], which says the value, the bounds and the reason.
    pub fn check(&self, scenario: &Scenario) -> Result<(), EnvError> {
        let bad = |option: &str, found: String, need: &str| {
            Err(EnvError::Option {
                env: format!("smax/{}", scenario.name),
                option: option.into(),
                found,
                need: need.into(),
            })
        };
        let own_teams = [
            self.num_allies.is_some() || self.num_enemies.is_some(),
            self.smacv2_position_generation.is_some(),
            self.smacv2_unit_type_generation.is_some(),
        ];
        if scenario.name != "custom" && own_teams.contains(&true) {
            return bad(
                "num_allies, num_enemies, smacv2_position_generation, smacv2_unit_type_generation",
                "a named scenario".into(),
                "`smax/custom`: a named scenario has its own",
            );
        }
        for (name, x, low, high) in [
            ("map_width", self.map_width, 4.0, 4096.0),
            ("map_height", self.map_height, 4.0, 4096.0),
            ("time_per_step", self.time_per_step, 1e-3, 1.0),
            ("won_battle_bonus", self.won_battle_bonus, 0.0, 1e6),
            ("anomaly_probability", self.anomaly_probability, 0.0, 1.0),
        ] {
            if !(low..=high).contains(&x) {
                return bad(
                    name,
                    x.to_string(),
                    &format!("a number from {low} to {high}"),
                );
            }
        }
        let conic = [
            self.num_sections.is_some(),
            self.max_units_per_section.is_some(),
            self.corrected_conic.is_some(),
        ];
        if self.observation_type != ObservationType::Conic && conic.contains(&true) {
            return bad(
                "num_sections, max_units_per_section, corrected_conic",
                "an observation_type other than `conic`".into(),
                "`conic`",
            );
        }
        let (sections, per_section) = self.sections();
        if !(1..=MAX_CONIC_ROWS).contains(&sections.saturating_mul(per_section)) {
            return bad(
                "num_sections, max_units_per_section",
                format!("{sections} and {per_section}"),
                "at least one each and a product of at most 256",
            );
        }
        if !(1..=64).contains(&self.world_steps_per_env_step) {
            let found = self.world_steps_per_env_step.to_string();
            return bad("world_steps_per_env_step", found, "1 to 64");
        }
        // The step shares a 32-bit random counter with the purpose and the unit of a draw.
        if !(1..1 << 20).contains(&self.max_steps) {
            return bad("max_steps", self.max_steps.to_string(), "1 to 1048575");
        }
        if self.unit_types.is_empty() || self.unit_types.len() > 32 {
            return bad(
                "unit_types",
                self.unit_types.len().to_string(),
                "1 to 32 types",
            );
        }
        if let Types::Fixed(types) | Types::Drawn { among: types, .. } = &scenario.types
            && types
                .iter()
                .any(|&t| usize::from(t) >= self.unit_types.len())
        {
            let found = format!("{} types", self.unit_types.len());
            return bad("unit_types", found, "a type for every unit of the scenario");
        }
        for t in &self.unit_types {
            let positive = [
                t.health,
                t.attack_range,
                t.sight_range,
                t.radius,
                t.weapon_cooldown,
            ];
            // Quotients and products of larger ones leave 32 bits.
            let fits = |x: &f32| (0.0..=1e6).contains(x);
            if !positive.iter().all(|x| *x > 1e-6 && fits(x))
                || ![t.velocity, t.attack].iter().all(fits)
            {
                let need = "stats up to 1e6, and above 1e-6 but for velocity and attack";
                return bad("unit_types", t.name.clone(), need);
            }
            // A decision has two random cooldowns per unit (`deviation` in rules.wgsl): the third shot must be impossible.
            let shortest_gap = t.weapon_cooldown - self.time_per_step;
            if self.world_steps_per_env_step as f32 * self.time_per_step
                > 2.0 * shortest_gap + 2.0 * self.time_per_step
            {
                return bad(
                    "unit_types",
                    format!("{} with weapon_cooldown {}", t.name, t.weapon_cooldown),
                    "a weapon_cooldown that allows at most two shots per environment step",
                );
            }
        }
        Ok(())
    }
}
