//! QTRAN-base against a host reference.

use crate::config::{Algo, Config, Network as Kind};
use crate::decomposition::HyperNet;
use crate::learner::Learner;
use crate::q_loss::{GOAL, MASK};
use crate::testing::{AGENTS, SHOWN, STURDY, gpu, relu_network, words_u32};
use crate::tests::{close, read};
use crate::tests_values::{Either, History, Host, HostUtilities, stir, values};

/// Q_jt of the actions in every row.
fn joint_values(
    nets: &[HyperNet],
    host: &Host<'_>,
    words: &[f64],
    q: &HostUtilities,
    actions: &[u32],
) -> Vec<f64> {
    let [e, f] = nets else { panic!("two networks") };
    let state = host.states.len() / (host.mask.len());
    let of_row = |row: usize| {
        let mut team = vec![0.0; e.outputs()];
        for a in 0..AGENTS {
            let i = row * AGENTS + a;
            let mut input = q.hidden[i].clone();
            input.extend((0..SHOWN).map(|n| f64::from(u8::from(n == actions[i] as usize))));
            let code = relu_network(e, words, &input);
            team.iter_mut().zip(code).for_each(|(sum, x)| *sum += x);
        }
        team.extend(&host.states[row * state..][..state]);
        relu_network(f, words, &team)[0]
    };
    (0..host.rows()).map(of_row).collect()
}

/// V_jt of about -4, so that sums of utilities are below the joint value in some rows and above it in others.
fn lower_values(q: &crate::q_learning::QLearner) {
    let stride = q.stride;
    let mut words: Vec<f32> = gpu().read(&q.adam.params).expect("readable");
    let head = q.decomposition.nets[0].layers.last().expect("a layer");
    words
        .chunks_exact_mut(stride)
        .for_each(|member| member[head.bias] = -4.0);
    gpu().write(&q.adam.params, &words);
}

/// Targets, the three losses, and the gradient of every kind of weight, with recurrent and feed-forward agents, in both layouts of the dense
/// layers; what lies behind the longest episode does not count.
#[test]
fn qtran_learns_along_its_three_losses() {
    for (network, by_rows, env, td_lambda) in [
        (Kind::Ff, Some(false), "test/fragile", 0.0),
        (Kind::Gru, None, STURDY, 0.0),
        (Kind::Ff, None, STURDY, 0.6),
    ] {
        let config = Config {
            env: env.into(),
            network,
            by_rows,
            td_lambda,
            activation: crate::config::Activation::Tanh,
            opt_coef: 0.7,
            nopt_coef: 0.3,
            batch: 8,
            ..values(Algo::Qtran)
        };
        let what = format!("{network:?} {by_rows:?}");
        let mut learner = Either::new(&config);
        stir(learner.q());
        lower_values(learner.q());
        History::collect(&mut learner, 60);
        let q = learner.q();
        let (r, stride) = (q.run.replay.sizes, q.stride);
        for rows in [&q.batch.agent_input.region, &q.batch.state_input.region] {
            gpu().write(rows, &vec![1e4_f32; rows.size as usize / 4]);
        }
        learner.gradients();
        let (params, held) = (read(&q.adam.params), read(&q.target_params));
        let grads = read(&q.adam.grads);
        let drawn = words_u32(&q.run.replay.drawn);
        let values_of = |region: &merit_sim::gpu::Region, p: usize| {
            let all = read(region);
            let n = all.len() / 2;
            all[p * n..][..n].to_vec()
        };
        let (nets, v) = (&q.decomposition.own.nets, &q.decomposition.nets[0]);
        let mut largest = [0.0_f64; 4];
        for p in 0..2 {
            let host = Host::new(q, &config, p);
            let rows = host.rows();
            let words = &params[p * stride..][..stride];
            let target = &held[p * stride..][..stride];
            let online = host.utilities(words, &host.done);
            let behind = host.utilities(target, &host.next);
            let next = joint_values(nets, &host, target, &behind, &host.next);
            close(
                &values_of(&q.loss.next_values, p)[..rows],
                &next,
                1e-4,
                &format!("{what}: the target's joint values"),
            );
            let rewards = values_of(&q.batch.rewards, p);
            let mut goal = vec![0.0; rows];
            for b in 0..r.batch {
                let d = &drawn[(p * r.batch + b) * 4..][..4];
                let (length, cut) = (d[2] as usize, d[3] == 1);
                let mut y = if cut { next[length * r.batch + b] } else { 0.0 };
                for l in (0..length).rev() {
                    let after = next[(l + 1) * r.batch + b];
                    let bootstrap = if l + 1 == length && !cut {
                        0.0
                    } else {
                        (1.0 - td_lambda) * after + td_lambda * y
                    };
                    y = rewards[l * r.batch + b] + config.gamma * bootstrap;
                    goal[l * r.batch + b] = y;
                }
            }
            let said = values_of(&q.loss.batch.part(GOAL), p);
            close(&said[..rows], &goal, 2e-4, &format!("{what}: targets"));

            // What the agents rank first is taken as it is; Q_jt moves along the TD loss alone.
            let steps: f64 = host.mask[..rows].iter().sum();
            let fixed = [&host.done, &host.next]
                .map(|actions| joint_values(nets, &host, words, &online, actions));
            let width = host.states.len() / host.mask.len();
            let losses = |words: &[f64]| -> [f64; 3] {
                let q = host.utilities(words, &host.done);
                let joint = joint_values(nets, &host, words, &q, &host.done);
                let mut sums = [0.0; 3];
                for row in (0..rows).filter(|row| host.mask[*row] == 1.0) {
                    let value = relu_network(v, words, &host.states[row * width..][..width])[0];
                    let agents = row * AGENTS..(row + 1) * AGENTS;
                    let taken: f64 = q.taken[agents.clone()].iter().sum();
                    let best: f64 = agents.map(|i| q.all[i][host.next[i] as usize]).sum();
                    sums[0] += (joint[row] - goal[row]).powi(2);
                    sums[1] += (best - fixed[1][row] + value).powi(2);
                    sums[2] += (taken - fixed[0][row] + value).min(0.0).powi(2);
                }
                sums.map(|sum| sum / steps)
            };
            let [td, opt, nopt] = losses(words);
            let said = values_of(&q.loss.diagnostics, p);
            close(
                &[said[0], said[4], said[5]],
                &[td, opt, nopt],
                2e-4,
                &format!("{what}: losses"),
            );
            assert!(nopt > 0.01, "{what}: nothing is below the joint value");
            let ends = [q.network.end(), v.end(), nets[0].end()];
            for i in (7 * p..stride).step_by(41) {
                let at = |d: f64| {
                    let mut words = words.to_vec();
                    words[i] += d;
                    let [td, opt, nopt] = losses(&words);
                    td + 0.7 * opt + 0.3 * nopt
                };
                let h = 1e-5;
                let want = (at(h) - at(-h)) / (2.0 * h);
                let found = grads[p * stride + i];
                let kind = ends.iter().filter(|end| i >= **end).count();
                largest[kind] = largest[kind].max(want.abs());
                assert!(
                    (found - want).abs() < 3e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i}: {found}, expected {want}"
                );
            }
        }
        assert!(
            largest.iter().all(|x| *x > 0.01),
            "{what}: gradients of {largest:?} would show nothing"
        );
        assert!(read(&q.loss.batch.part(MASK)).contains(&0.0));
    }
}

