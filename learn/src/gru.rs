//! The recurrent half of a GRU over whole sequences: one dispatch forward, one backward, whatever the length.
//!
//! The input half `x W_i + b` of all steps is one dense layer before the scan ([`crate::dense`]), the gradients of the weights
//! are matrix products after it. An unrolled cell would cost some 35 launches a step, 4,500 for a rollout of 128.
//!
//! Two layouts, as in [`crate::dense`]: on GPUs a workgroup has two or four sequences and splits the products of a step among its
//! invocations, on a software device an invocation has a whole sequence.

use merit_sim::gpu::{Access, Gpu, GpuError, Region};

use crate::dense::Shape;
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::net::{Dense, UNIFORM_WORDS};

/// Workgroups that fill a GPU. With fewer of four sequences, one has two: it waits for fewer products.
const MANY_GROUPS: usize = 128;

/// How a workgroup splits a step's products (`gru_scan.wgsl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Split {
    /// Sequences of a workgroup.
    rows: usize,
    /// Among how many invocations the products of a column are split.
    parts: usize,
}

impl Split {
    /// The parts depend on the adapter and the width alone, and so does the rounding of sums: not on how many sequences there are.
    fn new(gpu: &Gpu, members: usize, sequences: usize, hidden: usize) -> Self {
        let fits = |Self { rows, parts }: &Self| {
            let bytes = 4 * rows * hidden * (3 + 3 * parts);
            hidden.is_multiple_of(4 * parts)
                && *rows <= 3 * parts
                && 3 * hidden / 4 * parts
                    <= gpu.limits.max_compute_invocations_per_workgroup as usize
                && bytes <= gpu.limits.max_compute_workgroup_storage_size as usize
        };
        let most = [8, 4, 2].map(|parts| Self { rows: 4, parts });
        // Of 256 units, 192 invocations and 12 KiB: fits what every adapter has.
        let most = most.into_iter().find(fits);
        let most = most.unwrap_or(Self { rows: 2, parts: 1 });
        let few = members * sequences.div_ceil(4) < MANY_GROUPS;
        Self {
            rows: if few { 2 } else { most.rows },
            ..most
        }
    }
}

/// The device memory of one scan. `P` members, `T` steps, `R` sequences, `H` hidden units, all `f32`.
#[derive(Clone, Debug)]
pub struct GruMemory {
    /// `[P, R, H]`: state in front of the first step.
    pub start: Region,
    /// `[P, T, R]`: 1 where the memory is forgotten in front of the step.
    pub reset_in: Region,
    /// `[P, T, R, 3H]`: input half.
    pub x: Region,
    /// `[P, T, R, H]`: new states (forward's result).
    pub h: Region,
    /// `[P, T, R, H]`: the state that each step started from, after the reset (forward's, for the weights' gradient).
    pub previous: Region,
    /// `[P, T, R, H]`: gradient of the loss with respect to `h` (backward's input).
    pub h_grad: Region,
    /// `[P, T, R, 3H]`: gradient with respect to `x` (backward's result).
    pub x_grad: Region,
    /// `[P, T, R, 3H]`: gradient with respect to `previous · weights`, `c_n` added to its last third (backward's result):
    /// `previousᵀ · hidden_grad` is the gradient of the weights, the sum of its last third that of `c_n`.
    pub hidden_grad: Region,
}

/// Sequences of one workgroup where an invocation has one: the width of a software device's vectors.
const ROW_GROUP: usize = 8;

/// A pipeline and what it works on: one dispatch for all members, or one each.
struct Scan {
    pipeline: wgpu::ComputePipeline,
    binds: Vec<wgpu::BindGroup>,
    groups: [usize; 3],
}

impl Scan {
    fn record(&self, to: &mut Recorder) {
        for bind in &self.binds {
            to.dispatch("gru_scan", &self.pipeline, bind, &[], self.groups);
        }
    }
}

/// The scan over [`GruMemory`], bound once and recorded as often as needed.
pub struct GruScan {
    forward: Scan,
    backward: Scan,
    transpose: Kernel,
    transpose_groups: [usize; 3],
}

