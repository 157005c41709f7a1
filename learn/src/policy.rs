//! The networks while collecting: one dispatch a step from observations to sampled actions, one for all values.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::config::RnnReset;
use crate::dense::Activate;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::net::Network;
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const MLP: &str = include_str!("../../shaders/learn/mlp.wgsl");
const SAMPLE: &str = include_str!("../../shaders/learn/sample.wgsl");
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
fn tile_rows(net: &Network) -> usize {
    let step = PATCH_ROWS;
    let mut rows = (1024 / net.hidden() / step * step).max(step);
    while 4 * rows * (2 * net.hidden() + net.outputs()) > 16_384 && rows > step {
        rows -= step;
    }
    rows
}

/// `share` rows read one input row; with `one_hot` the row's number among them is appended to the input.
fn constants(c: &Context<'_>, net: &Network, share: usize, one_hot: bool) -> Constants {
    let (rows, columns) = (tile_rows(net), patch_columns(net));
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
        .uint("WG", net.hidden() / columns * (rows / PATCH_ROWS));
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
            .uint(&format!("K{}", i + 1), layer.kernel)
            .uint(&format!("B{}", i + 1), layer.bias);
    }
    constants
}

fn groups(sizes: &Sizes, net: &Network) -> [usize; 2] {
    [sizes.member_rows().div_ceil(tile_rows(net)), sizes.members]
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
pub struct Policy {
    kernel: Kernel,
    groups: [usize; 2],
}

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
        let mut constants = constants(c, net, 1, false);
        let mut binds = vec![
            Bind::Tick(c.ticks),
            Bind::Read(c.params),
            Bind::Read(&io.obs),
            Bind::Read(&io.avail),
            Bind::Read(keys),
            Bind::Write(&io.actions),
            Bind::Write(log_probs),
        ];
        let mut sources = vec![TICK, ACTIVATION, MLP, RNG, SAMPLE, POLICY];
        if let Some(remembered) = remembered {
            sources = vec![TICK, ACTIVATION, GRU_NET, RNG, SAMPLE, RESETS, GRU_POLICY];
            binds.push(Bind::Write(remembered.memory));
            constants = reset_constants(c, constants, binds.len());
            binds.extend([
                Bind::Read(&io.terminated),
                Bind::Read(&io.truncated),
                Bind::Read(&io.agent_done),
                Bind::Read(remembered.carried),
            ]);
        }
        Self {
            kernel: Kernel::new(c.gpu, "policy", &constants, &sources, &binds),
            groups: groups(c.sizes, net),
        }
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        let [tiles, members] = self.groups;
        self.kernel.record(to, tick, [tiles, members, 1]);
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
pub struct Value {
    kernel: Kernel,
    groups: [usize; 3],
}

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
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Read(c.params),
            Bind::Read(inputs),
            Bind::Write(values),
        ];
        let [tiles, members] = groups(c.sizes, net);
        Self {
            kernel: Kernel::new(
                c.gpu,
                "value",
                &constants,
                &[TICK, ACTIVATION, MLP, VALUE],
                &binds,
            ),
            groups: [tiles, members, if ends { 1 } else { c.sizes.steps + 1 }],
        }
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
        let [tiles, members] = groups(c.sizes, net);
        Self {
            kernel: Kernel::new(
                c.gpu,
                "value",
                &constants(c, net, share, one_hot),
                &[TICK, ACTIVATION, GRU_NET, GRU_VALUE],
                &binds,
            ),
            groups: [tiles, members, 1],
        }
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.kernel.record(to, tick, self.groups);
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
