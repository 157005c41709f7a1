//! Global-norm clipping and Adam as optax has them, per member and per optimiser, in place on the device.

use std::ops::Range;

use merit_sim::gpu::{Gpu, Region};

use crate::config::Optimiser;
use crate::dense::Shape;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};

const SOURCES: [&str; 2] = [
    include_str!("../../shaders/learn/tick.wgsl"),
    include_str!("../../shaders/learn/adam.wgsl"),
];

pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.999;
/// PyMARL's RMSprop: how much of the mean square is kept.
pub const RMSPROP_ALPHA: f64 = 0.99;

/// Length of the variance's average (in steps) below which RAdam does without it.
const RADAM_THRESHOLD: f64 = 5.0;

/// Parameters `[P, stride]` with their optimisers' state.
pub struct Adam {
    pub params: Region,
    pub m: Region,
    pub v: Region,
    /// `[chunks, P, stride]`: partial sums of the gradients, written by the layers.
    pub partials: Region,
    /// `[P, stride]`
    pub grads: Region,
    /// `[P, optimisers]`: norms of the gradients before clipping.
    pub norms: Region,
    members: usize,
    constants: Constants,
    learning_rate: Region,
    /// Where the words of each optimiser end.
    ends: Vec<usize>,
    all: Steps,
}

/// The three passes over some of the optimisers.
pub struct Steps {
    sum_chunks: Kernel,
    global_norm: Kernel,
    adam: Kernel,
    words: usize,
    optimisers: usize,
    members: usize,
}

/// What all optimisers of a run have in common.
#[derive(Clone, Debug)]
pub struct AdamConfig {
    pub epsilon: f64,
    /// A bound for each optimiser.
    pub max_grad_norm: Vec<f32>,
    pub rule: Optimiser,
}

impl Adam {
    /// `ends` are the ends of the ranges of a member's words that have a norm of their own, in rising order.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        ends: &[usize],
        config: &AdamConfig,
        learning_rate: &[f32],
        ticks: &Ticks,
    ) -> Self {
        let words = |n: usize, what: &str| gpu.storage(what, 4 * n as u64);
        let (members, stride) = (shape.members, shape.stride);
        let params = words(members * stride, "parameters");
        let (m, v) = (
            words(members * stride, "Adam m"),
            words(members * stride, "Adam v"),
        );
        let partials = words(shape.chunks() * members * stride, "gradient sums");
        let grads = words(members * stride, "gradients");
        let norms = words(members * ends.len(), "gradient norms");
        let learning_rate = gpu.storage_from("learning rates", learning_rate);
        let first: Vec<_> = [0].iter().chain(ends).copied().take(ends.len()).collect();
        let lengths: Vec<_> = ends
            .iter()
            .zip(&first)
            .map(|(end, first)| end - first)
            .collect();
        let rmsprop = config.rule == Optimiser::Rmsprop;
        let constants = Constants::default()
            .uint("MEMBERS", members)
            .uint("STRIDE", stride)
            .uint("CHUNKS", shape.chunks())
            .uint("GROUPS", ends.len())
            .uints("FIRST", &first)
            .uints("LENGTH", &lengths)
            .float("BETA_1", BETA_1)
            .float("BETA_2", if rmsprop { RMSPROP_ALPHA } else { BETA_2 })
            .flag("RMSPROP", rmsprop)
            .flag("RADAM", config.rule == Optimiser::Radam)
            .float("EPSILON", config.epsilon)
            .floats("MAX_NORM", &config.max_grad_norm);
        let of = [&partials, &learning_rate, &grads, &norms, &params, &m, &v];
        let all = steps(
            gpu,
            &constants,
            members,
            0..stride,
            0..ends.len(),
            of,
            ticks,
        );
        Self {
            members,
            constants,
            ends: ends.to_vec(),
            all,
            learning_rate,
            params,
            m,
            v,
            partials,
            grads,
            norms,
        }
    }

    /// Optimiser `i` alone, for parameters that step one after the other.
    pub fn one(&self, gpu: &Gpu, i: usize, ticks: &Ticks) -> Steps {
        let first = if i == 0 { 0 } else { self.ends[i - 1] };
        let of = [
            &self.partials,
            &self.learning_rate,
            &self.grads,
            &self.norms,
            &self.params,
            &self.m,
            &self.v,
        ];
        let words = first..self.ends[i];
        steps(
            gpu,
            &self.constants,
            self.members,
            words,
            i..i + 1,
            of,
            ticks,
        )
    }

    /// Sums the gradients and takes their norms.
    pub fn record_norms(&self, to: &mut Recorder, tick: usize) {
        self.all.record_norms(to, tick);
    }

    /// One step; the bias corrections and the annealing stand in the tick.
    pub fn record_step(&self, to: &mut Recorder, tick: usize) {
        self.all.record_step(to, tick);
    }
}

