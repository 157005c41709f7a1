//! `merit-learn`: multi-agent policy gradients that train from the simulator's device buffers.

pub mod config;
pub mod learner;
pub mod record;
pub mod run;
pub mod train;

/// What can go wrong while learning. Each message says what was asked, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error(transparent)]
    Gpu(#[from] merit_sim::gpu::GpuError),
    #[error("{0}")]
    Config(String),
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    #[error("burn: {0}")]
    Burn(String),
}
