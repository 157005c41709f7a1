//! Training a layer normalisation: forward with the moments kept, backward, gradients of scales and shifts. Beside [`crate::dense`]'s
//! layers, on the same rows and with the same partial sums.

use merit_sim::gpu::{Gpu, Region};

use crate::dense::{Activate, Shape};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::net::Norm;

const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");
const ROW: &str = include_str!("../../shaders/learn/norm_row.wgsl");

/// Where the derivatives are, in training.
#[derive(Clone, Copy)]
pub struct NormGrads<'a> {
    /// Of the loss by `y`, `[P, rows, units]`.
    pub y: &'a Region,
    /// By what `x` was before it was activated: the result.
    pub x: &'a Region,
    /// What `x` ended with.
    pub below: Activate,
    /// `[chunks, P, stride]`
    pub partials: &'a Region,
}

/// `y = scale ⊙ (x − mean) / √(variance + 1e-5) + shift` over the units of each row.
pub struct LayerNorm {
    forward: Kernel,
    backward: Option<[Kernel; 2]>,
    groups: [usize; 3],
    grad_groups: [usize; 3],
}

impl LayerNorm {
    /// `params: [P, stride]`; `x` and `y: [P, rows, units]`, packed.
    pub fn new(
        gpu: &Gpu,
        shape: &Shape,
        norm: &Norm,
        params: &Region,
        [x, y]: [&Region; 2],
        grads: Option<NormGrads<'_>>,
    ) -> Self {
        let moments = gpu.storage("moments of rows", 8 * (shape.members * shape.rows) as u64);
        let constants = Constants::default()
            .uint("MEMBERS", shape.members)
            .uint("ROWS", shape.rows)
            .uint("UNITS", norm.units)
            .uint("STRIDE", shape.stride)
            .uint("SCALE", norm.scale)
            .uint("SHIFT", norm.shift)
            .uint("CHUNK", shape.chunk);
        let live = shape.live_rows(None);
        let kernel = |entry: &str, constants: Constants, files: &[&str], binds: &[Bind<'_>]| {
            let constants = constants.uint("LIVE", binds.len());
            let live = live.as_ref().map(Bind::Read);
            let binds: Vec<_> = binds.iter().copied().chain(live).collect();
            let files = [&[shape.live_file()], files].concat();
            Kernel::new(gpu, entry, &constants, &files, &binds)
        };
        let forward = [
            Bind::Read(params),
            Bind::Read(x),
            Bind::Write(y),
            Bind::Write(&moments),
        ];
        let file = include_str!("../../shaders/learn/norm_forward.wgsl");
        let forward = kernel("norm_forward", constants.clone(), &[ROW, file], &forward);
        let backward = grads.map(|g| {
            let binds = [
                Bind::Read(params),
                Bind::Read(x),
                Bind::Read(&moments),
                Bind::Read(g.y),
                Bind::Write(g.x),
            ];
            let file = include_str!("../../shaders/learn/norm_backward.wgsl");
            let files = [ACTIVATION, ROW, file];
            let c = constants.clone().uint("ACT", g.below as usize);
            let backward = kernel("norm_backward", c, &files, &binds);
            let binds = [
                Bind::Read(x),
                Bind::Read(&moments),
                Bind::Read(g.y),
                Bind::Write(g.partials),
            ];
            let file = include_str!("../../shaders/learn/norm_grad.wgsl");
            let grad = kernel("norm_grad", constants.clone(), &[file], &binds);
            [backward, grad]
        });
        Self {
            forward,
            backward,
            groups: [shape.rows.div_ceil(8), shape.members, 1],
            grad_groups: [norm.units.div_ceil(64), shape.chunks(), shape.members],
        }
    }

    pub fn record_forward(&self, to: &mut Recorder) {
        self.forward.record(to, 0, self.groups);
    }

