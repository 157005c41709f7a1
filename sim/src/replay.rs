//! Replays: a course as a file of a few kilobytes that says how it began, what was done, and a checksum of everything that
//! came out, so that it is either reproduced exactly or told where that ends.
//!
//! One JSON object a line: a [`Header`], then a moment each, `{"reset":{"sums":[…]}}` or
//! `{"step":{"actions":[…],"sums":[…]}}`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::course::{Act, Course, Start};
use crate::env::{ActionSpace, EnvSpec};
use crate::gpu::{Gpu, GpuError};
use crate::registry::{self, Driver, EnvError};

/// Why a replay cannot be written or played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: PathBuf, reason: io::Error },
    #[error("cannot write {path}: {reason}")]
    NotWritable { path: PathBuf, reason: io::Error },
    #[error("{path} is no replay: its first line is {problem}")]
    Foreign { path: PathBuf, problem: String },
    #[error(
        "{path} is a replay of merit {found}, this is merit {this}: only the version that made it reproduces it"
    )]
    Version {
        path: PathBuf,
        found: String,
        this: String,
    },
    #[error("{path} is a replay of {env} with {found}; here it has {this}")]
    Environment {
        path: PathBuf,
        env: String,
        found: String,
        this: String,
    },
    #[error("{path} is damaged: line {line}: {problem}")]
    Damaged {
        path: PathBuf,
        line: usize,
        problem: String,
    },
    #[error("{path}: {reason}")]
    Env {
        path: PathBuf,
        reason: Box<EnvError>,
    },
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

/// The layout of a replay file; a reader refuses any other.
const FORMAT: u32 = 1;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every version of a header has.
#[derive(Deserialize)]
struct Stamp {
    merit: String,
    format: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the program.
    pub merit: String,
    pub format: u32,
    /// Where it was made. Sums of floats may differ elsewhere.
    pub adapter: String,
    #[serde(flatten)]
    pub start: Start,
    /// `A`
    pub agents: usize,
    /// `{"discrete":N}` or `{"continuous":K}`
    pub action_space: ActionSpace,
    /// What the checksums are of.
    pub fields: Vec<String>,
    /// Lines that follow.
    pub moments: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Reset {
        sums: Vec<u32>,
    },
    Step {
        /// Flat, agent by agent; absent where the environment's own driver acted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        actions: Vec<serde_json::Number>,
        sums: Vec<u32>,
    },
}

/// A replay that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    pub path: PathBuf,
    pub header: Header,
    pub moments: Vec<(Act, Vec<u32>)>,
}

/// Where a replay ceases to be what was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    pub episode: usize,
    /// 0: already as the episode begins.
    pub step: usize,
    /// Everything that differs there, the state first.
    pub fields: Vec<String>,
}

/// Writes all moments of `course`.
///
/// # Errors
/// [`ReplayError::NotWritable`].
pub fn save(path: &Path, gpu: &Gpu, course: &Course) -> Result<(), ReplayError> {
    let spec = course.spec();
    let header = Header {
        merit: VERSION.into(),
        format: FORMAT,
        adapter: gpu.info.name.clone(),
        start: course.start.clone(),
        agents: spec.agents,
        action_space: spec.actions,
        fields: course.fields().to_vec(),
        moments: course.moments().len(),
    };
    let write = || -> io::Result<()> {
        let mut text = serde_json::to_string(&header)? + "\n";
        for moment in course.moments() {
            let sums = moment.sums.clone();
            let line = match &moment.act {
                Act::Reset => Line::Reset { sums },
                Act::Step(words) => Line::Step {
                    actions: words
                        .iter()
                        .map(|&word| number(spec.actions, word))
                        .collect::<Option<_>>()
                        .ok_or_else(|| io::Error::other("an action is not a finite number"))?,
                    sums,
                },
            };
            text += &(serde_json::to_string(&line)? + "\n");
        }
        fs::write(path, text)
    };
    write().map_err(|reason| ReplayError::NotWritable {
        path: path.to_owned(),
        reason,
    })
}

/// A word of the action region as a number of the file.
fn number(space: ActionSpace, word: u32) -> Option<serde_json::Number> {
    match space {
        ActionSpace::Discrete(_) => Some(word.into()),
        ActionSpace::Continuous(_) => serde_json::Number::from_f64(f32::from_bits(word).into()),
    }
}

/// And back; `None` for what is no action.
fn word(space: ActionSpace, number: &serde_json::Number) -> Option<u32> {
    match space {
        ActionSpace::Discrete(n) => {
            let action = u32::try_from(number.as_u64()?).ok()?;
            ((action as usize) < n).then_some(action)
        }
        ActionSpace::Continuous(_) => Some((number.as_f64()? as f32).to_bits()),
    }
}

