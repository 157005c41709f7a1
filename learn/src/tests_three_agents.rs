//! Where counts coincide, a mistaken one passes: two agents, two members. Here are two members of three agents with five actions, 18
//! features, five environments, and rewards of each agent's own; algorithms must teach a member what it would learn alone, and in both
//! layouts the same.

use crate::config::{Algo, Config, Network};
use crate::learner::{Array, Checkpoint};
use crate::testing::gpu;

/// Whether both layouts are compared: their kernels are those of the networks, which algorithms share.
const ALGORITHMS: [(Algo, Network, bool); 10] = [
    (Algo::Ippo, Network::Ff, true),
    (Algo::Coma, Network::Ff, false),
    (Algo::ComaPg, Network::Gru, false),
    (Algo::Dae, Network::Gru, true),
    (Algo::Qmix, Network::Gru, true),
    (Algo::Qplex, Network::Ff, false),
    (Algo::Qtran, Network::Ff, false),
    (Algo::MeQmix, Network::Gru, false),
    (Algo::Fop, Network::Gru, false),
    (Algo::Hasac, Network::Ff, true),
];

fn config(algo: Algo, network: Network) -> Config {
    let mut config = Config {
        env: "mpe/simple_spread".into(),
        algo,
        network,
        seed: 10,
        seeds: 2,
        total_steps: 1 << 20,
        envs: 5,
        rollout: 12,
        hidden: 16,
        critic_hidden: 24,
        reward_hidden: 24,
        minibatches: 3,
        epochs: 2,
        reuse: 2,
        replay: 5 * 48,
        batch: if algo == Algo::Hasac { 64 } else { 12 },
        learning_starts: 120,
        n_step: 3,
        target_interval: 2,
        mixing_embed: 8,
        hyper_hidden: 12,
        attention_kernels: 3,
        attention_hidden: 8,
        transform_hidden: 4,
        max_grad_norm: 10.0,
        // Rounding that differs is a sign that differs under Adam where a gradient is near 0.
        adam_eps: 1e-3,
        ..Config::default()
    };
    for (key, value) in [
        ("max_steps", 7.into()),
        ("reward", "individual".to_owned().into()),
    ] {
        config.env_options.insert(key.into(), value);
    }
    config
}

fn learned(config: &Config) -> Checkpoint {
    config.check().expect("sensible");
    let mut learner = crate::make(gpu(), config).expect("fits");
    (0..4).for_each(|_| learner.update().expect("updated"));
    learner.checkpoint().expect("saved")
}

/// Weights of a member, all networks one behind the other.
fn weights(checkpoint: &Checkpoint, member: usize) -> Vec<f32> {
    let of = |a: &Array| match a {
        Array::F32 { shape, data } => {
            let n: usize = shape[1..].iter().product();
            data[member * n..(member + 1) * n].to_vec()
        }
        _ => Vec::new(),
    };
    let networks = checkpoint.iter();
    let networks = networks.filter(|(name, _)| name.ends_with(".kernel"));
    networks.flat_map(|(_, a)| of(a)).collect()
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    far.fold(0.0, f32::max)
}

#[test]
fn members_of_three_agents_learn_as_they_do_alone_and_in_both_layouts() {
    for (algo, network, layouts) in ALGORITHMS {
        let config = config(algo, network);
        let together = learned(&config);
        let second = Config {
            seed: 11,
            seeds: 1,
            ..config.clone()
        };
        let alone = weights(&learned(&second), 0);
        let name = format!("{} {network:?}", algo.name());
        assert!(alone.len() > 500, "{name} has {} weights", alone.len());
        let far = farthest(&alone, &weights(&together, 1));
        assert!(far <= 2e-6, "{name}: the second member differs by {far}");
        let apart = farthest(&alone, &weights(&together, 0));
        assert!(apart > 0.01, "{name}: the members differ by {apart}");
        if !layouts {
            continue;
        }
        let tiles = learned(&Config {
            by_rows: Some(false),
            ..second
        });
        let far = farthest(&alone, &weights(&tiles, 0));
        assert!(far <= 1e-4, "{name}: the layouts differ by {far}");
    }
}
