//! QMIX (Rashid et al. 2018; `value_decomposition.md` §6): a mixing network whose weights the state gives and which rises in every
//! utility, so that the agents' best actions are the team's.
//!
//! ```text
//! Q_tot(s, q) = w₂(s)ᵀ elu(W₁(s)ᵀ q + b₁(s)) + b₂(s),  W₁ and w₂ ≥ 0
//! ```
//!
//! [`crate::q_learning`] has the loop.

use burn::tensor::{Tensor, activation};

use crate::config::{Config, Positivity};
use crate::decomposition::{Decomposition, HyperNet, Own, Utilities};
use crate::sizes::Sizes;

/// The mixer's networks lie behind word `first` of a member's parameters.
pub fn decomposition(config: &Config, sizes: &Sizes, first: usize) -> Decomposition {
    let (state, agents) = (sizes.state, sizes.agents);
    let (embed, hidden) = (config.mixing_embed, config.hyper_hidden);
    let w1 = HyperNet::new(first, "mixer.w1", &[state, hidden, agents * embed]);
    let b1 = HyperNet::new(w1.end(), "mixer.b1", &[state, embed]);
    let w2 = HyperNet::new(b1.end(), "mixer.w2", &[state, hidden, embed]);
    let b2 = HyperNet::new(w2.end(), "mixer.b2", &[state, embed, 1]);
    let positivity = config.positivity;
    Decomposition {
        nets: vec![w1, b1, w2, b2],
        mixing: 4,
        values: 1,
        mix: Box::new(move |q, outputs| mix(positivity, q, outputs)),
        fit: None,
        own: Own::default(),
    }
}

/// `outputs`: W₁ `[P, R, A · E]`, b₁ and w₂ `[P, R, E]`, b₂ `[P, R, 1]`, before the weights are made positive.
fn mix(positivity: Positivity, q: &Utilities, outputs: &[Tensor<3>]) -> Tensor<3> {
    let [members, rows, agents] = q.taken.dims();
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|i| outputs[i].clone());
    let embed = b1.dims()[2];
    let w1 = positive(positivity, w1).reshape([members, rows, agents, embed]);
    let weighted = q.taken.clone().reshape([members, rows, agents, 1]) * w1;
    let hidden = elu(weighted.sum_dim(2).reshape([members, rows, embed]) + b1);
    (hidden * positive(positivity, w2)).sum_dim(2) + b2
}

/// |x| has no derivative at 0.
pub fn positive<const D: usize>(positivity: Positivity, x: Tensor<D>) -> Tensor<D> {
    match positivity {
        Positivity::Abs => x.abs(),
        Positivity::Softplus => activation::softplus(x, 1.0),
        Positivity::Square => x.clone() * x * 0.5,
    }
}

/// With α = 1. e^x - 1 of what is above 0 would overflow, so the exponent is cut there.
pub fn elu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::relu(x.clone()) + (-activation::relu(-x)).exp() - 1.0
}
