//! A recurrent trunk: what it remembers between rollouts, and its training on whole sequences.

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::dense::{Activate, Backward, Forward, Grad, Rows, Shape};
use crate::gru::{GruMemory, GruScan};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
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

/// Dense and GRU over sequences, forward and, where gradients are wanted, backward.
pub struct TrunkLayers {
    embed: Forward,
    input: Forward,
    scan: GruScan,
    backward: Option<(Backward, [Grad; 3])>,
    /// `[P, T, R]`: where the sequences forget.
    pub reset: Region,
    /// `[P, R, H]`: what they begin with.
    pub start: Region,
    /// In the order `[P, T, R]`, `H` columns: the states.
    pub output: Rows,
    /// Their derivatives.
    pub output_grad: Region,
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
        [steps, sequences]: [usize; 2],
        trunk: &Trunk,
        activate: Activate,
        params: &Region,
        input: &Rows,
        partials: Option<&Region>,
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
        let trained = if partials.is_some() { samples } else { 0 };
        let (embedded, embedded_grad) = (words(samples), words(trained));
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
        let forward = |layer, activate, x: &Rows, y: &Region| {
            Forward::new(gpu, shape, layer, activate, params, x, y)
        };
        let backward = partials.map(|partials| {
            let grad = |layer, x: &Rows, dy: &Region| Grad::new(gpu, shape, layer, x, dy, partials);
            let input_backward = Backward::new(
                gpu,
                shape,
                &trunk.input,
                activate,
                params,
                &scan.x_grad,
                &embedded,
                &embedded_grad,
                false,
            );
            let grads = [
                grad(
                    &trunk.recurrent,
                    &of_hidden(&scan.previous),
                    &scan.hidden_grad,
                ),
                grad(&trunk.input, &of_hidden(&embedded), &scan.x_grad),
                grad(&trunk.embed, input, &embedded_grad),
            ];
            (input_backward, grads)
        });
        Ok(Self {
            embed: forward(&trunk.embed, activate, input, &embedded),
            input: forward(&trunk.input, Activate::None, &of_hidden(&embedded), &scan.x),
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
            output: of_hidden(&scan.h),
            output_grad: scan.h_grad,
        })
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.embed.record(to);
        self.input.record(to);
        self.scan.record_forward(to);
    }

    /// After everything that reads the states has written its part of their derivatives.
    pub fn record_backward(&self, to: &mut Recorder) {
        if let Some((input_backward, grads)) = &self.backward {
            self.scan.record_backward(to);
            input_backward.record(to);
            grads.iter().for_each(|g| g.record(to));
        }
    }
}

/// A trunk over a minibatch of rollouts' sequences.
pub struct TrunkStack {
    gather: Kernel,
    gather_groups: [usize; 3],
    layers: TrunkLayers,
}

impl std::ops::Deref for TrunkStack {
    type Target = TrunkLayers;

    fn deref(&self) -> &TrunkLayers {
        &self.layers
    }
}

impl TrunkStack {
    /// `input`: in the order `[P, T, R]`; `constants` and `order` say which sequences a minibatch has (`minibatch.wgsl`).
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
        (constants, order): (Constants, &Region),
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
        let constants = constants.uint("HIDDEN", trunk.hidden());
        let sources = [
            include_str!("../../shaders/learn/tick.wgsl"),
            include_str!("../../shaders/learn/minibatch.wgsl"),
            include_str!("../../shaders/learn/gather_memory.wgsl"),
        ];
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(order),
            Bind::Read(reset_in),
            Bind::Read(&memory.start),
            Bind::Write(&layers.reset),
            Bind::Write(&layers.start),
        ];
        Ok(Self {
            gather: Kernel::new(c.gpu, "gather_memory", &constants, &sources, &binds),
            gather_groups: [c.sizes.sequences, shape.members, 1],
            layers,
        })
    }

    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        self.gather.record(to, tick, self.gather_groups);
    }
}
