//! The networks while collecting: one dispatch a step from observations to sampled actions, one for all values.

use std::ops::Range;

use merit_sim::env::{ActionSpace, EnvIo};
use merit_sim::gpu::{Gpu, Region};

use crate::config::{Algo, Config, RnnReset};
use crate::dense::{Activate, input_blocks};
use crate::gaussian::DENSITY;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::net::{Network, UNIFORM_WORDS};
use crate::pieces::Pieces;
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const MLP: &str = include_str!("../../shaders/learn/mlp.wgsl");
const MLP_ROW: &str = include_str!("../../shaders/learn/mlp_row.wgsl");
const MLP_ROW_BLOCK: &str = include_str!("../../shaders/learn/mlp_row_block.wgsl");
const SAMPLE_CATEGORICAL: &str = include_str!("../../shaders/learn/sample_categorical.wgsl");
const SAMPLE_MIXTURE: &str = include_str!("../../shaders/learn/sample_mixture.wgsl");
pub(crate) const NORMALS: &str = include_str!("../../shaders/learn/normals.wgsl");
const SAMPLE_GAUSSIAN: &str = include_str!("../../shaders/learn/sample_gaussian.wgsl");
pub(crate) const SQUASHED: &str = include_str!("../../shaders/learn/squashed.wgsl");
const SAMPLE_SQUASHED: &str = include_str!("../../shaders/learn/sample_squashed.wgsl");
const POLICY: &str = include_str!("../../shaders/learn/policy.wgsl");
const VALUE: &str = include_str!("../../shaders/learn/value.wgsl");
const GRU_NET: &str = include_str!("../../shaders/learn/gru_net.wgsl");
const GRU_POLICY: &str = include_str!("../../shaders/learn/gru_policy.wgsl");
const GRU_VALUE: &str = include_str!("../../shaders/learn/gru_value.wgsl");
const RESETS: &str = include_str!("../../shaders/learn/resets.wgsl");
pub(crate) const OTHERS: &str = include_str!("../../shaders/learn/others.wgsl");
const ITSELF: &str = include_str!("../../shaders/learn/itself.wgsl");
const LAST_ACTION: &str = include_str!("../../shaders/learn/last_action.wgsl");
const SAMPLE_EPSILON_GREEDY: &str = include_str!("../../shaders/learn/sample_epsilon_greedy.wgsl");
const SAMPLE_SOFT: &str = include_str!("../../shaders/learn/sample_soft.wgsl");
pub(crate) const NO_OTHERS: &str = include_str!("../../shaders/learn/no_others.wgsl");
const STORED_CATEGORICAL: &str = include_str!("../../shaders/learn/stored_categorical.wgsl");
const STORED_GAUSSIAN: &str = include_str!("../../shaders/learn/stored_gaussian.wgsl");
const STORED_POLICY: &str = include_str!("../../shaders/learn/stored_policy.wgsl");
const GRU_STORED_POLICY: &str = include_str!("../../shaders/learn/gru_stored_policy.wgsl");
const RESET_IN: &str = include_str!("../../shaders/learn/reset_in.wgsl");

/// Rows of an invocation's patch: fewer than in training, where there are more of them to go round.
const PATCH_ROWS: usize = 4;

/// Invocations of a group where each takes whole rows: the width of a software device's vectors, and small groups let few rows use all
/// cores.
const ROW_GROUP: usize = 8;

/// Rows that such an invocation takes: each weight that it loads serves so many.
const ROWS_OF_ONE: usize = 4;

/// Columns of an invocation's patch; a unit of a GRU takes four sums, so there are fewer. On GPUs a column each: a step of few
/// environments has more invocations then.
fn patch_columns(c: &Context<'_>, net: &Network) -> usize {
    match (&net.trunk, c.by_rows) {
        (None, _) => 8,
        (Some(_), true) => 4,
        (Some(_), false) => 1,
    }
}

