//! ME-IGM (`me_igm.md`): ME-QMIX and ME-QPLEX. Agents explore with softmax policies whose logits are order-preserving transforms (OPT)
//! of their utilities, so that the most probable joint action is the one that the mixer ranks first.
//!
//! ```text
//! π_i(a | τ_i, s) ∝ exp(OPT_i(Q_i(τ_i, a), s) / α)
//! θ⁻ ← θ, D = ∅
//! repeat: T steps of E environments, a ~ π, into D
//!         B whole episodes of D
//!         u' ~ π, y_t = r + γ (1 - d) ((1 - λ) (Q⁻_tot(s', u') - α ln π(u')) + λ (y_{t+1} - α ln π(u')))     (A.1 to A.4)
//!         one step of Adam on ½ (Q_tot - y)² + (Σ_i OPT_i(Q_i(u_i)) - Q_tot)²,                              (2.8, 2.9)
//!             the first moving utilities and mixer, the second the transforms alone
//!         ω: a step on α (Ĥ - H̄), α = exp(ω)                                                                (2.11)
//!         θ⁻ ← θ every so often
//! ```
//!
//! Execution takes the largest utility and needs neither state nor transform.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::adam::{BETA_1, BETA_2};
use crate::config::{Algo, Config, EntropyEstimate, Positivity, SoftNext, Transform};
use crate::decomposition::{Decomposition, Fit, HyperNet, Own};
use crate::dense::{Activate, Rows, Stack};
use crate::kernel::{Bind, Constants, Kernel, Recorder, over_two};
use crate::learner::{Array, Checkpoint, Learner, MemberReport, Timing};
use crate::net::Dense;
use crate::policy::Soft;
use crate::ppo::keys;
use crate::q_learning::{QLearner, SoftParts, stride};
use crate::q_loss::QLoss;
use crate::q_loss::{BEST, MASK, TAKEN};
use crate::qmix::{elu, positive};
use crate::replay::{Batch, OverLive, ReplaySizes};
use crate::rng::Purpose;
use crate::sizes::Sizes;
use crate::{agents, qmix, qplex};

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");

/// Words of a member's temperature: α, ω, Adam's moments, the entropy of the last batch, in whole vectors.
const WORDS: usize = 8;

/// Bounds of ω: where two actions tie for the best the entropy cannot fall to its aim, and α would fall for ever; where a policy
/// has become deterministic it would rise for ever (`me_igm.md` §3.3).
const OMEGA: [f64; 2] = [-7.0, 2.0];

/// QMIX's or QPLEX's mixer, and behind its networks those of the transforms.
pub fn decomposition(config: &Config, sizes: &Sizes, first: usize) -> Decomposition {
    let mut mixer = match config.algo {
        Algo::MeQplex => qplex::decomposition(config, sizes, first),
        _ => qmix::decomposition(config, sizes, first),
    };
    let first = mixer.end(first);
    if config.transform == Transform::Mlp {
        let (inputs, hidden) = (sizes.outputs() + sizes.state, config.hyper_hidden);
        let widths = [inputs, hidden, hidden, sizes.outputs()];
        mixer.own = Own {
            nets: vec![HyperNet::new(first, "transform.mlp", &widths)],
            learned: vec![sizes.agents],
            ..Own::default()
        };
        // The logits of what was done come in place of outputs of networks of the state.
        mixer.fit = Some(Box::new(|_, logits| logits[0].clone().sum_dim(2)));
        return mixer;
    }
    let (nets, fit) = transforms(config, sizes, first);
    mixer.nets.extend(nets);
    mixer.fit = fit;
    mixer
}

