//! What the actor-critic algorithms have in common: memory, the steps that all of them take, reports, evaluation, checkpoints.

use std::collections::BTreeMap;

use merit_sim::env::{EnvIo, EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, GpuError, Region};
use merit_sim::registry::{self, Batch, Driver, EnvOptions};

use crate::LearnError;
use crate::adam::{self, Adam, AdamConfig};
use crate::burn_device::BurnDevice;
use crate::checkpoint::{Contents, Parameters};
use crate::config::{ActorRatio, Config, CriticActions, Network as Kind, Optimiser, ReuseSteps};
use crate::credit::Credit;
use crate::dead_units::DeadUnits;
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::diagnostics::Diagnostics;
use crate::distribution::{Distribution, Parts};
use crate::evaluate::Evaluation;
use crate::gae::{Estimates, Gae};
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::layers::{Builder, Ends, Layers, Node};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::loss::{Coefficients, Input, Loss};
use crate::minibatch::{Minibatches, ModelInput, Samples, TICK, items_of_one};
use crate::net::{Network, Trunk, UNIFORM_WORDS};
use crate::pieces::{self, Judged, Pieces};
use crate::policy::{Behaviour, Context, Policy, Remembered, Resets, Value, View, others_columns};
use crate::recurrent::{Memory, TrunkStack};
use crate::replaced::Replaced;
use crate::rng::{self, Purpose};
use crate::sizes::Sizes;
use crate::taken::Taken;
use crate::timing::Timestamps;

/// What a critic sees beside the actions that it reads apart (`ppo_family.md` §8.5).
const STATE_APART: View = View::World { agent_id: true };

/// What tells one algorithm from the other: the networks and who optimises what.
pub struct Networks {
    pub actor: Network,
    pub critic: Network,
    /// What the critic looks at.
    pub view: View,
    /// Samples of the policy that stand for the expectation over an agent's own numbers; 0: nobody asks for it.
    pub samples: usize,
    /// What an algorithm learns besides, each with an optimiser of its own: DAE's reward models.
    pub models: Vec<Network>,
    /// Ends of the ranges of a member's words of actor and critic that have a gradient norm and an optimiser of their own.
    pub optimisers: Vec<usize>,
}

impl Networks {
    /// An actor of observations and a critic that sees `view`, each with an optimiser and a gradient norm of its own, as MAPPO has
    /// them (`ppo_family.md` §1.1, 1.2 and 1.4). With `critic_actions = "head"` a critic of actions does not remember them (§8.5).
    pub fn separate(config: &Config, sizes: &Sizes, view: View, values: usize) -> Self {
        let actor = Self::network(config, 0, sizes.obs, sizes.outputs());
        let actor = actor.policy_for(sizes.actions);
        let first = actor.end();
        let late = view.others() && config.critic_actions == CriticActions::Head;
        let critic = if late {
            let inputs = [STATE_APART.columns(sizes), others_columns(sizes)];
            let recurrent = config.network == Kind::Gru;
            Network::actions_late(first, inputs, config.hidden, recurrent, values)
        } else {
            Self::network(config, first, view.columns(sizes), values)
        };
        let optimisers = vec![actor.end(), critic.end()];
        Self {
            actor,
            critic,
            view,
            samples: 0,
            models: vec![],
            optimisers,
        }
    }

    /// What the critic's input shows: all that it looks at, but for actions that it reads apart.
    pub fn critic_input(&self) -> View {
        match self.critic.apart {
            Some(_) => STATE_APART,
            None => self.view,
        }
    }

    /// A network of the configured kind, from word `first` on.
    pub fn network(config: &Config, first: usize, inputs: usize, outputs: usize) -> Network {
        match config.network {
            Kind::Ff => Network::feed_forward(first, inputs, config.hidden, outputs),
            Kind::Gru => {
                let trunk = Trunk::new(first, inputs, config.hidden);
                Network::recurrent(trunk.end(), trunk, outputs)
            }
        }
    }

    /// Words of a member's parameters.
    pub fn stride(&self) -> usize {
        let last = self.models.last().unwrap_or(&self.critic);
        last.end().next_multiple_of(UNIFORM_WORDS)
    }

    /// [`Networks::optimisers`], and those of the models.
    pub(crate) fn all_optimisers(&self) -> Vec<usize> {
        let models = self.models.iter().map(Network::end);
        self.optimisers.iter().copied().chain(models).collect()
    }

    /// Whether actor and critic remember together.
    fn shared_trunk(&self) -> bool {
        self.actor.trunk.is_some() && self.actor.trunk == self.critic.trunk
    }

    /// Name, place and shape of every array of a member's parameters.
    fn arrays(&self) -> Vec<(String, std::ops::Range<usize>, Vec<usize>)> {
        let mut arrays = self.actor.arrays("actor");
        let own = |name: &str| !self.shared_trunk() || name.contains("dense");
        let critic = self.critic.arrays("critic").into_iter();
        arrays.extend(critic.filter(|(name, ..)| own(name)));
        for (i, model) in self.models.iter().enumerate() {
            arrays.extend(model.arrays(&format!("model_{i}")));
        }
        arrays
    }
}

/// Makes the environments of a run, or of its evaluation.
///
/// # Errors
/// [`LearnError`]: what the environment or the adapter objects to.
pub fn make_env(gpu: &Gpu, config: &Config, batch: &Batch) -> Result<Box<dyn VecEnv>, LearnError> {
    Ok(registry::make(gpu, &config.env, &options(config)?, batch)?)
}

