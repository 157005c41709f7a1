use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use merit_learn::config::parse_count;
use merit_learn::record::Record;
use merit_learn::run::{RunError, RunInfo, newest_checkpoint};
use merit_learn::train::{EVAL_SEED_OFFSET, restore};
use merit_sim::gpu::{AdapterChoice, Gpu};

use crate::output::{decimal, percent, print, print_json, table};
use crate::train::check;

/// Play episodes with the newest checkpoint of a run
#[derive(Args)]
pub struct Eval {
    /// Directory of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Episodes of each seed
    #[arg(long, allow_negative_numbers = true, value_parser = episodes, default_value = "1000")]
    episodes: u64,
    /// Take the most probable action instead of drawing one (value decomposition but FOP: the largest utility, in any case)
    #[arg(long)]
    greedy: bool,
    /// Seed of the episodes [default: that of the run's own evaluations]
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count)]
    seed: Option<u64>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

fn episodes(text: &str) -> Result<u64, String> {
    let episodes = parse_count(text).ok().filter(|n| (1..=1 << 20).contains(n));
    episodes.ok_or_else(|| "write 1 to 1048576 episodes".into())
}

impl Eval {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let config = RunInfo::read(&self.run)?.config;
        let Some(saved) = newest_checkpoint(&self.run)? else {
            return Err(RunError::NoCheckpoint(self.run.clone()).into());
        };
        check(&config)?;
        let gpu = Gpu::open(choice)?;
        let mut learner = merit_learn::make(&gpu, &config)?;
        restore(learner.as_mut(), &saved)?;
        let seed = self.seed.unwrap_or(config.seed + EVAL_SEED_OFFSET);
        let stats = learner.evaluate(self.episodes as usize, self.greedy, seed)?;
        let record = Record::evaluation(&config, saved.step, learner.updates_done(), &stats);
        if self.json {
            print_json(&record)?;
            return Ok(ExitCode::SUCCESS);
        }
        let row = |name: String, win_rate, mean_return, length, truncated| {
            [
                name,
                percent(win_rate),
                decimal(mean_return),
                decimal(length),
                percent(truncated),
            ]
        };
        let mut rows: Vec<_> = record
            .members
            .iter()
            .enumerate()
            .map(|(p, m)| {
                row(
                    format!("seed {}{}", m.seed, config.own_values(p)),
                    m.win_rate,
                    m.mean_return,
                    m.length,
                    m.truncated,
                )
            })
            .collect();
        rows.push(row(
            "mean".into(),
            record.mean(|m| m.win_rate),
            record.mean(|m| m.mean_return),
            record.mean(|m| m.length),
            record.mean(|m| m.truncated),
        ));
        let policy = match (config.algo.has_actor(), self.greedy) {
            (false, _) => "actions of the largest utility",
            (true, true) => "most probable actions",
            (true, false) => "drawn actions",
        };
        let (algo, env) = (config.algo.name(), &config.env);
        let about = format!(
            "{algo} {env} at step {}, {} episodes a seed, {policy}\n",
            saved.step, self.episodes
        );
        print(&(about + &table(["", "win rate", "return", "length", "cut"], &rows)))?;
        Ok(ExitCode::SUCCESS)
    }
}
