//! Minibatches without the host: a keyed permutation of the samples, the moments of their advantages, and the gathering.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{Gpu, Region};

use crate::config::ActorRatio;
use crate::dense::Rows;
use crate::gae::Estimates;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::loss::{Input, Loss};
use crate::policy::{Context, NO_OTHERS, OTHERS, View, others_columns, others_constants};
use crate::sizes::Sizes;

pub(crate) const TICK: &str = include_str!("../../shaders/learn/tick.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");
pub(crate) const MINIBATCH: &str = include_str!("../../shaders/learn/minibatch.wgsl");
pub(crate) const FEISTEL: &str = include_str!("../../shaders/learn/feistel.wgsl");
const SHUFFLE: &str = include_str!("../../shaders/learn/shuffle.wgsl");
const MOMENTS: &str = include_str!("../../shaders/learn/moments.wgsl");
const CENTRAL: &str = include_str!("../../shaders/learn/central.wgsl");
const BEHAVIOUR: &str = include_str!("../../shaders/learn/ratio_behaviour.wgsl");
const OTHER_RATIOS: &str = include_str!("../../shaders/learn/ratio_others.wgsl");
const GATHER: &str = include_str!("../../shaders/learn/gather.wgsl");

/// Which samples a batch has: what kernels that look them up are compiled for and bind (`position` in `minibatch.wgsl`, `piece.wgsl`).
pub struct Batch<'a> {
    pub file: &'static str,
    /// `MEMBERS`, `T`, `RPM`, `AGENTS`, `STATE`, `ROWS`, `SEQUENCES`, `STEPS` and what the file needs.
    pub constants: Constants,
    /// Binding 1: an order, or the number of the piece.
    pub which: &'a Region,
    /// Samples of a member.
    pub rows: usize,
    /// Sequences among them, 0 for single samples.
    pub sequences: usize,
}

/// What a minibatch is gathered from, beside the environments' [`EnvIo`] and the [`Estimates`].
pub struct Samples<'a> {
    /// `[slots, P, E, A]`
    pub log_probs: &'a Region,
    /// ln π now, `[slots, P, E, A]`, and what it is for; where older rollouts are kept.
    pub said: Option<(&'a Region, ActorRatio)>,
    /// `[slots, P, E, A]`
    pub values: &'a Region,
}

/// The order of an epoch, and the inputs of the networks.
pub struct Minibatches {
    /// `[P, items] u32`
    pub order: Region,
    /// `D` columns.
    pub actor_input: Rows,
    /// The columns of the critic's [`View`], or the actor's input where that is the observation.
    pub critic_input: Rows,
    shuffle: Kernel,
    moments: Kernel,
    gather: Kernel,
    sizes: Sizes,
    constants: Constants,
}

impl Minibatches {
    #[allow(clippy::too_many_arguments)] // Everything that a minibatch is made of.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        io: &EnvIo,
        samples: &Samples<'_>,
        estimates: &Estimates,
        loss: &Loss,
        view: View,
        keys: &Region,
        ticks: &Ticks,
    ) -> Self {
        let (members, rows) = (sizes.members, sizes.minibatch_rows());
        let critic_columns = view.columns(sizes);
        let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
        let order = words("minibatch order", members * items(sizes));
        let moments = words(
            "advantage moments",
            2 * sizes.reuse * sizes.minibatches * members,
        );
        let input = |what: &str, columns: usize| Rows::padded(gpu, what, members * rows, columns);
        let actor_input = input("actor minibatch", sizes.obs);
        let critic_input = input("critic minibatch", critic_columns);
        // Cycle walking needs a power of two of at least 4: a Feistel half of no bits would leave the order as it is.
        let bits = items(sizes).next_power_of_two().trailing_zeros().max(2);
        let constants = Constants::default()
            .uint("MEMBERS", members)
            .uint("T", sizes.steps)
            .uint("RPM", sizes.member_rows())
            .uint("AGENTS", sizes.agents)
            .uint("ITEMS", items(sizes))
            .uint("ITEM_BITS", bits as usize)
            .uint("ROWS", rows)
            .uint("SEQUENCES", sizes.sequences)
            .uint("STEPS", sizes.steps)
            .uint("OBS", sizes.obs)
            .uint("STATE", sizes.state)
            .uint("N", sizes.outputs())
            .uint("OLD_LOG_PROB", loss.place(Input::OldLogProb))
            .uint("ADVANTAGE", loss.place(Input::Advantage))
            .uint("GOAL", loss.place(Input::Goal))
            .uint("OLD_VALUE", loss.place(Input::OldValue));
        let shuffle = Kernel::new(
            gpu,
            "shuffle",
            &constants,
            &[TICK, RNG, FEISTEL, MINIBATCH, SHUFFLE],
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
                Bind::Read(&estimates.advantage),
                Bind::Write(&moments),
            ],
        );
        let mut binds = vec![
            Bind::Tick(ticks),
            Bind::Write(&order),
            Bind::Read(&estimates.advantage),
            Bind::Read(&moments),
            Bind::Read(&io.obs),
            Bind::Read(&io.state),
            Bind::Read(samples.log_probs),
            Bind::Read(samples.values),
            Bind::Read(&estimates.goal),
            Bind::Write(&actor_input.region),
            Bind::Write(&critic_input.region),
            Bind::Write(&loss.batch.region),
        ];
        let (others, gather_constants) = central(sizes, &constants, view, 5, binds.len());
        if view.others() {
            binds.push(Bind::Read(&io.actions));
        }
        let (ratio, gather_constants) = match samples.said {
            None => (BEHAVIOUR, gather_constants),
            Some((_, ActorRatio::Behaviour)) => (BEHAVIOUR, gather_constants),
            Some((said, ratio)) => {
                let constants = gather_constants
                    .uint("SAID", binds.len())
                    .uint("CENTER", loss.place(Input::Center))
                    .flag("WEIGHTED", ratio == ActorRatio::Weighted);
                binds.push(Bind::Read(said));
                (OTHER_RATIOS, constants)
            }
        };
        let files = [TICK, MINIBATCH, others, CENTRAL, ratio, GATHER];
        let gather = Kernel::new(gpu, "gather", &gather_constants, &files, &binds);
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

    /// Its samples.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            file: MINIBATCH,
            constants: self.constants(),
            which: &self.order,
            rows: self.sizes.minibatch_rows(),
            sequences: self.sizes.sequences,
        }
    }

    /// A new order for the epoch of `tick`, over the samples of `rollouts`, and the moments of all of its minibatches.
    pub fn record_epoch(&self, to: &mut Recorder, tick: usize, rollouts: usize) {
        let s = &self.sizes;
        let groups = (rollouts * items_of_one(s)).div_ceil(64);
        self.shuffle.record(to, tick, [groups, s.members, 1]);
        let minibatches = rollouts * s.minibatches;
        self.moments.record(to, tick, [minibatches, s.members, 1]);
    }

    pub fn record_gather(&self, to: &mut Recorder, tick: usize) {
        let s = &self.sizes;
        self.gather
            .record(to, tick, [s.minibatch_rows().div_ceil(8), s.members, 1]);
    }
}