/// The networks of the transforms (`me_igm.md` §2.1), in the order of the words that their shader reads.
fn transforms(config: &Config, sizes: &Sizes, first: usize) -> (Vec<HyperNet>, Option<Fit>) {
    let (state, agents, hidden) = (sizes.state, sizes.agents, config.hyper_hidden);
    let width = config.transform_hidden;
    let residual = match config.transform {
        Transform::Identity | Transform::Mlp => return (vec![], None),
        Transform::Affine => {
            let w = HyperNet::new(first, "transform.w", &[state, hidden, agents]);
            let b = HyperNet::new(w.end(), "transform.b", &[state, hidden, agents]);
            return (vec![w, b], Some(Box::new(affine)));
        }
        Transform::Mlp2 => false,
        Transform::Residual => true,
    };
    let w1 = HyperNet::new(first, "transform.w1", &[state, hidden, agents * width]);
    let b1 = HyperNet::new(w1.end(), "transform.b1", &[state, agents * width]);
    let w2 = HyperNet::new(b1.end(), "transform.w2", &[state, hidden, agents * width]);
    let b2 = HyperNet::new(w2.end(), "transform.b2", &[state, hidden, agents]);
    let fit = move |q: &Tensor<3>, outputs: &[Tensor<3>]| mlp2(residual, q, outputs);
    (vec![w1, b1, w2, b2], Some(Box::new(fit)))
}

/// Σ_i |w_i(s)| q_i + b_i(s).
fn affine(q: &Tensor<3>, outputs: &[Tensor<3>]) -> Tensor<3> {
    let w = positive(Positivity::Abs, outputs[0].clone());
    (w * q.clone() + outputs[1].clone()).sum_dim(2)
}

/// Σ_i W₂ elu(W₁ q_i + b₁) + b₂, and q_i where it is a residual.
fn mlp2(residual: bool, q: &Tensor<3>, outputs: &[Tensor<3>]) -> Tensor<3> {
    let [members, rows, agents] = q.dims();
    let width = outputs[0].dims()[2] / agents;
    let of_units = |x: &Tensor<3>| x.clone().reshape([members, rows, agents, width]);
    let x = q.clone().reshape([members, rows, agents, 1]);
    let hidden = elu(of_units(&outputs[0]).abs() * x + of_units(&outputs[1]));
    let out = (of_units(&outputs[2]).abs() * hidden).sum_dim(3);
    let out = out.reshape([members, rows, agents]) + outputs[3].clone();
    let out = if residual { out + q.clone() } else { out };
    out.sum_dim(2)
}

/// WGSL of the transforms while collecting, for the words of their networks in order; `decomposition` lies behind `first` words of
/// a member.
fn source(config: &Config, decomposition: &Decomposition, sizes: &Sizes, first: usize) -> String {
    match config.transform {
        Transform::Identity => include_str!("../../shaders/learn/transform_identity.wgsl").into(),
        Transform::Affine => include_str!("../../shaders/learn/transform_affine.wgsl").into(),
        Transform::Mlp => {
            let mut constants = Constants::default()
                .uint("MLP_WIDTH", config.hyper_hidden)
                .uint("ENVS_OF_MEMBER", sizes.envs)
                .uint("MEMBER_WORDS", stride(decomposition, first));
            let layers = decomposition.own.nets.iter().flat_map(|n| &n.layers);
            for (i, layer) in layers.enumerate() {
                constants = constants
                    .uint(&format!("MLP_W{}", i + 1), layer.kernel)
                    .uint(&format!("MLP_B{}", i + 1), layer.bias);
            }
            constants.source(&[include_str!("../../shaders/learn/transform_mlp.wgsl")])
        }
        Transform::Mlp2 | Transform::Residual => {
            let constants = Constants::default()
                .uint("WIDTH", config.transform_hidden)
                .flag("RESIDUAL", config.transform == Transform::Residual);
            constants.source(&[include_str!("../../shaders/learn/transform_mlp2.wgsl")])
        }
    }
}

/// The temperatures of the members, and what their policies say.
pub struct Temperature {
    /// While collecting.
    soft: Soft,
    /// `[P, SLOTS, B, A]`: ln π of what would be done next, and the policies' entropies.
    log_probs: Region,
    entropies: Region,
    /// `[P, SLOTS, B, words]`: what the transforms of a batch are made of.
    words: Region,
}

