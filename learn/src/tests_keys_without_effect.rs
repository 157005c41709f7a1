//! [`Config::looks_at`] tells sweeps which members would be the same run: a key that it denies must change no byte of what is learned.

use toml::{Table, Value};

use crate::config::{Algo, Config, Network, ReuseSteps, Trace, Transform};
use crate::learner::Checkpoint;
use crate::testing::{REACH, config, learner};
use crate::tests_values::values;

/// Another value of every key that some algorithm does not read.
const OTHERWISE: &str = r#"
rnn_reset = "agent_done"
obs_with_agent_id = false
log_std_init = -0.5
epochs = 1
minibatches = 4
gae_lambda = 0.5
clip_eps = 0.05
scale_clip_eps = true
clip_value = false
vf_coef = 0.125
ent_coef = 0.25
anneal_ent_coef = true
reuse = 2
trace = "st"
eta = 3.0
actor_ratio = "geppo"
reuse_steps = "all"
dae_beta = 0.75
dae_shaped_target = false
reward_models = 3
reward_hidden = 24
reward_layer_norm = false
counterfactual_samples = 5
critic_actions = "none"
bootstrap_truncated = true
target_polyak = 0.5
q_lambda = true
init = "orthogonal"
replay_unit = "rollouts"
td_lambda = 0.25
epsilon_start = 0.75
epsilon_finish = 0.25
epsilon_anneal = 7
target_interval = 3
critic_hidden = 24
optimiser = "rmsprop"
replay = 96
batch = 16
gradient_steps = 2
learning_starts = 33
reward_scale = 2.0
obs_last_action = false
obs_agent_id = false
mixer_init_scale = 0.5
mixing_embed = 4
hyper_hidden = 4
positivity = "square"
attention_kernels = 3
attention_layers = 3
attention_hidden = 4
opt_coef = 0.5
nopt_coef = 0.5
transform = "mlp"
transform_hidden = 8
soft_next = "stored"
target_entropy = 0.5
entropy_estimate = "stored"
temperature_lr = 0.01
temperature_init = 0.5
temperature_finish = 0.25
temperature_anneal = 7
weighted_td = true
fop_entropy = "principled"
n_step = 2
twin_critics = false
huber_delta = 1.0
critic_learning_rate = 0.01
hasac_entropy_target = "code"
feature_norm = false
eval_greedy = true
"#;

/// Whether `algo` refuses that value of `key`, which it does not read.
fn refuses(algo: Algo, key: &str) -> bool {
    match key {
        "bootstrap_truncated" => matches!(algo, Algo::Coma | Algo::ComaPg | Algo::Gpae),
        "target_polyak" => algo == Algo::Fop,
        "q_lambda" | "init" => algo.decomposes_values(),
        "replay_unit" => algo.replays(),
        _ => false,
    }
}

/// `config` with the other values of the keys for which `change` holds, and those keys.
fn changed(config: &Config, change: impl Fn(&str) -> bool) -> (Config, Vec<String>) {
    let mut table = Table::try_from(config).expect("a table");
    let mut keys = Vec::new();
    for (key, value) in OTHERWISE.parse::<Table>().expect("TOML") {
        if change(&key) {
            let before: Option<Value> = table.insert(key.clone(), value.clone());
            assert_ne!(before, Some(value), "{key} has that value");
            keys.push(key);
        }
    }
    (
        Value::Table(table).try_into().expect("a configuration"),
        keys,
    )
}

/// What is learned in a few updates. The temperature's optimiser steps on though nothing follows it where its learning rate is 0.
fn learned(config: &Config) -> Checkpoint {
    config.check().expect("sensible");
    let mut learner = learner(config);
    let before = learner.checkpoint().expect("saved");
    (0..4).for_each(|_| learner.update().expect("updated"));
    let mut all = learner.checkpoint().expect("saved");
    let kernels = |all: &Checkpoint| {
        let mut kernels = all.clone();
        kernels.retain(|name, _| name.ends_with("kernel"));
        assert!(!kernels.is_empty());
        kernels
    };
    assert!(kernels(&before) != kernels(&all), "nothing was learned");
    if config.temperature_lr == 0.0 {
        all.retain(|name, _| name != "temperature");
    }
    all
}

/// Episodes are long enough for a batch after the first of four updates.
fn from_a_replay(algo: Algo) -> Config {
    Config {
        envs: 4,
        rollout: 24,
        batch: 8,
        learning_starts: 96,
        seeds: 1,
        ..values(algo)
    }
}

#[test]
fn keys_that_are_not_looked_at_change_nothing() {
    let gru = |config: Config| Config {
        network: Network::Gru,
        ..config
    };
    let cases = [
        config(Algo::Ippo),
        Config {
            env: REACH.into(),
            ent_coef: 0.01,
            ..config(Algo::Mappo)
        },
        gru(config(Algo::Coma)),
        config(Algo::ComaPg),
        Config {
            env: REACH.into(),
            dae_beta: 0.0,
            ..config(Algo::Dae)
        },
        Config {
            reuse: 1,
            ..config(Algo::Gpae)
        },
        Config {
            reuse: 2,
            trace: Trace::It,
            reuse_steps: ReuseSteps::All,
            ..config(Algo::Gpae)
        },
        from_a_replay(Algo::Iql),
        Config {
            epsilon_start: 0.5,
            epsilon_finish: 0.5,
            ..from_a_replay(Algo::Vdn)
        },
        from_a_replay(Algo::Qmix),
        Config {
            attention_layers: 1,
            ..from_a_replay(Algo::Qplex)
        },
        from_a_replay(Algo::Qtran),
        Config {
            temperature_lr: 0.0,
            ..from_a_replay(Algo::MeQmix)
        },
        Config {
            transform: Transform::Identity,
            ..from_a_replay(Algo::MeQplex)
        },
        Config {
            temperature_init: 0.25,
            temperature_finish: 0.25,
            ..from_a_replay(Algo::Fop)
        },
        Config {
            n_step: 3,
            batch: 64,
            temperature_lr: 0.0,
            ..from_a_replay(Algo::Hasac)
        },
    ];
    for case in cases {
        let (same, keys) = changed(&case, |key| !case.looks_at(key) && !refuses(case.algo, key));
        assert!(keys.len() > 5, "{keys:?}");
        let name = case.algo.name();
        let before = learned(&case);
        for (array, found) in learned(&same) {
            assert!(
                found == before[&array],
                "{name}: {array} differs with {keys:?}"
            );
        }
    }
}
