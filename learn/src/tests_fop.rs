//! FOP against host references in double precision: targets, losses, gradients, what the policies draw and what the joint value ranks.

use crate::config::{Algo, Config, FopEntropy, Network as Kind};
use crate::decomposition::HyperNet;
use crate::fop::{self, CRITICS, Fop, GOAL, MASK};
use crate::kernel::{Recorder, Tick};
use crate::learner::{Array, Learner};
use crate::testing::{
    AGENTS, FRAGILE, MATCH, SHOWN, STURDY, gpu, learner, longest, of_member, relu_network, sigmoid,
    toy, words_u32,
};
use crate::tests::{close, network, read, uniform};
use crate::tests_values::{unpadded, values};

/// A small run on [`FRAGILE`]; the temperature falls from 0.9 to 0.3 while it collects.
fn small() -> Config {
    Config {
        critic_hidden: 16,
        temperature_init: 0.9,
        temperature_finish: 0.3,
        temperature_anneal: 480,
        ..values(Algo::Fop)
    }
}

fn made(config: &Config) -> Fop {
    Fop::new(gpu(), config, toy(config)).expect("fits")
}

/// Larger weights than the initial ones, other ones for the targets.
fn stir(fop: &Fop) {
    let draw = |stream: u32, region: &merit_sim::gpu::Region| {
        let words = (region.size / 4) as usize;
        gpu().write(region, &uniform(stream, words, -0.8, 0.8));
    };
    draw(21, &fop.actor.adam.params);
    draw(22, &fop.critics.adam.params);
    draw(23, &fop.critics.target_params);
}

/// A batch up to all gradients, without a step.
fn gradients(fop: &Fop) {
    let tick = fop.run.gradient_tick(0);
    let mut to = Recorder::new(gpu());
    fop.record_batch(&mut to, tick);
    fop.record_actor_gradient(&mut to, tick);
    fop.actor.adam.record_norms(&mut to, tick);
    fop.record_targets(&mut to, tick).expect("recorded");
    fop.record_critic_gradients(&mut to, tick)
        .expect("recorded");
    fop.critics.adam.record_norms(&mut to, tick);
    fop.record_report(&mut to);
    to.submit();
    gpu().sync().expect("the device is there");
}

/// A member's networks over a batch, in double precision.
struct Host<'a> {
    fop: &'a Fop,
    alpha: f64,
    /// Up to the longest episode, and the slot behind.
    slots: usize,
    inputs: Vec<f64>,
    critic_inputs: Vec<f64>,
    states: Vec<f64>,
    joint: [Vec<f64>; 2],
    done: Vec<u32>,
    next: Vec<u32>,
    allowed: Vec<f64>,
    mask: Vec<f64>,
}

/// Utilities of a critic, `[R · A]`: of all actions, of those in question, soft values.
struct HostUtilities {
    all: Vec<Vec<f64>>,
    taken: Vec<f64>,
    soft: Vec<f64>,
}

impl<'a> Host<'a> {
    fn new(fop: &'a Fop, member: usize) -> Self {
        let members = fop.run.sizes.members;
        let of = |all: Vec<f64>| of_member(&all, members, member);
        let of_u32 = |all: Vec<u32>| of_member(&all, members, member);
        let state = fop.run.sizes.state;
        let joint = fop.batch.joint_input.as_ref().expect("mixers see actions");
        Self {
            fop,
            alpha: read(&fop.temperature)[0],
            slots: longest(&fop.run.replay) + 1,
            inputs: of(unpadded(&fop.batch.agent_input, fop.actor.net.inputs())),
            critic_inputs: of(unpadded(&fop.critics.input, SHOWN + AGENTS)),
            states: of(unpadded(&fop.batch.state_input, state)),
            joint: joint
                .each_ref()
                .map(|rows| of(unpadded(rows, state + AGENTS * SHOWN))),
            done: of_u32(words_u32(&fop.batch.done)),
            next: of_u32(words_u32(&fop.batch.next)),
            allowed: of(read(&fop.batch.allowed)),
            mask: of(read(&fop.loss.batch.part(MASK))),
        }
    }

    fn rows(&self) -> usize {
        self.slots * self.fop.run.replay.sizes.batch
    }

