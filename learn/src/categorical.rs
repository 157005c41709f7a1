//! The distribution over discrete actions: softmax of the logits of those that were available.

use crate::distribution::{Distribution, Parts};
use crate::kernel::{Bind, Kernel};
use crate::loss::Input;
use crate::minibatch::{MINIBATCH, TICK};

const CATEGORICAL: &str = include_str!("../../shaders/learn/categorical.wgsl");

/// Its output `[P, R, N]`: the network's logits, before the mask; later the logarithms of the probabilities.
pub(crate) fn distribution(parts: &Parts<'_>) -> Distribution {
    let (gpu, sizes, loss) = (parts.gpu, parts.sizes, parts.loss);
    let rows = sizes.members * sizes.minibatch_rows();
    let output = gpu.storage("logits", 4 * (rows * sizes.outputs()) as u64);
    let output_grad = gpu.storage("logit derivatives", output.size);
    let values_grad = gpu.storage("value derivatives", 4 * rows as u64);
    let constants = parts
        .minibatches
        .constants()
        .uint("LOG_PROB", loss.place(Input::LogProb))
        .uint("ENTROPY", loss.place(Input::Entropy));
    let kernel = |entry: &str| {
        let binds = [
            Bind::Tick(parts.ticks),
            Bind::Write(&parts.minibatches.order),
            Bind::Read(&parts.io.avail),
            Bind::Read(&parts.io.actions),
            Bind::Write(&output),
            Bind::Write(&loss.batch.region),
            Bind::Write(&loss.log_prob_grad),
            Bind::Write(&loss.entropy_grad),
            Bind::Write(&loss.values_grad),
            Bind::Write(&output_grad),
            Bind::Write(&values_grad),
        ];
        let files = [TICK, MINIBATCH, CATEGORICAL];
        Kernel::new(gpu, entry, &constants, &files, &binds)
    };
    let groups = [sizes.minibatch_rows().div_ceil(64), sizes.members, 1];
    Distribution {
        forward: (kernel("categorical"), groups),
        backward: vec![(kernel("categorical_backward"), groups)],
        output,
        output_grad,
        values_grad,
    }
}
