//! What all environments have in common on the device: memory, bindings, the three entry points, statistics.
//!
//! An environment's shader is its constants, `shaders/common/rng.wgsl` and `env.wgsl`, and its own files, which define
//! `env_step`, `env_reset` and `env_observe`; where one invocation steps one environment, `thread.wgsl` defines them.

use std::fmt::Write as _;

use crate::env::{EnvIo, EnvSpec, EpisodeStats};
use crate::gpu::{Access, Gpu, GpuError, Region, UNIFORM_STRIDE};
use crate::registry::{Batch, Driver, EnvError};
use crate::rng;

/// Sizes and options that a shader is compiled for: a WGSL constant each.
#[derive(Clone, Debug, Default)]
pub struct Constants(String);

impl Constants {
    pub fn uint(mut self, name: &str, value: usize) -> Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "const {name} = {value}u;");
        self
    }

    /// A whole number that may be negative.
    pub fn int(mut self, name: &str, value: i64) -> Self {
        let _ = writeln!(self.0, "const {name} = i32({value});");
        self
    }

    pub fn float(mut self, name: &str, value: f64) -> Self {
        let _ = writeln!(self.0, "const {name} = f32({value:e});");
        self
    }

    pub fn flag(mut self, name: &str, value: bool) -> Self {
        let _ = writeln!(self.0, "const {name} = {value};");
        self
    }

    pub fn uints(mut self, name: &str, values: &[usize]) -> Self {
        let list: Vec<_> = values.iter().map(|v| format!("{v}u")).collect();
        let (n, list) = (values.len(), list.join(", "));
        let _ = writeln!(self.0, "const {name} = array<u32, {n}>({list});");
        self
    }

    pub fn floats(mut self, name: &str, values: &[f32]) -> Self {
        let list: Vec<_> = values.iter().map(|v| format!("f32({v:e})")).collect();
        let (n, list) = (values.len(), list.join(", "));
        let _ = writeln!(self.0, "const {name} = array<f32, {n}>({list});");
        self
    }

    /// The constants, then the files.
    pub fn source(&self, files: &[&str]) -> String {
        format!("{}{}", self.0, files.join("\n"))
    }
}

/// So many workgroups over x and y, of which each holds 65,535 at most; the last few may be too many, and the kernel has to see to that.
pub fn over_two(groups: usize) -> [usize; 3] {
    let x = groups.clamp(1, 32_768);
    [x, groups.div_ceil(x), 1]
}

/// How environments are spread over workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Invocations of a workgroup.
    pub workgroup: usize,
    /// Workgroups in x and y: one dimension holds 65,535.
    pub groups: (u32, u32),
    /// `thread`: an invocation an environment. `tile`: a workgroup a few environments.
    pub layout: &'static str,
}

impl Grid {
    /// An invocation an environment.
    pub fn thread(gpu: &Gpu, batch: &Batch) -> Self {
        // A software device gives a workgroup to one core: small groups let few environments use all cores, and 8 is
        // the width of its vectors.
        let fitting = if gpu.is_software() { 8 } else { 64 };
        let workgroup = batch.workgroup.unwrap_or(fitting);
        Self::new(workgroup, batch.envs(), workgroup, "thread")
    }

    pub fn new(workgroup: usize, envs: usize, envs_per_group: usize, layout: &'static str) -> Self {
        let [x, y, _] = over_two(envs.div_ceil(envs_per_group));
        Self {
            workgroup,
            groups: (x as u32, y as u32),
            layout,
        }
    }
}

/// The constants that `env.wgsl` and `thread.wgsl` need; an environment adds its own.
pub fn constants(spec: &EnvSpec, batch: &Batch, grid: Grid) -> Constants {
    let driver = match batch.driver {
        Driver::External => 0,
        Driver::Random => 1,
        Driver::Heuristic => 2,
    };
    Constants::default()
        .uint("G", batch.envs())
        .uint("A", spec.agents)
        .uint("D", spec.obs)
        .uint("S", spec.state)
        .uint("ACTIONS", spec.actions.mask())
        .uint("MAX_STEPS", spec.max_steps)
        .uint("QUOTA", batch.episode_quota as usize)
        .uint("DRIVER", driver)
        .uint("WORKGROUP", grid.workgroup)
        .uint("GROUPS_X", grid.groups.0 as usize)
        .flag("AUTO_RESET", !batch.keep_ended)
}