/// The environment's options.
///
/// # Errors
/// [`LearnError::Config`] for what has no JSON form.
pub fn options(config: &Config) -> Result<EnvOptions, LearnError> {
    config
        .options()
        .map_err(|e| LearnError::Config(e.to_string()))
}

/// An algorithm around a [`Ppo`]: what it does in an update is its own, the rest is the same.
pub trait ActorCritic {
    fn ppo(&self) -> &Ppo;
    fn ppo_mut(&mut self) -> &mut Ppo;

    /// Collect, estimate, update.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    fn learn(&mut self) -> Result<(), LearnError>;

    /// What the algorithm adds to the report of the last update, per member. Waits for the device.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    fn more(&self) -> Result<Vec<BTreeMap<String, f64>>, LearnError> {
        Ok(Vec::new())
    }
}

impl<T: ActorCritic> Learner for T {
    fn update(&mut self) -> Result<(), LearnError> {
        self.learn()
    }

    fn env_steps(&self) -> u64 {
        self.ppo().env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.ppo().steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.ppo().updates()
    }

    fn updates_done(&self) -> u64 {
        self.ppo().updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let more = self.more()?;
        let (mut reports, timing) = self.ppo_mut().report()?;
        for (report, more) in reports.iter_mut().zip(more) {
            report.diagnostics.extend(more);
        }
        Ok((reports, timing))
    }

    fn evaluate(
        &mut self,
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        self.ppo_mut().evaluate(episodes, greedy, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.ppo().checkpoint()
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        self.ppo_mut().restore(checkpoint)
    }
}

/// A population of actor-critic learners: environments, networks, and the memory between them.
pub struct Ppo {
    pub gpu: Gpu,
    pub sizes: Sizes,
    pub config: Config,
    networks: Networks,
    seeds: Vec<u64>,
    pub env: Box<dyn VecEnv>,
    pub ticks: Ticks,
    pub policy: Policy,
    /// The critic over all slots.
    pub value: Value,
    /// Where it writes, `[slots, P, E, A]`: [`Ppo::values`], or of a critic of the own actions `[slots, P, E, A, N]`.
    pub critic_values: Region,
    /// Between such a critic and the loss.
    pub taken: Option<Taken>,
    /// Where an expectation over the own actions is taken from samples.
    pub sampled: Option<Sampled>,
    /// Values of what episodes ended with, where truncation is bootstrapped.
    pub final_value: Option<Value>,
    /// `[slots, P, E, A]`: what it says.
    pub final_values: Option<Region>,
    pub estimates: Estimates,
    pub gae: Gae,
    pub minibatches: Minibatches,
    pub distribution: Distribution,
    pub actor: Stack,
    pub critic: Critic,
    pub loss: Loss,
    pub adam: Adam,
    pub shape: Shape,
    pub diagnostics: Diagnostics,
    pub credit: Credit,
    dead_units: DeadUnits,
    replaced: Option<Replaced>,
    pub timestamps: Timestamps,
    /// `[slots, P, E, A]`
    pub log_probs: Region,
    /// ln π of what was done, by the policy as it is when an update begins, `[slots, P, E, A]`; where older rollouts are kept.
    pub said: Option<Region>,
    /// Values of what was done, `[slots, P, E, A]`.
    pub values: Region,
    pub recurrent: Option<Recurrent>,
    carry: Kernel,
    evaluation: Option<Evaluation>,
    updates_done: u64,
    /// What an algorithm saves besides: name, region, shape.
    pub also_saved: Vec<(String, Region, Vec<usize>)>,
}

/// The critic behind its trunk, over a minibatch.
pub enum Critic {
    Stack(Stack),
    /// Of one that reads the actions apart.
    Apart {
        actions: ModelInput,
        layers: Layers,
    },
}

impl Critic {
    fn record_gather(&self, to: &mut Recorder, tick: usize) {
        if let Self::Apart { actions, .. } = self {
            actions.record(to, tick);
        }
    }

    fn record_forward(&self, to: &mut Recorder) {
        match self {
            Self::Stack(stack) => stack.record_forward(to),
            Self::Apart { layers, .. } => layers.record_forward(to),
        }
    }

    fn record_backward(&self, to: &mut Recorder) {
        match self {
            Self::Stack(stack) => stack.record_backward(to),
            Self::Apart { layers, .. } => layers.record_backward(to),
        }
    }

    fn hidden(&self) -> Vec<(&Region, usize)> {
        match self {
            Self::Stack(stack) => stack.hidden().collect(),
            Self::Apart { layers, .. } => layers.hidden().collect(),
        }
    }
}

/// The Gaussian policy's side of an expectation over an agent's own numbers (`ppo_family.md` §6.3 and 7.4).
pub struct Sampled {
    /// Its means, `[slots, P, E, A, K]`: what [`crate::policy::StoredPolicy`] says.
    pub means: Region,
    /// What is expected of the critic, `[slots, P, E, A]`.
    pub expected: Region,
    /// `[P]`
    keys: Region,
    log_std: usize,
    count: usize,
}

impl Sampled {
    /// Nothing where actions are no numbers, or nobody asks.
    fn new(gpu: &Gpu, sizes: &Sizes, networks: &Networks, seeds: &[u64]) -> Option<Self> {
        let log_std = networks.actor.log_std.filter(|_| networks.samples > 0)?;
        let words =
            |what: &str, n: usize| gpu.storage(what, 4 * (n * sizes.slots() * sizes.rows()) as u64);
        Some(Self {
            means: words("means of the policy", sizes.outputs()),
            expected: words("expected values", 1),
            keys: keys(gpu, seeds, Purpose::Counterfactual),
            log_std,
            count: networks.samples,
        })
    }

