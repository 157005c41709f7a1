//! Inputs whose columns are no multiple of four are filled up with zeros. Without an agent's number (`obs_agent_id = false`) the first agents had a one
//! there, which the layout by rows multiplied with the bias: batches taught another network than the one that acted.

use crate::config::{Algo, Config, Network};
use crate::q_learning::{DoubleQ, train_env};
use crate::testing::gpu;
use crate::tests::read;
use crate::tests_values::values;

#[test]
fn inputs_without_an_agents_number_are_filled_up_with_zeros() {
    let (seen, actions) = (18, 5);
    for last_action in [true, false] {
        let config = Config {
            env: "mpe/simple_spread".into(),
            network: Network::Ff,
            envs: 4,
            rollout: 25,
            replay: 4 * 80,
            batch: 4,
            learning_starts: 1,
            obs_last_action: last_action,
            obs_agent_id: false,
            ..values(Algo::Vdn)
        };
        let env = train_env(gpu(), &config).expect("fits");
        let mut learner = DoubleQ::new(gpu(), &config, env).expect("fits");
        use crate::learner::Learner;
        (0..2).for_each(|_| learner.update().expect("updated"));
        let inputs = &learner.0.batch.agent_input;
        let columns = seen + if last_action { actions } else { 0 };
        assert_eq!(learner.0.network.inputs(), columns);
        assert!(inputs.stride > columns, "nothing to fill up");
        let words = read(&inputs.region);
        assert!(words.iter().any(|&x| x != 0.0), "nothing was gathered");
        for row in words.chunks_exact(inputs.stride) {
            assert!(row[columns..].iter().all(|&x| x == 0.0), "{row:?}");
        }
    }
}
