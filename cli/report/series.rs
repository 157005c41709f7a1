//! What is reported: members of runs, gathered by environment and configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use merit_learn::config::Config;
use merit_learn::record::{Kind, MemberRecord, TimingRecord};
use merit_learn::run::{self, RUN_FILE, RunError, RunInfo};

use super::stats::{Interval, Tasks};
use crate::failure::BadInput;
use crate::{naming, sweep};

/// One seed of one configuration.
pub struct Member {
    pub seed: u64,
    /// Its run's place in [`Runs::runs`].
    pub run: usize,
    /// By step, of the episodes that ended since the line before.
    pub training: Vec<(u64, MemberRecord)>,
    pub evaluations: Vec<(u64, MemberRecord)>,
}

/// Members that differ in their seed alone.
pub struct Series {
    pub env: String,
    /// The algorithm, and what else tells it from the other series: the same name in every environment.
    pub name: String,
    /// Of one member, with the seed 0.
    pub config: Config,
    pub members: Vec<Member>,
    /// In the order of the names: the colour.
    pub color: usize,
}

/// A run directory that was read.
pub struct RunRow {
    pub path: PathBuf,
    pub info: RunInfo,
    pub timing: TimingRecord,
    /// Trained to its end.
    pub complete: bool,
}

/// Everything that a report shows.
pub struct Runs {
    pub runs: Vec<RunRow>,
    pub series: Vec<Series>,
    /// Members of sweeps that have not begun.
    pub waiting: usize,
}

/// What a member is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Metric {
    WinRate,
    Return,
}

impl Metric {
    pub fn of(self, member: &MemberRecord) -> Option<f64> {
        match self {
            Self::WinRate => member.win_rate,
            Self::Return => member.mean_return,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::WinRate => "win rate",
            Self::Return => "return",
        }
    }
}

/// The runs that `paths` name: of each its own, or those of a sweep.
fn run_directories(paths: &[PathBuf]) -> anyhow::Result<(Vec<PathBuf>, usize)> {
    let (mut found, mut waiting) = (Vec::new(), 0);
    for path in paths {
        match sweep::Plan::read(path)? {
            Some(plan) => {
                for batch in &plan.batches {
                    let run = sweep::run_path(path, batch);
                    // Made in one step, the last of what makes a run.
                    if run.join(RUN_FILE).exists() {
                        found.push(run);
                    } else {
                        waiting += batch.config.seeds;
                    }
                }
            }
            None => found.push(path.clone()),
        }
    }
    Ok((found, waiting))
}

