//! `merit merge`: shards of a sweep, trained on several machines, as one sweep.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use merit_learn::config::Config;
use merit_learn::run::{RunError, SUMMARY, newest_step};

use super::plan::{Batch, Lock, Plan, run_path};
use super::{definition, is_complete, no_sweep, overview};
use crate::failure::BadInput;
use crate::output::print;

/// Put shards of a sweep together in one directory, which can be gone on with and reported
#[derive(Args)]
pub struct Merge {
    /// Directory to merge into: a new one, or one that was merged before
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Directories of the shards
    #[arg(required = true, value_name = "DIR")]
    shards: Vec<PathBuf>,
}

/// A batch, and where it is.
struct Found {
    dir: PathBuf,
    batch: Batch,
    state: State,
}

/// How far a batch is; the further is the better copy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Waiting,
    /// With the steps of its newest checkpoint, from which it would be gone on with.
    Begun(u64),
    Complete,
}

impl Merge {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let mut plans = Vec::new();
        for dir in &self.shards {
            let plan = Plan::read(dir)?.ok_or_else(|| no_sweep(dir))?;
            plans.push((dir, plan));
        }
        if let Some(plan) = Plan::read(&self.out)? {
            if let Some(shard) = plan.shard {
                return Err(BadInput(format!(
                    "{} is shard {shard} of a sweep, which merging would end: name another directory to merge into, first",
                    self.out.display()
                ))
                .into());
            }
            plans.insert(0, (&self.out, plan));
        }
        let (first, definition) = (plans[0].0.clone(), plans[0].1.definition.clone());
        if let Some((dir, _)) = plans.iter().find(|(_, p)| p.definition != definition) {
            let (first, dir) = (first.display(), dir.display());
            let what = format!("{first} and {dir} are of different sweep files");
            return Err(BadInput(what).into());
        }
        let wanted = definition::members(&first.join("sweep.json"), &definition)?;
        let found = union(&plans, &wanted)?;
        let _locks: Vec<Lock> = self
            .shards
            .iter()
            .filter(|dir| !same_directory(dir, &self.out))
            .map(|dir| Lock::of_source(dir))
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let _lock = Lock::take(&self.out)?;

        // The plan first: a merge that is killed then finds its place when it is repeated.
        let mut plan = Plan::new(definition, None);
        plan.batches = found.iter().map(|f| f.batch.clone()).collect();
        plan.write(&self.out)?;
        for found in &found {
            if found.state > State::Waiting && !same_directory(&found.dir, &self.out) {
                copy_run(found, &self.out)?;
            }
        }
        let complete = plan.batches.iter().all(|b| is_complete(&self.out, b));
        if complete && plan.members().len() == wanted.len() {
            overview::finish(&self.out, &plan)?;
        }
        print(&overview::table(&self.out, &plan)?)?;
        let missing = wanted.len().saturating_sub(plan.members().len());
        if missing > 0 {
            print(&format!(
                "{missing} members of the sweep are in none of these; `merit sweep FILE --out {}` trains them\n",
                self.out.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn same_directory(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(a) == real(b)
}

fn state(dir: &Path, batch: &Batch) -> State {
    if is_complete(dir, batch) {
        State::Complete
    } else if run_path(dir, batch).exists() {
        // What cannot be read is no further than its beginning.
        let saved = newest_step(&run_path(dir, batch));
        State::Begun(saved.ok().flatten().unwrap_or(0))
    } else {
        State::Waiting
    }
}

/// Every member once, of several copies the one that is further, in the order of `wanted`.
fn union(plans: &[(&PathBuf, Plan)], wanted: &[Config]) -> anyhow::Result<Vec<Found>> {
    let mut all: Vec<Found> = Vec::new();
    for (dir, plan) in plans {
        all.extend(plan.batches.iter().map(|batch| Found {
            dir: (*dir).clone(),
            batch: batch.clone(),
            state: state(dir, batch),
        }));
    }
    all.sort_by_key(|f| std::cmp::Reverse(f.state));
    let mut kept: Vec<Found> = Vec::new();
    for found in all {
        if let Some(same) = kept.iter().find(|k| k.batch == found.batch) {
            same_result(same, &found)?;
            continue;
        }
        let members = found.batch.members();
        let covered = |m: &Config| kept.iter().any(|k| k.batch.members().contains(m));
        if found.state == State::Waiting && members.iter().all(covered) {
            continue;
        }
        let has = |k: &&Found| k.batch.members().iter().any(|m| members.contains(m));
        if let Some(other) = kept.iter().find(has) {
            return Err(BadInput(format!(
                "{} and {} have members in common in runs of different size: {} and {}",
                other.dir.display(),
                found.dir.display(),
                other.batch.name,
                found.batch.name
            ))
            .into());
        }
        kept.push(found);
    }
    let place = |f: &Found| wanted.iter().position(|m| *m == f.batch.config.alone(0));
    kept.sort_by_key(place);
    Ok(kept)
}

/// Two complete copies must agree, or one would silently win.
fn same_result(a: &Found, b: &Found) -> anyhow::Result<()> {
    if a.state.min(b.state) < State::Complete {
        return Ok(());
    }
    let [of_a, of_b] = [a, b].map(|f| run_path(&f.dir, &f.batch).join(SUMMARY));
    let read = |path: &Path| {
        fs::read(path).map_err(|reason| RunError::Io {
            path: path.to_owned(),
            reason,
        })
    };
    if read(&of_a)? == read(&of_b)? {
        return Ok(());
    }
    Err(BadInput(format!(
        "{} and {} are the same run with different results; name one of their sweeps",
        of_a.display(),
        of_b.display()
    ))
    .into())
}

/// Copies a run under another name and then gives it its own, so that what has its name is whole.
fn copy_run(found: &Found, out: &Path) -> Result<(), RunError> {
    let (from, to) = (
        run_path(&found.dir, &found.batch),
        run_path(out, &found.batch),
    );
    let under_way = to.with_added_extension("tmp");
    let copy = || -> io::Result<()> {
        if under_way.exists() {
            fs::remove_dir_all(&under_way)?;
        }
        copy_folder(&from, &under_way)?;
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        fs::rename(&under_way, &to)
    };
    copy().map_err(|reason| RunError::Io {
        path: to.clone(),
        reason,
    })
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
