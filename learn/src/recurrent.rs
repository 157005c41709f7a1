//! A recurrent trunk: what it remembers between rollouts, and its training on whole sequences.

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::dense::{Activate, Backward, Forward, Grad, Rows, Shape};
use crate::gru::{GruMemory, GruScan};
use crate::kernel::{Bind, Kernel, Recorder};
use crate::minibatch::Batch;
use crate::net::Trunk;
use crate::policy::Context;

/// What a trunk remembers of every row, `[P, E, A, H]`.
pub struct Memory {
    /// Now.
    pub state: Region,
    /// When each of the rollouts began, `[M, P, E, A, H]`: every epoch starts from here.
    pub start: Region,
}

impl Memory {
    pub fn new(gpu: &Gpu, rows: usize, hidden: usize, rollouts: usize) -> Self {
        let words = |what: &str, n: usize| gpu.storage(what, 4 * (n * rows * hidden) as u64);
        Self {
            state: words("memory", 1),
            start: words("memory at the start", rollouts),
        }
    }

    /// Keeps `from` as the start of rollout `rollout`, for the epochs to come.
    pub fn record_start(&self, to: &mut Recorder, from: &Region, rollout: usize) {
        let words = (from.size / 4) as usize;
        to.copy(from, &self.start.part(rollout * words, words));
    }
}

/// A GRU over sequences, forward and, where gradients are wanted, backward.
pub struct GruLayers {
    input: Forward,
    scan: GruScan,
    backward: Option<(Backward, [Grad; 2])>,
    /// `[P, T, R]`: where the sequences forget.
    pub reset: Region,
    /// `[P, R, H]`: what they begin with.
    pub start: Region,
    /// `[P, T, R, H]`: what each step began with, after it forgot.
    pub previous: Region,
    /// In the order `[P, T, R]`, `H` columns: the states.
    pub output: Rows,
    /// Their derivatives.
    pub output_grad: Region,
}

/// What a GRU reads, and where the derivatives by it go.
#[derive(Clone, Copy)]
pub struct GruInput<'a> {
    /// `[P, T, R, H]`
    pub x: &'a Region,
    /// What it ended with.
    pub below: Activate,
    /// In training: derivatives by what `x` was before it was activated, and the gradients of the weights.
    pub grads: Option<[&'a Region; 2]>,
}

impl GruLayers {
    /// The trunk's cell, without what embeds its input.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        [steps, sequences]: [usize; 2],
        trunk: &Trunk,
        params: &Region,
        input: &GruInput<'_>,
    ) -> Result<Self, GpuError> {
        let (members, hidden) = (shape.members, trunk.hidden());
        let per_row = (members * hidden) as u64;
        gpu.check_fits(
            "the gates' gradients",
            12 * per_row,
            shape.rows as u64,
            "samples in a minibatch",
        )?;
        let words = |n: usize| gpu.storage("recurrent minibatch", 4 * n as u64);
        let samples = members * shape.rows * hidden;
        let trained = if input.grads.is_some() { samples } else { 0 };
        let scan = GruMemory {
            start: words(members * sequences * hidden),
            reset_in: words(members * shape.rows),
            x: words(3 * samples),
            h: words(samples),
            previous: words(samples),
            h_grad: words(trained),
            x_grad: words(3 * trained),
            hidden_grad: words(3 * trained),
        };
        let of_hidden = |region: &Region| Rows::packed(region, hidden);
        let x = of_hidden(input.x);
        let backward = input.grads.map(|[x_grad, partials]| {
            let backward = Backward::new(
                gpu,
                shape,
                &trunk.input,
                input.below,
                params,
                &scan.x_grad,
                input.x,
                x_grad,
                false,
            );
            let grad = |layer, x: &Rows, dy: &Region| Grad::new(gpu, shape, layer, x, dy, partials);
            let previous = of_hidden(&scan.previous);
            let grads = [
                grad(&trunk.recurrent, &previous, &scan.hidden_grad),
                grad(&trunk.input, &x, &scan.x_grad),
            ];
            (backward, grads)
        });
        Ok(Self {
            input: Forward::new(
                gpu,
                shape,
                &trunk.input,
                Activate::None,
                params,
                &x,
                &scan.x,
            ),
            scan: GruScan::new(
                gpu,
                [members, steps, sequences],
                &trunk.recurrent,
                params,
                shape,
                &scan,
            )?,
            backward,
            reset: scan.reset_in,
            start: scan.start,
            previous: scan.previous,
            output: of_hidden(&scan.h),
            output_grad: scan.h_grad,
        })
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.input.record(to);
        self.scan.record_forward(to);
    }

    /// After everything that reads the states has written its part of their derivatives.
    pub fn record_backward(&self, to: &mut Recorder) {
        if let Some((backward, grads)) = &self.backward {
            self.scan.record_backward(to);
            backward.record(to);
            grads.iter().for_each(|g| g.record(to));
        }
    }
}

