//! A critic of the own actions in front of a loss that knows one value: that of the action which was taken.

use merit_sim::env::EnvIo;
use merit_sim::gpu::Region;

use crate::kernel::{Bind, Kernel, Recorder};
use crate::minibatch::{MINIBATCH, Minibatches, TICK};
use crate::policy::Context;

pub struct Taken {
    /// `[P, R, N]`: the critic's.
    pub output: Region,
    /// The loss's derivatives by them.
    pub output_grad: Region,
    forward: Kernel,
    backward: Kernel,
    groups: [usize; 3],
}

impl Taken {
    /// `values: [P, R]` and `values_grad`, their derivatives.
    pub fn new(
        c: &Context<'_>,
        io: &EnvIo,
        minibatches: &Minibatches,
        actions: usize,
        values: &Region,
        values_grad: &Region,
    ) -> Self {
        let (gpu, sizes) = (c.gpu, c.sizes);
        let words = sizes.members * sizes.minibatch_rows() * actions;
        let output = gpu.storage("values of actions", 4 * words as u64);
        let output_grad = gpu.storage("derivatives of values of actions", output.size);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(c.ticks),
                Bind::Write(&minibatches.order),
                Bind::Read(&io.actions),
                Bind::Write(&output),
                Bind::Write(values),
                Bind::Write(values_grad),
                Bind::Write(&output_grad),
            ];
            let file = include_str!("../../shaders/learn/taken.wgsl");
            let files = [TICK, MINIBATCH, file];
            Kernel::new(gpu, entry, &minibatches.constants(), &files, &binds)
        };
        Self {
            forward: kernel("taken"),
            backward: kernel("taken_backward"),
            groups: [sizes.minibatch_rows().div_ceil(64), sizes.members, 1],
            output,
            output_grad,
        }
    }

    /// Behind the critic's last layer.
    pub fn record_forward(&self, to: &mut Recorder, tick: usize) {
        self.forward.record(to, tick, self.groups);
    }

    /// Behind the loss.
    pub fn record_backward(&self, to: &mut Recorder, tick: usize) {
        self.backward.record(to, tick, self.groups);
    }
}
