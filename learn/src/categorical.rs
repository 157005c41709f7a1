//! The policy's distribution over a minibatch: from logits to log-probability and entropy, and back.
//!
//! Our own kernels, not burn's: in burn they are some thirty launches over `[P, R, N]` where these are two.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::kernel::{Bind, Kernel, Recorder, Ticks};
use crate::loss::{Input, Loss};
use crate::minibatch::{MINIBATCH, Minibatches, TICK};
use crate::sizes::Sizes;

const CATEGORICAL: &str = include_str!("../../shaders/learn/categorical.wgsl");

/// Between the actor's and the critic's last layers and the [`Loss`].
pub struct Categorical {
    /// `[P, R, N]`: the network's logits, before the mask; later the logarithms of the probabilities.
    pub logits: Region,
    /// `[P, R, N]` and `[P, R]`: the loss's derivatives by logits and values.
    pub logits_grad: Region,
    pub values_grad: Region,
    forward: Kernel,
    backward: Kernel,
    groups: [usize; 3],
}

impl Categorical {
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        minibatches: &Minibatches,
        loss: &Loss,
        ticks: &Ticks,
    ) -> Self {
        let rows = sizes.members * sizes.minibatch_rows();
        let logits = gpu.storage("logits", 4 * (rows * sizes.actions) as u64);
        let logits_grad = gpu.storage("logit derivatives", logits.size);
        let values_grad = gpu.storage("value derivatives", 4 * rows as u64);
        let constants = minibatches
            .constants()
            .uint("LOG_PROB", loss.place(Input::LogProb))
            .uint("ENTROPY", loss.place(Input::Entropy));
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(ticks),
                Bind::Write(&minibatches.order),
                Bind::Read(&io.avail),
                Bind::Read(&io.actions),
                Bind::Write(&logits),
                Bind::Write(&loss.batch.region),
                Bind::Write(&loss.log_prob_grad),
                Bind::Write(&loss.entropy_grad),
                Bind::Write(&loss.values_grad),
                Bind::Write(&logits_grad),
                Bind::Write(&values_grad),
            ];
            let files = [TICK, MINIBATCH, CATEGORICAL];
            Kernel::new(gpu, entry, &constants, &files, &binds)
        };
        Self {
            forward: kernel("categorical"),
            backward: kernel("categorical_backward"),
            logits,
            logits_grad,
            values_grad,
            groups: [sizes.minibatch_rows().div_ceil(64), sizes.members, 1],
        }
    }

    /// Behind the actor's last layer.
    pub fn record_forward(&self, to: &mut Recorder, tick: usize) {
        self.forward.record(to, tick, self.groups);
    }

    /// Behind the loss.
    pub fn record_backward(&self, to: &mut Recorder, tick: usize) {
        self.backward.record(to, tick, self.groups);
    }
}
