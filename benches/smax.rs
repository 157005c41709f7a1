//! Environment steps per second of SMAX with random actions drawn in the shader, resets included.
//!
//! `cargo bench --bench smax`; `merit bench` measures the same without statistics, for any environment.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{Batch, Driver, EnvOptions, make};

/// Steps in one submission: enough that its own cost does not show.
const STEPS: usize = 16;

fn stepping(c: &mut Criterion) {
    let choice = AdapterChoice::parse(&std::env::var("MERIT_ADAPTER").unwrap_or_default());
    let gpu = Gpu::open(&choice).expect("an adapter");
    let mut group = c.benchmark_group(format!("SMAX on {}", gpu.info.name));
    for scenario in ["3m", "2s3z", "3s5z_vs_3s6z", "27m_vs_30m"] {
        for envs in [64, 1024] {
            let batch = Batch {
                seeds: vec![0],
                envs_per_member: envs,
                steps: 1,
                slots: 1,
                driver: Driver::Random,
                ..Batch::default()
            };
            let name = format!("smax/{scenario}");
            let env = make(&gpu, &name, &EnvOptions::new(), &batch).expect("the batch fits");
            let submit = |reset: bool| {
                let mut encoder = gpu.encoder();
                {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    if reset {
                        env.record_reset(&mut pass);
                    }
                    for _ in 0..STEPS {
                        env.record_step(&mut pass, 0);
                    }
                }
                gpu.submit(encoder);
                gpu.sync().expect("the device answers");
            };
            submit(true);
            group.throughput(Throughput::Elements((envs * STEPS) as u64));
            group.bench_function(BenchmarkId::new(scenario, envs), |b| {
                b.iter(|| submit(false))
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = stepping
}
criterion_main!(benches);
