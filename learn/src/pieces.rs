//! Networks over whole rollouts by the layers that are trained, a piece of a rollout at a time: all T + 1 slots of as many rows as a
//! minibatch has sequences, so that what is evaluated needs no more memory than what is trained. Where an expectation over a Gaussian
//! policy is wanted, the layers behind the actions go over the same piece once for each sample.

use merit_sim::env::EnvIo;
use merit_sim::gpu::{GpuError, Region};

use crate::dense::{Activate, Shape};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::layers::{Builder, Ends, Layers, Node};
use crate::minibatch::{Batch, ModelInput, TICK};
use crate::net::{Network, UNIFORM_WORDS};
use crate::policy::{Context, NORMALS, View};
use crate::recurrent::{GatherMemory, Memory};

const PIECE: &str = include_str!("../../shaders/learn/piece.wgsl");
const RNG: &str = include_str!("../../shaders/common/rng.wgsl");

/// A network, and what it looks at.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    pub net: &'a Network,
    pub activate: Activate,
    /// What it sees of the world; all that it sees, where it does not read actions apart.
    pub state: View,
    /// Whose actions it sees.
    pub actions: View,
    pub io: &'a EnvIo,
    /// Of a recurrent one, with where it forgot: `[slots, P, E, A]`.
    pub memory: Option<(&'a Memory, &'a Region)>,
    /// `[slots, P, E, A, outputs]`, where they are wanted.
    pub values: Option<&'a Region>,
    pub samples: Option<Samples<'a>>,
}

/// What an expectation over the own action is taken from.
#[derive(Clone, Copy)]
pub struct Samples<'a> {
    pub count: usize,
    /// Of the Gaussian policy, `[slots, P, E, A, K]`.
    pub means: &'a Region,
    /// First of the deviations' words among a member's parameters.
    pub log_std: usize,
    /// `[P]`
    pub keys: &'a Region,
    /// The mean over the samples, `[slots, P, E, A]`.
    pub expected: &'a Region,
}

/// Bound and ready to be recorded.
pub struct Pieces {
    /// `[2]`: which piece of which rollout, and which sample.
    which: Region,
    /// `[rollouts · pieces, samples, 2]`: all that it will be.
    table: Region,
    pieces: usize,
    inputs: Vec<ModelInput>,
    gather: Option<GatherMemory>,
    of_state: Layers,
    of_actions: Layers,
    put: Vec<(Kernel, [usize; 3])>,
    expectation: Option<Expectation>,
    samples: usize,
}

/// Over the same piece with other actions.
struct Expectation {
    draw: Kernel,
    draw_groups: [usize; 3],
    /// Where a step begins with what is remembered: from and to.
    remembered: Option<[Region; 2]>,
    of_actions: Layers,
    add: Kernel,
    add_groups: [usize; 3],
}

