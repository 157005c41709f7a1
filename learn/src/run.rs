//! Run directories: everything that a training run leaves on disk, and how a killed run finds its place again.
//!
//! ```text
//! run.toml             the resolved configuration, version, commit, adapter and driver
//! metrics.jsonl        one line per log point and per evaluation; a function of run.toml and the adapter alone
//! timing.jsonl         where the time went; differs from repeat to repeat
//! checkpoints/step-N.safetensors
//! summary.json, marl-eval.json    when the run is complete
//! ```
//!
//! Whole files are written under a temporary name, synced and renamed, so that a file that exists is complete. Lines are
//! synced before the checkpoint that follows them, so that everything up to the newest checkpoint is on disk; resuming
//! cuts off what came after it.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::LearnError;
use crate::config::{Config, ConfigError, parse_toml};
use crate::learner::{Array, Checkpoint};
use crate::record::{Record, Summary, TimingRecord, marl_eval};

/// What can go wrong between a run and its directory.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{path} already holds files; name a new or an empty directory{}", resume_hint(.path))]
    NotEmpty { path: PathBuf },
    #[error("cannot write in {path}: {reason}")]
    NotWritable { path: PathBuf, reason: io::Error },
    #[error("{0} is no run: it has no run.toml")]
    Foreign(PathBuf),
    #[error("{0}: another process is training this run")]
    Busy(PathBuf),
    #[error("{path} is damaged: {problem}; {remedy}")]
    Damaged {
        path: PathBuf,
        problem: String,
        remedy: String,
    },
    #[error("{0} has no checkpoint yet; `merit train --resume {0}` starts it again")]
    NoCheckpoint(PathBuf),
    #[error("{0} has no record of training yet")]
    NoRecords(PathBuf),
    #[error("{path}: {reason}")]
    Io { path: PathBuf, reason: io::Error },
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Learn(#[from] LearnError),
}

fn resume_hint(path: &Path) -> String {
    if path.join(RUN_FILE).exists() {
        format!(", or go on with `merit train --resume {}`", path.display())
    } else {
        String::new()
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_owned();
    move |reason| RunError::Io { path, reason }
}

fn damaged(path: &Path, problem: impl ToString, remedy: impl Into<String>) -> RunError {
    RunError::Damaged {
        path: path.to_owned(),
        problem: problem.to_string().replace('\n', " "),
        remedy: remedy.into(),
    }
}

pub const RUN_FILE: &str = "run.toml";
pub const SUMMARY: &str = "summary.json";
const MARL_EVAL: &str = "marl-eval.json";
const METRICS: &str = "metrics.jsonl";
const TIMING: &str = "timing.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// The layout of a checkpoint file; a reader refuses any other.
const FORMAT: u32 = 1;

/// `run.toml`: what decides the bytes of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// Version of the program.
    pub merit: String,
    pub commit: String,
    pub adapter: String,
    pub driver: String,
    pub config: Config,
}

impl RunInfo {
    /// Reads the `run.toml` of a run directory.
    ///
    /// # Errors
    /// [`RunError::Foreign`] where there is none, [`RunError::Damaged`] where it cannot be understood.
    pub fn read(run: &Path) -> Result<Self, RunError> {
        let path = run.join(RUN_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(RunError::Foreign(run.to_owned()));
            }
            Err(e) => return Err(io_error(&path)(e)),
        };
        let remedy = "restore it from a copy: it alone says what was trained";
        let table = parse_toml(&path, &text).map_err(|e| damaged(&path, e, remedy))?;
        Self::deserialize(toml::Value::Table(table))
            .map_err(|e| damaged(&path, e.message(), remedy))
    }
}

/// Whether a run can be written at `path`: it is free, and its place can be written to. Leaves nothing behind.
///
/// # Errors
/// [`RunError::NotEmpty`] and [`RunError::NotWritable`].
pub fn check_free(path: &Path) -> Result<(), RunError> {
    let not_writable = |reason| RunError::NotWritable {
        path: path.to_owned(),
        reason,
    };
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => {
            return Err(RunError::NotEmpty {
                path: path.to_owned(),
            });
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(not_writable(e)),
    }
    // Permissions lie (root, read-only mounts): only writing tells.
    let here = Path::new(".");
    let parent = path.ancestors().find(|p| p.exists()).unwrap_or(here);
    let probe = parent.join(format!(".merit-{}.tmp", std::process::id()));
    File::create_new(&probe).map_err(not_writable)?;
    fs::remove_file(&probe).map_err(io_error(&probe))
}