    /// For an expectation that goes to `expected: [slots, P, E, A]`.
    pub fn samples<'a>(&'a self, expected: &'a Region) -> pieces::Samples<'a> {
        pieces::Samples {
            count: self.count,
            means: &self.means,
            log_std: self.log_std,
            keys: &self.keys,
            expected,
        }
    }
}

/// The critic of `c.params` over rollouts, its values to `values`; what a recurrent one remembers is carried on. With `sampled` also what is
/// expected of it over the own action.
///
/// # Errors
/// [`GpuError::TooLarge`].
pub fn critic_value(
    c: &Context<'_>,
    networks: &Networks,
    io: &EnvIo,
    recurrent: Option<&Recurrent>,
    values: &Region,
    sampled: Option<&Sampled>,
) -> Result<Value, GpuError> {
    let (critic, view) = (&networks.critic, networks.view);
    let seen = match view {
        View::Observation => &io.obs,
        _ => &io.state,
    };
    if critic.apart.is_some() || sampled.is_some() {
        let last = |r: &'_ Recurrent| r.memories.len() - 1;
        let pieces = Pieces::new(
            c,
            &Judged {
                net: critic,
                activate: c.activate,
                state: networks.critic_input(),
                actions: view,
                io,
                memory: recurrent.map(|r| (&r.memories[last(r)], &r.resets.reset_in)),
                values: Some(values),
                samples: sampled.map(|s| s.samples(&s.expected)),
            },
        )?;
        return Ok(Value::by_pieces(pieces));
    }
    Ok(match recurrent {
        None => Value::of_rollouts(c, critic, view, seen, &io.actions, values),
        Some(r) => {
            let start = &r.memories[r.memories.len() - 1].start;
            // A shared memory is the policy's to move on; what the critic makes of it goes nowhere.
            let nowhere = c.gpu.storage("memory, again", r.memories[0].state.size);
            let state = r.memories.get(1).map_or(&nowhere, |m| &m.state);
            let reset_in = &r.resets.reset_in;
            let told = &io.actions;
            Value::recurrent(c, critic, view, seen, told, reset_in, start, state, values)
        }
    })
}

/// What recurrent networks add: one trunk that actor and critic share, or one each.
pub struct Recurrent {
    pub memories: Vec<Memory>,
    pub trunks: Vec<TrunkStack>,
    pub resets: Resets,
    /// Of networks that forget with the episode alone.
    pub ends: Option<Resets>,
    /// What the policy remembered in front of the slot that a rollout ended with, where it has acted there: the next one's start.
    pub before_last: Region,
}

impl Recurrent {
    /// Where the actor forgets, and what it remembered when the rollouts began.
    pub fn of_actor(&self) -> (&Region, &Region) {
        (&self.resets.reset_in, &self.memories[0].start)
    }
}

/// Makes the environments that the registry knows.
pub fn train_env(gpu: &Gpu, config: &Config) -> Result<Box<dyn VecEnv>, LearnError> {
    let slots = config.rollouts_kept() * (config.rollout + 1);
    let batch = Batch {
        seeds: config.seeds_from(config.seed),
        envs_per_member: config.envs,
        steps: slots,
        slots,
        driver: Driver::External,
        ..Batch::default()
    };
    make_env(gpu, config, &batch)
}

/// `[P]` keys of the members' draws for `purpose`.
pub fn keys(gpu: &Gpu, seeds: &[u64], purpose: Purpose) -> Region {
    let keys: Vec<_> = seeds.iter().map(|&s| rng::key(s, purpose)).collect();
    gpu.storage_from("keys", &keys)
}

impl Ppo {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(
        gpu: &Gpu,
        config: &Config,
        env: Box<dyn VecEnv>,
        networks: impl FnOnce(&Sizes) -> Networks,
    ) -> Result<Self, LearnError> {
        let sizes = Sizes::new(config, env.spec())?;
        sizes.check_dispatches(config)?;
        let networks = networks(&sizes);
        let stride = networks.stride();
        let members = sizes.members;
        let rows = sizes.minibatch_rows();
        for (what, per_sample) in [
            ("a minibatch's observations", sizes.obs),
            (
                "a minibatch's critic inputs",
                networks.critic_input().columns(&sizes),
            ),
            ("a minibatch's activations", config.hidden),
        ] {
            gpu.check_fits(
                what,
                4 * (members * per_sample) as u64,
                rows as u64,
                "samples in a minibatch",
            )?;
        }
        if env.replaced().is_some() && env.replacement().is_none() {
            return Err(LearnError::Config(format!(
                "{} replaces actions that are numbers, and what it makes of them is not known to a learner; set env_options.anomaly_probability = 0",
                config.env
            )));
        }
        if config.reward_shaping_horizon > 0 && !env.set_reward_shaping(gpu, 1.0) {
            return Err(LearnError::Config(format!(
                "`reward_shaping_horizon` is {}, but {} has no shaped reward; set it to 0",
                config.reward_shaping_horizon, config.env
            )));
        }
        let burn = BurnDevice::new(gpu)?;
        let seeds = config.seeds_from(config.seed);
        let io = env.io().clone();
        let by_rows = config.by_rows(gpu);
        let columns = networks.critic_input().columns(&sizes);
        let widths = [config.hidden, sizes.obs, columns].map(|n| n.next_multiple_of(4));
        let shape = Shape::new(gpu, members, rows, stride, &widths, by_rows);
        let most_steps = gradient_steps(config, &sizes, sizes.reuse as u64);
        let ticks = Ticks::new(gpu, sizes.steps + 2 + most_steps as usize);
        let sharers = if config.scale_clip_eps {
            sizes.agents as f64
        } else {
            1.0
        };
        let coefficients = Coefficients {
            clip: config.each(|m| (m.clip_eps / sharers) as f32),
            entropy: config.each(|m| m.ent_coef as f32),
            value: config.each(|m| m.vf_coef as f32),
        };
        let centred = sizes.reuse > 1 && config.actor_ratio == ActorRatio::Geppo;
        let loss = Loss::new(gpu, &burn, rows, &coefficients, config.clip_value, centred)?;

        gpu.guarded("the learner's kernels", || {
            let adam = Adam::new(
                gpu,
                &shape,
                &networks.all_optimisers(),
                &AdamConfig {
                    epsilon: config.adam_eps,
                    max_grad_norm: max_grad_norms(config, &networks),
                    rule: Optimiser::Adam,
                },
                &config.each(|m| m.learning_rate as f32),
                &ticks,
            );
            let context = Context {
                gpu,
                sizes: &sizes,
                activate: Activate::from(config.activation),
                forget: config.rnn_reset.into(),
                by_rows: shape.by_rows,
                params: &adam.params,
                stride,
                ticks: &ticks,
            };
            let samples =
                |slots: usize, what: &str| gpu.storage(what, 4 * (slots * sizes.rows()) as u64);
            let log_probs = samples(sizes.slots(), "log-probabilities");
            let values = samples(sizes.slots(), "values");
            let said = (sizes.reuse > 1).then(|| samples(sizes.slots(), "log-probabilities now"));
            let final_values = config
                .bootstrap_truncated
                .then(|| samples(sizes.slots(), "final values"));
            let discount = config.each(|m| [m.gamma as f32, m.gae_lambda as f32]);
            let estimates = Estimates::new(gpu, &sizes);
            let gae = Gae::new(
                gpu,
                &sizes,
                &io,
                &values,
                final_values.as_ref(),
                &discount,
                &estimates,
            );
            let critic_values = match networks.critic.outputs() {
                1 => values.clone(),
                n => samples(n * sizes.slots(), "values of actions"),
            };
            let minibatches = Minibatches::new(
                gpu,
                &sizes,
                &io,
                &Samples {
                    log_probs: &log_probs,
                    said: said.as_ref().map(|said| (said, config.actor_ratio)),
                    values: &values,
                },
                &estimates,
                &loss,
                networks.critic_input(),
                &keys(gpu, &seeds, Purpose::Shuffle),
                &ticks,
            );
            let distribution = Distribution::new(
                &Parts {
                    gpu,
                    sizes: &sizes,
                    shape: &shape,
                    io: &io,
                    minibatches: &minibatches,
                    loss: &loss,
                    adam: &adam,
                    ticks: &ticks,
                },
                &networks.actor,
            );
            let recurrent = recurrent(&context, &shape, &networks, &io, &minibatches, &adam)?;

            let (critic, view) = (&networks.critic, networks.view);
            let sampled = Sampled::new(gpu, &sizes, &networks, &seeds);
            let value = critic_value(
                &context,
                &networks,
                &io,
                recurrent.as_ref(),
                &critic_values,
                sampled.as_ref().filter(|_| view.own_action()),
            )?;
            let seen_last = match view {
                View::Observation => &io.final_obs,
                _ => &io.final_state,
            };
            let stack =
                |net: &Network, trunk: usize, input: &Rows, output: &Region, grad: &Region| {
                    let trunk = recurrent.as_ref().map(|r| {
                        let last = trunk.min(r.trunks.len() - 1);
                        // The second to write into a shared trunk adds.
                        (&r.trunks[last], last != trunk)
                    });
                    Stack::new(
                        gpu,
                        &shape,
                        &net.layers,
                        context.activate,
                        &adam.params,
                        trunk.map_or(input, |(t, _)| &t.output),
                        trunk.map(|(t, add)| (&t.output_grad, add)),
                        output,
                        grad,
                        &adam.partials,
                    )
                };
            let taken = (critic.outputs() > 1).then(|| {
                let values = &loss.input(Input::Values);
                Taken::new(
                    &context,
                    &io,
                    &minibatches,
                    critic.outputs(),
                    values,
                    &distribution.values_grad,
                )
            });
            let actor = stack(
                &networks.actor,
                0,
                &minibatches.actor_input,
                &distribution.output,
                &distribution.output_grad,
            );
            let told_values = loss.input(Input::Values);
            let critic_output = taken.as_ref().map_or(&told_values, |t| &t.output);
            let of_values = &distribution.values_grad;
            let critic_grad = taken.as_ref().map_or(of_values, |t| &t.output_grad);
            let critic_input = &minibatches.critic_input;
            let critic_layers = if critic.apart.is_none() {
                Critic::Stack(stack(critic, 1, critic_input, critic_output, critic_grad))
            } else {
                let batch = minibatches.batch();
                let actions = ModelInput::actions(&context, &batch, &io, view);
                let sequences = [sizes.steps, sizes.sequences];
                let mut builder =
                    Builder::new(gpu, &shape, &adam.params, Some(&adam.partials), sequences);
                let state = match &recurrent {
                    // The trunk has been over it.
                    Some(r) => {
                        let trunk = &r.trunks[r.trunks.len() - 1];
                        Node {
                            rows: trunk.output.clone(),
                            units: trunk.output.stride,
                            ended_with: Activate::None,
                            grad: Some(trunk.output_grad.clone()),
                        }
                    }
                    None => {
                        let state = Node::input(critic_input, critic.inputs());
                        builder.of_state(critic, context.activate, &state)?
                    }
                };
                let told = Node::input(&actions.rows, others_columns(&sizes));
                let ends = Ends {
                    output: critic_output,
                    output_grad: Some(critic_grad),
                };
                builder.of_actions(critic, context.activate, &state, &told, ends)?;
                let layers = builder.finish();
                Critic::Apart { actions, layers }
            };
            let hidden = [
                ("actor", actor.hidden().collect(), rows),
                ("critic", critic_layers.hidden(), rows),
            ];
            let dead_units = DeadUnits::new(gpu, members, hidden);
            let learner = Self {
                policy: Policy::new(
                    &context,
                    &networks.actor,
                    &io,
                    &keys(gpu, &seeds, Purpose::Act),
                    &log_probs,
                    recurrent.as_ref().map(|r| Remembered {
                        memory: &r.memories[0].state,
                        carried: &r.resets.carried,
                    }),
                    Behaviour::default(),
                ),
                value,
                final_value: final_values
                    .as_ref()
                    .map(|v| Value::of_ends(&context, critic, view, seen_last, v)),
                actor,
                critic: critic_layers,
                sampled,
                dead_units,
                diagnostics: Diagnostics::new(
                    gpu, &sizes, &loss, &adam, &networks, &values, &estimates, &ticks,
                ),
                credit: Credit::new(gpu, &sizes, &*env, &estimates, &values, &ticks),
                replaced: Replaced::new(
                    &context,
                    &networks.actor,
                    &*env,
                    &log_probs,
                    recurrent.as_ref().map(Recurrent::of_actor),
                ),
                timestamps: Timestamps::new(gpu),
                final_values,
                carry: carry_kernel(
                    gpu,
                    &sizes,
                    &io,
                    networks.view.others().then_some(&log_probs),
                    &ticks,
                ),
                gpu: gpu.clone(),
                config: config.clone(),
                sizes,
                seeds,
                env,
                estimates,
                gae,
                minibatches,
                distribution,
                loss,
                log_probs,
                said,
                values,
                critic_values,
                taken,
                shape,
                recurrent,
                evaluation: None,
                updates_done: 0,
                also_saved: vec![],
                networks,
                ticks,
                adam,
            };
            learner.initialise();
            Ok(learner)
        })?
    }

