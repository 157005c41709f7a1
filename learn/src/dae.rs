//! DAE (Li et al. 2022): GAE less what a learned reward model expects of the agent's policy with the others' actions as they were.
//! `ppo_family.md` §7.

use merit_sim::env::{ActionSpace, EnvIo, VecEnv};
use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::LearnError;
use crate::config::{Config, Network as Kind};
use crate::dense::Activate;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::layers::{Builder, Ends, Layers, Node};
use crate::minibatch::{MINIBATCH, ModelInput, TICK};
use crate::net::{Network, UNIFORM_WORDS};
use crate::pieces::{Judged, Pieces};
use crate::policy::{Context, Forget, Resets, StoredPolicy, Value, View, others_columns};
use crate::ppo::{ActorCritic, Networks, Ppo, Recurrent};
use crate::recurrent::{GatherMemory, Memory};
use crate::sizes::Sizes;

pub struct Dae {
    pub ppo: Ppo,
    policy: StoredPolicy,
    /// πⁱ(· | oⁱ), `[slots, P, E, A, N]`; of numbers the means, `[slots, P, E, A, K]`.
    pub probabilities: Region,
    /// What each model expects of every own action, `[models, slots, P, E, A, N]`, or where actions are numbers of the policy,
    /// `[models, slots, P, E, A]`; each model's in whole blocks of 64 words.
    pub predictions: Region,
    /// Of a minibatch: state, and actions.
    inputs: [ModelInput; 2],
    models: Vec<RewardModel>,
    estimator: Kernel,
}

/// MAPPO's, and reward models R(s, a⁻ⁱ) with an output per own action, or R(s, a) with one where actions are numbers.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let mut networks = crate::mappo::networks(config, sizes);
    let columns = [networks.view.columns(sizes), others_columns(sizes)];
    let (_, outputs) = actions_seen(sizes);
    let form = [config.network == Kind::Gru, config.reward_layer_norm];
    let mut first = networks.critic.end();
    for _ in 0..config.reward_models {
        let model = Network::reward_model(first, columns, config.reward_hidden, form, outputs);
        first = model.end();
        networks.models.push(model);
    }
    if let ActionSpace::Continuous(_) = sizes.actions {
        networks.samples = config.counterfactual_samples;
    }
    networks
}

/// Whose actions a reward model sees, and how many rewards it says.
fn actions_seen(sizes: &Sizes) -> (View, usize) {
    match sizes.actions {
        ActionSpace::Discrete(n) => (View::WorldAndOthers, n),
        ActionSpace::Continuous(_) => (View::WorldAndAll, 1),
    }
}

