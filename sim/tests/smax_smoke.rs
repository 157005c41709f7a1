use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{self, Batch, Driver, Layout};

#[test]
fn both_layouts_compile_and_step() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    for layout in [Layout::Thread, Layout::Tile] {
        for name in registry::names() {
            let batch = Batch {
                seeds: vec![1],
                envs_per_member: 5,
                steps: 1,
                slots: 1,
                driver: Driver::Random,
                layout,
                checked: true,
            };
            let t0 = std::time::Instant::now();
            let env = registry::make(&gpu, &name, &Default::default(), &batch).unwrap();
            let mut enc = gpu.encoder();
            {
                let mut pass = enc.begin_compute_pass(&Default::default());
                env.record_reset(&mut pass);
                for _ in 0..30 {
                    env.record_step(&mut pass, 0);
                }
                env.record_stats(&mut pass);
            }
            gpu.submit(enc);
            let s: Vec<f32> = gpu.read(env.stats_region()).unwrap();
            println!(
                "{name} {layout:?} {:?} {:.1}s",
                s,
                t0.elapsed().as_secs_f32()
            );
        }
    }
}
