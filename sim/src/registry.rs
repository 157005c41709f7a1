//! Environments by name.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::{EnvSpec, VecEnv};
use crate::golden::Recording;
use crate::gpu::{Gpu, GpuError};
use crate::parity::{self, Comparison, ParityError};
use crate::{grid, junction, keydoor, mabrax, matrix, mpe, overcooked, sequential, smax};

/// Options of an environment, by name.
pub type EnvOptions = serde_json::Map<String, serde_json::Value>;

/// Why an environment cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    #[error("unknown environment `{asked}`{}; `merit envs` lists them all", hint(.nearest))]
    Unknown {
        asked: String,
        nearest: Option<String>,
    },
    #[error("{env}: option `{option}` cannot be {found}: it takes {need}")]
    Option {
        env: String,
        option: String,
        found: String,
        need: String,
    },
    #[error("{env}: {reason}")]
    Options { env: String, reason: String },
    #[error(
        "a batch needs at least one member, one environment and one step; asked for {members}, {envs} and {steps}"
    )]
    Empty {
        members: usize,
        envs: usize,
        steps: usize,
    },
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// The options of `env`, the defaults in place of those that are not given.
///
/// # Errors
/// [`EnvError::Options`] names the first option that is unknown or of another type.
pub fn read_options<T: DeserializeOwned>(env: &str, asked: &EnvOptions) -> Result<T, EnvError> {
    let read = |options: EnvOptions| serde_json::from_value::<T>(Value::Object(options));
    read(asked.clone()).map_err(|e| {
        // One at a time, so that the message names the option.
        let alone = |(key, value): (&String, &Value)| {
            let one = EnvOptions::from_iter([(key.clone(), value.clone())]);
            let problem = read(one).err()?.to_string();
            let named = problem.contains(&format!("`{key}`"));
            Some(match named {
                true => problem,
                false => format!("option `{key}`: {problem}"),
            })
        };
        EnvError::Options {
            env: env.to_owned(),
            reason: asked
                .iter()
                .find_map(alone)
                .unwrap_or_else(|| e.to_string()),
        }
    })
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |n| format!(", did you mean `{n}`?"))
}

/// Who chooses the actions of the agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// Whoever writes the action region.
    #[default]
    External,
    /// The step shader itself, uniformly among the allowed actions.
    Random,
    /// The environment's built-in policy, where it has one.
    Heuristic,
}

/// How the shader spreads an environment over invocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `Thread` on software devices; on GPUs what the environment holds for faster there, in most `Tile`.
    #[default]
    Auto,
    /// An invocation an environment.
    Thread,
    /// A workgroup a few environments, an invocation a unit.
    Tile,
}

/// How many environments, for whom, and how they are compiled.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// One seed per member of the population, `P` in all.
    pub seeds: Vec<u64>,
    /// `E`.
    pub envs_per_member: usize,
    /// `T` of the [`crate::env::EnvIo`].
    pub steps: usize,
    /// Observation slots of the [`crate::env::EnvIo`].
    pub slots: usize,
    pub driver: Driver,
    /// Episodes of each environment that count in the statistics, 0 for all: an evaluation counts the same number of
    /// every environment, else short episodes would be over-represented.
    pub episode_quota: u32,
    pub layout: Layout,
    /// Invocations of a workgroup, where the layout leaves a choice; results do not depend on it.
    pub workgroup: Option<usize>,
    /// An environment that ended stays as it ended, instead of starting its next episode.
    pub keep_ended: bool,
    /// Compile with wgpu's bounds checks (tests do; they cost about a third on a software device).
    pub checked: bool,
}

impl Batch {
    /// `G = P · E`.
    pub fn envs(&self) -> usize {
        self.seeds.len() * self.envs_per_member
    }
}

/// Environments that share a module: everything in front of the slash of their names, or a name without one.
pub(crate) struct Family {
    /// `smax` for `smax/3m`.
    name: &'static str,
    names: fn() -> Vec<String>,
    /// Gets the whole name; an unknown one is [`unknown`].
    spec: fn(&str, &EnvOptions) -> Result<EnvSpec, EnvError>,
    make: Make,
    /// What recordings call their `environment`, a `*` at the end standing for any ending; none where the reference is a table or a formula.
    pub recordings: &'static [&'static str],
    /// Compares one recording; returns the environment's name, the steps compared and the layout used.
    pub compare: Compare,
}

type Make = fn(&Gpu, &str, &EnvOptions, &Batch) -> Result<Box<dyn VecEnv>, EnvError>;

