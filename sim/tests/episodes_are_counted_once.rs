//! The grid worlds counted every episode that ended twice, in the step and where the next began: `merit eval` of 1,000 of their episodes never saw
//! as many as it waited for, and the counts of their runs were doubled. Every family counts what its ends say.

mod common;

use merit_sim::registry::{self, Batch, Driver, Layout};

use common::{batch, gpu, options, stats};

const ENVS: usize = 12;
const STEPS: usize = 40;

#[test]
fn as_many_episodes_are_counted_as_ended() {
    let gpu = gpu();
    let short = || serde_json::json!({"max_steps": 15});
    let all = || serde_json::json!({});
    for (name, given, layout, workgroup) in [
        ("smax/3m", short(), Layout::Thread, None),
        ("smax/3m", short(), Layout::Tile, None),
        ("mpe/simple_spread", all(), Layout::Auto, None),
        ("overcooked/cramped_room", short(), Layout::Auto, None),
        ("mabrax/halfcheetah_6x1", short(), Layout::Auto, None),
        ("babyai/goto", all(), Layout::Auto, None),
        // Levels that begin in a dispatch of their own, as on GPUs.
        ("babyai/goto", all(), Layout::Auto, Some(4)),
        ("minigrid/Empty-5x5", short(), Layout::Auto, None),
        ("keydoor", short(), Layout::Auto, None),
        ("matrix/3x3", all(), Layout::Auto, None),
        ("junction", all(), Layout::Auto, None),
        ("sequential", all(), Layout::Auto, None),
    ] {
        let b = Batch {
            steps: STEPS,
            slots: STEPS,
            layout,
            workgroup,
            ..batch(ENVS, Driver::Random)
        };
        let env = registry::make(&gpu, name, &options(given), &b).expect("known");
        gpu.compute(|pass| env.record_reset(pass));
        stats(&gpu, &*env);
        gpu.compute(|pass| (0..STEPS).for_each(|t| env.record_step(pass, t)));
        let io = env.io();
        let ends = |region| -> Vec<f32> { gpu.read(region).expect("readable") };
        let ended: f32 = ends(&io.terminated)
            .iter()
            .chain(&ends(&io.truncated))
            .sum();
        assert!(ended >= ENVS as f32, "{name}: {ended} ends");
        assert_eq!(stats(&gpu, &*env).episodes, f64::from(ended), "{name}");
    }
}
