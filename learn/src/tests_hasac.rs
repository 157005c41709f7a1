//! HASAC against host references in double precision: what is replayed, targets, losses, gradients, temperatures, and whose actions whom teach.

use merit_sim::env::ActionSpace;
use merit_sim::rng::threefry2x32;

use crate::config::{Activation, Algo, Config, HasacEntropy, Network as Kind};
use crate::hasac::{Draw, Hasac, TEMPERATURE_WORDS, order, target_entropy};
use crate::kernel::Recorder;
use crate::learner::{Array, Learner};
use crate::net::Network;
use crate::rng::{Purpose, key};
use crate::sizes::Sizes;
use crate::testing::{AGENTS, MATCH, NUMBERS, REACH, SHOWN, STURDY, gpu, learner, toy};
use crate::tests::{close, network, read, uniform};
use crate::tests_values::{History, unpadded, values, words_u32};

const MEMBERS: usize = 2;

/// A small run on [`FRAGILE`] that only collects.
fn small() -> Config {
    Config {
        batch: 64,
        n_step: 3,
        critic_hidden: 16,
        bootstrap_truncated: true,
        temperature_init: 0.7,
        temperature_lr: 3e-4,
        target_polyak: 0.1,
        ..values(Algo::Hasac)
    }
}

fn made(config: &Config) -> Hasac {
    Hasac::new(gpu(), config, toy(config)).expect("fits")
}

/// Larger weights than the initial ones, other ones for the targets, a temperature of each.
fn stir(hasac: &Hasac) {
    let draw = |stream: u32, region: &merit_sim::gpu::Region, low: f64| {
        let words = (region.size / 4) as usize;
        gpu().write(region, &uniform(stream, words, low, 0.8));
    };
    draw(31, &hasac.policies.adam.params, -0.8);
    draw(32, &hasac.critics.adam.params, -0.8);
    draw(33, &hasac.critics.target_params, -0.8);
    draw(34, &hasac.temperature, 0.2);
}

fn now(record: impl FnOnce(&mut Recorder)) {
    let mut to = Recorder::new(gpu());
    record(&mut to);
    to.submit();
    gpu().sync().expect("the device is there");
}

/// Part `p` of what a region holds of all members, whose parts of `of` parts each lie together: `[of, P, …]`.
fn of_member(all: &[f64], of: usize, part: usize, p: usize) -> Vec<f64> {
    let n = all.len() / of / MEMBERS;
    all[(part * MEMBERS + p) * n..][..n].to_vec()
}

/// A member's networks over a batch, in double precision.
struct Host<'a> {
    hasac: &'a Hasac,
    p: usize,
    /// Transitions of a batch.
    rows: usize,
    seen: Vec<f64>,
    allowed: Vec<f64>,
    /// Of both slots: states, and actions of all agents behind them.
    states: Vec<f64>,
    policies: Vec<f64>,
    critics: Vec<f64>,
    targets: Vec<f64>,
}

impl<'a> Host<'a> {
    fn new(hasac: &'a Hasac, p: usize) -> Self {
        let part = |region: &merit_sim::gpu::Region, stride: usize| {
            read(region)[p * stride..][..stride].to_vec()
        };
        let (policies, critics) = (&hasac.policies, &hasac.critics);
        Self {
            hasac,
            p,
            rows: hasac.run.replay.sizes.batch,
            seen: unpadded(&hasac.batch.seen, SHOWN),
            allowed: read(&hasac.batch.allowed),
            states: unpadded(&hasac.batch.joint, critics.nets[0].inputs()),
            policies: part(&policies.adam.params, policies.stride),
            critics: part(&critics.adam.params, critics.stride),
            targets: part(&critics.target_params, critics.stride),
        }
    }

    fn alpha(&self, temperature: &[f64], agent: usize) -> f64 {
        temperature[(self.p * (AGENTS + 1) + agent) * TEMPERATURE_WORDS]
    }

    /// Logits of an agent in row `b`, and what it may do; `next`: behind the window.
    fn logits(&self, words: &[f64], agent: usize, b: usize, next: bool) -> (Vec<f64>, &[f64]) {
        let net = self.hasac.policies.net.copy(agent);
        let slot = if next { agent + AGENTS } else { agent };
        let row = (slot * MEMBERS + self.p) * self.rows + b;
        let tanh = self.hasac.run.config.activation == Activation::Tanh;
        let seen = &self.seen[row * SHOWN..][..SHOWN];
        let logits = network::forward(&net, words, tanh, seen, &mut vec![]);
        (logits, &self.allowed[row * SHOWN..][..SHOWN])
    }

    /// The noise on an agent's logits.
    fn gumbel(&self, step: u32, draw: Draw, agent: usize, b: usize) -> Vec<f64> {
        let c = &self.hasac.run.config;
        let key = key(c.seeds_from(c.seed)[self.p], Purpose::Resample);
        let row = (draw as usize * AGENTS + agent) * self.rows + b;
        let of = |n: usize| {
            let [bits, _] = threefry2x32(key, [step, (row * SHOWN + n) as u32]);
            let u = (f64::from(bits >> 9) + 0.5) / f64::from(1 << 23);
            -(-u.ln()).ln()
        };
        (0..SHOWN).map(of).collect()
    }

    /// The action that a policy with these words draws, its ln π, and how far the next best was.
    fn draw(&self, words: &[f64], step: u32, draw: Draw, agent: usize, b: usize) -> Drawn {
        let (logits, allowed) = self.logits(words, agent, b, draw == Draw::Next);
        let noise = self.gumbel(step, draw, agent, b);
        let sums = logits.iter().zip(&noise).map(|(l, g)| l + g).enumerate();
        let mut sums: Vec<_> = sums.filter(|(n, _)| allowed[*n] == 1.0).collect();
        sums.sort_by(|x, y| y.1.total_cmp(&x.1));
        Drawn {
            action: sums[0].0,
            log_prob: network::log_softmax(&logits, allowed)[sums[0].0],
            margin: sums[0].1 - sums[1].1,
        }
    }

    /// Q(s, a) of critic `k` with these words.
    fn value(&self, words: &[f64], k: usize, b: usize, next: bool, actions: &[f64]) -> f64 {
        let net = &self.hasac.critics.nets[k];
        let row = (usize::from(next) * MEMBERS + self.p) * self.rows + b;
        let state = self.hasac.run.sizes.state;
        let mut input = self.states[row * net.inputs()..][..state].to_vec();
        input.extend(actions);
        network::forward(net, words, false, &input, &mut vec![])[0]
    }