    /// ln π of all actions of every row of an agent.
    fn log_policies(&self, words: &[f64]) -> Vec<Vec<f64>> {
        let net = &self.fop.actor.net;
        let (columns, per_slot) = (net.inputs(), self.fop.run.replay.sizes.batch * AGENTS);
        let tanh = self.fop.run.config.activation == crate::config::Activation::Tanh;
        let mut memories = vec![vec![0.0; net.hidden()]; per_slot];
        (0..self.rows() * AGENTS)
            .map(|row| {
                let input = &self.inputs[row * columns..][..columns];
                let memory = &mut memories[row % per_slot];
                let logits = network::forward(net, words, tanh, input, memory);
                network::log_softmax(&logits, &self.allowed[row * SHOWN..][..SHOWN])
            })
            .collect()
    }

    fn utilities(&self, k: usize, words: &[f64], actions: &[u32]) -> HostUtilities {
        let net = &self.fop.critics.nets[k].utilities;
        let columns = SHOWN + AGENTS;
        let all: Vec<_> = (0..self.rows() * AGENTS)
            .map(|row| {
                let input = &self.critic_inputs[row * columns..][..columns];
                network::forward(net, words, false, input, &mut vec![])
            })
            .collect();
        let soft = all.iter().map(|q| {
            let sum: f64 = q.iter().map(|q| (q / self.alpha).exp()).sum();
            self.alpha * sum.ln()
        });
        let taken = all.iter().zip(actions).map(|(q, &a)| q[a as usize]);
        HostUtilities {
            taken: taken.collect(),
            soft: soft.collect(),
            all,
        }
    }

    fn hyper(&self, net: &HyperNet, words: &[f64], row: usize, next: bool) -> Vec<f64> {
        let rows = match net.sees_actions {
            true => &self.joint[usize::from(next)],
            false => &self.states,
        };
        let columns = net.layers[0].inputs;
        relu_network(net, words, &rows[row * columns..][..columns])
    }

    /// Q_tot of every row; `held`: the utilities of the part that sends nothing back.
    fn joint_values(
        &self,
        k: usize,
        words: &[f64],
        q: &HostUtilities,
        held: &HostUtilities,
        next: bool,
    ) -> Vec<f64> {
        let nets = &self.fop.critics.nets[k].mixer.nets;
        (0..self.rows())
            .map(|row| {
                let o: Vec<_> = nets
                    .iter()
                    .map(|net| self.hyper(net, words, row, next))
                    .collect();
                let of_agent = |a: usize| {
                    let head = |h: usize| {
                        let at = h * AGENTS + a;
                        (o[1][h].abs() + 1e-10) * sigmoid(o[2][at]) * sigmoid(o[3][at])
                    };
                    let lambda: f64 = (0..o[1].len()).map(head).sum();
                    let i = row * AGENTS + a;
                    let advantage = held.taken[i] - held.soft[i];
                    q.taken[i] + o[0][0] / AGENTS as f64 + (lambda - 1.0) * advantage
                };
                (0..AGENTS).map(of_agent).sum()
            })
            .collect()
    }
}

fn cases() -> Vec<Config> {
    let principled = Config {
        env: STURDY.into(),
        network: Kind::Gru,
        fop_entropy: FopEntropy::Principled,
        attention_kernels: 1,
        ..small()
    };
    let one_step = Config {
        td_lambda: 0.0,
        env: STURDY.into(),
        ..small()
    };
    vec![small(), principled, one_step]
}