impl Temperature {
    /// `words`: of the transforms of one state.
    fn new(gpu: &Gpu, config: &Config, sizes: &Sizes, replay: &ReplaySizes) -> Self {
        let first = agents::network(config, sizes).end();
        let decomposition = decomposition(config, sizes, first);
        let of_states = of_states(&decomposition, sizes);
        let words: usize = of_states.iter().map(HyperNet::outputs).sum();
        let omega = config.temperature_init.ln();
        let of_member = [
            omega.exp() as f32,
            omega as f32,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        ];
        let state: Vec<_> = (0..sizes.members).flat_map(|_| of_member).collect();
        let room = |what: &str, n: usize| gpu.storage(what, 4 * (sizes.members * n) as u64);
        let per_env = words.max(1);
        Self {
            soft: Soft {
                source: source(config, &decomposition, sizes, first),
                reads_parameters: config.transform == Transform::Mlp,
                words: room("transforms", sizes.envs * per_env),
                per_env,
                temperature: gpu.storage_from("temperatures", &state),
                temperature_stride: WORDS,
            },
            log_probs: room("log-probabilities of a batch", replay.rows() * sizes.agents),
            entropies: room("entropies of a batch", replay.rows() * sizes.agents),
            words: room("transforms of a batch", replay.rows() * per_env),
        }
    }

    pub fn parts(&self) -> SoftParts<'_> {
        SoftParts {
            soft: &self.soft,
            log_probs: &self.log_probs,
        }
    }

    fn state(&self) -> &Region {
        &self.soft.temperature
    }
}

pub struct MeIgm {
    pub q: QLearner,
    pub temperature: Temperature,
    /// The transforms' networks on the states of one slot.
    of_states: Vec<Kernel>,
    /// Their outputs over a batch to the words that the transform reads.
    pack: Vec<(Kernel, usize)>,
    soft_next: Kernel,
    temperature_step: Kernel,
}

impl MeIgm {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let sizes = Sizes::new(config, env.spec())?;
        let replay = ReplaySizes::new(config, env.spec())?;
        let temperature = Temperature::new(gpu, config, &sizes, &replay);
        let q = QLearner::new(gpu, config, env, Some(&temperature))?;
        gpu.guarded("the soft policies' kernels", || {
            let nets = of_states(&q.decomposition, &sizes);
            let (mut of_states, mut pack, mut first) = (vec![], vec![], 0);
            let rows = replay.rows();
            for (i, net) in nets.iter().enumerate() {
                of_states.push(of_states_kernel(&q, &temperature, net, first));
                if q.mlp.is_some() {
                    // Its logits are taken from the batch as they are.
                    continue;
                }
                let output = q.loss.output(q.decomposition.mixing + i, false);
                let groups = (sizes.members * rows * net.outputs())
                    .div_ceil(64)
                    .min(1024);
                let constants = Constants::default()
                    .uint("ROWS", sizes.members * rows)
                    .uint("OUT", net.outputs())
                    .uint("WORDS", temperature.soft.per_env)
                    .uint("FIRST", first)
                    .uint("THREADS", 64 * groups);
                let file = include_str!("../../shaders/learn/pack_words.wgsl");
                let binds = [Bind::Write(&output), Bind::Write(&temperature.words)];
                let kernel = Kernel::new(gpu, "pack_words", &constants, &[file], &binds);
                pack.push((kernel, groups));
                first += net.outputs();
            }
            let soft_next = soft_next_kernel(gpu, config, &q, &temperature);
            let mask = q.loss.batch.words[MASK].start;
            let constants = Constants::default()
                .uint("ROWS", rows)
                .uint("AGENTS", sizes.agents)
                .uint("MASK", mask)
                .float("TARGET", config.target_entropy * sizes.agents as f64)
                .float("RATE", config.temperature_lr)
                .float("BETA_1", BETA_1)
                .float("BETA_2", BETA_2)
                .float("EPSILON", 1e-8)
                .float("LEAST", OMEGA[0])
                .float("MOST", OMEGA[1])
                .uint("STRIDE", WORDS);
            let binds = [
                Bind::Tick(&q.run.ticks),
                Bind::Write(&q.loss.batch.region),
                Bind::Write(&temperature.entropies),
                Bind::Write(temperature.state()),
            ];
            let file = include_str!("../../shaders/learn/temperature.wgsl");
            let files = [TICK, file];
            let temperature_step = Kernel::new(gpu, "temperature_step", &constants, &files, &binds);
            Self {
                of_states,
                pack,
                soft_next,
                temperature_step,
                temperature,
                q,
            }
        })
        .map_err(LearnError::from)
    }

    /// Share of the last batch's agents and steps in which the policy's most probable action is the largest utility's: 1 wherever the order is
    /// kept, which an MLP does not. Of every member; waits for the device.
    fn modes_that_are_best(&self, mlp: &MlpTransform) -> Result<Vec<f64>, LearnError> {
        let (q, s) = (&self.q, &self.q.run.sizes);
        let read =
            |region: &Region| -> Result<Vec<f32>, LearnError> { Ok(q.run.gpu.read(region)?) };
        let (logits, utilities) = (read(&mlp.logits)?, read(&q.online.q)?);
        let (allowed, mask) = (read(&q.batch.allowed)?, read(&q.loss.batch.part(MASK))?);
        let n = s.outputs();
        let best = |of: &[f32], row: usize| {
            let there = (row * n..(row + 1) * n).filter(|&i| allowed[i] > 0.0);
            there.rev().max_by(|i, j| of[*i].total_cmp(&of[*j]))
        };
        let rows = mask.len() / s.members;
        let of_member = |p: usize| {
            let steps = (p * rows..(p + 1) * rows).filter(|&row| mask[row] > 0.0);
            let agents = steps.flat_map(|row| row * s.agents..(row + 1) * s.agents);
            let agrees = agents.map(|i| best(&logits, i) == best(&utilities, i));
            let (mut agreeing, mut all) = (0.0, 0.0);
            for agrees in agrees {
                agreeing += f64::from(u8::from(agrees));
                all += 1.0;
            }
            agreeing / f64::max(all, 1.0)
        };
        Ok((0..s.members).map(of_member).collect())
    }

    /// What π would do next in every slot, ln π of it, and what the target's utilities say of it.
    pub fn record_soft_next(&self, to: &mut Recorder, tick: usize) {
        for (kernel, groups) in &self.pack {
            kernel.record(to, tick, [*groups, 1, 1]);
        }
        self.soft_next.record(to, tick, self.q.agent_groups());
    }
}