impl Pieces {
    /// # Errors
    /// [`GpuError::TooLarge`].
    pub fn new(c: &Context<'_>, j: &Judged<'_>) -> Result<Self, GpuError> {
        let (gpu, s, net) = (c.gpu, c.sizes, j.net);
        // Whole vectors of rows for the layers that take whole rows.
        let sequences = s.member_rows().div_ceil(s.minibatches);
        let sequences = sequences.next_multiple_of(UNIFORM_WORDS);
        let pieces = s.member_rows().div_ceil(sequences);
        let rows = (s.steps + 1) * sequences;
        let samples = j.samples.map_or(1, |samples| samples.count);
        let words = |what: &str, n: usize| gpu.storage(what, 4 * n as u64);
        let which = words("piece", 2);
        let all = s.reuse * pieces;
        let table: Vec<[u32; 2]> = (0..all as u32)
            .flat_map(|i| (0..samples as u32).map(move |k| [i, k]))
            .collect();
        let constants = Constants::default()
            .uint("MEMBERS", s.members)
            .uint("T", s.steps)
            .uint("RPM", s.member_rows())
            .uint("AGENTS", s.agents)
            .uint("STATE", s.state)
            .uint("N", s.outputs())
            .uint("ROWS", rows)
            .uint("SEQUENCES", sequences)
            .uint("STEPS", s.steps + 1)
            .uint("PIECES", pieces);
        let batch = Batch {
            file: PIECE,
            constants: constants.clone(),
            which: &which,
            rows,
            sequences,
        };
        let state = ModelInput::new(c, &batch, j.io, j.state);
        let mut inputs = vec![state];
        if net.apart.is_some() {
            inputs.push(ModelInput::actions(c, &batch, j.io, j.actions));
        }
        let state_in = Node::input(&inputs[0].rows, net.inputs());
        // The last input is the one that has the actions in it.
        let with_actions = &inputs[inputs.len() - 1].rows;
        let actions_in = match &net.apart {
            Some(apart) => Node::input(with_actions, apart.actions.inputs),
            None => state_in.clone(),
        };
        let widths = [net.hidden(), state_in.rows.stride, actions_in.rows.stride];
        let shape = Shape::new(gpu, s.members, rows, c.stride, &widths, c.by_rows);
        let builder = |sequences: [usize; 2]| Builder::new(gpu, &shape, c.params, None, sequences);
        let output = words("values of a piece", s.members * rows * net.outputs());
        let ends = Ends {
            output: &output,
            output_grad: None,
        };
        let mut front = builder([s.steps + 1, sequences]);
        let embedded = front.of_state(net, j.activate, &state_in)?;
        let of_state = front.finish();
        let mut behind = builder([s.steps + 1, sequences]);
        behind.of_actions(net, j.activate, &embedded, &actions_in, ends)?;
        let of_actions = behind.finish();

        let kernel = |entry: &str, constants: Constants, files: &[&str], binds: &[Bind<'_>]| {
            let files = [&[TICK, PIECE], files].concat();
            let binds = [&[Bind::Tick(c.ticks), Bind::Write(&which)], binds].concat();
            Kernel::new(gpu, entry, &constants, &files, &binds)
        };
        let samples_groups = [rows.div_ceil(64), s.members, 1];
        let put_values = |values: &Region, expected: bool| {
            let constants = constants
                .clone()
                .uint("OUT", net.outputs())
                .uint("SAMPLES", samples)
                .flag("EXPECTED", expected);
            let file = include_str!("../../shaders/learn/piece_values.wgsl");
            let binds = [Bind::Read(&output), Bind::Write(values)];
            kernel("piece_values", constants, &[file], &binds)
        };
        let mut put = vec![];
        put.extend(j.values.map(|v| (put_values(v, false), samples_groups)));
        let gru = of_state.gru().or(of_actions.gru());
        let gather = match (gru, j.memory) {
            (Some(gru), Some((memory, reset_in))) => {
                let hidden = gru.output.stride;
                let file = include_str!("../../shaders/learn/piece_memory.wgsl");
                let binds = [Bind::Read(&gru.output.region), Bind::Write(&memory.state)];
                let c_hidden = constants.clone().uint("HIDDEN", hidden);
                let keep = kernel("piece_memory", c_hidden, &[file], &binds);
                let groups = [(sequences * hidden).div_ceil(64), s.members, 1];
                put.push((keep, groups));
                let ends = [&gru.reset, &gru.start];
                Some(GatherMemory::new(c, &batch, hidden, memory, reset_in, ends))
            }
            _ => None,
        };
        let expectation = match &j.samples {
            None => None,
            Some(samples) => {
                // A single step of every row, from what it remembered.
                let mut again = builder([1, rows]);
                again.of_actions(net, j.activate, &embedded, &actions_in, ends)?;
                let again = again.finish();
                let first = match &net.apart {
                    Some(_) => 0,
                    None => net.inputs() - crate::policy::others_columns(s),
                };
                let constants = constants
                    .clone()
                    .uint("STRIDE", c.stride)
                    .uint("LOG_STD", samples.log_std)
                    .uint("SAMPLES", samples.count)
                    .uint("WIDTH", with_actions.stride)
                    .uint("FIRST", first);
                let binds = [
                    Bind::Read(c.params),
                    Bind::Read(samples.means),
                    Bind::Read(samples.keys),
                    Bind::Write(&with_actions.region),
                ];
                let file = include_str!("../../shaders/learn/counterfactual.wgsl");
                let files = [RNG, NORMALS, file];
                let remembered = match (of_actions.gru(), again.gru()) {
                    (Some(from), Some(to)) => Some([from.previous.clone(), to.start.clone()]),
                    _ => None,
                };
                Some(Expectation {
                    draw: kernel("counterfactual", constants, &files, &binds),
                    draw_groups: samples_groups,
                    remembered,
                    of_actions: again,
                    add: put_values(samples.expected, true),
                    add_groups: samples_groups,
                })
            }
        };
        Ok(Self {
            table: gpu.storage_from("pieces", &table),
            which,
            pieces,
            inputs,
            gather,
            of_state,
            of_actions,
            put,
            expectation,
            samples,
        })
    }

    /// Of `rollouts` consecutive ones, from that at the tick's slot on.
    pub fn record(&self, to: &mut Recorder, tick: usize, rollouts: usize) {
        for piece in 0..rollouts * self.pieces {
            self.turn_to(to, piece, 0);
            self.inputs.iter().for_each(|x| x.record(to, tick));
            if let Some(gather) = &self.gather {
                gather.record(to, tick);
            }
            self.of_state.record_forward(to);
            self.of_actions.record_forward(to);
            for (kernel, groups) in &self.put {
                kernel.record(to, tick, *groups);
            }
            let Some(e) = &self.expectation else { continue };
            if let Some([from, start]) = &e.remembered {
                to.copy(from, start);
            }
            for sample in 0..self.samples {
                self.turn_to(to, piece, sample);
                e.draw.record(to, tick, e.draw_groups);
                e.of_actions.record_forward(to);
                e.add.record(to, tick, e.add_groups);
            }
        }
    }

    fn turn_to(&self, to: &mut Recorder, piece: usize, sample: usize) {
        let entry = self.table.part(2 * (piece * self.samples + sample), 2);
        to.copy(&entry, &self.which);
    }
}
