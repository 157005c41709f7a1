//! Initial weights (`ppo_family.md` §1), on the host: once per run, from the member's seed alone.

use crate::rng::{Normal, Unit};

/// An orthogonal `[inputs, outputs]` kernel times `gain`: orthonormal columns, or rows if there are fewer of them.
pub fn orthogonal(normal: &mut Normal, inputs: usize, outputs: usize, gain: f64) -> Vec<f32> {
    let (long, short) = (inputs.max(outputs), inputs.min(outputs));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(short);
    for _ in 0..short {
        let mut v: Vec<f64> = (0..long).map(|_| normal.draw()).collect();
        // Twice: one pass of Gram-Schmidt leaves an error that grows with the number of vectors.
        for _ in 0..2 {
            for b in &basis {
                let along: f64 = v.iter().zip(b).map(|(x, y)| x * y).sum();
                v.iter_mut().zip(b).for_each(|(x, y)| *x -= along * y);
            }
        }
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.iter_mut().for_each(|x| *x /= norm);
        basis.push(v);
    }
    let at = |i: usize, o: usize| match inputs >= outputs {
        true => basis[o][i],
        false => basis[i][o],
    };
    (0..inputs * outputs)
        .map(|k| (gain * at(k / outputs, k % outputs)) as f32)
        .collect()
}

/// `count` numbers uniform in ±1/√`fan_in`, from a stream of their own.
pub fn uniform(seed: u64, stream: u32, count: usize, fan_in: usize) -> Vec<f32> {
    let bound = 1.0 / (fan_in as f64).sqrt();
    let mut unit = Unit::new(seed, stream);
    (0..count)
        .map(|_| (bound * (2.0 * unit.draw() - 1.0)) as f32)
        .collect()
}

/// LeCun's normal initialisation, as flax has it: variance `1 / inputs`, cut at two standard deviations.
pub fn lecun_normal(normal: &mut Normal, inputs: usize, outputs: usize) -> Vec<f32> {
    // The standard deviation of a normal distribution cut at ±2 is this much smaller.
    const CUT: f64 = 0.879_625_661_034_239_8;
    let scale = 1.0 / (inputs as f64).sqrt() / CUT;
    let mut cut_normal = || loop {
        let x = normal.draw();
        if x.abs() <= 2.0 {
            return (scale * x) as f32;
        }
    };
    (0..inputs * outputs).map(|_| cut_normal()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_kernels_have_orthonormal_columns_or_rows() {
        for (inputs, outputs) in [(75, 64), (64, 64), (64, 8), (8, 64), (64, 1)] {
            let w = orthogonal(&mut Normal::new(3, 0), inputs, outputs, 2.0);
            let n = inputs.min(outputs);
            let at = |i: usize, k: usize| match inputs >= outputs {
                true => f64::from(w[k * outputs + i]),
                false => f64::from(w[i * outputs + k]),
            };
            for i in 0..n {
                for j in 0..n {
                    let dot: f64 = (0..inputs.max(outputs)).map(|k| at(i, k) * at(j, k)).sum();
                    let want = if i == j { 4.0 } else { 0.0 };
                    assert!(
                        (dot - want).abs() < 1e-5,
                        "{inputs}x{outputs}: {i}·{j} = {dot}"
                    );
                }
            }
        }
    }

    #[test]
    fn lecun_normal_has_the_variance_of_its_fan_in() {
        let w = lecun_normal(&mut Normal::new(1, 0), 100, 400);
        let mean = w.iter().map(|&x| f64::from(x)).sum::<f64>() / w.len() as f64;
        let var = w
            .iter()
            .map(|&x| (f64::from(x) - mean).powi(2))
            .sum::<f64>()
            / w.len() as f64;
        // Standard error of the mean 5e-4, of the variance about 6e-5.
        assert!(mean.abs() < 2.5e-3, "{mean}");
        assert!((var - 0.01).abs() < 3e-4, "{var}");
        assert!(w.iter().all(|x| x.abs() <= 0.2274));
    }
}
