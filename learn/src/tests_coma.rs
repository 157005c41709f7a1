//! COMA by itself against its definition in double precision (`ppo_family.md` §6.1, 6.2), and that it learns.

use crate::coma_pg::ComaPg;
use crate::config::{Algo, Config, Network as Kind, Optimiser};
use crate::kernel::Recorder;
use crate::learner::{Array, Checkpoint, Learner};
use crate::testing::{AGENTS, EPISODE, MATCH, SHOWN, config, gpu, learner, run, toy};
use crate::tests::network::{forward, log_softmax};
use crate::tests::{close, read, uniform};

fn small(network: Kind) -> Config {
    Config {
        envs: 5,
        seeds: 2,
        network,
        critic_hidden: 16,
        ent_coef: 0.05,
        epsilon_start: 0.3,
        epsilon_anneal: 400,
        max_grad_norm: 10.0,
        ..config(Algo::ComaPg)
    }
}

/// One update later, with parameters that leave no number near 0: a rollout that another came before, its targets, Q of every step.
fn stirred(config: &Config) -> ComaPg {
    let mut coma = ComaPg::new(gpu(), config, toy(config)).expect("it fits");
    coma.update().expect("updated");
    for (stream, region) in [
        (9, &coma.actor.adam.params),
        (10, &coma.critic.adam.params),
        (11, &coma.critic.target),
    ] {
        let words = (region.size / 4) as usize;
        gpu().write(region, &uniform(stream, words, -0.8, 0.8));
    }
    let mut to = coma.begin_update();
    coma.record_rollout(&mut to);
    coma.record_targets(&mut to);
    for t in 0..coma.sizes.steps {
        coma.record_critic_gradient(&mut to, t);
    }
    coma.record_actor_gradient(&mut to);
    to.submit();
    coma
}

/// One-hots of the actions of a team, that of `own` blank.
fn joint(team: &[Option<u32>], own: Option<usize>) -> Vec<f64> {
    let block = |(j, action): (usize, &Option<u32>)| {
        let action = action.filter(|_| own != Some(j));
        (0..SHOWN as u32).map(move |n| f64::from(u8::from(action == Some(n))))
    };
    team.iter().enumerate().flat_map(block).collect()
}

