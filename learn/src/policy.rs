//! The networks while collecting: one dispatch a step from observations to sampled actions, one for all values.

use std::ops::Range;

use merit_sim::env::{ActionSpace, EnvIo};
use merit_sim::gpu::{Gpu, Region};

use crate::config::RnnReset;
use crate::dense::{Activate, input_blocks};
use crate::gaussian::DENSITY;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::net::{Network, UNIFORM_WORDS};
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const MLP: &str = include_str!("../../shaders/learn/mlp.wgsl");
const MLP_ROW: &str = include_str!("../../shaders/learn/mlp_row.wgsl");
const MLP_ROW_BLOCK: &str = include_str!("../../shaders/learn/mlp_row_block.wgsl");
const SAMPLE_CATEGORICAL: &str = include_str!("../../shaders/learn/sample_categorical.wgsl");
const SAMPLE_GAUSSIAN: &str = include_str!("../../shaders/learn/sample_gaussian.wgsl");
const POLICY: &str = include_str!("../../shaders/learn/policy.wgsl");
const VALUE: &str = include_str!("../../shaders/learn/value.wgsl");
const GRU_NET: &str = include_str!("../../shaders/learn/gru_net.wgsl");
const GRU_POLICY: &str = include_str!("../../shaders/learn/gru_policy.wgsl");
const GRU_VALUE: &str = include_str!("../../shaders/learn/gru_value.wgsl");
const RESETS: &str = include_str!("../../shaders/learn/resets.wgsl");
const RESET_IN: &str = include_str!("../../shaders/learn/reset_in.wgsl");

/// Rows of an invocation's patch: fewer than in training, where there are more of them to go round.
const PATCH_ROWS: usize = 4;

/// Columns of an invocation's patch; a unit of a GRU takes four sums, so there are fewer.
fn patch_columns(net: &Network) -> usize {
    if net.trunk.is_some() { 4 } else { 8 }
}

/// What the kernels of a learner share.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub gpu: &'a Gpu,
    pub sizes: &'a Sizes,
    pub activate: Activate,
    pub rnn_reset: RnnReset,
    /// Whole rows to an invocation, where it can be.
    pub by_rows: bool,
    /// `[P, stride]`
    pub params: &'a Region,
    pub stride: usize,
    pub ticks: &'a Ticks,
}

/// What recurrent networks need beside their input.
#[derive(Clone, Copy)]
pub struct Remembered<'a> {
    /// `[P, E, A, H]`
    pub memory: &'a Region,
    /// `[P, E, A]`: where to forget in front of a rollout's first step.
    pub carried: &'a Region,
}

/// Rows of a workgroup's tile: 32 or 64 invocations, or fewer where the tile would not fit in 16 KiB of workgroup memory.
fn tile_rows(c: &Context<'_>, net: &Network) -> usize {
    if Blocks::new(c, net).is_some() {
        // The width of a software device's vectors: small groups let few rows use all cores.
        return 8;
    }
    let step = PATCH_ROWS;
    let mut rows = (1024 / net.hidden() / step * step).max(step);
    while 4 * rows * (2 * net.hidden() + net.outputs()) > 16_384 && rows > step {
        rows -= step;
    }
    rows
}

/// `share` rows read one input row; with `one_hot` the row's number among them is appended to the input.
fn constants(c: &Context<'_>, net: &Network, share: usize, one_hot: bool) -> Constants {
    let blocks = Blocks::new(c, net);
    let (rows, columns) = (tile_rows(c, net), patch_columns(net));
    let group = match blocks {
        Some(_) => rows,
        None => net.hidden() / columns * (rows / PATCH_ROWS),
    };
    // Where one member's weights are bound, places count from their first word.
    let weights = blocks.map_or(0..0, |b| b.weights);
    let mut constants = Constants::default()
        .uint("MEMBERS", c.sizes.members)
        .uint("RPM", c.sizes.member_rows())
        .uint("SHARE", share)
        .flag("ONE_HOT", one_hot)
        .uint("STRIDE", c.stride)
        .uint("IN", net.inputs() - if one_hot { share } else { 0 })
        .uint("HIDDEN", net.hidden())
        .uint("OUT", net.outputs())
        .uint("N", net.outputs())
        .uint("T", c.sizes.steps)
        .uint("ACT", c.activate as usize)
        .uint("ROWS", rows)
        .uint("TM", PATCH_ROWS)
        .uint("TN", columns)
        .uint("WG", group)
        .uint("WEIGHTS", weights.len());
    if let Some(trunk) = &net.trunk {
        let parts = [
            ("E", &trunk.embed),
            ("I", &trunk.input),
            ("R", &trunk.recurrent),
        ];
        for (name, layer) in parts {
            constants = constants
                .uint(&format!("K{name}"), layer.kernel)
                .uint(&format!("B{name}"), layer.bias);
        }
    }
    for (i, layer) in net.layers.iter().enumerate() {
        constants = constants
            .uint(
                &format!("K{}", i + 1),
                layer.kernel.saturating_sub(weights.start),
            )
            .uint(&format!("B{}", i + 1), layer.bias - weights.start);
    }
    if let Some(log_std) = net.log_std {
        constants = constants.uint("LOG_STD", log_std - weights.start);
    }
    constants
}

