//! Actions that the environment replaces (`ppo_family.md` §8.9): what is stored of them, and whom the advantages blame. The advantage gap
//! is what estimators are compared by, so it is held against its definition from what lies in memory.

use crate::coma::Coma;
use crate::config::{Algo, Config, Network};
use crate::kernel::Recorder;
use crate::ppo::train_env;
use crate::testing::gpu;
use crate::tests::network::{forward, log_softmax};
use crate::tests::{close, read};

const AGENTS: usize = 3;
const MEMBERS: usize = 2;

#[test]
fn replaced_actions_are_stored_as_done_and_the_advantages_judged_by_them() {
    for network in [Network::Ff, Network::Gru] {
        let mut config = Config {
            env: "smax/3m".into(),
            algo: Algo::Coma,
            network,
            envs: 5,
            rollout: 9,
            seeds: MEMBERS,
            hidden: 16,
            minibatches: 1,
            total_steps: 1 << 20,
            ..Config::default()
        };
        let probability = 0.5.into();
        config
            .env_options
            .insert("anomaly_probability".into(), probability);
        let env = train_env(gpu(), &config).expect("fits");
        let mut coma = Coma::new(gpu(), &config, env).expect("fits");
        let mut to = coma.ppo.begin_update();
        coma.ppo.record_rollout(&mut to);
        coma.record_estimates(&mut to);
        coma.ppo.credit.record(&mut to);
        to.submit();

        let (ppo, s) = (&coma.ppo, coma.ppo.sizes);
        let io = ppo.env.io().clone();
        let replaced = read(ppo.env.replaced().expect("anomalies"));
        let stop = ppo.env.replacement().expect("an action");
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let (log_probs, avail, obs) = (read(&ppo.log_probs), read(&io.avail), read(&io.obs));
        let params = read(&ppo.adam.params);
        let (actor, stride) = (&ppo.networks().actor, ppo.networks().stride());
        let resets = ppo.recurrent.as_ref().map(|r| read(&r.resets.reset_in));
        let n = s.outputs();
        let all = s.steps * s.rows();
        let count = replaced[..all].iter().filter(|x| **x == 1.0).count();
        assert!(count > all / 20, "{count} of {all} were replaced");
        for row in 0..s.rows() {
            let words = &params[row / s.member_rows() * stride..][..stride];
            let mut memory = vec![0.0; actor.hidden()];
            for t in 0..s.steps {
                let i = t * s.rows() + row;
                if let Some(resets) = &resets {
                    memory.iter_mut().for_each(|x| *x *= 1.0 - resets[i]);
                }
                let logits = forward(actor, words, false, &obs[i * s.obs..][..s.obs], &mut memory);
                let said = log_softmax(&logits, &avail[i * n..][..n]);
                if replaced[i] == 1.0 {
                    assert_eq!(actions[i], stop, "what happened is stored");
                }
                close(&[log_probs[i]], &[said[actions[i] as usize]], 1e-4, "ln π");
            }
        }

        let (advantage, goal) = (read(&ppo.estimates.advantage), read(&ppo.estimates.goal));
        let values = read(&ppo.values);
        let found = ppo.credit.read(gpu()).expect("readable");
        for (p, found) in found.iter().enumerate() {
            // Rows of the member, agent by agent.
            let of = |agent: usize| -> Vec<usize> {
                let envs = (0..s.steps).flat_map(|t| (0..s.envs).map(move |e| (t, e)));
                envs.map(|(t, e)| (t * MEMBERS + p) * s.envs * AGENTS + e * AGENTS + agent)
                    .collect()
            };
            let variance = |rows: &[usize], of: &dyn Fn(usize) -> f64| {
                let mean = rows.iter().map(|&i| of(i)).sum::<f64>() / rows.len() as f64;
                rows.iter().map(|&i| (of(i) - mean).powi(2)).sum::<f64>() / rows.len() as f64
            };
            let spread: Vec<f64> = (0..AGENTS)
                .map(|a| variance(&of(a), &|i| advantage[i]))
                .collect();
            let (mut gap, mut events) = (0.0, 0.0);
            for a in 0..AGENTS {
                let rows = of(a);
                let share = spread[a] / spread.iter().sum::<f64>();
                close(
                    &[found[&format!("advantage_share_{a}")]],
                    &[share],
                    1e-4,
                    "share",
                );
                let left = variance(&rows, &|i| goal[i] - values[i]);
                let explained = 1.0 - left / variance(&rows, &|i| goal[i]);
                let told = found[&format!("explained_variance_{a}")];
                close(
                    &[told],
                    &[explained],
                    1e-3 * (1.0 + explained.abs()),
                    "explained",
                );
                for i in rows.into_iter().filter(|&i| replaced[i] == 1.0) {
                    let first = i / AGENTS * AGENTS;
                    let sum: f64 = advantage[first..first + AGENTS].iter().sum();
                    gap += (sum - advantage[i]) / (AGENTS - 1) as f64 - advantage[i];
                    events += 1.0;
                }
            }
            assert!(events > 3.0);
            close(&[found["advantage_gap_events"]], &[events], 1e-9, "events");
            close(&[found["advantage_gap"]], &[gap / events], 1e-5, "gap");
            assert!(
                (gap / events).abs() > 1e-4,
                "a gap of {gap} would show nothing"
            );
        }
        coma.ppo
            .end_update(Recorder::new(gpu()))
            .expect("few enough workgroups");
    }
}