impl Dae {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let mut ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        let (sizes, io) = (ppo.sizes, ppo.env.io().clone());
        gpu.guarded("the estimator's kernels", || {
            let (actions, outputs) = actions_seen(&sizes);
            let words = sizes.slots() * sizes.rows() * outputs;
            // Where a binding may begin.
            let model_words = words.next_multiple_of(UNIFORM_WORDS);
            let predictions = (4 * model_words * config.reward_models) as u64;
            let predictions = gpu.storage("expected rewards", predictions);
            let probabilities = match &ppo.sampled {
                Some(sampled) => sampled.means.clone(),
                None => gpu.storage("probabilities", 4 * words as u64),
            };
            let context = ppo.context();
            let batch = ppo.minibatches.batch();
            let inputs = [
                ModelInput::new(&context, &batch, &io, ppo.networks().view),
                ModelInput::actions(&context, &batch, &io, actions),
            ];
            let of_episodes = Context {
                forget: Forget::WITH_THE_EPISODE,
                ..context
            };
            let recurrent = ppo.recurrent.is_some();
            let ends = recurrent.then(|| Resets::new(&of_episodes, &io));
            let reset_in = ends.as_ref().map(|e| &e.reset_in);
            let mut models = Vec::new();
            for (i, net) in ppo.networks().models.iter().enumerate() {
                let prediction = predictions.part(i * model_words, words);
                models.push(RewardModel::new(
                    &ppo,
                    &io,
                    net,
                    &inputs,
                    &prediction,
                    reset_in,
                )?);
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
                .uint("N", outputs)
                .uint("MODELS", config.reward_models)
                .uint("MODEL_WORDS", model_words)
                .flag("SAMPLED", ppo.sampled.is_some())
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
                r.ends = ends;
                r.memories
                    .extend(models.iter_mut().filter_map(|m| m.memory.take()));
            }
            Ok(Self {
                ppo,
                policy,
                probabilities,
                predictions,
                inputs,
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
        self.inputs.iter().for_each(|x| x.record(to, tick));
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
        self.ppo.end_update(to)?;
        Ok(())
    }
}

/// R(s, a⁻ⁱ): the reward of each own action; or R(s, a).
struct RewardModel {
    /// Over a rollout.
    value: Value,
    gather: Option<GatherMemory>,
    layers: Layers,
    error: Kernel,
    error_groups: [usize; 3],
    /// Of a recurrent one, until the learner has it.
    memory: Option<Memory>,
}

impl RewardModel {
    /// `reset_in: [slots, P, E, A]`, of recurrent ones; `prediction: [slots, P, E, A, N]`, or of numbers `[slots, P, E, A]`.
    fn new(
        ppo: &Ppo,
        io: &EnvIo,
        net: &Network,
        inputs: &[ModelInput; 2],
        prediction: &Region,
        reset_in: Option<&Region>,
    ) -> Result<Self, GpuError> {
        let (c, sizes, shape) = (ppo.context(), &ppo.sizes, &ppo.shape);
        let (gpu, minibatches) = (c.gpu, &ppo.minibatches);
        let words = sizes.members * sizes.minibatch_rows() * net.outputs();
        let output = gpu.storage("expected rewards of a minibatch", 4 * words as u64);
        let output_grad = gpu.storage("their derivatives", output.size);

        // The published code's, whatever the others' activation is.
        let activate = Activate::Relu;
        let [state, actions] = inputs;
        let state = Node::input(&state.rows, net.inputs());
        let actions = Node::input(&actions.rows, others_columns(sizes));
        let ends = Ends {
            output: &output,
            output_grad: Some(&output_grad),
        };
        let (partials, sequences) = (&ppo.adam.partials, [sizes.steps, sizes.sequences]);
        let mut builder = Builder::new(gpu, shape, c.params, Some(partials), sequences);
        let embedded = builder.of_state(net, activate, &state)?;
        builder.of_actions(net, activate, &embedded, &actions, ends)?;
        let layers = builder.finish();

        let memory = (net.trunk.as_ref())
            .map(|trunk| Memory::new(gpu, sizes.rows(), trunk.hidden(), sizes.reuse));
        let remembered = memory.as_ref().zip(reset_in);
        let gather = match (layers.gru(), remembered) {
            (Some(gru), Some((memory, reset_in))) => {
                let (batch, ends) = (minibatches.batch(), [&gru.reset, &gru.start]);
                let hidden = gru.output.stride;
                Some(GatherMemory::new(
                    &c, &batch, hidden, memory, reset_in, ends,
                ))
            }
            _ => None,
        };
        let pieces = Pieces::new(
            &c,
            &Judged {
                net,
                activate,
                state: ppo.networks().view,
                actions: actions_seen(sizes).0,
                io,
                memory: remembered,
                values: ppo.sampled.is_none().then_some(prediction),
                samples: ppo.sampled.as_ref().map(|s| s.samples(prediction)),
            },
        )?;
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
        let constants = minibatches.constants().uint("OUT", net.outputs());
        Ok(Self {
            value: Value::by_pieces(pieces),
            gather,
            layers,
            error: Kernel::new(gpu, "reward_error", &constants, &files, &binds),
            error_groups: [sizes.minibatch_rows().div_ceil(64), sizes.members, 1],
            memory,
        })
    }

    /// From a minibatch's inputs to the gradients of its weights.
    fn record_gradients(&self, to: &mut Recorder, tick: usize) {
        if let Some(gather) = &self.gather {
            gather.record(to, tick);
        }
        self.layers.record_forward(to);
        self.error.record(to, tick, self.error_groups);
        self.layers.record_backward(to);
    }
}