impl GruScan {
    /// `params: [P, stride]`, in which `recurrent` lies. By rows: an invocation a sequence, where the weights fit a uniform
    /// block. Of the steps those are taken whose rows are live.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`] for the gates' memory.
    pub fn new(
        gpu: &Gpu,
        [members, steps, rows]: [usize; 3],
        recurrent: &Dense,
        params: &Region,
        shape: &Shape,
        m: &GruMemory,
    ) -> Result<Self, GpuError> {
        let (stride, by_rows) = (shape.stride, shape.by_rows);
        let hidden = recurrent.inputs;
        let per_row = 16 * (members * steps * hidden) as u64;
        gpu.check_fits("the gates of the GRU", per_row, rows as u64, "sequences")?;
        let gates = gpu.storage("gru gates", per_row * rows as u64);
        // Kernel and c_n; the transpose takes as many words.
        let block = recurrent.end() - recurrent.kernel;
        let by_rows = by_rows
            && hidden.is_multiple_of(4)
            && stride.is_multiple_of(UNIFORM_WORDS)
            && recurrent.kernel.is_multiple_of(UNIFORM_WORDS)
            && 4 * block as u64 <= gpu.limits.max_uniform_buffer_binding_size;
        let transposed_stride = block.next_multiple_of(UNIFORM_WORDS);
        let transposed = gpu.storage(
            "gru weights, transposed",
            4 * (members * transposed_stride) as u64,
        );
        // Bindings that an entry point does not use still need a buffer, each its own.
        let unused: Vec<Region> = (0..7).map(|_| gpu.storage("unused", 16)).collect();
        let split = Split::new(gpu, members, rows, hidden);
        let constants = Constants::default()
            .uint("H", hidden)
            .uint("ROWS", split.rows)
            .uint("PARTS", split.parts)
            .uint("STRIDE", stride)
            .uint("TRANSPOSED", transposed_stride)
            .uint("WEIGHTS", recurrent.kernel)
            .uint("BIAS_N", recurrent.bias)
            .uint("WORDS4", block / 4)
            .uint("LIVE", 9);
        let live = shape.live_rows(None);
        let activation = include_str!("../../shaders/learn/activation.wgsl");
        let by_units = include_str!("../../shaders/learn/gru_scan.wgsl");
        let by_sequences = include_str!("../../shaders/learn/gru_scan_row.wgsl");
        // `weights`: bytes of the block that they are bound as, if they are.
        let compile = |entry: &str, weights: Option<u64>| {
            let file = if weights.is_some() {
                by_sequences
            } else {
                by_units
            };
            let mut accesses = vec![Access::ReadWrite; 9];
            accesses.extend(live.as_ref().map(|_| Access::Read));
            accesses[0] = Access::Uniform(16);
            if let Some(bytes) = weights {
                accesses[1] = Access::Uniform(bytes);
            }
            let layout = gpu.layout(entry, &accesses);
            let source = constants.source(&[activation, shape.live_file(), file]);
            let module = gpu.shader("gru", &source, !cfg!(test));
            (gpu.pipeline(entry, &module, entry, &layout), layout)
        };
        let bind = |layout: &wgpu::BindGroupLayout,
                    sizes: [usize; 4],
                    weights: &Region,
                    rest: [&Region; 7]| {
            let sizes = gpu.uniform_from("gru shape", &sizes.map(|n| n as u32));
            let mut resources = vec![sizes.as_entire_binding(), weights.binding()];
            resources.extend(rest.into_iter().chain(&live).map(Region::binding));
            gpu.bind("gru", layout, &resources)
        };
        // `words`, `first`: of a member in `weights`, and where its block begins among them.
        let scan =
            |entry: &str, weights: &Region, [words, first]: [usize; 2], rest: [&Region; 7]| {
                let bytes = by_rows.then_some(4 * block as u64);
                let (pipeline, layout) = compile(entry, bytes);
                let (binds, groups) = if by_rows {
                    let member = |p: usize| {
                        let weights = weights.part(p * words + first, block);
                        bind(&layout, [p, steps, rows, hidden / 4], &weights, rest)
                    };
                    let groups = [rows.div_ceil(ROW_GROUP), 1, 1];
                    ((0..members).map(member).collect(), groups)
                } else {
                    let all = bind(&layout, [members, steps, rows, 0], weights, rest);
                    let groups = [rows.div_ceil(split.rows), members, 1];
                    (vec![all], groups)
                };
                Scan {
                    pipeline,
                    binds,
                    groups,
                }
            };
        let u = &unused;
        let forward = [
            &m.start,
            &m.reset_in,
            &m.x,
            &m.previous,
            &gates,
            &m.h,
            &u[0],
        ];
        let backward = [
            &u[0],
            &m.reset_in,
            &m.h_grad,
            &m.previous,
            &gates,
            &m.x_grad,
            &m.hidden_grad,
        ];
        let file = include_str!("../../shaders/learn/gru_transpose.wgsl");
        let binds = [Bind::Read(params), Bind::Write(&transposed)];
        Ok(Self {
            forward: scan("forward", params, [stride, recurrent.kernel], forward),
            backward: scan("backward", &transposed, [transposed_stride, 0], backward),
            transpose: Kernel::new(gpu, "transpose", &constants, &[file], &binds),
            transpose_groups: [(3 * hidden * hidden).div_ceil(64), members, 1],
        })
    }

