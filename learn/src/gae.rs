//! Generalised advantage estimation (`ppo_family.md` §2) in one dispatch.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::sizes::Sizes;

const GAE: &str = include_str!("../../shaders/learn/gae.wgsl");

/// Advantages `[T, P, E, A]` and the critic's targets, from rewards, ends and values.
pub struct Gae {
    pub advantage: Region,
    /// The critic's target, advantage plus value.
    pub goal: Region,
    kernel: Kernel,
    groups: [usize; 3],
}

impl Gae {
    /// `values: [T + 1, P, E, A]`; `final_values: [T, P, E, A]`, the values of what episodes ended with, where the step limit
    /// is to be bootstrapped. `discount`: γ and λ of each member.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        values: &Region,
        final_values: Option<&Region>,
        discount: &[[f32; 2]],
    ) -> Self {
        let words = |what: &str| gpu.storage(what, 4 * (sizes.steps * sizes.rows()) as u64);
        let (advantage, goal) = (words("advantages"), words("targets"));
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
            Bind::Write(&advantage),
            Bind::Write(&goal),
        ];
        Self {
            kernel: Kernel::new(gpu, "gae", &constants, &[GAE], &binds),
            groups: [sizes.member_rows().div_ceil(64), sizes.members, 1],
            advantage,
            goal,
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, self.groups);
    }
}