/// For `central.wgsl`, the state's binding and that of the actions: who sees them, and the constants.
fn central(
    sizes: &Sizes,
    constants: &Constants,
    view: View,
    world: usize,
    told: usize,
) -> (&'static str, Constants) {
    let columns = view.columns(sizes);
    let constants = constants
        .clone()
        .uint("CRITIC", columns)
        .uint("WORLD", world);
    if view.others() {
        let first = columns - others_columns(sizes);
        let constants = constants
            .uint("SHARE", sizes.agents)
            .flag("OWN", view.own_action());
        (OTHERS, others_constants(sizes, constants, first, told))
    } else {
        (NO_OTHERS, constants.uint("FIRST_OTHER", columns))
    }
}

/// A batch's inputs of a network that is neither actor nor critic.
pub struct ModelInput {
    pub rows: Rows,
    kernel: Kernel,
    groups: [usize; 3],
}

impl ModelInput {
    /// What `view` shows of the world, with what agents did if it shows that.
    pub fn new(c: &Context<'_>, batch: &Batch<'_>, io: &EnvIo, view: View) -> Self {
        let sizes = c.sizes;
        let all = sizes.members * batch.rows;
        let rows = Rows::padded(c.gpu, "model batch", all, view.columns(sizes));
        let mut binds = vec![
            Bind::Tick(c.ticks),
            Bind::Write(batch.which),
            Bind::Read(&io.state),
            Bind::Write(&rows.region),
        ];
        let (others, constants) = central(sizes, &batch.constants, view, 2, binds.len());
        if view.others() {
            binds.push(Bind::Read(&io.actions));
        }
        let file = include_str!("../../shaders/learn/gather_central.wgsl");
        let files = [TICK, batch.file, others, CENTRAL, file];
        Self {
            kernel: Kernel::new(c.gpu, "gather_central", &constants, &files, &binds),
            groups: [batch.rows.div_ceil(8), sizes.members, 1],
            rows,
        }
    }

    /// Of `view` only what agents did.
    pub fn actions(c: &Context<'_>, batch: &Batch<'_>, io: &EnvIo, view: View) -> Self {
        let sizes = c.sizes;
        let (all, columns) = (sizes.members * batch.rows, others_columns(sizes));
        let rows = Rows::padded(c.gpu, "actions of a batch", all, columns);
        let constants = batch.constants.clone().uint("SHARE", sizes.agents);
        let constants = others_constants(sizes, constants, 0, 2)
            .flag("OWN", view.own_action())
            .uint("COLUMNS", columns);
        let binds = [
            Bind::Tick(c.ticks),
            Bind::Write(batch.which),
            Bind::Read(&io.actions),
            Bind::Write(&rows.region),
        ];
        let file = include_str!("../../shaders/learn/gather_told.wgsl");
        let files = [TICK, batch.file, OTHERS, file];
        Self {
            kernel: Kernel::new(c.gpu, "gather_told", &constants, &files, &binds),
            groups: [batch.rows.div_ceil(8), sizes.members, 1],
            rows,
        }
    }

    pub fn record(&self, to: &mut Recorder, tick: usize) {
        self.kernel.record(to, tick, self.groups);
    }
}

/// What is permuted, per member, where all rollouts are there.
fn items(sizes: &Sizes) -> usize {
    sizes.reuse * items_of_one(sizes)
}

/// What a rollout adds to it: its samples, or whole sequences.
pub fn items_of_one(sizes: &Sizes) -> usize {
    match sizes.sequences {
        0 => sizes.samples(),
        _ => sizes.member_rows(),
    }
}