    /// `x`, `start` and `reset_in` to `h` and `previous`.
    pub fn record_forward(&self, to: &mut Recorder) {
        self.forward.record(to);
    }

    /// `h_grad` to `x_grad` and `hidden_grad`; the gradient stops at `start`. Follows a forward pass over the same memory.
    pub fn record_backward(&self, to: &mut Recorder) {
        self.transpose.record(to, 0, self.transpose_groups);
        self.backward.record(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gpu, run};
    use merit_sim::rng::threefry2x32;

    /// Numbers in [-1, 1), a function of the name and the index.
    fn numbers(name: u32, count: usize) -> Vec<f32> {
        let draw = |i| threefry2x32([name, 0], [i as u32, 0])[0];
        (0..count)
            .map(|i| draw(i) as f32 / (1u64 << 31) as f32 - 1.0)
            .collect()
    }

    struct Data {
        weights: Vec<f32>,
        bias_n: Vec<f32>,
        start: Vec<f32>,
        reset_in: Vec<f32>,
        x: Vec<f32>,
        h_grad: Vec<f32>,
    }

    /// `[P, T, R, H]`
    type Cells = [usize; 4];

    fn data([p, t, r, h]: Cells) -> Data {
        Data {
            weights: numbers(1, p * h * 3 * h).iter().map(|w| w * 0.5).collect(),
            bias_n: numbers(2, p * h),
            start: numbers(3, p * r * h),
            reset_in: numbers(4, p * t * r)
                .iter()
                .map(|&x| f32::from(u8::from(x > 0.5)))
                .collect(),
            x: numbers(5, p * t * r * 3 * h),
            h_grad: numbers(6, p * t * r * h),
        }
    }

    /// States of all steps, by the formulas, in float64: the slow obvious path.
    fn reference(
        [p, t, r, h]: Cells,
        d: &Data,
        weights: &[f64],
        bias_n: &[f64],
        x: &[f64],
    ) -> Vec<f64> {
        let mut out = vec![0.0; p * t * r * h];
        let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
        for m in 0..p {
            for q in 0..r {
                let begin = (m * r + q) * h;
                let mut state: Vec<f64> = d.start[begin..][..h]
                    .iter()
                    .map(|&v| f64::from(v))
                    .collect();
                for s in 0..t {
                    let row = (m * t + s) * r + q;
                    let keep = 1.0 - f64::from(d.reset_in[row]);
                    state.iter_mut().for_each(|v| *v *= keep);
                    let dot = |column: usize| -> f64 {
                        (0..h)
                            .map(|k| state[k] * weights[(m * h + k) * 3 * h + column])
                            .sum()
                    };
                    let next: Vec<f64> = (0..h)
                        .map(|j| {
                            let input = |gate: usize| x[row * 3 * h + gate * h + j];
                            let rg = sigmoid(input(0) + dot(j));
                            let zg = sigmoid(input(1) + dot(h + j));
                            let n = (input(2) + rg * (dot(2 * h + j) + bias_n[m * h + j])).tanh();
                            (1.0 - zg) * n + zg * state[j]
                        })
                        .collect();
                    out[row * h..][..h].copy_from_slice(&next);
                    state = next;
                }
            }
        }
        out
    }

    fn wide(v: &[f32]) -> Vec<f64> {
        v.iter().map(|&x| f64::from(x)).collect()
    }

    #[test]
    fn the_scan_equals_the_formulas_and_its_gradient_their_differences() {
        for by_rows in [false, true] {
            one_layout_equals_the_formulas(by_rows, [2, 5, 11, 16]);
        }
        // Two parts and four sequences to a workgroup, eight and two.
        one_layout_equals_the_formulas(false, [2, 2, 257, 24]);
        one_layout_equals_the_formulas(false, [1, 3, 5, 64]);
    }

    #[test]
    fn how_products_are_split_depends_on_the_width_alone_but_for_the_rows() {
        let gpu = gpu();
        for hidden in (16..=256).step_by(8) {
            let few = Split::new(gpu, 1, 3, hidden);
            let many = Split::new(gpu, 8, 4_096, hidden);
            assert_eq!(few.parts, many.parts);
            assert_eq!(few.rows, 2);
            assert!(hidden.is_multiple_of(4 * few.parts), "{hidden}: {few:?}");
            for split in [few, many] {
                assert!(split.rows <= 3 * split.parts, "{hidden}: {split:?}");
            }
        }
    }

    fn one_layout_equals_the_formulas(by_rows: bool, shape_of: Cells) {
        let gpu = gpu();
        let [p, t, r, h] = shape_of;
        let d = data(shape_of);
        let room = |n: usize| gpu.storage("test", 4 * n as u64);
        let cells = p * t * r;
        let m = GruMemory {
            start: gpu.storage_from("start", &d.start),
            reset_in: gpu.storage_from("reset", &d.reset_in),
            x: gpu.storage_from("x", &d.x),
            h: room(cells * h),
            previous: room(cells * h),
            h_grad: gpu.storage_from("dh", &d.h_grad),
            x_grad: room(cells * 3 * h),
            hidden_grad: room(cells * 3 * h),
        };
        // Something of others lies in front of the weights and behind the bias.
        let mut recurrent = Dense::new(5, h, 3 * h);
        recurrent.bias_from = 2 * h;
        let stride = (recurrent.end() + 3).next_multiple_of(UNIFORM_WORDS);
        let mut params = vec![9.0; p * stride];
        for member in 0..p {
            let words = &mut params[member * stride..][..stride];
            words[recurrent.kernel..recurrent.bias]
                .copy_from_slice(&d.weights[member * h * 3 * h..][..h * 3 * h]);
            words[recurrent.bias..recurrent.end()].copy_from_slice(&d.bias_n[member * h..][..h]);
        }
        let params = gpu.storage_from("params", &params);
        let shape = Shape::new(gpu, p, t * r, stride, &[h], by_rows);
        let scan = GruScan::new(gpu, [p, t, r], &recurrent, &params, &shape, &m).unwrap();
        assert_eq!(scan.forward.binds.len(), if by_rows { p } else { 1 });
        run(|to| {
            scan.record_forward(to);
            scan.record_backward(to);
        });

        let (w, c, x) = (wide(&d.weights), wide(&d.bias_n), wide(&d.x));
        let states = reference(shape_of, &d, &w, &c, &x);
        let ours: Vec<f32> = gpu.read(&m.h).unwrap();
        for (i, (a, b)) in ours.iter().zip(&states).enumerate() {
            assert!(
                (f64::from(*a) - b).abs() < 1e-5,
                "h[{i}] is {a}, the formulas give {b}"
            );
        }

        // d(sum of h_grad · h) by central differences, for a spread of entries of x, weights and bias.
        let dh = wide(&d.h_grad);
        let loss = |w: &[f64], c: &[f64], x: &[f64]| -> f64 {
            let h = reference(shape_of, &d, w, c, x);
            h.iter().zip(&dh).map(|(h, g)| h * g).sum()
        };
        let slope = |v: &[f64], i: usize, f: &dyn Fn(&[f64]) -> f64| {
            let (mut up, mut down) = (v.to_vec(), v.to_vec());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            (f(&up) - f(&down)) / 2e-5
        };
        let x_grad: Vec<f32> = gpu.read(&m.x_grad).unwrap();
        let hidden_grad: Vec<f32> = gpu.read(&m.hidden_grad).unwrap();
        let previous: Vec<f32> = gpu.read(&m.previous).unwrap();
        for i in (0..x.len()).step_by(173.max(x.len() / 60) | 1) {
            let want = slope(&x, i, &|x| loss(&w, &c, x));
            assert!(
                (f64::from(x_grad[i]) - want).abs() < 1e-4,
                "dx[{i}]: {} and {want}",
                x_grad[i]
            );
        }
        for i in (0..w.len()).step_by(97.max(w.len() / 60) | 1) {
            let (member, k, column) = (i / (3 * h * h), i / (3 * h) % h, i % (3 * h));
            let rows = member * t * r..(member + 1) * t * r;
            let ours: f64 = rows
                .map(|row| {
                    f64::from(previous[row * h + k]) * f64::from(hidden_grad[row * 3 * h + column])
                })
                .sum();
            let want = slope(&w, i, &|w| loss(w, &c, &x));
            assert!((ours - want).abs() < 2e-4, "dW[{i}]: {ours} and {want}");
        }
        for i in 0..p * h {
            let (member, j) = (i / h, i % h);
            let rows = member * t * r..(member + 1) * t * r;
            let ours: f64 = rows
                .map(|row| f64::from(hidden_grad[row * 3 * h + 2 * h + j]))
                .sum();
            let want = slope(&c, i, &|c| loss(&w, c, &x));
            assert!((ours - want).abs() < 2e-4, "dc[{i}]: {ours} and {want}");
        }
    }
}