/// Where an invocation takes a row: how the weights of a member are bound.
struct Blocks {
    /// Words that are bound as one, among a member's: the whole network, or what follows the first kernel.
    weights: Range<usize>,
    /// Inputs of the first layer whose weights are a block of their own each; none if the first kernel is among `weights`.
    inputs: Vec<Range<usize>>,
}

impl Blocks {
    /// On software devices, for feed-forward networks whose layers but the first are at most 64 KiB together.
    fn new(c: &Context<'_>, net: &Network) -> Option<Self> {
        let limits = &c.gpu.limits;
        if !c.by_rows || net.trunk.is_some() || !net.hidden().is_multiple_of(4) {
            return None;
        }
        let first = &net.layers[0];
        let fits = |words: &Range<usize>| {
            4 * words.len() as u64 <= limits.max_uniform_buffer_binding_size
                && words.start.is_multiple_of(UNIFORM_WORDS)
        };
        // In whole vectors of 4.
        let from = |start: usize| start..start + (net.end() - start).next_multiple_of(4);
        let whole = Self {
            weights: from(first.kernel),
            inputs: vec![],
        };
        if fits(&whole.weights) {
            return Some(whole);
        }
        let parts = Self {
            weights: from(first.bias),
            inputs: input_blocks(c.gpu, first)?,
        };
        // Beside them: tick, weights, who.
        let bindings = 3 + parts.inputs.len() as u32;
        (fits(&parts.weights) && bindings <= limits.max_uniform_buffers_per_shader_stage)
            .then_some(parts)
    }

    /// The first layer, for `mlp_row.wgsl`. `binding`: of its first block.
    fn source(&self, net: &Network, binding: usize) -> String {
        let function = |inputs: &Range<usize>, block: &str, base: &str| {
            MLP_ROW_BLOCK
                .replace("FROM", &inputs.start.to_string())
                .replace("TO", &inputs.end.to_string())
                .replace("BLOCK", block)
                .replace("BASE", base)
        };
        let (mut text, mut calls) = (String::new(), String::new());
        if self.inputs.is_empty() {
            text = function(&(0..net.inputs()), "weights", "K1 / 4u");
            calls = "first_layer_0(row, acc);".into();
        }
        for (i, inputs) in self.inputs.iter().enumerate() {
            let (at, vectors) = (binding + i, inputs.len() * net.hidden() / 4);
            text += &format!(
                "@group(0) @binding({at}) var<uniform> block_{i}: array<vec4<f32>, {vectors}u>;\n"
            );
            text += &function(inputs, &format!("block_{i}"), "0u");
            calls += &format!("first_layer_{}(row, acc); ", inputs.start);
        }
        format!(
            "{text}fn first_layer(row: u32, acc: ptr<function, array<vec4<f32>, H4>>) {{ {calls} }}\n"
        )
    }

    /// Member `p`'s blocks of the first kernel.
    fn regions(&self, c: &Context<'_>, net: &Network, p: usize) -> Vec<Region> {
        let (first, hidden) = (p * c.stride + net.layers[0].kernel, net.hidden());
        let inputs = self.inputs.iter();
        inputs
            .map(|k| c.params.part(first + k.start * hidden, k.len() * hidden))
            .collect()
    }
}