    fn least(&self, words: &[f64], b: usize, next: bool, actions: &[f64]) -> f64 {
        let of = |k: usize| self.value(words, k, b, next, actions);
        (0..self.hasac.critics.nets.len())
            .map(of)
            .fold(f64::MAX, f64::min)
    }
}

struct Drawn {
    action: usize,
    log_prob: f64,
    margin: f64,
}

fn one_hot(actions: &[usize]) -> Vec<f64> {
    let of = |&a: &usize| (0..SHOWN).map(move |n| f64::from(u8::from(n == a)));
    actions.iter().flat_map(of).collect()
}

/// What was drawn for a member's row: `[agent]`.
fn chosen(hasac: &Hasac, all: &[u32], draw: Draw, p: usize, b: usize) -> Vec<usize> {
    let rows = hasac.run.replay.sizes.batch;
    let at = |a: usize| ((draw as usize * AGENTS + a) * MEMBERS + p) * rows + b;
    (0..AGENTS).map(|a| all[at(a)] as usize).collect()
}

fn cases() -> Vec<Config> {
    vec![
        small(),
        Config {
            env: STURDY.into(),
            activation: Activation::Tanh,
            n_step: 1,
            twin_critics: false,
            huber_delta: 0.6,
            feature_norm: false,
            bootstrap_truncated: false,
            ..small()
        },
        Config {
            env: STURDY.into(),
            n_step: 30,
            huber_delta: 0.3,
            reward_scale: 2.0,
            ..small()
        },
    ]
}

/// Windows that end by the game, by the step limit, at the newest step and of full length, in a ring that has not come round and one that has.
#[test]
fn a_batch_is_transitions_that_happened() {
    let mut kinds = [0; 4];
    let short = cases().into_iter().take(1).map(|config| (config, 20));
    let long = cases().into_iter().map(|config| (config, 131));
    for (config, steps) in short.chain(long) {
        let what = format!("{} steps of {}, n = {}", steps, config.env, config.n_step);
        let mut hasac = made(&config);
        let io = hasac.run.env.io().clone();
        let capacity = hasac.run.replay.sizes.capacity;
        let history = History::watch(&io, capacity, steps, || hasac.update().expect("updated"));
        let newest = {
            let at = |region: &merit_sim::gpu::Region| {
                let words = region.size as usize / 4 / capacity;
                read(&region.part(steps % capacity * words, words))
            };
            [at(&io.obs), at(&io.state), at(&io.avail)]
        };
        now(|to| hasac.record_batch(to, hasac.run.gradient_tick(0)));
        let (rows, state) = (hasac.run.replay.sizes.batch, hasac.run.sizes.state);
        let drawn = words_u32(&hasac.run.replay.drawn);
        let columns = hasac.critics.nets[0].inputs();
        let joint = unpadded(&hasac.batch.joint, columns);
        let seen = unpadded(&hasac.batch.seen, SHOWN);
        let allowed = read(&hasac.batch.allowed);
        let (outcomes, valid) = (read(&hasac.batch.outcomes), read(&hasac.batch.valid));
        let mut dead = 0;
        for p in 0..MEMBERS {
            let mut twice = std::collections::BTreeSet::new();
            for b in 0..rows {
                let d = &drawn[(p * rows + b) * 4..][..4];
                let (env, start) = (d[0] as usize, d[1] as usize);
                assert!(
                    start < steps && start + capacity > steps,
                    "{what}: step {start}"
                );
                assert_eq!(env / config.envs, p, "{what}");
                assert!(twice.insert((env, start)), "{what}: drawn twice");
                let (mut length, mut end) = (0, (false, false));
                while length < config.n_step && start + length < steps && end == (false, false) {
                    end = history.ends[start + length][env];
                    length += 1;
                }
                let kind = match end {
                    (true, _) => 0,
                    (_, true) => 1,
                    _ if length < config.n_step => 2,
                    _ => 3,
                };
                kinds[kind] += 1;
                // The definitions.
                let mut want = [0.0, config.gamma.powi(length as i32)];
                for l in 0..length {
                    let paid = &history.reward[start + l][env * AGENTS..][..AGENTS];
                    let team = paid.iter().sum::<f64>() / AGENTS as f64;
                    want[0] += config.gamma.powi(l as i32) * config.reward_scale * team;
                }
                if kind == 0 || kind == 1 && !config.bootstrap_truncated {
                    want[1] = 0.0;
                }
                let row = p * rows + b;
                close(&outcomes[2 * row..][..2], &want, 1e-6, &what);

                let next = start + length;
                let kept = history.finals.get(&(env, next - 1));
                let of = |past: &[Vec<f64>], newest: &[f64], step: usize, words: usize| {
                    let all = past.get(step).map_or(newest, |x| &x[..]);
                    all[env * words..][..words].to_vec()
                };
                let seen_then = [start, next].map(|step| match kept {
                    Some((obs, _)) if step == next && kind == 1 => obs.clone(),
                    _ => of(&history.obs, &newest[0], step, AGENTS * SHOWN),
                });
                let state_then = [start, next].map(|step| match kept {
                    Some((_, state)) if step == next && kind == 1 => state.clone(),
                    _ => of(&history.state, &newest[1], step, state),
                });
                let may_then = [start, next].map(|step| {
                    let step = if step == next && kind == 1 {
                        step - 1
                    } else {
                        step
                    };
                    of(&history.avail, &newest[2], step, AGENTS * SHOWN)
                });
                for slot in 0..2 {
                    let at = (slot * MEMBERS + p) * rows + b;
                    assert_eq!(joint[at * columns..][..state], state_then[slot], "{what}");
                    for a in 0..AGENTS {
                        let at = ((slot * AGENTS + a) * MEMBERS + p) * rows + b;
                        let mut want = seen_then[slot][a * SHOWN..][..SHOWN].to_vec();
                        if config.feature_norm {
                            want = normalised(&want);
                        }
                        close(&seen[at * SHOWN..][..SHOWN], &want, 1e-5, &what);
                        let may = &may_then[slot][a * SHOWN..][..SHOWN];
                        assert_eq!(&allowed[at * SHOWN..][..SHOWN], may, "{what}");
                    }
                }
                let done = &history.actions[start][env * AGENTS..][..AGENTS];
                let done: Vec<_> = done.iter().map(|&a| a as usize).collect();
                let shown = &joint[(p * rows + b) * columns + state..][..AGENTS * SHOWN];
                assert_eq!(shown, one_hot(&done), "{what}");
                for a in 0..AGENTS {
                    let before = start.checked_sub(1);
                    let died = before.is_some_and(|t| {
                        history.ends[t][env] == (false, false)
                            && history.agent_done[t][env * AGENTS + a] == 1.0
                    });
                    dead += usize::from(died);
                    let found = valid[(a * MEMBERS + p) * rows + b];
                    assert_eq!(found, f64::from(u8::from(!died)), "{what}");
                }
            }
        }
        assert!(dead > 0, "{what}: nobody was dead");
    }
    assert!(kinds.iter().all(|n| *n > 0), "{kinds:?}");
}

