//! The network of pretrained prey, from a file.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::registry::EnvError;

/// Units of a hidden layer at most: an invocation holds both layers.
const MOST_HIDDEN: usize = 512;

/// `x -> W3 relu(W2 relu(W1 x + b1) + b2) + b3`, with five outputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PreyNet {
    /// Units of each hidden layer.
    pub hidden: usize,
    /// `W1 [hidden, inputs], b1, W2 [hidden, hidden], b2, W3 [5, hidden], b3`, row by row.
    pub words: Vec<f32>,
}

impl PreyNet {
    /// Reads the float32 arrays `W1`, `b1`, `W2`, `b2`, `W3` and `b3` of a safetensors file.
    ///
    /// # Errors
    /// [`EnvError::Options`] that names the file and the array.
    pub fn open(env: &str, path: &Path, inputs: usize) -> Result<Self, EnvError> {
        let wrong = |reason: String| EnvError::Options {
            env: env.to_owned(),
            reason: format!("prey_weights {}: {reason}", path.display()),
        };
        let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| wrong(format!("no complete safetensors file ({e})")))?;
        let hidden = file
            .tensor("b1")
            .ok()
            .and_then(|t| t.shape().first().copied())
            .unwrap_or_default();
        if !(1..=MOST_HIDDEN).contains(&hidden) {
            return Err(wrong(format!(
                "needs a vector `b1` of 1 to {MOST_HIDDEN} hidden units"
            )));
        }
        let mut words = Vec::new();
        for (name, shape) in [
            ("W1", vec![hidden, inputs]),
            ("b1", vec![hidden]),
            ("W2", vec![hidden, hidden]),
            ("b2", vec![hidden]),
            ("W3", vec![5, hidden]),
            ("b3", vec![5]),
        ] {
            let tensor = file
                .tensor(name)
                .map_err(|_| wrong(format!("has no array `{name}`")))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
                return Err(wrong(format!(
                    "array `{name}` is {:?} {:?}, this environment's prey need F32 {shape:?}",
                    tensor.dtype(),
                    tensor.shape()
                )));
            }
            let numbers = tensor.data().chunks_exact(4);
            words.extend(numbers.map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])));
        }
        if words.iter().any(|w| !w.is_finite()) {
            return Err(wrong("has a weight that is no number".into()));
        }
        Ok(Self { hidden, words })
    }
}
