use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use merit_learn::config::{Config, Layer, parse_count};
use merit_learn::learner::Learner;
use merit_learn::record::{Kind, Record, Summary, TimingRecord};
use merit_learn::run::{self, Run, RunError, RunInfo, Saved};
use merit_learn::sizes::Sizes;
use merit_learn::train::{self, Event, Outcome};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry;

use crate::failure::INTERRUPTED;
use crate::output::{decimal, percent, print, seeds, short, tell};
use crate::progress::Progress;
use crate::tensorboard::Board;

/// Train a team, or go on with a run
///
/// Precedence: built-in defaults, the shipped configs/ of the environment and algorithm, --config, the other options, --set.
#[derive(Args)]
pub struct Train {
    /// Environment, as `merit envs` lists them
    #[arg(long)]
    env: Option<String>,
    /// Algorithm: ippo, mappo, coma, coma_pg, dae, gpae, iql, vdn, qmix, qplex, qtran, me_qmix, me_qplex, fop or hasac
    #[arg(long)]
    algo: Option<String>,
    /// Environment steps of each seed: 200k, 1M, 1e7
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count)]
    steps: Option<u64>,
    /// Environments of each seed
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count)]
    envs: Option<u64>,
    /// Seeds trained side by side
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count)]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count)]
    seed: Option<u64>,
    /// TOML file with keys as in a run's run.toml under [config]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any key of the configuration; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// New or empty directory for the run
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this directory
    #[arg(long, value_name = "RUN")]
    #[arg(conflicts_with_all = ["env", "algo", "steps", "envs", "seeds", "seed", "config", "set", "out"])]
    resume: Option<PathBuf>,
    /// Write event files for TensorBoard too, in the run's directory
    #[arg(long)]
    tensorboard: bool,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// What is told about a run beside its directory.
#[derive(Clone, Copy, Default)]
pub struct Show {
    pub tensorboard: bool,
    pub quiet: bool,
}

impl Train {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let show = Show {
            tensorboard: self.tensorboard,
            quiet: self.quiet,
        };
        if let Some(path) = &self.resume {
            return resume(path, choice, show);
        }
        let file = self.config.as_deref().map(Layer::from_file).transpose()?;
        let set = Layer::from_assignments("--set", &self.set)?;
        let layers: Vec<_> = file.into_iter().chain([self.options(), set]).collect();
        // Clap asks for one of --out and --resume.
        let out = self.out.clone().unwrap_or_default();
        start(Config::resolve(&layers)?, &out, choice, show)
    }

    fn options(&self) -> Layer {
        let mut values = toml::Table::new();
        for (key, value) in [("env", &self.env), ("algo", &self.algo)] {
            values.extend(value.clone().map(|v| (key.to_owned(), v.into())));
        }
        let counts = [
            ("total_steps", self.steps),
            ("envs", self.envs),
            ("seeds", self.seeds),
            ("seed", self.seed),
        ];
        for (key, count) in counts {
            // TOML has no unsigned numbers; what does not fit is absurd and refused with the range of its key.
            let count = count.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            values.extend(count.map(|n| (key.to_owned(), n.into())));
        }
        Layer {
            name: "command line".into(),
            values,
        }
    }
}

/// Set by Ctrl-C; the training loop saves and ends at the next log point.
static STOP: AtomicBool = AtomicBool::new(false);

pub fn stop_on_signals() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
        tell("\nstopping after the next log point; once more to stop at once");
    })?;
    Ok(())
}

/// Checks the configuration as far as that goes without a device.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let spec = registry::spec(&config.env, &config.options()?)?;
    config.check()?;
    Sizes::new(config, &spec)?;
    Ok(())
}

/// Trains from the start into `out`, of which nothing exists before all that can be refused has been.
pub fn start(
    config: Config,
    out: &Path,
    choice: &AdapterChoice,
    show: Show,
) -> anyhow::Result<ExitCode> {
    check(&config)?;
    config.check_start()?;
    run::check_free(out)?;
    let gpu = Gpu::open(choice)?;
    let (learner, config) = begin(&gpu, &config)?;
    let run = Run::create(out, info(&gpu, config))?;
    train(learner, run, show)
}

/// The learner at its first step, and its configuration with what the adapter decides, of which it says what that is.
pub fn begin(gpu: &Gpu, config: &Config) -> anyhow::Result<(Box<dyn Learner>, Config)> {
    let settled = merit_learn::settle(gpu, config)?;
    let learner = merit_learn::make(gpu, &settled)?;
    if settled.replay != config.replay {
        tell(&format!(
            "note: replay = {}: environment steps of each of {} members on {}",
            settled.replay, settled.seeds, gpu.info.name
        ));
    }
    Ok((learner, settled))
}