/// Inputs whose weights an invocation loads at a time (`mlp.wgsl`, `gru_net.wgsl`): a software device's loads do not wait.
fn unroll(c: &Context<'_>) -> usize {
    if c.by_rows { 1 } else { 4 }
}

/// What a recurrent network forgets at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forget {
    /// The agent's own end, and every step while it is dead.
    pub agent: bool,
    /// The end of the episode.
    pub episode: bool,
}

impl Forget {
    /// Reward models' (`ppo_family.md` §7.2): a team's reward goes on where an agent is dead.
    pub const WITH_THE_EPISODE: Self = Self {
        agent: false,
        episode: true,
    };
}

impl From<RnnReset> for Forget {
    fn from(reset: RnnReset) -> Self {
        Self {
            agent: true,
            episode: reset == RnnReset::EpisodeOrAgent,
        }
    }
}

/// What the kernels of a learner share.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub gpu: &'a Gpu,
    pub sizes: &'a Sizes,
    pub activate: Activate,
    pub forget: Forget,
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
        return ROW_GROUP * ROWS_OF_ONE;
    }
    let step = PATCH_ROWS;
    let mut rows = (1024 / net.hidden() / step * step).max(step);
    while 4 * rows * (2 * net.hidden() + net.outputs()) > 16_384 && rows > step {
        rows -= step;
    }
    rows
}

/// What an agent network is told of itself behind the observation (`value_decomposition.md` §2): one-hot its last action, none
/// in an episode's first step, and which agent it is.
pub struct Itself {
    pub last_action: bool,
    pub agent_id: bool,
    /// `[P, E, A] u32`: the last action, or the number of actions for none.
    last: Region,
    kernel: Kernel,
    groups: usize,
}

impl Itself {
    /// Columns behind the observation's.
    pub fn columns(config: &Config, sizes: &Sizes) -> usize {
        let action = if config.obs_last_action {
            sizes.outputs()
        } else {
            0
        };
        let id = if config.obs_agent_id { sizes.agents } else { 0 };
        action + id
    }

    pub fn new(c: &Context<'_>, config: &Config, io: &EnvIo) -> Self {
        let rows = c.sizes.rows();
        let last = c.gpu.storage("last actions", 4 * rows as u64);
        let constants = Constants::default()
            .uint("ROWS_OF_ALL", rows)
            .uint("AGENTS", c.sizes.agents)
            .uint("N", c.sizes.outputs());
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Read(&io.actions),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Write(&last),
        ];
        Self {
            last_action: config.obs_last_action,
            agent_id: config.obs_agent_id,
            kernel: Kernel::new(
                c.gpu,
                "last_action",
                &constants,
                &[TICK, LAST_ACTION],
                &binds,
            ),
            groups: rows.div_ceil(64),
            last,
        }
    }

    /// In front of the policy: what was done in the tick's step before.
    pub fn record(&self, to: &mut Recorder, tick: usize) {
        if self.last_action {
            self.kernel.record(to, tick, [self.groups, 1, 1]);
        }
    }

    fn constants(
        &self,
        sizes: &Sizes,
        constants: Constants,
        dense: usize,
        told: usize,
    ) -> Constants {
        constants
            .uint("AGENTS_HERE", sizes.agents)
            .uint("ROWS_HERE", sizes.rows())
            .uint("FIRST_OTHER", dense)
            .uint("BLOCK_WIDTH", sizes.outputs())
            .flag("LAST_ACTION", self.last_action)
            .flag("AGENT_ID", self.agent_id)
            .uint("TOLD", told)
    }
}

/// How a policy's outputs become an action.
#[derive(Clone, Copy, Default)]
pub enum Choice<'a> {
    /// They are logits of a categorical, or means of a Gaussian distribution; means and deviations of a squashed one.
    #[default]
    Distribution,
    /// As those, but with the tick's probability ε an available action is drawn uniformly; numbers in [-1, 1].
    Mixture,
    /// They are utilities: the largest one, with the tick's ε any (`value_decomposition.md` §3).
    EpsilonGreedy,
    /// They are utilities, whose order-preserving transforms are logits (`me_igm.md` §2.2).
    Soft(&'a Soft),
}