/// Random numbers, the contract's bindings, and the entry points of an invocation an environment, in front of `files`.
pub fn thread_source(constants: &Constants, files: &[&str]) -> String {
    let entries = include_str!("../../shaders/common/thread.wgsl");
    tile_source(constants, &[&[entries], files].concat())
}

/// As [`tile_source`], with the state and the observation of one agent by fours.
pub fn source_by_fours(constants: &Constants, files: &[&str]) -> String {
    let common = [
        include_str!("../../shaders/common/rng.wgsl"),
        include_str!("../../shaders/common/env.wgsl"),
        include_str!("../../shaders/common/obs_by_fours.wgsl"),
        include_str!("../../shaders/common/episode.wgsl"),
    ];
    constants.source(&[&common, files].concat())
}

/// Random numbers, the contract's bindings and what an episode needs, in front of `files`, which have entry points of their own.
pub fn tile_source(constants: &Constants, files: &[&str]) -> String {
    let common = [
        include_str!("../../shaders/common/rng.wgsl"),
        include_str!("../../shaders/common/env.wgsl"),
        include_str!("../../shaders/common/obs.wgsl"),
        include_str!("../../shaders/common/episode.wgsl"),
    ];
    constants.source(&[&common, files].concat())
}

/// Words in front of an environment's own state in the layout of `thread.wgsl`: step, episode, return.
pub const THREAD_WORDS: usize = 3;

/// Their names, for [`crate::env::VecEnv::state_fields`].
pub const THREAD_FIELDS: [(&str, usize); THREAD_WORDS] =
    [("step counter", 1), ("episode counter", 1), ("return", 1)];

/// The start of a state by fours (`obs_by_fours.wgsl`), `words` words an environment, a multiple of 4 of which the first are step,
/// episode and return.
pub fn state_by_fours(envs: usize, words: usize) -> Vec<u32> {
    let mut state = vec![0; words * envs];
    state[..4 * envs]
        .iter_mut()
        .skip(1)
        .step_by(4)
        .for_each(|w| *w = u32::MAX);
    state
}

/// One environment's shader and what it needs.
pub struct Program<'a> {
    pub spec: &'a EnvSpec,
    pub source: String,
    pub grid: Grid,
    /// The state that the first reset finds, `[G · words]`; its episode counters are `u32::MAX`, so that the first
    /// episode is 0.
    pub state: Vec<u32>,
    /// What the shader binds from 14 on.
    pub extra: &'a [(Access, wgpu::BindingResource<'a>)],
}

/// The start of a state in the layout of `thread.wgsl` with `words` words of the environment's own.
pub fn thread_state(envs: usize, words: usize) -> Vec<u32> {
    let mut state = vec![0; (THREAD_WORDS + words) * envs];
    state[envs..2 * envs].fill(u32::MAX);
    state
}

/// A batch of environments on the device.
pub struct Kernels {
    pub io: EnvIo,
    /// All that the next step depends on, the random counters included.
    pub state: Region,
    grid: Grid,
    envs: usize,
    members: u32,
    sums: Region,
    totals: Region,
    step: wgpu::ComputePipeline,
    reset: wgpu::ComputePipeline,
    observe: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    module: wgpu::ShaderModule,
    bind_layout: wgpu::BindGroupLayout,
    stats: wgpu::ComputePipeline,
    stats_bindings: wgpu::BindGroup,
}

impl Kernels {
    /// Runs `build`, which allocates and compiles, and turns what the driver objects to into an error.
    ///
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch; whatever `build` returns; [`GpuError::OutOfMemory`],
    /// [`GpuError::Refused`].
    pub fn guarded<T>(
        gpu: &Gpu,
        name: &str,
        batch: &Batch,
        build: impl FnOnce() -> Result<T, EnvError>,
    ) -> Result<T, EnvError> {
        if batch.envs() == 0 || batch.steps == 0 || batch.slots == 0 {
            return Err(EnvError::Empty {
                members: batch.seeds.len(),
                envs: batch.envs_per_member,
                steps: batch.steps.min(batch.slots),
            });
        }
        let what = format!("{} environments of {name}", batch.envs());
        gpu.guarded(&what, build)?
    }

