//! IQL: independent Q-learning with shared parameters (`value_decomposition.md` §5). Every agent's utility regresses on the team's
//! reward, and the loss is a mean over the agents too:
//!
//! ```text
//! Q_i(τ_i, u_i) → y_i = r + γ (1 - d) Q_i⁻(τ_i', argmax Q_i(τ_i', ·))
//! ```
//!
//! [`crate::q_learning`] has the loop.

use crate::decomposition::{Decomposition, Own};
use crate::sizes::Sizes;

/// No mixer: a value of every agent.
pub fn decomposition(sizes: &Sizes) -> Decomposition {
    Decomposition {
        nets: vec![],
        mixing: 0,
        values: sizes.agents,
        mix: Box::new(|q, _| q.taken.clone()),
        fit: None,
        own: Own::default(),
    }
}
