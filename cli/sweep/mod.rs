//! `merit sweep`: many configurations and seeds, in as few batches as they allow, in a directory that survives its process.

mod definition;
pub mod merge;
mod overview;
mod plan;
mod shard;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use merit_learn::LearnError;
use merit_learn::config::{Config, parse_count};
use merit_learn::learner::Learner;
use merit_learn::run::{self, RUN_FILE, Run, RunError, SUMMARY};
use merit_learn::train::Outcome;
use merit_sim::gpu::{AdapterChoice, Gpu, GpuError};

use crate::failure::{BadInput, INTERRUPTED};
use crate::output::print;
use crate::train::{Show, begin, check, go_on, info, stop_on_signals, with_board};
use overview::Overview;
use plan::Lock;
pub use plan::{Batch, Plan, run_path};
use shard::Shard;

/// Train every setting of a file under every seed, or go on with that
///
/// Members that differ in their seed, learning_rate, gamma, gae_lambda, clip_eps, ent_coef, vf_coef, eta or dae_beta alone are trained side by side
/// in one run, the rest one run after the other. The same command again, or --resume, goes on; a file with more seeds or
/// settings adds them.
#[derive(Args)]
pub struct Sweep {
    /// TOML file with the tables config, grid, list, random, and seeds
    #[arg(value_name = "FILE", required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Directory of the sweep: a new one, or one to go on with
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the sweep in this directory
    #[arg(long, value_name = "DIR")]
    #[arg(conflicts_with_all = ["file", "out", "population", "shard", "shards"])]
    resume: Option<PathBuf>,
    /// Members of one run at most [default: as many as fit the adapter]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = population)]
    population: Option<usize>,
    /// Train one of N parts of the sweep [default: that of the Slurm array task or the indexed Kubernetes job, if in one]
    #[arg(long, value_name = "I/N", conflicts_with = "shards")]
    shard: Option<Shard>,
    /// Number of parts, where the environment says which one this is but not how many there are
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// List the runs and their members, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Write event files for TensorBoard too, in the directories of the runs
    #[arg(long)]
    tensorboard: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// Members of a run at most, whatever the adapter.
const POPULATION: usize = 1 << 12;

fn population(text: &str) -> Result<usize, String> {
    let members = parse_count(text)?;
    let members = usize::try_from(members).ok();
    let members = members.filter(|n| (1..=POPULATION).contains(n));
    members.ok_or_else(|| format!("a run has 1 to {POPULATION} members"))
}

impl Sweep {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let dir = self.resume.as_ref().or(self.out.as_ref());
        // Clap asks for one of --out and --resume.
        let dir = dir.cloned().unwrap_or_default();
        if self.resume.is_some() && Plan::read(&dir)?.is_none() {
            return Err(no_sweep(&dir));
        }
        let wanted = self.wanted()?;
        if self.dry_run {
            if Plan::read(&dir)?.is_none() {
                run::check_free(&dir)?;
            }
            let plan = self.plan(&dir, wanted)?;
            print(&overview::table(&dir, &plan)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let lock = if dir.exists() {
            Some(Lock::take(&dir)?)
        } else {
            run::check_free(&dir)?;
            None
        };
        let mut plan = self.plan(&dir, wanted)?;
        let done = plan.batches.iter().all(|b| is_complete(&dir, b));
        let gpu = (!done).then(|| Gpu::open(choice)).transpose()?;
        // Nothing exists before all that can be refused has been.
        let _lock = lock.map_or_else(|| Lock::take(&dir), Ok)?;
        plan.write(&dir)?;
        if let Some(gpu) = &gpu {
            let finished = train_all(gpu, &dir, &mut plan, self.show())?;
            if !finished {
                print(&format!(
                    "saved; `merit sweep --resume {}` goes on\n",
                    dir.display()
                ))?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
        overview::finish(&dir, &plan)?;
        print(&overview::table(&dir, &plan)?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self) -> Show {
        Show {
            tensorboard: self.tensorboard,
            quiet: self.quiet,
        }
    }

    /// What the file asks of this process, checked as far as that goes without a device; nothing for `--resume`.
    fn wanted(&self) -> anyhow::Result<Option<Wanted>> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let definition = definition::read(file)?;
        let all = definition::members(file, &definition)?;
        let mut checked: Vec<Config> = Vec::new();
        for member in &all {
            let setting = Config {
                seed: 0,
                ..member.clone()
            };
            if checked.last() != Some(&setting) {
                check(&setting)
                    .and_then(|()| Ok(setting.check_start()?))
                    .map_err(|e| describe(file, member, &e))?;
                checked.push(setting);
            }
        }
        let shard = match self.shard {
            Some(shard) => Some(shard),
            None => Shard::from_environment(self.shards, |name| std::env::var(name).ok())?,
        };
        let count = all.len();
        let members = match shard {
            Some(shard) => all[shard.range(count)].to_vec(),
            None => all,
        };
        if let Some(shard) = shard.filter(|_| members.is_empty()) {
            return Err(BadInput(format!(
                "shard {shard} of {count} members is empty: take at most {count} shards"
            ))
            .into());
        }
        Ok(Some(Wanted {
            definition,
            shard,
            members,
        }))
    }

    /// The directory's plan, with batches for what is new in the file.
    fn plan(&self, dir: &Path, wanted: Option<Wanted>) -> anyhow::Result<Plan> {
        let planned = Plan::read(dir)?;
        let Some(wanted) = wanted else {
            return planned.ok_or_else(|| no_sweep(dir));
        };
        let mut plan = match planned {
            None => Plan::new(wanted.definition.clone(), wanted.shard),
            Some(plan) if plan.shard != wanted.shard => {
                let name = |s: Option<Shard>| s.map_or("all".into(), |s| format!("shard {s}"));
                return Err(BadInput(format!(
                    "{} is the directory of {} of the sweep, not of {}: each shard has a directory of its own",
                    dir.display(),
                    name(plan.shard),
                    name(wanted.shard)
                ))
                .into());
            }
            Some(plan) if plan.shard.is_some() && plan.definition != wanted.definition => {
                return Err(BadInput(format!(
                    "{} is the directory of a shard of another file: shards cannot be added to; `merit merge` them, \
                     and go on with the merged directory",
                    dir.display()
                ))
                .into());
            }
            Some(plan) => plan,
        };
        plan.extend(dir, &wanted.members, self.population.unwrap_or(POPULATION))?;
        plan.definition = wanted.definition;
        Ok(plan)
    }
}

struct Wanted {
    definition: toml::Table,
    shard: Option<Shard>,
    members: Vec<Config>,
}

fn no_sweep(dir: &Path) -> anyhow::Error {
    BadInput(format!(
        "{} is no sweep: it has no sweep.json",
        dir.display()
    ))
    .into()
}

/// Names the member that cannot be trained.
fn describe(file: &Path, member: &Config, problem: &anyhow::Error) -> anyhow::Error {
    let (file, algo, env) = (file.display(), member.algo.name(), &member.env);
    BadInput(format!("{file}: {algo} on {env}: {problem}")).into()
}

pub fn is_complete(dir: &Path, batch: &Batch) -> bool {
    run_path(dir, batch).join(SUMMARY).exists()
}

/// Whether all was trained to its end; otherwise it was interrupted and saved.
fn train_all(gpu: &Gpu, dir: &Path, plan: &mut Plan, show: Show) -> anyhow::Result<bool> {
    stop_on_signals()?;
    let mut overview = Overview::new(dir, plan, show.quiet);
    let mut next = 0;
    while let Some(batch) = plan.batches.get(next) {
        if !is_complete(dir, batch) {
            match train_one(gpu, dir, batch, show, &mut overview) {
                Ok(true) => {}
                Ok(false) => {
                    overview.end();
                    return Ok(false);
                }
                Err(e) if does_not_fit(&e) => {
                    let halves = split(dir, batch, &e)?;
                    overview.line(&format!("{}: two runs in its place: {e}", batch.name));
                    plan.batches.splice(next..=next, halves);
                    plan.write(dir)?;
                    continue;
                }
                Err(e) => return Err(e),
            }
        }
        next += 1;
    }
    overview.end();
    Ok(true)
}

/// Two batches in place of one that was refused its memory: when it was made, or later, in its first evaluation or update.
///
/// # Errors
/// Where nothing is to be split, or part of the training is saved, which smaller batches could not go on with.
fn split(dir: &Path, batch: &Batch, refusal: &anyhow::Error) -> anyhow::Result<[Batch; 2]> {
    let path = run_path(dir, batch);
    if let Some(step) = run::newest_step(&path)? {
        let path = path.display();
        return Err(BadInput(format!(
            "{path}: {refusal}; it is trained to step {step} with {} members side by side: go on where that much memory is free, \
             or remove {path}, and its members begin again in smaller runs",
            batch.config.seeds
        ))
        .into());
    }
    let halves = batch
        .halves()
        .ok_or_else(|| describe(dir, &batch.config, refusal))?;
    if path.exists() {
        // The run of the batch, which has nothing but its beginning.
        fs::remove_dir_all(&path).map_err(|reason| RunError::Io { path, reason })?;
    }
    Ok(halves)
}

fn train_one(
    gpu: &Gpu,
    dir: &Path,
    batch: &Batch,
    show: Show,
    overview: &mut Overview,
) -> anyhow::Result<bool> {
    let (mut learner, mut run) = open(gpu, &run_path(dir, batch), &batch.config)?;
    overview.begin(batch, learner.env_steps());
    let outcome = with_board(learner.as_mut(), &mut run, show.tensorboard, &mut |event| {
        overview.show(event)
    })?;
    match outcome {
        Outcome::Finished(summary) => {
            overview.finished(batch, &summary);
            Ok(true)
        }
        Outcome::Interrupted { .. } => Ok(false),
    }
}

/// The run of a batch where it stands, or at its start.
fn open(gpu: &Gpu, path: &Path, config: &Config) -> anyhow::Result<(Box<dyn Learner>, Run)> {
    if path.join(RUN_FILE).exists() {
        let run = Run::open(path)?;
        let saved = run::newest_checkpoint(path)?;
        return go_on(gpu, run, saved.as_ref());
    }
    let (learner, config) = begin(gpu, config)?;
    // What a process leaves that is killed before its run exists.
    let unfinished = path.join(RUN_FILE).with_added_extension("tmp");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(|reason| RunError::Io {
            path: unfinished.clone(),
            reason,
        })?;
    }
    let run = Run::create(path, info(gpu, config))?;
    Ok((learner, run))
}

/// Whether fewer members might do.
fn does_not_fit(error: &anyhow::Error) -> bool {
    let made = error.downcast_ref::<LearnError>();
    let trained = error.downcast_ref::<RunError>().and_then(|e| match e {
        RunError::Learn(e) => Some(e),
        _ => None,
    });
    let gpu = made.or(trained).and_then(|e| match e {
        LearnError::Gpu(e) => Some(e),
        _ => None,
    });
    matches!(
        gpu,
        Some(
            GpuError::TooLarge { .. }
                | GpuError::TooLargeBuffer { .. }
                | GpuError::OutOfMemory { .. }
        )
    )
}