fn normalised(x: &[f64]) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    x.iter()
        .map(|x| (x - mean) / (variance + 1e-5).sqrt())
        .collect()
}

/// The targets' part that both the team's and a single agent's test take from the device's own draws.
#[test]
fn targets_losses_and_gradients_equal_the_formulas() {
    // Rows in which each critic is the smaller one, for the targets and for the policies.
    let mut smaller = [[0; 2]; 2];
    for config in cases() {
        let what = format!("{}, n = {}", config.env, config.n_step);
        let mut hasac = made(&config);
        stir(&hasac);
        (0..60).for_each(|_| hasac.update().expect("updated"));
        let tick = hasac.run.gradient_tick(0);
        now(|to| {
            hasac.record_batch(to, tick);
            hasac.record_critic_gradients(to, tick);
            hasac.critics.adam.record_norms(to, tick);
        });
        let (rows, stride) = (hasac.run.replay.sizes.batch, hasac.critics.stride);
        let temperature = read(&hasac.temperature);
        let outcomes = read(&hasac.batch.outcomes);
        let picked = words_u32(&hasac.policies.chosen);
        let (said, grads) = (read(&hasac.critics.said), read(&hasac.critics.adam.grads));
        let joint = unpadded(&hasac.batch.joint, hasac.critics.nets[0].inputs());
        let log_probs = read(&hasac.policies.log_probs);
        let columns = hasac.critics.nets[0].inputs();
        let state = hasac.run.sizes.state;
        let critics = hasac.critics.nets.len();
        let mut largest = [0.0_f64; 2];
        for p in 0..MEMBERS {
            let host = Host::new(&hasac, p);
            let alpha = host.alpha(&temperature, AGENTS);
            let mut goals = vec![];
            for b in 0..rows {
                let a = chosen(&hasac, &picked, Draw::Next, p, b);
                let mut log_prob = 0.0;
                for (agent, &picked) in a.iter().enumerate() {
                    let drawn = host.draw(&host.policies, 0, Draw::Next, agent, b);
                    if drawn.margin > 1e-4 {
                        assert_eq!(drawn.action, picked, "{what}: row {b}");
                    }
                    let at = (agent * MEMBERS + p) * rows + b;
                    close(&[log_probs[at]], &[drawn.log_prob], 1e-4, &what);
                    log_prob += drawn.log_prob;
                }
                let row = (MEMBERS + p) * rows + b;
                let shown = &joint[row * columns + state..][..AGENTS * SHOWN];
                assert_eq!(shown, one_hot(&a), "{what}");
                let values: Vec<_> = (0..critics)
                    .map(|k| host.value(&host.targets, k, b, true, &one_hot(&a)))
                    .collect();
                if critics == 2 {
                    smaller[0][usize::from(values[1] < values[0])] += 1;
                }
                let least = values.iter().copied().fold(f64::MAX, f64::min);
                let [paid, factor] = [0, 1].map(|i| outcomes[2 * (p * rows + b) + i]);
                goals.push(paid + factor * (least - alpha * log_prob));
            }
            let found: Vec<_> = (0..rows).map(|b| said[4 * (p * rows + b) + 3]).collect();
            close(&found, &goals, 1e-4, &format!("{what}: targets"));
            let loss = |words: &[f64]| {
                let of = |k: usize, b: usize| {
                    let at = (p * rows + b) * columns + state;
                    let done = &joint[at..][..AGENTS * SHOWN];
                    let error = (host.value(words, k, b, false, done) - goals[b]).abs();
                    match config.huber_delta {
                        d if d > 0.0 && error > d => d * (error - d / 2.0),
                        d if d > 0.0 => error * error / 2.0,
                        _ => error * error,
                    }
                };
                let all = (0..critics).flat_map(|k| (0..rows).map(move |b| (k, b)));
                all.map(|(k, b)| of(k, b)).sum::<f64>() / rows as f64
            };
            let found: f64 = (0..rows).map(|b| said[4 * (p * rows + b)]).sum();
            let want = loss(&host.critics) * rows as f64 / critics as f64;
            close(&[found], &[want], 1e-4, &format!("{what}: critics' loss"));
            for i in (7 * p..stride).step_by(13) {
                let at = |d: f64| {
                    let mut words = host.critics.clone();
                    words[i] += d;
                    loss(&words)
                };
                let h = 1e-6;
                let want = (at(h) - at(-h)) / (2.0 * h);
                largest[0] = largest[0].max(want.abs());
                let found = grads[p * stride + i];
                assert!(
                    (found - want).abs() < 2e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i} of the critics: {found}, expected {want}"
                );
            }
        }

        // The second agent's turn, beside what the first one would do.
        let agent = 1;
        now(|to| {
            hasac.record_before(to, tick);
            hasac.record_policy_gradient(to, tick, agent);
            hasac.policies.adam.record_norms(to, tick);
        });
        let (stride, valid) = (hasac.policies.stride, read(&hasac.batch.valid));
        let picked = words_u32(&hasac.policies.chosen);
        let grads = read(&hasac.policies.adam.grads);
        let losses = read(&hasac.critics.policy_loss);
        for p in 0..MEMBERS {
            let host = Host::new(&hasac, p);
            let alpha = host.alpha(&temperature, agent);
            let lives = of_member(&valid, AGENTS, agent, p);
            let alive: f64 = lives.iter().sum();
            assert!(alive > 8.0 && alive < rows as f64, "{what}: {alive} live");
            for b in 0..rows {
                let drawn = host.draw(&host.policies, 0, Draw::Trial, agent, b);
                let a = chosen(&hasac, &picked, Draw::Trial, p, b)[agent];
                let may = host.logits(&host.policies, agent, b, false).1[a];
                assert_eq!(may, 1.0, "{what}: forbidden");
                assert!(drawn.margin < 1e-4 || drawn.action == a, "{what}: row {b}");
            }
            // Straight through: the drawn action, moved as the softmax of the noisy logits moves.
            let soft = |words: &[f64], b: usize| -> Vec<f64> {
                let (logits, may) = host.logits(words, agent, b, false);
                let noise = host.gumbel(0, Draw::Trial, agent, b);
                let sums: Vec<_> = logits.iter().zip(noise).map(|(l, g)| l + g).collect();
                let log = network::log_softmax(&sums, may);
                log.iter().map(|l| l.exp()).collect()
            };
            let here: Vec<_> = (0..rows).map(|b| soft(&host.policies, b)).collect();
            let mut loss = |words: &[f64]| {
                let mut sum = 0.0;
                for b in (0..rows).filter(|&b| lives[b] == 1.0) {
                    let mut before = chosen(&hasac, &picked, Draw::Before, p, b);
                    before[agent] = chosen(&hasac, &picked, Draw::Trial, p, b)[agent];
                    let mut action = one_hot(&before);
                    let own = &mut action[agent * SHOWN..][..SHOWN];
                    let moved = soft(words, b);
                    for (n, y) in own.iter_mut().enumerate() {
                        *y += moved[n] - here[b][n];
                    }
                    let (logits, may) = host.logits(words, agent, b, false);
                    let log = network::log_softmax(&logits, may);
                    let own = &action[agent * SHOWN..][..SHOWN];
                    let log_prob: f64 = own
                        .iter()
                        .zip(&log)
                        .zip(may)
                        .map(|((y, l), may)| if *may == 1.0 { y * l } else { 0.0 })
                        .sum();
                    if critics == 2 {
                        let of = |k: usize| host.value(&host.critics, k, b, false, &action);
                        smaller[1][usize::from(of(1) < of(0))] += 1;
                    }
                    let q = host.least(&host.critics, b, false, &action);
                    sum += alpha * log_prob - q;
                }
                sum / alive
            };
            let found: f64 = of_member(&losses, AGENTS, agent, p).iter().sum();
            let want = loss(&host.policies);
            close(&[found], &[want], 1e-4, &format!("{what}: policy's loss"));
            let apart = hasac.policies.net.copy_stride();
            for i in (agent * apart + 3 * p..(agent + 1) * apart).step_by(7) {
                let mut at = |d: f64| {
                    let mut words = host.policies.clone();
                    words[i] += d;
                    loss(&words)
                };
                let h = 1e-6;
                let want = (at(h) - at(-h)) / (2.0 * h);
                largest[1] = largest[1].max(want.abs());
                let found = grads[p * stride + i];
                assert!(
                    (found - want).abs() < 2e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i} of the policy: {found}, expected {want}"
                );
            }
        }
        assert!(
            largest.iter().all(|x| *x > 0.01),
            "{what}: gradients of {largest:?} would show nothing"
        );
    }
    assert!(
        smaller.iter().flatten().all(|rows| *rows > 0),
        "{smaller:?}"
    );
}

