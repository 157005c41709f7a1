//! PPO's loss (`ppo_family.md` §3) in burn, recorded once: from a minibatch's log-probabilities, entropies and values to their
//! derivatives.

use burn::tensor::Tensor;
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::burn_device::{BurnDevice, Flat, Recorded};

/// What may differ between members, a number each.
#[derive(Clone, Debug)]
pub struct Coefficients {
    pub clip: Vec<f32>,
    pub entropy: Vec<f32>,
    pub value: Vec<f32>,
}

/// The tensors of a minibatch that the loss reads, each `[P, R]`, in the order in which they lie in its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Of the action that was taken, by the policy that learns.
    LogProb,
    /// Of that policy.
    Entropy,
    /// The critic's values.
    Values,
    /// Of the policy that collected.
    OldLogProb,
    /// Normalised over the minibatch.
    Advantage,
    /// The critic's target.
    Goal,
    /// Of the critic at collection.
    OldValue,
    /// What the ratio is clipped about, where that is not 1.
    Center,
}

impl Input {
    const COUNT: usize = 8;
}

/// What the loss leaves on the device.
struct Outputs {
    /// `[P, R]`: derivatives.
    log_prob_grad: Option<Tensor<2>>,
    entropy_grad: Option<Tensor<2>>,
    values_grad: Option<Tensor<2>>,
    /// `[P, 3]`: policy loss, value loss, entropy.
    losses: Tensor<2>,
}

/// The recorded loss, its inputs and outputs.
pub struct Loss {
    burn: BurnDevice,
    pub batch: Flat,
    /// Read by every replay, so alive as long as the recording.
    _constants: Flat,
    recorded: Recorded<Outputs>,
    /// `[P, R]`
    pub log_prob_grad: Region,
    /// `[P, R]`
    pub entropy_grad: Region,
    /// `[P, R]`
    pub values_grad: Region,
    /// `[P, 3]`: policy loss, value loss, entropy.
    pub losses: Region,
    /// `[P]`: the clip range, for the diagnostics.
    pub clip: Region,
    /// `[P]`: written anew between replays where it is annealed.
    pub entropy_weight: Region,
    /// Whether ratios are clipped about [`Input::Center`].
    pub centred: bool,
}

impl Loss {
    /// Records the loss of minibatches of `rows` samples per member; `centred`: the ratio is clipped about [`Input::Center`].
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn new(
        gpu: &Gpu,
        burn: &BurnDevice,
        rows: usize,
        coefficients: &Coefficients,
        clip_value: bool,
        centred: bool,
    ) -> Result<Self, LearnError> {
        let members = coefficients.clip.len();
        let batch = burn.flat(&vec![vec![members, rows]; Input::COUNT])?;
        gpu.write(&batch.region, &vec![0.0_f32; batch.total_words()]);
        let constants = burn.flat(&[vec![members, 1], vec![members, 1], vec![members, 1]])?;
        for (i, values) in [
            &coefficients.clip,
            &coefficients.entropy,
            &coefficients.value,
        ]
        .into_iter()
        .enumerate()
        {
            gpu.write(&constants.part(i), values);
        }
        let recorded = burn.capture(|| ppo_loss(&batch, &constants, clip_value, centred))?;
        let outputs = &recorded.output;
        let absent = || LearnError::Burn("the loss has no gradient".into());
        Ok(Self {
            log_prob_grad: burn.region(outputs.log_prob_grad.as_ref().ok_or_else(absent)?)?,
            entropy_grad: burn.region(outputs.entropy_grad.as_ref().ok_or_else(absent)?)?,
            values_grad: burn.region(outputs.values_grad.as_ref().ok_or_else(absent)?)?,
            losses: burn.region(&outputs.losses)?,
            clip: constants.part(0),
            entropy_weight: constants.part(1),
            centred,
            _constants: constants,
            burn: burn.clone(),
            batch,
            recorded,
        })
    }

    pub fn input(&self, input: Input) -> Region {
        self.batch.part(input as usize)
    }

