//! The networks while collecting: one dispatch a step from observations to sampled actions, one for all values.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::dense::Activate;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::net::Mlp;
use crate::sizes::Sizes;

const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
const MLP: &str = include_str!("../../shaders/learn/mlp.wgsl");
const SAMPLE: &str = include_str!("../../shaders/learn/sample.wgsl");
const POLICY: &str = include_str!("../../shaders/learn/policy.wgsl");
const VALUE: &str = include_str!("../../shaders/learn/value.wgsl");

/// Rows and columns of an invocation's patch: fewer rows than in training, where there are more of them to go round.
const PATCH: [usize; 2] = [4, 8];

/// A member's parameters on the device.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    pub region: &'a Region,
    /// Words of a member.
    pub stride: usize,
}

/// Rows of a workgroup's tile: 32 invocations, or fewer where the tile would not fit in 16 KiB of workgroup memory.
fn tile_rows(net: &Mlp) -> usize {
    let step = PATCH[0];
    let mut rows = (1024 / net.hidden() / step * step).max(step);
    while 4 * rows * (2 * net.hidden() + net.outputs()) > 16_384 && rows > step {
        rows -= step;
    }
    rows
}

/// `share` rows read one input row; with `one_hot` the row's number among them is appended to the input.
fn constants(
    sizes: &Sizes,
    net: &Mlp,
    activate: Activate,
    params: Params<'_>,
    share: usize,
    one_hot: bool,
) -> Constants {
    let [a, b, c] = &net.layers;
    let rows = tile_rows(net);
    Constants::default()
        .uint("MEMBERS", sizes.members)
        .uint("RPM", sizes.member_rows())
        .uint("SHARE", share)
        .flag("ONE_HOT", one_hot)
        .uint("STRIDE", params.stride)
        .uint("IN", a.inputs - if one_hot { share } else { 0 })
        .uint("HIDDEN", net.hidden())
        .uint("OUT", net.outputs())
        .uint("N", net.outputs())
        .uint("K1", a.kernel)
        .uint("B1", a.bias)
        .uint("K2", b.kernel)
        .uint("B2", b.bias)
        .uint("K3", c.kernel)
        .uint("B3", c.bias)
        .uint("ACT", activate as usize)
        .uint("ROWS", rows)
        .uint("TM", PATCH[0])
        .uint("TN", PATCH[1])
        .uint("WG", net.hidden() / PATCH[1] * (rows / PATCH[0]))
}

/// Actions and their log-probabilities from one slot's observations and masks.
pub struct Policy {
    kernel: Kernel,
    groups: [usize; 3],
}

impl Policy {
    /// `keys: [P]` for the sampling, `log_probs: [T, P, E, A]`.
    #[allow(clippy::too_many_arguments)] // The network and the memory that it joins.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        net: &Mlp,
        activate: Activate,
        params: Params<'_>,
        io: &EnvIo,
        keys: &Region,
        log_probs: &Region,
        ticks: &Ticks,
    ) -> Self {
        let constants = constants(sizes, net, activate, params, 1, false);
        let binds = [
            Bind::Tick(ticks),
            Bind::Read(params.region),
            Bind::Read(&io.obs),
            Bind::Read(&io.avail),
            Bind::Read(keys),
            Bind::Write(&io.actions),
            Bind::Write(log_probs),
        ];
        Self {
            kernel: Kernel::new(
                gpu,
                "policy",
                &constants,
                &[TICK, ACTIVATION, MLP, RNG, SAMPLE, POLICY],
                &binds,
            ),
            groups: [
                sizes.member_rows().div_ceil(tile_rows(net)),
                sizes.members,
                1,
            ],
        }
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.kernel.record(to, tick, self.groups);
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
}

/// The critic's values of whole slots.
pub struct Value {
    kernel: Kernel,
    groups: [usize; 2],
}

impl Value {
    /// Reads `inputs: [slots, P, E, …]`. With `last`, `inputs` is the one slot of what episodes ended with, whatever the step.
    #[allow(clippy::too_many_arguments)] // The network and the memory that it joins.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        net: &Mlp,
        activate: Activate,
        params: Params<'_>,
        view: View,
        inputs: &Region,
        last: bool,
        values: &Region,
        ticks: &Ticks,
    ) -> Self {
        let (share, one_hot) = match view {
            View::Observation => (1, false),
            View::World { agent_id } => (sizes.agents, agent_id),
        };
        let constants = constants(sizes, net, activate, params, share, one_hot).flag("FINAL", last);
        let binds = [
            Bind::Tick(ticks),
            Bind::Read(params.region),
            Bind::Read(inputs),
            Bind::Write(values),
        ];
        Self {
            kernel: Kernel::new(
                gpu,
                "value",
                &constants,
                &[TICK, ACTIVATION, MLP, VALUE],
                &binds,
            ),
            groups: [sizes.member_rows().div_ceil(tile_rows(net)), sizes.members],
        }
    }

    /// The values of `slots` slots from the tick's step on.
    pub fn record(&self, to: &mut Recorder, tick: usize, slots: usize) {
        self.kernel
            .record(to, tick, [self.groups[0], self.groups[1], slots]);
    }
}
