use std::process::ExitCode;

use clap::{Args, ValueEnum};
use merit_learn::config::parse_count;
use merit_sim::bench::{self, BenchRow};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{self, EnvOptions, Layout};

use crate::output::{print, print_json, short, table};

/// Measure environment steps per second
#[derive(Args)]
pub struct Bench {
    /// Environments, as `merit envs` lists them
    #[arg(required = true, value_name = "ENV")]
    names: Vec<String>,
    /// Numbers of environments stepped side by side
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_parser = batch, default_value = "1,64,1024")]
    envs: Vec<usize>,
    /// Who acts
    #[arg(long, value_enum, default_value_t = Policy::Random)]
    policy: Policy,
    /// How an environment is spread over invocations, where it has more than one way
    #[arg(long, value_enum, default_value_t = LayoutName::Auto)]
    layout: LayoutName,
    /// About how long each measurement takes
    #[arg(long, allow_negative_numbers = true, value_parser = seconds, default_value = "5")]
    seconds: f64,
    /// One JSON object per measurement and line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Policy {
    /// Uniform among the allowed actions, drawn in the step shader
    Random,
    /// The same, through the action buffer
    Buffer,
    /// The environment's built-in policy
    Heuristic,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutName {
    /// What is faster on this kind of adapter
    Auto,
    /// An invocation an environment
    Thread,
    /// An invocation a unit or a link
    Tile,
}

impl From<LayoutName> for Layout {
    fn from(name: LayoutName) -> Self {
        match name {
            LayoutName::Auto => Layout::Auto,
            LayoutName::Thread => Layout::Thread,
            LayoutName::Tile => Layout::Tile,
        }
    }
}

fn batch(text: &str) -> Result<usize, String> {
    let envs = parse_count(text)?;
    let envs = usize::try_from(envs)
        .ok()
        .filter(|n| (1..=1 << 24).contains(n));
    envs.ok_or_else(|| "a batch has 1 to 16777216 environments".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|s| (0.1..=600.0).contains(s));
    seconds.ok_or_else(|| "write 0.1 to 600 seconds".into())
}

impl Bench {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let options = EnvOptions::new();
        for name in &self.names {
            registry::spec(name, &options)?;
        }
        let gpu = Gpu::open(choice)?;
        let policy = match self.policy {
            Policy::Random => bench::Policy::Random,
            Policy::Buffer => bench::Policy::Buffer,
            Policy::Heuristic => bench::Policy::Heuristic,
        };
        let mut rows = Vec::new();
        for name in &self.names {
            for &envs in &self.envs {
                let row = bench::run_layout(
                    &gpu,
                    name,
                    &options,
                    envs,
                    policy,
                    self.seconds,
                    self.layout.into(),
                )?;
                if self.json {
                    print_json(&row)?;
                } else {
                    rows.push(cells(&row));
                }
            }
        }
        if !self.json {
            let head = [
                "environment",
                "envs",
                "env steps/s",
                "agent steps/s",
                "dispatches/step",
                "bytes/step",
                "of floor",
            ];
            let about = format!(
                "{} ({} {})\n",
                gpu.info.name, gpu.info.driver, gpu.info.driver_info
            );
            print(&(about + &table(head, &rows)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn cells(row: &BenchRow) -> [String; 7] {
    [
        row.env.clone(),
        row.envs.to_string(),
        short(row.env_steps_per_s),
        short(row.agent_steps_per_s),
        row.dispatches_per_step.to_string(),
        row.bytes_per_step.to_string(),
        format!("{:.1} %", 100.0 * row.floor_ratio),
    ]
}
