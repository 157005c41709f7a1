//! Our own kernels: WGSL from `shaders/`, compiled for the sizes of one run.

use std::sync::Arc;

use merit_sim::gpu::{Access, Gpu, GpuError, Region, UNIFORM_STRIDE};
pub use merit_sim::kernels::{Constants, over_two};

/// What a kernel binds, in the order of its `@binding` numbers.
#[derive(Clone, Copy)]
pub enum Bind<'a> {
    Read(&'a Region),
    Write(&'a Region),
    /// At most 64 KiB, for what all invocations read at one address.
    Uniform(&'a Region),
    /// The block of [`Ticks`] that the dispatch names.
    Tick(&'a Ticks),
}

/// Where in an update a dispatch stands. `shaders/learn/tick.wgsl` says the same.
#[repr(C)]
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Tick {
    /// Observation slot that is read: of a step, or the first of several.
    pub slot: u32,
    /// Step that is written; where a dispatch is for whole rollouts, the first of the newest.
    pub step: u32,
    /// Counter of the random numbers: environment steps, or epochs, since the beginning.
    pub draw: u32,
    /// 1: take the most probable action.
    pub greedy: u32,
    pub minibatch: u32,
    /// 1 in the first minibatch of an update.
    pub first: u32,
    /// Adam's bias corrections, `1 / (1 − βᵗ)`.
    pub correction_1: f32,
    pub correction_2: f32,
    /// Factor of the learning rate.
    pub anneal: f32,
    /// Step whose ends come before, or [`Tick::CARRIED`].
    pub before: u32,
    /// What an epoch permutes, per member; where transitions are drawn, an environment's steps so far.
    pub items: u32,
    /// Share of uniform exploration in what is drawn, where there is some.
    pub epsilon: f32,
}

impl Tick {
    /// In front of a rollout's first step: what the rollout before left.
    pub const CARRIED: u32 = u32::MAX;
}

/// The blocks of one update, a [`Tick`] each; rewritten by the host between updates.
pub struct Ticks {
    buffer: wgpu::Buffer,
    bytes: Vec<u8>,
}

impl Ticks {
    pub fn new(gpu: &Gpu, count: usize) -> Self {
        let bytes = vec![0; count * UNIFORM_STRIDE as usize];
        Self {
            buffer: gpu.uniform_from("ticks", &bytes),
            bytes,
        }
    }

    pub fn set(&mut self, i: usize, tick: Tick) {
        let at = i * UNIFORM_STRIDE as usize;
        self.bytes[at..at + size_of::<Tick>()].copy_from_slice(bytemuck::bytes_of(&tick));
    }

    /// One block, for tests that drive a kernel by itself.
    #[cfg(test)]
    pub fn set_now(&self, gpu: &Gpu, i: usize, tick: Tick) {
        let at = i as u64 * UNIFORM_STRIDE;
        let bytes = bytemuck::bytes_of(&tick);
        gpu.queue.write_buffer(&self.buffer, at, bytes);
    }

    /// Ordered before the next submission.
    pub fn upload(&self, gpu: &Gpu) {
        gpu.queue.write_buffer(&self.buffer, 0, &self.bytes);
    }
}

/// Commands on their way to the device, counted. Submitted when asked, at the latest with [`Recorder::submit`].
pub struct Recorder {
    gpu: Gpu,
    encoder: wgpu::CommandEncoder,
    pass: Option<wgpu::ComputePass<'static>>,
    /// Dispatches and copies so far.
    pub launches: u64,
    /// The first dispatch that was left out, because it would have needed too many workgroups.
    left_out: Option<GpuError>,
}

impl Recorder {
    pub fn new(gpu: &Gpu) -> Self {
        Self {
            encoder: gpu.encoder(),
            gpu: gpu.clone(),
            pass: None,
            launches: 0,
            left_out: None,
        }
    }

    /// The open compute pass.
    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        let encoder = &mut self.encoder;
        self.pass.get_or_insert_with(|| {
            let descriptor = wgpu::ComputePassDescriptor::default();
            encoder.begin_compute_pass(&descriptor).forget_lifetime()
        })
    }

    /// Between two passes.
    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        &mut self.encoder
    }

    /// Records a dispatch of `groups` workgroups of `name`; one of more than the adapter does in a dimension is left out, which
    /// [`Recorder::finish`] tells.
    pub fn dispatch(
        &mut self,
        name: &str,
        pipeline: &wgpu::ComputePipeline,
        bind: &wgpu::BindGroup,
        offsets: &[u32],
        groups: [usize; 3],
    ) {
        if let Err(e) = self.gpu.check_groups(name, groups) {
            self.left_out.get_or_insert(e);
            return;
        }
        let [x, y, z] = groups.map(|n| n as u32);
        let pass = self.pass();
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bind, offsets);
        pass.dispatch_workgroups(x, y, z);
        self.launches += 1;
    }

    /// Copies one buffer's region to another's of the same size.
    pub fn copy(&mut self, source: &Region, target: &Region) {
        self.encoder().copy_buffer_to_buffer(
            &source.buffer,
            source.offset,
            &target.buffer,
            target.offset,
            source.size,
        );
        self.launches += 1;
    }

    /// Hands everything so far to the device.
    pub fn submit(&mut self) {
        self.pass = None;
        let encoder = std::mem::replace(&mut self.encoder, self.gpu.encoder());
        self.gpu.submit(encoder);
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// [`GpuError::TooManyGroups`] where a dispatch was left out: nothing of what was recorded counts.
    pub fn finish(mut self) -> Result<(), GpuError> {
        self.submit();
        self.check()
    }

    /// # Errors
    /// [`GpuError::TooManyGroups`] where a dispatch was left out since the last call.
    pub fn check(&mut self) -> Result<(), GpuError> {
        self.left_out.take().map_or(Ok(()), Err)
    }
}

fn resources<'a>(binds: &[Bind<'a>]) -> Vec<wgpu::BindingResource<'a>> {
    binds
        .iter()
        .map(|b| match *b {
            Bind::Read(r) | Bind::Write(r) | Bind::Uniform(r) => r.binding(),
            Bind::Tick(t) => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: &t.buffer,
                offset: 0,
                size: std::num::NonZero::new(size_of::<Tick>() as u64),
            }),
        })
        .collect()
}

