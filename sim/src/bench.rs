//! Step rates: how many environment steps a second an adapter makes, and how far that is from its memory's floor.

use std::time::Instant;

use serde::Serialize;

use crate::env::{ActionSpace, VecEnv};
use crate::gpu::{Access, Gpu, GpuError};
use crate::kernels::over_two;
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions, Layout};

/// Who acts while the rate is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Uniform allowed actions drawn in the step shader.
    Random,
    /// The same through the action buffer: one more dispatch a step.
    Buffer,
    /// The environment's built-in policy.
    Heuristic,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchRow {
    pub env: String,
    pub envs: usize,
    pub policy: Policy,
    /// Steps of whole environments (all agents acted once) per second: the median of `runs`.
    pub env_steps_per_s: f64,
    pub agent_steps_per_s: f64,
    pub dispatches_per_step: u32,
    /// Bytes that a step of one environment must move to and from device memory.
    pub bytes_per_step: u64,
    /// Bandwidth of a plain copy on this adapter, bytes read and written per second.
    pub copy_bytes_per_s: f64,
    /// Time that moving `bytes_per_step` takes at that bandwidth, over the time taken: 1 is the memory's floor.
    pub floor_ratio: f64,
    pub adapter: String,
    pub driver: String,
    /// A software device's rates say nothing about a GPU's.
    pub software: bool,
    pub layout: String,
    pub agents: usize,
    /// Steps in one timed submission, device sync included.
    pub steps_per_run: u32,
    /// Environment steps per second of each timed submission.
    pub runs: Vec<f64>,
    /// Episodes that ended (and were reset) during the timed runs.
    pub episodes: f64,
}

/// Timed submissions of one measurement, at least.
const RUNS: usize = 5;
/// Longest submission: a driver's watchdog ends one that takes seconds.
const LONGEST_RUN_S: f64 = 1.0;

/// Measures `name` with `envs` environments for about `seconds`, after a warm-up of a quarter of
/// that time, or 120 steps where they take less.
///
/// # Errors
/// As [`registry::make`]; [`EnvError::Option`] for [`Policy::Buffer`] without discrete actions.
pub fn run(
    gpu: &Gpu,
    name: &str,
    options: &EnvOptions,
    envs: usize,
    policy: Policy,
    seconds: f64,
) -> Result<BenchRow, EnvError> {
    run_layout(gpu, name, options, envs, policy, seconds, Layout::Auto)
}

/// As [`run`], with a chosen layout.
///
/// # Errors
/// As [`run`].
pub fn run_layout(
    gpu: &Gpu,
    name: &str,
    options: &EnvOptions,
    envs: usize,
    policy: Policy,
    seconds: f64,
    layout: Layout,
) -> Result<BenchRow, EnvError> {
    let driver = match policy {
        Policy::Random => Driver::Random,
        Policy::Buffer => Driver::External,
        Policy::Heuristic => Driver::Heuristic,
    };
    let batch = Batch {
        seeds: vec![0],
        envs_per_member: envs,
        steps: 1,
        slots: 1,
        driver,
        layout,
        ..Batch::default()
    };
    let env = registry::make(gpu, name, options, &batch)?;
    let chooser = match policy {
        Policy::Buffer => {
            Some(gpu.guarded("the chooser's kernel", || Chooser::new(gpu, env.as_ref()))??)
        }
        _ => None,
    };
    let submit = |steps: u32, reset: bool| -> Result<f64, GpuError> {
        let begun = Instant::now();
        let mut encoder = gpu.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            if reset {
                env.record_reset(&mut pass);
            }
            for _ in 0..steps {
                if let Some(chooser) = &chooser {
                    chooser.record(&mut pass);
                }
                env.record_step(&mut pass, 0);
            }
        }
        gpu.submit(encoder);
        gpu.sync()?;
        Ok(begun.elapsed().as_secs_f64())
    };
    // Warm-up: compile, and leave the moment in which all episodes are new.
    submit(1, true)?;
    let mut one = submit(4, false)? / 4.0;
    let mut warm = 0.0;
    while warm < (seconds / 4.0).min(one * 120.0) {
        let steps = ((LONGEST_RUN_S / 4.0 / one) as u32).clamp(1, 120);
        let took = submit(steps, false)?;
        one = took / f64::from(steps);
        warm += took;
    }
    clear_stats(gpu, env.as_ref());
    let per_run = (seconds / RUNS as f64).min(LONGEST_RUN_S);
    let steps = ((per_run / one) as u32).clamp(1, 20_000);
    // Longer measurements have more submissions of that length.
    let count = (seconds / (f64::from(steps) * one)).round() as usize;
    let runs = (0..count.clamp(RUNS, 10_000))
        .map(|_| Ok(f64::from(steps) * envs as f64 / submit(steps, false)?))
        .collect::<Result<Vec<f64>, GpuError>>()?;
    clear_stats(gpu, env.as_ref());
    let episodes = gpu.read::<f32>(env.stats_region())?[0];
    let mut sorted = runs.clone();
    sorted.sort_by(f64::total_cmp);
    let rate = sorted[sorted.len() / 2];
    let copy = copy_bandwidth(gpu)?;
    let spec = env.spec();
    let chooser_bytes = match policy {
        Policy::Buffer => 4 * spec.agents as u64 * (spec.actions.mask() as u64 + 3),
        _ => 0,
    };
    let bytes = env.bytes_per_step() + chooser_bytes;
    Ok(BenchRow {
        env: spec.name.clone(),
        envs,
        policy,
        env_steps_per_s: rate,
        agent_steps_per_s: rate * spec.agents as f64,
        dispatches_per_step: env.dispatches_per_step() + u32::from(chooser.is_some()),
        bytes_per_step: bytes,
        copy_bytes_per_s: copy,
        floor_ratio: rate * bytes as f64 / copy,
        adapter: gpu.info.name.clone(),
        driver: format!("{} {}", gpu.info.driver, gpu.info.driver_info),
        software: gpu.is_software(),
        layout: env.layout().to_owned(),
        agents: spec.agents,
        steps_per_run: steps,
        runs,
        episodes: f64::from(episodes),
    })
}