/// Dense and GRU over sequences, forward and, where gradients are wanted, backward.
pub struct TrunkLayers {
    embed: Forward,
    embed_grad: Option<Grad>,
    gru: GruLayers,
}

impl std::ops::Deref for TrunkLayers {
    type Target = GruLayers;

    fn deref(&self) -> &GruLayers {
        &self.gru
    }
}

impl TrunkLayers {
    /// `input`: in the order `[P, T, R]`. `partials`: where the gradients of the weights go.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    #[allow(clippy::too_many_arguments)] // The layers and the buffers at both ends.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        sequences: [usize; 2],
        trunk: &Trunk,
        activate: Activate,
        params: &Region,
        input: &Rows,
        partials: Option<&Region>,
    ) -> Result<Self, GpuError> {
        let words = |n: usize| gpu.storage("recurrent minibatch", 4 * n as u64);
        let samples = shape.members * shape.rows * trunk.hidden();
        let trained = if partials.is_some() { samples } else { 0 };
        let (embedded, embedded_grad) = (words(samples), words(trained));
        let gru = GruInput {
            x: &embedded,
            below: activate,
            grads: partials.map(|partials| [&embedded_grad, partials]),
        };
        let gru = GruLayers::new(gpu, shape, sequences, trunk, params, &gru)?;
        Ok(Self {
            embed: Forward::new(gpu, shape, &trunk.embed, activate, params, input, &embedded),
            embed_grad: partials.map(|partials| {
                Grad::new(gpu, shape, &trunk.embed, input, &embedded_grad, partials)
            }),
            gru,
        })
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.embed.record(to);
        self.gru.record_forward(to);
    }

    /// After everything that reads the states has written its part of their derivatives.
    pub fn record_backward(&self, to: &mut Recorder) {
        self.gru.record_backward(to);
        self.embed_grad.iter().for_each(|g| g.record(to));
    }
}

/// Where sequences of a batch forget, and what they begin with: gathered from what is kept of rollouts.
pub struct GatherMemory {
    kernel: Kernel,
    groups: [usize; 3],
}

impl GatherMemory {
    /// `samples`: which sequences the batch has; `hidden` units of `gru`.
    pub fn new(
        c: &Context<'_>,
        samples: &Batch<'_>,
        hidden: usize,
        memory: &Memory,
        reset_in: &Region,
        [reset, start]: [&Region; 2],
    ) -> Self {
        let constants = samples.constants.clone().uint("HIDDEN", hidden);
        let sources = [
            include_str!("../../shaders/learn/tick.wgsl"),
            samples.file,
            include_str!("../../shaders/learn/gather_memory.wgsl"),
        ];
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(samples.which),
            Bind::Read(reset_in),
            Bind::Read(&memory.start),
            Bind::Write(reset),
            Bind::Write(start),
        ];
        Self {
            kernel: Kernel::new(c.gpu, "gather_memory", &constants, &sources, &binds),
            groups: [samples.sequences, c.sizes.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.kernel.record(to, tick, self.groups);
    }
}

/// A trunk over a minibatch of rollouts' sequences.
pub struct TrunkStack {
    gather: GatherMemory,
    layers: TrunkLayers,
}

impl std::ops::Deref for TrunkStack {
    type Target = TrunkLayers;

    fn deref(&self) -> &TrunkLayers {
        &self.layers
    }
}

impl TrunkStack {
    /// `input`: in the order `[P, T, R]`; `samples`: which sequences a minibatch has.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    #[allow(clippy::too_many_arguments)] // The layers and the buffers at both ends.
    pub fn new(
        c: &Context<'_>,
        shape: &Shape,
        trunk: &Trunk,
        input: &Rows,
        memory: &Memory,
        reset_in: &Region,
        samples: &Batch<'_>,
        partials: &Region,
    ) -> Result<Self, GpuError> {
        let sequences = [c.sizes.steps, c.sizes.sequences];
        let layers = TrunkLayers::new(
            c.gpu,
            shape,
            sequences,
            trunk,
            c.activate,
            c.params,
            input,
            Some(partials),
        )?;
        let ends = [&layers.reset, &layers.start];
        Ok(Self {
            gather: GatherMemory::new(c, samples, trunk.hidden(), memory, reset_in, ends),
            layers,
        })
    }

    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        self.gather.record(to, tick);
    }
}