/// The device side of a softmax policy of transformed utilities.
pub struct Soft {
    /// WGSL that defines `transform` from the words below.
    pub source: String,
    /// `[P, E, words] f32`: what the transform of each environment's state is made of.
    pub words: Region,
    pub per_env: usize,
    /// `[P, …]`: the temperature is a member's first word of this many.
    pub temperature: Region,
    pub temperature_stride: usize,
    /// Whether it reads the parameters too, at the binding behind the temperature.
    pub reads_parameters: bool,
}

impl Soft {
    /// Behind `first`: the bindings of words and temperature.
    pub fn constants(&self, constants: Constants, first: usize) -> Constants {
        constants
            .uint("SOFT", first)
            .uint("TRANSFORM_WORDS", self.per_env)
            .uint("TEMPERATURE_STRIDE", self.temperature_stride)
    }
}

/// What tells policies of utilities from PPO's.
#[derive(Clone, Copy, Default)]
pub struct Behaviour<'a> {
    pub itself: Option<&'a Itself>,
    pub choice: Choice<'a>,
}

impl<'a> Behaviour<'a> {
    /// What is executed when nothing is explored: the distribution of an actor, else the largest utility.
    pub fn executing(algo: Algo, itself: Option<&'a Itself>) -> Self {
        Self {
            itself,
            choice: match algo.has_actor() {
                true => Choice::Distribution,
                false => Choice::EpsilonGreedy,
            },
        }
    }
}

/// What a network reads.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    /// `[slots, P, E, …]`
    region: &'a Region,
    /// Rows that read the same of it.
    share: usize,
    /// The row's number among those is appended.
    one_hot: bool,
    /// The actions `[slots, P, E, A]` of which those of the other agents are appended.
    told: Option<&'a Region>,
    /// The agent's own is among them.
    own_action: bool,
    /// What is appended of the row itself; not with `told`.
    itself: Option<&'a Itself>,
}

impl<'a> Inputs<'a> {
    /// `view` of observations or states, and of what was done.
    fn of(view: View, sizes: &Sizes, region: &'a Region, told: &'a Region) -> Self {
        Self {
            region,
            share: if view == View::Observation {
                1
            } else {
                sizes.agents
            },
            one_hot: view.agent_id(),
            told: view.others().then_some(told),
            own_action: view.own_action(),
            itself: None,
        }
    }

    fn observations(region: &'a Region) -> Self {
        Self {
            region,
            share: 1,
            one_hot: false,
            told: None,
            own_action: false,
            itself: None,
        }
    }

    /// What the appended columns are taken from.
    fn behind(&self) -> Option<&'a Region> {
        self.told.or(self.itself.map(|i| &i.last))
    }

    /// Columns of the network's input that are written out or a number's one-hot, not another agent's action.
    fn dense(&self, c: &Context<'_>, net: &Network) -> usize {
        let own = |i: &Itself| {
            let action = if i.last_action { c.sizes.outputs() } else { 0 };
            action + if i.agent_id { c.sizes.agents } else { 0 }
        };
        let others = self.told.map_or(0, |_| others_columns(c.sizes));
        net.inputs() - others - self.itself.map_or(0, own)
    }

    /// `binding`: the one that the actions take.
    fn constants(
        &self,
        c: &Context<'_>,
        net: &Network,
        constants: Constants,
        binding: usize,
    ) -> Constants {
        let dense = self.dense(c, net);
        let constants = constants
            .uint("SHARE", self.share)
            .flag("ONE_HOT", self.one_hot)
            .uint("IN", dense - if self.one_hot { self.share } else { 0 })
            .uint("DENSE", dense);
        match (self.told, self.itself) {
            (Some(_), _) => {
                others_constants(c.sizes, constants, dense, binding).flag("OWN", self.own_action)
            }
            (None, Some(itself)) => itself.constants(c.sizes, constants, dense, binding),
            (None, None) => constants,
        }
    }

    fn source(&self) -> &'static str {
        match (self.told, self.itself) {
            (Some(_), _) => OTHERS,
            (None, Some(_)) => ITSELF,
            (None, None) => NO_OTHERS,
        }
    }
}