type Compare = fn(
    &Gpu,
    &Recording,
    Layout,
    bool,
    &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError>;

pub(crate) const FAMILIES: &[Family] = &[
    Family {
        name: "overcooked",
        names: overcooked::names,
        spec: |name, options| Ok(overcooked::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = overcooked::configure(name, options)?;
            Ok(Box::new(overcooked::Overcooked::new(gpu, config, batch)?))
        },
        recordings: &["Overcooked"],
        compare: overcooked::parity::compare,
    },
    Family {
        name: "smax",
        names: smax::names,
        spec: |name, options| Ok(smax::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = smax::configure(name, options)?;
            Ok(Box::new(smax::Smax::new(gpu, config, batch)?))
        },
        recordings: &["SMAX", "HeuristicEnemySMAX"],
        compare: smax::parity::compare,
    },
    Family {
        name: "mpe",
        names: mpe::names,
        spec: |name, options| Ok(mpe::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = mpe::configure(name, options)?;
            Ok(Box::new(mpe::Mpe::new(gpu, config, batch)?))
        },
        recordings: &["MPE_simple_spread", "MPE_simple_tag"],
        compare: mpe::parity::compare,
    },
    Family {
        name: "matrix",
        names: matrix::names,
        spec: |name, options| Ok(matrix::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = matrix::configure(name, options)?;
            Ok(Box::new(matrix::Matrix::new(gpu, config, batch)?))
        },
        recordings: &[],
        compare: parity::unrecorded,
    },
    Family {
        name: "junction",
        names: junction::names,
        spec: |name, options| Ok(junction::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            junction::configure(name, options)?;
            Ok(Box::new(junction::Junction::new(gpu, batch)?))
        },
        recordings: &[],
        compare: parity::unrecorded,
    },
    Family {
        name: "sequential",
        names: sequential::names,
        spec: |name, options| Ok(sequential::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let options = sequential::configure(name, options)?;
            let env = sequential::Sequential::new(gpu, &options, batch)?;
            Ok(Box::new(env))
        },
        recordings: &[],
        compare: parity::unrecorded,
    },
    Family {
        name: "keydoor",
        names: keydoor::names,
        spec: |name, options| Ok(keydoor::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let options = keydoor::configure(name, options)?;
            Ok(Box::new(keydoor::Keydoor::new(gpu, options, batch)?))
        },
        recordings: &[],
        compare: parity::unrecorded,
    },
    grid_family("babyai", || grid::names("babyai"), &["BabyAI-*"]),
    grid_family("minigrid", || grid::names("minigrid"), &["MiniGrid-*"]),
    robot_family("mabrax", || mabrax::names("mabrax"), mabrax::RECORDINGS),
    robot_family("brax", || mabrax::names("brax"), &[]),
];

/// Robots of several agents and of one: one world with two lists of names.
const fn robot_family(
    name: &'static str,
    names: fn() -> Vec<String>,
    recordings: &'static [&'static str],
) -> Family {
    Family {
        name,
        names,
        spec: |name, options| Ok(mabrax::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = mabrax::configure(name, options)?;
            Ok(Box::new(mabrax::Mabrax::new(gpu, config, batch)?))
        },
        recordings,
        compare: mabrax::parity::compare,
    }
}

/// BabyAI and MiniGrid are one world with two lists of levels.
const fn grid_family(
    name: &'static str,
    names: fn() -> Vec<String>,
    recordings: &'static [&'static str],
) -> Family {
    Family {
        name,
        names,
        spec: |name, options| Ok(grid::configure(name, options)?.spec()),
        make: |gpu, name, options, batch| {
            let config = grid::configure(name, options)?;
            Ok(Box::new(grid::Grid::new(gpu, config, batch)?))
        },
        recordings,
        compare: grid::parity::compare,
    }
}

/// Every environment's name.
pub fn names() -> Vec<String> {
    FAMILIES.iter().flat_map(|f| (f.names)()).collect()
}

/// The candidate that `asked` is a likely misspelling of.
pub fn nearest<'a>(asked: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(asked, c), c))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c.to_owned())
}

/// The error for a name that no environment has.
pub(crate) fn unknown(asked: &str) -> EnvError {
    EnvError::Unknown {
        asked: asked.to_owned(),
        nearest: nearest(asked, names().iter().map(String::as_str)),
    }
}

fn family(name: &str) -> Result<&'static Family, EnvError> {
    let first = name.split('/').next().unwrap_or(name);
    let found = FAMILIES.iter().find(|f| f.name == first);
    found.ok_or_else(|| unknown(name))
}

/// Shape and limits of an environment, without touching a device.
///
/// # Errors
/// [`EnvError::Unknown`], and what is wrong with the options.
pub fn spec(name: &str, options: &EnvOptions) -> Result<EnvSpec, EnvError> {
    (family(name)?.spec)(name, options)
}

/// What the two counts of [`crate::env::EpisodeStats::extra`] are that a run should report, where one tells of something
/// that should not happen.
pub fn reported_extra(name: &str) -> [Option<&'static str>; 2] {
    match name.split('/').next() {
        Some("mabrax" | "brax") => [Some("unstable_episodes"), None],
        _ => [None, None],
    }
}

/// Makes a batch of environments.
///
/// # Errors
/// As [`spec`], and what does not fit the adapter.
pub fn make(
    gpu: &Gpu,
    name: &str,
    options: &EnvOptions,
    batch: &Batch,
) -> Result<Box<dyn VecEnv>, EnvError> {
    (family(name)?.make)(gpu, name, options, batch)
}
