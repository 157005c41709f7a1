//! What is seen of a sweep: a line per member, the time that is left, and `summary.json` at the end.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use merit_learn::config::Config;
use merit_learn::record::{MemberRecord, Summary, TimingRecord};
use merit_learn::run::{RunError, SUMMARY, timings, write_atomic};
use merit_learn::train::Event;
use serde::Serialize;

use super::is_complete;
use super::plan::{Batch, Plan, run_path};
use crate::naming;
use crate::output::{self, decimal, percent, short, tell};
use crate::train::diverged;

enum Display {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

/// Progress of the whole sweep, in environment steps of all members.
pub struct Overview {
    display: Display,
    /// Members and their names, as of the start.
    members: Vec<(Config, String)>,
    total: u64,
    /// Of complete batches.
    done: u64,
    /// Of the current batch: members, and steps of each.
    seeds: u64,
    step: u64,
    diverged: BTreeSet<u64>,
    /// What this process has trained, for the rate that the remaining time is estimated from.
    trained: u64,
    begun: Instant,
    ended: usize,
}

/// Steps of all members of a batch when it is complete.
fn work(config: &Config) -> u64 {
    let update = (config.envs * config.rollout) as u64;
    config.seeds as u64 * (config.total_steps / update * update)
}

/// The environment, then what tells a configuration from the others of the sweep.
fn names(plan: &Plan) -> Vec<(Config, String)> {
    let members = plan.members();
    let names = naming::names(&members.iter().collect::<Vec<_>>());
    let named = members.iter().zip(names);
    let named = named.map(|(m, name)| (m.clone(), format!("{} {name} seed {}", m.env, m.seed)));
    named.collect()
}

impl Overview {
    pub fn new(dir: &Path, plan: &Plan, quiet: bool) -> Self {
        let complete: Vec<_> = plan
            .batches
            .iter()
            .filter(|b| is_complete(dir, b))
            .collect();
        let total = plan.batches.iter().map(|b| work(&b.config)).sum();
        let display = if quiet {
            Display::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            // The template is a constant; the plain bar stands in should it ever be wrong.
            let style =
                ProgressStyle::with_template("{bar:24} {human_pos}/{human_len} steps  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            Display::Bar(bar)
        } else {
            Display::Lines
        };
        let done = complete.iter().map(|b| work(&b.config)).sum();
        let ended = complete.iter().map(|b| b.config.seeds).sum();
        let overview = Self {
            display,
            members: names(plan),
            total,
            done,
            seeds: 0,
            step: 0,
            diverged: BTreeSet::new(),
            trained: 0,
            begun: Instant::now(),
            ended,
        };
        overview.line(&format!(
            "{} members in {} runs; {} members are complete",
            overview.members.len(),
            plan.batches.len(),
            overview.ended
        ));
        overview
    }

    /// `step`: where the batch goes on from.
    pub fn begin(&mut self, batch: &Batch, step: u64) {
        (self.seeds, self.step) = (batch.config.seeds as u64, step);
        self.diverged.clear();
        let members = self.seeds;
        self.line(&format!("{}: {members} members side by side", batch.name));
    }

    pub fn show(&mut self, event: &Event<'_>) {
        let Event::Logged(record, timing) = event else {
            return;
        };
        self.trained += (record.step - self.step) * self.seeds;
        self.step = record.step;
        for seed in record.diverged() {
            if self.diverged.insert(seed) {
                self.line(&diverged(seed));
            }
        }
        let message = format!(
            "{} env steps/s, return {}, win rate {}, {} of {} members complete, {}",
            short(timing.env_steps_per_s),
            decimal(record.mean(|m| m.mean_return)),
            percent(record.mean(|m| m.win_rate)),
            self.ended,
            self.members.len(),
            self.left(),
        );
        let at = self.done + self.step * self.seeds;
        match &self.display {
            Display::Quiet => {}
            Display::Lines => tell(&format!("step {at}/{}: {message}", self.total)),
            Display::Bar(bar) => {
                bar.set_message(message);
                bar.set_position(at);
            }
        }
    }

    /// Of the whole sweep, at the rate that this process had.
    fn left(&self) -> String {
        let at = self.done + self.step * self.seeds;
        let left = self.total.saturating_sub(at) as f64 / self.trained.max(1) as f64;
        let left = Duration::try_from_secs_f64(self.begun.elapsed().as_secs_f64() * left);
        left.map_or_else(
            |_| "very long left".into(),
            |left| format!("{} left in all", HumanDuration(left)),
        )
    }

    pub fn finished(&mut self, batch: &Batch, summary: &Summary) {
        self.done += work(&batch.config);
        self.ended += batch.config.seeds;
        (self.seeds, self.step) = (0, 0);
        for (config, of) in batch.members().iter().zip(&summary.members) {
            let name = self.members.iter().find(|(m, _)| m == config);
            let name = name.map_or("", |(_, name)| name);
            self.line(&format!(
                "{name}: win rate {} to {}, return {} to {}",
                percent(of.before.win_rate),
                percent(of.after.win_rate),
                decimal(of.before.mean_return),
                decimal(of.after.mean_return),
            ));
        }
        self.line(&format!(
            "{} of {} members complete, {}",
            self.ended,
            self.members.len(),
            self.left()
        ));
    }

    pub fn line(&self, text: &str) {
        match &self.display {
            Display::Quiet => {}
            Display::Lines => tell(text),
            Display::Bar(bar) => bar.println(text),
        }
    }

    /// Leaves the bar as it stands.
    pub fn end(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.abandon();
        }
    }
}

/// A member in a sweep's `summary.json`. It holds no time, so that a repeat writes the same bytes.
#[derive(Serialize)]
struct Row {
    env: String,
    /// The algorithm, and what else tells it from the other members.
    name: String,
    seed: u64,
    run: String,
    steps: u64,
    before: MemberRecord,
    after: MemberRecord,
}

fn summary(dir: &Path, batch: &Batch) -> anyhow::Result<Summary> {
    let path = run_path(dir, batch).join(SUMMARY);
    let text = std::fs::read_to_string(&path).map_err(|reason| RunError::Io {
        path: path.clone(),
        reason,
    })?;
    serde_json::from_str(&text).map_err(|e| {
        let problem = e.to_string();
        let remedy = "delete it, and the same sweep goes on from the run's last checkpoint".into();
        RunError::Damaged {
            path,
            problem,
            remedy,
        }
        .into()
    })
}

/// Writes the sweep's `summary.json`, a member after the other.
pub fn finish(dir: &Path, plan: &Plan) -> anyhow::Result<()> {
    let members = plan.members();
    let names = naming::names(&members.iter().collect::<Vec<_>>());
    let mut names = names.into_iter();
    let mut rows = Vec::new();
    for batch in &plan.batches {
        let summary = summary(dir, batch)?;
        let members = summary.members.into_iter().zip(&mut names);
        rows.extend(members.map(|(member, name)| Row {
            env: summary.env.clone(),
            name,
            seed: member.after.seed,
            run: batch.name.clone(),
            steps: summary.steps,
            before: member.before,
            after: member.after,
        }));
    }
    let text = serde_json::to_string_pretty(&rows)?;
    write_atomic(&dir.join(SUMMARY), format!("{text}\n").as_bytes())?;
    Ok(())
}

/// A line per member: what it came to, where it is complete.
pub fn table(dir: &Path, plan: &Plan) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    let mut names = names(plan).into_iter();
    for batch in &plan.batches {
        let done = is_complete(dir, batch)
            .then(|| summary(dir, batch))
            .transpose()?;
        let run = run_path(dir, batch);
        let rate = TimingRecord::total(&timings(&run)?).env_steps_per_s;
        for (p, (_, name)) in names.by_ref().take(batch.config.seeds).enumerate() {
            let member = done.as_ref().and_then(|s| s.members.get(p));
            let [win_rate, mean_return] = match member {
                Some(m) => [percent(m.after.win_rate), decimal(m.after.mean_return)],
                None => ["-".into(), "-".into()],
            };
            // The device's, shared by all members of the run.
            let rate = if rate > 0.0 { short(rate) } else { "-".into() };
            rows.push([name, win_rate, mean_return, rate, batch.name.clone()]);
        }
    }
    let head = ["member", "win rate", "return", "steps/s of the run", "run"];
    Ok(output::table(head, &rows))
}
