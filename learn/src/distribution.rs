//! The policy's distribution over a minibatch: from the actor's outputs to log-probability and entropy, and back.
//!
//! Our own kernels, not burn's: the categorical one is in burn some thirty launches over `[P, R, N]` where these are two.

use merit_sim::env::{ActionSpace, EnvIo};
use merit_sim::gpu::{Gpu, Region};

use crate::adam::Adam;
use crate::dense::Shape;
use crate::kernel::{Kernel, Recorder, Ticks};
use crate::loss::Loss;
use crate::minibatch::Minibatches;
use crate::net::Network;
use crate::sizes::Sizes;
use crate::{categorical, gaussian};

/// What the distributions look at and write to.
pub struct Parts<'a> {
    pub gpu: &'a Gpu,
    pub sizes: &'a Sizes,
    pub shape: &'a Shape,
    pub io: &'a EnvIo,
    pub minibatches: &'a Minibatches,
    pub loss: &'a Loss,
    pub adam: &'a Adam,
    pub ticks: &'a Ticks,
}

/// Between the actor's and the critic's last layers and the [`Loss`].
pub struct Distribution {
    /// `[P, R, N]` logits or `[P, R, K]` means; later what the way back needs of them.
    pub output: Region,
    /// The loss's derivatives by them.
    pub output_grad: Region,
    /// `[P, R]`: the loss's derivatives by the values.
    pub values_grad: Region,
    pub(crate) forward: Step,
    pub(crate) backward: Vec<Step>,
}

/// A kernel and its workgroups.
pub(crate) type Step = (Kernel, [usize; 3]);

impl Distribution {
    /// That of `actor`, over the actions which it was made for.
    pub fn new(parts: &Parts<'_>, actor: &Network) -> Self {
        match (parts.sizes.actions, actor.log_std) {
            (ActionSpace::Continuous(_), Some(log_std)) => gaussian::distribution(parts, log_std),
            _ => categorical::distribution(parts),
        }
    }

    /// Behind the actor's last layer.
    pub fn record_forward(&self, to: &mut Recorder, tick: usize) {
        self.forward.0.record(to, tick, self.forward.1);
    }

    /// Behind the loss.
    pub fn record_backward(&self, to: &mut Recorder, tick: usize) {
        for (kernel, groups) in &self.backward {
            kernel.record(to, tick, *groups);
        }
    }
}
