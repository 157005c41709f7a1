//! Where the step limit depends on the mission, two episodes could be cut within the longest limit, and what the second ended with took the place
//! of what the first did: the first bootstrapped from a stranger's end.

use crate::config::{Algo, Config};
use crate::learner::Learner;
use crate::q_learning::{DoubleQ, train_env};
use crate::testing::gpu;
use crate::tests::read;
use crate::tests_values::{History, values};

#[test]
fn ends_of_missions_with_limits_of_their_own_are_all_kept() {
    let config = Config {
        // One to four navigations of a hundred steps.
        env: "babyai/GoToSeqS5R2".into(),
        envs: 8,
        seeds: 1,
        replay: 8 * 420,
        batch: 4,
        ..values(Algo::Iql)
    };
    let env = train_env(gpu(), &config).expect("it fits");
    let spec = env.spec().clone();
    assert_eq!((spec.shortest_limit, spec.max_steps), (100, 400));
    let io = env.io().clone();
    let mut learner = DoubleQ::new(gpu(), &config, env).expect("it fits");
    let capacity = 420;
    let history = History::watch(&io, capacity, 640, || learner.update().expect("updated"));
    let replay = &learner.0.run.replay;
    let (obs, state) = (read(&replay.kept_obs), read(&replay.kept_state));
    let (mut close, mut last) = (0, [0; 8]);
    for (&(env, step), (want_obs, want_state)) in &history.finals {
        let before = std::mem::replace(&mut last[env], step);
        // Long enough ago that nothing of it is in the ring.
        if step + capacity < 640 {
            continue;
        }
        close += usize::from(before > 0 && before + 400 > step && before / 400 == step / 400);
        let at = step / replay.sizes.limit % replay.sizes.kept * 8 + env;
        let part = |all: &[f64], words: usize| all[at * words..][..words].to_vec();
        assert_eq!(part(&obs, want_obs.len()), *want_obs, "{env}, {step}");
        assert_eq!(part(&state, want_state.len()), *want_state, "{env}, {step}");
    }
    assert!(close > 0, "no two ends would have shared a place");
}
