//! DAE (Li et al. 2022): GAE less what a learned reward model expects of the agent's policy with the others' actions as they were.
//! `ppo_family.md` §7.

use merit_sim::env::{EnvIo, VecEnv};
use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::LearnError;
use crate::config::Config;
use crate::dense::Stack;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::minibatch::{MINIBATCH, ModelInput, TICK};
use crate::net::{Network, Trunk};
use crate::policy::{StoredPolicy, Value, View};
use crate::ppo::{ActorCritic, Networks, Ppo, Recurrent};
use crate::recurrent::{Memory, TrunkStack};
use crate::sizes::Sizes;

pub struct Dae {
    pub ppo: Ppo,
    policy: StoredPolicy,
    /// πⁱ(· | oⁱ), `[slots, P, E, A, N]`.
    pub probabilities: Region,
    /// What each model expects, `[models, slots, P, E, A, N]`.
    pub predictions: Region,
    input: ModelInput,
    models: Vec<RewardModel>,
    estimator: Kernel,
}

/// MAPPO's, and reward models R(s, a⁻ⁱ) with an output per own action.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let mut networks = crate::mappo::networks(config, sizes);
    let (columns, outputs) = (View::WorldAndOthers.columns(sizes), sizes.outputs());
    let mut first = networks.critic.end();
    for _ in 0..config.reward_models {
        let model = Networks::network(config, first, columns, outputs);
        first = model.end();
        networks.models.push(model);
    }
    networks
}

impl Dae {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let mut ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        let (sizes, io) = (ppo.sizes, ppo.env.io().clone());
        gpu.guarded("the estimator's kernels", || {
            let words = sizes.slots() * sizes.rows() * sizes.outputs();
            let probabilities = gpu.storage("probabilities", 4 * words as u64);
            let predictions = (4 * words * config.reward_models) as u64;
            let predictions = gpu.storage("expected rewards", predictions);
            let context = ppo.context();
            let input =
                ModelInput::new(gpu, &ppo.minibatches, &io, View::WorldAndOthers, &ppo.ticks);
            let mut models = Vec::new();
            for (i, net) in ppo.networks().models.iter().enumerate() {
                let prediction = predictions.part(i * words, words);
                models.push(RewardModel::new(&ppo, &io, net, &input, &prediction)?);
            }
            let memory = ppo.recurrent.as_ref().map(Recurrent::of_actor);
            let actor = &ppo.networks().actor;
            let policy =
                StoredPolicy::new(&context, actor, &io, &probabilities, true, memory, None);
            let discount =
                config.each(|m| [m.gamma, m.gae_lambda, m.dae_beta, 0.0].map(|x| x as f32));
            let discount = gpu.storage_from("discounts", &discount);
            let constants = Constants::default()
                .uint("T", sizes.steps)
                .uint("MEMBERS", sizes.members)
                .uint("RPM", sizes.member_rows())
                .uint("AGENTS", sizes.agents)
                .uint("N", sizes.outputs())
                .uint("MODELS", config.reward_models)
                .flag("BOOTSTRAP", ppo.final_values.is_some())
                .flag("SHAPED_TARGET", config.dae_shaped_target);
            let binds = [
                Bind::Read(&io.reward),
                Bind::Read(&io.terminated),
                Bind::Read(&io.truncated),
                Bind::Read(&ppo.values),
                Bind::Read(ppo.final_values.as_ref().unwrap_or(&ppo.values)),
                Bind::Read(&probabilities),
                Bind::Read(&predictions),
                Bind::Read(&discount),
                Bind::Write(&ppo.estimates.advantage),
                Bind::Write(&ppo.estimates.goal),
            ];
            let files = [include_str!("../../shaders/learn/dae.wgsl")];
            let estimator = Kernel::new(gpu, "dae", &constants, &files, &binds);
            // What the models remember is kept, carried on and saved with the rest.
            if let Some(r) = &mut ppo.recurrent {
                r.memories
                    .extend(models.iter_mut().filter_map(|m| m.memory.take()));
            }
            Ok(Self {
                ppo,
                policy,
                probabilities,
                predictions,
                input,
                models,
                estimator,
            })
        })?
    }

    /// Values of all steps, expected rewards of all own actions, the policy's mean of them, advantages, targets.
    pub fn record_estimates(&self, to: &mut Recorder) {
        self.ppo.record_values(to);
        self.policy.record(to, 0);
        for model in &self.models {
            model.value.record(to, 0, 1);
        }
        self.record_advantages(to);
    }

    /// From values, expected rewards and probabilities.
    pub fn record_advantages(&self, to: &mut Recorder) {
        let s = &self.ppo.sizes;
        let groups = [s.member_rows().div_ceil(64), s.members, 1];
        self.estimator.record(to, 0, groups);
    }

    /// The models' part of a minibatch.
    pub fn record_model_gradients(&self, to: &mut Recorder, tick: usize) {
        self.input.record(to, tick);
        for model in &self.models {
            model.record_gradients(to, tick);
        }
    }
}