/// Policies, utilities, what is drawn, targets, losses and the gradient of every kind of weight; rows behind the longest episode hold
/// what must not count.
#[test]
fn targets_losses_and_gradients_equal_the_formulas() {
    // Rows in which each target critic is the smaller one.
    let mut smaller = [0; CRITICS];
    for config in cases() {
        let config = Config {
            activation: crate::config::Activation::Tanh,
            ..config
        };
        let what = format!("{:?} {:?}", config.network, config.fop_entropy);
        let mut fop = made(&config);
        stir(&fop);
        (0..60).for_each(|_| fop.update().expect("updated"));
        for rows in [
            &fop.batch.agent_input,
            &fop.batch.state_input,
            &fop.critics.input,
        ] {
            let words = rows.region.size as usize / 4;
            gpu().write(&rows.region, &vec![1e4_f32; words]);
        }
        gradients(&fop);
        let r = fop.run.replay.sizes;
        let drawn = words_u32(&fop.run.replay.drawn);
        if config.env == FRAGILE {
            let longest = drawn.chunks_exact(4).map(|d| d[2]).max().unwrap_or(0) as usize;
            assert!(longest + 8 < r.slots, "{what}: all slots are live");
        } else {
            let cut = drawn.chunks_exact(4).filter(|d| d[3] == 1).count();
            assert!(cut > 0, "{what}: the limit cut none");
        }
        let values_of = |region: &merit_sim::gpu::Region, p: usize| {
            let all = read(region);
            let n = all.len() / 2;
            all[p * n..][..n].to_vec()
        };
        let (stride, actor_stride) = (fop.critics.stride, fop.actor.stride);
        let (params, target) = (
            read(&fop.critics.adam.params),
            read(&fop.critics.target_params),
        );
        let actor_params = read(&fop.actor.adam.params);
        let (grads, actor_grads) = (read(&fop.critics.adam.grads), read(&fop.actor.adam.grads));
        let mut largest = [0.0_f64; 2];
        for p in 0..2 {
            let host = Host::new(&fop, p);
            let rows = host.rows();
            let steps: f64 = host.mask[..rows].iter().sum();
            // Of the last update, in front of which 236 steps had been.
            let alpha = 0.9 - 0.6 * 236.0 / 480.0;
            assert!((host.alpha - alpha).abs() < 1e-6, "{what}: {}", host.alpha);

            // The critics see the observation and the agent's number, not the action before.
            let columns = fop.actor.net.inputs();
            for row in 0..rows * AGENTS {
                let told = &host.inputs[row * columns..][..columns];
                let seen = &host.critic_inputs[row * (SHOWN + AGENTS)..][..SHOWN + AGENTS];
                assert_eq!(seen[..SHOWN], told[..SHOWN]);
                assert_eq!(seen[SHOWN..], told[2 * SHOWN..]);
            }

            let words = &actor_params[p * actor_stride..][..actor_stride];
            let log_policies = host.log_policies(words);
            let said = values_of(&fop.log_probs, p);
            for (i, log_policy) in log_policies.iter().enumerate() {
                let next = host.next[i] as usize;
                assert_eq!(host.allowed[i * SHOWN + next], 1.0, "{what}");
                let want = log_policy[next];
                assert!((said[i] - want).abs() < 1e-4, "{what}: {} {want}", said[i]);
            }

            // What would be done next is worth the smaller of the targets' joint values.
            let behind = &target[p * stride..][..stride];
            let joint_next: Vec<Vec<f64>> = (0..CRITICS)
                .map(|k| {
                    let q = host.utilities(k, behind, &host.next);
                    host.joint_values(k, behind, &q, &q, true)
                })
                .collect();
            let next: Vec<f64> = (0..rows)
                .map(|row| joint_next[0][row].min(joint_next[1][row]))
                .collect();
            for row in 0..rows {
                smaller[usize::from(joint_next[1][row] < joint_next[0][row])] += 1;
            }
            close(
                &values_of(&fop.loss.next_values, p)[..rows],
                &next,
                1e-4,
                &format!("{what}: values of what comes next"),
            );

            // Targets by their definition.
            let rewards = values_of(&fop.batch.rewards, p);
            let (gamma, lambda) = (config.gamma, config.td_lambda);
            let mut goal = vec![0.0; rows];
            for b in 0..r.batch {
                let d = &drawn[(p * r.batch + b) * 4..][..4];
                let (length, cut) = (d[2] as usize, d[3] == 1);
                let mut y = if cut { next[length * r.batch + b] } else { 0.0 };
                for l in (0..length).rev() {
                    let (row, after) = (l * r.batch + b, (l + 1) * r.batch + b);
                    let over = l + 1 == length && !cut;
                    let bootstrap = (1.0 - lambda) * next[after] + lambda * y;
                    y = rewards[row] + if over { 0.0 } else { gamma * bootstrap };
                    let log_next = (0..AGENTS).map(|a| {
                        let i = after * AGENTS + a;
                        log_policies[i][host.next[i] as usize]
                    });
                    let entropy = match config.fop_entropy {
                        _ if over => 0.0,
                        FopEntropy::Code => -alpha * log_next.sum::<f64>() / AGENTS as f64,
                        FopEntropy::Principled => -gamma * alpha * log_next.sum::<f64>(),
                    };
                    goal[row] = y + entropy;
                }
            }
            close(
                &values_of(&fop.loss.batch.part(GOAL), p)[..rows],
                &goal,
                1e-4,
                &format!("{what}: targets"),
            );

            // The policies' loss: the utilities stand still.
            let base = &params[p * stride..][..stride];
            let online: Vec<_> = (0..CRITICS)
                .map(|k| host.utilities(k, base, &host.done))
                .collect();
            for (k, online) in online.iter().enumerate() {
                let found = values_of(&fop.loss.batch.part(fop::soft(k)), p);
                let soft = format!("{what}: soft values");
                close(&found[..rows * AGENTS], &online.soft, 1e-4, &soft);
            }
            let of_policies = |words: &[f64]| -> [f64; 2] {
                let mut sums = [0.0; 2];
                for (i, log_policy) in host.log_policies(words).iter().enumerate() {
                    if host.mask[i / AGENTS] == 0.0 {
                        continue;
                    }
                    for (n, l) in log_policy.iter().enumerate() {
                        // Probability 0 of what is forbidden.
                        let p = l.exp();
                        let q = online[0].all[i][n].min(online[1].all[i][n]);
                        sums[0] += p * (alpha * l - q) / (steps * AGENTS as f64);
                        sums[1] -= p * l / steps;
                    }
                }
                sums
            };
            close(
                &values_of(&fop.actor.report, p),
                &of_policies(words),
                1e-4,
                &format!("{what}: the policies' loss and entropy"),
            );
            for i in (5 * p..actor_stride).step_by(17) {
                let at = |d: f64| {
                    let mut words = words.to_vec();
                    words[i] += d;
                    of_policies(&words)[0]
                };
                let h = 1e-5;
                let want = (at(h) - at(-h)) / (2.0 * h);
                let found = actor_grads[p * actor_stride + i];
                largest[0] = largest[0].max(want.abs());
                assert!(
                    (found - want).abs() < 1e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i} of the policy: {found}, expected {want}"
                );
            }

            // The critics' losses.
            let td = |k: usize, words: &[f64]| -> [f64; 3] {
                let q = host.utilities(k, words, &host.done);
                let joint = host.joint_values(k, words, &q, &online[k], false);
                let mut sums = [0.0; 3];
                for row in (0..rows).filter(|&row| host.mask[row] == 1.0) {
                    let error = joint[row] - goal[row];
                    let all = [error * error, error.abs(), joint[row]];
                    sums.iter_mut().zip(all).for_each(|(s, x)| *s += x / steps);
                }
                sums
            };
            let both = [td(0, base), td(1, base)];
            let mean_goal = goal.iter().sum::<f64>() / steps;
            let mut want: Vec<_> = (0..3).map(|i| (both[0][i] + both[1][i]) / 2.0).collect();
            want.push(mean_goal);
            let said = values_of(&fop.loss.diagnostics, p);
            close(&said, &want, 1e-4, &format!("{what}: critics' losses"));
            for i in (7 * p..stride).step_by(19) {
                let k = usize::from(i >= fop.critics.nets[0].words.end);
                let at = |d: f64| {
                    let mut words = base.to_vec();
                    words[i] += d;
                    td(k, &words)[0]
                };
                let h = 1e-5;
                let want = (at(h) - at(-h)) / (2.0 * h);
                let found = grads[p * stride + i];
                largest[1] = largest[1].max(want.abs());
                assert!(
                    (found - want).abs() < 2e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i} of the critics: {found}, expected {want}"
                );
            }
        }
        assert!(
            largest.iter().all(|x| *x > 0.01),
            "{what}: gradients of {largest:?} would show nothing"
        );
    }
    assert!(smaller.iter().all(|rows| *rows > 0), "{smaller:?}");
}

