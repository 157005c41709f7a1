//! With episodes of one step a ring's index of ends came round before the number of its first episode had: the first one seemed to begin behind its
//! end, had some 2³² steps, and was drawn for ever.

use crate::config::{Algo, Config};
use crate::kernel::Tick;
use crate::learner::Learner;
use crate::q_learning::{DoubleQ, train_env};
use crate::testing::{gpu, run, words_u32};
use crate::tests_values::values;

#[test]
fn a_ring_of_one_step_episodes_holds_the_newest() {
    for rollout in [1, 3] {
        let config = Config {
            env: "matrix/3x3".into(),
            envs: 2,
            rollout,
            replay: 2 * 16,
            batch: 64,
            ..values(Algo::Iql)
        };
        let env = train_env(gpu(), &config).expect("it fits");
        let mut learner = DoubleQ::new(gpu(), &config, env).expect("it fits");
        let capacity = 16;
        for update in 1..=3 * capacity {
            learner.update().expect("updated");
            let q = &learner.0;
            let tick = q.run.gradient_tick(0);
            q.run.ticks.set_now(gpu(), tick, Tick::default());
            run(|to| q.run.replay.record_draw(to, tick));
            let steps = update * rollout;
            // What comes next is seen in the place of the oldest step.
            let there = steps.min(capacity - 1);
            for (p, drawn) in words_u32(&q.run.replay.drawn)
                .chunks_exact(4 * 64)
                .enumerate()
            {
                let mut drawn: Vec<_> = drawn.chunks_exact(4).collect();
                drawn.retain(|d| d[2] > 0);
                drawn.sort_unstable();
                let envs = 2 * p..2 * p + 2;
                let want =
                    envs.flat_map(|e| (steps - there..steps).map(move |s| [e as u32, s as u32, 1]));
                let found = drawn.iter().map(|d| [d[0], d[1], d[2]]);
                assert!(found.eq(want), "behind {steps} steps: {drawn:?}");
            }
        }
    }
}
