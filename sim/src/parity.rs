//! Parity with reference environments: each recorded step is stepped alone, from the recorded state with the recorded
//! actions and draws, all of a file's steps side by side in one dispatch of the shaders that training uses.

use std::path::Path;

use serde::Serialize;

use crate::golden::{GoldenError, Recording};
use crate::gpu::{Gpu, GpuError};
use crate::registry::{EnvError, FAMILIES, Layout};

/// Largest difference that counts as equal for float arrays: a rewrite in another order of operations stays below it.
pub const FLOAT_TOLERANCE: f64 = 2e-5;

/// Why a recording cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    #[error(transparent)]
    Golden(#[from] GoldenError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("{file}: recordings of `{environment}` cannot be compared; known are {known}")]
    Unknown {
        file: String,
        environment: String,
        known: String,
    },
}

/// One array of a recording against ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrayReport {
    pub name: String,
    /// Steps (or recorded states) compared.
    pub steps: usize,
    pub compared: u64,
    pub max_abs_diff: f64,
    /// Entries that differ at all (exact arrays) or by more than the tolerance.
    pub unequal: u64,
    pub tolerance: f64,
    pub exact: bool,
    pub pass: bool,
}

/// A recording against ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileReport {
    pub file: String,
    pub env: String,
    pub case: String,
    pub steps: usize,
    pub layout: String,
    pub arrays: Vec<ArrayReport>,
    pub pass: bool,
}

/// Collects the comparisons of one file.
pub struct Comparison {
    arrays: Vec<ArrayReport>,
}

impl Comparison {
    fn entry(&mut self, name: &str, tolerance: f64) -> &mut ArrayReport {
        let at = self.arrays.iter().position(|a| a.name == name);
        let at = at.unwrap_or_else(|| {
            self.arrays.push(ArrayReport {
                name: name.to_owned(),
                steps: 0,
                compared: 0,
                max_abs_diff: 0.0,
                unequal: 0,
                tolerance,
                exact: tolerance == 0.0,
                pass: true,
            });
            self.arrays.len() - 1
        });
        &mut self.arrays[at]
    }

    fn one(&mut self, name: &str, tolerance: f64, ours: &[f64], theirs: &[f64]) {
        let entry = self.entry(name, tolerance);
        entry.steps += 1;
        entry.compared += theirs.len() as u64;
        if ours.len() != theirs.len() {
            entry.unequal += theirs.len() as u64;
            entry.pass = false;
            return;
        }
        for (a, b) in ours.iter().zip(theirs) {
            let d = (a - b).abs();
            // A NaN on either side is a difference.
            if d.is_nan() || d > tolerance {
                entry.unequal += 1;
                entry.pass = false;
            }
            entry.max_abs_diff = entry
                .max_abs_diff
                .max(if d.is_nan() { f64::INFINITY } else { d });
        }
    }

    /// One step of a float array.
    pub fn floats(&mut self, name: &str, ours: &[f32], theirs: &[f32]) {
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&x| f64::from(x)).collect() };
        self.one(name, FLOAT_TOLERANCE, &wide(ours), &wide(theirs));
    }

    /// One step of a float array with a tolerance of its own.
    pub fn within(&mut self, name: &str, tolerance: f64, ours: &[f32], theirs: &[f32]) {
        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&x| f64::from(x)).collect() };
        self.one(name, tolerance, &wide(ours), &wide(theirs));
    }

    /// Whether something looked at went the other way with what decides it so near its threshold that rounding may have. It is
    /// counted, and no failure.
    pub fn excused(&mut self, name: &str, at_threshold: bool) {
        let entry = self.entry(name, 0.0);
        entry.steps += 1;
        entry.compared += 1;
        entry.unequal += u64::from(at_threshold);
    }

    /// One step of an array that must be equal.
    pub fn exact<A: Copy + Into<f64>, B: Copy + Into<f64>>(
        &mut self,
        name: &str,
        ours: &[A],
        theirs: &[B],
    ) {
        let ours: Vec<f64> = ours.iter().map(|&x| x.into()).collect();
        let theirs: Vec<f64> = theirs.iter().map(|&x| x.into()).collect();
        self.one(name, 0.0, &ours, &theirs);
    }

    /// A statistic of two samples that must stay below its critical value.
    pub fn statistic(&mut self, name: &str, samples: usize, statistic: f64, critical: f64) {
        let entry = self.entry(name, critical);
        entry.steps = samples;
        entry.compared += 1;
        entry.max_abs_diff = entry.max_abs_diff.max(statistic);
        if statistic.is_nan() || statistic > critical {
            entry.unequal += 1;
            entry.pass = false;
        }
    }
}

