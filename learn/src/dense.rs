//! Training a stack of dense layers: forward with the activations kept, backward, gradients of the weights.
//!
//! These products are our own kernels, not burn's: at the sizes of these networks (64 to 256 units, thousands of rows) burn's
//! matrix product, chosen without autotuning, fills 64-wide tiles and reaches 1 to 5 GFLOP/s on two cores of a software
//! device where these reach 10 to 14; a network of two hidden layers costs eight launches here.
//!
//! Two layouts. On GPUs a workgroup computes a tile of rows and columns and takes both factors through its memory. On a software
//! device the weights come from a uniform block and an invocation computes four whole rows: several times as fast there
//! (`dense_forward_row.wgsl` says why), but with too few invocations to fill a GPU.

use std::ops::Range;

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::net::{Dense, UNIFORM_WORDS};

const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const TILE: &str = include_str!("../../shaders/learn/dense_tile.wgsl");
const FORWARD: &str = include_str!("../../shaders/learn/dense_forward.wgsl");
const BACKWARD: &str = include_str!("../../shaders/learn/dense_backward.wgsl");
const GRAD: &str = include_str!("../../shaders/learn/dense_grad.wgsl");
const WEIGHTS: &str = include_str!("../../shaders/learn/dense_weights.wgsl");
const FORWARD_ROW: &str = include_str!("../../shaders/learn/dense_forward_row.wgsl");
const BACKWARD_ROW: &str = include_str!("../../shaders/learn/dense_backward_row.wgsl");
const GRAD_ROW: &str = include_str!("../../shaders/learn/dense_grad_row.wgsl");
const GRAD_MEMBERS: &str = include_str!("../../shaders/learn/dense_grad_members.wgsl");
const GRAD_X_BLOCK: &str = include_str!("../../shaders/learn/dense_grad_x_block.wgsl");
const GRAD_X: &str = include_str!("../../shaders/learn/dense_grad_x.wgsl");
const GRAD_X4: &str = include_str!("../../shaders/learn/dense_grad_x4.wgsl");
const LIVE: &str = include_str!("../../shaders/learn/live.wgsl");
const ALL_LIVE: &str = include_str!("../../shaders/learn/all_live.wgsl");

/// Rows of one partial sum of the weight gradients, at most: many enough that the partial sums are small beside the
/// activations, few enough that a thousand-row minibatch still fills a device.
const CHUNK: usize = 256;

/// Rows of a workgroup in the layout by rows: eight invocations, four rows each.
const ROW_GROUP: usize = 32;

/// Fours of columns that an invocation sums at a time in the layout by rows (`dense_forward_row.wgsl`).
const BLOCK: usize = 16;

/// Partial sums of the weight gradients that fill a GPU: with a quarter of them, its multiprocessors had a workgroup each and waited for
/// memory; with many more, adding them up takes as long as computing them.
const MANY_CHUNKS: usize = 256;

/// Rows of such a partial sum on GPUs where there are not that many: a small minibatch waits for the longest chain.
const FEWEST: usize = 64;

/// Tiles that fill a GPU. With fewer of 64 rows, a tile has 32.
const MANY_TILES: usize = 256;

/// What follows a dense layer; the shader's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activate {
    None = 0,
    Relu = 1,
    Tanh = 2,
}

impl From<crate::config::Activation> for Activate {
    fn from(a: crate::config::Activation) -> Self {
        match a {
            crate::config::Activation::Relu => Self::Relu,
            crate::config::Activation::Tanh => Self::Tanh,
        }
    }
}

/// What a layer reads: a minibatch's rows `[P, rows, stride]`, of which the first columns are its inputs and the rest is 0.
#[derive(Clone)]
pub struct Rows {
    pub region: Region,
    pub stride: usize,
}

impl Rows {
    /// Rows of `columns` numbers and nothing else.
    pub fn packed(region: &Region, columns: usize) -> Self {
        Self {
            region: region.clone(),
            stride: columns,
        }
    }