    /// Follows a forward pass over the same memory.
    pub fn record_backward(&self, to: &mut Recorder) {
        if let Some([backward, grad]) = &self.backward {
            backward.record(to, 0, self.groups);
            grad.record(to, 0, self.grad_groups);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{gpu, run};
    use crate::tests::{close, read, uniform};

    const MEMBERS: usize = 2;
    const ROWS: usize = 300;

    /// Σ of `dy · y`, `y` of `x` activated by the rectifier, in double precision.
    fn loss(words: &[f64], norm: &Norm, before: &[f64], dy: &[f64]) -> f64 {
        let n = norm.units;
        let row = |(before, dy): (&[f64], &[f64])| -> f64 {
            let x: Vec<f64> = before.iter().map(|x| x.max(0.0)).collect();
            let mean = x.iter().sum::<f64>() / n as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let deviation = (variance + 1e-5).sqrt();
            let y = |u: usize| {
                (x[u] - mean) / deviation * words[norm.scale + u] + words[norm.shift + u]
            };
            (0..n).map(|u| dy[u] * y(u)).sum()
        };
        before
            .chunks_exact(n)
            .zip(dy.chunks_exact(n))
            .map(row)
            .sum()
    }

    /// Values and gradients against differences in double precision: units that are no whole number of eights, more rows than one partial
    /// sum, something of others in front of the scales.
    #[test]
    fn it_equals_the_formula_and_its_gradients_their_differences() {
        for units in [16, 37, 128] {
            let norm = Norm::new(70, units);
            let stride = norm.end().next_multiple_of(64);
            let words = uniform(1, MEMBERS * stride, -1.0, 1.0);
            let before = uniform(2, MEMBERS * ROWS * units, -1.0, 1.0);
            let x: Vec<f32> = before.iter().map(|x| x.max(0.0)).collect();
            let dy = uniform(3, MEMBERS * ROWS * units, -1.0, 1.0);
            let region = |x: &[f32]| gpu().storage_from("test", x);
            let room = |n: usize| gpu().storage("test", 4 * n as u64);
            let shape = Shape::new(gpu(), MEMBERS, ROWS, stride, &[units], false);
            assert!(shape.chunks() > 1);
            let (params, x, dy_region) = (region(&words), region(&x), region(&dy));
            let (y, dx) = (room(before.len()), room(before.len()));
            let partials = room(shape.chunks() * MEMBERS * stride);
            let grads = NormGrads {
                y: &dy_region,
                x: &dx,
                below: Activate::Relu,
                partials: &partials,
            };
            let layer = LayerNorm::new(gpu(), &shape, &norm, &params, [&x, &y], Some(grads));
            run(|to| {
                layer.record_forward(to);
                layer.record_backward(to);
            });
            let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (words, before, dy) = (wide(&words), wide(&before), wide(&dy));
            let (y, dx, partials) = (read(&y), read(&dx), read(&partials));
            for p in 0..MEMBERS {
                let words = &words[p * stride..(p + 1) * stride];
                let of = |x: &[f64]| x[p * ROWS * units..(p + 1) * ROWS * units].to_vec();
                let (before, dy, y, dx) = (of(&before), of(&dy), of(&y), of(&dx));
                let total: f64 = dy.iter().zip(&y).map(|(d, y)| d * y).sum();
                let want = loss(words, &norm, &before, &dy);
                close(&[total / 100.0], &[want / 100.0], 1e-5, "output");
                let slope = |f: &dyn Fn(f64) -> f64| (f(1e-6) - f(-1e-6)) / 2e-6;
                for i in (0..before.len()).step_by(211) {
                    // Where the rectifier's kink is not between the two.
                    if before[i].abs() < 1e-5 {
                        continue;
                    }
                    let row = i / units * units..(i / units + 1) * units;
                    let want = slope(&|d| {
                        let mut moved = before[row.clone()].to_vec();
                        moved[i % units] += d;
                        loss(words, &norm, &moved, &dy[row.clone()])
                    });
                    close(&[dx[i]], &[want], 2e-5, "derivative by what it reads");
                }
                for w in norm.scale..norm.end() {
                    let want = slope(&|d| {
                        let mut words = words.to_vec();
                        words[w] += d;
                        loss(&words, &norm, &before, &dy)
                    });
                    let sum = |chunk: usize| partials[(chunk * MEMBERS + p) * stride + w];
                    let found: f64 = (0..shape.chunks()).map(sum).sum();
                    close(&[found / 100.0], &[want / 100.0], 1e-5, "scale or shift");
                }
            }
        }
    }
}
