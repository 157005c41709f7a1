//! What the tests of the environments begin with: a device, a batch, steps and their statistics.

// Every test program uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{Batch, Driver, EnvOptions};

pub fn gpu() -> Gpu {
    Gpu::open(&AdapterChoice::from_env()).expect("a graphics adapter")
}

/// Options as they stand in a configuration.
pub fn options(value: serde_json::Value) -> EnvOptions {
    match value {
        serde_json::Value::Object(options) => options,
        other => panic!("options are an object, not {other}"),
    }
}

/// One member's environments, a slot of memory, shaders with bounds checks.
pub fn batch(envs: usize, driver: Driver) -> Batch {
    Batch {
        seeds: vec![7],
        envs_per_member: envs,
        steps: 1,
        slots: 1,
        driver,
        checked: true,
        ..Batch::default()
    }
}

pub fn run(gpu: &Gpu, env: &dyn VecEnv, reset: bool, steps: usize) {
    gpu.compute(|pass| {
        if reset {
            env.record_reset(pass);
        }
        for _ in 0..steps {
            env.record_step(pass, 0);
        }
    });
}

/// Of the episodes that ended since the last call.
pub fn stats(gpu: &Gpu, env: &dyn VecEnv) -> EpisodeStats {
    gpu.compute(|pass| env.record_stats(pass));
    EpisodeStats::from_words(&gpu.read::<f32>(env.stats_region()).expect("readable"))
}

/// The recordings of a family that lie in the repository, in the order of their names.
pub fn recordings(family: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let entries = std::fs::read_dir(dir.join(family)).expect("recordings");
    let mut files: Vec<_> = entries.map(|e| e.expect("readable").path()).collect();
    files.sort();
    files
}