#[test]
fn coma_by_itself_equals_its_definition() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = small(network);
        // What the first update ended with comes before slot 0 of the second.
        let mut first = ComaPg::new(gpu(), &config, toy(&config)).expect("it fits");
        first.update().expect("updated");
        let (s, steps) = (first.sizes, first.sizes.steps);
        let ended = |c: &ComaPg| -> Vec<bool> {
            let io = c.env.io();
            let (over, cut) = (read(&io.terminated), read(&io.truncated));
            over.iter().zip(cut).map(|(a, b)| a + b > 0.5).collect()
        };
        let last_actions: Vec<u32> = gpu().read(&first.env.io().actions).expect("readable");
        let last_ended = ended(&first);

        let coma = stirred(&config);
        let io = coma.env.io().clone();
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let ended = ended(&coma);
        let (world, obs, avail) = (read(&io.state), read(&io.obs), read(&io.avail));
        let (seen, reward) = (read(&coma.critic.seen), read(&io.reward));
        let columns = coma.critic.net.inputs();
        let rows = s.rows();
        let of = |x: &[f64], width: usize, i: usize| x[i * width..(i + 1) * width].to_vec();

        // The inputs, and what the target network says of them.
        let params = read(&coma.critic.target);
        let stride = params.len() / s.members;
        let target_q = read(&coma.critic.target_q);
        for i in 0..(steps + 1) * rows {
            let (t, row) = (i / rows, i % rows);
            let (agent, first) = (row % AGENTS, i - row % AGENTS);
            let team: Vec<_> = (first..first + AGENTS).map(|j| Some(actions[j])).collect();
            let before = |j: usize| match t {
                0 => (!last_ended[(steps - 1) * rows / AGENTS + j % rows / AGENTS])
                    .then(|| last_actions[(steps - 1) * rows + j % rows]),
                _ => (!ended[(j - rows) / AGENTS]).then(|| actions[j - rows]),
            };
            let before: Vec<_> = (first..first + AGENTS).map(before).collect();
            let mut want = of(&world, s.state, i / AGENTS);
            want.extend(of(&obs, s.obs, i));
            want.extend((0..AGENTS).map(|a| f64::from(u8::from(a == agent))));
            want.extend(joint(&team, Some(agent)));
            want.extend(joint(&before, None));
            want.resize(columns, 0.0);
            close(&of(&seen, columns, i), &want, 1e-6, "critic input");
            let words = &params[row / s.member_rows() * stride..][..stride];
            let want = forward(&coma.critic.net, words, false, &want, &mut vec![]);
            close(&of(&target_q, SHOWN, i), &want, 3e-5, "target network");
        }

        // TD(λ).
        let goal = read(&coma.estimates.goal);
        let taken = |i: usize| target_q[i * SHOWN + actions[i] as usize];
        for row in 0..rows {
            let mut g = taken(steps * rows + row);
            for t in (0..steps).rev() {
                let i = t * rows + row;
                let next = (1.0 - config.td_lambda) * taken(i + rows) + config.td_lambda * g;
                let on = if ended[i / AGENTS] { 0.0 } else { config.gamma };
                g = reward[i] + on * next;
                close(&[goal[i]], &[g], 3e-5, "target");
            }
        }
        assert!(ended.contains(&true) && last_ended.contains(&true));

        // Counterfactual advantages, and the derivative of the loss by the logits: by differences of the loss in double precision.
        let (q, advantage) = (read(&coma.critic.q), read(&coma.estimates.advantage));
        let (logits, found) = (read(&coma.actor.logits), read(&coma.actor.logits_grad));
        let epsilon = coma.epsilon();
        assert!(epsilon < config.epsilon_start && epsilon > config.epsilon_finish);
        let mixture = |logits: &[f64], avail: &[f64]| -> Vec<f64> {
            let there: f64 = avail.iter().sum();
            let p = log_softmax(logits, avail);
            let mixed = p.iter().zip(avail);
            let mixed = mixed.map(|(l, a)| a * ((1.0 - epsilon) * l.exp() + epsilon / there));
            mixed.collect()
        };
        for sample in 0..s.members * s.samples() {
            let (p, r) = (sample / s.samples(), sample % s.samples());
            let i = (r / s.member_rows() * s.members + p) * s.member_rows() + r % s.member_rows();
            let (allowed, q) = (of(&avail, SHOWN, i), of(&q, SHOWN, i));
            let logits = of(&logits, SHOWN, sample);
            let pi = mixture(&logits, &allowed);
            close(&[pi.iter().sum()], &[1.0], 1e-9, "probabilities");
            let action = actions[i] as usize;
            let baseline: f64 = pi.iter().zip(&q).map(|(p, q)| p * q).sum();
            let counterfactual = q[action] - baseline;
            close(&[advantage[i]], &[counterfactual], 3e-5, "advantage");
            for n in 0..SHOWN {
                let loss = |d: f64| {
                    let mut logits = logits.clone();
                    logits[n] += d;
                    let pi = mixture(&logits, &allowed);
                    let terms = pi.iter().filter(|p| **p > 0.0).map(|p| p * p.ln());
                    let entropy = -terms.sum::<f64>();
                    -counterfactual * pi[action].ln() - config.ent_coef * entropy
                };
                let want = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                let found = found[sample * SHOWN + n] * s.samples() as f64;
                close(&[found], &[want], 1e-4, "derivative");
            }
        }
    }
}