/// Writes `bytes` at `path` so that a reader finds the old file or the new one, whole.
///
/// # Errors
/// [`RunError::Io`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let temporary = path.with_added_extension("tmp");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The name is on disk only when the directory is.
        if cfg!(unix)
            && let Some(parent) = path.parent()
        {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(io_error(path))
}

/// An open run: the only writer of its directory.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    pub info: RunInfo,
    metrics: File,
    timing: File,
    /// Held, not read: the lock on `run.toml` ends with it, however the process ends.
    _lock: File,
}

impl Run {
    /// Starts a run in a new or empty directory.
    ///
    /// # Errors
    /// As [`check_free`].
    pub fn create(path: &Path, info: RunInfo) -> Result<Self, RunError> {
        check_free(path)?;
        fs::create_dir_all(path).map_err(|reason| RunError::NotWritable {
            path: path.to_owned(),
            reason,
        })?;
        let text = toml::to_string(&info).map_err(|e| ConfigError::Build(e.to_string()))?;
        write_atomic(&path.join(RUN_FILE), text.as_bytes())?;
        Self::lock(path, info)
    }

    /// Opens a run to go on with it. Whoever goes on calls [`Run::rewind`] before it writes.
    ///
    /// # Errors
    /// [`RunError::Foreign`], [`RunError::Damaged`], [`RunError::Busy`].
    pub fn open(path: &Path) -> Result<Self, RunError> {
        Self::lock(path, RunInfo::read(path)?)
    }

    fn lock(path: &Path, info: RunInfo) -> Result<Self, RunError> {
        let run_file = path.join(RUN_FILE);
        // For writing: where locks go over a network (NFS) an exclusive one needs that.
        let mut options = File::options();
        let lock = options.read(true).write(true).open(&run_file);
        let lock = lock.map_err(io_error(&run_file))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => RunError::Busy(path.to_owned()),
            TryLockError::Error(e) => io_error(&run_file)(e),
        })?;
        let checkpoints = path.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(io_error(&checkpoints))?;
        Ok(Self {
            metrics: append_to(&path.join(METRICS))?,
            timing: append_to(&path.join(TIMING))?,
            path: path.to_owned(),
            info,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes every line after `step` (all of them without one), the summary, and every file that was being written when
    /// the run was killed.
    ///
    /// # Errors
    /// [`RunError::Damaged`] for a line that is none.
    pub fn rewind(&mut self, step: Option<u64>) -> Result<(), RunError> {
        for folder in [self.path.clone(), self.path.join(CHECKPOINTS)] {
            for entry in fs::read_dir(&folder).map_err(io_error(&folder))? {
                let path = entry.map_err(io_error(&folder))?.path();
                if path.extension().is_some_and(|e| e == "tmp") {
                    fs::remove_file(&path).map_err(io_error(&path))?;
                }
            }
        }
        #[derive(Deserialize)]
        struct Stamp {
            step: u64,
        }
        for (name, file) in [(METRICS, &mut self.metrics), (TIMING, &mut self.timing)] {
            let path = self.path.join(name);
            let (mut kept, mut cut, mut last) = (String::new(), false, None);
            for (line, stamp) in lines::<Stamp>(&path)? {
                if step.is_some_and(|s| stamp.step <= s) {
                    last = Some(stamp.step);
                    kept.push_str(&line);
                    kept.push('\n');
                } else {
                    cut = true;
                }
            }
            if name == METRICS {
                if let Some(step) = step.filter(|s| last != Some(*s)) {
                    let problem =
                        format!("it does not reach step {step}, whose checkpoint is there");
                    return Err(damaged(&path, problem, "restore it from a copy"));
                }
                // What has a summary is complete: from here on it is not, until it has reached its end again.
                for name in [SUMMARY, MARL_EVAL] {
                    let path = self.path.join(name);
                    if cut && path.exists() {
                        fs::remove_file(&path).map_err(io_error(&path))?;
                    }
                }
            }
            write_atomic(&path, kept.as_bytes())?;
            // The open handle still leads to the file that was replaced.
            *file = append_to(&path)?;
        }
        Ok(())
    }

    /// Appends a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn log(&mut self, record: &Record) -> Result<(), RunError> {
        append(&mut self.metrics, &self.path.join(METRICS), record)
    }

    /// Appends a line to `timing.jsonl`.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn log_timing(&mut self, record: &TimingRecord) -> Result<(), RunError> {
        append(&mut self.timing, &self.path.join(TIMING), record)
    }

    /// Writes the checkpoint of `step` once all lines before it are on disk.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn save(&mut self, step: u64, checkpoint: &Checkpoint) -> Result<PathBuf, RunError> {
        for (name, file) in [(METRICS, &self.metrics), (TIMING, &self.timing)] {
            file.sync_data().map_err(io_error(&self.path.join(name)))?;
        }
        let path = checkpoint_path(&self.path, step);
        write_checkpoint(&path, step, checkpoint)?;
        Ok(path)
    }

    /// Deletes the checkpoints that are neither the newest nor one of the last two that `regular` accepts. What an
    /// interruption saved in between so leaves no trace in a complete run.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn prune(&self, regular: impl Fn(u64) -> bool) -> Result<(), RunError> {
        let steps = checkpoints(&self.path)?;
        let kept: Vec<u64> = steps
            .iter()
            .rev()
            .copied()
            .filter(|&s| regular(s))
            .take(2)
            .collect();
        for step in &steps {
            if Some(step) != steps.last() && !kept.contains(step) {
                let path = checkpoint_path(&self.path, *step);
                fs::remove_file(&path).map_err(io_error(&path))?;
            }
        }
        Ok(())
    }

    /// Writes `summary.json` and `marl-eval.json` from the lines of this run.
    ///
    /// # Errors
    /// [`RunError::Damaged`] if they hold no evaluation.
    pub fn finish(&self) -> Result<Summary, RunError> {
        let records = records(&self.path)?;
        let metrics = self.path.join(METRICS);
        let config = &self.info.config;
        let summary = Summary::new(config, &records)
            .ok_or_else(|| damaged(&metrics, "it holds no evaluation", "train the run again"))?;
        let again = "train the run again";
        let write = |name: &str, json: serde_json::Result<String>| {
            let json = json.map_err(|e| damaged(&metrics, e, again))?;
            write_atomic(&self.path.join(name), format!("{json}\n").as_bytes())
        };
        let marl_eval = marl_eval(config, &records);
        write(MARL_EVAL, serde_json::to_string_pretty(&marl_eval))?;
        // The last: what has a summary is complete.
        write(SUMMARY, serde_json::to_string_pretty(&summary))?;
        Ok(summary)
    }
}