    /// New ones for `columns` numbers. Rows are whole vectors of four, so that kernels take four inputs at a time whatever the number
    /// of columns; who writes the rows fills them up with zeros.
    pub fn padded(gpu: &Gpu, what: &str, rows: usize, columns: usize) -> Self {
        let stride = columns.next_multiple_of(4);
        Self {
            // Kernels bind vectors, also where there are no columns.
            region: gpu.storage(what, 4 * (rows * stride).max(4) as u64),
            stride,
        }
    }
}

/// How many of a batch's rows are worth computing, where that is known on the device alone: the rest is padding behind the longest
/// sequence.
#[derive(Clone, Debug)]
pub struct Live {
    region: Region,
}

impl Live {
    /// Words between two entries: a binding may begin at each.
    pub const STRIDE: usize = UNIFORM_WORDS;

    /// For batches of at most `chunks` partial sums of the weight gradients.
    pub fn new(gpu: &Gpu, chunks: usize) -> Self {
        let words = Self::STRIDE * (chunks + 1);
        Self {
            region: gpu.storage("live rows", 4 * words as u64),
        }
    }

    /// `[1 + chunks, STRIDE] u32`: in the first words of the entries the number of live rows, then of those in each chunk.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The number of live rows, or with `chunk` of those in that chunk.
    pub(crate) fn rows(&self, chunk: Option<usize>) -> Region {
        let entry = chunk.map_or(0, |c| c + 1);
        self.region.part(entry * Self::STRIDE, 1)
    }
}

/// The sizes that all layers of a minibatch share.
#[derive(Clone, Debug)]
pub struct Shape {
    pub members: usize,
    /// Samples of a minibatch per member.
    pub rows: usize,
    /// Words of a member's parameters.
    pub stride: usize,
    /// Rows of one partial sum of the weight gradients.
    pub chunk: usize,
    /// Whole rows to an invocation, where they can be bound so.
    pub by_rows: bool,
    /// Members whose weight gradients one dispatch takes there, at most.
    pub at_once: usize,
    /// Where not all rows need be computed: a whole number of chunks, the first ones. The other rows keep what they hold.
    pub live: Option<Live>,
}

impl Shape {
    /// `widths`: of the rows of the layers' inputs and outputs, the hidden layers' first.
    pub fn new(
        gpu: &Gpu,
        members: usize,
        rows: usize,
        stride: usize,
        widths: &[usize],
        by_rows: bool,
    ) -> Self {
        let most = gpu.limits.max_uniform_buffer_binding_size as usize / 4;
        // The largest chunk whose rows of these widths are uniform blocks.
        let largest = |chunks: &[usize], widths: &[usize]| {
            let fits = |chunk: usize| widths.iter().all(|width| chunk * width <= most);
            let fitting = |&&chunk: &&usize| rows.is_multiple_of(chunk) && fits(chunk);
            chunks.iter().find(fitting).copied()
        };
        let chunk = match by_rows {
            // Small chunks are many launches: for wide inputs loads from a storage buffer are the lesser evil.
            true => largest(&[CHUNK, 192, 128], widths)
                .or_else(|| largest(&[CHUNK, 128, 64], &widths[..1])),
            // Powers of two: padding is in whole chunks, and in whole ones of 256.
            false => [1024, 512, 256, 128]
                .into_iter()
                .find(|chunk| rows.is_multiple_of(*chunk) && rows / chunk >= MANY_CHUNKS)
                .or(Some(FEWEST)),
        };
        Self {
            members,
            rows,
            stride,
            chunk: chunk.unwrap_or(CHUNK),
            by_rows,
            at_once: MEMBERS_AT_ONCE,
            live: None,
        }
    }

