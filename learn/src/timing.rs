//! Where the device's time goes, from timestamps that it writes itself: no update waits for the host.

use merit_sim::gpu::{Gpu, GpuError};

use crate::held::Held;
use crate::learner::Timing;

/// Updates between two reports that are measured; the rest is taken to be like them.
const MEASURED: u32 = 256;
/// Timestamps of an update: begin and end of the rollout, end of the update.
const MARKS: u32 = 3;

/// Timestamps of the updates since the last report. On adapters without timestamps the whole time between two reports
/// counts as update.
pub struct Timestamps {
    queries: Option<(wgpu::QuerySet, wgpu::Buffer)>,
    updates: u32,
    launches: u64,
    since: std::time::Instant,
}

impl Timestamps {
    pub fn new(gpu: &Gpu) -> Self {
        let needed =
            wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        let queries = gpu.device.features().contains(needed).then(|| {
            let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: MARKS * MEASURED,
            });
            let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("timestamps"),
                size: u64::from(8 * MARKS * MEASURED),
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            (set, resolved)
        });
        Self {
            queries,
            updates: 0,
            launches: 0,
            since: std::time::Instant::now(),
        }
    }

    fn mark(&self, encoder: &mut wgpu::CommandEncoder, mark: u32) {
        if let Some((set, _)) = &self.queries
            && self.updates < MEASURED
        {
            encoder.write_timestamp(set, MARKS * self.updates + mark);
        }
    }

    pub fn begin_rollout(&mut self, encoder: &mut wgpu::CommandEncoder) {
        if self.updates == 0 {
            self.since = std::time::Instant::now();
        }
        self.mark(encoder, 0);
    }

    pub fn end_rollout(&self, encoder: &mut wgpu::CommandEncoder) {
        self.mark(encoder, 1);
    }

    pub fn end_update(&mut self, encoder: &mut wgpu::CommandEncoder, launches: u64) {
        self.mark(encoder, 2);
        self.updates += 1;
        self.launches = launches;
    }

    /// The time of the updates since the last call. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&mut self, gpu: &Gpu) -> Result<Timing, GpuError> {
        gpu.sync()?;
        let updates = std::mem::take(&mut self.updates);
        let mut timing = Timing {
            launches_per_update: self.launches,
            held: Held::now(gpu),
            ..Timing::default()
        };
        let measured = updates.min(MEASURED);
        if measured == 0 {
            return Ok(timing);
        }
        let Some((set, resolved)) = &self.queries else {
            timing.update_s = self.since.elapsed().as_secs_f64();
            return Ok(timing);
        };
        let mut encoder = gpu.encoder();
        encoder.resolve_query_set(set, 0..MARKS * measured, resolved, 0);
        gpu.submit(encoder);
        let mut region = merit_sim::gpu::Region::whole(resolved.clone());
        region.size = u64::from(8 * MARKS * measured);
        let marks: Vec<u64> = gpu.read(&region)?;
        let period = f64::from(gpu.queue.get_timestamp_period()) * 1e-9;
        let all = f64::from(updates) / f64::from(measured);
        for m in marks.chunks_exact(MARKS as usize) {
            let seconds =
                |from: usize, to: usize| m[to].saturating_sub(m[from]) as f64 * period * all;
            timing.rollout_s += seconds(0, 1);
            timing.update_s += seconds(1, 2);
        }
        Ok(timing)
    }
}