fn append_to(path: &Path) -> Result<File, RunError> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(io_error(path))
}

fn append(file: &mut File, path: &Path, record: &impl Serialize) -> Result<(), RunError> {
    let mut line = serde_json::to_vec(record).map_err(|e| io_error(path)(e.into()))?;
    line.push(b'\n');
    // One call, so that a line is split only where the system splits it.
    file.write_all(&line).map_err(io_error(path))
}

/// The lines of a file that may not exist, parsed. An unfinished last line is what a killed writer leaves: it is not
/// counted.
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<(String, T)>, RunError> {
    let text = match fs::read_to_string(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.map_err(io_error(path))?,
    };
    let complete = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parse = |(i, line): (usize, &str)| {
        let value = serde_json::from_str(line).map_err(|e| {
            damaged(
                path,
                format!("line {}: {e}", i + 1),
                "restore it from a copy or train the run again",
            )
        })?;
        Ok((line.to_owned(), value))
    };
    complete.lines().enumerate().map(parse).collect()
}

/// Every line of a run's `metrics.jsonl`.
///
/// # Errors
/// [`RunError::Damaged`].
pub fn records(run: &Path) -> Result<Vec<Record>, RunError> {
    Ok(lines(&run.join(METRICS))?
        .into_iter()
        .map(|(_, r)| r)
        .collect())
}

/// Every line of a run's `timing.jsonl`.
///
/// # Errors
/// [`RunError::Damaged`].
pub fn timings(run: &Path) -> Result<Vec<TimingRecord>, RunError> {
    Ok(lines(&run.join(TIMING))?
        .into_iter()
        .map(|(_, r)| r)
        .collect())
}

fn checkpoint_path(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS)
        .join(format!("step-{step}.safetensors"))
}

/// The steps that have a checkpoint, in order.
fn checkpoints(run: &Path) -> Result<Vec<u64>, RunError> {
    let folder = run.join(CHECKPOINTS);
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error(&folder))?,
    };
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error(&folder))?.file_name();
        let step: Option<u64> = name.to_str().and_then(|n| {
            n.strip_prefix("step-")?
                .strip_suffix(".safetensors")?
                .parse()
                .ok()
        });
        steps.extend(step);
    }
    steps.sort_unstable();
    Ok(steps)
}

