//! GPAE: PPO with generalised per-agent advantages. The critic learns EQⁱ(s, a⁻ⁱ), what the team may expect when the others do a⁻ⁱ
//! and agent i follows its policy; rollouts of older policies are learned from again. `ppo_family.md` §8.

use std::collections::BTreeMap;

use merit_sim::env::{EnvIo, VecEnv};
use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::LearnError;
use crate::config::{Config, CriticActions, Trace};
use crate::credit::Traces;
use crate::gae::Estimates;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::minibatch::TICK;
use crate::policy::{Context, StoredPolicy, Value, View};
use crate::ppo::{ActorCritic, Networks, Ppo, Recurrent, critic_value};
use crate::sizes::Sizes;

pub struct Gpae {
    pub ppo: Ppo,
    pub off_policy: Option<OffPolicy>,
    pub estimator: Estimator,
    pub target: Option<Target>,
}

/// A network that follows the critic, a step per update, and whose values estimate in its place (`target_polyak`, §8.4).
pub struct Target {
    /// `[P, stride]`, the critic's words among them.
    pub words: Region,
    follow: Kernel,
    groups: [usize; 3],
    value: Value,
}

/// What older rollouts need.
pub struct OffPolicy {
    pub policy: StoredPolicy,
    pub traces: Traces,
}

/// MAPPO's, but the critic sees what the others did.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let view = match config.critic_actions {
        CriticActions::Concat | CriticActions::Head => View::WorldAndOthers,
        CriticActions::None => View::World {
            agent_id: config.obs_with_agent_id,
        },
    };
    Networks::separate(config, sizes, view, 1)
}

impl Gpae {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let mut ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        let (sizes, io) = (ppo.sizes, ppo.env.io().clone());
        let discount = config.each(|m| [m.gamma, m.gae_lambda, m.eta, 0.0].map(|x| x as f32));
        let discount = gpu.storage_from("discounts", &discount);
        gpu.guarded("the estimator's kernels", || {
            let off_policy = ppo.said.as_ref().map(|said| {
                let memory = ppo.recurrent.as_ref().map(Recurrent::of_actor);
                let (context, actor) = (ppo.context(), &ppo.networks().actor);
                OffPolicy {
                    policy: StoredPolicy::new(
                        &context,
                        actor,
                        &io,
                        said,
                        false,
                        memory,
                        Some(&ppo.log_probs),
                    ),
                    traces: Traces::new(
                        gpu,
                        &sizes,
                        config.trace,
                        [said, &ppo.log_probs],
                        &discount,
                        (&ppo.ticks, ppo.rollouts_tick()),
                    ),
                }
            });
            let said = ppo.said.as_ref();
            let estimator = Estimator::new(
                gpu,
                &sizes,
                &io,
                &ppo.values,
                [said.unwrap_or(&ppo.log_probs), &ppo.log_probs],
                said.is_some().then_some(config.trace),
                &discount,
                &ppo.estimates,
            );
            let target = (config.target_polyak < 1.0).then(|| Target::new(&ppo, config));
            let target = target.transpose()?;
            if let Some(target) = &target {
                let shape = vec![sizes.members, ppo.networks().stride()];
                let saved = ("target".to_owned(), target.words.clone(), shape);
                ppo.also_saved.push(saved);
            }
            Ok(Self {
                estimator,
                off_policy,
                target,
                ppo,
            })
        })?
    }
}

impl Target {
    fn new(ppo: &Ppo, config: &Config) -> Result<Self, GpuError> {
        let (gpu, networks, io) = (&ppo.gpu, ppo.networks(), ppo.env.io());
        let words = gpu.storage("target network", ppo.adam.params.size);
        let (first, end) = (networks.actor.end(), networks.critic.end());
        let constants = Constants::default()
            .uint("STRIDE", networks.stride())
            .uint("FIRST", first)
            .uint("LENGTH", end - first)
            .float("TAU", config.target_polyak);
        let binds = [
            Bind::Tick(&ppo.ticks),
            Bind::Read(&ppo.adam.params),
            Bind::Write(&words),
        ];
        let files = [TICK, include_str!("../../shaders/learn/polyak.wgsl")];
        let context = Context {
            params: &words,
            ..ppo.context()
        };
        let (recurrent, values) = (ppo.recurrent.as_ref(), &ppo.critic_values);
        let value = critic_value(&context, networks, io, recurrent, values, None)?;
        Ok(Self {
            follow: Kernel::new(gpu, "polyak", &constants, &files, &binds),
            groups: [(end - first).div_ceil(64), ppo.sizes.members, 1],
            value,
            words,
        })
    }
}

