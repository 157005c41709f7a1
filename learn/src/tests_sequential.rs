//! The sequential matrix game (`ppo_family.md` §7.5) as a learning test: in each transition the action of one agent alone matters, and all
//! are paid for it.

use crate::config::{ActorRatio, Algo, Config};
use crate::testing::gpu;

/// Six agents and actions in place of sixteen, whose optimum is 12.5: the same game, in a fraction of the time.
fn config(algo: Algo) -> Config {
    let mut config = Config {
        env: "sequential".into(),
        algo,
        total_steps: 12_800,
        seeds: 3,
        envs: 32,
        // Two episodes.
        rollout: 10,
        minibatches: 2,
        hidden: 32,
        reward_hidden: 32,
        clip_value: false,
        ..Config::default()
    };
    for key in ["agents", "actions"] {
        config.env_options.insert(key.into(), 6.into());
    }
    config
}

/// Returns of the episodes of updates 16 to 20, after 6,400 steps, a member each.
fn returns(config: &Config) -> Vec<f64> {
    let mut learner = crate::make(gpu(), config).expect("it fits");
    (0..15).for_each(|_| learner.update().expect("updated"));
    learner.report().expect("reported");
    (0..5).for_each(|_| learner.update().expect("updated"));
    let (reports, _) = learner.report().expect("reported");
    reports.iter().map(|r| r.episodes.mean_return()).collect()
}

/// Difference rewards take all noise of the others off, now and later, so that DAE with β = 1 is ahead of MAPPO in every seed. Values that see
/// the others take off that of the present step alone (docs/environments/sequential.md): GPAE learns the game, and is not asked to be ahead.
#[test]
fn the_estimators_learn_the_sequential_game() {
    let mappo = returns(&config(Algo::Mappo));
    let dae = returns(&Config {
        dae_beta: 1.0,
        ..config(Algo::Dae)
    });
    let gpae = returns(&Config {
        reuse: 2,
        actor_ratio: ActorRatio::Geppo,
        ..config(Algo::Gpae)
    });
    let all = format!("MAPPO {mappo:?}, DAE {dae:?}, GPAE {gpae:?}");
    assert!(mappo.iter().all(|r| *r > 9.5), "{all}");
    assert!(dae.iter().all(|r| *r > 11.0), "{all}");
    assert!(gpae.iter().all(|r| *r > 9.5), "{all}");
    let ahead = dae.iter().zip(&mappo).all(|(dae, mappo)| dae > mappo);
    assert!(ahead, "{all}");
    println!("{all}");
}