/// The critic's at one time step and the actor's over the rollout, feed-forward and recurrent, against differences in double precision.
#[test]
fn comas_gradients_equal_finite_differences() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = small(network);
        let coma = stirred(&config);
        let (s, t) = (coma.sizes, 3);
        run(|to: &mut Recorder| {
            coma.record_critic_gradient(to, t);
            coma.critic.adam.record_norms(to, coma.critic_tick(t));
            coma.actor.adam.record_norms(to, coma.rollout_tick());
        });
        let io = coma.env.io().clone();
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let (seen, goal) = (read(&coma.critic.seen), read(&coma.estimates.goal));
        let check = |net: &crate::net::Network,
                     adam: &crate::adam::Adam,
                     loss: &dyn Fn(usize, &[f64]) -> f64| {
            let (params, grads) = (read(&adam.params), read(&adam.grads));
            let stride = params.len() / s.members;
            let first = net.trunk.map_or(net.layers[0].kernel, |t| t.embed.kernel);
            let mut largest: f64 = 0.0;
            for p in 0..s.members {
                let words = &params[p * stride..(p + 1) * stride];
                for w in (first..net.end()).step_by(11) {
                    let at = |d: f64| {
                        let mut words = words.to_vec();
                        words[w] += d;
                        loss(p, &words)
                    };
                    let want = (at(1e-5) - at(-1e-5)) / 2e-5;
                    largest = largest.max(want.abs());
                    let found = grads[p * stride + w];
                    assert!(
                        (found - want).abs() < 1e-4 * want.abs().max(1.0),
                        "{network:?}, word {w}: {found}, {want}"
                    );
                }
            }
            assert!(largest > 0.02, "gradients of {largest} would show nothing");
        };
        let columns = coma.critic.net.inputs();
        check(&coma.critic.net, &coma.critic.adam, &|p, words| {
            let first = t * s.rows() + p * s.member_rows();
            let error = |i: usize| {
                let input = &seen[i * columns..(i + 1) * columns];
                let q = forward(&coma.critic.net, words, false, input, &mut vec![]);
                (q[actions[i] as usize] - goal[i]).powi(2)
            };
            (first..first + s.member_rows()).map(error).sum::<f64>() / s.member_rows() as f64
        });

        // The actor's: what it sees and remembers, then the mixture's loss; advantages and Q stay.
        let (obs, avail) = (read(&io.obs), read(&io.avail));
        let advantage = read(&coma.estimates.advantage);
        let epsilon = coma.epsilon();
        let (resets, start) = match coma.remembered() {
            Some((resets, start)) => (read(resets), read(start)),
            None => (vec![0.0; s.slots() * s.rows()], vec![]),
        };
        check(&coma.actor.net, &coma.actor.adam, &|p, words| {
            let mut sum = 0.0;
            for row in p * s.member_rows()..(p + 1) * s.member_rows() {
                let h = config.hidden;
                let mut memory = start
                    .get(row * h..(row + 1) * h)
                    .map_or(vec![], <[f64]>::to_vec);
                for t in 0..s.steps {
                    let i = t * s.rows() + row;
                    memory.iter_mut().for_each(|x| *x *= 1.0 - resets[i]);
                    let input = &obs[i * s.obs..(i + 1) * s.obs];
                    let logits = forward(&coma.actor.net, words, false, input, &mut memory);
                    let allowed = &avail[i * SHOWN..(i + 1) * SHOWN];
                    let there: f64 = allowed.iter().sum();
                    let l = log_softmax(&logits, allowed);
                    let pi = l.iter().zip(allowed);
                    let pi = pi.map(|(l, a)| a * ((1.0 - epsilon) * l.exp() + epsilon / there));
                    let pi: Vec<f64> = pi.collect();
                    let terms = pi.iter().filter(|p| **p > 0.0).map(|p| p * p.ln());
                    sum -= advantage[i] * pi[actions[i] as usize].ln();
                    sum += config.ent_coef * terms.sum::<f64>();
                }
            }
            sum / s.samples() as f64
        });
    }
}

/// Actions are drawn with the mixture's probabilities: never an unavailable one, and all others about as often as they should be.
#[test]
fn comas_policy_explores_as_often_as_it_says() {
    let config = Config {
        envs: 512,
        total_steps: 512 * 16,
        epsilon_start: 0.4,
        ..config(Algo::ComaPg)
    };
    let mut coma = ComaPg::new(gpu(), &config, toy(&config)).expect("it fits");
    // The policy takes action 2 if it may: what else is done is explored.
    let head = coma.actor.net.layers.last().expect("a head").bias;
    let mut words: Vec<f32> = gpu().read(&coma.actor.adam.params).expect("readable");
    words.fill(0.0);
    words[head + 2] = 50.0;
    gpu().write(&coma.actor.adam.params, &words);
    let mut to = coma.begin_update();
    coma.record_rollout(&mut to);
    to.submit();
    let io = coma.env.io().clone();
    let (avail, rows) = (read(&io.avail), coma.sizes.steps * coma.sizes.rows());
    let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
    let mut counts = std::collections::BTreeMap::<(usize, u32), [f64; 2]>::new();
    for i in 0..rows {
        let allowed = &avail[i * SHOWN..(i + 1) * SHOWN];
        assert_eq!(allowed[actions[i] as usize], 1.0, "an unavailable action");
        if allowed[2] < 0.5 {
            continue;
        }
        let there = allowed.iter().sum::<f64>() as usize;
        for n in (0..SHOWN as u32).filter(|n| allowed[*n as usize] > 0.5) {
            let count = counts.entry((there, n)).or_default();
            count[0] += f64::from(u8::from(actions[i] == n));
            count[1] += 1.0;
        }
    }
    assert!(counts.len() > 3);
    for ((there, n), [found, of]) in counts {
        let want = 0.4 / there as f64 + if n == 2 { 0.6 } else { 0.0 };
        // Five standard errors.
        let bound = 5.0 * (want * (1.0 - want) / of).sqrt();
        assert!(
            (found / of - want).abs() < bound,
            "{n} of {there}: {} instead of {want}",
            found / of
        );
    }
}