    /// Word at which an input begins in [`Loss::batch`].
    pub fn place(&self, input: Input) -> usize {
        self.batch.words[input as usize].start
    }

    /// Submits the recorded kernels: what was submitted before runs before, what comes after runs after. Returns their number.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn replay(&self) -> Result<u64, LearnError> {
        self.recorded.replay()?;
        self.burn.flush()?;
        Ok(self.recorded.launches)
    }
}

/// The sum over dimension 1 of `[P, R, V]`, as `[P, 1, V]`. In two steps where there is much to add: burn has one invocation add all of a
/// dimension, which takes a GPU milliseconds for a hundred thousand rows.
pub(crate) fn sum_over_rows(x: Tensor<3>) -> Tensor<3> {
    const FEW: usize = 256;
    let [members, rows, values] = x.dims();
    let root = (rows as f64).sqrt() as usize;
    let parts = (1..=root).rev().find(|n| rows.is_multiple_of(*n));
    match parts {
        Some(parts) if rows > FEW && parts > 1 => x
            .reshape([members, parts, rows / parts, values])
            .sum_dim(2)
            .reshape([members, parts, values])
            .sum_dim(1),
        _ => x.sum_dim(1),
    }
}

/// The mean over the samples of a minibatch `[P, R]`, as `[P, 1]`.
fn mean_over_rows(x: Tensor<2>) -> Tensor<2> {
    let [members, rows] = x.dims();
    let sum = sum_over_rows(x.reshape([members, rows, 1]));
    sum.reshape([members, 1]) / rows as f64
}

/// The members' losses are added, so that the gradient of a member's part is its own loss's.
fn ppo_loss(batch: &Flat, constants: &Flat, clip_value: bool, centred: bool) -> Outputs {
    let input = |i: Input| Tensor::<2>::from_inner(batch.tensor(i as usize));
    let constant = |i: usize| Tensor::<2>::from_inner(constants.tensor(i));
    let log_prob = input(Input::LogProb).require_grad();
    let entropy = input(Input::Entropy).require_grad();
    let values = input(Input::Values).require_grad();
    let (clip, entropy_weight, value_weight) = (constant(0), constant(1), constant(2));

    // Policy: the pessimistic one of the surrogate and its clipped form, min(ρA, A + ε|A|), or about κ, κA + ε|A|.
    let ratio = (log_prob.clone() - input(Input::OldLogProb)).exp();
    let advantage = input(Input::Advantage);
    let center = if centred {
        advantage.clone() * input(Input::Center)
    } else {
        advantage.clone()
    };
    let limit = center + advantage.clone().abs() * clip.clone();
    let policy_loss = -mean_over_rows((ratio * advantage).min_pair(limit));
    let mean_entropy = mean_over_rows(entropy.clone());

    // Value: the larger one of the error and the error of the clipped change, which has no derivative where it is clipped.
    let goal = input(Input::Goal);
    let square = |x: Tensor<2>| x.clone() * x;
    let mut error = square(values.clone() - goal.clone());
    if clip_value {
        let old_value = input(Input::OldValue);
        let change = Tensor::from_inner(values.clone().inner()) - old_value.clone();
        let clipped = change.clone().sign() * clip.clone();
        let beyond = change.abs().greater(clip);
        let clipped_error = square(old_value + clipped - goal);
        let larger = Tensor::from_inner(error.clone().inner()).lower(clipped_error.clone());
        error = error.mask_where(beyond.bool_and(larger), clipped_error);
    }
    let value_loss = mean_over_rows(error) * 0.5;

    let loss = policy_loss.clone() - mean_entropy.clone() * entropy_weight
        + value_loss.clone() * value_weight;
    let mut grads = loss.sum().backward();
    Outputs {
        log_prob_grad: log_prob.grad_remove(&mut grads),
        entropy_grad: entropy.grad_remove(&mut grads),
        values_grad: values.grad_remove(&mut grads),
        losses: Tensor::cat(
            vec![
                policy_loss.inner(),
                value_loss.inner(),
                mean_entropy.inner(),
            ],
            1,
        ),
    }
}
