//! What tells one value decomposition from another: networks of the state whose outputs are a mixer's weights, and the mixer.

use std::ops::Range;

use burn::tensor::Tensor;
use merit_sim::gpu::{Gpu, Region};

use crate::burn_device::Flat;
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::kernel::Recorder;
use crate::net::Dense;
use crate::q_loss::LossOutputs;

/// A network of the state, or of the state and what all agents do, with ReLU between its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HyperNet {
    pub name: String,
    pub layers: Vec<Dense>,
    /// Whether it sees what all agents do, one-hot behind the state.
    pub sees_actions: bool,
}

impl HyperNet {
    /// From word `first` on; `widths`: of the input, the hidden layers and the output.
    pub fn new(first: usize, name: &str, widths: &[usize]) -> Self {
        let mut layers: Vec<Dense> = Vec::new();
        for pair in widths.windows(2) {
            let first = layers.last().map_or(first, Dense::end);
            layers.push(Dense::new(first, pair[0], pair[1]));
        }
        Self {
            name: name.to_owned(),
            layers,
            sees_actions: false,
        }
    }

    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |l| l.outputs)
    }

    /// The word after its last.
    pub fn end(&self) -> usize {
        self.layers.last().map_or(0, Dense::end)
    }

    /// Units of its hidden layers, 0 for none.
    pub fn hidden(&self) -> usize {
        let inner = &self.layers[..self.layers.len() - 1];
        inner.iter().map(|l| l.outputs).max().unwrap_or(0)
    }

    /// Uniform in ±1/√fan-in (`value_decomposition.md` §2), each layer from a stream of its own.
    pub fn initialise(&self, words: &mut [f32], seed: u64, stream: u32) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.initialise_uniform(words, seed, stream + i as u32, layer.inputs);
        }
    }

    /// Orthogonal with `gain`, biases 0 (`value_decomposition.md` §9); a member's words are 0.
    pub fn initialise_orthogonal(&self, words: &mut [f32], seed: u64, stream: u32, gain: f64) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.initialise(words, seed, stream + i as u32, gain);
        }
    }

    /// Name, place and shape of every array.
    pub fn arrays(&self) -> Vec<(String, Range<usize>, Vec<usize>)> {
        let layers = self.layers.iter().enumerate();
        layers
            .flat_map(|(i, l)| l.arrays(&format!("{}.dense_{i}", self.name)))
            .collect()
    }
}

/// What a mixer knows of the agents, `[P, R, A]` each.
#[derive(Clone)]
pub struct Utilities {
    /// Of the actions in question.
    pub taken: Tensor<3>,
    /// Of the best allowed ones, or soft values. No gradient flows through them.
    pub best: Tensor<3>,
}

/// Utilities and the outputs of the mixer's networks, `[P, R, width]` each, to the joint value `[P, R, U]`.
pub type Mix = Box<dyn Fn(&Utilities, &[Tensor<3>]) -> Tensor<3>>;

/// Transforms of the actions' utilities from outputs of the transforms' networks, summed over the agents: `[P, R, 1]`.
pub type Fit = Box<dyn Fn(&Tensor<3>, &[Tensor<3>]) -> Tensor<3>>;

/// A loss of its own: from the tensors of a batch to derivatives and what is reported ([`crate::q_loss`] has their order).
pub type Loss = Box<dyn Fn(&Flat) -> LossOutputs>;

/// What a decomposition has beside networks of the state: networks of the agents' rows, or of what those say, that the algorithm's own
/// file evaluates.
#[derive(Default)]
pub struct Own {
    /// Behind the other networks.
    pub nets: Vec<HyperNet>,
    /// Widths of what they put in front of the loss, behind the outputs of the others: what has a derivative, what has none …
    pub learned: Vec<usize>,
    pub given: Vec<usize>,
    /// … and, of the target, in front of the target's values.
    pub target: Vec<usize>,
    /// In place of the TD loss, with the names of what it reports.
    pub loss: Option<(Loss, &'static [&'static str])>,
}

/// A decomposition of the joint value.
pub struct Decomposition {
    /// The mixer's, which have targets; then those of the transforms, which have none.
    pub nets: Vec<HyperNet>,
    /// How many of them are the mixer's.
    pub mixing: usize,
    /// Values of a state, `U`: one of the team, or one of every agent.
    pub values: usize,
    pub mix: Mix,
    /// ME-IGM's transforms (`me_igm.md` §3.2).
    pub fit: Option<Fit>,
    pub own: Own,
}

impl Decomposition {
    /// All networks, in the order of their words.
    pub fn all_nets(&self) -> impl Iterator<Item = &HyperNet> {
        self.nets.iter().chain(&self.own.nets)
    }

    /// The word after the last, of those from `first` on.
    pub fn end(&self, first: usize) -> usize {
        self.all_nets().last().map_or(first, HyperNet::end)
    }

    /// Whether a network sees what all agents do.
    pub fn joint(&self) -> bool {
        self.nets.iter().any(|n| n.sees_actions)
    }

    /// Units of the widest hidden layer.
    pub fn hidden(&self) -> usize {
        self.all_nets().map(HyperNet::hidden).max().unwrap_or(0)
    }
}

/// A network over a batch, with the parameters that learn and with the target's.
pub struct HyperStacks {
    online: Stack,
    target: Option<Stack>,
    /// The target's of what was done, for Q(λ).
    target_of_done: Option<Stack>,
}

/// The device memory of a network over a batch.
pub struct HyperMemory<'a> {
    /// Its inputs, and those of its target.
    pub input: [&'a Rows; 2],
    /// `[P, R, width]`, and its derivative.
    pub output: &'a Region,
    pub output_grad: &'a Region,
    /// Of the target, where there is one: its parameters and output.
    pub target: Option<(&'a Region, &'a Region)>,
    /// Its output for what was done, where it sees that and that is wanted.
    pub of_done: Option<&'a Region>,
}

impl HyperStacks {
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        net: &HyperNet,
        params: &Region,
        partials: &Region,
        memory: &HyperMemory<'_>,
    ) -> Self {
        let [input, target_input] = memory.input;
        let online = Stack::new(
            gpu,
            shape,
            &net.layers,
            Activate::Relu,
            params,
            input,
            None,
            memory.output,
            memory.output_grad,
            partials,
        );
        let evaluated = |params: &Region, input: &Rows, output: &Region| {
            let relu = Activate::Relu;
            Stack::evaluated(gpu, shape, &net.layers, relu, params, input, output)
        };
        let target = memory.target;
        let of_done = target.zip(memory.of_done);
        Self {
            online,
            target: target.map(|(params, output)| evaluated(params, target_input, output)),
            target_of_done: of_done.map(|((params, _), output)| evaluated(params, input, output)),
        }
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.online.record_forward(to);
    }

    pub fn record_target(&self, to: &mut Recorder) {
        for target in self.target.iter().chain(&self.target_of_done) {
            target.record_forward(to);
        }
    }

    pub fn record_backward(&self, to: &mut Recorder) {
        self.online.record_backward(to);
    }
}