/// `value_decomposition.md` §12, 4: with uniform exploration the joint value is the payoff, and the agents rank the best joint action first. Both losses have weight 1, as in
/// the paper; the published code has 0.1 for L_nopt, which but one game of nine moves before the agents are right. A joint value may rest at the best function that is
/// linear in Σ e_i, and its agents cannot be right then: one seed of three may.
#[test]
fn qtran_solves_the_game_that_monotone_mixers_do_not() {
    let config = Config {
        env: "matrix/3x3".into(),
        algo: Algo::Qtran,
        total_steps: 20_000,
        seeds: 3,
        envs: 32,
        gradient_steps: 3,
        rollout: 1,
        network: Kind::Ff,
        hidden: 64,
        mixing_embed: 64,
        nopt_coef: 1.0,
        replay: 32 * 640,
        batch: 32,
        learning_starts: 256,
        learning_rate: 3e-3,
        anneal_lr: true,
        adam_eps: 1e-8,
        max_grad_norm: 10.0,
        td_lambda: 0.0,
        epsilon_start: 1.0,
        epsilon_finish: 1.0,
        target_interval: 25,
        ..Config::default()
    };
    let env = crate::q_learning::train_env(gpu(), &config).expect("it fits");
    let mut learner = crate::q_learning::DoubleQ::new(gpu(), &config, env).expect("it fits");
    for _ in 0..config.total_steps / 32 {
        learner.update().expect("updated");
    }
    let (reports, _) = learner.report().expect("reported");
    let evaluated = learner.evaluate(16, true, 1).expect("evaluated");
    let mut represented = 0;
    for (report, episodes) in reports.iter().zip(evaluated) {
        let said = &report.diagnostics;
        if (said["joint_best"] - 8.0).abs() < 0.1 {
            represented += 1;
            assert!(said["joint_gap"] < 1e-6, "{said:?}");
            assert_eq!(episodes.mean_return(), 8.0, "{said:?}");
        }
    }
    assert!(represented >= 2, "the payoff in {represented} seeds of 3");
}