    /// T steps of E environments with the current policy.
    pub fn record_rollout(&mut self, to: &mut Recorder) {
        self.timestamps.begin_rollout(to.encoder());
        self.record_start(to);
        let first = self.rollout() * (self.sizes.steps + 1);
        for t in 0..self.sizes.steps {
            // A critic that sees what others do has had them act in the first slot already, when it was the last.
            let acted = t == 0 && self.carries_action() && self.updates_done > 0;
            if !acted {
                self.policy.record(to, t);
            }
            self.env.record_step(to.pass(), first + t);
            to.launches += u64::from(self.env.dispatches_per_step());
            if let Some(final_value) = &self.final_value {
                final_value.record(to, t, 1);
            }
        }
        if self.carries_action() {
            if let Some(r) = &self.recurrent {
                to.copy(&r.memories[0].state, &r.before_last);
            }
            self.policy.record(to, self.sizes.steps);
        }
        if let Some(r) = &self.recurrent {
            r.resets.record(to);
            r.ends.iter().for_each(|ends| ends.record(to));
        }
        if let Some(replaced) = &self.replaced {
            replaced.record(to);
        }
        self.timestamps.end_rollout(to.encoder());
    }

    /// Whether the last slot of a rollout has an action, which the next rollout begins with (`ppo_family.md` §8.5).
    fn carries_action(&self) -> bool {
        self.networks.view.others()
    }