fn resume(path: &Path, choice: &AdapterChoice, show: Show) -> anyhow::Result<ExitCode> {
    let run = Run::open(path)?;
    let saved = run::newest_checkpoint(path)?;
    check(&run.info.config)?;
    let gpu = Gpu::open(choice)?;
    let (learner, run) = go_on(&gpu, run, saved.as_ref())?;
    train(learner, run, show)
}

/// A run and its learner where `saved` stands.
pub fn go_on(
    gpu: &Gpu,
    mut run: Run,
    saved: Option<&Saved>,
) -> anyhow::Result<(Box<dyn Learner>, Run)> {
    let mut learner = merit_learn::make(gpu, &run.info.config)?;
    let now = info(gpu, run.info.config.clone());
    if now != run.info {
        let (was, is) = (describe(&run.info), describe(&now));
        tell(&format!(
            "note: the run was begun by {was}, this is {is}: its bytes may differ from an uninterrupted run's"
        ));
    }
    train::resume(learner.as_mut(), &mut run, saved)?;
    Ok((learner, run))
}

pub fn info(gpu: &Gpu, config: Config) -> RunInfo {
    RunInfo {
        merit: env!("CARGO_PKG_VERSION").into(),
        commit: env!("MERIT_COMMIT").into(),
        adapter: gpu.info.name.clone(),
        driver: format!("{} {}", gpu.info.driver, gpu.info.driver_info)
            .trim()
            .to_owned(),
        config,
    }
}

fn describe(info: &RunInfo) -> String {
    format!(
        "merit {} ({}) on {} ({})",
        info.merit, info.commit, info.adapter, info.driver
    )
}

fn train(mut learner: Box<dyn Learner>, mut run: Run, show: Show) -> anyhow::Result<ExitCode> {
    stop_on_signals()?;
    let config = &run.info.config;
    let progress = Progress::new(config, learner.updates(), learner.env_steps(), show.quiet);
    let outcome = with_board(learner.as_mut(), &mut run, show.tensorboard, &mut |event| {
        progress.show(event)
    });
    progress.end();
    let path = run.path().display();
    match outcome? {
        Outcome::Finished(summary) => {
            let timing = TimingRecord::total(&run::timings(run.path())?);
            let records = run::records(run.path())?;
            let last = records.iter().rfind(|r| r.kind == Kind::Train);
            for seed in last.map_or(vec![], Record::diverged) {
                tell(&diverged(seed));
            }
            print(&format!(
                "{}run         {path}\n",
                report(&summary, &timing)
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted { step } => {
            print(&format!(
                "saved at step {step}; `merit train --resume {path}` goes on\n"
            ))?;
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// [`train::train`] to the end or until [`STOP`], with event files beside if they are asked for.
pub fn with_board(
    learner: &mut dyn Learner,
    run: &mut Run,
    tensorboard: bool,
    on: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, RunError> {
    let mut board = tensorboard.then(|| Board::open(run)).transpose()?;
    let outcome = train::train(learner, run, &STOP, &mut |event| {
        if let Some(board) = &mut board {
            board.show(&event);
        }
        on(&event);
    })?;
    board.map_or(Ok(()), Board::end)?;
    Ok(outcome)
}

/// Of a member whose losses are no numbers: the largest of none is the first action, which may even win.
pub fn diverged(seed: u64) -> String {
    format!("note: seed {seed} has diverged, its losses are no numbers: what it wins says nothing")
}

fn report(summary: &Summary, timing: &TimingRecord) -> String {
    let evaluation = |win_rate, mean_return| {
        format!(
            "win rate {}, return {}",
            percent(win_rate),
            decimal(mean_return)
        )
    };
    // Adapters without timestamps inside encoders measure both together.
    let per_s = |seconds: f64| match timing.rollout_s > 0.0 {
        true => short(timing.env_steps as f64 / seconds.max(f64::MIN_POSITIVE)),
        false => "not measured".into(),
    };
    format!(
        "\
{} {} after {} steps, {}
before      {}
after       {}
rate        {} env steps/s: rollout alone {}, update alone {}
per update  {} launches, {} host syncs
",
        summary.algo.name(),
        summary.env,
        summary.steps,
        seeds(summary.seeds.len()),
        evaluation(summary.win_rate_before, summary.return_before),
        evaluation(summary.win_rate_after, summary.return_after),
        short(timing.env_steps_per_s),
        per_s(timing.rollout_s),
        per_s(timing.update_s),
        timing.launches_per_update,
        timing.host_syncs_per_update,
    )
}
