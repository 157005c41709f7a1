//! What IPPO and MAPPO have in common beside their steps: memory, reports, evaluation, checkpoints.

use merit_sim::env::{EnvIo, EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::registry::{self, Batch, Driver, EnvOptions};

use crate::LearnError;
use crate::adam::{self, Adam, AdamConfig};
use crate::burn_device::BurnDevice;
use crate::config::Config;
use crate::dense::{Activate, Rows, Shape, Stack};
use crate::diagnostics::Diagnostics;
use crate::distribution::{Distribution, Parts};
use crate::evaluate::Evaluation;
use crate::gae::Gae;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::learner::{Array, Checkpoint, MemberReport, Timing};
use crate::loss::{Coefficients, Input, Loss};
use crate::minibatch::{Minibatches, Samples};
use crate::net::{Network, UNIFORM_WORDS};
use crate::policy::{Context, Policy, Remembered, Resets, Value, View};
use crate::recurrent::{Memory, TrunkStack};
use crate::rng::{self, Purpose};
use crate::sizes::Sizes;
use crate::timing::Timestamps;

/// What tells one algorithm from the other: the networks and who optimises what.
pub struct Networks {
    pub actor: Network,
    pub critic: Network,
    /// What the critic looks at.
    pub view: View,
    /// Ends of the ranges of a member's words that have a gradient norm and an optimiser of their own.
    pub optimisers: Vec<usize>,
}

impl Networks {
    /// Words of a member's parameters.
    pub fn stride(&self) -> usize {
        self.critic.end().next_multiple_of(UNIFORM_WORDS)
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

/// A population of actor-critic learners: environments, networks, and the memory between them.
pub struct Ppo {
    pub gpu: Gpu,
    pub sizes: Sizes,
    config: Config,
    networks: Networks,
    seeds: Vec<u64>,
    pub env: Box<dyn VecEnv>,
    pub ticks: Ticks,
    pub policy: Policy,
    /// Values of all slots.
    pub value: Value,
    /// Values of what episodes ended with, where truncation is bootstrapped.
    pub final_value: Option<Value>,
    pub gae: Gae,
    pub minibatches: Minibatches,
    pub distribution: Distribution,
    pub actor: Stack,
    pub critic: Stack,
    pub loss: Loss,
    pub adam: Adam,
    pub diagnostics: Diagnostics,
    pub timestamps: Timestamps,
    /// `[T, P, E, A]`
    pub log_probs: Region,
    /// `[T + 1, P, E, A]`
    pub values: Region,
    pub recurrent: Option<Recurrent>,
    carry: Kernel,
    evaluation: Option<Evaluation>,
    updates_done: u64,
}

/// What recurrent networks add: one trunk that actor and critic share, or one each.
pub struct Recurrent {
    pub memories: Vec<Memory>,
    pub trunks: Vec<TrunkStack>,
    pub resets: Resets,
    /// `[P, E, A]`: where to forget in front of the next rollout.
    pub carried: Region,
}

/// Makes the environments that the registry knows.
pub fn train_env(gpu: &Gpu, config: &Config) -> Result<Box<dyn VecEnv>, LearnError> {
    let batch = Batch {
        seeds: seeds(config.seed, config.seeds),
        envs_per_member: config.envs,
        steps: config.rollout,
        slots: config.rollout + 1,
        driver: Driver::External,
        ..Batch::default()
    };
    make_env(gpu, config, &batch)
}

/// Member `p` has `seed + p`.
pub fn seeds(seed: u64, members: usize) -> Vec<u64> {
    (0..members as u64).map(|p| seed.wrapping_add(p)).collect()
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
        let networks = networks(&sizes);
        let stride = networks.stride();
        let members = sizes.members;
        let rows = sizes.minibatch_rows();
        for (what, per_sample) in [
            ("a minibatch's observations", sizes.obs),
            ("a minibatch's critic inputs", networks.view.columns(&sizes)),
            ("a minibatch's activations", config.hidden),
        ] {
            gpu.check_fits(
                what,
                4 * (members * per_sample) as u64,
                rows as u64,
                "samples in a minibatch",
            )?;
        }
        if config.reward_shaping_horizon > 0 && !env.set_reward_shaping(gpu, 1.0) {
            return Err(LearnError::Config(format!(
                "`reward_shaping_horizon` is {}, but {} has no shaped reward; set it to 0",
                config.reward_shaping_horizon, config.env
            )));
        }
        let burn = BurnDevice::new(gpu)?;
        let seeds = seeds(config.seed, members);
        let io = env.io().clone();
        let by_rows = config.by_rows(gpu);
        let columns = networks.view.columns(&sizes);
        let widths = [config.hidden, sizes.obs, columns].map(|n| n.next_multiple_of(4));
        let shape = Shape::new(gpu, members, rows, stride, &widths, by_rows);
        let ticks = Ticks::new(gpu, sizes.steps + sizes.epochs * sizes.minibatches);
        let each = |x: f64| vec![x as f32; members];
        let clip = if config.scale_clip_eps {
            config.clip_eps / sizes.agents as f64
        } else {
            config.clip_eps
        };
        let coefficients = Coefficients {
            clip: each(clip),
            entropy: each(config.ent_coef),
            value: each(config.vf_coef),
        };
        let loss = Loss::new(gpu, &burn, rows, &coefficients, config.clip_value)?;

        gpu.guarded("the learner's kernels", || {
            let adam = Adam::new(
                gpu,
                &shape,
                &networks.optimisers,
                AdamConfig {
                    epsilon: config.adam_eps,
                    max_grad_norm: config.max_grad_norm,
                },
                &each(config.learning_rate),
                &ticks,
            );
            let context = Context {
                gpu,
                sizes: &sizes,
                activate: Activate::from(config.activation),
                rnn_reset: config.rnn_reset,
                by_rows: shape.by_rows,
                params: &adam.params,
                stride,
                ticks: &ticks,
            };
            let samples =
                |slots: usize, what: &str| gpu.storage(what, 4 * (slots * sizes.rows()) as u64);
            let log_probs = samples(sizes.steps, "log-probabilities");
            let values = samples(sizes.steps + 1, "values");
            let final_values = config
                .bootstrap_truncated
                .then(|| samples(sizes.steps, "final values"));
            let discount = vec![[config.gamma as f32, config.gae_lambda as f32]; members];
            let gae = Gae::new(gpu, &sizes, &io, &values, final_values.as_ref(), &discount);
            let minibatches = Minibatches::new(
                gpu,
                &sizes,
                &io,
                &Samples {
                    log_probs: &log_probs,
                    values: &values,
                },
                &gae,
                &loss,
                networks.view.columns(&sizes),
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
            let (seen, seen_last) = match view {
                View::Observation => (&io.obs, &io.final_obs),
                View::World { .. } => (&io.state, &io.final_state),
            };
            let value = match &recurrent {
                None => Value::of_rollout(&context, critic, view, seen, &values),
                Some(r) => {
                    let start = &r.memories[r.memories.len() - 1].start;
                    // A shared memory is the policy's to move on; what the critic makes of it goes nowhere.
                    let nowhere = gpu.storage("memory, again", start.size);
                    let state = r.memories.get(1).map_or(&nowhere, |m| &m.state);
                    let reset_in = &r.resets.reset_in;
                    Value::recurrent(
                        &context, critic, view, seen, reset_in, start, state, &values,
                    )
                }
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
            let learner = Self {
                policy: Policy::new(
                    &context,
                    &networks.actor,
                    &io,
                    &keys(gpu, &seeds, Purpose::Act),
                    &log_probs,
                    recurrent.as_ref().map(|r| Remembered {
                        memory: &r.memories[0].state,
                        carried: &r.carried,
                    }),
                ),
                value,
                final_value: final_values
                    .as_ref()
                    .map(|v| Value::of_ends(&context, critic, view, seen_last, v)),
                actor: stack(
                    &networks.actor,
                    0,
                    &minibatches.actor_input,
                    &distribution.output,
                    &distribution.output_grad,
                ),
                critic: stack(
                    critic,
                    1,
                    &minibatches.critic_input,
                    &loss.input(Input::Values),
                    &distribution.values_grad,
                ),
                diagnostics: Diagnostics::new(
                    gpu, &sizes, &loss, &adam, &networks, &values, &gae, &ticks,
                ),
                timestamps: Timestamps::new(gpu),
                carry: carry_kernel(gpu, &sizes, &io),
                gpu: gpu.clone(),
                config: config.clone(),
                sizes,
                seeds,
                env,
                gae,
                minibatches,
                distribution,
                loss,
                log_probs,
                values,
                recurrent,
                evaluation: None,
                updates_done: 0,
                networks,
                ticks,
                adam,
            };
            learner.initialise();
            Ok(learner)
        })?
    }

    /// Keeps what the networks remember now: every epoch begins there.
    pub fn record_start(&self, to: &mut Recorder) {
        if let Some(r) = &self.recurrent {
            r.memories.iter().for_each(|m| m.record_start(to));
        }
    }

    /// Values of all slots; recurrent critics first need to know where they forgot.
    pub fn record_values(&self, to: &mut Recorder) {
        if let Some(r) = &self.recurrent {
            r.resets.record(to);
        }
        self.value.record(to, 0);
    }

    /// A minibatch's samples to where networks and loss read them.
    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        self.minibatches.record_gather(to, tick);
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
    }

    /// From the loss's derivatives to those of all weights.
    pub fn record_backward(&self, to: &mut Recorder, tick: usize) {
        self.distribution.record_backward(to, tick);
        self.actor.record_backward(to);
        self.critic.record_backward(to);
        self.trunks().iter().for_each(|t| t.record_backward(to));
    }

    fn trunks(&self) -> &[TrunkStack] {
        self.recurrent.as_ref().map_or(&[], |r| &r.trunks)
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
        for t in 0..s.steps {
            let draw = (done * s.steps as u64 + t as u64) as u32;
            let before = if t == 0 { Tick::CARRIED } else { t as u32 - 1 };
            let (slot, step) = (t as u32, t as u32);
            self.ticks.set(
                t,
                Tick {
                    slot,
                    step,
                    draw,
                    before,
                    ..Tick::default()
                },
            );
        }
        // JaxMARL's annealing: constant within an update.
        let left = 1.0 - done as f64 / self.updates() as f64;
        let anneal = if self.config.anneal_lr { left } else { 1.0 };
        if self.config.anneal_ent_coef {
            let weights = vec![(self.config.ent_coef * left) as f32; s.members];
            self.gpu.write(&self.loss.entropy_weight, &weights);
        }
        for i in 0..s.epochs * s.minibatches {
            let step = done * (s.epochs * s.minibatches) as u64 + i as u64 + 1;
            let [correction_1, correction_2] = adam::corrections(step);
            let tick = Tick {
                draw: (done * s.epochs as u64 + (i / s.minibatches) as u64) as u32,
                minibatch: (i % s.minibatches) as u32,
                first: u32::from(i == 0),
                correction_1,
                correction_2,
                anneal: anneal as f32,
                ..Tick::default()
            };
            self.ticks.set(s.steps + i, tick);
        }
        self.ticks.upload(&self.gpu);
        if self.config.reward_shaping_horizon > 0 {
            let weight = shaping_weight(self.env_steps(), self.config.reward_shaping_horizon);
            self.env.set_reward_shaping(&self.gpu, weight);
        }
        Recorder::new(&self.gpu)
    }

    /// Tick of a minibatch.
    pub fn minibatch_tick(&self, epoch: usize, minibatch: usize) -> usize {
        self.sizes.steps + epoch * self.sizes.minibatches + minibatch
    }

    /// The last slot becomes the first, and the update is over.
    pub fn end_update(&mut self, mut to: Recorder) {
        self.carry.record(&mut to, 0, [64, 1, 1]);
        if let Some(r) = &self.recurrent {
            let rows = r.carried.size;
            let last = Region {
                offset: self.sizes.steps as u64 * rows,
                size: rows,
                ..r.resets.reset_in.clone()
            };
            to.copy(&last, &r.carried);
        }
        let launches = to.launches;
        self.timestamps.end_update(to.encoder(), launches);
        to.submit();
        self.updates_done += 1;
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
        let diagnostics = self.diagnostics.read(&self.gpu)?;
        let reports = episodes
            .zip(diagnostics)
            .map(|(episodes, diagnostics)| MemberReport {
                episodes,
                diagnostics,
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
            let context = Context {
                gpu: &self.gpu,
                sizes: &self.sizes,
                activate: Activate::from(self.config.activation),
                rnn_reset: self.config.rnn_reset,
                by_rows: self.config.by_rows(&self.gpu),
                params: &self.adam.params,
                stride: self.networks.stride(),
                ticks: &self.ticks,
            };
            let actor = &self.networks.actor;
            let evaluation = Evaluation::new(&context, &self.config, actor, episodes, seed)?;
            self.evaluation = Some(evaluation);
        }
        match &mut self.evaluation {
            Some(evaluation) => evaluation.run(&self.gpu, greedy),
            None => Ok(Vec::new()),
        }
    }

    /// Device memory that is saved as it is: name, region, words.
    fn saved(&self) -> Vec<(String, Region, Vec<usize>)> {
        let (s, io) = (&self.sizes, self.env.io());
        let params = vec![s.members, self.networks.stride()];
        let slot = |r: &Region, words: usize| Region {
            size: 4 * words as u64,
            ..r.clone()
        };
        let (obs, state, avail) = (
            s.rows() * s.obs,
            s.members * s.envs * s.state,
            s.rows() * s.actions.mask(),
        );
        let mut saved = vec![
            ("adam.m".to_owned(), self.adam.m.clone(), params.clone()),
            ("adam.v".to_owned(), self.adam.v.clone(), params),
            ("env.obs".to_owned(), slot(&io.obs, obs), vec![obs]),
            ("env.state".to_owned(), slot(&io.state, state), vec![state]),
            (
                "env.sums".to_owned(),
                self.env.env_sums().clone(),
                vec![EpisodeStats::WORDS, s.members * s.envs],
            ),
        ];
        // Continuous actions have no mask.
        if avail > 0 {
            saved.push(("env.avail".into(), slot(&io.avail, avail), vec![avail]));
        }
        if let Some(r) = &self.recurrent {
            let shape = vec![s.rows()];
            saved.push(("memory.reset".into(), r.carried.clone(), shape));
            for (i, memory) in r.memories.iter().enumerate() {
                let shape = vec![s.rows(), self.config.hidden];
                saved.push((format!("memory.{i}"), memory.state.clone(), shape));
            }
        }
        saved
    }

    pub fn checkpoint(&self) -> Result<Checkpoint, LearnError> {
        let mut checkpoint = Checkpoint::new();
        let params: Vec<f32> = self.gpu.read(&self.adam.params)?;
        let members = params.chunks_exact(self.networks.stride());
        for (name, place, shape) in self.networks.arrays() {
            let data = members
                .clone()
                .flat_map(|m| m[place.clone()].iter().copied())
                .collect();
            let shape = [vec![self.sizes.members], shape].concat();
            checkpoint.insert(name, Array::F32 { shape, data });
        }
        for (name, region, shape) in self.saved() {
            checkpoint.insert(
                name,
                Array::F32 {
                    shape,
                    data: self.gpu.read(&region)?,
                },
            );
        }
        let snapshot = self.env.snapshot(&self.gpu)?;
        checkpoint.insert(
            "env.snapshot".into(),
            Array::U8 {
                shape: vec![snapshot.len()],
                data: snapshot,
            },
        );
        checkpoint.insert(
            "counters".into(),
            Array::U64 {
                shape: vec![1],
                data: vec![self.updates_done],
            },
        );
        Ok(checkpoint)
    }

    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let wrong = |name: &str, what: &str| LearnError::Checkpoint(format!("`{name}` {what}"));
        let find = |name: &str| {
            checkpoint
                .get(name)
                .ok_or_else(|| wrong(name, "is missing"))
        };
        let floats = |name: &str, shape: &[usize]| match find(name)? {
            Array::F32 { shape: found, data } if found == shape => Ok(data),
            Array::F32 { shape: found, .. } => Err(wrong(
                name,
                &format!("has shape {found:?}, this run needs {shape:?}"),
            )),
            _ => Err(wrong(name, "does not hold f32")),
        };
        // Everything is looked at before anything is written: a refused checkpoint leaves the learner as it was.
        let stride = self.networks.stride();
        let mut params: Vec<f32> = self.gpu.read(&self.adam.params)?;
        for (name, place, shape) in self.networks.arrays() {
            let data = floats(&name, &[vec![self.sizes.members], shape].concat())?;
            for (member, values) in params
                .chunks_exact_mut(stride)
                .zip(data.chunks_exact(place.len()))
            {
                member[place.clone()].copy_from_slice(values);
            }
        }
        let saved = self.saved();
        let contents: Vec<_> = saved
            .iter()
            .map(|(n, _, shape)| floats(n, shape))
            .collect::<Result<_, _>>()?;
        let Array::U64 { data: counters, .. } = find("counters")? else {
            return Err(wrong("counters", "does not hold u64"));
        };
        let [updates_done] = counters[..] else {
            return Err(wrong("counters", "holds another number of counters"));
        };
        let Array::U8 { data: snapshot, .. } = find("env.snapshot")? else {
            return Err(wrong("env.snapshot", "does not hold u8"));
        };
        self.env
            .restore(&self.gpu, snapshot)
            .map_err(|e| wrong("env.snapshot", &e.to_string()))?;
        self.gpu.write(&self.adam.params, &params);
        for ((_, region, _), data) in saved.iter().zip(contents) {
            self.gpu.write(region, data);
        }
        self.updates_done = updates_done;
        Ok(())
    }
}

/// JaxMARL's annealing of shaped rewards (`overcooked_and_small_games.md` §6): constant within an update.
pub(crate) fn shaping_weight(steps: u64, horizon: u64) -> f32 {
    (1.0 - steps as f64 / horizon as f64).max(0.0) as f32
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
    let carried = c.gpu.storage("carried resets", 4 * c.sizes.rows() as u64);
    let resets = Resets::new(c, io, &carried);
    let (mut memories, mut trunks) = (vec![], vec![]);
    for (trunk, input) in own {
        let memory = Memory::new(c.gpu, c.sizes.rows(), trunk.hidden());
        trunks.push(TrunkStack::new(
            c,
            shape,
            trunk,
            input,
            &memory,
            &resets.reset_in,
            minibatches,
            &adam.partials,
        )?);
        memories.push(memory);
    }
    Ok(Some(Recurrent {
        memories,
        trunks,
        resets,
        carried,
    }))
}

/// WebGPU does not copy within one buffer, so a kernel does.
fn carry_kernel(gpu: &Gpu, s: &Sizes, io: &EnvIo) -> Kernel {
    let words = [
        s.rows() * s.obs,
        s.members * s.envs * s.state,
        s.rows() * s.actions.mask(),
    ];
    let mut constants = Constants::default();
    for (name, n) in ["OBS", "STATE", "AVAIL"].into_iter().zip(words) {
        constants = constants
            .uint(&format!("{name}_WORDS"), n)
            .uint(&format!("LAST_{name}"), s.steps * n);
    }
    let binds = [
        Bind::Write(&io.obs),
        Bind::Write(&io.state),
        Bind::Write(&io.avail),
    ];
    Kernel::new(
        gpu,
        "carry",
        &constants,
        &[include_str!("../../shaders/learn/carry.wgsl")],
        &binds,
    )
}