/// Over many draws, of some rows.
#[test]
fn next_actions_come_as_often_as_the_policies_say() {
    let mut fop = made(&small());
    stir(&fop);
    (0..60).for_each(|_| fop.update().expect("updated"));
    gradients(&fop);
    let host = Host::new(&fop, 1);
    let stride = fop.actor.stride;
    let log_policies = host.log_policies(&read(&fop.actor.adam.params)[stride..]);
    const DRAWS: u32 = 600;
    let tick = fop.run.gradient_tick(0);
    let mut counts = vec![[0.0_f64; SHOWN]; 12];
    let per_member = fop.run.replay.sizes.rows() * AGENTS;
    for draw in 0..DRAWS {
        let now = Tick {
            draw,
            ..Tick::default()
        };
        fop.run.ticks.set_now(gpu(), tick, now);
        let mut to = Recorder::new(gpu());
        fop.record_next(&mut to, tick);
        to.submit();
        let next = words_u32(&fop.batch.next);
        for (i, counts) in counts.iter_mut().enumerate() {
            counts[next[per_member + i] as usize] += 1.0;
        }
    }
    let mut forbidden = 0;
    for (i, counts) in counts.iter().enumerate() {
        for n in 0..SHOWN {
            let p = log_policies[i][n].exp();
            if host.allowed[i * SHOWN + n] == 0.0 {
                assert_eq!(counts[n], 0.0, "row {i}: {n} is forbidden");
                forbidden += 1;
                continue;
            }
            let (mean, n_draws) = (p * f64::from(DRAWS), f64::from(DRAWS));
            let far = 5.0 * (n_draws * p * (1.0 - p)).sqrt() + 1.0;
            assert!(
                (counts[n] - mean).abs() < far,
                "row {i}, action {n}: {} of {mean}",
                counts[n]
            );
        }
    }
    assert!(forbidden > 0, "everything is allowed");
}

