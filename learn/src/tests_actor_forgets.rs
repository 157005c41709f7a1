//! Whoever watches a policy may ask for another episode in the middle of one: the policy went on with the memory, and the last actions, of the
//! episode that was left.

use merit_sim::gpu::Region;
use merit_sim::registry::{Batch, Driver, make as make_env};

use crate::actor::Actor;
use crate::config::{Algo, Config, Network};
use crate::testing::gpu;
use crate::tests::read;

#[test]
fn a_policy_forgets_an_episode_that_is_left() {
    let gpu = gpu();
    for (algo, continuous) in [(Algo::Ippo, true), (Algo::Vdn, false)] {
        let mut config = Config {
            env: "mpe/simple_spread".into(),
            algo,
            network: Network::Gru,
            envs: 4,
            rollout: 25,
            replay: 4 * 80,
            batch: 4,
            hidden: 16,
            total_steps: 1 << 20,
            ..Config::default()
        };
        if continuous {
            let kind = "continuous".to_owned().into();
            config.env_options.insert("action_type".into(), kind);
        }
        let mut learner = crate::make(gpu, &config).expect("fits");
        let saved = learner.checkpoint().expect("saved");
        let options = config.options().expect("options");
        let batch = Batch {
            seeds: vec![3],
            envs_per_member: 1,
            steps: 1,
            slots: 1,
            driver: Driver::External,
            ..Batch::default()
        };
        let env = make_env(gpu, &config.env, &options, &batch).expect("fits");
        let mut actor =
            Actor::new(gpu, &config, &saved, 0, env.as_ref(), 0, true).expect("the run's own");
        let told = |actor: &mut Actor, to: &Region| -> Vec<u64> {
            actor.act(gpu);
            read(to).into_iter().map(f64::to_bits).collect()
        };
        // What the policy computes, and not what it chooses: utilities of the largest action hide a memory.
        let actions = env.io().actions.clone();
        gpu.compute(|pass| env.record_reset(pass));
        let begun = env.snapshot(gpu).expect("kept");
        let first = told(&mut actor, &actions);
        let memory = actor.memory_words();
        for _ in 0..5 {
            gpu.compute(|pass| env.record_step(pass, 0));
            actor.act(gpu);
        }
        env.restore(gpu, &begun).expect("put back");
        gpu.compute(|pass| env.record_observe(pass));
        actor.forget(gpu);
        assert_eq!(told(&mut actor, &actions), first, "{algo:?}");
        assert_eq!(actor.memory_words(), memory, "{algo:?}");
        assert!(memory.iter().any(|x| *x != 0.0));
        // With the memory of another episode it computes something else.
        env.restore(gpu, &begun).expect("put back");
        gpu.compute(|pass| env.record_observe(pass));
        actor.act(gpu);
        assert_ne!(actor.memory_words(), memory, "{algo:?}");
    }
}