/// What is evaluated of one state while collecting: the transforms' networks, or of an MLP what its first layer makes of the state.
fn of_states(decomposition: &Decomposition, sizes: &Sizes) -> Vec<HyperNet> {
    let mut nets = decomposition.nets[decomposition.mixing..].to_vec();
    if let [mlp] = &decomposition.own.nets[..] {
        let layer = mlp.layers[0];
        let skipped = layer.inputs - sizes.state;
        nets.push(HyperNet {
            layers: vec![Dense {
                inputs: sizes.state,
                kernel: layer.kernel + skipped * layer.outputs,
                ..layer
            }],
            ..mlp.clone()
        });
    }
    nets
}

/// The network in the transform's place, over a batch.
pub struct MlpTransform {
    see: OverLive,
    stack: Stack,
    /// `[P, SLOTS, B, A, N]`
    pub logits: Region,
    taken: Kernel,
    taken_backward: Kernel,
    groups: [usize; 3],
}

impl MlpTransform {
    /// None where there is none. `q: [P, SLOTS, B, A, N]`, `logit` and its derivative: `[P, SLOTS, B, A]` of what was done.
    #[allow(clippy::too_many_arguments)] // The network, what it reads, and the buffers at both ends.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        decomposition: &Decomposition,
        batch: &Batch,
        q: &Region,
        loss: &QLoss,
        params: &Region,
        partials: &Region,
    ) -> Option<Self> {
        let ([mlp], Some(_)) = (&decomposition.own.nets[..], &decomposition.fit) else {
            return None;
        };
        let shape = &batch.agent_shape;
        let (rows, outputs) = (shape.rows, sizes.outputs());
        let words = |n: usize| gpu.storage("logits", 4 * (sizes.members * n) as u64);
        let (logits, logits_grad) = (words(rows * outputs), words(rows * outputs));
        let columns = outputs + sizes.state;
        let input = Rows::padded(gpu, "utilities and states", sizes.members * rows, columns);
        let constants = Constants::default()
            .uint("ROWS", rows)
            .uint("AGENTS", sizes.agents)
            .uint("N", outputs)
            .uint("STATE", sizes.state)
            .uint("STATE_STRIDE", batch.state_input.stride)
            .uint("INPUT", input.stride);
        let binds = [
            Bind::Write(q),
            Bind::Write(&batch.state_input.region),
            Bind::Write(&input.region),
        ];
        let file = include_str!("../../shaders/learn/transform_see.wgsl");
        let all = rows * input.stride;
        let see = OverLive::new(gpu, "transform_see", constants, shape, file, &binds, all);
        let nets = decomposition.nets.len();
        let taken = |entry: &str, of_all: &Region, of_taken: &Region| {
            let constants = Constants::default().uint("ROWS", rows).uint("N", outputs);
            let binds = [
                Bind::Write(of_all),
                Bind::Write(&batch.done),
                Bind::Write(of_taken),
            ];
            let file = include_str!("../../shaders/learn/select_taken.wgsl");
            Kernel::new(gpu, entry, &constants, &[file], &binds)
        };
        Some(Self {
            taken: taken("select_taken", &logits, &loss.output(nets, false)),
            taken_backward: taken("select_taken_backward", &logits_grad, &loss.net_grads[nets]),
            stack: Stack::new(
                gpu,
                shape,
                &mlp.layers,
                Activate::Relu,
                params,
                &input,
                None,
                &logits,
                &logits_grad,
                partials,
            ),
            see,
            logits,
            groups: [rows.div_ceil(64), sizes.members, 1],
        })
    }

    /// Behind the utilities of the batch.
    pub fn record_forward(&self, to: &mut Recorder) {
        self.see.record(to);
        self.stack.record_forward(to);
        self.taken.record(to, 0, self.groups);
    }

    pub fn record_backward(&self, to: &mut Recorder) {
        self.taken_backward.record(to, 0, self.groups);
        self.stack.record_backward(to);
    }
}