/// One agent, one step: y = r + γ (1 - d) (min Q⁻(s', a') - α ln π(a'|s')), as soft actor-critic has it (Haarnoja et al. 2018).
#[test]
fn the_target_of_one_agent_and_one_step_is_soft_actor_critics() {
    let config = Config {
        env: "keydoor".into(),
        env_options: "max_steps = 12\nlength = 2".parse().expect("toml"),
        n_step: 1,
        seeds: 1,
        feature_norm: false,
        ..small()
    };
    let options = crate::ppo::options(&config).expect("options");
    let spec = merit_sim::registry::spec(&config.env, &options).expect("is there");
    let replay = crate::replay::ReplaySizes::new(&config, &spec).expect("fits");
    let batch = crate::replay::environments(&config, &replay);
    let env = merit_sim::registry::make(gpu(), &config.env, &options, &batch).expect("made");
    let ActionSpace::Discrete(n) = spec.actions else {
        panic!("{:?}", spec.actions)
    };
    let mut hasac = Hasac::new(gpu(), &config, env).expect("fits");
    stir(&hasac);
    let io = hasac.run.env.io().clone();
    let steps = 90;
    let history = History::watch(&io, replay.capacity, steps, || {
        hasac.update().expect("updated");
    });
    let tick = hasac.run.gradient_tick(0);
    now(|to| {
        hasac.record_batch(to, tick);
        hasac.record_critic_gradients(to, tick);
    });
    let drawn = words_u32(&hasac.run.replay.drawn);
    let (chosen, said) = (words_u32(&hasac.policies.chosen), read(&hasac.critics.said));
    let policy = read(&hasac.policies.adam.params);
    let target = read(&hasac.critics.target_params);
    let alpha = read(&hasac.temperature)[TEMPERATURE_WORDS];
    let rows = replay.batch;
    let (mut ends, mut paid) = ([0; 2], 0);
    for b in 0..rows {
        let d = &drawn[4 * b..][..4];
        let (env, t) = (d[0] as usize, d[1] as usize);
        let (over, cut) = history.ends[t][env];
        if t + 1 == steps && !over && !cut {
            // What came next is in no history.
            continue;
        }
        ends[0] += usize::from(over);
        ends[1] += usize::from(cut);
        let of = |all: &[f64], words: usize| all[env * words..][..words].to_vec();
        let [obs, state] = match history.finals.get(&(env, t)) {
            Some((obs, state)) => [obs.clone(), state.clone()],
            None if over => [vec![0.0; spec.obs], vec![0.0; spec.state]],
            None => [
                of(&history.obs[t + 1], spec.obs),
                of(&history.state[t + 1], spec.state),
            ],
        };
        let action = chosen[b] as usize;
        let logits = network::forward(&hasac.policies.net, &policy, false, &obs, &mut vec![]);
        let log_prob = network::log_softmax(&logits, &vec![1.0; n])[action];
        let mut input = state;
        input.extend((0..n).map(|k| f64::from(u8::from(k == action))));
        let value = |net: &Network| network::forward(net, &target, false, &input, &mut vec![])[0];
        let least = hasac
            .critics
            .nets
            .iter()
            .map(value)
            .fold(f64::MAX, f64::min);
        let r = history.reward[t][env];
        paid += usize::from(r != 0.0);
        let d = f64::from(u8::from(over));
        let want = r + config.gamma * (1.0 - d) * (least - alpha * log_prob);
        close(&[said[4 * b + 3]], &[want], 1e-4, &format!("row {b}"));
    }
    assert!(
        ends.iter().all(|n| *n > 0) && paid > 0,
        "{ends:?} ends, {paid} paid"
    );
}

