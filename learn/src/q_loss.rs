//! The losses of value decomposition in burn, recorded once: targets' joint values, and the TD loss with its derivatives
//! (`value_decomposition.md` §4, `me_igm.md` §3.1 and 3.2).

use std::collections::BTreeMap;

use burn::tensor::{Gradients, Tensor};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::burn_device::{BurnDevice, Flat, Recorded};
use crate::decomposition::{Decomposition, HyperNet, Utilities};
use crate::loss::sum_over_rows;
use crate::sizes::Sizes;

/// The tensors in front of the outputs of the networks, in both allocations: utilities of the actions `[P, R, A]`, and the best ones'.
pub const TAKEN: usize = 0;
pub const BEST: usize = 1;
/// In the loss's: targets `[P, R, U]`, and 1 where there is a step `[P, R, 1]`.
pub const GOAL: usize = 2;
pub const MASK: usize = 3;

/// What a loss says of a batch, per member: means over its steps.
pub const DIAGNOSTICS: [&str; 7] = [
    "td_loss",
    "td_error",
    "q_taken",
    "q_target",
    "transform_loss",
    "transform_residual",
    "hit_prob",
];

/// What a loss leaves on the device.
pub struct LossOutputs {
    /// `[P, R, A]`
    pub taken_grad: Option<Tensor<3>>,
    /// `[P, R, A]`, where the best actions' utilities learn too.
    pub best_grad: Option<Tensor<3>>,
    /// `[P, R, width]` of every network, then of what the decomposition's own learn.
    pub net_grads: Vec<Option<Tensor<3>>>,
    /// `[P, names]`
    pub diagnostics: Tensor<2>,
}

/// Recorded kernels, their inputs and outputs. `R` rows of a batch: slots times episodes.
pub struct QLoss {
    burn: BurnDevice,
    /// Utilities, targets, mask, outputs of all networks.
    pub batch: Flat,
    /// Utilities and outputs of the mixer's networks, all of the target.
    pub target: Flat,
    loss: Recorded<LossOutputs>,
    target_values: Recorded<(Tensor<3>, Option<Tensor<3>>)>,
    /// `[P, R, A]`
    pub taken_grad: Region,
    /// `[P, R, A]`, where the best actions' utilities learn too.
    pub best_grad: Option<Region>,
    /// `[P, R, width]` of every network, then of what the decomposition's own learn.
    pub net_grads: Vec<Region>,
    /// `[P, R, U]`: joint values of what would be done next.
    pub next_values: Region,
    /// `[P, R, U]`: the target's joint values of what was done, for Q(λ).
    pub done_values: Option<Region>,
    /// Where the target's utilities of what was done go, `[P, R, A]`, and outputs of those of its networks that see it, by number.
    pub done_taken: Option<Region>,
    done_outputs: BTreeMap<usize, Region>,
    /// `[P, names]`
    pub diagnostics: Region,
    /// Of the diagnostics.
    pub names: &'static [&'static str],
}

/// Widths of what networks put in front of the loss: of the state's, then the decomposition's own.
fn widths(decomposition: &Decomposition) -> Vec<usize> {
    let (nets, own) = (&decomposition.nets, &decomposition.own);
    let of_nets = nets.iter().map(HyperNet::outputs);
    of_nets
        .chain(own.learned.iter().copied())
        .chain(own.given.iter().copied())
        .collect()
}

impl QLoss {
    /// Words of a row of a batch, of a member.
    pub fn words(sizes: &Sizes, decomposition: &Decomposition) -> usize {
        let outputs = widths(decomposition).iter().sum::<usize>();
        2 * sizes.agents + decomposition.values + 1 + outputs
    }