/// `of`: partial sums, learning rates, gradients, norms, parameters, m, v.
fn steps(
    gpu: &Gpu,
    constants: &Constants,
    members: usize,
    words: Range<usize>,
    optimisers: Range<usize>,
    of: [&Region; 7],
    ticks: &Ticks,
) -> Steps {
    let constants = constants
        .clone()
        .uint("FROM", words.start)
        .uint("UNTIL", words.end)
        .uint("FROM_GROUP", optimisers.start);
    let kernel = |entry: &str| {
        let [partials, learning_rate, grads, norms, params, m, v] = of;
        let binds = [
            Bind::Tick(ticks),
            Bind::Read(partials),
            Bind::Read(learning_rate),
            Bind::Write(grads),
            Bind::Write(norms),
            Bind::Write(params),
            Bind::Write(m),
            Bind::Write(v),
        ];
        Kernel::new(gpu, entry, &constants, &SOURCES, &binds)
    };
    Steps {
        sum_chunks: kernel("sum_chunks"),
        global_norm: kernel("global_norm"),
        adam: kernel("adam"),
        words: words.len(),
        optimisers: optimisers.len(),
        members,
    }
}

impl Steps {
    /// As [`Adam::record_norms`].
    pub fn record_norms(&self, to: &mut Recorder, tick: usize) {
        let (words, members) = (self.words.div_ceil(64), self.members);
        self.sum_chunks.record(to, tick, [words, members, 1]);
        self.global_norm
            .record(to, tick, [self.optimisers, members, 1]);
    }

    /// As [`Adam::record_step`].
    pub fn record_step(&self, to: &mut Recorder, tick: usize) {
        self.adam
            .record(to, tick, [self.words.div_ceil(64), self.members, 1]);
    }
}

/// Adam's bias corrections `1 / (1 − βᵗ)` of step `t = 1, 2, …`; on the host, where powers keep their digits.
pub fn corrections(t: u64) -> [f32; 2] {
    let t = t as f64;
    [BETA_1, BETA_2].map(|beta| (1.0 / (1.0 - beta.powf(t))) as f32)
}

/// RAdam's corrections of step `t = 1, 2, …` (Liu et al. 2020, algorithm 2; `optax.radam` with its threshold of 5): the first with the
/// rectification of the variance in it, the second 0 where the variance is not to be trusted yet and the step goes without it.
pub fn rectified_corrections(t: u64) -> [f32; 2] {
    let steps = t as f64;
    let kept = BETA_2.powf(steps);
    let longest = 2.0 / (1.0 - BETA_2) - 1.0;
    let length = longest - 2.0 * steps * kept / (1.0 - kept);
    let [first, second] = [BETA_1, BETA_2].map(|beta| 1.0 / (1.0 - beta.powf(steps)));
    if length < RADAM_THRESHOLD {
        return [first as f32, 0.0];
    }
    let ratio = |rho: f64| (rho - 4.0) * (rho - 2.0) / rho;
    let rectification = (ratio(length) / ratio(longest)).sqrt();
    [(first * rectification) as f32, second as f32]
}
