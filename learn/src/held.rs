//! How much memory the process and its device hold: whether a long run stays as small as it began.

use merit_sim::gpu::Gpu;

/// Bytes; absent where the system or the driver does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident memory of the process, the memory of a software device included.
    pub host_bytes: Option<u64>,
    /// Live allocations on the device, ours and burn's.
    pub device_bytes: Option<u64>,
}

impl Held {
    pub fn now(gpu: &Gpu) -> Self {
        let device = gpu.device.generate_allocator_report();
        Self {
            host_bytes: resident(),
            device_bytes: device.map(|report| report.total_allocated_bytes),
        }
    }
}

/// Linux only: `VmRSS`, in KiB there.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}