    /// Keeps what the networks remembered when the rollout began: every epoch begins there.
    fn record_start(&self, to: &mut Recorder) {
        let Some(r) = &self.recurrent else { return };
        let rollout = self.rollout();
        for (i, memory) in r.memories.iter().enumerate() {
            let acted = i == 0 && self.carries_action() && self.updates_done > 0;
            let from = if acted { &r.before_last } else { &memory.state };
            memory.record_start(to, from, rollout);
        }
    }

    /// Values of all slots of the newest rollout.
    pub fn record_values(&self, to: &mut Recorder) {
        self.value.record(to, 0, 1);
    }

    /// K epochs of minibatches of the one rollout, a step of every optimiser for each; all gradients of a minibatch are taken at the
    /// same parameters.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_epochs(&self, to: &mut Recorder) -> Result<(), LearnError> {
        for epoch in 0..self.sizes.epochs {
            let first = self.minibatch_tick(epoch, 0);
            self.minibatches.record_epoch(to, first, 1);
            for tick in first..first + self.sizes.minibatches {
                self.record_gradients(to, tick)?;
                self.record_optimisers(to, tick);
            }
        }
        Ok(())
    }

    /// From a minibatch's samples to the gradients of actor and critic, both at the same parameters.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn record_gradients(&self, to: &mut Recorder, tick: usize) -> Result<(), LearnError> {
        self.record_gather(to, tick);
        self.record_forward(to, tick);
        to.submit();
        to.launches += self.loss.replay()?;
        self.record_backward(to, tick);
        Ok(())
    }

    /// A step of every optimiser.
    pub fn record_optimisers(&self, to: &mut Recorder, tick: usize) {
        self.adam.record_norms(to, tick);
        self.diagnostics.record_minibatch(to, tick);
        self.adam.record_step(to, tick);
    }

    /// A minibatch's samples to where networks and loss read them.
    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        self.minibatches.record_gather(to, tick);
        self.critic.record_gather(to, tick);
        for trunk in self.trunks() {
            trunk.record_gather(to, tick);
        }
    }

    /// Log-probabilities, entropies and values of a minibatch.
    pub fn record_forward(&self, to: &mut Recorder, tick: usize) {
        self.trunks().iter().for_each(|t| t.record_forward(to));
        self.actor.record_forward(to);
        self.distribution.record_forward(to, tick);
        self.critic.record_forward(to);
        if let Some(taken) = &self.taken {
            taken.record_forward(to, tick);
        }
    }

    /// From the loss's derivatives to those of all weights.
    pub fn record_backward(&self, to: &mut Recorder, tick: usize) {
        self.distribution.record_backward(to, tick);
        if let Some(taken) = &self.taken {
            taken.record_backward(to, tick);
        }
        self.actor.record_backward(to);
        self.critic.record_backward(to);
        self.trunks().iter().for_each(|t| t.record_backward(to));
    }

    fn trunks(&self) -> &[TrunkStack] {
        self.recurrent.as_ref().map_or(&[], |r| &r.trunks)
    }

    /// What kernels over the rollouts need.
    pub fn context(&self) -> Context<'_> {
        Context {
            gpu: &self.gpu,
            sizes: &self.sizes,
            activate: Activate::from(self.config.activation),
            forget: self.config.rnn_reset.into(),
            by_rows: self.shape.by_rows,
            params: &self.adam.params,
            stride: self.networks.stride(),
            ticks: &self.ticks,
        }
    }

    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Initial parameters, and the first observations.
    fn initialise(&self) {
        let stride = self.networks.stride();
        let mut words = vec![0.0; self.sizes.members * stride];
        for (words, &seed) in words.chunks_exact_mut(stride).zip(&self.seeds) {
            // The trunk that both share, if they do, is the second's.
            self.networks.actor.initialise(words, seed, 0, 0.01);
            self.networks.critic.initialise(words, seed, 16, 1.0);
            for (model, stream) in self.networks.models.iter().zip((32..).step_by(16)) {
                model.initialise_orthogonal(words, seed, stream);
            }
            if let Some(log_std) = self.networks.actor.log_std_words() {
                words[log_std].fill(self.config.log_std_init as f32);
            }
        }
        self.gpu.write(&self.adam.params, &words);
        let mut to = Recorder::new(&self.gpu);
        self.env.record_reset(to.pass());
        to.submit();
    }

    /// Writes the ticks of the coming update: a block per step of the rollout, then one per minibatch.
    pub fn begin_update(&mut self) -> Recorder {
        let (s, done) = (self.sizes, self.updates_done);
        let first = (self.rollout() * (s.steps + 1)) as u32;
        for t in 0..=s.steps {
            let step = first + t as u32;
            let tick = Tick {
                slot: step,
                step,
                draw: (done * s.steps as u64 + t as u64) as u32,
                before: if t == 0 { Tick::CARRIED } else { step - 1 },
                ..Tick::default()
            };
            self.ticks.set(t, tick);
        }
        let all = Tick {
            slot: 0,
            step: first,
            items: self.rollouts() as u32,
            first: u32::from(done == 0),
            ..Tick::default()
        };
        self.ticks.set(self.rollouts_tick(), all);
        // JaxMARL's annealing: constant within an update.
        let left = 1.0 - done as f64 / self.updates() as f64;
        let anneal = if self.config.anneal_lr { left } else { 1.0 };
        if self.config.anneal_ent_coef {
            let weights = self.config.each(|m| (m.ent_coef * left) as f32);
            self.gpu.write(&self.loss.entropy_weight, &weights);
        }
        let config = &self.config;
        let steps = |update: u64| gradient_steps(config, &s, update + 1);
        let before = match self.config.reuse_steps {
            ReuseSteps::Same => done * steps(done),
            // As many rollouts as there were, then as many as are kept.
            ReuseSteps::All => {
                let filling = done.min(s.reuse as u64);
                (0..filling).map(steps).sum::<u64>() + (done - filling) * steps(done)
            }
        };
        let of_an_epoch = (steps(done) as usize / s.epochs).max(1);
        for i in 0..steps(done) as usize {
            let step = before + i as u64 + 1;
            let [correction_1, correction_2] = adam::corrections(step);
            let tick = Tick {
                draw: (done * s.epochs as u64 + (i / of_an_epoch) as u64) as u32,
                minibatch: (i % (self.rollouts() * s.minibatches)) as u32,
                items: (self.rollouts() * items_of_one(&s)) as u32,
                first: u32::from(i == 0),
                correction_1,
                correction_2,
                anneal: anneal as f32,
                ..Tick::default()
            };
            self.ticks.set(self.minibatch_tick(0, i), tick);
        }
        self.ticks.upload(&self.gpu);
        if self.config.reward_shaping_horizon > 0 {
            let weight = shaping_weight(self.env_steps(), self.config.reward_shaping_horizon);
            self.env.set_reward_shaping(&self.gpu, weight);
        }
        Recorder::new(&self.gpu)
    }

    /// Gradient steps of the update under way.
    pub fn gradient_steps(&self) -> usize {
        gradient_steps(&self.config, &self.sizes, self.updates_done + 1) as usize
    }

    /// Tick of everything that is for all rollouts; that of the newest alone is tick 0.
    pub fn rollouts_tick(&self) -> usize {
        self.sizes.steps + 1
    }

    /// Tick of a minibatch.
    pub fn minibatch_tick(&self, epoch: usize, minibatch: usize) -> usize {
        self.sizes.steps + 2 + epoch * self.sizes.minibatches + minibatch
    }

    /// Which of the rollouts that are kept is the newest.
    pub fn rollout(&self) -> usize {
        (self.updates_done % self.sizes.reuse as u64) as usize
    }

    /// Rollouts that there are, the one under way included.
    pub fn rollouts(&self) -> usize {
        (self.updates_done + 1).min(self.sizes.reuse as u64) as usize
    }

    /// The last slot becomes the first, and the update is over.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where a dispatch of it needed too many workgroups.
    pub fn end_update(&mut self, mut to: Recorder) -> Result<(), LearnError> {
        self.dead_units.record(&mut to);
        self.carry.record(&mut to, 0, [64, 1, 1]);
        if let Some(r) = &self.recurrent {
            let slot = self.rollout() * (self.sizes.steps + 1) + self.sizes.steps;
            r.resets.carry(&mut to, slot);
            r.ends.iter().for_each(|ends| ends.carry(&mut to, slot));
        }
        let launches = to.launches;
        self.timestamps.end_update(to.encoder(), launches);
        to.finish()?;
        self.updates_done += 1;
        Ok(())
    }

    pub fn env_steps(&self) -> u64 {
        self.updates_done * self.steps_per_update()
    }

    pub fn steps_per_update(&self) -> u64 {
        (self.sizes.envs * self.sizes.steps) as u64
    }

    pub fn updates(&self) -> u64 {
        self.config.total_steps / self.sizes.steps as u64 / self.sizes.envs as u64
    }

    pub fn updates_done(&self) -> u64 {
        self.updates_done
    }

    pub fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let timing = self.timestamps.read(&self.gpu)?;
        let mut to = Recorder::new(&self.gpu);
        self.env.record_stats(to.pass());
        to.submit();
        let words: Vec<f32> = self.gpu.read(self.env.stats_region())?;
        let episodes = words
            .chunks_exact(EpisodeStats::WORDS)
            .map(EpisodeStats::from_words);
        let steps = gradient_steps(&self.config, &self.sizes, self.updates_done.max(1));
        let diagnostics = self.diagnostics.read(&self.gpu, steps)?;
        let credit = self.credit.read(&self.gpu)?;
        let dead_units = self.dead_units.read(&self.gpu)?;
        let reports = episodes
            .zip(diagnostics)
            .zip(credit.into_iter().zip(dead_units));
        let reports = reports.map(|((episodes, mut diagnostics), (credit, dead_units))| {
            diagnostics.extend(credit);
            diagnostics.extend(dead_units);
            MemberReport {
                episodes,
                diagnostics,
            }
        });
        Ok((reports.collect(), timing))
    }

    pub fn evaluate(
        &mut self,
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        let fits = self
            .evaluation
            .as_ref()
            .is_some_and(|e| e.is_for(episodes, seed));
        if !fits {
            // The memory of the old one goes first.
            self.evaluation = None;
            let actor = &self.networks.actor;
            let evaluation = Evaluation::new(&self.context(), &self.config, actor, episodes, seed)?;
            self.evaluation = Some(evaluation);
        }
        match &mut self.evaluation {
            Some(evaluation) => evaluation.run(&self.gpu, greedy),
            None => Ok(Vec::new()),
        }
    }

    /// Device memory that is saved as it is: name, region, shape.
    fn saved(&self) -> Vec<(String, Region, Vec<usize>)> {
        let (s, io) = (&self.sizes, self.env.io());
        let params = vec![s.members, self.networks.stride()];
        let mut saved = vec![
            ("adam.m".to_owned(), self.adam.m.clone(), params.clone()),
            ("adam.v".to_owned(), self.adam.v.clone(), params),
            (
                "env.sums".to_owned(),
                self.env.env_sums().clone(),
                vec![EpisodeStats::WORDS, s.members * s.envs],
            ),
        ];
        saved.extend(self.also_saved.iter().cloned());
        // One rollout is over; of several, those to come learn from.
        let slots = if s.reuse > 1 { s.slots() } else { 1 };
        let envs = s.members * s.envs;
        let mut rows = vec![
            ("env.obs", &io.obs, s.rows() * s.obs),
            ("env.state", &io.state, envs * s.state),
            // Continuous actions have no mask.
            ("env.avail", &io.avail, s.rows() * s.actions.mask()),
        ];
        // What is learned from again, whatever the critic sees.
        if self.carries_action() || s.reuse > 1 {
            rows.push(("rollout.actions", &io.actions, s.rows() * s.actions.words()));
            rows.push(("rollout.log_probs", &self.log_probs, s.rows()));
        }
        if s.reuse > 1 {
            rows.push(("rollout.reward", &io.reward, s.rows()));
            rows.push(("rollout.terminated", &io.terminated, envs));
            rows.push(("rollout.truncated", &io.truncated, envs));
        }
        if let Some(r) = self.recurrent.as_ref().filter(|_| s.reuse > 1) {
            rows.push(("rollout.reset", &r.resets.reset_in, s.rows()));
        }
        for (name, region, words) in rows.into_iter().filter(|(_, _, words)| *words > 0) {
            saved.push((
                name.into(),
                region.part(0, slots * words),
                vec![slots, words],
            ));
        }
        if let Some(r) = &self.recurrent {
            let shape = vec![s.rows()];
            if let Some(ends) = &r.ends {
                saved.push(("memory.ended".into(), ends.carried.clone(), shape.clone()));
            }
            saved.push(("memory.reset".into(), r.resets.carried.clone(), shape));
            for (i, memory) in r.memories.iter().enumerate() {
                let hidden = (memory.state.size / 4) as usize / s.rows();
                let shape = vec![s.rows(), hidden];
                saved.push((format!("memory.{i}"), memory.state.clone(), shape.clone()));
                if s.reuse > 1 {
                    let shape = [vec![s.reuse], shape].concat();
                    saved.push((format!("memory.{i}.start"), memory.start.clone(), shape));
                }
            }
            if self.carries_action() {
                let shape = vec![s.rows(), self.config.hidden];
                saved.push(("memory.before_last".into(), r.before_last.clone(), shape));
            }
        }
        saved
    }

    fn contents(&self) -> Contents<'_> {
        let parameters = Parameters {
            words: &self.adam.params,
            stride: self.networks.stride(),
            arrays: self.networks.arrays(),
        };
        Contents {
            gpu: &self.gpu,
            members: self.sizes.members,
            parameters: vec![parameters],
            memory: self.saved(),
            whole: vec![],
        }
    }

    pub fn checkpoint(&self) -> Result<Checkpoint, LearnError> {
        self.contents().save(&*self.env, self.updates_done)
    }

    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        self.updates_done = self.contents().restore(&*self.env, checkpoint)?;
        Ok(())
    }
}