/// An agent learns beside what those before it do after their steps, not what they did before; and draws again with what it has learned.
#[test]
fn agents_step_one_after_the_other() {
    let config = Config {
        learning_starts: 256,
        learning_rate: 0.1,
        critic_learning_rate: 0.01,
        anneal_lr: false,
        max_grad_norm: 1e6,
        ..small()
    };
    let mut orders = std::collections::BTreeSet::new();
    let mut hasac = made(&config);
    // 256 steps of four environments: the first gradient step is the 64th update's.
    (0..66).for_each(|_| hasac.update().expect("updated"));
    stir(&hasac);
    for _ in 0..4 {
        let step = hasac.run.gradient_steps_done();
        assert!(step > 0);
        let before = read(&hasac.policies.adam.params);
        let temperature = read(&hasac.temperature);
        hasac.update().expect("updated");
        let turns = order(step, AGENTS);
        orders.insert(turns.clone());
        let [first, second] = turns[..] else {
            panic!("{turns:?}")
        };
        let (log_probs, valid) = (read(&hasac.policies.log_probs), read(&hasac.batch.valid));
        let picked = words_u32(&hasac.policies.chosen);
        let losses = read(&hasac.critics.policy_loss);
        let rows = hasac.run.replay.sizes.batch;
        let stride = hasac.policies.stride;
        for p in 0..MEMBERS {
            let host = Host::new(&hasac, p);
            let stale = &before[p * stride..][..stride];
            let (mut anew, mut fresh, mut old) = (0, 0.0_f64, 0.0_f64);
            let mut drawn_otherwise = 0;
            let lives = of_member(&valid, AGENTS, second, p);
            let alive: f64 = lives.iter().sum();
            let alpha = host.alpha(&temperature, second);
            let (mut want, mut with_old) = (vec![], vec![]);
            for (b, &lives) in lives.iter().enumerate() {
                let at = ((Draw::After as usize * AGENTS + first) * MEMBERS + p) * rows + b;
                let after = chosen(&hasac, &picked, Draw::After, p, b)[first];
                let now = host.draw(&host.policies, step as u32, Draw::After, first, b);
                let then = host.draw(stale, step as u32, Draw::After, first, b);
                if now.margin > 1e-3 {
                    assert_eq!(now.action, after, "member {p}, row {b}");
                    fresh = fresh.max((now.log_prob - log_probs[at]).abs());
                }
                drawn_otherwise += usize::from(then.action != after);
                old = old.max((then.log_prob - log_probs[at]).abs());
                // The second one's loss: its own action by its policy in front of its step.
                let trial = chosen(&hasac, &picked, Draw::Trial, p, b)[second];
                let own = host.draw(stale, step as u32, Draw::Trial, second, b);
                if own.margin < 1e-3 || now.margin < 1e-3 {
                    want.push(None);
                    with_old.push(0.0);
                    continue;
                }
                assert_eq!(own.action, trial, "member {p}, row {b}");
                let mut actions = [trial; AGENTS];
                let mut of = |other: usize| {
                    actions[first] = other;
                    let q = host.least(&host.critics, b, false, &one_hot(&actions));
                    lives / alive * (alpha * own.log_prob - q)
                };
                want.push(Some(of(after)));
                let stale_action = chosen(&hasac, &picked, Draw::Before, p, b)[first];
                anew += usize::from(stale_action != after);
                with_old.push(of(stale_action));
            }
            let found = of_member(&losses, AGENTS, second, p);
            let far = |to: &dyn Fn(usize) -> Option<f64>| {
                let apart = (0..rows).filter_map(|b| Some((found[b] - to(b)?).abs()));
                apart.fold(0.0, f64::max)
            };
            let to_fresh = far(&|b| want[b]);
            let to_stale = far(&|b| want[b].map(|_| with_old[b]));
            assert!(fresh < 1e-3, "member {p}: ln π {fresh} off");
            assert!(
                old > 0.01 && drawn_otherwise > 0,
                "member {p}: nothing moved"
            );
            assert!(anew > 0, "member {p}: nothing was drawn anew");
            assert!(to_fresh < 1e-4, "member {p}: losses {to_fresh} off");
            assert!(
                to_stale > 1e-3,
                "member {p}: stale actions would not show: {to_stale}"
            );
        }
    }
    assert_eq!(orders.len(), 2, "{orders:?}: always the same order");
}