    /// The file that says how many rows are live, and with `chunk` how many of that chunk.
    pub(crate) fn live_file(&self) -> &'static str {
        if self.live.is_some() { LIVE } else { ALL_LIVE }
    }

    /// Where it says so.
    pub(crate) fn live_rows(&self, chunk: Option<usize>) -> Option<Region> {
        self.live.as_ref().map(|live| live.rows(chunk))
    }

    /// Partial sums of the weight gradients.
    pub fn chunks(&self) -> usize {
        self.rows.div_ceil(self.chunk)
    }

    /// Checks that the partial sums of a batch of `episodes` episodes fit in one buffer.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`], with how many episodes do.
    pub fn check_gradients(&self, gpu: &Gpu, episodes: usize) -> Result<(), GpuError> {
        let bytes = 4 * (self.chunks() * self.members * self.stride) as u64;
        let episodes = episodes as u64;
        let per_episode = bytes.div_ceil(episodes);
        let what = "the gradients' partial sums";
        gpu.check_fits(what, per_episode, episodes, "episodes in a batch")
    }

    /// Member `p`'s rows of `width` words.
    fn member(&self, region: &Region, width: usize, p: usize) -> Region {
        region.part(p * self.rows * width, self.rows * width)
    }

    /// Of member `p`'s kernel, the rows of these inputs and the one that follows (after the last, the bias), as a block of
    /// four-word vectors.
    fn weights(&self, layer: &Dense, params: &Region, p: usize, inputs: &Range<usize>) -> Region {
        let first = p * self.stride + layer.kernel + inputs.start * layer.outputs;
        params.part(first, block_words(inputs.len(), layer.outputs))
    }
}

/// Words of a kernel and bias, in whole vectors. The next layer begins at a multiple of [`UNIFORM_WORDS`].
fn block_words(inputs: usize, outputs: usize) -> usize {
    ((inputs + 1) * outputs).next_multiple_of(4)
}

/// Whether an invocation may take whole rows: rows in whole workgroups, a member's part of any width where a uniform
/// binding may begin.
fn by_rows(shape: &Shape, layer: &Dense) -> bool {
    shape.by_rows
        && shape.rows.is_multiple_of(UNIFORM_WORDS)
        && shape.stride.is_multiple_of(UNIFORM_WORDS)
        && layer.kernel.is_multiple_of(UNIFORM_WORDS)
}

/// Splits a layer's inputs into as few ranges as have their weights in a uniform block each. Every range begins where a
/// uniform binding may. None for a layer whose outputs are too many for that.
pub fn input_blocks(gpu: &Gpu, layer: &Dense) -> Option<Vec<Range<usize>>> {
    let most = gpu.limits.max_uniform_buffer_binding_size as usize / 4;
    let fits = |inputs: usize| block_words(inputs, layer.outputs) <= most;
    let split = |width: usize| {
        let starts = (0..layer.inputs).step_by(width);
        starts.map(|k| k..(k + width).min(layer.inputs)).collect()
    };
    if fits(layer.inputs) {
        return Some(split(layer.inputs));
    }
    let unit = (4..=UNIFORM_WORDS)
        .step_by(4)
        .find(|n| (n * layer.outputs).is_multiple_of(UNIFORM_WORDS))?;
    let width = (2..)
        .map(|blocks| layer.inputs.div_ceil(blocks).next_multiple_of(unit))
        .find(|&width| fits(width) || width == unit)
        .filter(|&width| fits(width));
    width.map(split)
}

/// The [`input_blocks`] of a layer that invocations take by rows; none where workgroups take tiles.
fn row_blocks(
    gpu: &Gpu,
    shape: &Shape,
    layer: &Dense,
    regions: &[&Region],
) -> Option<Vec<Range<usize>>> {
    let fits = layer.bias_from == 0 && by_rows(shape, layer) && begins_aligned(gpu, regions);
    fits.then(|| input_blocks(gpu, layer)).flatten()
}

/// Whether a member's part may begin wherever rows do: parts are whole multiples of [`UNIFORM_WORDS`] words from where the regions begin.
/// As the adapter asks, not as WebGPU at most does: where burn's memory begins depends on what else it holds, and so would the layout, and with
/// it the rounding of sums.
fn begins_aligned(gpu: &Gpu, regions: &[&Region]) -> bool {
    let limits = &gpu.limits;
    let uniform = limits.min_uniform_buffer_offset_alignment;
    let bytes = uniform.max(limits.min_storage_buffer_offset_alignment);
    regions
        .iter()
        .all(|r| r.offset.is_multiple_of(u64::from(bytes)))
}

/// A product of matrices: the same pipeline on one or several parts of memory.
struct Product {
    kernels: Vec<Kernel>,
    groups: [usize; 3],
}

