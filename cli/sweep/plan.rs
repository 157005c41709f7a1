//! `sweep.json`: what a sweep directory trains, in which batches. It is written before anything is trained, so that a killed
//! sweep goes on as it was planned.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use merit_learn::config::Config;
use merit_learn::run::{RunError, SUMMARY, write_atomic};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::shard::Shard;
use crate::draws::hash;
use crate::failure::BadInput;

const PLAN: &str = "sweep.json";
const LOCK: &str = "sweep.lock";
const RUNS: &str = "runs";
/// The layout of `sweep.json`; a reader refuses any other.
const FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub format: u32,
    /// The sweep's file, as it was last given.
    pub definition: Table,
    pub shard: Option<Shard>,
    /// In the order in which they are trained.
    pub batches: Vec<Batch>,
}

/// Members that are trained side by side, as one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Of the run's directory.
    pub name: String,
    pub config: Config,
}

impl Batch {
    /// Members with the same [`Config::batch_key`].
    fn new(members: &[Config]) -> Option<Self> {
        let config = Config::batch(members)?;
        let text = serde_json::to_string(&config).unwrap_or_default();
        let env = config.env.replace(['/', '\\'], "-");
        // Half of the digits: a name is for people, and a run that another has would be refused.
        let name = format!("{}-{env}-{:08x}", config.algo.name(), hash(&text) >> 32);
        Some(Self { name, config })
    }

    pub fn members(&self) -> Vec<Config> {
        (0..self.config.seeds)
            .map(|p| self.config.alone(p))
            .collect()
    }

    /// Two batches in place of one that does not fit; nothing for a single member.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let members = self.members();
        let (first, second) = members.split_at(members.len() / 2);
        Some([Self::new(first)?, Self::new(second)?])
    }
}

/// `members` in batches of at most `population`, those together that can be.
fn batches(members: &[Config], population: usize) -> Vec<Batch> {
    let mut groups: Vec<(Config, Vec<Config>)> = Vec::new();
    for member in members {
        let key = member.batch_key();
        match groups.iter_mut().find(|(k, _)| *k == key) {
            Some((_, group)) => group.push(member.clone()),
            None => groups.push((key, vec![member.clone()])),
        }
    }
    let even = |group: &Vec<Config>| {
        let count = group.len().div_ceil(population);
        let size = group.len().div_ceil(count);
        group
            .chunks(size)
            .filter_map(Batch::new)
            .collect::<Vec<_>>()
    };
    groups.iter().flat_map(|(_, group)| even(group)).collect()
}

impl Plan {
    pub fn new(definition: Table, shard: Option<Shard>) -> Self {
        Self {
            format: FORMAT,
            definition,
            shard,
            batches: Vec::new(),
        }
    }

    pub fn members(&self) -> Vec<Config> {
        self.batches.iter().flat_map(Batch::members).collect()
    }

    /// Adds batches for those of `wanted` that are not planned yet.
    ///
    /// # Errors
    /// [`BadInput`] if the plan has members that are not wanted: it is another sweep's.
    pub fn extend(
        &mut self,
        dir: &Path,
        wanted: &[Config],
        population: usize,
    ) -> anyhow::Result<()> {
        let planned = self.members();
        if let Some(other) = planned.iter().find(|m| !wanted.contains(m)) {
            let (algo, env) = (other.algo.name(), &other.env);
            return Err(BadInput(format!(
                "{} is the directory of another sweep: it has {algo} on {env}, seed {}, with values that this one has not; \
                 name a new directory, or only add to the file",
                dir.display(),
                other.seed
            ))
            .into());
        }
        let new: Vec<_> = wanted
            .iter()
            .filter(|m| !planned.contains(m))
            .cloned()
            .collect();
        self.batches.extend(batches(&new, population));
        Ok(())
    }

    /// The plan of a sweep directory; nothing if `dir` is none.
    ///
    /// # Errors
    /// [`RunError::Damaged`] where it cannot be understood.
    pub fn read(dir: &Path) -> Result<Option<Self>, RunError> {
        let path = dir.join(PLAN);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) => {
                return match e.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
                    _ => Err(RunError::Io { path, reason: e }),
                };
            }
        };
        let damaged = |problem: String| RunError::Damaged {
            path: path.clone(),
            problem,
            remedy: "restore it from a copy: it alone says what is trained".into(),
        };
        let plan: Self = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        if plan.format != FORMAT {
            let problem = format!("its format is {}, this version reads {FORMAT}", plan.format);
            return Err(damaged(problem));
        }
        Ok(Some(plan))
    }

    /// Writes the plan, and takes the summary of a smaller one away.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let complete = |b: &Batch| run_path(dir, b).join(SUMMARY).exists();
        let path = dir.join(SUMMARY);
        if path.exists() && !self.batches.iter().all(complete) {
            fs::remove_file(&path).map_err(|reason| RunError::Io { path, reason })?;
        }
        let text = serde_json::to_string_pretty(self)?;
        write_atomic(&dir.join(PLAN), format!("{text}\n").as_bytes())?;
        Ok(())
    }
}

pub fn run_path(dir: &Path, batch: &Batch) -> PathBuf {
    dir.join(RUNS).join(&batch.name)
}