impl ActorCritic for Dae {
    fn ppo(&self) -> &Ppo {
        &self.ppo
    }

    fn ppo_mut(&mut self) -> &mut Ppo {
        &mut self.ppo
    }

    fn learn(&mut self) -> Result<(), LearnError> {
        let sizes = self.ppo.sizes;
        let mut to = self.ppo.begin_update();

        // COLLECT: T steps of E environments with the current policy, in one submission.
        self.ppo.record_rollout(&mut to);

        // ESTIMATE: values of all steps, expected rewards of all own actions, the policy's mean of them, advantages, targets.
        self.record_estimates(&mut to);
        self.ppo.diagnostics.record_explained_variance(&mut to);
        self.ppo.credit.record(&mut to);

        // UPDATE: K epochs of minibatches; actor, critic and every reward model take a step in each.
        for epoch in 0..sizes.epochs {
            let tick = self.ppo.minibatch_tick(epoch, 0);
            self.ppo.minibatches.record_epoch(&mut to, tick, 1);
            for minibatch in 0..sizes.minibatches {
                let tick = self.ppo.minibatch_tick(epoch, minibatch);
                self.ppo.record_gradients(&mut to, tick)?;
                self.record_model_gradients(&mut to, tick);
                self.ppo.record_optimisers(&mut to, tick);
            }
        }
        self.ppo.end_update(to);
        Ok(())
    }
}

/// R(s, a⁻ⁱ): the reward of each own action.
struct RewardModel {
    /// Over a rollout.
    value: Value,
    trunk: Option<TrunkStack>,
    stack: Stack,
    error: Kernel,
    error_groups: [usize; 3],
    /// Of a recurrent one, until the learner has it.
    memory: Option<Memory>,
}

impl RewardModel {
    /// `prediction: [slots, P, E, A, N]`.
    fn new(
        ppo: &Ppo,
        io: &EnvIo,
        net: &Network,
        input: &ModelInput,
        prediction: &Region,
    ) -> Result<Self, GpuError> {
        let (c, sizes, shape) = (ppo.context(), &ppo.sizes, &ppo.shape);
        let (gpu, view, minibatches) = (c.gpu, View::WorldAndOthers, &ppo.minibatches);
        let words = sizes.members * sizes.minibatch_rows() * sizes.outputs();
        let output = gpu.storage("expected rewards of a minibatch", 4 * words as u64);
        let output_grad = gpu.storage("their derivatives", output.size);
        let recurrent = |trunk: &Trunk, reset_in: &Region| {
            let memory = Memory::new(gpu, sizes.rows(), trunk.hidden(), 1);
            let trunk = TrunkStack::new(
                &c,
                shape,
                trunk,
                &input.rows,
                &memory,
                reset_in,
                (minibatches.constants(), &minibatches.order),
                &ppo.adam.partials,
            )?;
            Ok::<_, GpuError>((memory, trunk))
        };
        let (value, memory, trunk) = match (&net.trunk, &ppo.recurrent) {
            (Some(trunk), Some(r)) => {
                let reset_in = &r.resets.reset_in;
                let (memory, trunk) = recurrent(trunk, reset_in)?;
                let (start, state) = (&memory.start, &memory.state);
                let value = Value::recurrent(
                    &c,
                    net,
                    view,
                    &io.state,
                    &io.actions,
                    reset_in,
                    start,
                    state,
                    prediction,
                );
                (value, Some(memory), Some(trunk))
            }
            _ => {
                let (state, actions) = (&io.state, &io.actions);
                let value = Value::of_rollouts(&c, net, view, state, actions, prediction);
                (value, None, None)
            }
        };
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(&minibatches.order),
            Bind::Read(&io.actions),
            Bind::Read(&io.reward),
            Bind::Read(&output),
            Bind::Write(&output_grad),
        ];
        let file = include_str!("../../shaders/learn/reward_error.wgsl");
        let files = [TICK, MINIBATCH, file];
        Ok(Self {
            value,
            stack: Stack::new(
                gpu,
                shape,
                &net.layers,
                c.activate,
                c.params,
                trunk.as_ref().map_or(&input.rows, |t| &t.output),
                trunk.as_ref().map(|t| (&t.output_grad, false)),
                &output,
                &output_grad,
                &ppo.adam.partials,
            ),
            trunk,
            error: Kernel::new(
                gpu,
                "reward_error",
                &minibatches.constants(),
                &files,
                &binds,
            ),
            error_groups: [sizes.minibatch_rows().div_ceil(64), sizes.members, 1],
            memory,
        })
    }

    /// From a minibatch's inputs to the gradients of its weights.
    fn record_gradients(&self, to: &mut Recorder, tick: usize) {
        if let Some(trunk) = &self.trunk {
            trunk.record_gather(to, tick);
            trunk.record_forward(to);
        }
        self.stack.record_forward(to);
        self.error.record(to, tick, self.error_groups);
        self.stack.record_backward(to);
        if let Some(trunk) = &self.trunk {
            trunk.record_backward(to);
        }
    }
}