fn params_of(checkpoint: &Checkpoint, member: usize, members: usize) -> Vec<f32> {
    let of = |(_, array): (&String, &Array)| match array {
        Array::F32 { data, .. } => {
            let n = data.len() / members;
            data[member * n..(member + 1) * n].to_vec()
        }
        _ => vec![],
    };
    let nets = checkpoint.iter().filter(|(k, _)| {
        ["actor.", "critic.", "target."]
            .iter()
            .any(|n| k.starts_with(n))
            && !k.contains("adam")
    });
    nets.flat_map(of).collect()
}

#[test]
fn coma_by_itself_is_repeated_resumed_and_batched_to_the_same_numbers() {
    for (network, optimiser) in [(Kind::Ff, Optimiser::Adam), (Kind::Gru, Optimiser::Rmsprop)] {
        let config = Config {
            seed: 3,
            optimiser,
            ..small(network)
        };
        let mut whole = learner(&config);
        (0..3).for_each(|_| whole.update().expect("updated"));
        let saved = whole.checkpoint().expect("saved");
        (0..4).for_each(|_| whole.update().expect("updated"));
        let end = whole.checkpoint().expect("saved");

        let mut resumed = learner(&config);
        resumed.update().expect("updated");
        resumed.restore(&saved).expect("restored");
        assert_eq!(resumed.checkpoint().expect("saved"), saved);
        (0..4).for_each(|_| resumed.update().expect("updated"));
        assert_eq!(resumed.checkpoint().expect("saved"), end);
        assert_eq!(
            resumed.report().expect("reported").0,
            whole.report().expect("reported").0
        );

        let mut again = learner(&config);
        (0..7).for_each(|_| again.update().expect("updated"));
        assert_eq!(again.checkpoint().expect("saved"), end);

        let mut alone = learner(&config.alone(1));
        (0..7).for_each(|_| alone.update().expect("updated"));
        let alone = params_of(&alone.checkpoint().expect("saved"), 0, 1);
        let beside = params_of(&end, 1, 2);
        let far = alone.iter().zip(&beside).map(|(a, b)| (a - b).abs());
        let far = far.fold(0.0, f32::max);
        assert!(far <= 1e-6, "{network:?}: a member differs by {far}");
    }
}

/// The target network is the critic of the last time that it was due.
#[test]
fn comas_target_network_is_copied_every_so_many_steps() {
    // 16 steps of the critic an update: due after every second.
    let config = Config {
        target_interval: 32,
        ..small(Kind::Ff)
    };
    let mut coma = ComaPg::new(gpu(), &config, toy(&config)).expect("it fits");
    let mut target = read(&coma.critic.target);
    for update in 1..=5 {
        coma.update().expect("updated");
        let critic = read(&coma.critic.adam.params);
        assert_ne!(critic, target);
        if update % 2 == 0 {
            target = critic;
        }
        assert_eq!(read(&coma.critic.target), target, "after update {update}");
    }
}

#[test]
fn coma_by_itself_learns_to_match() {
    for (network, optimiser) in [(Kind::Ff, Optimiser::Adam), (Kind::Gru, Optimiser::Rmsprop)] {
        let config = Config {
            env: MATCH.into(),
            envs: 32,
            total_steps: 120 * 32 * 16,
            learning_rate: 5e-3,
            anneal_lr: false,
            max_grad_norm: 10.0,
            critic_hidden: 32,
            epsilon_anneal: 20_000,
            network,
            optimiser,
            ..config(Algo::ComaPg)
        };
        let mut learner = learner(&config);
        learner.update().expect("updated");
        let (before, timing) = learner.report().expect("reported");
        // One right answer in four, by chance.
        assert!(before[0].episodes.mean_return() < 0.5 * EPISODE as f64);
        assert!(timing.launches_per_update > 0 && timing.host_syncs_per_update == 0);
        (0..110).for_each(|_| learner.update().expect("updated"));
        learner.report().expect("reported");
        (0..9).for_each(|_| learner.update().expect("updated"));
        let (after, _) = learner.report().expect("reported");
        let share = after[0].episodes.mean_return() / EPISODE as f64;
        assert!(
            share > 0.9,
            "{network:?}: {share} of the answers are right; {:?}",
            after[0].diagnostics
        );
    }
}
