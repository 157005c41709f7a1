//! Minibatches without the host: a keyed permutation of the samples, the moments of their advantages, and the gathering.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::dense::Rows;
use crate::gae::Gae;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::loss::{Input, Loss};
use crate::sizes::Sizes;

pub(crate) const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
pub(crate) const MINIBATCH: &str = include_str!("../../shaders/learn/minibatch.wgsl");
const SHUFFLE: &str = include_str!("../../shaders/learn/shuffle.wgsl");
const MOMENTS: &str = include_str!("../../shaders/learn/moments.wgsl");
const GATHER: &str = include_str!("../../shaders/learn/gather.wgsl");

/// What a minibatch is gathered from, beside the environments' [`EnvIo`] and [`Gae`].
pub struct Samples<'a> {
    /// `[T, P, E, A]`
    pub log_probs: &'a Region,
    /// `[T + 1, P, E, A]`
    pub values: &'a Region,
}

/// The order of an epoch, and the inputs of the networks.
pub struct Minibatches {
    /// `[P, items] u32`
    pub order: Region,
    /// `D` columns.
    pub actor_input: Rows,
    /// `S (+ A)` columns, or the actor's input where the critic sees the observation.
    pub critic_input: Rows,
    shuffle: Kernel,
    moments: Kernel,
    gather: Kernel,
    sizes: Sizes,
    constants: Constants,
}

impl Minibatches {
    /// `critic_columns`: what the critic sees beside the actor, `S` or `S + A`; 0 if it sees the observation.
    #[allow(clippy::too_many_arguments)] // Everything that a minibatch is made of.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        samples: &Samples<'_>,
        gae: &Gae,
        loss: &Loss,
        critic_columns: usize,
        keys: &Region,
        ticks: &Ticks,
    ) -> Self {
        let (members, rows) = (sizes.members, sizes.minibatch_rows());
        let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
        let order = words("minibatch order", members * items(sizes));
        let moments = words("advantage moments", 2 * sizes.minibatches * members);
        let input = |what: &str, columns: usize| Rows::padded(gpu, what, members * rows, columns);
        let actor_input = input("actor minibatch", sizes.obs);
        let critic_input = input("critic minibatch", critic_columns);
        // Cycle walking needs a power of two of at least 4: a Feistel half of no bits would leave the order as it is.
        let bits = items(sizes).next_power_of_two().trailing_zeros().max(2);
        let constants = Constants::default()
            .uint("MEMBERS", members)
            .uint("RPM", sizes.member_rows())
            .uint("AGENTS", sizes.agents)
            .uint("ITEMS", items(sizes))
            .uint("ITEM_BITS", bits as usize)
            .uint("ROWS", rows)
            .uint("SEQUENCES", sizes.sequences)
            .uint("OBS", sizes.obs)
            .uint("STATE", sizes.state)
            .uint("CRITIC", critic_columns)
            .uint("N", sizes.outputs())
            .uint("OLD_LOG_PROB", loss.place(Input::OldLogProb))
            .uint("ADVANTAGE", loss.place(Input::Advantage))
            .uint("GOAL", loss.place(Input::Goal))
            .uint("OLD_VALUE", loss.place(Input::OldValue));
        let shuffle = Kernel::new(
            gpu,
            "shuffle",
            &constants,
            &[TICK, RNG, MINIBATCH, SHUFFLE],
            &[Bind::Tick(ticks), Bind::Write(&order), Bind::Read(keys)],
        );
        let moments_kernel = Kernel::new(
            gpu,
            "advantage_moments",
            &constants,
            &[TICK, MINIBATCH, MOMENTS],
            &[
                Bind::Tick(ticks),
                Bind::Write(&order),
                Bind::Read(&gae.advantage),
                Bind::Write(&moments),
            ],
        );
        let gather = Kernel::new(
            gpu,
            "gather",
            &constants,
            &[TICK, MINIBATCH, GATHER],
            &[
                Bind::Tick(ticks),
                Bind::Write(&order),
                Bind::Read(&gae.advantage),
                Bind::Read(&moments),
                Bind::Read(&io.obs),
                Bind::Read(&io.state),
                Bind::Read(samples.log_probs),
                Bind::Read(samples.values),
                Bind::Read(&gae.goal),
                Bind::Write(&actor_input.region),
                Bind::Write(&critic_input.region),
                Bind::Write(&loss.batch.region),
            ],
        );
        let critic_input = if critic_columns == 0 {
            actor_input.clone()
        } else {
            critic_input
        };
        Self {
            order,
            actor_input,
            critic_input,
            shuffle,
            moments: moments_kernel,
            gather,
            sizes: *sizes,
            constants,
        }
    }

    /// What kernels that look up a minibatch's samples are compiled for.
    pub fn constants(&self) -> Constants {
        self.constants.clone()
    }

    /// A new order for the epoch of `tick`, and the moments of all of its minibatches.
    pub fn record_epoch(&self, to: &mut Recorder, tick: usize) {
        let s = &self.sizes;
        self.shuffle
            .record(to, tick, [items(s).div_ceil(64), s.members, 1]);
        self.moments.record(to, tick, [s.minibatches, s.members, 1]);
    }

    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        let s = &self.sizes;
        self.gather
            .record(to, tick, [s.minibatch_rows().div_ceil(8), s.members, 1]);
    }
}

/// What is permuted, per member: samples, or whole sequences.
fn items(sizes: &Sizes) -> usize {
    match sizes.sequences {
        0 => sizes.samples(),
        _ => sizes.member_rows(),
    }
}
