//! GPAE's switches over older rollouts: the network that estimates, and how many steps are taken (`ppo_family.md` §8.4, 8.6).

use crate::config::{Algo, Config, Network as Kind, ReuseSteps};
use crate::gpae::Gpae;
use crate::ppo::ActorCritic;
use crate::testing::{config, gpu, learner, toy};
use crate::tests::network::forward;
use crate::tests::{close, read, uniform};
use crate::tests_credit::central;

fn small(network: Kind) -> Config {
    Config {
        envs: 4,
        reuse: 3,
        network,
        target_polyak: 0.25,
        reuse_steps: ReuseSteps::All,
        ..config(Algo::Gpae)
    }
}

#[test]
fn the_target_network_follows_and_its_values_estimate() {
    let config = small(Kind::Ff);
    let mut gpae = Gpae::new(gpu(), &config, toy(&config)).expect("it fits");
    let critic = {
        let networks = gpae.ppo.networks();
        networks.actor.end()..networks.critic.end()
    };
    let words = |gpae: &Gpae| read(&gpae.target.as_ref().expect("a target").words);
    let mut target: Vec<f64> = vec![];
    for update in 0..4 {
        let params = read(&gpae.ppo.adam.params);
        if update == 2 {
            // Far from the critic, so that it shows whose values they are.
            let other = uniform(61, params.len(), -0.8, 0.8);
            let region = &gpae.target.as_ref().expect("a target").words;
            gpu().write(region, &other);
            target = other.into_iter().map(f64::from).collect();
        }
        target = match update {
            0 => params,
            _ => {
                let both = target.iter().zip(&params);
                both.map(|(t, p)| t + 0.25 * (p - t)).collect()
            }
        };
        gpae.learn().expect("updated");
        let found = words(&gpae);
        close(
            &found[critic.clone()],
            &target[critic.clone()],
            1e-6,
            "target",
        );
    }
    let ppo = &gpae.ppo;
    let io = ppo.env.io();
    let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
    let (world, values, s) = (read(&io.state), read(&ppo.values), ppo.sizes);
    // Nothing was written since to the third rollout: the fourth update took the place of the first, and carried its end on to the second.
    let words = words(&gpae);
    let first = 2 * (s.steps + 1) * s.rows();
    for (i, value) in values.iter().enumerate().skip(first) {
        let input = central(ppo, &world, &actions, i);
        let net = &ppo.networks().critic;
        let want = forward(net, &words, false, &input, &mut vec![]);
        close(&[*value], &want, 3e-5, "value");
    }
}

#[test]
fn all_rollouts_in_every_epoch_are_as_many_more_steps() {
    let config = small(Kind::Ff);
    let mut gpae = Gpae::new(gpu(), &config, toy(&config)).expect("it fits");
    let same = config.epochs * config.minibatches;
    for rollouts in [1, 2, 3, 3] {
        assert_eq!(gpae.ppo.gradient_steps(), same * rollouts);
        gpae.learn().expect("updated");
        let (reports, _) = gpae.ppo.report().expect("reported");
        // The mean over so many minibatches: the entropy of three or four actions.
        let entropy = reports[0].diagnostics["entropy"];
        assert!((0.9..1.4).contains(&entropy), "{entropy}");
    }
    let plain = Config {
        reuse_steps: ReuseSteps::Same,
        ..config
    };
    let mut gpae = Gpae::new(gpu(), &plain, toy(&plain)).expect("it fits");
    for _ in 0..3 {
        assert_eq!(gpae.ppo.gradient_steps(), same);
        gpae.learn().expect("updated");
    }
}

#[test]
fn they_are_resumed_to_the_same_bytes() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = small(network);
        let mut whole = learner(&config);
        (0..2).for_each(|_| whole.update().expect("updated"));
        let saved = whole.checkpoint().expect("saved");
        assert!(saved.contains_key("target"));
        (0..3).for_each(|_| whole.update().expect("updated"));
        let mut resumed = learner(&config);
        resumed.restore(&saved).expect("restored");
        (0..3).for_each(|_| resumed.update().expect("updated"));
        assert!(resumed.checkpoint().expect("saved") == whole.checkpoint().expect("saved"));
    }
}
