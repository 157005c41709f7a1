use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use merit_sim::gpu::{self, AdapterChoice, Gpu};

use crate::output::print;

/// Show adapters, drivers, limits and features, and whether training can run
#[derive(Args)]
pub struct Doctor {
    /// Print nothing where training can run
    #[arg(long)]
    quiet: bool,
}

impl Doctor {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        if !self.quiet {
            print(&adapters())?;
        }
        let gpu = Gpu::open(choice)?;
        compute(&gpu)?;
        if !self.quiet {
            print(&report(&gpu))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn adapters() -> String {
    let adapters = gpu::adapters();
    let mut text = String::from(if adapters.is_empty() {
        "adapters: none\n"
    } else {
        "adapters\n"
    });
    for (i, adapter) in adapters.iter().enumerate() {
        let info = adapter.get_info();
        let (kind, backend) = (info.device_type, info.backend);
        let driver = format!("{} {}", info.driver, info.driver_info);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {i}  {}\n     {kind:?}, {backend}, driver {}",
            info.name,
            driver.trim()
        );
    }
    text
}

/// A device that opens may still not compute: the driver compiles nothing before the first kernel.
fn compute(gpu: &Gpu) -> anyhow::Result<()> {
    gpu.guarded("a kernel that tries it out", || tripled(gpu))?
}

fn tripled(gpu: &Gpu) -> anyhow::Result<()> {
    const SOURCE: &str = include_str!("../shaders/common/doctor.wgsl");
    let numbers: Vec<u32> = (0..1024).collect();
    let region = gpu.storage_from("doctor", &numbers);
    let module = gpu.shader("doctor", SOURCE, false);
    let layout = gpu.layout("doctor", &[gpu::Access::ReadWrite]);
    let pipeline = gpu.pipeline("doctor", &module, "triple", &layout);
    let bindings = gpu.bind("doctor", &layout, &[region.binding()]);
    let mut encoder = gpu.encoder();
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(1024 / 64, 1, 1);
    }
    gpu.submit(encoder);
    let tripled: Vec<u32> = gpu.read(&region)?;
    let right = tripled.iter().zip(&numbers).all(|(a, b)| *a == 3 * b);
    anyhow::ensure!(
        right,
        "adapter `{}` computes wrong results: update its driver",
        gpu.info.name
    );
    Ok(())
}

fn report(gpu: &Gpu) -> String {
    let limits = &gpu.limits;
    let features = gpu.adapter.features();
    let has = |f: wgpu::Features| if features.contains(f) { "yes" } else { "no" };
    let mib = |bytes: u64| bytes >> 20;
    let kind = if gpu.is_software() {
        " in software: the CPU computes"
    } else {
        ""
    };
    format!(
        "chosen: {}
limits
  storage buffers per kernel   {} ({} needed)
  workgroup memory             {} bytes ({} needed)
  invocations per workgroup    {} (256 needed)
  largest buffer binding       {} MiB
  largest buffer               {} MiB
features
  subgroups                    {}
  16-bit floats in shaders     {}
  timestamp queries            {}
training can run{kind}
",
        gpu.info.name,
        limits.max_storage_buffers_per_shader_stage,
        gpu::STORAGE_BUFFERS_NEEDED,
        limits.max_compute_workgroup_storage_size,
        gpu::WORKGROUP_BYTES_NEEDED,
        limits.max_compute_invocations_per_workgroup,
        mib(limits.max_storage_buffer_binding_size),
        mib(limits.max_buffer_size),
        has(wgpu::Features::SUBGROUP),
        has(wgpu::Features::SHADER_F16),
        has(wgpu::Features::TIMESTAMP_QUERY),
    )
}