/// A checkpoint that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub step: u64,
    pub path: PathBuf,
    pub arrays: Checkpoint,
}

/// Step of the newest checkpoint of a run, which is not read.
///
/// # Errors
/// [`RunError::Io`].
pub fn newest_step(run: &Path) -> Result<Option<u64>, RunError> {
    Ok(checkpoints(run)?.last().copied())
}

/// The newest checkpoint of a run.
///
/// # Errors
/// [`RunError::Damaged`] names the file and the one before it.
pub fn newest_checkpoint(run: &Path) -> Result<Option<Saved>, RunError> {
    let steps = checkpoints(run)?;
    let Some(&step) = steps.last() else {
        return Ok(None);
    };
    let path = checkpoint_path(run, step);
    let arrays = read_checkpoint(&path, step).map_err(|problem| {
        let remedy = match steps.iter().rev().nth(1) {
            Some(older) => format!("delete it to go on from step {older}"),
            None => "delete it to start the run again".to_owned(),
        };
        damaged(&path, problem, remedy)
    })?;
    Ok(Some(Saved { step, path, arrays }))
}

/// What the header of a checkpoint file says besides the arrays. One entry: the header's map has no fixed order, and a
/// repeat must write the same bytes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    step: u64,
    /// Over names, shapes and data: safetensors itself notices truncation only.
    crc32: u32,
}

/// Type, shape and little-endian bytes.
fn parts(array: &Array) -> (Dtype, &[usize], &[u8]) {
    match array {
        Array::F32 { shape, data } => (Dtype::F32, shape, bytemuck::cast_slice(data)),
        Array::U32 { shape, data } => (Dtype::U32, shape, bytemuck::cast_slice(data)),
        Array::U64 { shape, data } => (Dtype::U64, shape, bytemuck::cast_slice(data)),
        Array::U8 { shape, data } => (Dtype::U8, shape, data),
    }
}

fn checksum(checkpoint: &Checkpoint) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for (name, array) in checkpoint {
        let (_, shape, data) = parts(array);
        hasher.update(name.as_bytes());
        for &n in shape {
            hasher.update(&(n as u64).to_le_bytes());
        }
        hasher.update(data);
    }
    hasher.finalize()
}

fn write_checkpoint(path: &Path, step: u64, checkpoint: &Checkpoint) -> Result<(), RunError> {
    let encode = || -> io::Result<Vec<u8>> {
        let header = Header {
            format: FORMAT,
            step,
            crc32: checksum(checkpoint),
        };
        let header = HashMap::from([("merit".to_owned(), serde_json::to_string(&header)?)]);
        let views: Result<Vec<_>, _> = checkpoint
            .iter()
            .map(|(name, array)| {
                let (dtype, shape, data) = parts(array);
                Ok((name, TensorView::new(dtype, shape.to_vec(), data)?))
            })
            .collect();
        views
            .and_then(|views| safetensors::serialize(views, Some(header)))
            .map_err(io::Error::other)
    };
    write_atomic(path, &encode().map_err(io_error(path))?)
}

/// The problem, if it cannot be read, is a clause: what is wrong with the file.
fn read_checkpoint(path: &Path, step: u64) -> Result<Checkpoint, String> {
    let bytes = fs::read(path).map_err(|e| e.to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| e.to_string())?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| e.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get("merit"));
    let header: Header = header
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or("merit did not write it")?;
    if header.format != FORMAT {
        return Err(format!(
            "its format is {}, this version reads {FORMAT}",
            header.format
        ));
    }
    if header.step != step {
        return Err(format!("it is the checkpoint of step {}", header.step));
    }
    let mut checkpoint = Checkpoint::new();
    for (name, view) in file.iter() {
        let (shape, data) = (view.shape().to_vec(), view.data());
        let array = match view.dtype() {
            Dtype::F32 => Array::F32 {
                shape,
                data: bytemuck::pod_collect_to_vec(data),
            },
            Dtype::U32 => Array::U32 {
                shape,
                data: bytemuck::pod_collect_to_vec(data),
            },
            Dtype::U64 => Array::U64 {
                shape,
                data: bytemuck::pod_collect_to_vec(data),
            },
            Dtype::U8 => Array::U8 {
                shape,
                data: data.to_vec(),
            },
            other => return Err(format!("array `{name}` has type {other:?}")),
        };
        checkpoint.insert(name.to_owned(), array);
    }
    if checksum(&checkpoint) != header.crc32 {
        return Err("its checksum does not match its contents".into());
    }
    Ok(checkpoint)
}
