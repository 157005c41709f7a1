//! `merit`: simulate, train, evaluate, measure. One module per command; the libraries do the work.

mod bench;
mod curve;
mod demo;
mod doctor;
mod draws;
mod envs;
mod eval;
mod failure;
mod naming;
mod output;
mod parity;
mod picture;
mod play;
mod player;
mod progress;
mod render;
mod replay;
mod report;
mod sweep;
mod tensorboard;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use merit_sim::gpu::AdapterChoice;

/// Multi-agent reinforcement learning with GPU environments: which agent, and which moment, earned the reward.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    /// Graphics adapter: its number in `merit doctor`, or a part of its name [default: the fastest kind]
    #[arg(
        long,
        global = true,
        env = "MERIT_ADAPTER",
        value_name = "NAME|INDEX",
        default_value = ""
    )]
    #[arg(hide_default_value = true)]
    adapter: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Doctor),
    Envs(envs::Envs),
    Parity(parity::Parity),
    Bench(bench::Bench),
    Train(train::Train),
    Sweep(sweep::Sweep),
    Merge(sweep::merge::Merge),
    Eval(eval::Eval),
    Curve(curve::Curve),
    Report(report::Report),
    Demo(demo::Demo),
    Play(play::Play),
    Render(render::Render),
    Replay(replay::ReplayCommand),
}

fn main() -> ExitCode {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa's device selection asks the desktop which adapter it prefers, and prints errors where there is none.
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    let cli = Cli::parse();
    let adapter = AdapterChoice::parse(&cli.adapter);
    let done = match cli.command {
        Command::Doctor(c) => c.run(&adapter),
        Command::Envs(c) => c.run(),
        Command::Parity(c) => c.run(&adapter),
        Command::Bench(c) => c.run(&adapter),
        Command::Train(c) => c.run(&adapter),
        Command::Sweep(c) => c.run(&adapter),
        Command::Merge(c) => c.run(),
        Command::Eval(c) => c.run(&adapter),
        Command::Curve(c) => c.run(),
        Command::Report(c) => c.run(),
        Command::Demo(c) => c.run(&adapter),
        Command::Play(c) => c.run(&adapter),
        Command::Render(c) => c.run(&adapter),
        Command::Replay(c) => c.run(&adapter),
    };
    done.unwrap_or_else(|error| failure::report(&error))
}