impl Product {
    fn one(kernel: Kernel, groups: [usize; 3]) -> Self {
        Self {
            kernels: vec![kernel],
            groups,
        }
    }

    /// A dispatch per part.
    fn many(
        gpu: &Gpu,
        entry: &str,
        constants: &Constants,
        sources: &[&str],
        parts: impl Iterator<Item = Vec<Part>>,
        groups: [usize; 3],
    ) -> Self {
        let mut kernels: Vec<Kernel> = Vec::new();
        for part in parts {
            let binds: Vec<_> = part.iter().map(Part::bind).collect();
            kernels.push(match kernels.first() {
                None => Kernel::new(gpu, entry, constants, sources, &binds),
                Some(first) => first.rebound(gpu, &binds),
            });
        }
        Self { kernels, groups }
    }

    fn record(&self, to: &mut Recorder) {
        for kernel in &self.kernels {
            kernel.record(to, 0, self.groups);
        }
    }
}

/// These, and behind them how many rows are live, where that is not all.
fn with_live<const N: usize>(parts: [Part; N], live: Option<Region>) -> Vec<Part> {
    parts.into_iter().chain(live.map(Part::Read)).collect()
}

/// A piece of a buffer and how a kernel sees it.
enum Part {
    Uniform(Region),
    Read(Region),
    Write(Region),
}

impl Part {
    fn bind(&self) -> Bind<'_> {
        match self {
            Self::Uniform(r) => Bind::Uniform(r),
            Self::Read(r) => Bind::Read(r),
            Self::Write(r) => Bind::Write(r),
        }
    }
}

/// How workgroups share a product of `rows` rows and `columns` columns (`dense_tile.wgsl`).
struct Tiles {
    /// Rows and columns of a tile, and rows of an invocation's part of it.
    rows: usize,
    columns: usize,
    patch: usize,
    down: usize,
    across: usize,
}

impl Tiles {
    /// `products` of these at once.
    fn new(rows: usize, columns: usize, products: usize) -> Self {
        let width = columns.next_power_of_two().clamp(16, 64);
        let across = columns.div_ceil(width);
        let full = rows.div_ceil(64) * across * products >= MANY_TILES;
        let height = if full { 64 } else { 32 };
        Self {
            rows: height,
            columns: width,
            patch: if full && width == 64 { 8 } else { 4 },
            down: rows.div_ceil(height),
            across,
        }
    }

    fn constants(&self, c: &Constants, a_by_rows: bool, b_by_rows: bool) -> Constants {
        c.clone()
            .uint("BM", self.rows)
            .uint("BN", self.columns)
            .uint("TM", self.patch)
            .uint("TILES", self.across)
            .flag("A_BY_ROWS", a_by_rows)
            .flag("B_BY_ROWS", b_by_rows)
    }

    fn count(&self) -> usize {
        self.down * self.across
    }
}

fn constants(shape: &Shape, layer: &Dense) -> Constants {
    Constants::default()
        .uint("MEMBERS", shape.members)
        .uint("ROWS", shape.rows)
        .uint("STRIDE", shape.stride)
        .uint("OUT", layer.outputs)
        .uint("KERNEL", layer.kernel)
        .uint("BIAS", layer.bias)
        .uint("BIAS_FROM", layer.bias_from)
}

/// Where a dispatch takes these of a layer's inputs.
fn block_constants(c: &Constants, inputs: &Range<usize>) -> Constants {
    c.clone()
        .uint("IN", inputs.len())
        .uint("X_FIRST", inputs.start)
}

/// Splits a layer's columns into blocks of at most [`BLOCK`] fours, as equal as can be: (blocks, fours).
fn column_blocks(layer: &Dense) -> (usize, usize) {
    let fours = layer.outputs.div_ceil(4);
    let blocks = fours.div_ceil(BLOCK);
    (blocks, fours.div_ceil(blocks))
}

/// `y = activate(x · kernel + bias)`, `x: [P, rows, in]`, `y: [P, rows, out]`.
pub struct Forward(Vec<Product>);

