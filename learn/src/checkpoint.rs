//! What a learner saves and finds again: parameters by name, device memory as it is, environments, the count of its updates.

use std::ops::Range;

use merit_sim::env::VecEnv;
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::learner::{Array, Checkpoint};

/// Parameters `[P, stride]`.
pub struct Parameters<'a> {
    pub words: &'a Region,
    pub stride: usize,
    /// Name, place among a member's words, shape.
    pub arrays: Vec<(String, Range<usize>, Vec<usize>)>,
}

/// All that a learner saves.
pub struct Contents<'a> {
    pub gpu: &'a Gpu,
    pub members: usize,
    pub parameters: Vec<Parameters<'a>>,
    /// Device memory that is saved as it is: name, region, shape.
    pub memory: Vec<(String, Region, Vec<usize>)>,
    /// The same of whole numbers.
    pub whole: Vec<(String, Region, Vec<usize>)>,
}

impl Contents<'_> {
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn save(&self, env: &dyn VecEnv, updates_done: u64) -> Result<Checkpoint, LearnError> {
        self.save_counted(env, &[updates_done])
    }

    /// The same with more counters than that of the updates.
    ///
    /// # Errors
    /// [`LearnError::Gpu`].
    pub fn save_counted(
        &self,
        env: &dyn VecEnv,
        counters: &[u64],
    ) -> Result<Checkpoint, LearnError> {
        let mut checkpoint = Checkpoint::new();
        for of in &self.parameters {
            let words: Vec<f32> = self.gpu.read(of.words)?;
            let members = words.chunks_exact(of.stride);
            for (name, place, shape) in &of.arrays {
                let data = members
                    .clone()
                    .flat_map(|m| m[place.clone()].iter().copied())
                    .collect();
                let shape = [&[self.members][..], shape].concat();
                checkpoint.insert(name.clone(), Array::F32 { shape, data });
            }
        }
        for (name, region, shape) in &self.memory {
            let (shape, data) = (shape.clone(), self.gpu.read(region)?);
            checkpoint.insert(name.clone(), Array::F32 { shape, data });
        }
        for (name, region, shape) in &self.whole {
            let (shape, data) = (shape.clone(), self.gpu.read(region)?);
            checkpoint.insert(name.clone(), Array::U32 { shape, data });
        }
        let snapshot = env.snapshot(self.gpu)?;
        checkpoint.insert(
            "env.snapshot".into(),
            Array::U8 {
                shape: vec![snapshot.len()],
                data: snapshot,
            },
        );
        checkpoint.insert(
            "counters".into(),
            Array::U64 {
                shape: vec![counters.len()],
                data: counters.to_vec(),
            },
        );
        Ok(checkpoint)
    }

    /// Returns the updates that were done. A refused checkpoint leaves everything as it was.
    ///
    /// # Errors
    /// [`LearnError::Checkpoint`] names what is missing or of another shape.
    pub fn restore(&self, env: &dyn VecEnv, checkpoint: &Checkpoint) -> Result<u64, LearnError> {
        let [updates_done] = self.restore_counted(env, checkpoint, |_| Ok(()))?;
        Ok(updates_done)
    }

    /// The same of [`Contents::save_counted`], if `check` has nothing against the counters.
    ///
    /// # Errors
    /// As [`Contents::restore`] and `check`.
    pub fn restore_counted<const N: usize>(
        &self,
        env: &dyn VecEnv,
        checkpoint: &Checkpoint,
        check: impl FnOnce([u64; N]) -> Result<(), LearnError>,
    ) -> Result<[u64; N], LearnError> {
        let wrong = |name: &str, what: &str| LearnError::Checkpoint(format!("`{name}` {what}"));
        let find = |name: &str| {
            checkpoint
                .get(name)
                .ok_or_else(|| wrong(name, "is missing"))
        };
        let floats = |name: &str, shape: &[usize]| match find(name)? {
            Array::F32 { shape: found, data } if found == shape => Ok(data),
            Array::F32 { shape: found, .. } => Err(wrong(
                name,
                &format!("has shape {found:?}, this run needs {shape:?}"),
            )),
            _ => Err(wrong(name, "does not hold f32")),
        };
        let whole_numbers = |name: &str, shape: &[usize]| match find(name)? {
            Array::U32 { shape: found, data } if found == shape => Ok(data),
            Array::U32 { shape: found, .. } => Err(wrong(
                name,
                &format!("has shape {found:?}, this run needs {shape:?}"),
            )),
            _ => Err(wrong(name, "does not hold u32")),
        };
        // Everything is looked at before anything is written.
        let mut parameters = Vec::new();
        for of in &self.parameters {
            let mut words: Vec<f32> = self.gpu.read(of.words)?;
            for (name, place, shape) in &of.arrays {
                let data = floats(name, &[&[self.members][..], shape].concat())?;
                let members = words.chunks_exact_mut(of.stride);
                for (member, values) in members.zip(data.chunks_exact(place.len())) {
                    member[place.clone()].copy_from_slice(values);
                }
            }
            parameters.push((of.words, words));
        }
        let memory = self.memory.iter();
        let contents: Vec<_> = memory
            .map(|(name, _, shape)| floats(name, shape))
            .collect::<Result<_, _>>()?;
        let whole = self.whole.iter();
        let whole: Vec<_> = whole
            .map(|(name, _, shape)| whole_numbers(name, shape))
            .collect::<Result<_, _>>()?;
        let Array::U64 { data: counters, .. } = find("counters")? else {
            return Err(wrong("counters", "does not hold u64"));
        };
        let Ok(counters) = <[u64; N]>::try_from(&counters[..]) else {
            return Err(wrong("counters", "holds another number of counters"));
        };
        check(counters)?;
        let Array::U8 { data: snapshot, .. } = find("env.snapshot")? else {
            return Err(wrong("env.snapshot", "does not hold u8"));
        };
        env.restore(self.gpu, snapshot)
            .map_err(|e| wrong("env.snapshot", &e.to_string()))?;
        for (region, words) in parameters {
            self.gpu.write(region, &words);
        }
        for ((_, region, _), data) in self.memory.iter().zip(contents) {
            self.gpu.write(region, data);
        }
        for ((_, region, _), data) in self.whole.iter().zip(whole) {
            self.gpu.write(region, data);
        }
        Ok(counters)
    }
}
