//! Recordings of reference environments: safetensors files with arrays by name and strings in the header, or a robot's
//! system file (JSON) with its test vectors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is no complete safetensors file ({reason}): record or copy it again")]
    Corrupt { path: PathBuf, reason: String },
    #[error("{path} lacks {what}: it is no recording in the format of docs/parity.md")]
    Missing { path: PathBuf, what: String },
    #[error("{path}: array `{array}` is {found:?}, expected {expected}")]
    Shape {
        path: PathBuf,
        array: String,
        found: Vec<usize>,
        expected: String,
    },
}

#[derive(Clone, Debug)]
enum Data {
    F32(Vec<f32>),
    Int(Vec<i32>),
}

#[derive(Clone, Debug)]
struct GoldenArray {
    shape: Vec<usize>,
    data: Data,
}

/// A recording, whole in memory (the largest are a few hundred KiB).
#[derive(Clone, Debug)]
pub struct Recording {
    pub path: PathBuf,
    metadata: HashMap<String, String>,
    arrays: HashMap<String, GoldenArray>,
}

impl Recording {
    /// # Errors
    /// [`GoldenError::Read`] and [`GoldenError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, GoldenError> {
        let corrupt = |reason: String| GoldenError::Corrupt {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|source| GoldenError::Read {
            path: path.to_owned(),
            source,
        })?;
        if bytes.first() == Some(&b'{') {
            return Self::from_system(path, &bytes);
        }
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| corrupt(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| corrupt(e.to_string()))?;
        let mut arrays = HashMap::new();
        for (name, view) in tensors.tensors() {
            let raw = view.data();
            let word = |c: &[u8]| [c[0], c[1], c[2], c[3]];
            let data = match view.dtype() {
                Dtype::F32 => Data::F32(
                    raw.chunks_exact(4)
                        .map(|c| f32::from_le_bytes(word(c)))
                        .collect(),
                ),
                Dtype::I32 => Data::Int(
                    raw.chunks_exact(4)
                        .map(|c| i32::from_le_bytes(word(c)))
                        .collect(),
                ),
                Dtype::U8 => Data::Int(raw.iter().map(|&b| i32::from(b)).collect()),
                Dtype::I8 => Data::Int(raw.iter().map(|&b| i32::from(b as i8)).collect()),
                other => return Err(corrupt(format!("array `{name}` is {other:?}"))),
            };
            let shape = view.shape().to_vec();
            arrays.insert(name, GoldenArray { shape, data });
        }
        Ok(Self {
            path: path.to_owned(),
            metadata,
            arrays,
        })
    }

    /// The test vectors of a system file, each array by the way to it: `rollout.steps.3.q`. What holds a `null` is left out.
    fn from_system(path: &Path, bytes: &[u8]) -> Result<Self, GoldenError> {
        let root: Value = serde_json::from_slice(bytes).map_err(|e| GoldenError::Corrupt {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        let mut recording = Self {
            path: path.to_owned(),
            metadata: HashMap::new(),
            arrays: HashMap::new(),
        };
        for (key, name) in [("format", "environment"), ("env", "task")] {
            let Some(value) = root.get(key).and_then(Value::as_str) else {
                return Err(recording.missing(format!("`{key}`")));
            };
            recording.metadata.insert(name.to_owned(), value.to_owned());
        }
        recording
            .metadata
            .insert("case".to_owned(), "test vectors".to_owned());
        let Some(vectors) = root.get("test_vectors") else {
            return Err(recording.missing("`test_vectors`".to_owned()));
        };
        recording.gather("", vectors);
        Ok(recording)
    }

    fn gather(&mut self, at: &str, value: &Value) {
        let below = |name: &str| match at {
            "" => name.to_owned(),
            _ => format!("{at}.{name}"),
        };
        let (mut shape, mut numbers) = (Vec::new(), Vec::new());
        if rectangle(value, 0, &mut shape, &mut numbers).is_some() {
            let data = Data::F32(numbers);
            self.arrays
                .insert(at.to_owned(), GoldenArray { shape, data });
        } else if let Some(object) = value.as_object() {
            for (name, value) in object {
                self.gather(&below(name), value);
            }
        } else if let Some(list) = value.as_array() {
            for (i, value) in list.iter().enumerate() {
                self.gather(&below(&i.to_string()), value);
            }
        }
    }

    fn missing(&self, what: String) -> GoldenError {
        GoldenError::Missing {
            path: self.path.clone(),
            what,
        }
    }

    /// A string of the header.
    ///
    /// # Errors
    /// [`GoldenError::Missing`].
    pub fn text(&self, key: &str) -> Result<&str, GoldenError> {
        let value = self.metadata.get(key).map(String::as_str);
        value.ok_or_else(|| self.missing(format!("`{key}` in its header")))
    }

    /// A number of the header.
    ///
    /// # Errors
    /// [`GoldenError::Missing`].
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, GoldenError> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|_| self.missing(format!("a number `{key}` in its header (found `{text}`)")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    fn array(&self, name: &str) -> Result<&GoldenArray, GoldenError> {
        self.arrays
            .get(name)
            .ok_or_else(|| self.missing(format!("array `{name}`")))
    }

    /// Length of the first axis.
    ///
    /// # Errors
    /// [`GoldenError::Missing`].
    pub fn rows(&self, name: &str) -> Result<usize, GoldenError> {
        Ok(self.array(name)?.shape.first().copied().unwrap_or(1))
    }

    fn checked(&self, name: &str, shape: &[usize]) -> Result<&GoldenArray, GoldenError> {
        let array = self.array(name)?;
        if array.shape == shape {
            return Ok(array);
        }
        Err(GoldenError::Shape {
            path: self.path.clone(),
            array: name.to_owned(),
            found: array.shape.clone(),
            expected: format!("{shape:?}"),
        })
    }

    /// A float array of that shape.
    ///
    /// # Errors
    /// [`GoldenError::Missing`], [`GoldenError::Shape`].
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<&[f32], GoldenError> {
        match &self.checked(name, shape)?.data {
            Data::F32(v) => Ok(v),
            Data::Int(_) => Err(self.missing(format!("float array `{name}`"))),
        }
    }

    /// An integer array of that shape, whatever its width in the file.
    ///
    /// # Errors
    /// [`GoldenError::Missing`], [`GoldenError::Shape`].
    pub fn int(&self, name: &str, shape: &[usize]) -> Result<&[i32], GoldenError> {
        match &self.checked(name, shape)?.data {
            Data::Int(v) => Ok(v),
            Data::F32(_) => Err(self.missing(format!("integer array `{name}`"))),
        }
    }
}

/// The shape and the numbers of nested lists, `None` where they are no array of numbers.
fn rectangle(
    value: &Value,
    depth: usize,
    shape: &mut Vec<usize>,
    numbers: &mut Vec<f32>,
) -> Option<()> {
    let Some(list) = value.as_array() else {
        numbers.push(value.as_f64()? as f32);
        return (depth == shape.len()).then_some(());
    };
    if depth == shape.len() && numbers.is_empty() {
        shape.push(list.len());
    }
    if shape.get(depth) != Some(&list.len()) {
        return None;
    }
    list.iter()
        .try_for_each(|v| rectangle(v, depth + 1, shape, numbers))
}