impl Forward {
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        activate: Activate,
        params: &Region,
        x: &Rows,
        y: &Region,
    ) -> Self {
        let c = constants(shape, layer).uint("X_STRIDE", x.stride);
        if let Some(blocks) = row_blocks(gpu, shape, layer, &[params, &x.region, y]) {
            let products = blocks.iter().map(|inputs| {
                let parts = (0..shape.members).map(|p| {
                    let parts = [
                        Part::Uniform(shape.weights(layer, params, p, inputs)),
                        Part::Read(shape.member(&x.region, x.stride, p)),
                        Part::Write(shape.member(y, layer.outputs, p)),
                    ];
                    with_live(parts, shape.live_rows(None))
                });
                let last = inputs.end == layer.inputs;
                let after = if last { activate } else { Activate::None };
                // As many columns as there are, zeros too: a multiple of 4 is the fastest.
                let there = if last { x.stride } else { inputs.end };
                let fitting = |&n: &usize| (there - inputs.start).is_multiple_of(n);
                let (blocks, columns) = column_blocks(layer);
                let c = block_constants(&c, inputs)
                    .uint("ACT", after as usize)
                    .flag("ADD", inputs.start > 0)
                    .flag("LAST", last)
                    .uint("UNROLL", [4, 3, 2].into_iter().find(fitting).unwrap_or(1))
                    .uint("COLUMNS4", columns)
                    .uint("LIVE", 3);
                let files = [ACTIVATION, WEIGHTS, shape.live_file(), FORWARD_ROW];
                let groups = [shape.rows / ROW_GROUP, blocks, 1];
                Product::many(gpu, "dense_forward_row", &c, &files, parts, groups)
            });
            return Self(products.collect());
        }
        let tiles = Tiles::new(shape.rows, layer.outputs, shape.members);
        let c = tiles
            .constants(&c, false, true)
            .uint("IN", layer.inputs)
            .uint("ACT", activate as usize)
            .uint("LIVE", 3);
        let live = shape.live_rows(None);
        let mut binds = vec![Bind::Read(params), Bind::Read(&x.region), Bind::Write(y)];
        binds.extend(live.as_ref().map(Bind::Read));
        let groups = [tiles.count(), shape.members, 1];
        let files = [ACTIVATION, shape.live_file(), TILE, FORWARD];
        let kernel = Kernel::new(gpu, "dense_forward", &c, &files, &binds);
        Self(vec![Product::one(kernel, groups)])
    }

    pub fn record(&self, to: &mut Recorder) {
        self.0.iter().for_each(|product| product.record(to));
    }
}

/// `dx = (dy · kernelᵀ) ⊙ activate'(x)`, where `x` is what the layer below put out.
pub struct Backward(Vec<Product>);

impl Backward {
    /// With `add` the derivative is added to what another layer on the same input has written.
    #[allow(clippy::too_many_arguments)] // A layer's four tensors and what it is.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        below: Activate,
        params: &Region,
        dy: &Region,
        x: &Region,
        dx: &Region,
        add: bool,
    ) -> Self {
        let c = constants(shape, layer)
            .uint("ACT", below as usize)
            .flag("ADD", add)
            .uint("LIVE", 4);
        if let Some(blocks) = row_blocks(gpu, shape, layer, &[params, dy, x, dx]) {
            let products = blocks.iter().map(|inputs| {
                let parts = (0..shape.members).map(|p| {
                    let parts = [
                        Part::Uniform(shape.weights(layer, params, p, inputs)),
                        Part::Read(shape.member(dy, layer.outputs, p)),
                        Part::Read(shape.member(x, layer.inputs, p)),
                        Part::Write(shape.member(dx, layer.inputs, p)),
                    ];
                    with_live(parts, shape.live_rows(None))
                });
                let c = block_constants(&c, inputs)
                    .uint("X_STRIDE", layer.inputs)
                    .uint("COLUMNS4", column_blocks(layer).1);
                let files = [ACTIVATION, WEIGHTS, shape.live_file(), BACKWARD_ROW];
                let groups = [shape.rows / ROW_GROUP, 1, 1];
                Product::many(gpu, "dense_backward_row", &c, &files, parts, groups)
            });
            return Self(products.collect());
        }
        let tiles = Tiles::new(shape.rows, layer.inputs, shape.members);
        let c = tiles.constants(&c, false, false).uint("IN", layer.inputs);
        let live = shape.live_rows(None);
        let mut binds = vec![
            Bind::Read(params),
            Bind::Read(dy),
            Bind::Read(x),
            Bind::Write(dx),
        ];
        binds.extend(live.as_ref().map(Bind::Read));
        let groups = [tiles.count(), shape.members, 1];
        let files = [ACTIVATION, shape.live_file(), TILE, BACKWARD];
        let kernel = Kernel::new(gpu, "dense_backward", &c, &files, &binds);
        Self(vec![Product::one(kernel, groups)])
    }

    pub fn record(&self, to: &mut Recorder) {
        self.0.iter().for_each(|product| product.record(to));
    }
}

