//! Generalised advantage estimation (`ppo_family.md` §2) in one dispatch.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::sizes::Sizes;

const GAE: &str = include_str!("../../shaders/learn/gae.wgsl");

/// What every estimator writes, `[slots, P, E, A]`.
#[derive(Clone)]
pub struct Estimates {
    pub advantage: Region,
    /// The critic's target.
    pub goal: Region,
}

impl Estimates {
    pub fn new(gpu: &Gpu, sizes: &Sizes) -> Self {
        let words = |what: &str| gpu.storage(what, 4 * (sizes.slots() * sizes.rows()) as u64);
        Self {
            advantage: words("advantages"),
            goal: words("targets"),
        }
    }
}

/// Advantages of the one rollout that is kept, and the critic's targets (advantage plus value), from rewards, ends and values.
pub struct Gae {
    kernel: Kernel,
    groups: [usize; 3],
}

impl Gae {
    /// `values: [slots, P, E, A]`; `final_values: [slots, P, E, A]`, the values of what episodes ended with, where the step limit
    /// is to be bootstrapped. `discount`: γ and λ of each member.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        values: &Region,
        final_values: Option<&Region>,
        discount: &[[f32; 2]],
        estimates: &Estimates,
    ) -> Self {
        let discount = gpu.storage_from("discounts", discount);
        let constants = Constants::default()
            .uint("T", sizes.steps)
            .uint("MEMBERS", sizes.members)
            .uint("RPM", sizes.member_rows())
            .uint("AGENTS", sizes.agents)
            .flag("BOOTSTRAP", final_values.is_some());
        let binds = [
            Bind::Read(&io.reward),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(values),
            Bind::Read(final_values.unwrap_or(values)),
            Bind::Read(&discount),
            Bind::Write(&estimates.advantage),
            Bind::Write(&estimates.goal),
        ];
        Self {
            kernel: Kernel::new(gpu, "gae", &constants, &[GAE], &binds),
            groups: [sizes.member_rows().div_ceil(64), sizes.members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}