/// A kernel over tiles of rows for all members: one dispatch, or one per member where its weights are a uniform block.
struct Tiles {
    kernels: Vec<Kernel>,
    /// Tiles, members of a dispatch, slots.
    groups: [usize; 3],
}

impl Tiles {
    /// `binds` are the bindings from 2 on: tick and weights come first. `files` follow tick, activation and network.
    fn feed_forward(
        c: &Context<'_>,
        net: &Network,
        entry: &str,
        constants: Constants,
        files: &[&str],
        binds: &[Bind<'_>],
        slots: usize,
    ) -> Self {
        let tiles = c.sizes.member_rows().div_ceil(tile_rows(c, net));
        let members = c.sizes.members;
        let Some(blocks) = Blocks::new(c, net) else {
            let binds = [&[Bind::Tick(c.ticks), Bind::Read(c.params)], binds].concat();
            let sources = [&[TICK, ACTIVATION, MLP], files].concat();
            return Self {
                kernels: vec![Kernel::new(c.gpu, entry, &constants, &sources, &binds)],
                groups: [tiles, members, slots],
            };
        };
        let who = binds.len() + 2;
        let constants = constants.uint("WHO", who);
        let first_layer = blocks.source(net, who + 1);
        let sources = [&[TICK, ACTIVATION, MLP_ROW, &first_layer], files].concat();
        let mut kernels: Vec<Kernel> = Vec::new();
        for p in 0..members {
            let weights = c
                .params
                .part(p * c.stride + blocks.weights.start, blocks.weights.len());
            let parts = blocks.regions(c, net, p);
            let parts: Vec<_> = parts.iter().map(Bind::Uniform).collect();
            let who = c
                .gpu
                .storage_from("member", &[[p as u32, net.hidden() as u32 / 4, 0, 0]]);
            let first = [Bind::Tick(c.ticks), Bind::Uniform(&weights)];
            let binds = [&first, binds, &[Bind::Uniform(&who)], &parts[..]].concat();
            kernels.push(match kernels.first() {
                None => Kernel::new(c.gpu, entry, &constants, &sources, &binds),
                Some(first) => first.rebound(c.gpu, &binds),
            });
        }
        Self {
            kernels,
            groups: [tiles, 1, slots],
        }
    }

    fn record(&self, to: &mut Recorder, tick: usize) {
        for kernel in &self.kernels {
            kernel.record(to, tick, self.groups);
        }
    }
}

fn groups(c: &Context<'_>, net: &Network) -> [usize; 3] {
    let tiles = c.sizes.member_rows().div_ceil(tile_rows(c, net));
    [tiles, c.sizes.members, 1]
}

/// `first`: the binding at which the ends begin.
fn reset_constants(c: &Context<'_>, constants: Constants, first: usize) -> Constants {
    constants
        .uint("ENDS", first)
        .uint("ROWS_OF_ALL", c.sizes.rows())
        .uint("AGENTS", c.sizes.agents)
        .flag("FORGET_EPISODE", c.rnn_reset == RnnReset::EpisodeOrAgent)
}

/// Actions and their log-probabilities from one slot's observations and masks.
pub struct Policy(Tiles);

impl Policy {
    /// `keys: [P]` for the sampling, `log_probs: [T, P, E, A]`; `remembered` for recurrent networks.
    pub fn new(
        c: &Context<'_>,
        net: &Network,
        io: &EnvIo,
        keys: &Region,
        log_probs: &Region,
        remembered: Option<Remembered<'_>>,
    ) -> Self {
        let constants = constants(c, net, 1, false);
        let io_binds = [
            Bind::Read(&io.obs),
            Bind::Read(&io.avail),
            Bind::Read(keys),
            Bind::Write(&io.actions),
            Bind::Write(log_probs),
        ];
        // What draws an action and writes it.
        let [density, sample] = match c.sizes.actions {
            ActionSpace::Discrete(_) => ["", SAMPLE_CATEGORICAL],
            ActionSpace::Continuous(_) => [DENSITY, SAMPLE_GAUSSIAN],
        };
        let Some(remembered) = remembered else {
            let files = [RNG, density, sample, POLICY];
            let tiles = Tiles::feed_forward(c, net, "policy", constants, &files, &io_binds, 1);
            return Self(tiles);
        };
        let sources = [
            TICK, ACTIVATION, GRU_NET, RNG, density, sample, RESETS, GRU_POLICY,
        ];
        let first = [Bind::Tick(c.ticks), Bind::Read(c.params)];
        let mut binds = [&first[..], &io_binds].concat();
        binds.push(Bind::Write(remembered.memory));
        let constants = reset_constants(c, constants, binds.len());
        binds.extend([
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.agent_done),
            Bind::Read(remembered.carried),
        ]);
        Self(Tiles {
            kernels: vec![Kernel::new(c.gpu, "policy", &constants, &sources, &binds)],
            groups: groups(c, net),
        })
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.0.record(to, tick);
    }
}