/// Members whose gradients by rows one dispatch takes, at most: each is the kernel's text once more for the compiler. With the bounds checks of tests that
/// takes it three times as long, so that they have one, but for those of this.
const MEMBERS_AT_ONCE: usize = if cfg!(test) { 1 } else { 4 };

/// Splits the members into as few ranges as have a dispatch each, of at most two lengths.
fn member_blocks(members: usize, most: usize) -> Vec<Range<usize>> {
    let blocks = members.div_ceil(most);
    let width = members.div_ceil(blocks);
    let starts = (0..members).step_by(width);
    starts.map(|p| p..(p + width).min(members)).collect()
}

/// `shaders/learn/dense_grad_row.wgsl` and the inputs of `input` for `members` members.
fn grad_row_source(input: &str, live: &str, members: usize) -> String {
    let nth = |p: usize| format!("{input}\n{GRAD_ROW}").replace("NTH", &p.to_string());
    let all: String = (0..members).map(nth).collect();
    let calls: String = (0..members)
        .map(|p| format!("    gradients_{p}(group, lane);\n"))
        .collect();
    format!(
        "{live}\n{GRAD_MEMBERS}\n{all}\nfn all_gradients(group: vec2<u32>, lane: u32) {{\n{calls}}}\n"
    )
}

/// `xᵀ · dy` and `Σ dy` into the partial sums `[chunks, P, stride]`.
pub struct Grad(Vec<Product>);