impl ActorCritic for Gpae {
    fn ppo(&self) -> &Ppo {
        &self.ppo
    }

    fn ppo_mut(&mut self) -> &mut Ppo {
        &mut self.ppo
    }

    fn learn(&mut self) -> Result<(), LearnError> {
        let ppo = &mut self.ppo;
        let (sizes, rollouts, newest) = (ppo.sizes, ppo.rollouts(), ppo.rollout());
        let mut to = ppo.begin_update();

        // COLLECT: T steps of E environments with the current policy, over the oldest of the M rollouts; then the actions in the last
        // slot, for EQ needs them there. The next rollout begins with them.
        ppo.record_rollout(&mut to);

        // ESTIMATE: what critic and policy say now of all that is kept; ratios, traces, advantages, targets.
        let all = ppo.rollouts_tick();
        match &self.target {
            None => ppo.value.record(&mut to, all, rollouts),
            Some(target) => {
                target.follow.record(&mut to, all, target.groups);
                target.value.record(&mut to, all, rollouts);
            }
        }
        if let Some(old) = &self.off_policy {
            old.policy.record_all(&mut to, all, rollouts, newest);
        }
        self.estimator.record(&mut to, rollouts);
        ppo.diagnostics.record_explained_variance(&mut to);
        ppo.credit.record(&mut to);
        if let Some(old) = &self.off_policy {
            old.traces.record(&mut to);
        }

        // UPDATE: as many minibatches as without older rollouts, or as go over all of them in every epoch; drawn from all of them without
        // replacement.
        let of_all = rollouts * sizes.minibatches;
        for i in 0..ppo.gradient_steps() {
            let tick = ppo.minibatch_tick(0, i);
            if i % of_all == 0 {
                ppo.minibatches.record_epoch(&mut to, tick, rollouts);
            }
            ppo.record_gradients(&mut to, tick)?;
            ppo.record_optimisers(&mut to, tick);
        }
        ppo.end_update(to)?;
        Ok(())
    }

    fn more(&self) -> Result<Vec<BTreeMap<String, f64>>, LearnError> {
        match &self.off_policy {
            Some(old) => Ok(old.traces.read(&self.ppo.gpu)?),
            None => Ok(Vec::new()),
        }
    }
}

/// Advantages and targets of every rollout that is kept, one reverse scan.
pub struct Estimator {
    kernel: Kernel,
    groups: [usize; 2],
}

impl Estimator {
    /// `values: [slots, P, E, A]`; `log_probs`: ln π and ln μ of what was done, and with `trace` the weights that their ratios get,
    /// without it λ (on-policy, where all ratios are 1); `discount: [P, 4]`, γ, λ and η.
    #[allow(clippy::too_many_arguments)] // All that an estimate depends on.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        values: &Region,
        log_probs: [&Region; 2],
        trace: Option<Trace>,
        discount: &Region,
        estimates: &Estimates,
    ) -> Self {
        let constants = trace_constants(sizes, trace, 7)
            .uint("T", sizes.steps)
            .uint("MEMBERS", sizes.members)
            .uint("RPM", sizes.member_rows());
        let binds = [
            Bind::Read(&io.reward),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(values),
            Bind::Read(discount),
            Bind::Write(&estimates.advantage),
            Bind::Write(&estimates.goal),
            Bind::Read(log_probs[0]),
            Bind::Read(log_probs[1]),
        ];
        let files = [TRACES, include_str!("../../shaders/learn/gpae.wgsl")];
        Self {
            kernel: Kernel::new(gpu, "gpae", &constants, &files, &binds),
            groups: [sizes.member_rows().div_ceil(64), sizes.members],
        }
    }

    pub fn record(&self, to: &mut Recorder, rollouts: usize) {
        let [tiles, members] = self.groups;
        self.kernel.record(to, 0, [tiles, members, rollouts]);
    }
}

pub(crate) const TRACES: &str = include_str!("../../shaders/learn/traces.wgsl");

/// For `traces.wgsl`; `binding`: of ln π, and that after it of ln μ.
pub(crate) fn trace_constants(sizes: &Sizes, trace: Option<Trace>, binding: usize) -> Constants {
    let which = match trace.unwrap_or(Trace::None) {
        Trace::Dt => 0,
        Trace::St => 1,
        Trace::It => 2,
        Trace::None => 3,
        Trace::Full => 4,
    };
    Constants::default()
        .uint("AGENTS", sizes.agents)
        .uint("TRACE", which)
        .flag("OFF_POLICY", trace.is_some())
        .uint("SAID", binding)
        .uint("STORED", binding + 1)
}
