//! The replay in host memory, against the one on the device: what is measured of it is the same learning.

use crate::config::{Algo, Config, Network as Kind, ReplayUnit};
use crate::host_replay::HostDoubleQ;
use crate::learner::Learner;
use crate::q_learning::{DoubleQ, QLearner};
use crate::testing::{FRAGILE, STURDY, gpu, toy};
use crate::tests_values::values;

/// All that gradient steps move.
fn moved(q: &QLearner) -> Vec<Vec<u32>> {
    let regions = [&q.adam.params, &q.adam.m, &q.adam.v, &q.target_params];
    Vec::from(regions.map(|region| gpu().read(region).expect("readable")))
}

/// Episodes of any length, cut ones among them, a ring that comes round several times, batches with and without empty places.
#[test]
fn a_replay_on_the_host_learns_the_same_bytes() {
    for (algo, env, network, told) in [
        (Algo::Qmix, STURDY, Kind::Gru, [true, true]),
        (Algo::Vdn, FRAGILE, Kind::Ff, [false, true]),
        (Algo::Iql, STURDY, Kind::Gru, [false, false]),
    ] {
        let config = Config {
            env: env.into(),
            network,
            rollout: 6,
            learning_starts: 50,
            gradient_steps: 3,
            target_interval: 4,
            reward_scale: 3.0,
            learning_rate: 1e-2,
            obs_last_action: told[0],
            obs_agent_id: told[1],
            q_lambda: algo == Algo::Vdn,
            batch: 8,
            ..values(algo)
        };
        let mut device = DoubleQ::new(gpu(), &config, toy(&config)).expect("fits");
        let mut host = HostDoubleQ::new(gpu(), &config, toy(&config)).expect("fits");
        let begun = moved(&device.0);
        let mut cut = 0;
        for update in 0..27 {
            device.update().expect("updated");
            host.update().expect("updated");
            let drawn: Vec<u32> = gpu().read(&host.q.run.replay.drawn).expect("readable");
            cut += drawn.chunks_exact(4).filter(|d| d[3] == 1).count();
            if update % 13 == 0 {
                let same = moved(&device.0) == moved(&host.q);
                assert!(same, "{algo:?}: other bytes after {update} updates");
            }
        }
        assert_ne!(moved(&device.0), begun, "nothing was learned");
        assert!(cut > 0 || env == FRAGILE, "no cut episode");
        let work = host.work;
        assert!(work.bytes_read > 0 && work.bytes_uploaded > 0);
    }
}

#[test]
fn the_host_takes_what_it_can_put_together() {
    let refused = |config: Config| {
        let made = HostDoubleQ::new(gpu(), &config, toy(&config));
        made.err().expect("refused").to_string()
    };
    let duplex = refused(values(Algo::Qplex));
    assert!(duplex.contains("iql, vdn and qmix"), "{duplex}");
    let rollouts = refused(Config {
        replay_unit: ReplayUnit::Rollouts,
        rollout: 4,
        ..values(Algo::Qmix)
    });
    assert!(
        rollouts.contains("replay_unit = \"episodes\""),
        "{rollouts}"
    );
}