/// What a critic looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The agent's observation.
    Observation,
    /// The world state, and which agent asks if `agent_id`.
    World { agent_id: bool },
}

impl View {
    /// Columns of the critic's own input, 0 where it sees the observation.
    pub fn columns(self, sizes: &Sizes) -> usize {
        match self {
            Self::Observation => 0,
            Self::World { agent_id: false } => sizes.state,
            Self::World { agent_id: true } => sizes.state + sizes.agents,
        }
    }

    /// Rows that share an input row, and whether each adds its number.
    fn sharing(self, sizes: &Sizes) -> (usize, bool) {
        match self {
            Self::Observation => (1, false),
            Self::World { agent_id } => (sizes.agents, agent_id),
        }
    }
}

/// The critic's values.
pub struct Value(Tiles);

impl Value {
    /// Of slots 0 to T of `inputs: [T + 1, P, E, …]`.
    pub fn of_rollout(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        values: &Region,
    ) -> Self {
        Self::feed_forward(c, net, view, inputs, values, false)
    }

    /// Of what episodes ended with, `inputs: [P, E, …]`, to the step of the tick.
    pub fn of_ends(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        values: &Region,
    ) -> Self {
        Self::feed_forward(c, net, view, inputs, values, true)
    }

    fn feed_forward(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        values: &Region,
        ends: bool,
    ) -> Self {
        let (share, one_hot) = view.sharing(c.sizes);
        let constants = constants(c, net, share, one_hot).flag("FINAL", ends);
        let binds = [Bind::Read(inputs), Bind::Write(values)];
        let slots = if ends { 1 } else { c.sizes.steps + 1 };
        let tiles = Tiles::feed_forward(c, net, "value", constants, &[VALUE], &binds, slots);
        Self(tiles)
    }

    /// The same for a recurrent critic that remembered `start` in front of slot 0; what it remembers in front of slot T goes
    /// to `memory`, both `[P, E, A, H]`.
    #[allow(clippy::too_many_arguments)] // The memory at both ends, and what lies between.
    pub fn recurrent(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        reset_in: &Region,
        start: &Region,
        memory: &Region,
        values: &Region,
    ) -> Self {
        let (share, one_hot) = view.sharing(c.sizes);
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Read(c.params),
            Bind::Read(inputs),
            Bind::Read(reset_in),
            Bind::Read(start),
            Bind::Write(memory),
            Bind::Write(values),
        ];
        let sources = [TICK, ACTIVATION, GRU_NET, GRU_VALUE];
        let constants = constants(c, net, share, one_hot);
        Self(Tiles {
            kernels: vec![Kernel::new(c.gpu, "value", &constants, &sources, &binds)],
            groups: groups(c, net),
        })
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.0.record(to, tick);
    }
}

/// Where the networks forgot in a rollout, `[T + 1, P, E, A]` (`ppo_family.md` §0).
pub struct Resets {
    pub reset_in: Region,
    kernel: Kernel,
    groups: usize,
}

impl Resets {
    pub fn new(c: &Context<'_>, io: &EnvIo, carried: &Region) -> Self {
        let rows = c.sizes.rows();
        let reset_in = c
            .gpu
            .storage("reset flags", 4 * ((c.sizes.steps + 1) * rows) as u64);
        let constants = Constants::default().uint("T", c.sizes.steps);
        let constants = reset_constants(c, constants, 2);
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(&reset_in),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.agent_done),
            Bind::Read(carried),
        ];
        Self {
            kernel: Kernel::new(
                c.gpu,
                "resets",
                &constants,
                &[TICK, RESETS, RESET_IN],
                &binds,
            ),
            groups: rows.div_ceil(64),
            reset_in,
        }
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, [self.groups, 1, 1]);
    }
}