/// With all λ_i = 1 the joint value is Σ (Q_i + V / A), whatever the soft values are.
#[test]
fn without_importance_the_mixer_is_a_sum() {
    let fop = made(&small());
    let rows = fop.run.replay.sizes.rows();
    let put = |i: usize, data: &[f32]| gpu().write(&fop.loss.target.part(i), data);
    let n = 2 * rows * AGENTS;
    let q = uniform(3, n, -2.0, 2.0);
    put(fop::taken(0), &q);
    put(fop::soft(0), &uniform(4, n, -2.0, 2.0));
    // The other one is never the smaller.
    put(fop::taken(1), &vec![100.0; n]);
    put(fop::soft(1), &vec![100.0; n]);
    let value = uniform(5, 2 * rows, -2.0, 2.0);
    let heads = fop.run.config.attention_kernels;
    gpu().write(&fop.loss.output(0, 0, true), &value);
    let key = vec![4.0 / heads as f32; 2 * rows * heads];
    gpu().write(&fop.loss.output(0, 1, true), &key);
    // Half of half, of each head.
    for net in [2, 3] {
        let zeros = vec![0.0_f32; 2 * rows * heads * AGENTS];
        gpu().write(&fop.loss.output(0, net, true), &zeros);
    }
    fop.loss.replay_target().expect("replayed");
    let want: Vec<f64> = q
        .chunks_exact(AGENTS)
        .zip(&value)
        .map(|(q, v)| q.iter().map(|q| f64::from(*q)).sum::<f64>() + f64::from(*v))
        .collect();
    close(&read(&fop.loss.next_values), &want, 1e-5, "joint values");
}

