//! Actions that the environment replaced by its own choice: stored as done, with the policy's log-probability of them (`ppo_family.md` §8.9).

use merit_sim::env::VecEnv;
use merit_sim::gpu::Region;

use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::minibatch::TICK;
use crate::net::Network;
use crate::policy::{Context, StoredPolicy};

pub struct Replaced {
    actions: Kernel,
    policy: StoredPolicy,
    log_probs: Kernel,
    groups: [usize; 3],
}

impl Replaced {
    /// None where `env` never does it. `memory` as in [`StoredPolicy::new`].
    pub fn new(
        c: &Context<'_>,
        actor: &Network,
        env: &dyn VecEnv,
        log_probs: &Region,
        memory: Option<(&Region, &Region)>,
    ) -> Option<Self> {
        let (replaced, replacement) = (env.replaced()?, env.replacement()?);
        let (sizes, io) = (c.sizes, env.io());
        let said = c
            .gpu
            .storage("log-probabilities of replacements", log_probs.size);
        let constants = Constants::default()
            .uint("ROWS_OF_ALL", sizes.rows())
            .uint("REPLACEMENT", replacement as usize);
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(c.ticks),
                Bind::Read(replaced),
                Bind::Read(&said),
                Bind::Write(&io.actions),
                Bind::Write(log_probs),
            ];
            let files = [TICK, include_str!("../../shaders/learn/replaced.wgsl")];
            Kernel::new(c.gpu, entry, &constants, &files, &binds)
        };
        Some(Self {
            actions: kernel("replace_actions"),
            policy: StoredPolicy::new(c, actor, io, &said, false, memory, None),
            log_probs: kernel("replace_log_probs"),
            groups: [sizes.rows().div_ceil(64), sizes.steps, 1],
        })
    }

    /// Over the newest rollout, when it is over.
    pub fn record(&self, to: &mut Recorder) {
        self.actions.record(to, 0, self.groups);
        self.policy.record(to, 0);
        self.log_probs.record(to, 0, self.groups);
    }
}