/// JaxMARL's annealing of shaped rewards (`overcooked_and_small_games.md` §6): constant within an update.
pub(crate) fn shaping_weight(steps: u64, horizon: u64) -> f32 {
    (1.0 - steps as f64 / horizon as f64).max(0.0) as f32
}

/// Gradient steps of an update, where so many rollouts have begun.
fn gradient_steps(config: &Config, sizes: &Sizes, begun: u64) -> u64 {
    let of_one = (sizes.epochs * sizes.minibatches) as u64;
    match config.reuse_steps {
        ReuseSteps::Same => of_one,
        ReuseSteps::All => of_one * begun.min(sizes.reuse as u64),
    }
}

/// The trunks of recurrent networks, and what they remember; nothing for feed-forward ones.
fn recurrent(
    c: &Context<'_>,
    shape: &Shape,
    networks: &Networks,
    io: &EnvIo,
    minibatches: &Minibatches,
    adam: &Adam,
) -> Result<Option<Recurrent>, LearnError> {
    let (Some(actor), Some(critic)) = (&networks.actor.trunk, &networks.critic.trunk) else {
        return Ok(None);
    };
    let own = [
        (actor, &minibatches.actor_input),
        (critic, &minibatches.critic_input),
    ];
    let own = if networks.shared_trunk() {
        &own[..1]
    } else {
        &own[..]
    };
    let before_last = 4 * (c.sizes.rows() * actor.hidden()) as u64;
    let before_last = c.gpu.storage("memory before the last slot", before_last);
    let resets = Resets::new(c, io);
    let (mut memories, mut trunks) = (vec![], vec![]);
    for (trunk, input) in own {
        let memory = Memory::new(c.gpu, c.sizes.rows(), trunk.hidden(), c.sizes.reuse);
        trunks.push(TrunkStack::new(
            c,
            shape,
            trunk,
            input,
            &memory,
            &resets.reset_in,
            &minibatches.batch(),
            &adam.partials,
        )?);
        memories.push(memory);
    }
    Ok(Some(Recurrent {
        memories,
        trunks,
        resets,
        ends: None,
        before_last,
    }))
}