fn of_states_kernel(q: &QLearner, t: &Temperature, net: &HyperNet, first: usize) -> Kernel {
    let s = &q.run.sizes;
    let [head, below] = match &net.layers[..] {
        [below, head] => [head, below],
        layers => [&layers[0], &layers[0]],
    };
    let constants = Constants::default()
        .uint("ENVS", s.envs)
        .uint("GROUPS", s.members * s.envs)
        .uint("STATE", s.state)
        .uint("HIDDEN", net.hidden())
        .uint("OUT", net.outputs())
        .uint("STRIDE", q.stride)
        .uint("K1", below.kernel)
        .uint("B1", below.bias)
        .uint("K2", head.kernel)
        .uint("B2", head.bias)
        .uint("WORDS", t.soft.per_env)
        .uint("FIRST", first);
    let binds = [
        Bind::Tick(&q.run.ticks),
        Bind::Read(&q.adam.params),
        Bind::Read(&q.run.env.io().state),
        Bind::Write(&t.soft.words),
    ];
    let file = include_str!("../../shaders/learn/hyper_step.wgsl");
    Kernel::new(&q.run.gpu, "hyper_step", &constants, &[TICK, file], &binds)
}

fn soft_next_kernel(gpu: &Gpu, config: &Config, q: &QLearner, t: &Temperature) -> Kernel {
    let (s, loss) = (&q.run.sizes, &q.loss);
    let constants = Constants::default()
        .uint("ROWS", q.run.replay.sizes.rows() * s.agents)
        .uint("N", s.outputs())
        .uint("AGENTS", s.agents)
        .uint("TAKEN", loss.target.words[TAKEN].start)
        .uint("BEST", loss.target.words[BEST].start)
        .uint("MASK", loss.batch.words[MASK].start)
        .flag("STORED_NEXT", config.soft_next == SoftNext::Stored)
        .flag(
            "STORED_ENTROPY",
            config.entropy_estimate == EntropyEstimate::Stored,
        );
    // An MLP's logits are there; other transforms are made of their words.
    let (words, source) = match &q.mlp {
        Some(mlp) => (
            &mlp.logits,
            include_str!("../../shaders/learn/transform_ready.wgsl"),
        ),
        None => (&t.words, &t.soft.source[..]),
    };
    let per_state = match &q.mlp {
        Some(_) => s.agents * s.outputs(),
        None => t.soft.per_env,
    };
    let constants = constants
        .uint("SOFT", 10)
        .uint("TRANSFORM_WORDS", per_state)
        .uint("TEMPERATURE_STRIDE", t.soft.temperature_stride);
    let seeds = config.seeds_from(config.seed);
    let keys = keys(gpu, &seeds, Purpose::Resample);
    let binds = [
        Bind::Tick(&q.run.ticks),
        Bind::Write(&q.online.q),
        Bind::Write(&q.target.q),
        Bind::Write(&q.batch.allowed),
        Bind::Write(&q.batch.done),
        Bind::Write(&q.batch.next),
        Bind::Write(&loss.target.region),
        Bind::Write(&t.log_probs),
        Bind::Write(&t.entropies),
        Bind::Read(&keys),
        Bind::Read(words),
        Bind::Read(t.state()),
        Bind::Write(&loss.batch.region),
    ];
    let file = include_str!("../../shaders/learn/soft_next.wgsl");
    let files = [TICK, RNG, source, file];
    Kernel::new(gpu, "soft_next", &constants, &files, &binds)
}