/// A pipeline with everything bound but the tick.
pub struct Kernel {
    name: Arc<str>,
    pipeline: wgpu::ComputePipeline,
    bind: wgpu::BindGroup,
    ticked: bool,
}

impl Kernel {
    /// Compiles `entry` of `sources`, which follow the constants. Bounds checks stay on in tests.
    pub fn new(
        gpu: &Gpu,
        entry: &str,
        constants: &Constants,
        sources: &[&str],
        binds: &[Bind<'_>],
    ) -> Self {
        let source = constants.source(sources);
        let module = gpu.shader(entry, &source, !cfg!(test));
        let tick_bytes = size_of::<Tick>() as u64;
        let accesses: Vec<_> = binds
            .iter()
            .map(|b| match b {
                Bind::Read(_) => Access::Read,
                Bind::Write(_) => Access::ReadWrite,
                Bind::Uniform(r) => Access::Uniform(r.size),
                Bind::Tick(_) => Access::DynamicUniform(tick_bytes),
            })
            .collect();
        let layout = gpu.layout(entry, &accesses);
        Self {
            name: entry.into(),
            pipeline: gpu.pipeline(entry, &module, entry, &layout),
            bind: gpu.bind(entry, &layout, &resources(binds)),
            ticked: binds.iter().any(|b| matches!(b, Bind::Tick(_))),
        }
    }

    /// The same pipeline on other memory of the same sizes.
    pub fn rebound(&self, gpu: &Gpu, binds: &[Bind<'_>]) -> Self {
        let layout = self.pipeline.get_bind_group_layout(0);
        Self {
            name: self.name.clone(),
            pipeline: self.pipeline.clone(),
            bind: gpu.bind("rebound", &layout, &resources(binds)),
            ticked: self.ticked,
        }
    }

    /// Records a dispatch of `groups` workgroups under tick `tick` (ignored by kernels that bind none).
    pub fn record(&self, to: &mut Recorder, tick: usize, groups: [usize; 3]) {
        let offset = tick as u32 * UNIFORM_STRIDE as u32;
        let offsets: &[u32] = if self.ticked { &[offset] } else { &[] };
        to.dispatch(&self.name, &self.pipeline, &self.bind, offsets, groups);
    }
}