/// Every order comes about as often as every other, and a step's is always the same.
#[test]
fn orders_are_permutations_of_all_kinds() {
    let mut counts = std::collections::BTreeMap::new();
    for step in 0..6000 {
        let one = order(step, 3);
        assert_eq!(one, order(step, 3));
        *counts.entry(one).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(
        counts.values().all(|n| (850..1150).contains(n)),
        "{counts:?}"
    );
    assert_eq!(order(9, 1), [0]);
}

/// Adam's step on ln α, of every agent and of the team; entropies above their aim lower it.
#[test]
fn temperatures_step_towards_the_entropy() {
    let config = Config {
        learning_starts: 256,
        temperature_lr: 0.05,
        temperature_init: 0.5,
        ..small()
    };
    let discrete = ActionSpace::Discrete(SHOWN);
    assert_eq!(target_entropy(&config, discrete), [0.98, 0.0]);
    let code = Config {
        hasac_entropy_target: HasacEntropy::Code,
        ..config.clone()
    };
    assert_eq!(target_entropy(&code, discrete), [0.0, 0.0]);
    let numbers = ActionSpace::Continuous(3);
    assert_eq!(target_entropy(&config, numbers), [0.0, -3.0]);
    for (config, share) in [(config, 0.98), (code, 0.0)] {
        let mut hasac = made(&config);
        (0..63).for_each(|_| hasac.update().expect("updated"));
        let mut want = read(&hasac.temperature);
        assert!((want[0] - 0.5).abs() < 1e-7);
        let rows = hasac.run.replay.sizes.batch;
        for step in 1..=5 {
            hasac.update().expect("updated");
            let log_probs = read(&hasac.policies.log_probs);
            let allowed = read(&hasac.batch.allowed);
            let found = read(&hasac.temperature);
            for p in 0..MEMBERS {
                let entropy = |a: usize| {
                    let part = Draw::Trial as usize * AGENTS + a;
                    let of = of_member(&log_probs, Draw::ALL.len() * AGENTS, part, p);
                    -of.iter().sum::<f64>() / rows as f64
                };
                // Of what an agent may do, and not of all there is.
                let aim = |a: usize| {
                    let of = of_member(&allowed, 2 * AGENTS, a, p);
                    let counts = of.chunks_exact(SHOWN).map(|row| row.iter().sum::<f64>());
                    share * counts.map(f64::ln).sum::<f64>() / rows as f64
                };
                if share > 0.0 {
                    assert!(
                        aim(0) < 0.999 * share * (SHOWN as f64).ln(),
                        "nothing is masked"
                    );
                }
                for a in 0..=AGENTS {
                    let (h, aim): (f64, f64) = match a {
                        AGENTS => ((0..AGENTS).map(entropy).sum(), (0..AGENTS).map(aim).sum()),
                        a => (entropy(a), aim(a)),
                    };
                    let at = (p * (AGENTS + 1) + a) * TEMPERATURE_WORDS;
                    let g = h - aim;
                    let m = 0.9 * want[at + 2] + 0.1 * g;
                    let v = 0.999 * want[at + 3] + 0.001 * g * g;
                    let corrected = [1.0 - 0.9_f64.powi(step), 1.0 - 0.999_f64.powi(step)];
                    let moved = m / corrected[0] / ((v / corrected[1]).sqrt() + config.adam_eps);
                    let omega = want[at + 1] - 0.05 * moved;
                    let next = [omega.exp(), omega, m, v, h];
                    want[at..][..TEMPERATURE_WORDS].copy_from_slice(&next);
                    close(
                        &found[at..][..TEMPERATURE_WORDS],
                        &next,
                        2e-4,
                        "temperature",
                    );
                }
            }
        }
        // The first policies are near uniform, so that they are above the aim of 0.
        let falls = read(&hasac.temperature)[0] < 0.5;
        assert!(share > 0.0 || falls);
    }
    let fixed = Config {
        learning_starts: 256,
        temperature_lr: 0.0,
        temperature_init: 0.001,
        ..small()
    };
    let mut hasac = made(&fixed);
    (0..66).for_each(|_| hasac.update().expect("updated"));
    let found = read(&hasac.temperature);
    for at in (0..found.len()).step_by(TEMPERATURE_WORDS) {
        assert!((found[at] - 0.001).abs() < 1e-9);
        assert!(found[at + 4] > 0.5, "the entropy is known all the same");
    }
}

/// Every agent collects with its own policy, in both layouts, and what is forbidden is never done; uniformly before it learns.
#[test]
fn every_agent_acts_by_its_own_policy() {
    for (feature_norm, by_rows) in [(true, true), (false, true), (true, false), (false, false)] {
        let what = format!("normalised: {feature_norm}, by rows: {by_rows}");
        let config = Config {
            feature_norm,
            by_rows: Some(by_rows),
            learning_starts: 64,
            // So small a step changes nothing.
            learning_rate: 1e-12,
            ..small()
        };
        let mut hasac = made(&config);
        let io = hasac.run.env.io().clone();
        let capacity = hasac.run.replay.sizes.capacity;
        let mut words = uniform(31, hasac.policies.adam.params.size as usize / 4, -0.8, 0.8);
        let stride = hasac.policies.stride;
        for words in words.chunks_exact_mut(stride) {
            for i in 0..AGENTS {
                let net = hasac.policies.net.copy(i);
                // Nearly always the same in the same place.
                words[net.head().kernel..net.head().end()]
                    .iter_mut()
                    .for_each(|w| *w *= 40.0);
            }
        }
        gpu().write(&hasac.policies.adam.params, &words);
        let history = History::watch(&io, capacity, 40, || hasac.update().expect("updated"));
        let words: Vec<f64> = words.into_iter().map(f64::from).collect();
        let (mut uniform, mut compared, mut otherwise, mut forbidden) = (0, 0, 0, 0);
        for t in 0..40 {
            for g in 0..MEMBERS * config.envs {
                for a in 0..AGENTS {
                    let row = g * AGENTS + a;
                    let action = history.actions[t][row] as usize;
                    let may = &history.avail[t][row * SHOWN..][..SHOWN];
                    assert_eq!(may[action], 1.0, "{what}: forbidden");
                    forbidden += may.iter().filter(|m| **m == 0.0).count();
                    let mut seen = history.obs[t][row * SHOWN..][..SHOWN].to_vec();
                    if feature_norm {
                        seen = normalised(&seen);
                    }
                    let words = &words[g / config.envs * stride..][..stride];
                    let best = |agent: usize| {
                        let net = hasac.policies.net.copy(agent);
                        let logits = network::forward(&net, words, false, &seen, &mut vec![]);
                        let log = network::log_softmax(&logits, may);
                        let best = (0..SHOWN).max_by(|x, y| log[*x].total_cmp(&log[*y]));
                        let best = best.expect("some");
                        (best, log[best].exp())
                    };
                    let (own, p) = best(a);
                    if t * config.envs < config.learning_starts as usize {
                        uniform += usize::from(action != own);
                    } else if p > 0.9999 {
                        assert_eq!(action, own, "{what}: step {t}, agent {a}");
                        compared += 1;
                        otherwise += usize::from(best(1 - a).0 != own);
                    }
                }
            }
        }
        assert!(
            uniform > 40 && compared > 100 && otherwise > 30 && forbidden > 0,
            "{what}: {uniform} {compared} {otherwise}"
        );
    }
}

/// θ⁻ moves a tenth of the way in every gradient step.
#[test]
fn the_targets_follow_in_every_step() {
    let config = Config {
        learning_starts: 256,
        critic_learning_rate: 0.01,
        ..small()
    };
    let mut hasac = made(&config);
    (0..63).for_each(|_| hasac.update().expect("updated"));
    let mut target = read(&hasac.critics.target_params);
    assert_eq!(target, read(&hasac.critics.adam.params));
    for _ in 0..3 {
        hasac.update().expect("updated");
        let params = read(&hasac.critics.adam.params);
        assert_ne!(params, target);
        let followed = target.iter().zip(&params).map(|(t, x)| t + 0.1 * (x - t));
        target = followed.collect();
        close(
            &read(&hasac.critics.target_params),
            &target,
            1e-6,
            "targets",
        );
    }
}

#[test]
fn a_member_of_a_population_learns_as_it_does_alone() {
    let config = Config {
        rollout: 4,
        gradient_steps: 2,
        learning_starts: 80,
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
        ["actor_", "critic_", "target.", "temperature"]
            .iter()
            .any(|first| n.starts_with(first))
    }) {
        let (Array::F32 { data: alone, .. }, Array::F32 { data: all, .. }) = (alone, &all[name])
        else {
            panic!("{name}");
        };
        let with_others = &all[2 * alone.len()..];
        let apart = alone.iter().zip(with_others).map(|(a, b)| (a - b).abs());
        let far = apart.fold(0.0, f32::max);
        assert!(far <= 1e-5, "{name} differs by {far}");
        compared += 1;
    }
    assert!(compared > 30, "{compared} arrays");
}