/// All joint actions of the states that are looked at, by brute force.
#[test]
fn the_gap_is_between_the_best_joint_action_and_the_policies() {
    let mut fop = made(&small());
    stir(&fop);
    (0..60).for_each(|_| fop.update().expect("updated"));
    gradients(&fop);
    let found = fop.alignment().expect("enumerated").expect("few actions");
    let stride = fop.critics.stride;
    let params = read(&fop.critics.adam.params);
    let actor = read(&fop.actor.adam.params);
    for (p, found) in found.iter().enumerate() {
        let mut host = Host::new(&fop, p);
        let rows = host.rows();
        let steps: Vec<usize> = (0..rows).filter(|&row| host.mask[row] == 1.0).collect();
        let count = steps.len().min(16);
        let looked_at: Vec<_> = (0..count).map(|i| steps[i * steps.len() / count]).collect();
        let log_policies = host.log_policies(&actor[p * fop.actor.stride..]);
        let words = params[p * stride..][..stride].to_vec();
        // By joint action and row.
        let mut values = vec![];
        let state = fop.run.sizes.state;
        for u in 0..SHOWN * SHOWN {
            let actions = [u / SHOWN, u % SHOWN];
            let done: Vec<u32> = (0..rows * AGENTS)
                .map(|i| actions[i % AGENTS] as u32)
                .collect();
            let columns = state + AGENTS * SHOWN;
            for row in 0..rows {
                let one_hot = &mut host.joint[0][row * columns + state..][..AGENTS * SHOWN];
                one_hot.fill(0.0);
                one_hot[actions[0]] = 1.0;
                one_hot[SHOWN + actions[1]] = 1.0;
            }
            let of = |k: usize| {
                let q = host.utilities(k, &words, &done);
                host.joint_values(k, &words, &q, &q, false)
            };
            let (first, second) = (of(0), of(1));
            values.push(
                first
                    .iter()
                    .zip(second)
                    .map(|(a, b)| a.min(b))
                    .collect::<Vec<_>>(),
            );
        }
        let (mut gap, mut best) = (0.0, 0.0);
        for row in looked_at {
            let may = |u: usize| {
                let at = |a: usize, n: usize| host.allowed[(row * AGENTS + a) * SHOWN + n] == 1.0;
                at(0, u / SHOWN) && at(1, u % SHOWN)
            };
            let top = (0..SHOWN * SHOWN)
                .filter(|&u| may(u))
                .map(|u| values[u][row]);
            let top = top.fold(f64::MIN, f64::max);
            let mode = |a: usize| {
                let l = &log_policies[row * AGENTS + a];
                (0..SHOWN)
                    .max_by(|x, y| l[*x].total_cmp(&l[*y]))
                    .unwrap_or(0)
            };
            gap += (top - values[mode(0) * SHOWN + mode(1)][row]) / count as f64;
            best += top / count as f64;
        }
        let found = [found.gap, found.best];
        close(&found, &[gap, best], 1e-4, &format!("member {p}"));
        assert!(gap > 0.01, "random policies agree with a random value");
    }
}

#[test]
fn a_member_of_a_population_learns_as_it_does_alone() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = Config {
            rollout: 4,
            learning_starts: 64,
            network,
            ..small()
        };
        let of = |seeds: usize, seed: u64| {
            let mut learner = learner(&Config {
                seeds,
                seed,
                ..config.clone()
            });
            (0..12).for_each(|_| learner.update().expect("updated"));
            learner.checkpoint().expect("saved")
        };
        let (all, one) = (of(3, 5), of(1, 7));
        let mut compared = 0;
        for (name, alone) in one.iter().filter(|(n, _)| {
            ["actor.", "critic_", "mixer_", "target."]
                .iter()
                .any(|first| n.starts_with(first))
                && !n.contains("adam")
        }) {
            let (Array::F32 { data: alone, .. }, Array::F32 { data: all, .. }) =
                (alone, &all[name])
            else {
                panic!("{name}");
            };
            let with_others = &all[2 * alone.len()..];
            let far = alone
                .iter()
                .zip(with_others)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(far <= 1e-5, "{network:?}: {name} differs by {far}");
            compared += 1;
        }
        assert!(compared > 30, "{compared} arrays");
    }
}

