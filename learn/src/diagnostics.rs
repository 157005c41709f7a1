//! What an update was like: sums on the device, read at the next report only.

use std::collections::BTreeMap;

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::adam::Adam;
use crate::gae::Estimates;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::loss::{Input, Loss};
use crate::ppo::Networks;
use crate::sizes::Sizes;

/// A sum over a workgroup of 256.
pub(crate) const REDUCE: &str = include_str!("../../shaders/learn/reduce.wgsl");
const SOURCES: [&str; 3] = [
    include_str!("../../shaders/learn/tick.wgsl"),
    REDUCE,
    include_str!("../../shaders/learn/diagnostics.wgsl"),
];

/// Words per member, in the shader's order.
const WORDS: usize = 11;
/// Means over the minibatches of the last update; the rest is of its beginning.
const MEANS: [&str; 8] = [
    "actor_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clip_fraction",
    "actor_grad_norm",
    "critic_grad_norm",
    "action_std",
];
const OF_THE_FIRST: [&str; 3] = ["first_ratio", "first_ratio_deviation", "explained_variance"];

pub struct Diagnostics {
    sums: Region,
    minibatch: Kernel,
    explained_variance: Kernel,
    members: usize,
    /// Whether actor and critic have a norm each.
    two_norms: bool,
    /// Whether the policy is a Gaussian, of which the mean deviation over an action's numbers is told.
    gaussian: bool,
}

impl Diagnostics {
    #[allow(clippy::too_many_arguments)] // What it looks at.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        loss: &Loss,
        adam: &Adam,
        networks: &Networks,
        values: &Region,
        estimates: &Estimates,
        ticks: &Ticks,
    ) -> Self {
        let sums = gpu.storage("diagnostics", 4 * (sizes.members * WORDS) as u64);
        let optimisers = networks.optimisers.len();
        let log_std = networks.actor.log_std_words().unwrap_or(0..0);
        let constants = Constants::default()
            .uint("STRIDE", networks.stride())
            .uint("LOG_STD", log_std.start)
            .uint("NUMBERS", log_std.len())
            .uint("MEMBERS", sizes.members)
            .uint("ROWS", sizes.minibatch_rows())
            .uint("SAMPLES", sizes.samples())
            .uint("RPM", sizes.member_rows())
            .uint("GROUPS", optimisers)
            .uint("NORMS", networks.all_optimisers().len())
            .uint("LOG_PROB", loss.place(Input::LogProb))
            .uint("OLD_LOG_PROB", loss.place(Input::OldLogProb))
            .flag("CENTRED", loss.centred)
            .uint("CENTER", loss.place(Input::Center))
            .uint("WORDS", WORDS);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(ticks),
                Bind::Read(&loss.batch.region),
                Bind::Read(&loss.losses),
                Bind::Read(&loss.clip),
                Bind::Read(&adam.norms),
                Bind::Read(values),
                Bind::Read(&estimates.goal),
                Bind::Write(&sums),
                Bind::Read(&adam.params),
            ];
            Kernel::new(gpu, entry, &constants, &SOURCES, &binds)
        };
        Self {
            minibatch: kernel("minibatch_diagnostics"),
            explained_variance: kernel("explained_variance"),
            sums,
            members: sizes.members,
            two_norms: optimisers > 1,
            gaussian: !log_std.is_empty(),
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

    /// By name, per member; `minibatches`: those of the last update. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(
        &self,
        gpu: &Gpu,
        minibatches: u64,
    ) -> Result<Vec<BTreeMap<String, f64>>, GpuError> {
        let sums: Vec<f32> = gpu.read(&self.sums)?;
        let member = |words: &[f32]| {
            let means = MEANS
                .iter()
                .zip(words)
                .map(|(k, &w)| (*k, f64::from(w) / minibatches as f64));
            let means = means.filter(|(k, _)| match *k {
                "critic_grad_norm" => self.two_norms,
                "action_std" => self.gaussian,
                _ => true,
            });
            let means = means.map(|(k, w)| match k {
                // One optimiser for both networks has one norm.
                "actor_grad_norm" if !self.two_norms => ("grad_norm", w),
                _ => (k, w),
            });
            let first = OF_THE_FIRST
                .iter()
                .zip(&words[MEANS.len()..])
                .map(|(k, &w)| (*k, f64::from(w)));
            means.chain(first).map(|(k, w)| (k.to_owned(), w)).collect()
        };
        Ok(sums.chunks_exact(WORDS).map(member).collect())
    }
}
