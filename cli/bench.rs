use std::process::ExitCode;

use clap::{Args, ValueEnum};
use merit_learn::bench::{ReplayPlace, ReplayRow, endless, replay_rates};
use merit_learn::config::{Config, Layer, parse_count};
use merit_sim::bench::{self, BenchRow};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{self, EnvOptions, Layout};

use crate::output::{print, print_json, short, table};

/// Measure environment steps per second, of environments alone or of training
#[derive(Args)]
pub struct Bench {
    /// Environments, as `merit envs` lists them
    #[arg(required = true, value_name = "ENV")]
    names: Vec<String>,
    /// Numbers of environments stepped side by side [default: 1,64,1024, or 32 with --learner-replay]
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, value_parser = batch)]
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
    /// Train in place of stepping, with the replay on the device, in host memory, or in turn (device,host)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PLACE", conflicts_with_all = ["policy", "layout"])]
    learner_replay: Vec<Place>,
    /// Algorithm that is trained: iql, vdn or qmix
    #[arg(long, requires = "learner_replay", default_value = "qmix")]
    algo: String,
    /// Any key of its configuration; may be given again
    #[arg(long, requires = "learner_replay", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// One JSON object per measurement and line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    /// Where it is trained with: nothing travels
    Device,
    /// Every step comes to the host, every batch goes from there
    Host,
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
        if !self.learner_replay.is_empty() {
            return self.train(choice);
        }
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
            for envs in self.numbers(&[1, 64, 1024]) {
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
            print(&(about(&gpu) + &table(head, &rows)))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn numbers(&self, unsaid: &[usize]) -> Vec<usize> {
        let said = if self.envs.is_empty() {
            unsaid
        } else {
            &self.envs
        };
        said.to_vec()
    }

    /// Rates of training.
    fn train(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let set = Layer::from_assignments("--set", &self.set)?;
        let mut configs = Vec::new();
        for name in &self.names {
            for envs in self.numbers(&[32]) {
                let mut values = toml::Table::new();
                values.insert("env".into(), name.clone().into());
                values.insert("algo".into(), self.algo.clone().into());
                values.insert("envs".into(), (envs as i64).into());
                let options = Layer {
                    name: "command line".into(),
                    values,
                };
                let config = Config::resolve(&[options, set.clone()])?;
                config.check()?;
                configs.push(endless(&config)?);
            }
        }
        let places = self.learner_replay.iter().map(|place| match place {
            Place::Device => ReplayPlace::Device,
            Place::Host => ReplayPlace::Host,
        });
        let places: Vec<_> = places.collect();
        let gpu = Gpu::open(choice)?;
        let mut rows = Vec::new();
        for config in &configs {
            for row in replay_rates(&gpu, config, &places, self.seconds)? {
                if self.json {
                    print_json(&row)?;
                } else {
                    rows.push(training_cells(&row));
                }
            }
        }
        if !self.json {
            let head = [
                "environment",
                "envs",
                "algorithm",
                "replay",
                "env steps/s",
                "rollout ms",
                "update ms",
                "to host",
                "from host",
            ];
            print(&(about(&gpu) + &table(head, &rows)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn about(gpu: &Gpu) -> String {
    let info = &gpu.info;
    format!("{} ({} {})\n", info.name, info.driver, info.driver_info)
}

fn training_cells(row: &ReplayRow) -> [String; 9] {
    let place = match row.replay {
        ReplayPlace::Device => "device",
        ReplayPlace::Host => "host",
    };
    [
        row.env.clone(),
        row.envs.to_string(),
        row.algo.clone(),
        place.to_owned(),
        short(row.env_steps_per_s),
        format!("{:.2}", 1e3 * row.rollout_s),
        format!("{:.2}", 1e3 * row.update_s),
        row.bytes_read.to_string(),
        row.bytes_uploaded.to_string(),
    ]
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
