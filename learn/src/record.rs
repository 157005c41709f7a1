//! What a run reports: the lines of `metrics.jsonl` and `timing.jsonl`, `summary.json` and `marl-eval.json`.

use std::collections::BTreeMap;

use merit_sim::env::EpisodeStats;
use merit_sim::registry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::held::Held;
use crate::learner::{MemberReport, Timing};

/// Whose episodes a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Those of the training policy that ended since the last record of this kind.
    Train,
    /// Those of an evaluation.
    Eval,
}

/// A line of `metrics.jsonl`. It holds no time, so that a repeat writes the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub kind: Kind,
    /// Environment steps of each member so far.
    pub step: u64,
    pub update: u64,
    /// One per member.
    pub members: Vec<MemberRecord>,
}

/// What the episodes of one member came to; means are absent where no episode ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    pub seed: u64,
    pub episodes: u64,
    /// Undiscounted return of the team, mean over the episodes.
    #[serde(rename = "return")]
    pub mean_return: Option<f64>,
    pub win_rate: Option<f64>,
    /// In environment steps, mean over the episodes.
    pub length: Option<f64>,
    /// Share of the episodes that the step limit cut.
    pub truncated: Option<f64>,
    /// Losses and diagnostics of the last update, absent in evaluations, and what [`registry::reported_extra`] names.
    #[serde(flatten)]
    pub diagnostics: BTreeMap<String, Option<f64>>,
}

impl MemberRecord {
    fn new(
        env: &str,
        seed: u64,
        stats: &EpisodeStats,
        mut diagnostics: BTreeMap<String, Option<f64>>,
    ) -> Self {
        for (name, count) in registry::reported_extra(env).into_iter().zip(stats.extra) {
            diagnostics.extend(name.map(|name| (name.to_owned(), Some(count))));
        }
        let mean = |sum: f64| (stats.episodes > 0.0).then(|| sum / stats.episodes);
        Self {
            seed,
            episodes: stats.episodes as u64,
            mean_return: mean(stats.return_sum),
            win_rate: mean(stats.wins),
            length: mean(stats.length_sum),
            truncated: mean(stats.truncations),
            diagnostics,
        }
    }
}

impl Record {
    /// Seeds of members whose losses are no numbers: what they do says nothing any more.
    pub fn diverged(&self) -> Vec<u64> {
        let lost = |(name, x): (&String, &Option<f64>)| name.ends_with("loss") && x.is_none();
        let diverged = |m: &&MemberRecord| m.diagnostics.iter().any(lost);
        let members = self.members.iter().filter(diverged);
        members.map(|m| m.seed).collect()
    }

    pub fn training(config: &Config, step: u64, update: u64, reports: &[MemberReport]) -> Self {
        let members = reports
            .iter()
            .zip(config.seeds_from(config.seed))
            .map(|(report, seed)| {
                // JSON has no NaN: a member that diverged shows as null, and the others go on.
                let finite =
                    |(name, x): (&String, &f64)| (name.clone(), Some(*x).filter(|x| x.is_finite()));
                MemberRecord::new(
                    &config.env,
                    seed,
                    &report.episodes,
                    report.diagnostics.iter().map(finite).collect(),
                )
            });
        Self {
            kind: Kind::Train,
            step,
            update,
            members: members.collect(),
        }
    }

    pub fn evaluation(config: &Config, step: u64, update: u64, stats: &[EpisodeStats]) -> Self {
        let members = stats
            .iter()
            .zip(config.seeds_from(config.seed))
            .map(|(stats, seed)| MemberRecord::new(&config.env, seed, stats, BTreeMap::new()));
        Self {
            kind: Kind::Eval,
            step,
            update,
            members: members.collect(),
        }
    }

    /// Mean over the members that have the value.
    pub fn mean(&self, value: impl Fn(&MemberRecord) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.members.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }
}

/// A line of `timing.jsonl`: where the time since the last one went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimingRecord {
    /// Environment steps of each member so far.
    pub step: u64,
    /// Environment steps of all members since the last line, and the seconds they took.
    pub env_steps: u64,
    pub rollout_s: f64,
    pub update_s: f64,
    pub env_steps_per_s: f64,
    pub launches_per_update: u64,
    pub host_syncs_per_update: u64,
    /// Resident memory of the process and live allocations of the device, at this line; absent where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_bytes: Option<u64>,
}