impl Runs {
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let (directories, waiting) = run_directories(paths)?;
        let mut all = Self {
            runs: Vec::new(),
            series: Vec::new(),
            waiting,
        };
        for path in &directories {
            all.add(path)?;
        }
        if all.series.is_empty() {
            let what = paths.first().map_or_else(PathBuf::new, Clone::clone);
            return Err(RunError::NoRecords(what).into());
        }
        name(&mut all.series);
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let info = RunInfo::read(path)?;
        let records = run::records(path)?;
        let run = self.runs.len();
        for (p, seed) in info
            .config
            .seeds_from(info.config.seed)
            .into_iter()
            .enumerate()
        {
            let of = |kind| {
                let of_kind = records.iter().filter(move |r| r.kind == kind);
                of_kind
                    .filter_map(|r| Some((r.step, r.members.get(p)?.clone())))
                    .collect::<Vec<_>>()
            };
            let member = Member {
                seed,
                run,
                training: of(Kind::Train),
                evaluations: of(Kind::Eval),
            };
            if member.evaluations.is_empty() {
                continue;
            }
            let config = Config {
                seed: 0,
                ..info.config.alone(p)
            };
            // What an algorithm does not look at makes no other setting of it.
            let same = |s: &Series| {
                let (a, b) = (&s.config, &config);
                a.env == b.env && a.algo == b.algo && naming::values(a) == naming::values(b)
            };
            let series = match self.series.iter().position(same) {
                Some(i) => &mut self.series[i],
                None => {
                    self.series.push(Series {
                        env: config.env.clone(),
                        name: String::new(),
                        config,
                        members: Vec::new(),
                        color: 0,
                    });
                    let last = self.series.len() - 1;
                    &mut self.series[last]
                }
            };
            if let Some(other) = series.members.iter().find(|m| m.seed == seed) {
                let other = self.runs.get(other.run).map_or(path, |r| &r.path);
                let (env, path, other) = (&series.env, path.display(), other.display());
                return Err(BadInput(format!(
                    "{path} and {other} hold the same member ({env}, seed {seed}); name one of them"
                ))
                .into());
            }
            series.members.push(member);
        }
        self.runs.push(RunRow {
            path: path.to_owned(),
            complete: path.join("summary.json").exists(),
            timing: TimingRecord::total(&run::timings(path)?),
            info,
        });
        Ok(())
    }

    /// In the order of their first series.
    pub fn envs(&self) -> Vec<&str> {
        first_of_each(self.series.iter().map(|s| s.env.as_str()))
    }

    pub fn of_env<'a>(&'a self, env: &'a str) -> impl Iterator<Item = &'a Series> + Clone {
        self.series.iter().filter(move |s| s.env == env)
    }

    /// Names of the series, in the order of their colours.
    pub fn names(&self) -> Vec<&str> {
        first_of_each(self.series.iter().map(|s| s.name.as_str()))
    }

    /// By what members are judged in `env`: the win rate, or the return where nothing was ever won.
    pub fn metric(&self, env: &str) -> Metric {
        let members = self.of_env(env).flat_map(|s| &s.members);
        let mut evaluations = members.flat_map(|m| &m.evaluations);
        if evaluations.any(|(_, m)| m.win_rate > Some(0.0)) {
            Metric::WinRate
        } else {
            Metric::Return
        }
    }

    pub fn is_complete(&self, member: &Member) -> bool {
        self.runs[member.run].complete
    }

    /// The last evaluation of every complete member.
    pub fn finals(&self, series: &Series, metric: Metric) -> Vec<f64> {
        let complete = series.members.iter().filter(|m| self.is_complete(m));
        let last = complete.filter_map(|m| m.evaluations.last());
        last.filter_map(|(_, m)| metric.of(m)).collect()
    }

    /// Lowest and highest score in `env`, of any member's last evaluation; 0 and 1 for win rates.
    pub fn range(&self, env: &str, metric: Metric) -> [f64; 2] {
        if metric == Metric::WinRate {
            return [0.0, 1.0];
        }
        let finals = self.of_env(env).flat_map(|s| self.finals(s, metric));
        finals.fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], x| {
            [l.min(x), h.max(x)]
        })
    }
}

/// Every text once, where it first appears.
fn first_of_each<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    texts.filter(|t| seen.insert(*t)).collect()
}

/// Gives each series its name and the colour of the name.
fn name(series: &mut [Series]) {
    let configs: Vec<_> = series.iter().map(|s| &s.config).collect();
    let names = naming::names(&configs);
    let all: Vec<String> = first_of_each(names.iter().map(String::as_str))
        .into_iter()
        .map(str::to_owned)
        .collect();
    for (s, name) in series.iter_mut().zip(names) {
        s.color = all.iter().position(|n| *n == name).unwrap_or(0);
        s.name = name;
    }
}

/// Points of a curve at most: more are not seen, and each costs a bootstrap.
const POINTS: usize = 100;

/// By step, one statistic of the values that the members have there.
pub fn curve(
    members: &[&[(u64, MemberRecord)]],
    value: impl Fn(&MemberRecord) -> Option<f64>,
    statistic: impl Fn(&Tasks) -> Interval,
) -> Vec<(f64, Interval)> {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (step, record) in members.iter().copied().flatten() {
        if let Some(x) = value(record) {
            steps.entry(*step).or_default().push(x);
        }
    }
    let every = steps.len().div_ceil(POINTS).max(1);
    let last = steps.len().saturating_sub(1);
    let kept = steps
        .into_iter()
        .enumerate()
        .filter(|(i, _)| i % every == 0 || *i == last);
    kept.map(|(_, (step, values))| (step as f64, statistic(&vec![values])))
        .collect()
}
