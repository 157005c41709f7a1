//! Exit codes: 2 for what the caller can mend (input, files, adapter), 1 for the rest.

use std::fmt;
use std::io;
use std::process::ExitCode;

use merit_learn::LearnError;
use merit_learn::config::ConfigError;
use merit_learn::run::RunError;
use merit_sim::golden::GoldenError;
use merit_sim::gpu::GpuError;
use merit_sim::parity::ParityError;
use merit_sim::registry::EnvError;
use merit_sim::replay::ReplayError;

use crate::output::tell;
use crate::picture::NotWritten;

/// Exit code of a run that Ctrl-C ended, as shells count signals.
pub const INTERRUPTED: u8 = 130;
const BAD_INPUT: u8 = 2;
const FAILED: u8 = 1;

/// What the caller asked for and cannot have, in one sentence.
#[derive(Debug)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Whether nobody reads the output any more.
fn closed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// What was printed, for a command that has more to do than print: who has seen enough closes the output.
pub fn heard(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(e) if closed(&e) => Ok(()),
        printed => printed,
    }
}

/// Prints the error as one message and chooses the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if closed(error) {
        // Whoever read the output has seen enough.
        return ExitCode::SUCCESS;
    }
    // The libraries' messages already name their causes.
    tell(&format!("error: {error}"));
    ExitCode::from(if is_bad_input(error) {
        BAD_INPUT
    } else {
        FAILED
    })
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    if let Some(e) = error.downcast_ref() {
        gpu(e)
    } else if let Some(e) = error.downcast_ref() {
        env(e)
    } else if let Some(e) = error.downcast_ref() {
        learn(e)
    } else if let Some(e) = error.downcast_ref::<RunError>() {
        match e {
            RunError::Io { .. } => false,
            RunError::Learn(e) => learn(e),
            _ => true,
        }
    } else if let Some(e) = error.downcast_ref::<ParityError>() {
        match e {
            ParityError::Gpu(e) => gpu(e),
            ParityError::Env(e) => env(e),
            ParityError::Golden(_) | ParityError::Unknown { .. } => true,
        }
    } else if let Some(e) = error.downcast_ref::<ReplayError>() {
        match e {
            ReplayError::Gpu(e) => gpu(e),
            ReplayError::Env { reason, .. } => env(reason),
            _ => true,
        }
    } else {
        error.is::<BadInput>()
            || error.is::<ConfigError>()
            || error.is::<GoldenError>()
            || error.is::<NotWritten>()
    }
}

fn gpu(error: &GpuError) -> bool {
    match error {
        GpuError::NoAdapter
        | GpuError::UnknownAdapter { .. }
        | GpuError::Limit { .. }
        | GpuError::TooLarge { .. }
        | GpuError::TooLargeBuffer { .. }
        | GpuError::TooManyGroups { .. }
        | GpuError::OutOfMemory { .. } => true,
        GpuError::Device { .. }
        | GpuError::Refused { .. }
        | GpuError::Lost { .. }
        | GpuError::Size { .. } => false,
    }
}

fn env(error: &EnvError) -> bool {
    match error {
        EnvError::Gpu(e) => gpu(e),
        _ => true,
    }
}

fn learn(error: &LearnError) -> bool {
    match error {
        LearnError::Gpu(e) => gpu(e),
        LearnError::Config(_) | LearnError::Checkpoint(_) => true,
        LearnError::Burn(_) => false,
    }
}
