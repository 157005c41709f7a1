use merit_sim::{bench::*, gpu::*, registry::Layout};
fn main() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    let args: Vec<String> = std::env::args().collect();
    for l in [Layout::Thread, Layout::Tile] {
        for name in args[3].split(',') {
            let r = run_layout(
                &gpu,
                name,
                &Default::default(),
                args[1].parse().unwrap(),
                Policy::Random,
                args[2].parse().unwrap(),
                l,
            )
            .unwrap();
            println!(
                "{} {} {:.0} env steps/s {} floor {:.3} eps {} runs {:?}",
                r.env, r.envs, r.env_steps_per_s, r.layout, r.floor_ratio, r.episodes, r.runs
            );
        }
    }
}