    /// Records the losses of batches of `rows` rows per member; `q_lambda`: and what the target says of what was done.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        rows: usize,
        decomposition: &Decomposition,
        weighted: bool,
        q_lambda: bool,
    ) -> Result<Self, LearnError> {
        let burn = BurnDevice::new(gpu)?;
        let utilities = vec![sizes.members, rows, sizes.agents];
        let of_rows = |width: usize| vec![sizes.members, rows, width];
        let outputs: Vec<_> = widths(decomposition).into_iter().map(of_rows).collect();
        let mixing = decomposition.nets[..decomposition.mixing].iter();
        let own = decomposition.own.target.iter().copied();
        let of_target: Vec<_> = mixing.map(HyperNet::outputs).chain(own).collect();
        let first = vec![
            utilities.clone(),
            utilities.clone(),
            of_rows(decomposition.values),
            of_rows(1),
        ];
        let batch = burn.flat(&[first, outputs.clone()].concat())?;
        let outputs: Vec<_> = of_target.iter().map(|w| of_rows(*w)).collect();
        // Of what was done: utilities, and outputs of the networks that see it; the others' are the same.
        let done = BEST + 1 + of_target.len();
        let see: Vec<usize> = (0..decomposition.mixing)
            .filter(|&i| q_lambda && decomposition.nets[i].sees_actions)
            .collect();
        let mut more = vec![];
        if q_lambda {
            more.push(utilities.clone());
            more.extend(see.iter().map(|&i| of_rows(of_target[i])));
        }
        let target = burn.flat(&[vec![utilities.clone(), utilities], outputs, more].concat())?;
        for flat in [&batch, &target] {
            gpu.write(&flat.region, &vec![0.0_f32; flat.total_words()]);
        }
        let target_values = burn.capture(|| {
            let q = Utilities {
                taken: target.tensor(TAKEN),
                best: target.tensor(BEST),
            };
            let nets: Vec<_> = (0..of_target.len())
                .map(|i| target.tensor(BEST + 1 + i))
                .collect();
            // Their own memory, whatever the mixer is.
            let next = (decomposition.mix)(&q, &nets) * 1.0;
            let of_done = q_lambda.then(|| {
                let q = Utilities {
                    taken: target.tensor(done),
                    ..q.clone()
                };
                let mut nets = nets.clone();
                for (k, &i) in see.iter().enumerate() {
                    nets[i] = target.tensor(done + 1 + k);
                }
                (decomposition.mix)(&q, &nets) * 1.0
            });
            (next, of_done)
        })?;
        let loss = burn.capture(|| match &decomposition.own.loss {
            Some((loss, _)) => loss(&batch),
            None => td_loss(&batch, decomposition, weighted),
        })?;
        let outputs = &loss.output;
        let absent = || LearnError::Burn("the loss has no gradient".into());
        let taken_grad = outputs.taken_grad.as_ref().ok_or_else(absent)?;
        let net_grads = outputs.net_grads.iter();
        let net_grads = net_grads.map(|grad| burn.region(grad.as_ref().ok_or_else(absent)?));
        let best_grad = outputs.best_grad.as_ref().map(|grad| burn.region(grad));
        let own = decomposition.own.loss.as_ref();
        let done_values = target_values.output.1.as_ref();
        let done_values = done_values.map(|values| burn.region(values));
        Ok(Self {
            names: own.map_or(&DIAGNOSTICS[..], |(_, names)| names),
            best_grad: best_grad.transpose()?,
            taken_grad: burn.region(taken_grad)?,
            net_grads: net_grads.collect::<Result<_, _>>()?,
            diagnostics: burn.region(&outputs.diagnostics)?,
            next_values: burn.region(&target_values.output.0)?,
            done_values: done_values.transpose()?,
            done_taken: q_lambda.then(|| target.part(done)),
            done_outputs: see
                .iter()
                .enumerate()
                .map(|(k, &i)| (i, target.part(done + 1 + k)))
                .collect(),
            burn,
            batch,
            target,
            loss,
            target_values,
        })
    }

    /// Where network `i` of the decomposition puts its outputs, those of its target if `target`; what its own networks say comes behind.
    pub fn output(&self, i: usize, target: bool) -> Region {
        if target {
            self.target.part(BEST + 1 + i)
        } else {
            self.batch.part(MASK + 1 + i)
        }
    }

    /// Where network `i` of the target puts what it says of what was done, if it sees that.
    pub fn output_of_done(&self, i: usize) -> Option<&Region> {
        self.done_outputs.get(&i)
    }

    /// Submits the recorded loss. Returns the number of its kernels.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn replay(&self) -> Result<u64, LearnError> {
        self.loss.replay()?;
        self.burn.flush()?;
        Ok(self.loss.launches)
    }

    /// Submits the target's joint values. Returns the number of kernels.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn replay_target(&self) -> Result<u64, LearnError> {
        self.target_values.replay()?;
        self.burn.flush()?;
        Ok(self.target_values.launches)
    }
}