impl Replay {
    /// Reads a replay and checks that this program can play it. Touches no device.
    ///
    /// # Errors
    /// [`ReplayError`]: what is wrong with the file, its version or its environment.
    pub fn read(path: &Path) -> Result<Self, ReplayError> {
        let text = fs::read_to_string(path).map_err(|reason| ReplayError::Unreadable {
            path: path.to_owned(),
            reason,
        })?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let foreign = |e: serde_json::Error| ReplayError::Foreign {
            path: path.to_owned(),
            problem: format!("no header of one ({e})"),
        };
        let stamp: Stamp = serde_json::from_str(first).map_err(foreign)?;
        if stamp.merit != VERSION || stamp.format != FORMAT {
            let version = |merit: &str, format| format!("{merit} (format {format})");
            return Err(ReplayError::Version {
                path: path.to_owned(),
                found: version(&stamp.merit, stamp.format),
                this: version(VERSION, FORMAT),
            });
        }
        let header: Header = serde_json::from_str(first).map_err(foreign)?;
        header.check(path)?;
        let mut moments = Vec::new();
        for (i, line) in lines.enumerate() {
            let moment = header
                .moment(line)
                .map_err(|problem| ReplayError::Damaged {
                    path: path.to_owned(),
                    line: i + 2,
                    problem,
                })?;
            moments.push(moment);
        }
        let begins = moments.first().is_some_and(|(act, _)| *act == Act::Reset);
        if moments.len() != header.moments || !begins {
            let (found, said) = (moments.len(), header.moments);
            return Err(ReplayError::Damaged {
                path: path.to_owned(),
                line: 1,
                problem: if begins {
                    format!("it promises {said} moments, {found} follow")
                } else {
                    "no reset follows, with which every replay begins".into()
                },
            });
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            moments,
        })
    }

    /// Steps that it has in all.
    pub fn steps(&self) -> usize {
        let steps = self.moments.iter().filter(|(act, _)| *act != Act::Reset);
        steps.count()
    }

    /// Plays it up to the end, or up to the first moment that is not as recorded.
    ///
    /// # Errors
    /// [`ReplayError::Env`] and [`ReplayError::Gpu`]; [`ReplayError::Environment`] if the state has other parts.
    pub fn play(&self, gpu: &Gpu) -> Result<(Course, Option<Divergence>), ReplayError> {
        let start = self.header.start.clone();
        let mut course =
            Course::begin(gpu, start).map_err(|e| self.header.env_error(&self.path, e))?;
        if course.fields() != self.header.fields {
            return Err(ReplayError::Environment {
                path: self.path.clone(),
                env: self.header.start.env.clone(),
                found: format!("the fields {}", self.header.fields.join(", ")),
                this: course.fields().join(", "),
            });
        }
        for (i, (act, sums)) in self.moments.iter().enumerate() {
            if i > 0 {
                course.go_on(act.clone())?;
            }
            let now = course.now();
            let differs = |(name, (found, recorded)): (&String, (&u32, &u32))| {
                (found != recorded).then(|| name.clone())
            };
            let sums = now.sums.iter().zip(sums);
            let fields: Vec<_> = course
                .fields()
                .iter()
                .zip(sums)
                .filter_map(differs)
                .collect();
            if !fields.is_empty() {
                let divergence = Divergence {
                    episode: now.episode,
                    step: now.step,
                    fields,
                };
                return Ok((course, Some(divergence)));
            }
        }
        Ok((course, None))
    }
}

impl Header {
    fn env_error(&self, path: &Path, reason: EnvError) -> ReplayError {
        match reason {
            EnvError::Gpu(e) => e.into(),
            reason => ReplayError::Env {
                path: path.to_owned(),
                reason: Box::new(reason),
            },
        }
    }

    /// Whether the environment is here what it was there.
    fn check(&self, path: &Path) -> Result<(), ReplayError> {
        let spec = registry::spec(&self.start.env, &self.start.options)
            .map_err(|e| self.env_error(path, e))?;
        let shape = |agents: usize, actions: ActionSpace| match actions {
            ActionSpace::Discrete(n) => format!("{agents} agents of {n} actions"),
            ActionSpace::Continuous(k) => format!("{agents} agents of {k} continuous actions"),
        };
        let EnvSpec {
            agents, actions, ..
        } = spec;
        if (agents, actions) != (self.agents, self.action_space) {
            return Err(ReplayError::Environment {
                path: path.to_owned(),
                env: spec.name,
                found: shape(self.agents, self.action_space),
                this: shape(agents, actions),
            });
        }
        Ok(())
    }

    fn moment(&self, line: &str) -> Result<(Act, Vec<u32>), String> {
        let (act, sums) = match serde_json::from_str(line).map_err(|e| e.to_string())? {
            Line::Reset { sums } => (Act::Reset, sums),
            Line::Step { actions, sums } => {
                let space = self.action_space;
                let needed = match self.start.driver {
                    Driver::External => self.agents * space.words(),
                    Driver::Random | Driver::Heuristic => 0,
                };
                if actions.len() != needed {
                    let found = actions.len();
                    return Err(format!("it has {found} actions, {needed} are needed"));
                }
                let word = |a| word(space, a).ok_or_else(|| format!("{a} is no action"));
                let words: Result<_, _> = actions.iter().map(word).collect();
                (Act::Step(words?), sums)
            }
        };
        // A reset writes all but rewards, ends and who is done.
        let needed = match act {
            Act::Reset => self.fields.len().saturating_sub(crate::course::OUTCOMES),
            Act::Step(_) => self.fields.len(),
        };
        if sums.len() != needed {
            let found = sums.len();
            return Err(format!("it has {found} checksums, {needed} are needed"));
        }
        Ok((act, sums))
    }
}