impl Grad {
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        x: &Rows,
        dy: &Region,
        partials: &Region,
    ) -> Self {
        let c = constants(shape, layer)
            .uint("IN", layer.inputs)
            .uint("X_STRIDE", x.stride)
            .uint("CHUNK", shape.chunk);
        let most = gpu.limits.max_uniform_buffer_binding_size;
        // Whether a chunk's rows of that many words can be a uniform block.
        let block = |of: &Region, width: usize| {
            of.buffer.usage().contains(wgpu::BufferUsages::UNIFORM)
                && (4 * shape.chunk * width) as u64 <= most
                && (shape.chunk * width).is_multiple_of(UNIFORM_WORDS)
        };
        let rows = block(dy, layer.outputs)
            && shape.rows.is_multiple_of(shape.chunk)
            && by_rows(shape, layer)
            && begins_aligned(gpu, &[&x.region, dy, partials]);
        Self(if rows {
            let x_block = block(&x.region, x.stride);
            Self::by_rows(gpu, shape, layer, &c, x, x_block, dy, partials)
        } else {
            Self::by_tiles(gpu, shape, layer, &c, x, dy, partials)
        })
    }

    /// A dispatch per chunk and [`Shape::at_once`] members; with `x_block` a chunk's inputs are uniform blocks too.
    #[allow(clippy::too_many_arguments)] // A layer's tensors and what it is.
    fn by_rows(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        c: &Constants,
        x: &Rows,
        x_block: bool,
        dy: &Region,
        partials: &Region,
    ) -> Vec<Product> {
        // Where loading an input is dear it must do for more columns; else small kernels compile faster.
        let (input, columns) = match (x_block, x.stride.is_multiple_of(4)) {
            (true, _) => (GRAD_X_BLOCK, 4),
            (false, true) => (GRAD_X4, BLOCK),
            (false, false) => (GRAD_X, 8),
        };
        let fours = layer.outputs.div_ceil(4);
        let columns = columns.min(fours);
        let groups = [layer.inputs.div_ceil(32) + 1, fours.div_ceil(columns), 1];
        let rows = |of: &Region, width: usize, p: usize, chunk: usize| {
            let first = p * shape.rows + chunk * shape.chunk;
            of.part(first * width, shape.chunk * width)
        };
        let parts = |members: Range<usize>, chunk: usize| {
            let sums = (chunk * shape.members + members.start) * shape.stride;
            let sums = partials.part(sums, members.len() * shape.stride);
            let mut parts = vec![Part::Write(sums)];
            for p in members {
                let x = rows(&x.region, x.stride, p, chunk);
                parts.push(Part::Uniform(rows(dy, layer.outputs, p, chunk)));
                parts.push(if x_block {
                    Part::Uniform(x)
                } else {
                    Part::Read(x)
                });
            }
            parts.extend(shape.live_rows(Some(chunk)).map(Part::Read));
            parts
        };
        // Two uniform blocks a member.
        let uniforms = gpu.limits.max_uniform_buffers_per_shader_stage as usize;
        let at_once = shape.at_once.min(uniforms / 2);
        let blocks = member_blocks(shape.members, at_once);
        let as_many = blocks.chunk_by(|a, b| a.len() == b.len());
        let products = as_many.map(|blocks| {
            let members = blocks[0].len();
            let source = grad_row_source(input, shape.live_file(), members);
            let c = c.clone().uint("COLUMNS4", columns);
            let c = c.uint("LIVE", 1 + 2 * members);
            let chunks = 0..shape.chunks();
            let dispatches = chunks.flat_map(|k| blocks.iter().map(move |b| (b.clone(), k)));
            let parts = dispatches.map(|(members, chunk)| parts(members, chunk));
            Product::many(gpu, "dense_grad_row", &c, &[&source], parts, groups)
        });
        products.collect()
    }

    /// One dispatch for all.
    fn by_tiles(
        gpu: &Gpu,
        shape: &Shape,
        layer: &Dense,
        c: &Constants,
        x: &Rows,
        dy: &Region,
        partials: &Region,
    ) -> Vec<Product> {
        let products = shape.chunks() * shape.members;
        let tiles = Tiles::new(layer.inputs, layer.outputs, products);
        let c = tiles.constants(c, true, true).uint("LIVE", 3);
        let live = shape.live_rows(None);
        let mut binds = vec![Bind::Read(&x.region), Bind::Read(dy), Bind::Write(partials)];
        binds.extend(live.as_ref().map(Bind::Read));
        let groups = [tiles.count(), shape.chunks(), shape.members];
        let files = [shape.live_file(), TILE, GRAD];
        let kernel = Kernel::new(gpu, "dense_grad", &c, &files, &binds);
        vec![Product::one(kernel, groups)]
    }

    pub fn record(&self, to: &mut Recorder) {
        self.0.iter().for_each(|product| product.record(to));
    }
}

/// A stack of dense layers over a minibatch: activations between layers, none after the last.
pub struct Stack {
    /// `[P, rows, H]` and `H` of each layer but the last, behind the activation.
    hidden: Vec<(Region, usize)>,
    /// Their derivatives.
    hidden_grads: Vec<Region>,
    forward: Vec<Forward>,
    backward: Vec<Backward>,
    grad: Vec<Grad>,
}

