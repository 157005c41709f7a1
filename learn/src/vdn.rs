//! VDN (Sunehag et al. 2018; `value_decomposition.md` §5): the joint value is the sum of the utilities, whatever the state.
//!
//! ```text
//! Q_tot(τ, u) = Σ_i Q_i(τ_i, u_i) → y = r + γ (1 - d) Σ_i Q_i⁻(τ_i', argmax Q_i(τ_i', ·))
//! ```
//!
//! [`crate::q_learning`] has the loop.

use crate::decomposition::{Decomposition, Own};

pub fn decomposition() -> Decomposition {
    Decomposition {
        nets: vec![],
        mixing: 0,
        values: 1,
        mix: Box::new(|q, _| q.taken.clone().sum_dim(2)),
        fit: None,
        own: Own::default(),
    }
}