/// ½ Σ mask (Q_tot - y)² / Σ mask, over the values of a step too where there are several. The members' losses are added, so that the
/// gradient of a member's part is its own loss's. With transforms: Σ mask (Σ_i OPT_i(q_i) - Q_tot)² / Σ mask, in which neither the
/// utilities nor the joint value move.
fn td_loss(batch: &Flat, decomposition: &Decomposition, weighted: bool) -> LossOutputs {
    let tensor = |i: usize| Tensor::<3>::from_inner(batch.tensor(i));
    let q = Utilities {
        taken: tensor(TAKEN).require_grad(),
        best: tensor(BEST),
    };
    let (goal, mask) = (tensor(GOAL), tensor(MASK));
    let learned = decomposition.nets.len() + decomposition.own.learned.len();
    let nets: Vec<_> = (0..learned)
        .map(|i| tensor(MASK + 1 + i).require_grad())
        .collect();
    let (mixer, transforms) = nets.split_at(decomposition.mixing);

    let joint = (decomposition.mix)(&q, mixer);
    let values = decomposition.values as f64;
    let steps = sum_over_rows(mask.clone()).clamp_min(1.0);
    // A mean over the steps of a batch, `[P, 1, 1]`.
    let mean = |x: Tensor<3>| sum_over_rows(x * mask.clone()) / steps.clone();
    let over_values = |x: Tensor<3>| x.sum_dim(2) / values;

    let error = joint.clone() - goal.clone();
    let square = error.clone() * error.clone();
    let fitted = decomposition
        .fit
        .as_ref()
        .map(|fit| fit(&q.taken.clone().detach(), transforms));
    let td_loss = match (&fitted, weighted) {
        (Some(fitted), true) => {
            // A step that moves Q_tot towards the transforms' sum counts whole, another one half (`me_igm.md` §3.4).
            let above = joint.clone().detach().greater(fitted.clone().detach());
            let falls = error.clone().detach().greater_equal_elem(0.0);
            let agrees = above.equal(falls).float();
            let weight = (agrees * 0.5 + 0.5) * mask.clone();
            let all = sum_over_rows(weight.clone()).clamp_min(0.5);
            sum_over_rows(square * 0.5 * weight) / all
        }
        _ => mean(over_values(square) * 0.5),
    };
    let (transform_loss, residual) = match fitted {
        Some(fitted) => {
            let apart = fitted - joint.clone().detach();
            (
                mean(apart.clone() * apart.clone()),
                mean(apart.detach().abs()),
            )
        }
        None => (td_loss.clone() * 0.0, td_loss.clone() * 0.0),
    };
    let loss = td_loss.clone() + transform_loss.clone();
    let mut grads = loss.sum().backward();
    let of_steps = |x: Tensor<3>| mean(over_values(x));
    let said = [
        td_loss,
        of_steps(error.abs()),
        of_steps(joint.clone()),
        of_steps(goal),
        transform_loss,
        residual,
        // Of the agents that did what they rank first.
        mean(
            q.taken
                .clone()
                .detach()
                .greater_equal(q.best.clone())
                .float()
                .mean_dim(2),
        ),
    ];
    let grad = |x: &Tensor<3>, grads: &mut Gradients| x.grad_remove(grads).map(unstrided);
    LossOutputs {
        taken_grad: grad(&q.taken, &mut grads),
        best_grad: None,
        net_grads: nets.iter().map(|n| grad(n, &mut grads)).collect(),
        diagnostics: reported(said.to_vec()),
    }
}

/// In memory of its own: our kernels know no strides.
pub fn unstrided(grad: Tensor<3>) -> Tensor<3> {
    grad * 1.0
}

/// Means over the batch, `[P, 1, 1]` each, as `[P, names]`.
pub fn reported(means: Vec<Tensor<3>>) -> Tensor<2> {
    let said = means.into_iter().map(|x| {
        let [members, ..] = x.dims();
        x.inner().reshape([members, 1])
    });
    Tensor::cat(said.collect(), 1)
}
