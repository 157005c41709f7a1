//! Networks as layouts: where the weights of each layer lie among a member's parameters.
//!
//! All parameters that one optimiser owns lie in one buffer `[P, stride]`, a member's together, so that norms and Adam run
//! over a range of words and a checkpoint is one array.

use crate::init::orthogonal;
use crate::rng::Normal;

/// A dense layer: kernel `[inputs, outputs]`, then bias `[outputs]`; places in words from the member's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub bias: usize,
}

impl Dense {
    pub fn new(first: usize, inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel: first,
            bias: first + inputs * outputs,
        }
    }

    /// The word after its last.
    pub fn end(&self) -> usize {
        self.bias + self.outputs
    }

    /// Orthogonal kernel with `gain`, zero bias, into a member's words.
    pub fn initialise(&self, words: &mut [f32], seed: u64, stream: u32, gain: f64) {
        let mut normal = Normal::new(seed, stream);
        let kernel = orthogonal(&mut normal, self.inputs, self.outputs, gain);
        words[self.kernel..self.bias].copy_from_slice(&kernel);
        words[self.bias..self.end()].fill(0.0);
    }
}

/// Two hidden layers and a head (`ppo_family.md` §1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mlp {
    pub layers: [Dense; 3],
}

impl Mlp {
    pub fn new(first: usize, inputs: usize, hidden: usize, outputs: usize) -> Self {
        let a = Dense::new(first, inputs, hidden);
        let b = Dense::new(a.end(), hidden, hidden);
        let head = Dense::new(b.end(), hidden, outputs);
        Self {
            layers: [a, b, head],
        }
    }

    pub fn hidden(&self) -> usize {
        self.layers[0].outputs
    }

    pub fn outputs(&self) -> usize {
        self.layers[2].outputs
    }

    pub fn end(&self) -> usize {
        self.layers[2].end()
    }

    /// Hidden layers with gain √2, the head with `head_gain`. `stream` is the first of three.
    pub fn initialise(&self, words: &mut [f32], seed: u64, stream: u32, head_gain: f64) {
        let root = std::f64::consts::SQRT_2;
        for (i, (layer, gain)) in self.layers.iter().zip([root, root, head_gain]).enumerate() {
            layer.initialise(words, seed, stream + i as u32, gain);
        }
    }
}
