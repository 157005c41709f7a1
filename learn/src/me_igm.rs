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
use crate::decomposition::{Decomposition, Fit, HyperNet};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::learner::{Array, Checkpoint, Learner, MemberReport, Timing};
use crate::policy::Soft;
use crate::ppo::keys;
use crate::q_learning::{QLearner, SoftParts};
use crate::q_loss::{BEST, MASK, TAKEN};
use crate::qmix::{elu, positive};
use crate::replay::ReplaySizes;
use crate::rng::Purpose;
use crate::sizes::Sizes;
use crate::{qmix, qplex};

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
        Transform::Identity => return (vec![], None),
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

/// WGSL of the transforms, for the words of `networks` in order.
fn source(config: &Config) -> String {
    match config.transform {
        Transform::Identity => include_str!("../../shaders/learn/transform_identity.wgsl").into(),
        Transform::Affine => include_str!("../../shaders/learn/transform_affine.wgsl").into(),
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
    fn new(gpu: &Gpu, config: &Config, sizes: &Sizes, replay: &ReplaySizes, words: usize) -> Self {
        let omega = config.temperature_init.ln().clamp(OMEGA[0], OMEGA[1]);
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
                source: source(config),
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
        let (nets, _) = transforms(config, &sizes, 0);
        let words = nets.iter().map(HyperNet::outputs).sum();
        let temperature = Temperature::new(gpu, config, &sizes, &replay, words);
        let q = QLearner::new(gpu, config, env, Some(&temperature))?;
        gpu.guarded("the soft policies' kernels", || {
            let nets = &q.decomposition.nets[q.decomposition.mixing..];
            let (mut of_states, mut pack, mut first) = (vec![], vec![], 0);
            let rows = replay.rows();
            for (i, net) in nets.iter().enumerate() {
                of_states.push(of_states_kernel(&q, &temperature, net, first));
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
                Bind::Tick(&q.ticks),
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

    /// What π would do next in every slot, ln π of it, and what the target's utilities say of it.
    pub fn record_soft_next(&self, to: &mut Recorder, tick: usize) {
        for (kernel, groups) in &self.pack {
            kernel.record(to, tick, [*groups, 1, 1]);
        }
        self.soft_next.record(to, tick, self.q.agent_groups());
    }
}

fn of_states_kernel(q: &QLearner, t: &Temperature, net: &HyperNet, first: usize) -> Kernel {
    let s = &q.sizes;
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
        .uint("STRIDE", q.context().stride)
        .uint("K1", below.kernel)
        .uint("B1", below.bias)
        .uint("K2", head.kernel)
        .uint("B2", head.bias)
        .uint("WORDS", t.soft.per_env)
        .uint("FIRST", first);
    let binds = [
        Bind::Tick(&q.ticks),
        Bind::Read(&q.adam.params),
        Bind::Read(&q.env.io().state),
        Bind::Write(&t.soft.words),
    ];
    let file = include_str!("../../shaders/learn/hyper_step.wgsl");
    Kernel::new(&q.gpu, "hyper_step", &constants, &[TICK, file], &binds)
}

fn soft_next_kernel(gpu: &Gpu, config: &Config, q: &QLearner, t: &Temperature) -> Kernel {
    let (s, loss) = (&q.sizes, &q.loss);
    let constants = Constants::default()
        .uint("ROWS", q.replay.sizes.rows() * s.agents)
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
    let constants = t.soft.constants(constants, 10);
    let seeds = config.seeds_from(config.seed);
    let keys = keys(gpu, &seeds, Purpose::Resample);
    let binds = [
        Bind::Tick(&q.ticks),
        Bind::Write(&q.online.q),
        Bind::Write(&q.target.q),
        Bind::Write(&q.batch.allowed),
        Bind::Write(&q.batch.done),
        Bind::Write(&q.batch.next),
        Bind::Write(&loss.target.region),
        Bind::Write(&t.log_probs),
        Bind::Write(&t.entropies),
        Bind::Read(&keys),
        Bind::Read(&t.words),
        Bind::Read(t.state()),
        Bind::Write(&loss.batch.region),
    ];
    let file = include_str!("../../shaders/learn/soft_next.wgsl");
    let files = [TICK, RNG, &t.soft.source, file];
    Kernel::new(gpu, "soft_next", &constants, &files, &binds)
}

impl Learner for MeIgm {
    fn update(&mut self) -> Result<(), LearnError> {
        let mut to = self.q.begin_update();

        // COLLECT: T steps of E environments, each action drawn from its policy, into the replay.
        let (of_states, envs) = (&self.of_states, self.q.env.envs());
        self.q.record_rollout(&mut to, |to, tick| {
            of_states
                .iter()
                .for_each(|k| k.record(to, tick, [envs, 1, 1]));
        });

        for i in 0..self.q.gradient_steps() {
            let tick = self.q.gradient_tick(i);
            // SAMPLE: whole episodes, and their utilities.
            self.q.record_batch(&mut to, tick);

            // TARGET: actions of the policies as they are, the target's value of them and their entropy, TD(λ).
            self.record_soft_next(&mut to, tick);
            self.q.record_targets(&mut to, tick)?;

            // LEARN: utilities and mixer on the targets, the transforms on the joint value, the temperature on the entropy.
            self.q.record_descent(&mut to, tick)?;
            self.temperature_step
                .record(&mut to, tick, [self.q.sizes.members, 1, 1]);
            self.q.record_target_update(&mut to, tick);
        }
        self.q.end_update(to);
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.q.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.q.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.q.updates()
    }

    fn updates_done(&self) -> u64 {
        self.q.updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        let (mut reports, timing) = self.q.report()?;
        let state: Vec<f32> = self.q.gpu.read(self.temperature.state())?;
        for (report, state) in reports.iter_mut().zip(state.chunks_exact(WORDS)) {
            let more = [("temperature", state[0]), ("entropy", state[4])];
            let more = more.map(|(name, x)| (name.to_owned(), f64::from(x)));
            report.diagnostics.extend(BTreeMap::from(more));
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
        let data = self.q.gpu.read(self.temperature.state())?;
        let shape = vec![self.q.sizes.members, WORDS];
        checkpoint.insert("temperature".into(), Array::F32 { shape, data });
        Ok(checkpoint)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        let needed = [self.q.sizes.members, WORDS];
        let state = match checkpoint.get("temperature") {
            Some(Array::F32 { shape, data }) if *shape == needed => data,
            _ => {
                let what = format!("`temperature` is missing or has not shape {needed:?}");
                return Err(LearnError::Checkpoint(what));
            }
        };
        self.q.restore(checkpoint)?;
        self.q.gpu.write(self.temperature.state(), state);
        Ok(())
    }
}
