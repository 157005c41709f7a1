//! QPLEX (Wang et al. 2021; `value_decomposition.md` §7): dueling of the joint value and of the utilities, with importance weights
//! that see the joint action.
//!
//! ```text
//! Q'_i = w_i(s) Q_i(u_i) + v_i(s),  V'_i = w_i(s) max Q_i + v_i(s)
//! Q_tot = Σ_i Q'_i + Σ_i (λ_i(s, u) - 1) (Q'_i - V'_i),  of which the second sum sends nothing back to the utilities
//! λ_i(s, u) = Σ_k κ_k(s) σ(φ_k(s))_i σ(ξ_k(s, u))_i
//! ```
//!
//! [`crate::q_learning`] has the loop.

use burn::tensor::{Tensor, activation};

use crate::config::Config;
use crate::decomposition::{Decomposition, HyperNet, Own, Utilities};
use crate::sizes::Sizes;

/// Keeps weights from being 0, as in the public code.
const LEAST_WEIGHT: f64 = 1e-10;

/// The mixer's networks lie behind word `first` of a member's parameters: w, v, then κ, φ and ξ of each kernel.
pub fn decomposition(config: &Config, sizes: &Sizes, first: usize) -> Decomposition {
    let (state, agents) = (sizes.state, sizes.agents);
    let joint = state + agents * sizes.outputs();
    let hidden = config.hyper_hidden;
    let w = HyperNet::new(first, "mixer.w", &[state, hidden, agents]);
    let v = HyperNet::new(w.end(), "mixer.v", &[state, hidden, agents]);
    let mut nets = vec![w, v];
    let attention = vec![config.attention_hidden; config.attention_layers - 1];
    for k in 0..config.attention_kernels {
        for (name, inputs, outputs) in [
            ("key", state, 1),
            ("agents", state, agents),
            ("action", joint, agents),
        ] {
            let first = nets.last().map_or(first, HyperNet::end);
            let widths = [&[inputs], &attention[..], &[outputs]].concat();
            let mut net = HyperNet::new(first, &format!("mixer.{name}_{k}"), &widths);
            net.sees_actions = name == "action";
            nets.push(net);
        }
    }
    Decomposition {
        mixing: nets.len(),
        nets,
        values: 1,
        mix: Box::new(mix),
        fit: None,
        own: Own::default(),
    }
}

/// `outputs`: w and v `[P, R, A]`, then of each kernel κ `[P, R, 1]`, φ and ξ `[P, R, A]`.
fn mix(q: &Utilities, outputs: &[Tensor<3>]) -> Tensor<3> {
    let w = outputs[0].clone().abs() + LEAST_WEIGHT;
    let v = outputs[1].clone();
    let weighted = w.clone() * q.taken.clone() + v.clone();
    let best = w * q.best.clone() + v;
    let advantage = (weighted.clone() - best).detach();
    let mut importance: Option<Tensor<3>> = None;
    for kernel in outputs[2..].chunks_exact(3) {
        let key = kernel[0].clone().abs() + LEAST_WEIGHT;
        let agents = activation::sigmoid(kernel[1].clone());
        let actions = activation::sigmoid(kernel[2].clone());
        let head = key * agents * actions;
        importance = Some(match importance {
            None => head,
            Some(sum) => sum + head,
        });
    }
    let dueling = importance.map(|lambda| (lambda - 1.0) * advantage);
    let sum = match dueling {
        None => weighted,
        Some(dueling) => weighted + dueling,
    };
    sum.sum_dim(2)
}