/// Sums and clears the episode statistics.
fn clear_stats(gpu: &Gpu, env: &dyn VecEnv) {
    let mut encoder = gpu.encoder();
    env.record_stats(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    gpu.submit(encoder);
}

/// Bytes read plus bytes written per second by a plain copy of a large buffer: the floor that rates are held against. The better of a
/// kernel's copy and the driver's own, which on some GPUs has a fifth of what kernels reach.
///
/// # Errors
/// [`GpuError::OutOfMemory`], [`GpuError::Lost`].
pub fn copy_bandwidth(gpu: &Gpu) -> Result<f64, GpuError> {
    gpu.guarded("the copy that rates are held against", || copied(gpu))?
}

fn copied(gpu: &Gpu) -> Result<f64, GpuError> {
    // Several times a GPU's last-level cache (50 MB on the largest); a software device shares memory with everything.
    let wanted = if gpu.is_software() { 64 << 20 } else { 1 << 30 };
    let most = gpu.limits.max_storage_buffer_binding_size;
    let bytes = (wanted as u64)
        .min(gpu.limits.max_buffer_size / 2)
        .min(most)
        / 16
        * 16;
    let (from, to) = (
        gpu.storage("copy from", bytes),
        gpu.storage("copy to", bytes),
    );
    let vectors = (bytes / 16) as u32;
    let [x, y, z] = over_two(vectors.div_ceil(256) as usize).map(|n| n as u32);
    let module = gpu.shader(
        "copy",
        include_str!("../../shaders/common/copy.wgsl"),
        false,
    );
    let accesses = [Access::Uniform(8), Access::Read, Access::ReadWrite];
    let layout = gpu.layout("copy", &accesses);
    let pipeline = gpu.pipeline("copy", &module, "copy_words", &layout);
    let size = gpu.uniform_from("size", &[[vectors, 256 * x]]);
    let buffers = [size.as_entire_binding(), from.binding(), to.binding()];
    let bindings = gpu.bind("copy", &layout, &buffers);
    let copies: [&dyn Fn(&mut wgpu::CommandEncoder); 2] = [
        &|encoder| {
            encoder.copy_buffer_to_buffer(&from.buffer, 0, &to.buffer, 0, bytes);
        },
        &|encoder| {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &bindings, &[]);
            pass.dispatch_workgroups(x, y, z);
        },
    ];
    let times = 8;
    let mut best = f64::INFINITY;
    for copy in copies {
        // The first is to warm up.
        for run in 0..4 {
            let begun = Instant::now();
            let mut encoder = gpu.encoder();
            (0..times).for_each(|_| copy(&mut encoder));
            gpu.submit(encoder);
            gpu.sync()?;
            if run > 0 {
                best = best.min(begun.elapsed().as_secs_f64());
            }
        }
    }
    Ok(2.0 * bytes as f64 * f64::from(times) / best)
}

/// Writes uniform random allowed actions into the action region.
struct Chooser {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: (u32, u32),
}

impl Chooser {
    fn new(gpu: &Gpu, env: &dyn VecEnv) -> Result<Self, EnvError> {
        let spec = env.spec();
        let ActionSpace::Discrete(actions) = spec.actions else {
            return Err(EnvError::Options {
                env: spec.name.clone(),
                reason: "the policy `buffer` draws discrete actions; use `random`".into(),
            });
        };
        let rows = (env.envs() * spec.agents) as u32;
        let [x, y, _] = over_two(rows.div_ceil(64) as usize).map(|n| n as u32);
        let source = [
            include_str!("../../shaders/common/rng.wgsl"),
            include_str!("../../shaders/common/random_actions.wgsl"),
        ]
        .join("\n");
        let module = gpu.shader("random actions", &source, false);
        let (read, write) = (Access::Read, Access::ReadWrite);
        let layout = gpu.layout("random actions", &[Access::Uniform(16), read, write, write]);
        let shape = gpu.uniform_from("shape", &[[rows, actions as u32, x, 0]]);
        let counters = gpu.storage("draw counters", u64::from(rows) * 4);
        let io = env.io();
        let bindings = gpu.bind(
            "random actions",
            &layout,
            &[
                shape.as_entire_binding(),
                io.avail.binding(),
                io.actions.binding(),
                counters.binding(),
            ],
        );
        Ok(Self {
            pipeline: gpu.pipeline("random actions", &module, "choose", &layout),
            bindings,
            groups: (x, y),
        })
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(self.groups.0, self.groups.1, 1);
    }
}