impl TimingRecord {
    pub fn new(step: u64, env_steps: u64, timing: &Timing) -> Self {
        Self {
            step,
            env_steps,
            rollout_s: timing.rollout_s,
            update_s: timing.update_s,
            env_steps_per_s: env_steps as f64
                / (timing.rollout_s + timing.update_s).max(f64::MIN_POSITIVE),
            launches_per_update: timing.launches_per_update,
            host_syncs_per_update: timing.host_syncs_per_update,
            host_bytes: timing.held.host_bytes,
            device_bytes: timing.held.device_bytes,
        }
    }

    /// All lines of a run as one; launches, syncs and memory are those of the last.
    pub fn total(lines: &[Self]) -> Self {
        let last = lines.last().cloned().unwrap_or_default();
        let timing = Timing {
            rollout_s: lines.iter().map(|t| t.rollout_s).sum(),
            update_s: lines.iter().map(|t| t.update_s).sum(),
            launches_per_update: last.launches_per_update,
            host_syncs_per_update: last.host_syncs_per_update,
            held: Held {
                host_bytes: last.host_bytes,
                device_bytes: last.device_bytes,
            },
        };
        Self::new(last.step, lines.iter().map(|t| t.env_steps).sum(), &timing)
    }
}

/// `summary.json`: what training changed, per member and on average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub env: String,
    pub algo: crate::config::Algo,
    pub seeds: Vec<u64>,
    /// Environment steps of each member, and of all of them.
    pub steps: u64,
    pub total_steps: u64,
    pub updates: u64,
    /// Environment steps of each member's replay, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<u64>,
    pub win_rate_before: Option<f64>,
    pub win_rate_after: Option<f64>,
    pub return_before: Option<f64>,
    pub return_after: Option<f64>,
    pub members: Vec<MemberSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberSummary {
    pub before: MemberRecord,
    pub after: MemberRecord,
}

impl Summary {
    /// From the first and the last evaluation; nothing if there is none.
    pub fn new(config: &Config, records: &[Record]) -> Option<Self> {
        let mut evaluations = records.iter().filter(|r| r.kind == Kind::Eval);
        let before = evaluations.next()?;
        let after = evaluations.next_back().unwrap_or(before);
        let members = before.members.iter().zip(&after.members);
        Some(Self {
            env: config.env.clone(),
            algo: config.algo,
            seeds: after.members.iter().map(|m| m.seed).collect(),
            steps: after.step,
            total_steps: after.step * after.members.len() as u64,
            updates: after.update,
            replay: config.algo.replays().then_some(config.replay),
            win_rate_before: before.mean(|m| m.win_rate),
            win_rate_after: after.mean(|m| m.win_rate),
            return_before: before.mean(|m| m.mean_return),
            return_after: after.mean(|m| m.mean_return),
            members: members
                .map(|(before, after)| MemberSummary {
                    before: before.clone(),
                    after: after.clone(),
                })
                .collect(),
        })
    }
}

/// The evaluations in the format of the marl-eval tools: family, task, algorithm, seed, step, metric. Members that differ in
/// more than the seed are algorithms of their own.
pub fn marl_eval(config: &Config, records: &[Record]) -> Value {
    let mut algorithms: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (p, seed) in config.seeds_from(config.seed).into_iter().enumerate() {
        let evaluations = records.iter().filter(|r| r.kind == Kind::Eval);
        let member = evaluations.filter_map(|r| Some((r.step, r.members.get(p)?)));
        let algorithm = format!("{}{}", config.algo.name(), config.own_values(p));
        let seeds = algorithms.entry(algorithm).or_default();
        seeds.insert(format!("seed_{seed}"), marl_eval_run(member));
    }
    let (family, task) = config
        .env
        .split_once('/')
        .unwrap_or((&config.env, &config.env));
    json!({ family: { task: algorithms } })
}

/// One member's evaluations by step, as the marl-eval tools have them.
///
/// A metric is a list over episodes there; the device keeps sums only, so each list holds the mean.
pub fn marl_eval_run<'a>(evaluations: impl Iterator<Item = (u64, &'a MemberRecord)>) -> Value {
    let metrics = |m: &MemberRecord| -> Map<String, Value> {
        let list = |x: Option<f64>| json!(x.into_iter().collect::<Vec<_>>());
        [("win_rate", m.win_rate), ("return", m.mean_return)]
            .map(|(name, x)| (name.to_owned(), list(x)))
            .into_iter()
            .collect()
    };
    let (mut run, mut last) = (Map::new(), None);
    for (i, (at, member)) in evaluations.enumerate() {
        let mut step = metrics(member);
        step.insert("step_count".into(), at.into());
        run.insert(format!("step_{i}"), step.into());
        last = Some(member);
    }
    if let Some(member) = last {
        run.insert("absolute_metrics".into(), metrics(member).into());
    }
    run.into()
}
