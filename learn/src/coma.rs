//! COMA as an advantage estimator of PPO, the form in which figure 1 of GPAE compares it: a critic of every own action given what the others
//! did, and how much better than the policy's mean the taken one is. Where actions are numbers, a critic of the joint action, and the mean over
//! samples of the policy. `ppo_family.md` §6.3.

use merit_sim::env::{ActionSpace, VecEnv};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::config::Config;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::minibatch::TICK;
use crate::policy::{StoredPolicy, View};
use crate::ppo::{ActorCritic, Networks, Ppo, Recurrent};
use crate::sizes::Sizes;

pub struct Coma {
    pub ppo: Ppo,
    policy: StoredPolicy,
    /// πⁱ(· | oⁱ), `[slots, P, E, A, N]`; of numbers the means, `[slots, P, E, A, K]`.
    pub probabilities: Region,
    estimator: Kernel,
}

/// MAPPO's, but the critic sees what the others did and has an output per own action; where actions are numbers it sees all of them and
/// has one output.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    match sizes.actions {
        ActionSpace::Discrete(n) => Networks::separate(config, sizes, View::WorldAndOthers, n),
        ActionSpace::Continuous(_) => Networks {
            samples: config.counterfactual_samples,
            ..Networks::separate(config, sizes, View::WorldAndAll, 1)
        },
    }
}

impl Coma {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        let (sizes, io) = (ppo.sizes, ppo.env.io().clone());
        gpu.guarded("the estimator's kernels", || {
            let probabilities = match &ppo.sampled {
                Some(sampled) => sampled.means.clone(),
                None => gpu.storage("probabilities", ppo.critic_values.size),
            };
            let expected = ppo.sampled.as_ref().map_or(&probabilities, |s| &s.expected);
            // A critic of one output has written the values itself.
            let written = gpu.storage("values, written already", 4);
            let values = ppo.sampled.as_ref().map_or(&ppo.values, |_| &written);
            let memory = ppo.recurrent.as_ref().map(Recurrent::of_actor);
            let discount = gpu.storage_from("discounts", &config.each(|m| m.gamma as f32));
            let constants = Constants::default()
                .uint("MEMBERS", sizes.members)
                .uint("RPM", sizes.member_rows())
                .uint("AGENTS", sizes.agents)
                .uint("N", ppo.networks().critic.outputs())
                .flag("SAMPLED", ppo.sampled.is_some());
            let binds = [
                Bind::Tick(&ppo.ticks),
                Bind::Read(&io.reward),
                Bind::Read(&io.terminated),
                Bind::Read(&io.truncated),
                Bind::Read(&io.actions),
                Bind::Read(&ppo.critic_values),
                Bind::Read(expected),
                Bind::Read(&discount),
                Bind::Write(values),
                Bind::Write(&ppo.estimates.advantage),
                Bind::Write(&ppo.estimates.goal),
            ];
            let files = [TICK, include_str!("../../shaders/learn/coma.wgsl")];
            let actor = &ppo.networks().actor;
            Self {
                policy: StoredPolicy::new(
                    &ppo.context(),
                    actor,
                    &io,
                    &probabilities,
                    true,
                    memory,
                    None,
                ),
                estimator: Kernel::new(gpu, "coma", &constants, &files, &binds),
                probabilities,
                ppo,
            }
        })
        .map_err(LearnError::from)
    }

    /// The policy in every step, Q of every own action in every slot, the policy's mean of it, advantages, targets.
    pub fn record_estimates(&self, to: &mut Recorder) {
        self.policy.record(to, 0);
        self.ppo.record_values(to);
        self.record_advantages(to);
    }

    /// From Q and probabilities.
    pub fn record_advantages(&self, to: &mut Recorder) {
        let s = &self.ppo.sizes;
        let groups = [s.member_rows().div_ceil(64), s.members, s.steps];
        self.estimator.record(to, 0, groups);
    }
}

impl ActorCritic for Coma {
    fn ppo(&self) -> &Ppo {
        &self.ppo
    }

    fn ppo_mut(&mut self) -> &mut Ppo {
        &mut self.ppo
    }

    fn learn(&mut self) -> Result<(), LearnError> {
        let mut to = self.ppo.begin_update();

        // COLLECT: T steps of E environments with the current policy, then the actions in the last slot, which the next rollout begins
        // with.
        self.ppo.record_rollout(&mut to);

        // ESTIMATE: Q of every own action in every slot, the policy's mean of it, advantages, targets.
        self.record_estimates(&mut to);
        let ppo = &mut self.ppo;
        ppo.diagnostics.record_explained_variance(&mut to);
        ppo.credit.record(&mut to);

        // UPDATE: K epochs of minibatches; the critic's loss is of the action that was taken.
        ppo.record_epochs(&mut to)?;
        ppo.end_update(to)?;
        Ok(())
    }
}
