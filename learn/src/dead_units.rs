//! Units that no sample of a minibatch moves: they do not learn any more.

use std::collections::BTreeMap;

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::kernel::{Bind, Constants, Kernel, Recorder};

pub struct DeadUnits {
    layers: Vec<Layer>,
    members: usize,
}

struct Layer {
    /// Whose: `actor` or `critic`.
    network: &'static str,
    /// `[P]`
    share: Region,
    find_alive: Kernel,
    /// Of a member's minibatch.
    blocks: usize,
    dead_units: Kernel,
}

/// What hidden layers put out, `[P, rows, H]`, with `H`.
type Hidden<'a> = Vec<(&'a Region, usize)>;

/// Rows that one workgroup looks through.
const BLOCK: usize = 256;

impl DeadUnits {
    /// Of these networks' hidden layers, each with the samples of its minibatches per member.
    pub fn new(
        gpu: &Gpu,
        members: usize,
        networks: [(&'static str, Hidden<'_>, usize); 2],
    ) -> Self {
        let mut layers = Vec::new();
        for (network, all, rows) in networks {
            for (activations, hidden) in all {
                let share = gpu.storage("dead units", 4 * members as u64);
                let alive = gpu.storage("units that live", 4 * (members * hidden) as u64);
                let constants = Constants::default()
                    .uint("ROWS", rows)
                    .uint("HIDDEN", hidden)
                    .uint("BLOCK", BLOCK);
                let binds = [
                    Bind::Read(activations),
                    Bind::Write(&alive),
                    Bind::Write(&share),
                ];
                let files = [include_str!("../../shaders/learn/dead_units.wgsl")];
                let kernel = |entry| Kernel::new(gpu, entry, &constants, &files, &binds);
                layers.push(Layer {
                    network,
                    find_alive: kernel("find_alive"),
                    blocks: rows.div_ceil(BLOCK),
                    dead_units: kernel("dead_units"),
                    share,
                });
            }
        }
        Self { layers, members }
    }

    /// After the last minibatch of an update.
    pub fn record(&self, to: &mut Recorder) {
        for layer in &self.layers {
            layer
                .find_alive
                .record(to, 0, [layer.blocks, self.members, 1]);
            layer.dead_units.record(to, 0, [self.members, 1, 1]);
        }
    }

    /// Per member, the mean over a network's hidden layers. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<BTreeMap<String, f64>>, GpuError> {
        let mut named = vec![BTreeMap::new(); self.members];
        for layer in &self.layers {
            let of_network = self.layers.iter().filter(|l| l.network == layer.network);
            let layers = of_network.count() as f64;
            let shares: Vec<f32> = gpu.read(&layer.share)?;
            for (named, share) in named.iter_mut().zip(shares) {
                let key = format!("{}_dead_units", layer.network);
                *named.entry(key).or_insert(0.0) += f64::from(share) / layers;
            }
        }
        Ok(named)
    }
}