/// The only process that writes in a sweep directory. The lock ends with the process, however that ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Makes `dir` if it is not there, and takes its lock.
    ///
    /// # Errors
    /// [`BadInput`] where another process has it or where other files are, [`RunError::NotWritable`].
    pub fn take(dir: &Path) -> anyhow::Result<Self> {
        let not_writable = |reason| RunError::NotWritable {
            path: dir.to_owned(),
            reason,
        };
        if !dir.join(PLAN).exists() && holds_other_files(dir) {
            let path = dir.to_owned();
            return Err(RunError::NotEmpty { path }.into());
        }
        fs::create_dir_all(dir.join(RUNS)).map_err(not_writable)?;
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(dir.join(LOCK)).map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display();
                Err(BadInput(format!("{dir}: another process is at work on this sweep")).into())
            }
            Err(TryLockError::Error(e)) => Err(not_writable(e).into()),
        }
    }
}

impl Lock {
    /// Keeps others from writing in a sweep that is read. None for a copy without the file: nobody is at work there.
    ///
    /// # Errors
    /// [`BadInput`] where another process has it.
    pub fn of_source(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = dir.join(LOCK);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(reason) => return Err(RunError::Io { path, reason }.into()),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display();
                Err(BadInput(format!("{dir}: another process is at work on this sweep")).into())
            }
            // A file system without locks, for one.
            Err(TryLockError::Error(reason)) => Err(RunError::Io { path, reason }.into()),
        }
    }
}

/// Whether a directory without a plan holds more than what a sweep leaves that was killed before it wrote its plan.
fn holds_other_files(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    let own = |name: &str| [LOCK, RUNS].contains(&name) || name == format!("{PLAN}.tmp");
    let mut names = entries.flatten().map(|e| e.file_name());
    let other_names = names.any(|n| n.to_str().is_none_or(|n| !own(n)));
    let runs = fs::read_dir(dir.join(RUNS));
    other_names || runs.is_ok_and(|mut runs| runs.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(env: &str, seed: u64, learning_rate: f64, hidden: usize) -> Config {
        Config {
            env: env.into(),
            seed,
            learning_rate,
            hidden,
            ..Config::default()
        }
    }

    fn all() -> Vec<Config> {
        let mut all = Vec::new();
        for env in ["smax/3m", "smax/2s3z"] {
            for rate in [1e-3, 2e-3] {
                all.extend((0..3).map(|seed| config(env, seed, rate, 64)));
            }
        }
        all
    }

    #[test]
    fn what_differs_in_numbers_alone_is_one_batch() {
        let mut plan = Plan::new(Table::new(), None);
        plan.extend(Path::new("x"), &all(), 64).expect("planned");
        let sizes: Vec<_> = plan.batches.iter().map(|b| b.config.seeds).collect();
        assert_eq!(sizes, [6, 6]);
        assert_eq!(plan.members(), all());
        assert!(plan.batches[0].name.starts_with("mappo-smax-3m-"));

        let mut plan = Plan::new(Table::new(), None);
        plan.extend(Path::new("x"), &all(), 4).expect("planned");
        let sizes: Vec<_> = plan.batches.iter().map(|b| b.config.seeds).collect();
        assert_eq!(sizes, [3, 3, 3, 3]);
        let [a, b] = plan.batches[0].halves().expect("two");
        assert_eq!((a.config.seeds, b.config.seeds), (1, 2));
        assert_eq!(
            [a.members(), b.members()].concat(),
            plan.batches[0].members()
        );
        assert!(a.halves().is_none());
    }

    #[test]
    fn more_seeds_are_new_batches_beside_the_old() {
        let mut plan = Plan::new(Table::new(), None);
        plan.extend(Path::new("x"), &all(), 64).expect("planned");
        let before = plan.batches.clone();
        let mut more = all();
        more.push(config("smax/3m", 9, 1e-3, 64));
        more.push(config("smax/3m", 0, 1e-3, 128));
        plan.extend(Path::new("x"), &more, 64).expect("extended");
        assert_eq!(plan.batches[..2], before);
        assert_eq!(plan.batches.len(), 4);
        plan.extend(Path::new("x"), &more, 64).expect("the same");
        assert_eq!(plan.batches.len(), 4);
        let e = plan.extend(Path::new("x"), &all(), 64).expect_err("less");
        assert!(e.to_string().contains("another sweep"), "{e}");
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("temp");
        assert_eq!(Plan::read(folder.path()).expect("none"), None);
        let _lock = Lock::take(folder.path()).expect("free");
        let e = Lock::take(folder.path()).expect_err("taken").to_string();
        assert!(e.contains("another process"), "{e}");
        let definition = "seeds = 2\n[random]\nx = { log = [1e-4, 0.1] }"
            .parse()
            .expect("TOML");
        let mut plan = Plan::new(definition, Some(Shard { index: 1, of: 2 }));
        plan.extend(Path::new("x"), &all(), 5).expect("planned");
        plan.write(folder.path()).expect("written");
        assert_eq!(Plan::read(folder.path()).expect("there"), Some(plan));
    }
}
