use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use merit_learn::config::{Config, Layer};
use merit_sim::gpu::AdapterChoice;

use crate::train::Show;
use crate::{curve, train};

/// Train a smax/3m team with the shipped defaults and draw its curve
#[derive(Args)]
pub struct Demo {
    /// New or empty directory for the run [default: the first free one of runs/demo, runs/demo-2, …]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Demo {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let out = self.out.clone().unwrap_or_else(free);
        let demo = Layer::from_assignments("demo", &["env=smax/3m".into()])?;
        let code = train::start(Config::resolve(&[demo])?, &out, choice, Show::default())?;
        if code == ExitCode::SUCCESS {
            curve::draw(
                std::slice::from_ref(&out),
                &out.join("curve.svg"),
                curve::Metric::WinRate,
            )?;
        }
        Ok(code)
    }
}

fn free() -> PathBuf {
    let (mut path, mut n) = (PathBuf::from("runs/demo"), 1);
    while path.exists() {
        n += 1;
        path = format!("runs/demo-{n}").into();
    }
    path
}
