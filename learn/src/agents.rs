//! The agents' network over a batch of episodes: utilities of all actions, of the parameters that learn and of the target's.

use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::config::{Config, Network as Kind};
use crate::dense::{Activate, Rows, Stack};
use crate::kernel::{Kernel, Recorder};
use crate::net::{Network, Trunk};
use crate::policy::Itself;
use crate::replay::Batch;
use crate::sizes::Sizes;

/// Dense, GRU, dense (`value_decomposition.md` §2), or two hidden layers; it lies at the front of a member's parameters.
pub fn network(config: &Config, sizes: &Sizes) -> Network {
    let inputs = sizes.obs + Itself::columns(config, sizes);
    match config.network {
        Kind::Ff => Network::feed_forward(0, inputs, config.hidden, sizes.outputs()),
        Kind::Gru => {
            let trunk = Trunk::new(0, inputs, config.hidden);
            Network::recurrent_head(trunk.end(), trunk, sizes.outputs())
        }
    }
}

/// Every episode begins with nothing remembered and is unrolled as a whole.
pub struct Agents {
    trunk: Option<crate::recurrent::TrunkLayers>,
    /// Where it forgets within a sequence, with workgroups.
    reset: Option<(Kernel, [usize; 3])>,
    stack: Stack,
    /// `[P, SLOTS, B, A, N]`
    pub q: Region,
    /// Its derivative; not of a target.
    pub q_grad: Region,
    /// `[P, SLOTS, B, A, H]`: what the head reads, the GRU's state or the last hidden layer's output, …
    pub hidden: Rows,
    /// … its derivative, not of a target, …
    pub hidden_grad: Option<Region>,
    /// … and what it went through last.
    pub hidden_activation: Activate,
}

impl Agents {
    /// `partials`: where the gradients go; none for a target.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where the gates do not fit.
    pub fn new(
        gpu: &Gpu,
        net: &Network,
        activate: Activate,
        params: &Region,
        batch: &Batch,
        sequences: [usize; 2],
        partials: Option<&Region>,
    ) -> Result<Self, LearnError> {
        let shape = &batch.agent_shape;
        let input = &batch.agent_input;
        let bytes = 4 * (shape.members * shape.rows * net.outputs()) as u64;
        let q = gpu.storage("utilities", bytes);
        let q_grad = gpu.storage("derivatives of utilities", partials.map_or(0, |_| bytes));
        let trunk = net.trunk.as_ref().map(|trunk| {
            crate::recurrent::TrunkLayers::new(
                gpu, shape, sequences, trunk, activate, params, input, partials,
            )
        });
        let trunk = trunk.transpose()?;
        let below = trunk.as_ref().map_or(input, |t| &t.output);
        let stack = match partials {
            Some(partials) => Stack::new(
                gpu,
                shape,
                &net.layers,
                activate,
                params,
                below,
                trunk.as_ref().map(|t| (&t.output_grad, false)),
                &q,
                &q_grad,
                partials,
            ),
            None => Stack::evaluated(gpu, shape, &net.layers, activate, params, below, &q),
        };
        let last = stack.hidden().last();
        let last = last.map(|(region, units)| Rows::packed(region, units));
        let (hidden, hidden_grad, hidden_activation) = match (&trunk, last) {
            // The head is all that lies behind the GRU.
            (Some(t), None) => (
                t.output.clone(),
                Some(t.output_grad.clone()),
                Activate::None,
            ),
            (_, Some(last)) => (last, stack.hidden_grads().last().cloned(), activate),
            (None, None) => (input.clone(), None, Activate::None),
        };
        let reset = trunk
            .as_ref()
            .and_then(|t| batch.reset_kernel(gpu, &t.reset));
        Ok(Self {
            trunk,
            reset,
            stack,
            q,
            q_grad,
            hidden,
            hidden_grad: hidden_grad.filter(|_| partials.is_some()),
            hidden_activation,
        })
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        if let Some((kernel, groups)) = &self.reset {
            kernel.record(to, 0, *groups);
        }
        if let Some(trunk) = &self.trunk {
            trunk.record_forward(to);
        }
        self.stack.record_forward(to);
    }

    /// `also` may add to [`Agents::hidden_grad`].
    pub fn record_backward(&self, to: &mut Recorder, also: impl FnOnce(&mut Recorder)) {
        self.stack.record_backward_with(to, also);
        if let Some(trunk) = &self.trunk {
            trunk.record_backward(to);
        }
    }
}