/// WebGPU does not copy within one buffer, so a kernel does. `log_probs`: carried with the actions, where they are.
pub(crate) fn carry_kernel(
    gpu: &Gpu,
    s: &Sizes,
    io: &EnvIo,
    log_probs: Option<&Region>,
    ticks: &Ticks,
) -> Kernel {
    let of_actions = |words: usize| if log_probs.is_some() { words } else { 0 };
    let constants = Constants::default()
        .uint("T", s.steps)
        .uint("REUSE", s.reuse)
        .uint("OBS_WORDS", s.rows() * s.obs)
        .uint("STATE_WORDS", s.members * s.envs * s.state)
        .uint("AVAIL_WORDS", s.rows() * s.actions.mask())
        .uint("ACTION_WORDS", of_actions(s.rows() * s.actions.words()))
        .uint("LOG_PROB_WORDS", of_actions(s.rows()));
    // Bound, and not touched, where nothing is carried of them.
    let unused = gpu.storage("no log-probabilities", 4);
    let binds = [
        Bind::Tick(ticks),
        Bind::Write(&io.obs),
        Bind::Write(&io.state),
        Bind::Write(&io.avail),
        Bind::Write(&io.actions),
        Bind::Write(log_probs.unwrap_or(&unused)),
    ];
    Kernel::new(
        gpu,
        "carry",
        &constants,
        &[TICK, include_str!("../../shaders/learn/carry.wgsl")],
        &binds,
    )
}

/// DAE clips the gradients of its reward models at 10 (`ppo_family.md` §7.2).
fn max_grad_norms(config: &Config, networks: &Networks) -> Vec<f32> {
    let mut norms = vec![config.max_grad_norm as f32; networks.optimisers.len()];
    norms.extend(networks.models.iter().map(|_| 10.0));
    norms
}
