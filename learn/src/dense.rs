//! Training a stack of dense layers: forward with the activations kept, backward, gradients of the weights.
//!
//! These products are our own kernels, not burn's: at the sizes of these networks (64 to 256 units, thousands of rows) burn's
//! matrix product, chosen without autotuning, fills 64-wide tiles and reaches 1 to 5 GFLOP/s on two cores of a software
//! device where these reach 10 to 14; a network of two hidden layers costs eight launches here.

use merit_sim::gpu::{Gpu, Region};

use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::net::Dense;

const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const FORWARD: &str = include_str!("../../shaders/learn/dense_forward.wgsl");
const BACKWARD: &str = include_str!("../../shaders/learn/dense_backward.wgsl");
const GRAD: &str = include_str!("../../shaders/learn/dense_grad.wgsl");

/// Rows of one partial sum of the weight gradients: many enough that the partial sums are small beside the activations, few
/// enough that a thousand-row minibatch still fills a device.
const CHUNK: usize = 256;

/// Rows and columns of the patch that one invocation computes.
const PATCH: usize = 8;

/// What follows a dense layer; the shader's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activate {
    None = 0,
    Relu = 1,
    Tanh = 2,
}

impl From<crate::config::Activation> for Activate {
    fn from(a: crate::config::Activation) -> Self {
        match a {
            crate::config::Activation::Relu => Self::Relu,
            crate::config::Activation::Tanh => Self::Tanh,
        }
    }
}

/// The sizes that all layers of a minibatch share.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub members: usize,
    /// Samples of a minibatch per member.
    pub rows: usize,
    /// Words of a member's parameters.
    pub stride: usize,
}

impl Shape {
    /// Partial sums of the weight gradients.
    pub fn chunks(&self) -> usize {
        self.rows.div_ceil(CHUNK)
    }
}

/// Splits `n` columns into patches of equal width, at most [`PATCH`] wide: (patches, width).
fn columns(n: usize) -> (usize, usize) {
    let patches = n.div_ceil(PATCH);
    (patches, n.div_ceil(patches))
}

fn constants(shape: &Shape, layer: &Dense) -> Constants {
    Constants::default()
        .uint("MEMBERS", shape.members)
        .uint("ROWS", shape.rows)
        .uint("STRIDE", shape.stride)
        .uint("IN", layer.inputs)
        .uint("OUT", layer.outputs)
        .uint("KERNEL", layer.kernel)
        .uint("BIAS", layer.bias)
        .uint("BIAS_FROM", layer.bias_from)
        .uint("TM", PATCH)
}

/// A dispatch over patches, `per_row` columns of them for `rows` rows, of which a workgroup takes 64.
fn patches(per_row: usize, rows: usize) -> usize {
    (per_row * rows.div_ceil(PATCH)).div_ceil(64)
}

/// `y = activate(x · kernel + bias)`, `x: [P, rows, in]`, `y: [P, rows, out]`.
pub struct Forward {
    kernel: Kernel,
    groups: [usize; 3],
}

impl Forward {
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        activate: Activate,
        params: &Region,
        x: &Region,
        y: &Region,
    ) -> Self {
        let (cols, width) = columns(layer.outputs);
        let c = constants(shape, layer)
            .uint("ACT", activate as usize)
            .uint("TN", width)
            .uint("COLS", cols);
        let binds = [Bind::Read(params), Bind::Read(x), Bind::Write(y)];
        Self {
            kernel: Kernel::new(gpu, "dense_forward", &c, &[ACTIVATION, FORWARD], &binds),
            groups: [patches(cols, shape.rows), shape.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}

/// `dx = (dy · kernelᵀ) ⊙ activate'(x)`, where `x` is what the layer below put out.
pub struct Backward {
    kernel: Kernel,
    groups: [usize; 3],
}

impl Backward {
    /// With `add` the derivative is added to what another layer on the same input has written.
    #[allow(clippy::too_many_arguments)] // A layer's four tensors and what it is.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        below: Activate,
        params: &Region,
        dy: &Region,
        x: &Region,
        dx: &Region,
        add: bool,
    ) -> Self {
        let (cols, width) = columns(layer.inputs);
        let c = constants(shape, layer)
            .uint("ACT", below as usize)
            .flag("ADD", add)
            .uint("TN", width)
            .uint("COLS", cols);
        let binds = [
            Bind::Read(params),
            Bind::Read(dy),
            Bind::Read(x),
            Bind::Write(dx),
        ];
        Self {
            kernel: Kernel::new(gpu, "dense_backward", &c, &[ACTIVATION, BACKWARD], &binds),
            groups: [patches(cols, shape.rows), shape.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}

/// `xᵀ · dy` and `Σ dy` into the partial sums `[chunks, P, stride]`.
pub struct Grad {
    kernel: Kernel,
    groups: [usize; 3],
}

impl Grad {
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        x: &Region,
        dy: &Region,
        partials: &Region,
    ) -> Self {
        let (cols, width) = columns(layer.outputs);
        let c = constants(shape, layer)
            .uint("TN", width)
            .uint("COLS", cols)
            .uint("CHUNK", CHUNK);
        let binds = [Bind::Read(x), Bind::Read(dy), Bind::Write(partials)];
        Self {
            kernel: Kernel::new(gpu, "dense_grad", &c, &[GRAD], &binds),
            groups: [patches(cols, layer.inputs), shape.chunks(), shape.members],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}

/// A stack of dense layers over a minibatch: activations between layers, none after the last.
pub struct Stack {
    forward: Vec<Forward>,
    backward: Vec<Backward>,
    grad: Vec<Grad>,
}

impl Stack {
    /// `input: [P, rows, in]`, `output: [P, rows, out]` and `output_grad`, its derivative. `input_grad` takes the input's, where
    /// it is wanted, or has it added.
    #[allow(clippy::too_many_arguments)] // The layers and the buffers at both ends.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layers: &[Dense],
        activate: Activate,
        params: &Region,
        input: &Region,
        input_grad: Option<(&Region, bool)>,
        output: &Region,
        output_grad: &Region,
        partials: &Region,
    ) -> Self {
        let inner = &layers[..layers.len() - 1];
        let buffers = |what: &str| -> Vec<Region> {
            let bytes = |l: &Dense| 4 * (shape.members * shape.rows * l.outputs) as u64;
            inner.iter().map(|l| gpu.storage(what, bytes(l))).collect()
        };
        let (outputs, grads) = (buffers("activations"), buffers("activation gradients"));
        let mut stack = Self {
            forward: vec![],
            backward: vec![],
            grad: vec![],
        };
        for (i, layer) in layers.iter().enumerate() {
            let last = i == inner.len();
            let x = if i == 0 { input } else { &outputs[i - 1] };
            let y = if last { output } else { &outputs[i] };
            let dy = if last { output_grad } else { &grads[i] };
            let after = if last { Activate::None } else { activate };
            stack
                .forward
                .push(Forward::new(gpu, shape, layer, after, params, x, y));
            stack
                .grad
                .push(Grad::new(gpu, shape, layer, x, dy, partials));
            let (below, dx, add) = match (i, input_grad) {
                (0, None) => continue,
                (0, Some((dx, add))) => (Activate::None, dx, add),
                _ => (activate, &grads[i - 1], false),
            };
            stack.backward.push(Backward::new(
                gpu, shape, layer, below, params, dy, x, dx, add,
            ));
        }
        stack
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.forward.iter().for_each(|f| f.record(to));
    }

    pub fn record_backward(&self, to: &mut Recorder) {
        self.backward.iter().rev().for_each(|b| b.record(to));
        self.grad.iter().for_each(|g| g.record(to));
    }
}
