//! The distribution over continuous actions (`ppo_family.md` §1.5): independent normal numbers, their means from the
//! network, their deviations free parameters `log_std` that no observation changes.

use crate::distribution::{Distribution, Parts};
use crate::kernel::{Bind, Kernel};
use crate::loss::Input;
use crate::minibatch::{MINIBATCH, TICK};

pub(crate) const DENSITY: &str = include_str!("../../shaders/learn/gaussian_density.wgsl");
const GAUSSIAN: &str = include_str!("../../shaders/learn/gaussian.wgsl");

/// Its output `[P, R, K]`: the network's means; later the standardised actions. `log_std` is the first of its words among a
/// member's; their gradient goes where the layers put theirs.
pub(crate) fn distribution(parts: &Parts<'_>, log_std: usize) -> Distribution {
    let (gpu, sizes, shape, loss) = (parts.gpu, parts.sizes, parts.shape, parts.loss);
    let rows = sizes.members * sizes.minibatch_rows();
    let output = gpu.storage("means", 4 * (rows * sizes.outputs()) as u64);
    let output_grad = gpu.storage("mean derivatives", output.size);
    let values_grad = gpu.storage("value derivatives", 4 * rows as u64);
    let constants = parts
        .minibatches
        .constants()
        .uint("STRIDE", shape.stride)
        .uint("LOG_STD", log_std)
        .uint("CHUNK", shape.chunk)
        .uint("LOG_PROB", loss.place(Input::LogProb))
        .uint("ENTROPY", loss.place(Input::Entropy));
    let kernel = |entry: &str| {
        let binds = [
            Bind::Tick(parts.ticks),
            Bind::Write(&parts.minibatches.order),
            Bind::Read(&parts.adam.params),
            Bind::Read(&parts.io.actions),
            Bind::Write(&output),
            Bind::Write(&loss.batch.region),
            Bind::Write(&loss.log_prob_grad),
            Bind::Write(&loss.entropy_grad),
            Bind::Write(&loss.values_grad),
            Bind::Write(&output_grad),
            Bind::Write(&values_grad),
            Bind::Write(&parts.adam.partials),
        ];
        let files = [TICK, MINIBATCH, DENSITY, GAUSSIAN];
        Kernel::new(gpu, entry, &constants, &files, &binds)
    };
    let groups = [sizes.minibatch_rows().div_ceil(64), sizes.members, 1];
    let sums = [shape.chunks(), sizes.members, sizes.outputs()];
    Distribution {
        forward: (kernel("gaussian"), groups),
        backward: vec![
            (kernel("gaussian_backward"), groups),
            (kernel("log_std_gradient"), sums),
        ],
        output,
        output_grad,
        values_grad,
    }
}