#[test]
fn runs_repeat_and_go_on_to_the_same_bytes() {
    let config = Config {
        rollout: 4,
        learning_starts: 80,
        gradient_steps: 2,
        ..small()
    };
    let mut whole = made(&config);
    (0..4).for_each(|_| whole.update().expect("updated"));
    assert_eq!(whole.run.gradient_steps_done(), 0);
    (0..6).for_each(|_| whole.update().expect("updated"));
    assert_eq!(whole.run.gradient_steps_done(), 12);
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

    let mut again = learner(&config);
    (0..18).for_each(|_| again.update().expect("updated"));
    assert!(
        again.checkpoint().expect("saved") == end,
        "a repeat differs"
    );

    for name in ["actor_1.dense_0.kernel", "temperature", "replay.obs"] {
        let mut missing = saved.clone();
        missing.remove(name).expect("is there");
        let refused = resumed.restore(&missing).expect_err("refused").to_string();
        let says = format!("`{name}` is missing");
        assert!(refused.contains(&says), "{refused}");
        assert!(
            resumed.checkpoint().expect("saved") == end,
            "it is as it was"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let refused = |config: Config| {
        let env = toy(&small());
        let sizes = Sizes::new(&config, env.spec());
        sizes.expect_err("must be refused").to_string()
    };
    let text = refused(Config {
        network: Kind::Gru,
        ..small()
    });
    assert!(text.contains("set network = \"ff\""), "{text}");
    let text = refused(Config {
        batch: 100,
        ..small()
    });
    assert!(
        text.contains("batch = 100") && text.contains("128"),
        "{text}"
    );
    let text = refused(Config {
        learning_starts: 60,
        ..small()
    });
    assert!(text.contains("set learning_starts to 64"), "{text}");
    let text = refused(Config {
        replay: 60,
        ..small()
    });
    assert!(text.contains("set replay to 68 or more"), "{text}");
    for (config, key) in [
        (
            Config {
                n_step: 0,
                ..small()
            },
            "`n_step` is 0",
        ),
        (
            Config {
                huber_delta: -1.0,
                ..small()
            },
            "`huber_delta` is -1",
        ),
        (
            Config {
                critic_learning_rate: 0.0,
                ..small()
            },
            "`critic_learning_rate` is 0",
        ),
    ] {
        let text = config.check().expect_err("must be refused").to_string();
        assert!(text.contains(key), "{text}");
    }
}

#[test]
fn it_learns_to_match() {
    let config = Config {
        env: MATCH.into(),
        seeds: 1,
        envs: 8,
        rollout: 5,
        replay: 8 * 400,
        gradient_steps: 4,
        learning_starts: 200,
        learning_rate: 3e-3,
        critic_learning_rate: 3e-3,
        gamma: 0.5,
        anneal_lr: false,
        hidden: 32,
        critic_hidden: 32,
        max_grad_norm: 1e6,
        adam_eps: 1e-8,
        target_polyak: 0.05,
        temperature_init: 0.05,
        temperature_lr: 0.0,
        ..small()
    };
    let mut learner = learner(&config);
    for _ in 0..150 {
        learner.update().expect("updated");
    }
    learner.report().expect("reported");
    (0..10).for_each(|_| learner.update().expect("updated"));
    let (reports, _) = learner.report().expect("reported");
    for name in ["td_loss", "actor_loss", "entropy", "temperature"] {
        assert!(reports[0].diagnostics.contains_key(name), "{name}");
    }
    let mean = reports[0].episodes.mean_return();
    // Of 5; by chance 1.25 to 1.3.
    assert!(mean > 4.2, "{mean} of 5");
}

/// Squashed Gaussian policies: what they draw and do, ln π, targets, and the gradient through the action.
#[test]
fn continuous_policies_equal_the_formulas() {
    let config = Config {
        env: REACH.into(),
        feature_norm: false,
        ..small()
    };
    let mut hasac = made(&config);
    stir(&hasac);
    let io = hasac.run.env.io().clone();
    let capacity = hasac.run.replay.sizes.capacity;
    let history = History::watch(&io, capacity, 60, || hasac.update().expect("updated"));
    let done: Vec<f64> = history
        .actions
        .iter()
        .flatten()
        .map(|bits| f64::from(f32::from_bits(*bits)))
        .collect();
    let share = |low: f64, high: f64| {
        let within = done.iter().filter(|a| (low..high).contains(*a)).count();
        within as f64 / done.len() as f64
    };
    // Uniform before it learns: 2,880 numbers, five standard errors.
    for low in [-1.0, -0.5, 0.0, 0.5] {
        let found = share(low, low + 0.5);
        assert!((found - 0.25).abs() < 0.04, "{found} from {low}");
    }
    assert_eq!(share(-1.0, 1.0), 1.0);

    let (tick, agent) = (hasac.run.gradient_tick(0), 1);
    now(|to| {
        hasac.record_batch(to, tick);
        hasac.record_critic_gradients(to, tick);
    });
    let (rows, state) = (hasac.run.replay.sizes.batch, hasac.run.sizes.state);
    let columns = hasac.critics.nets[0].inputs();
    let temperature = read(&hasac.temperature);
    let seen = unpadded(&hasac.batch.seen, NUMBERS);
    let (outcomes, valid) = (read(&hasac.batch.outcomes), read(&hasac.batch.valid));
    let behind = unpadded(&hasac.batch.joint, columns);
    let said = read(&hasac.critics.said);
    let drawn = words_u32(&hasac.run.replay.drawn);
    let params = read(&hasac.policies.adam.params);
    let critics = read(&hasac.critics.adam.params);
    let targets = read(&hasac.critics.target_params);
    let (stride, critic_stride) = (hasac.policies.stride, hasac.critics.stride);
    // Noise, numbers and ln π of an agent's row; `slot` counts agents now, then next.
    let act = |words: &[f64], p: usize, slot: usize, b: usize, draw: Draw| {
        let agent = slot % AGENTS;
        let net = hasac.policies.net.copy(agent);
        let row = (slot * MEMBERS + p) * rows + b;
        let seen = &seen[row * NUMBERS..][..NUMBERS];
        let out = network::forward(&net, words, false, seen, &mut vec![]);
        let key = key(config.seeds_from(config.seed)[p], Purpose::Resample);
        let row = (draw as usize * AGENTS + agent) * rows + b;
        let (mut action, mut log_prob) = (vec![], 0.0);
        for k in 0..NUMBERS {
            let bits = threefry2x32(key, [0, (row * NUMBERS + k) as u32]);
            let [x, y] = bits.map(|bits| f64::from(bits >> 8) / f64::from(1 << 24));
            let z = (-2.0 * (1.0 - x).ln()).sqrt() * (std::f64::consts::TAU * (y - 0.5)).cos();
            let log_std = out[NUMBERS + k].clamp(-20.0, 2.0);
            let u = out[k] + log_std.exp() * z;
            action.push(u.tanh());
            let normal = -0.5 * z * z - log_std - 0.5 * std::f64::consts::TAU.ln();
            // ln (1 - tanh² u) = -2 ln cosh u.
            log_prob += normal + 2.0 * u.cosh().ln();
        }
        (action, log_prob)
    };
    let least = |words: &[f64], input: &[f64]| {
        let nets = hasac.critics.nets.iter();
        nets.map(|net| network::forward(net, words, false, input, &mut vec![])[0])
            .fold(f64::MAX, f64::min)
    };
    for p in 0..MEMBERS {
        let words = &params[p * stride..][..stride];
        let alpha = temperature[(p * (AGENTS + 1) + AGENTS) * TEMPERATURE_WORDS];
        for b in 0..rows {
            // What was done, from the ring.
            let d = &drawn[(p * rows + b) * 4..][..2];
            let (env, start) = (d[0] as usize, d[1] as usize);
            let then = &history.actions[start][env * AGENTS * NUMBERS..][..AGENTS * NUMBERS];
            let then: Vec<_> = then.iter().map(|x| f64::from(f32::from_bits(*x))).collect();
            assert_eq!(
                behind[(p * rows + b) * columns + state..][..AGENTS * NUMBERS],
                then
            );

            let row = (MEMBERS + p) * rows + b;
            let input = &behind[row * columns..][..columns];
            let mut log_prob = 0.0;
            for a in 0..AGENTS {
                let (action, of_agent) = act(words, p, AGENTS + a, b, Draw::Next);
                close(
                    &input[state + a * NUMBERS..][..NUMBERS],
                    &action,
                    1e-4,
                    "next",
                );
                log_prob += of_agent;
            }
            let [paid, factor] = [0, 1].map(|i| outcomes[2 * (p * rows + b) + i]);
            let target = &targets[p * critic_stride..][..critic_stride];
            let goal = paid + factor * (least(target, input) - alpha * log_prob);
            close(&[said[4 * (p * rows + b) + 3]], &[goal], 2e-4, "target");
        }
    }

    now(|to| {
        hasac.record_before(to, tick);
        hasac.record_policy_gradient(to, tick, agent);
        hasac.policies.adam.record_norms(to, tick);
    });
    let joint = unpadded(&hasac.batch.joint, columns);
    let grads = read(&hasac.policies.adam.grads);
    let losses = read(&hasac.critics.policy_loss);
    let mut largest = 0.0_f64;
    for p in 0..MEMBERS {
        let alpha = temperature[(p * (AGENTS + 1) + agent) * TEMPERATURE_WORDS];
        let lives = of_member(&valid, AGENTS, agent, p);
        let alive: f64 = lives.iter().sum();
        assert!(alive > 8.0 && alive < rows as f64, "{alive} live");
        let critic = &critics[p * critic_stride..][..critic_stride];
        let loss = |words: &[f64]| {
            let of = |b: usize| {
                let (action, log_prob) = act(words, p, agent, b, Draw::Trial);
                let mut input = joint[(p * rows + b) * columns..][..columns].to_vec();
                input[state + agent * NUMBERS..][..NUMBERS].copy_from_slice(&action);
                alpha * log_prob - least(critic, &input)
            };
            let all = (0..rows).filter(|&b| lives[b] == 1.0).map(of);
            all.sum::<f64>() / alive
        };
        let words = &params[p * stride..][..stride];
        let found: f64 = of_member(&losses, AGENTS, agent, p).iter().sum();
        close(&[found], &[loss(words)], 1e-4, "the policy's loss");
        let apart = hasac.policies.net.copy_stride();
        for i in (agent * apart + 3 * p..(agent + 1) * apart).step_by(5) {
            let at = |d: f64| {
                let mut words = words.to_vec();
                words[i] += d;
                loss(&words)
            };
            let h = 1e-6;
            let want = (at(h) - at(-h)) / (2.0 * h);
            largest = largest.max(want.abs());
            let found = grads[p * stride + i];
            assert!(
                (found - want).abs() < 3e-4 * (1.0 + want.abs()),
                "member {p}, word {i}: {found}, expected {want}"
            );
        }
    }
    assert!(largest > 0.01, "{largest}");
}

#[test]
fn it_learns_to_reach_and_resumes_there() {
    let config = Config {
        env: REACH.into(),
        seeds: 1,
        envs: 8,
        rollout: 5,
        replay: 8 * 400,
        gradient_steps: 4,
        learning_starts: 200,
        learning_rate: 3e-3,
        critic_learning_rate: 3e-3,
        n_step: 1,
        gamma: 0.5,
        anneal_lr: false,
        hidden: 32,
        critic_hidden: 32,
        max_grad_norm: 1e6,
        adam_eps: 1e-8,
        target_polyak: 0.05,
        temperature_init: 0.02,
        temperature_lr: 0.0,
        feature_norm: false,
        ..small()
    };
    let mut learner = learner(&config);
    for _ in 0..5 {
        learner.update().expect("updated");
    }
    let (reports, _) = learner.report().expect("reported");
    let before = reports[0].episodes.mean_return();
    for _ in 0..145 {
        learner.update().expect("updated");
    }
    learner.report().expect("reported");
    let saved = learner.checkpoint().expect("saved");
    (0..10).for_each(|_| learner.update().expect("updated"));
    let end = learner.checkpoint().expect("saved");
    let (reports, _) = learner.report().expect("reported");
    let after = reports[0].episodes.mean_return();
    let mut resumed = crate::testing::learner(&config);
    resumed.restore(&saved).expect("restored");
    (0..10).for_each(|_| resumed.update().expect("updated"));
    assert!(resumed.checkpoint().expect("saved") == end, "bytes differ");
    // Five steps of the mean square; uniform numbers are off by 2/3 in each.
    assert!(before < -2.7, "{before}");
    assert!(after > -0.5, "{after}");
}