#[test]
fn runs_repeat_and_go_on_to_the_same_bytes() {
    let config = Config {
        rollout: 4,
        // Within the third update.
        learning_starts: 40,
        gradient_steps: 2,
        target_interval: 3,
        network: Kind::Gru,
        optimiser: crate::config::Optimiser::Rmsprop,
        ..small()
    };
    let mut whole = made(&config);
    (0..2).for_each(|_| whole.update().expect("updated"));
    assert_eq!(whole.run.gradient_steps_done(), 0);
    (0..7).for_each(|_| whole.update().expect("updated"));
    assert_eq!(whole.run.gradient_steps_done(), 14);
    let saved = whole.checkpoint().expect("saved");
    // The ring comes round.
    (0..8).for_each(|_| whole.update().expect("updated"));
    let end = whole.checkpoint().expect("saved");

    let mut resumed = learner(&config);
    resumed.update().expect("updated");
    resumed.restore(&saved).expect("restored");
    assert_eq!(resumed.checkpoint().expect("saved"), saved);
    (0..8).for_each(|_| resumed.update().expect("updated"));
    assert!(resumed.checkpoint().expect("saved") == end);

    for name in ["replay.counts", "target.mixer_1.value.dense_0.kernel"] {
        let mut missing = saved.clone();
        missing.remove(name).expect("is there");
        let refused = resumed.restore(&missing).expect_err("refused").to_string();
        assert!(
            refused.contains(&format!("`{name}` is missing")),
            "{refused}"
        );
        assert!(
            resumed.checkpoint().expect("saved") == end,
            "it is as it was"
        );
    }
}

/// Targets are about what the policies do after their step, not before.
#[test]
fn next_actions_are_those_of_the_policies_after_their_step() {
    let config = Config {
        rollout: 4,
        learning_starts: 64,
        learning_rate: 0.05,
        anneal_lr: false,
        ..small()
    };
    let mut fop = made(&config);
    (0..6).for_each(|_| fop.update().expect("updated"));
    let before = read(&fop.actor.adam.params);
    fop.update().expect("updated");
    let after = read(&fop.actor.adam.params);
    let (said, stride) = (read(&fop.log_probs), fop.actor.stride);
    for p in 0..2 {
        let host = Host::new(&fop, p);
        let rows = host.rows() * AGENTS;
        let said = &said[p * said.len() / 2..][..rows];
        let far = |words: &[f64]| {
            let log_policies = host.log_policies(&words[p * stride..]);
            let pairs = log_policies.iter().zip(&host.next).zip(said);
            let far = pairs.map(|((l, next), said)| (l[*next as usize] - said).abs());
            far.fold(0.0, f64::max)
        };
        assert!(far(&after) < 1e-4, "{}", far(&after));
        assert!(far(&before) > 0.01, "{}: nothing moved", far(&before));
    }
}

/// The targets are the critics again every so many gradient steps, and stand still between.
#[test]
fn the_targets_follow_every_so_often() {
    let config = Config {
        rollout: 4,
        learning_starts: 0,
        gradient_steps: 1,
        target_interval: 3,
        ..small()
    };
    let mut fop = made(&config);
    let mut before = read(&fop.critics.target_params);
    for update in 1..=7 {
        fop.update().expect("updated");
        let target = read(&fop.critics.target_params);
        if update % 3 == 0 {
            assert_eq!(target, read(&fop.critics.adam.params), "update {update}");
            assert_ne!(target, before, "update {update}");
        } else {
            assert_eq!(target, before, "update {update}");
        }
        before = target;
    }
}

#[test]
fn it_learns_to_match() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = Config {
            env: MATCH.into(),
            seeds: 1,
            envs: 8,
            rollout: 5,
            replay: 8 * 400,
            batch: 16,
            gradient_steps: 2,
            learning_starts: 200,
            learning_rate: 3e-3,
            gamma: 0.5,
            anneal_lr: false,
            epsilon_anneal: 2000,
            target_interval: 20,
            hidden: 32,
            critic_hidden: 32,
            temperature_init: 0.1,
            temperature_finish: 0.05,
            temperature_anneal: 4000,
            network,
            ..small()
        };
        let mut learner = learner(&config);
        for _ in 0..150 {
            learner.update().expect("updated");
        }
        let (reports, _) = learner.report().expect("reported");
        for name in [
            "td_loss",
            "actor_loss",
            "entropy",
            "joint_gap",
            "temperature",
        ] {
            assert!(reports[0].diagnostics.contains_key(name), "{name}");
        }
        (0..10).for_each(|_| learner.update().expect("updated"));
        let (reports, _) = learner.report().expect("reported");
        let mean = reports[0].episodes.mean_return();
        // Of 5; by chance 1.25 to 1.3. ε is 0.05 there.
        assert!(mean > 3.8, "{network:?}: {mean} of 5");
    }
}