impl Stack {
    /// `output: [P, rows, out]` and `output_grad`, its derivative. `input_grad` takes the input's, where
    /// it is wanted, or has it added.
    #[allow(clippy::too_many_arguments)] // The layers and the buffers at both ends.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        layers: &[Dense],
        activate: Activate,
        params: &Region,
        input: &Rows,
        input_grad: Option<(&Region, bool)>,
        output: &Region,
        output_grad: &Region,
        partials: &Region,
    ) -> Self {
        let inner = &layers[..layers.len() - 1];
        let buffers = |what: &str| -> Vec<Region> {
            let bytes = |l: &Dense| 4 * (shape.members * shape.rows * l.outputs) as u64;
            inner.iter().map(|l| gpu.storage(what, bytes(l))).collect()
        };
        let (outputs, grads) = (buffers("activations"), buffers("activation gradients"));
        let hidden = outputs.iter().zip(inner);
        let mut stack = Self {
            hidden: hidden.map(|(r, l)| (r.clone(), l.outputs)).collect(),
            hidden_grads: grads.clone(),
            forward: vec![],
            backward: vec![],
            grad: vec![],
        };
        for (i, layer) in layers.iter().enumerate() {
            let last = i == inner.len();
            let x = match i {
                0 => input.clone(),
                _ => Rows::packed(&outputs[i - 1], layer.inputs),
            };
            let y = if last { output } else { &outputs[i] };
            let dy = if last { output_grad } else { &grads[i] };
            let after = if last { Activate::None } else { activate };
            stack
                .forward
                .push(Forward::new(gpu, shape, layer, after, params, &x, y));
            stack
                .grad
                .push(Grad::new(gpu, shape, layer, &x, dy, partials));
            let (below, dx, add) = match (i, input_grad) {
                (0, None) => continue,
                (0, Some((dx, add))) => (Activate::None, dx, add),
                _ => (activate, &grads[i - 1], false),
            };
            stack.backward.push(Backward::new(
                gpu, shape, layer, below, params, dy, &x.region, dx, add,
            ));
        }
        stack
    }

    /// Layers that are only evaluated: nothing is kept for gradients.
    pub fn evaluated(
        gpu: &Gpu,
        shape: &Shape,
        layers: &[Dense],
        activate: Activate,
        params: &Region,
        input: &Rows,
        output: &Region,
    ) -> Self {
        let (mut forward, mut kept) = (Vec::new(), Vec::new());
        let mut x = input.clone();
        for (i, layer) in layers.iter().enumerate() {
            if i + 1 == layers.len() {
                let after = Activate::None;
                forward.push(Forward::new(gpu, shape, layer, after, params, &x, output));
            } else {
                let bytes = 4 * (shape.members * shape.rows * layer.outputs) as u64;
                let y = gpu.storage("activations", bytes);
                forward.push(Forward::new(gpu, shape, layer, activate, params, &x, &y));
                kept.push((y.clone(), layer.outputs));
                x = Rows::packed(&y, layer.outputs);
            }
        }
        Self {
            hidden: kept,
            hidden_grads: vec![],
            forward,
            backward: vec![],
            grad: vec![],
        }
    }

    /// What the hidden layers put out, `[P, rows, H]`, with `H`.
    pub fn hidden(&self) -> impl Iterator<Item = (&Region, usize)> {
        self.hidden.iter().map(|(region, units)| (region, *units))
    }

    /// The derivatives of what the hidden layers put out, `[P, rows, H]`; none where nothing is trained.
    pub fn hidden_grads(&self) -> &[Region] {
        &self.hidden_grads
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.forward.iter().for_each(|f| f.record(to));
    }

    pub fn record_backward(&self, to: &mut Recorder) {
        self.record_backward_with(to, |_| {});
    }

    /// The derivative of the input alone, no weight's.
    pub fn record_backward_to_input(&self, to: &mut Recorder) {
        self.backward.iter().rev().for_each(|b| b.record(to));
    }

    /// The derivatives of the weights alone, not the input's, whether or not it is wanted at other times.
    pub fn record_backward_to_weights(&self, to: &mut Recorder) {
        let above = self.forward.len() - 1;
        let of_layers = self.backward.iter().rev().take(above);
        of_layers.for_each(|b| b.record(to));
        self.grad.iter().for_each(|g| g.record(to));
    }

    /// With `below_head` behind the last layer's own backward pass: it may add to the derivative of what that layer reads.
    pub fn record_backward_with(&self, to: &mut Recorder, below_head: impl FnOnce(&mut Recorder)) {
        let mut layers = self.backward.iter().rev();
        if let Some(head) = layers.next() {
            head.record(to);
        }
        below_head(to);
        layers.for_each(|b| b.record(to));
        self.grad.iter().for_each(|g| g.record(to));
    }
}