    /// Checks that the batch fits on the device, with `state` words of its own per environment. [`Kernels::new`] does so
    /// too; a large state is best not even built before.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`], which names the largest number of environments that fits.
    pub fn check_fits(
        gpu: &Gpu,
        spec: &EnvSpec,
        batch: &Batch,
        state: usize,
    ) -> Result<(), GpuError> {
        let besides = [
            ("environment states", state),
            ("episode sums", EpisodeStats::WORDS),
        ];
        // A step finds its place by a binding's offset, of 32 bits.
        let most = u64::from(u32::MAX) / UNIFORM_STRIDE;
        if batch.steps as u64 > most {
            return Err(GpuError::TooLarge {
                what: "the places of the steps".into(),
                adapter: gpu.info.name.clone(),
                needed: batch.steps as u64 * UNIFORM_STRIDE,
                limit: u64::from(u32::MAX),
                largest: most,
                unit: "steps",
            });
        }
        let envs = batch.envs();
        EnvIo::check_fits(gpu, spec, envs, batch.steps, batch.slots, &besides)
    }

    /// Allocates and compiles; call it inside [`Kernels::guarded`].
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] for a batch that the adapter cannot bind.
    pub fn new(gpu: &Gpu, batch: &Batch, program: Program<'_>) -> Result<Self, EnvError> {
        Self::check_fits(gpu, program.spec, batch, program.state.len() / batch.envs())?;
        let io = EnvIo::allocate(gpu, program.spec, batch.envs(), batch.steps, batch.slots)?;
        Self::with_io(gpu, batch, program, io)
    }

    /// As [`Kernels::new`], for an environment that allocates what it shares with its driver itself.
    ///
    /// # Errors
    /// As [`Kernels::new`].
    pub fn with_io(
        gpu: &Gpu,
        batch: &Batch,
        program: Program<'_>,
        io: EnvIo,
    ) -> Result<Self, EnvError> {
        let envs = batch.envs();
        let Program {
            spec,
            source,
            grid,
            state,
            extra,
        } = program;
        let words = (state.len() / envs) as u64;
        gpu.check_fits("environment states", 4 * words, envs as u64, "environments")?;
        let state = gpu.storage_from("state", &state);
        let sums = gpu.storage("sums", (EpisodeStats::WORDS * envs * 4) as u64);
        let members = batch.seeds.len();
        let totals = gpu.storage("totals", (EpisodeStats::WORDS * members * 4) as u64);
        let keys: Vec<[u32; 2]> = batch
            .seeds
            .iter()
            .flat_map(|&s| (0..batch.envs_per_member).map(move |e| rng::env_key(s, e as u32)))
            .collect();
        let keys = gpu.storage_from("keys", &keys);
        let slots: Vec<[u32; (UNIFORM_STRIDE / 4) as usize]> = (0..batch.steps)
            .map(|t| {
                let mut block = [0; (UNIFORM_STRIDE / 4) as usize];
                block[0] = t as u32;
                block[1] = ((t + 1) % batch.slots) as u32;
                block
            })
            // The reset's block: observations go to slot 0.
            .chain([[0; (UNIFORM_STRIDE / 4) as usize]])
            .collect();
        let slots = gpu.uniform_from("slots", &slots);
        let (read, write) = (Access::Read, Access::ReadWrite);
        let mut accesses = vec![
            Access::DynamicUniform(16),
            write,
            read,
            read,
            write,
            write,
            write,
            write,
            write,
            write,
            write,
            write,
            write,
            write,
        ];
        accesses.extend(extra.iter().map(|e| e.0));
        let mut resources = vec![
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &slots,
                offset: 0,
                size: std::num::NonZero::new(16),
            }),
            state.binding(),
            keys.binding(),
            io.actions.binding(),
            io.obs.binding(),
            io.state.binding(),
            io.avail.binding(),
            io.reward.binding(),
            io.terminated.binding(),
            io.truncated.binding(),
            io.agent_done.binding(),
            io.final_obs.binding(),
            io.final_state.binding(),
            sums.binding(),
        ];
        resources.extend(extra.iter().map(|e| e.1.clone()));
        let module = gpu.shader(&spec.name, &source, !batch.checked);
        let layout = gpu.layout(&spec.name, &accesses);
        let bindings = gpu.bind(&spec.name, &layout, &resources);
        let pipeline = |entry: &str| gpu.pipeline(entry, &module, entry, &layout);

        let stats_source = include_str!("../../shaders/common/stats.wgsl");
        let stats_module = gpu.shader("stats", stats_source, false);
        let stats_layout = gpu.layout("stats", &[Access::Uniform(16), write, write]);
        let per_member = batch.envs_per_member as u32;
        let shape = [envs as u32, per_member, EpisodeStats::WORDS as u32, 0];
        let shape = gpu.uniform_from("stats shape", &[shape]);
        let stats_bindings = gpu.bind(
            "stats",
            &stats_layout,
            &[shape.as_entire_binding(), sums.binding(), totals.binding()],
        );
        Ok(Self {
            step: pipeline("env_step"),
            reset: pipeline("env_reset"),
            observe: pipeline("env_observe"),
            bindings,
            module,
            bind_layout: layout,
            stats: gpu.pipeline("stats", &stats_module, "reduce", &stats_layout),
            stats_bindings,
            grid,
            envs,
            members: members as u32,
            io,
            state,
            sums,
            totals,
        })
    }

    /// Another entry point of the environment's shader, for [`Kernels::record_entry`].
    pub fn entry(&self, gpu: &Gpu, name: &str) -> wgpu::ComputePipeline {
        gpu.pipeline(name, &self.module, name, &self.bind_layout)
    }

    /// Dispatches an entry point of the environment's own as part of step `t`, or with slot 0 as its slot; over as many
    /// workgroups as the step, or over `groups`.
    pub fn record_entry(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        entry: &wgpu::ComputePipeline,
        t: Option<usize>,
        groups: Option<(u32, u32)>,
    ) {
        let block = t.unwrap_or(self.io.steps);
        let (x, y) = groups.unwrap_or(self.grid.groups);
        pass.set_pipeline(entry);
        pass.set_bind_group(0, &self.bindings, &[(block as u64 * UNIFORM_STRIDE) as u32]);
        pass.dispatch_workgroups(x, y, 1);
    }

    /// `G`.
    pub fn envs(&self) -> usize {
        self.envs
    }

    /// `thread` or `tile`.
    pub fn layout(&self) -> &'static str {
        self.grid.layout
    }

    /// Words of state per environment.
    pub fn state_words(&self) -> usize {
        self.state.size as usize / 4 / self.envs
    }

    /// `[EpisodeStats::WORDS, G] f32`.
    pub fn sums(&self) -> &Region {
        &self.sums
    }

    /// `[P, EpisodeStats::WORDS] f32`.
    pub fn totals(&self) -> &Region {
        &self.totals
    }

    pub fn record_reset_in(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize) {
        self.record_entry(pass, &self.reset, Self::showing_in(slot), None);
    }

    /// The step whose block has `slot` as its slot, for [`Kernels::record_entry`].
    pub fn showing_in(slot: usize) -> Option<usize> {
        slot.checked_sub(1)
    }

    pub fn record_step(&self, pass: &mut wgpu::ComputePass<'_>, t: usize) {
        self.record_entry(pass, &self.step, Some(t), None);
    }

    pub fn record_observe(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record_entry(pass, &self.observe, None, None);
    }

    pub fn record_stats(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.stats);
        pass.set_bind_group(0, &self.stats_bindings, &[]);
        pass.dispatch_workgroups(EpisodeStats::WORDS as u32, self.members, 1);
    }

    /// # Errors
    /// [`GpuError::Lost`].
    pub fn snapshot(&self, gpu: &Gpu) -> Result<Vec<u8>, GpuError> {
        let mut bytes = gpu.read::<u8>(&self.state)?;
        bytes.extend(gpu.read::<u8>(&self.sums)?);
        Ok(bytes)
    }

    /// # Errors
    /// [`GpuError::Size`] if it was taken from a batch of another size.
    pub fn restore(&self, gpu: &Gpu, snapshot: &[u8]) -> Result<(), GpuError> {
        let needed = self.state.size + self.sums.size;
        if snapshot.len() as u64 != needed {
            return Err(GpuError::Size {
                what: "the snapshot of the environments",
                found: snapshot.len() as u64,
                needed,
            });
        }
        let (state, sums) = snapshot.split_at(self.state.size as usize);
        gpu.write(&self.state, state);
        gpu.write(&self.sums, sums);
        Ok(())
    }
}
