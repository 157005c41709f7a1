//! What an update was like: sums on the device, read at the next report only.

use std::collections::BTreeMap;

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::adam::Adam;
use crate::gae::Gae;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::loss::{Input, Loss};
use crate::sizes::Sizes;

const SOURCES: [&str; 2] = [
    include_str!("../../shaders/learn/tick.wgsl"),
    include_str!("../../shaders/learn/diagnostics.wgsl"),
];

/// Words per member, in the shader's order.
const WORDS: usize = 10;
/// Means over the minibatches of the last update; the rest is of its beginning.
const MEANS: [&str; 7] = [
    "actor_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "actor_grad_norm",
    "critic_grad_norm",
];
const OF_THE_FIRST: [&str; 3] = ["first_ratio", "first_ratio_deviation", "explained_variance"];

pub struct Diagnostics {
    sums: Region,
    minibatch: Kernel,
    explained_variance: Kernel,
    members: usize,
    /// Minibatches of an update.
    minibatches: usize,
    /// Whether actor and critic have a norm each.
    two_norms: bool,
}

impl Diagnostics {
    #[allow(clippy::too_many_arguments)] // What it looks at.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        loss: &Loss,
        adam: &Adam,
        optimisers: usize,
        values: &Region,
        gae: &Gae,
        ticks: &Ticks,
    ) -> Self {
        let sums = gpu.storage("diagnostics", 4 * (sizes.members * WORDS) as u64);
        let constants = Constants::default()
            .uint("MEMBERS", sizes.members)
            .uint("ROWS", sizes.minibatch_rows())
            .uint("SAMPLES", sizes.samples())
            .uint("RPM", sizes.member_rows())
            .uint("GROUPS", optimisers)
            .uint("LOG_PROB", loss.place(Input::LogProb))
            .uint("OLD_LOG_PROB", loss.place(Input::OldLogProb))
            .uint("WORDS", WORDS);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(ticks),
                Bind::Read(&loss.batch.region),
                Bind::Read(&loss.losses),
                Bind::Read(&loss.clip),
                Bind::Read(&adam.norms),
                Bind::Read(values),
                Bind::Read(&gae.goal),
                Bind::Write(&sums),
            ];
            Kernel::new(gpu, entry, &constants, &SOURCES, &binds)
        };
        Self {
            minibatch: kernel("minibatch_diagnostics"),
            explained_variance: kernel("explained_variance"),
            sums,
            members: sizes.members,
            minibatches: sizes.epochs * sizes.minibatches,
            two_norms: optimisers > 1,
        }
    }

    /// After the loss of a minibatch and the norms of its gradients.
    pub fn record_minibatch(&self, to: &mut Recorder, tick: usize) {
        self.minibatch.record(to, tick, [self.members, 1, 1]);
    }

    /// After the targets of a rollout.
    pub fn record_explained_variance(&self, to: &mut Recorder) {
        self.explained_variance.record(to, 0, [self.members, 1, 1]);
    }

    /// By name, per member. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<BTreeMap<String, f64>>, GpuError> {
        let sums: Vec<f32> = gpu.read(&self.sums)?;
        let member = |words: &[f32]| {
            let means = MEANS
                .iter()
                .zip(words)
                .map(|(k, &w)| (*k, f64::from(w) / self.minibatches as f64));
            let means = means.filter(|(k, _)| self.two_norms || *k != "critic_grad_norm");
            let means = means.map(|(k, w)| match k {
                // One optimiser for both networks has one norm.
                "actor_grad_norm" if !self.two_norms => ("grad_norm", w),
                _ => (k, w),
            });
            let first = OF_THE_FIRST
                .iter()
                .zip(&words[MEANS.len()..])
                .map(|(k, &w)| (*k, f64::from(w)));
            means
                .chain(first)
                .filter(|(_, w)| w.is_finite())
                .map(|(k, w)| (k.to_owned(), w))
                .collect()
        };
        Ok(sums.chunks_exact(WORDS).map(member).collect())
    }
}
