//! `merit report`: what runs came to, with the uncertainty of few seeds.

mod chart;
mod contents;
mod document;
mod series;
mod stats;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use merit_learn::record::marl_eval_run;
use merit_learn::run::RunError;
use serde_json::{Value, json};

use crate::failure::BadInput;
use crate::output::print;
use contents::Options;
use series::{Metric, Runs};

/// Compare runs and sweeps: a page with curves, intervals and tables, and the same for other tools
#[derive(Args)]
pub struct Report {
    /// Directories of runs and sweeps
    #[arg(required = true, value_name = "DIR")]
    paths: Vec<PathBuf>,
    /// Directory to write report.html, report.md and marl-eval.json to [default: `report` in the one DIR]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What members are judged by [default: the win rate, the return in environments where nothing was won]
    #[arg(long, value_enum)]
    metric: Option<Metric>,
    /// Score that sample efficiency is measured to [default: a win rate of 0.8, or 80 % of the way from the lowest to the highest return]
    #[arg(long, allow_negative_numbers = true, value_parser = number)]
    threshold: Option<f64>,
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite());
    number.ok_or_else(|| "write a number".into())
}

impl Report {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let out = match (&self.out, &self.paths[..]) {
            (Some(out), _) => out.clone(),
            (None, [path]) => path.join("report"),
            (None, _) => {
                let all = "name the directory to write to with --out where there are several DIR";
                return Err(BadInput(all.into()).into());
            }
        };
        let runs = Runs::read(&self.paths)?;
        let options = Options {
            metric: self.metric,
            threshold: self.threshold,
        };
        let sections = contents::sections(&runs, &options)?;
        let title = format!("merit: {}", runs.envs().join(", "));
        let marl_eval =
            serde_json::to_string_pretty(&marl_eval(&runs)).context("marl-eval.json")?;
        for (name, text) in [
            ("report.html", document::html(&title, &sections)),
            ("report.md", document::markdown(&title, &sections)),
            ("marl-eval.json", marl_eval + "\n"),
        ] {
            write(&out, name, &text)?;
        }
        print(&format!(
            "report      {}\n",
            out.join("report.html").display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), RunError> {
    let path = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.map_err(|reason| RunError::NotWritable { path, reason })
}

/// All complete members by family, task, algorithm (the name of the series) and seed, as the marl-eval tools have it.
fn marl_eval(runs: &Runs) -> Value {
    type ByName<T> = BTreeMap<String, T>;
    let mut families: ByName<ByName<ByName<ByName<Value>>>> = BTreeMap::new();
    for series in &runs.series {
        let env = &series.env;
        if !series.members.iter().any(|m| runs.is_complete(m)) {
            continue;
        }
        let (family, task) = env.split_once('/').unwrap_or((env, env));
        let tasks = families.entry(family.to_owned()).or_default();
        let algorithms = tasks.entry(task.to_owned()).or_default();
        let seeds = algorithms.entry(series.name.clone()).or_default();
        for member in series.members.iter().filter(|m| runs.is_complete(m)) {
            let evaluations = member.evaluations.iter().map(|(step, m)| (*step, m));
            seeds.insert(format!("seed_{}", member.seed), marl_eval_run(evaluations));
        }
    }
    json!(families)
}
