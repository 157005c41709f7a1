//! A dimension of a dispatch has at most 65,535 workgroups: with more environments than that, or samples in a minibatch than eight times as many, a run ended
//! with the driver's complaint.

use crate::LearnError;
use crate::config::{Algo, Config};
use crate::sizes::Sizes;
use crate::testing::{MATCH, config, toy};
use crate::tests::read;
use crate::tests_values::{Either, values};

#[test]
fn ends_are_kept_of_more_environments_than_a_dimension_has_workgroups() {
    let envs = 65_600;
    let config = Config {
        env: MATCH.into(),
        seeds: 1,
        envs,
        replay: 8 * envs as u64,
        batch: 4,
        learning_starts: 1 << 30,
        total_steps: 1 << 31,
        ..values(Algo::MeQmix)
    };
    let mut learner = Either::new(&config);
    let io = learner.q().run.env.io().clone();
    // All begin at once, and those with odd numbers are cut at once.
    let steps = learner.q().run.replay.sizes.limit;
    (0..steps).for_each(|_| learner.update());
    let replay = &learner.q().run.replay;
    let last = steps - 1;
    let slot = last % replay.sizes.capacity;
    let cut = read(&io.truncated.part(slot * envs, envs));
    let ended = read(&io.final_obs);
    let words = ended.len() / envs;
    let first = last / replay.sizes.limit % replay.sizes.kept * ended.len();
    let kept = &read(&replay.kept_obs)[first..][..ended.len()];
    for (env, &was_cut) in cut.iter().enumerate() {
        assert_eq!(was_cut, f64::from(u8::from(env % 2 == 1)));
        let of = env * words..(env + 1) * words;
        if was_cut == 1.0 {
            assert_eq!(kept[of.clone()], ended[of], "environment {env}");
        }
    }
}

#[test]
fn minibatches_of_more_than_a_dispatch_are_refused() {
    let refused = |config: Config| {
        let small = Config {
            envs: 8,
            rollout: 8,
            ..config.clone()
        };
        let spec = toy(&small).spec().clone();
        let sizes = Sizes::new(&config, &spec).expect("sizes that go together");
        match sizes.check_dispatches(&config) {
            Err(LearnError::Config(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    let large = Config {
        envs: 4096,
        rollout: 128,
        minibatches: 1,
        total_steps: 1 << 30,
        ..config(Algo::Mappo)
    };
    let agents = crate::testing::AGENTS;
    let samples = 4096 * 128 * agents;
    let message = refused(large.clone());
    assert!(
        message.contains(&format!("would have {samples} samples")),
        "{message}"
    );
    assert!(
        message.contains("524280 are the most; set minibatches = "),
        "{message}"
    );
    let message = refused(Config {
        algo: Algo::ComaPg,
        ..large.clone()
    });
    assert!(message.contains("set envs or rollout lower"), "{message}");
    let message = refused(Config {
        algo: Algo::Gpae,
        minibatches: 16,
        reuse: 8,
        ..large
    });
    assert!(
        message.starts_with("reuse = 8, rollout = 128, envs = 4096: "),
        "{message}"
    );
}