impl Learner for MeIgm {
    fn update(&mut self) -> Result<(), LearnError> {
        let mut to = self.q.run.begin_update();

        // COLLECT: T steps of E environments, each action drawn from its policy, into the replay.
        let (of_states, envs) = (&self.of_states, self.q.run.env.envs());
        self.q.run.record_rollout_with(&mut to, |to, tick| {
            of_states
                .iter()
                .for_each(|k| k.record(to, tick, over_two(envs)));
        });

        for i in 0..self.q.run.gradient_steps() {
            let tick = self.q.run.gradient_tick(i);
            // SAMPLE: whole episodes, and their utilities.
            self.q.record_batch(&mut to, tick);

            // TARGET: actions of the policies as they are, the target's value of them and their entropy, TD(λ).
            self.record_soft_next(&mut to, tick);
            self.q.record_targets(&mut to, tick)?;

            // LEARN: utilities and mixer on the targets, the transforms on the joint value, the temperature on the entropy.
            self.q.record_descent(&mut to, tick)?;
            self.temperature_step
                .record(&mut to, tick, [self.q.run.sizes.members, 1, 1]);
            self.q.record_target_update(&mut to, i);
        }
        self.q.run.end_update(to)?;
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.q.run.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.q.run.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.q.run.updates()
    }

    fn updates_done(&self) -> u64 {
        self.q.run.updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let (mut reports, timing) = self.q.report()?;
        let state: Vec<f32> = self.q.run.gpu.read(self.temperature.state())?;
        for (report, state) in reports.iter_mut().zip(state.chunks_exact(WORDS)) {
            let more = [("temperature", state[0]), ("entropy", state[4])];
            let more = more.map(|(name, x)| (name.to_owned(), f64::from(x)));
            report.diagnostics.extend(BTreeMap::from(more));
        }
        if self.q.learned()
            && let Some(mlp) = &self.q.mlp
        {
            let agreeing = self.modes_that_are_best(mlp)?;
            for (report, share) in reports.iter_mut().zip(agreeing) {
                report.diagnostics.insert("mode_is_best".into(), share);
            }
        }
        Ok((reports, timing))
    }

    fn evaluate(
        &mut self,
        episodes: usize,
        _greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        self.q.evaluate(episodes, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        let mut checkpoint = self.q.checkpoint()?;
        let data = self.q.run.gpu.read(self.temperature.state())?;
        let shape = vec![self.q.run.sizes.members, WORDS];
        checkpoint.insert("temperature".into(), Array::F32 { shape, data });
        Ok(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let needed = [self.q.run.sizes.members, WORDS];
        let state = match checkpoint.get("temperature") {
            Some(Array::F32 { shape, data }) if *shape == needed => data,
            _ => {
                let what = format!("`temperature` is missing or has not shape {needed:?}");
                return Err(LearnError::Checkpoint(what));
            }
        };
        self.q.restore(checkpoint)?;
        self.q.run.gpu.write(self.temperature.state(), state);
        Ok(())
    }
}