/// Compares a recording, with the layout that the adapter would use and without bounds checks, as training does.
///
/// # Errors
/// [`ParityError`]; a difference is no error but a report that does not pass.
pub fn check_file(gpu: &Gpu, path: &Path) -> Result<FileReport, ParityError> {
    check_file_with(gpu, path, Layout::Auto, false)
}

/// Compares a recording with a layout and with or without bounds checks.
///
/// # Errors
/// [`ParityError`].
pub fn check_file_with(
    gpu: &Gpu,
    path: &Path,
    layout: Layout,
    checked: bool,
) -> Result<FileReport, ParityError> {
    let recording = Recording::open(path)?;
    let environment = recording.text("environment")?;
    let names = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => environment.starts_with(start),
        None => environment == *pattern,
    };
    let family = FAMILIES.iter().find(|f| f.recordings.iter().any(names));
    let Some(family) = family else {
        return Err(unknown(file_name(path), environment));
    };
    report(path, &recording, |comparison| {
        (family.compare)(gpu, &recording, layout, checked, comparison)
    })
}

/// What a comparison of the recording at `path` finds. `compare` returns the environment, the steps and the layout.
pub(crate) fn report(
    path: &Path,
    recording: &Recording,
    compare: impl FnOnce(&mut Comparison) -> Result<(String, usize, &'static str), ParityError>,
) -> Result<FileReport, ParityError> {
    let mut comparison = Comparison { arrays: Vec::new() };
    let (env, steps, layout) = compare(&mut comparison)?;
    let arrays = comparison.arrays;
    Ok(FileReport {
        file: file_name(path),
        env,
        // Recordings of several episodes have no case of their own.
        case: recording.text("case").unwrap_or_default().to_owned(),
        steps,
        layout: layout.to_owned(),
        pass: arrays.iter().all(|a| a.pass),
        arrays,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |f| f.to_string_lossy().into_owned())
}

fn unknown(file: String, environment: &str) -> ParityError {
    let known = FAMILIES.iter().flat_map(|f| f.recordings);
    ParityError::Unknown {
        file,
        environment: environment.to_owned(),
        known: known.copied().collect::<Vec<_>>().join(", "),
    }
}

/// What a family compares that has no recordings, its reference being a table or a formula that its own tests compute.
pub(crate) fn unrecorded(
    _: &Gpu,
    recording: &Recording,
    _: Layout,
    _: bool,
    _: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let file = recording.path.display().to_string();
    Err(unknown(file, recording.text("environment")?))
}

/// Two-sample Kolmogorov–Smirnov distance, and the value that equal distributions exceed with probability `alpha`.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64], alpha: f64) -> (f64, f64) {
    let sorted = |v: &[f64]| {
        let mut v = v.to_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let (a, b) = (sorted(a), sorted(b));
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j, mut distance) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    let critical = ((-(alpha / 2.0).ln() / 2.0) * (n + m) / (n * m)).sqrt();
    (distance, critical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ks_distance_is_that_of_the_empirical_distributions() {
        let (d, _) = kolmogorov_smirnov(&[0.0, 1.0, 2.0, 3.0], &[2.5, 3.5], 0.05);
        assert_eq!(d, 0.75);
        // scipy.stats.ks_2samp's asymptotic critical value for n = m = 100 at 5 %: 1.358 * sqrt(2 / 100).
        let same: Vec<f64> = (0..100).map(f64::from).collect();
        let (d, c) = kolmogorov_smirnov(&same, &same, 0.05);
        assert_eq!(d, 0.0);
        assert!((c - 0.19206).abs() < 1e-4, "{c}");
    }

    #[test]
    fn a_nan_never_passes() {
        let mut c = Comparison { arrays: vec![] };
        c.floats("x", &[f32::NAN], &[0.0]);
        assert!(!c.arrays[0].pass);
    }
}