/// Columns of all agents' actions.
pub(crate) fn others_columns(sizes: &Sizes) -> usize {
    sizes.agents * sizes.outputs()
}

/// For `others.wgsl`; `first`: the column of the first agent's.
pub(crate) fn others_constants(
    sizes: &Sizes,
    constants: Constants,
    first: usize,
    binding: usize,
) -> Constants {
    constants
        .uint("FIRST_OTHER", first)
        .uint("BLOCK_WIDTH", sizes.outputs())
        .flag(
            "CONTINUOUS",
            matches!(sizes.actions, ActionSpace::Continuous(_)),
        )
        .uint("TOLD", binding)
}

/// Sets of weights: one of a member, or of each of its agents.
fn networks(c: &Context<'_>, net: &Network) -> usize {
    c.sizes.members * net.copies
}

/// Rows of a step that one set of weights is for.
fn rows_of_one(c: &Context<'_>, net: &Network) -> usize {
    c.sizes.member_rows() / net.copies
}

fn constants(c: &Context<'_>, net: &Network) -> Constants {
    let blocks = Blocks::new(c, net);
    let (rows, columns) = (tile_rows(c, net), patch_columns(c, net));
    let group = match blocks {
        Some(_) => ROW_GROUP,
        None => net.hidden() / columns * (rows / PATCH_ROWS),
    };
    // Where one member's weights are bound, places count from their first word.
    let weights = blocks.map_or(0..0, |b| b.weights);
    let mut constants = Constants::default()
        .uint("MEMBERS", networks(c, net))
        .uint("RPM", rows_of_one(c, net))
        .uint("APART", net.copies)
        .flag("NORM", net.normalised)
        .uint("STRIDE", c.stride / net.copies)
        .uint("HIDDEN", net.hidden())
        .uint("OUT", net.outputs())
        .uint("N", net.choices())
        .uint("T", c.sizes.steps)
        .uint("ACT", c.activate as usize)
        .uint("ROWS", rows)
        .uint("TM", PATCH_ROWS)
        .uint("TN", columns)
        .uint("UNROLL", unroll(c))
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
    let plain = net.trunk.is_some() && net.layers.len() == 1;
    if net.trunk.is_some() {
        constants = constants.flag("PLAIN_HEAD", plain);
    }
    if plain {
        constants = constants.uint("K1", 0).uint("B1", 0);
    }
    for (i, layer) in net.layers.iter().enumerate() {
        let i = i + usize::from(plain);
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
        let from = |start: usize| start..start + (net.end_of_first() - start).next_multiple_of(4);
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
            "{text}fn first_layer(row: vec4<u32>, acc: ptr<function, array<mat4x4<f32>, H4>>) {{ {calls} }}\n"
        )
    }

    /// Blocks of the first kernel of the set of weights `p`.
    fn regions(&self, c: &Context<'_>, net: &Network, p: usize) -> Vec<Region> {
        let stride = c.stride / net.copies;
        let (first, hidden) = (p * stride + net.layers[0].kernel, net.hidden());
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
    /// `binds` are the bindings from 3 on: tick, weights and inputs come first. `files` follow tick, activation and network.
    #[allow(clippy::too_many_arguments)] // What is compiled, for what, on what.
    fn feed_forward(
        c: &Context<'_>,
        net: &Network,
        inputs: Inputs<'_>,
        entry: &str,
        constants: Constants,
        files: &[&str],
        binds: &[Bind<'_>],
        slots: usize,
    ) -> Self {
        let constants = inputs.constants(c, net, constants, binds.len() + 3);
        let told = inputs.behind().map(Bind::Read);
        let binds: Vec<_> = [Bind::Read(inputs.region)]
            .into_iter()
            .chain(binds.iter().copied())
            .chain(told)
            .collect();
        let files = [files, &[inputs.source()]].concat();
        let tiles = rows_of_one(c, net).div_ceil(tile_rows(c, net));
        let members = networks(c, net);
        let Some(blocks) = Blocks::new(c, net) else {
            let binds = [&[Bind::Tick(c.ticks), Bind::Read(c.params)], &binds[..]].concat();
            let sources = [&[TICK, ACTIVATION, MLP], &files[..]].concat();
            return Self {
                kernels: vec![Kernel::new(c.gpu, entry, &constants, &sources, &binds)],
                groups: [tiles, members, slots],
            };
        };
        let who = binds.len() + 2;
        let constants = constants.uint("WHO", who);
        let first_layer = blocks.source(net, who + 1);
        let sources = [&[TICK, ACTIVATION, MLP_ROW, &first_layer], &files[..]].concat();
        let mut kernels: Vec<Kernel> = Vec::new();
        for p in 0..members {
            let weights = c.params.part(
                p * (c.stride / net.copies) + blocks.weights.start,
                blocks.weights.len(),
            );
            let parts = blocks.regions(c, net, p);
            let parts: Vec<_> = parts.iter().map(Bind::Uniform).collect();
            let who = c
                .gpu
                .storage_from("member", &[[p as u32, net.hidden() as u32 / 4, 0, 0]]);
            let first = [Bind::Tick(c.ticks), Bind::Uniform(&weights)];
            let binds = [&first[..], &binds, &[Bind::Uniform(&who)], &parts].concat();
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
        self.record_over(to, tick, self.groups[2]);
    }

    /// Over another number of slots or rollouts.
    fn record_over(&self, to: &mut Recorder, tick: usize, slots: usize) {
        let [tiles, members, _] = self.groups;
        for kernel in &self.kernels {
            kernel.record(to, tick, [tiles, members, slots]);
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
        .flag("FORGET_AGENT", c.forget.agent)
        .flag("FORGET_EPISODE", c.forget.episode)
}

/// Actions and their log-probabilities from one slot's observations and masks.
pub struct Policy(Tiles);

impl Policy {
    /// `keys: [P]` for the sampling, `log_probs: [T, P, E, A]`; `remembered` for recurrent networks. Where outputs are utilities,
    /// nothing is written to `log_probs` that means anything.
    pub fn new(
        c: &Context<'_>,
        net: &Network,
        io: &EnvIo,
        keys: &Region,
        log_probs: &Region,
        remembered: Option<Remembered<'_>>,
        behaviour: Behaviour<'_>,
    ) -> Self {
        let inputs = Inputs {
            itself: behaviour.itself,
            ..Inputs::observations(&io.obs)
        };
        let mut constants = constants(c, net);
        let mut io_binds = vec![
            Bind::Read(&io.avail),
            Bind::Read(keys),
            Bind::Write(&io.actions),
            Bind::Write(log_probs),
        ];
        let density_and_normals = [DENSITY, NORMALS].concat();
        // What draws an action and writes it.
        let [density, sample]: [&str; 2] = match (behaviour.choice, c.sizes.actions) {
            (Choice::Distribution | Choice::Mixture, _) if net.squashed => {
                [SQUASHED, SAMPLE_SQUASHED]
            }
            (Choice::Distribution, ActionSpace::Discrete(_)) => ["", SAMPLE_CATEGORICAL],
            (Choice::Distribution, ActionSpace::Continuous(_)) => {
                [&density_and_normals, SAMPLE_GAUSSIAN]
            }
            (Choice::Mixture, _) => ["", SAMPLE_MIXTURE],
            (Choice::EpsilonGreedy, _) => ["", SAMPLE_EPSILON_GREEDY],
            (Choice::Soft(soft), _) => [&soft.source, SAMPLE_SOFT],
        };
        // Behind log-probabilities, and the memory of recurrent networks.
        let soft = match behaviour.choice {
            Choice::Soft(soft) => {
                let first = 7 + usize::from(remembered.is_some());
                constants = soft.constants(constants, first);
                // Recurrent ones have it from where they forget.
                if remembered.is_none() {
                    constants = constants.uint("AGENTS", c.sizes.agents);
                }
                let mut binds = vec![Bind::Read(&soft.words), Bind::Read(&soft.temperature)];
                if soft.reads_parameters {
                    binds.push(Bind::Read(c.params));
                }
                binds
            }
            _ => vec![],
        };
        let Some(remembered) = remembered else {
            io_binds.extend(soft);
            let files = [RNG, density, sample, POLICY];
            let tiles =
                Tiles::feed_forward(c, net, inputs, "policy", constants, &files, &io_binds, 1);
            return Self(tiles);
        };
        let others = inputs.source();
        let sources = [
            TICK, ACTIVATION, GRU_NET, others, RNG, density, sample, RESETS, GRU_POLICY,
        ];
        let first = [
            Bind::Tick(c.ticks),
            Bind::Read(c.params),
            Bind::Read(inputs.region),
        ];
        let mut binds = [&first[..], &io_binds].concat();
        binds.push(Bind::Write(remembered.memory));
        binds.extend(soft);
        let constants = reset_constants(c, constants, binds.len());
        binds.extend([
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.agent_done),
            Bind::Read(remembered.carried),
        ]);
        let constants = inputs.constants(c, net, constants, binds.len());
        binds.extend(inputs.behind().map(Bind::Read));
        Self(Tiles {
            kernels: vec![Kernel::new(c.gpu, "policy", &constants, &sources, &binds)],
            groups: groups(c, net),
        })
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.0.record(to, tick);
    }
}

/// What the policy says now of the steps that are stored.
pub struct StoredPolicy {
    tiles: Tiles,
    recurrent: bool,
    steps: usize,
    /// Words of a slot of what is said.
    slot: usize,
    said: Region,
    /// What was said when it was done, where that is known of the newest rollout.
    newest: Option<Region>,
}

impl StoredPolicy {
    /// `said`: the log-probabilities of what was done, `[slots, P, E, A]`, or with `probabilities` what the distribution is made of,
    /// `[slots, P, E, A, N]`: the probabilities of discrete actions, the means of numbers. `memory`: of recurrent networks, where they forgot and what they remembered when the rollouts began.
    /// `newest: [slots, P, E, A]`: log-probabilities when it was done. Where there are older rollouts those of the newest are taken from
    /// there, for this policy did it: all but those of its first step. Recurrent networks say them anew, from what they remember now.
    pub fn new(
        c: &Context<'_>,
        net: &Network,
        io: &EnvIo,
        said: &Region,
        probabilities: bool,
        memory: Option<(&Region, &Region)>,
        newest: Option<&Region>,
    ) -> Self {
        let inputs = Inputs::observations(&io.obs);
        let newest = newest.filter(|_| memory.is_none());
        let constants = constants(c, net)
            .flag("PROBABILITIES", probabilities)
            .flag("OTHERS_ONLY", newest.is_some());
        let binds = [
            Bind::Read(&io.avail),
            Bind::Read(&io.actions),
            Bind::Write(said),
        ];
        let [density, say] = match c.sizes.actions {
            ActionSpace::Discrete(_) => ["", STORED_CATEGORICAL],
            ActionSpace::Continuous(_) => [DENSITY, STORED_GAUSSIAN],
        };
        let tiles = match memory {
            None => {
                let files = [density, say, STORED_POLICY];
                Tiles::feed_forward(
                    c,
                    net,
                    inputs,
                    "stored_policy",
                    constants,
                    &files,
                    &binds,
                    1,
                )
            }
            Some((reset_in, start)) => {
                let constants = inputs.constants(c, net, constants, 0);
                let first = [
                    Bind::Tick(c.ticks),
                    Bind::Read(c.params),
                    Bind::Read(inputs.region),
                ];
                let last = [Bind::Read(reset_in), Bind::Read(start)];
                let binds = [&first[..], &binds, &last].concat();
                let sources = [
                    TICK,
                    ACTIVATION,
                    GRU_NET,
                    NO_OTHERS,
                    density,
                    say,
                    GRU_STORED_POLICY,
                ];
                Tiles {
                    kernels: vec![Kernel::new(
                        c.gpu,
                        "stored_policy",
                        &constants,
                        &sources,
                        &binds,
                    )],
                    groups: groups(c, net),
                }
            }
        };
        Self {
            tiles,
            recurrent: memory.is_some(),
            steps: c.sizes.steps,
            slot: c.sizes.rows(),
            said: said.clone(),
            newest: newest.cloned(),
        }
    }

    /// Of the rollout at the tick's slot.
    pub fn record(&self, to: &mut Recorder, tick: usize) {
        let groups = if self.recurrent { 1 } else { self.steps };
        self.tiles.record_over(to, tick, groups);
    }

    /// Of all `rollouts` that there are, under the tick of all of them; `newest` is the number of the newest.
    pub fn record_all(&self, to: &mut Recorder, tick: usize, rollouts: usize, newest: usize) {
        let Some(stored) = &self.newest else {
            return self.tiles.record_over(to, tick, rollouts);
        };
        let first = (newest * (self.steps + 1) + 1) * self.slot;
        let words = (self.steps - 1) * self.slot;
        if words > 0 {
            to.copy(&stored.part(first, words), &self.said.part(first, words));
        }
        let groups = (rollouts - 1) * self.steps + 1;
        self.tiles.record_over(to, tick, groups);
    }
}

/// What a critic looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The agent's observation.
    Observation,
    /// The world state, and which agent asks if `agent_id`.
    World { agent_id: bool },
    /// The world state, which agent asks, and what the others did (`ppo_family.md` §8.5).
    WorldAndOthers,
    /// The same with what the agent itself did (`ppo_family.md` §6.3, continuous actions).
    WorldAndAll,
}

impl View {
    /// Columns of the critic's own input, 0 where it sees the observation.
    pub fn columns(self, sizes: &Sizes) -> usize {
        let id = if self.agent_id() { sizes.agents } else { 0 };
        match self {
            Self::Observation => 0,
            Self::World { .. } => sizes.state + id,
            Self::WorldAndOthers | Self::WorldAndAll => sizes.state + id + others_columns(sizes),
        }
    }

    fn agent_id(self) -> bool {
        self.others() || matches!(self, Self::World { agent_id: true })
    }

    pub fn others(self) -> bool {
        matches!(self, Self::WorldAndOthers | Self::WorldAndAll)
    }

    pub fn own_action(self) -> bool {
        self == Self::WorldAndAll
    }
}

/// The critic's values, or those of each own action.
pub struct Value(Judge);

enum Judge {
    /// The whole network in one kernel; workgroups in z for a rollout.
    Tiles { tiles: Tiles, per_rollout: usize },
    /// The layers that are trained, over a piece of a rollout at a time.
    Pieces(Box<Pieces>),
}

impl Value {
    /// By the layers that are trained.
    pub fn by_pieces(pieces: Pieces) -> Self {
        Self(Judge::Pieces(Box::new(pieces)))
    }

    /// Of rollouts: `inputs: [slots, P, E, …]`, `values: [slots, P, E, A]` (`, N`), `told` what was done.
    pub fn of_rollouts(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        told: &Region,
        values: &Region,
    ) -> Self {
        let inputs = Inputs::of(view, c.sizes, inputs, told);
        Self(Judge::Tiles {
            tiles: Self::feed_forward(c, net, inputs, values, false),
            per_rollout: c.sizes.steps + 1,
        })
    }

    /// Of what episodes ended with, `inputs: [P, E, …]`, to the step of the tick. Nobody acted there: not for critics that see it.
    pub fn of_ends(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        values: &Region,
    ) -> Self {
        let inputs = Inputs::of(view, c.sizes, inputs, inputs);
        Self(Judge::Tiles {
            tiles: Self::feed_forward(c, net, inputs, values, true),
            per_rollout: 1,
        })
    }

    fn feed_forward(
        c: &Context<'_>,
        net: &Network,
        inputs: Inputs<'_>,
        values: &Region,
        ends: bool,
    ) -> Tiles {
        let constants = constants(c, net).flag("FINAL", ends);
        let binds = [Bind::Write(values)];
        Tiles::feed_forward(c, net, inputs, "value", constants, &[VALUE], &binds, 1)
    }

    /// Of rollouts, for a recurrent critic that remembered `start: [M, P, E, A, H]` in front of them; what it remembers in front of
    /// the last slot of the newest goes to `memory: [P, E, A, H]`.
    #[allow(clippy::too_many_arguments)] // The memory at both ends, and what lies between.
    pub fn recurrent(
        c: &Context<'_>,
        net: &Network,
        view: View,
        inputs: &Region,
        told: &Region,
        reset_in: &Region,
        start: &Region,
        memory: &Region,
        values: &Region,
    ) -> Self {
        let inputs = Inputs::of(view, c.sizes, inputs, told);
        let mut binds = vec![
            Bind::Tick(c.ticks),
            Bind::Read(c.params),
            Bind::Read(inputs.region),
            Bind::Read(reset_in),
            Bind::Read(start),
            Bind::Write(memory),
            Bind::Write(values),
        ];
        let constants = inputs.constants(c, net, constants(c, net), binds.len());
        binds.extend(inputs.told.map(Bind::Read));
        let sources = [TICK, ACTIVATION, GRU_NET, GRU_VALUE, inputs.source()];
        Self(Judge::Tiles {
            tiles: Tiles {
                kernels: vec![Kernel::new(c.gpu, "value", &constants, &sources, &binds)],
                groups: groups(c, net),
            },
            per_rollout: 1,
        })
    }

    /// Of `rollouts` consecutive ones, from that at the tick's slot on; of ends, of one step.
    pub fn record(&self, to: &mut Recorder, tick: usize, rollouts: usize) {
        match &self.0 {
            Judge::Tiles { tiles, per_rollout } => {
                tiles.record_over(to, tick, rollouts * per_rollout);
            }
            Judge::Pieces(pieces) => pieces.record(to, tick, rollouts),
        }
    }
}

/// Where networks forgot in the rollouts, `[slots, P, E, A]` (`ppo_family.md` §0).
pub struct Resets {
    pub reset_in: Region,
    /// `[P, E, A]`: where to forget in front of the next rollout.
    pub carried: Region,
    kernel: Kernel,
    groups: usize,
}

impl Resets {
    pub fn new(c: &Context<'_>, io: &EnvIo) -> Self {
        let rows = c.sizes.rows();
        let carried = c.gpu.storage("carried resets", 4 * rows as u64);
        let reset_in = c
            .gpu
            .storage("reset flags", 4 * (c.sizes.slots() * rows) as u64);
        let constants = Constants::default().uint("T", c.sizes.steps);
        let constants = reset_constants(c, constants, 2);
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(&reset_in),
            Bind::Read(&io.terminated),
            Bind::Read(&io.truncated),
            Bind::Read(&io.agent_done),
            Bind::Read(&carried),
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
            carried,
        }
    }

    /// The flags of `slot`, which a rollout ended with, to the next one's beginning.
    pub fn carry(&self, to: &mut Recorder, slot: usize) {
        let size = self.carried.size;
        let last = Region {
            offset: slot as u64 * size,
            size,
            ..self.reset_in.clone()
        };
        to.copy(&last, &self.carried);
    }

    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, 0, [self.groups, 1, 1]);
    }
}
