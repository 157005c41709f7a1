//! Value decomposition against host references: what is replayed, the targets, the losses and their gradients, the mixers' order.

use std::collections::BTreeMap;

use merit_sim::env::EnvIo;

use crate::config::{Algo, Config, EntropyEstimate, Network as Kind, SoftNext, Transform};
use crate::decomposition::HyperNet;
use crate::kernel::Tick;
use crate::learner::{Array, Learner};
use crate::me_igm::MeIgm;
use crate::q_learning::{DoubleQ, QLearner};
use crate::q_loss::{BEST, DIAGNOSTICS, GOAL, MASK, TAKEN};
use crate::testing::{
    AGENTS, FRAGILE, FRAGILE_EPISODE, MATCH, SHOWN, STURDY, config, elu, gpu, learner, longest,
    of_member, run, toy,
};
pub(crate) use crate::testing::{relu_network, sigmoid, words_u32};
use crate::tests::{close, network, read, uniform};

pub(crate) const ALL: [Algo; 6] = [
    Algo::Iql,
    Algo::Vdn,
    Algo::Qmix,
    Algo::Qplex,
    Algo::MeQmix,
    Algo::MeQplex,
];

/// A small run on [`FRAGILE`].
pub(crate) fn values(algo: Algo) -> Config {
    Config {
        env: FRAGILE.into(),
        total_steps: 1 << 20,
        envs: 4,
        rollout: 1,
        seeds: 2,
        replay: 4 * 48,
        batch: 32,
        learning_starts: 1 << 20,
        mixing_embed: 8,
        hyper_hidden: 8,
        attention_kernels: 2,
        attention_hidden: 8,
        transform_hidden: 4,
        max_grad_norm: 10.0,
        td_lambda: 0.6,
        epsilon_start: 1.0,
        epsilon_finish: 0.05,
        target_interval: 25,
        ..config(algo)
    }
}

/// A learner of either kind.
pub(crate) enum Either {
    Greedy(Box<DoubleQ>),
    Soft(Box<MeIgm>),
}

impl Either {
    pub fn new(config: &Config) -> Self {
        let env = toy(config);
        if config.algo.max_entropy() {
            Self::Soft(Box::new(MeIgm::new(gpu(), config, env).expect("fits")))
        } else {
            Self::Greedy(Box::new(DoubleQ::new(gpu(), config, env).expect("fits")))
        }
    }

    pub fn q(&self) -> &QLearner {
        match self {
            Self::Greedy(l) => &l.0,
            Self::Soft(l) => &l.q,
        }
    }

    pub fn update(&mut self) {
        match self {
            Self::Greedy(l) => l.update(),
            Self::Soft(l) => l.update(),
        }
        .expect("updated");
    }

    /// A batch up to its gradients, without a step.
    pub fn gradients(&self) {
        let q = self.q();
        let tick = q.run.gradient_tick(0);
        let mut to = crate::kernel::Recorder::new(gpu());
        q.record_batch(&mut to, tick);
        match self {
            Self::Greedy(_) => q.record_greedy_next(&mut to, tick),
            Self::Soft(l) => l.record_soft_next(&mut to, tick),
        }
        q.record_targets(&mut to, tick).expect("recorded");
        q.record_gradients(&mut to, tick).expect("recorded");
        q.adam.record_norms(&mut to, tick);
        to.submit();
        gpu().sync().expect("the device is there");
    }
}

/// The columns that count of rows.
pub(crate) fn unpadded(rows: &crate::dense::Rows, columns: usize) -> Vec<f64> {
    let words = read(&rows.region);
    let rows = words.chunks_exact(rows.stride);
    rows.flat_map(|row| row[..columns].to_vec()).collect()
}

/// All that an environment did, step by step, as the host saw it.
#[derive(Default)]
pub(crate) struct History {
    /// By step: what was seen in front of it, done, allowed and paid.
    pub obs: Vec<Vec<f64>>,
    pub state: Vec<Vec<f64>>,
    pub avail: Vec<Vec<f64>>,
    pub actions: Vec<Vec<u32>>,
    pub reward: Vec<Vec<f64>>,
    pub agent_done: Vec<Vec<f64>>,
    /// By step and environment: over, cut, and what a cut episode ended with.
    pub ends: Vec<Vec<(bool, bool)>>,
    pub finals: BTreeMap<(usize, usize), (Vec<f64>, Vec<f64>)>,
}

impl History {
    pub fn collect(learner: &mut Either, steps: usize) -> Self {
        let io = learner.q().run.env.io().clone();
        let capacity = learner.q().run.replay.sizes.capacity;
        Self::watch(&io, capacity, steps, || learner.update())
    }

    /// Steps one by one, and reads everything after each.
    pub fn watch(io: &EnvIo, capacity: usize, steps: usize, mut update: impl FnMut()) -> Self {
        let mut history = Self::default();
        for step in 0..steps {
            let slot = step % capacity;
            let at = |region: &merit_sim::gpu::Region| {
                let words = region.size as usize / 4 / capacity;
                region.part(slot * words, words)
            };
            history.obs.push(read(&at(&io.obs)));
            history.state.push(read(&at(&io.state)));
            history.avail.push(read(&at(&io.avail)));
            update();
            history.actions.push(words_u32(&at(&io.actions)));
            history.reward.push(read(&at(&io.reward)));
            history.agent_done.push(read(&at(&io.agent_done)));
            let (over, cut) = (read(&at(&io.terminated)), read(&at(&io.truncated)));
            let (obs, state) = (read(&io.final_obs), read(&io.final_state));
            let envs = over.len();
            for env in (0..envs).filter(|&e| cut[e] == 1.0) {
                let part = |all: &[f64]| {
                    let n = all.len() / envs;
                    all[env * n..][..n].to_vec()
                };
                history
                    .finals
                    .insert((env, step), (part(&obs), part(&state)));
            }
            let ends = over.iter().zip(&cut).map(|(o, c)| (*o == 1.0, *c == 1.0));
            history.ends.push(ends.collect());
        }
        history
    }

    /// Environment, first step, steps and whether it was cut, of the episodes whose first observation a ring of `capacity` slots
    /// still holds.
    fn episodes(&self, capacity: usize, envs: std::ops::Range<usize>) -> Vec<[u32; 4]> {
        let mut found = vec![];
        for env in envs {
            let mut start = 0;
            for (step, ends) in self.ends.iter().enumerate() {
                let (over, cut) = ends[env];
                if over || cut {
                    if start + capacity > self.ends.len() {
                        found.push(
                            [env, start, step + 1 - start, usize::from(cut)].map(|x| x as u32),
                        );
                    }
                    start = step + 1;
                }
            }
        }
        found
    }
}

#[test]
fn a_batch_is_whole_episodes_that_the_ring_holds() {
    for steps in [3, 150] {
        let config = Config {
            env: STURDY.into(),
            envs: 8,
            replay: 8 * 48,
            batch: 8,
            ..values(Algo::Qplex)
        };
        let mut learner = Either::new(&config);
        let history = History::collect(&mut learner, steps);
        let q = learner.q();
        let (sizes, r) = (q.run.sizes, q.run.replay.sizes);
        assert!(
            steps < 100 || steps > 2 * r.capacity,
            "the ring has come round"
        );
        let mut seen: Vec<BTreeMap<[u32; 4], usize>> = vec![BTreeMap::new(); 2];
        const DRAWS: u32 = 40;
        let tick = q.run.gradient_tick(0);
        for draw in 0..DRAWS {
            q.run.ticks.set_now(
                gpu(),
                tick,
                Tick {
                    draw,
                    ..Tick::default()
                },
            );
            run(|to| q.run.replay.record_draw(to, tick));
            let drawn = words_u32(&q.run.replay.drawn);
            for (p, seen) in seen.iter_mut().enumerate() {
                let there = history.episodes(r.capacity, p * 8..(p + 1) * 8);
                let mut drawn: Vec<[u32; 4]> = drawn[p * r.batch * 4..][..r.batch * 4]
                    .chunks_exact(4)
                    .map(|d| [d[0], d[1], d[2], d[3]])
                    .filter(|d| d[2] > 0)
                    .collect();
                assert_eq!(drawn.len(), there.len().min(r.batch), "member {p}");
                drawn.sort_unstable();
                drawn.dedup();
                assert_eq!(drawn.len(), there.len().min(r.batch), "twice the same");
                for d in drawn {
                    assert!(there.contains(&d), "{d:?} is none of member {p}'s episodes");
                    *seen.entry(d).or_default() += 1;
                }
            }
        }
        if steps > 100 {
            for (p, seen) in seen.iter().enumerate() {
                let there = history.episodes(r.capacity, p * 8..(p + 1) * 8).len();
                assert!(there > r.batch + 5, "{there} episodes would all be drawn");
                assert_eq!(seen.len(), there, "each comes at some time");
                // Binomial: five standard deviations.
                let share = r.batch as f64 / there as f64;
                let (mean, n) = (share * f64::from(DRAWS), f64::from(DRAWS));
                let far = 5.0 * (n * share * (1.0 - share)).sqrt();
                for (d, &count) in seen {
                    assert!(
                        (count as f64 - mean).abs() < far,
                        "{d:?}: {count} of {mean}"
                    );
                }
            }
        }

        // What the networks read of the last draw.
        learner.gradients();
        let drawn = words_u32(&q.run.replay.drawn);
        let agent_columns = SHOWN + SHOWN + AGENTS;
        let inputs = unpadded(&q.batch.agent_input, agent_columns);
        let states = unpadded(&q.batch.state_input, sizes.state);
        let joint_columns = sizes.state + AGENTS * SHOWN;
        let joint = q.batch.joint_input.as_ref().expect("QPLEX sees actions");
        let [now, next] = [&joint[0], &joint[1]].map(|rows| unpadded(rows, joint_columns));
        let (done, chosen) = (words_u32(&q.batch.done), words_u32(&q.batch.next));
        let allowed = read(&q.batch.allowed);
        let rewards = read(&q.batch.rewards);
        let mask = read(&q.loss.batch.part(MASK));
        let longest = drawn.chunks_exact(4).map(|d| d[2]).max().unwrap_or(0) as usize;
        let (mut cut, mut over) = (0, 0);
        for p in 0..2 {
            for l in 0..r.slots {
                for b in 0..r.batch {
                    let d = &drawn[(p * r.batch + b) * 4..][..4];
                    let [env, start, length, is_cut] = [0, 1, 2, 3].map(|i| d[i] as usize);
                    let row = (p * r.slots + l) * r.batch + b;
                    let step = start + l;
                    let is_step = l < length;
                    assert_eq!(mask[row], f64::from(u8::from(is_step)));
                    if l > longest {
                        continue;
                    }
                    let behind = l == length && length > 0;
                    let ended = history.finals.get(&(env, (start + length).wrapping_sub(1)));
                    let ended = ended.filter(|_| behind && is_cut == 1);
                    cut += usize::from(ended.is_some());
                    over += usize::from(behind && is_cut == 0);
                    let part = |all: &[f64], n: usize| all[env * n..][..n].to_vec();
                    let state = match ended {
                        _ if is_step => part(&history.state[step], sizes.state),
                        Some((_, state)) => state.clone(),
                        None => vec![0.0; sizes.state],
                    };
                    assert_eq!(
                        states[row * sizes.state..][..sizes.state],
                        state,
                        "{d:?} {l}"
                    );
                    let one_hot = |actions: &[u32]| -> Vec<f64> {
                        let of =
                            |&a: &u32| (0..SHOWN).map(move |n| f64::from(u8::from(n as u32 == a)));
                        actions.iter().flat_map(of).collect::<Vec<_>>()
                    };
                    for (found, actions) in [(&now, &done), (&next, &chosen)] {
                        let mut want = state.clone();
                        let actions = &actions[row * AGENTS..][..AGENTS];
                        let shown = is_step || ended.is_some();
                        want.extend(
                            one_hot(actions)
                                .iter()
                                .map(|x| if shown { *x } else { 0.0 }),
                        );
                        assert_eq!(found[row * joint_columns..][..joint_columns], want);
                    }
                    let paid = if is_step {
                        history.reward[step][env * AGENTS..][..AGENTS]
                            .iter()
                            .sum::<f64>()
                            / AGENTS as f64
                    } else {
                        0.0
                    };
                    assert_eq!(rewards[row], paid);
                    for a in 0..AGENTS {
                        let i = row * AGENTS + a;
                        let obs = match ended {
                            _ if is_step => part(&history.obs[step], AGENTS * SHOWN),
                            Some((obs, _)) => obs.clone(),
                            None => vec![0.0; AGENTS * SHOWN],
                        };
                        let mut want = obs[a * SHOWN..][..SHOWN].to_vec();
                        let shown = is_step || ended.is_some();
                        let mut last = vec![0.0; SHOWN];
                        if shown && l > 0 {
                            last[history.actions[step - 1][env * AGENTS + a] as usize] = 1.0;
                        }
                        want.extend(last);
                        want.extend((0..AGENTS).map(|k| f64::from(u8::from(shown && k == a))));
                        assert_eq!(inputs[i * agent_columns..][..agent_columns], want);
                        let mut masks = vec![1.0; SHOWN];
                        if is_step {
                            assert_eq!(done[i], history.actions[step][env * AGENTS + a]);
                            masks = part(&history.avail[step], AGENTS * SHOWN)[a * SHOWN..]
                                [..SHOWN]
                                .to_vec();
                        } else if ended.is_some() {
                            masks = part(&history.avail[step - 1], AGENTS * SHOWN)[a * SHOWN..]
                                [..SHOWN]
                                .to_vec();
                        }
                        assert_eq!(allowed[i * SHOWN..][..SHOWN], masks);
                        assert_eq!(masks[chosen[i] as usize], 1.0, "what is next is allowed");
                    }
                }
            }
        }
        assert!(
            steps < 100 || (cut > 0 && over > 0),
            "{cut} cut, {over} over"
        );
    }
}

/// A member's networks over a batch, in double precision.
pub(crate) struct Host<'a> {
    q: &'a QLearner,
    config: &'a Config,
    slots: usize,
    inputs: Vec<f64>,
    pub states: Vec<f64>,
    joint: Option<[Vec<f64>; 2]>,
    pub done: Vec<u32>,
    pub next: Vec<u32>,
    pub allowed: Vec<f64>,
    pub mask: Vec<f64>,
}

/// `[R, A]` each.
pub(crate) struct HostUtilities {
    pub all: Vec<Vec<f64>>,
    pub taken: Vec<f64>,
    pub best: Vec<f64>,
    /// What the head reads of every row.
    pub hidden: Vec<Vec<f64>>,
}

impl<'a> Host<'a> {
    pub fn new(q: &'a QLearner, config: &'a Config, member: usize) -> Self {
        let members = q.run.sizes.members;
        let of = |all: Vec<f64>| of_member(&all, members, member);
        let of_u32 = |all: Vec<u32>| of_member(&all, members, member);
        let joint_columns = q.run.sizes.state + AGENTS * SHOWN;
        Self {
            q,
            config,
            // Behind it nothing counts, and nothing need have been computed.
            slots: longest(&q.run.replay) + 1,
            inputs: of(unpadded(&q.batch.agent_input, q.network.inputs())),
            states: of(unpadded(&q.batch.state_input, q.run.sizes.state)),
            joint: q.batch.joint_input.as_ref().map(|rows| {
                rows.each_ref()
                    .map(|rows| of(unpadded(rows, joint_columns)))
            }),
            done: of_u32(words_u32(&q.batch.done)),
            next: of_u32(words_u32(&q.batch.next)),
            allowed: of(read(&q.batch.allowed)),
            mask: of(read(&q.loss.batch.part(MASK))),
        }
    }

    pub fn rows(&self) -> usize {
        self.slots * self.q.run.replay.sizes.batch
    }

    /// Utilities of all actions with these parameters, and those of `actions`.
    pub fn utilities(&self, words: &[f64], actions: &[u32]) -> HostUtilities {
        let net = &self.q.network;
        let (columns, per_slot) = (net.inputs(), self.q.run.replay.sizes.batch * AGENTS);
        let hidden = net.hidden();
        let mut memories = vec![vec![0.0; hidden]; per_slot];
        let (mut all, mut remembered) = (vec![], vec![]);
        let below = crate::net::Network {
            layers: net.layers[..net.layers.len() - 1].to_vec(),
            ..net.clone()
        };
        for l in 0..self.slots {
            for (s, memory) in memories.iter_mut().enumerate() {
                let row = l * per_slot + s;
                let input = &self.inputs[row * columns..][..columns];
                let tanh = self.config.activation == crate::config::Activation::Tanh;
                let before = memory.clone();
                all.push(network::forward(net, words, tanh, input, memory));
                let mut hidden = network::forward(&below, words, tanh, input, &mut before.clone());
                if net.trunk.is_none() {
                    let activate = |x: &f64| if tanh { x.tanh() } else { x.max(0.0) };
                    hidden = hidden.iter().map(activate).collect();
                }
                remembered.push(hidden);
            }
        }
        let best = all.iter().enumerate().map(|(row, q)| {
            let allowed = &self.allowed[row * SHOWN..][..SHOWN];
            let q = q.iter().zip(allowed).filter(|(_, a)| **a == 1.0);
            q.map(|(q, _)| *q).fold(f64::MIN, f64::max)
        });
        let best = best.collect();
        let taken = all.iter().zip(actions).map(|(q, &a)| q[a as usize]);
        HostUtilities {
            taken: taken.collect(),
            best,
            hidden: remembered,
            all,
        }
    }

    fn hyper(&self, net: &HyperNet, words: &[f64], row: usize, next: bool) -> Vec<f64> {
        let rows = match &self.joint {
            Some(joint) if net.sees_actions => &joint[usize::from(next)],
            _ => &self.states,
        };
        let columns = net.layers[0].inputs;
        relu_network(net, words, &rows[row * columns..][..columns])
    }

    /// The joint value of a row, one of every agent for IQL. `held`: utilities and words of which the part is made that sends
    /// nothing back, for QPLEX.
    fn mix(
        &self,
        words: &[f64],
        q: [&[f64]; 2],
        row: usize,
        next: bool,
        held: (&[f64], [&[f64]; 2]),
    ) -> Vec<f64> {
        let nets = &self.q.decomposition.nets[..self.q.decomposition.mixing];
        let outputs = |words: &[f64]| -> Vec<Vec<f64>> {
            nets.iter()
                .map(|n| self.hyper(n, words, row, next))
                .collect()
        };
        let taken = q[0];
        match self.config.algo {
            Algo::Iql => taken.to_vec(),
            Algo::Vdn => vec![taken.iter().sum()],
            Algo::Qmix | Algo::MeQmix => {
                let o = outputs(words);
                let units = o[1].len();
                let hidden = (0..units).map(|e| {
                    let sum: f64 = (0..AGENTS)
                        .map(|a| taken[a] * o[0][a * units + e].abs())
                        .sum();
                    elu(sum + o[1][e])
                });
                let sum: f64 = hidden.zip(&o[2]).map(|(h, w)| h * w.abs()).sum();
                vec![sum + o[3][0]]
            }
            _ => {
                let (o, fixed) = (outputs(words), outputs(held.0));
                let of_agent = |a: usize| {
                    let lambda: f64 = o[2..]
                        .chunks_exact(3)
                        .map(|k| (k[0][0].abs() + 1e-10) * sigmoid(k[1][a]) * sigmoid(k[2][a]))
                        .sum();
                    let weighted = (o[0][a].abs() + 1e-10) * taken[a] + o[1][a];
                    let advantage = (fixed[0][a].abs() + 1e-10) * (held.1[0][a] - held.1[1][a]);
                    weighted + (lambda - 1.0) * advantage
                };
                vec![(0..AGENTS).map(of_agent).sum()]
            }
        }
    }

    /// Joint values of all rows.
    fn joint_values(
        &self,
        words: &[f64],
        q: &HostUtilities,
        next: bool,
        held: (&[f64], &HostUtilities),
    ) -> Vec<Vec<f64>> {
        (0..self.rows())
            .map(|row| {
                let at = row * AGENTS..(row + 1) * AGENTS;
                let own = [&q.taken[at.clone()], &q.best[at.clone()]];
                let fixed = [&held.1.taken[at.clone()], &held.1.best[at.clone()]];
                self.mix(words, own, row, next, (held.0, fixed))
            })
            .collect()
    }

    /// The transforms of the utilities `q` of agent `a` in the state of `row`.
    fn transform(&self, words: &[f64], row: usize, a: usize, q: &[f64]) -> Vec<f64> {
        if let [mlp] = &self.q.decomposition.own.nets[..] {
            let state = &self.states[row * self.q.run.sizes.state..][..self.q.run.sizes.state];
            return relu_network(mlp, words, &[q, state].concat());
        }
        let transform = |x: &f64| self.transform_of_one(words, row, a, *x);
        q.iter().map(transform).collect()
    }

    /// A transform that knows no other utility.
    fn transform_of_one(&self, words: &[f64], row: usize, a: usize, x: f64) -> f64 {
        let nets = &self.q.decomposition.nets[self.q.decomposition.mixing..];
        let o: Vec<_> = nets
            .iter()
            .map(|n| self.hyper(n, words, row, false))
            .collect();
        match self.config.transform {
            Transform::Identity => x,
            Transform::Affine => o[0][a].abs() * x + o[1][a],
            kind => {
                let width = o[0].len() / AGENTS;
                let unit = |d: usize| {
                    let at = a * width + d;
                    o[2][at].abs() * elu(o[0][at].abs() * x + o[1][at])
                };
                let sum = (0..width).map(unit).sum::<f64>() + o[3][a];
                if kind == Transform::Residual {
                    x + sum
                } else {
                    sum
                }
            }
        }
    }

    /// ln π of every action of a row of an agent.
    fn log_policy(&self, words: &[f64], row: usize, a: usize, q: &[f64], alpha: f64) -> Vec<f64> {
        let logits = self.transform(words, row, a, q);
        let logits = logits.into_iter().map(|x| x / alpha);
        let allowed = &self.allowed[(row * AGENTS + a) * SHOWN..][..SHOWN];
        network::log_softmax(&logits.collect::<Vec<_>>(), allowed)
    }
}

/// Larger weights than the initial ones, other ones for the target.
pub(crate) fn stir(q: &QLearner) {
    let words = (q.adam.params.size / 4) as usize;
    gpu().write(&q.adam.params, &uniform(9, words, -0.8, 0.8));
    gpu().write(&q.target_params, &uniform(10, words, -0.8, 0.8));
}

fn cases() -> Vec<Config> {
    let mut cases: Vec<_> = ALL.map(values).to_vec();
    // Returns to the end, and half way.
    for (algo, td_lambda) in [(Algo::Vdn, 1.0), (Algo::Qmix, 0.5), (Algo::MeQplex, 1.0)] {
        cases.push(Config {
            env: STURDY.into(),
            network: Kind::Gru,
            td_lambda,
            ..values(algo)
        });
    }
    for algo in [Algo::Iql, Algo::Qmix, Algo::Qplex] {
        cases.push(Config {
            q_lambda: true,
            env: STURDY.into(),
            ..values(algo)
        });
    }
    let soft = values(Algo::MeQmix);
    cases.push(Config {
        transform: Transform::Mlp2,
        soft_next: SoftNext::Stored,
        weighted_td: true,
        ..soft.clone()
    });
    cases.push(Config {
        transform: Transform::Residual,
        entropy_estimate: EntropyEstimate::Stored,
        attention_layers: 1,
        ..values(Algo::MeQplex)
    });
    cases.push(Config {
        transform: Transform::Identity,
        td_lambda: 0.0,
        ..soft.clone()
    });
    cases.push(Config {
        transform: Transform::Mlp,
        weighted_td: true,
        ..soft
    });
    cases.push(Config {
        transform: Transform::Mlp,
        env: STURDY.into(),
        network: Kind::Gru,
        ..values(Algo::MeQplex)
    });
    cases
}

/// Utilities, choices, targets, losses, and the gradient of every kind of weight; the rows behind the longest episode hold what must not
/// count.
#[test]
fn targets_losses_and_gradients_equal_the_formulas() {
    for config in cases() {
        let config = Config {
            activation: crate::config::Activation::Tanh,
            temperature_init: 0.7,
            ..config
        };
        let what = format!(
            "{:?} {:?} {:?}",
            config.algo, config.network, config.transform
        );
        let mut learner = Either::new(&config);
        stir(learner.q());
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
        let longest = drawn.chunks_exact(4).map(|d| d[2]).max().unwrap_or(0) as usize;
        if config.env == FRAGILE {
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
        let mut largest: f64 = 0.0;
        for p in 0..2 {
            let host = Host::new(q, &config, p);
            let words = &params[p * stride..][..stride];
            let target = &held[p * stride..][..stride];
            let online = host.utilities(words, &host.done);
            let behind = host.utilities(target, &host.next);
            let rows = host.rows();
            let units = q.decomposition.values;
            close(
                &values_of(&q.loss.batch.part(TAKEN), p)[..rows * AGENTS],
                &online.taken,
                2e-5,
                &format!("{what}: utilities"),
            );
            close(
                &values_of(&q.loss.target.part(BEST), p)[..rows * AGENTS],
                &behind.best,
                2e-5,
                &format!("{what}: the target's best"),
            );

            // What would be done next.
            let alpha = config.temperature_init;
            let mut log_next = vec![0.0; rows];
            if config.algo.max_entropy() {
                let Either::Soft(soft) = &learner else {
                    panic!()
                };
                let said = values_of(soft.temperature.parts().log_probs, p);
                for i in 0..rows * AGENTS {
                    let log_policy =
                        host.log_policy(words, i / AGENTS, i % AGENTS, &online.all[i], alpha);
                    let want = log_policy[host.next[i] as usize];
                    assert!(
                        (said[i] - want).abs() < 1e-4,
                        "{what}: ln π {} for {want}",
                        said[i]
                    );
                    log_next[i / AGENTS] += want;
                    if config.soft_next == SoftNext::Stored && host.mask[i / AGENTS] == 1.0 {
                        assert_eq!(host.next[i], host.done[i]);
                    }
                }
            } else {
                for (i, q) in online.all.iter().enumerate() {
                    let allowed = &host.allowed[i * SHOWN..][..SHOWN];
                    let top = q.iter().zip(allowed).filter(|(_, a)| **a == 1.0);
                    let top = top.map(|(q, _)| *q).fold(f64::MIN, f64::max);
                    let chosen = host.next[i] as usize;
                    assert_eq!(allowed[chosen], 1.0);
                    assert!(q[chosen] > top - 1e-5, "{what}: the online networks choose");
                }
            }
            let next = host.joint_values(target, &behind, true, (target, &behind));
            close(
                &values_of(&q.loss.next_values, p)[..rows * units],
                &next.concat(),
                5e-5,
                &format!("{what}: values of what comes next"),
            );

            // Q(λ)'s correction.
            let stored = host.utilities(target, &host.done);
            let stored = host.joint_values(target, &stored, false, (target, &stored));
            let better = |row: usize, u: usize| {
                if config.q_lambda {
                    next[row][u] - stored[row][u]
                } else {
                    0.0
                }
            };

            // Targets, by their definition from the end on.
            let rewards = values_of(&q.batch.rewards, p);
            let (gamma, lambda) = (config.gamma, config.td_lambda);
            let mut goal = vec![0.0; rows * units];
            for b in 0..r.batch {
                let d = &drawn[(p * r.batch + b) * 4..][..4];
                let (length, cut) = (d[2] as usize, d[3] == 1);
                for u in 0..units {
                    let mut y = if cut {
                        next[length * r.batch + b][u]
                    } else {
                        0.0
                    };
                    for l in (0..length).rev() {
                        let (row, after) = (l * r.batch + b, (l + 1) * r.batch + b);
                        let over = l + 1 == length && !cut;
                        let entropy = if config.algo.max_entropy() && !over {
                            -alpha * log_next[after]
                        } else {
                            0.0
                        };
                        let bootstrap = if over {
                            0.0
                        } else {
                            (1.0 - lambda) * (next[after][u] + entropy) + lambda * (y + entropy)
                        };
                        y = rewards[row] + better(row, u) + gamma * bootstrap;
                        goal[row * units + u] = y;
                    }
                }
            }
            close(
                &values_of(&q.loss.batch.part(GOAL), p)[..rows * units],
                &goal,
                1e-4,
                &format!("{what}: targets"),
            );

            // The losses, and their gradient by differences.
            let steps: f64 = host.mask[..rows].iter().sum();
            let joint = host.joint_values(words, &online, false, (words, &online));
            let fitted = |words: &[f64], row: usize| -> f64 {
                (0..AGENTS)
                    .map(|a| {
                        let i = row * AGENTS + a;
                        host.transform(words, row, a, &online.all[i])[host.done[i] as usize]
                    })
                    .sum()
            };
            let with_transforms = q.decomposition.fit.is_some();
            let weights: Vec<f64> = (0..rows)
                .map(|row| {
                    let half = config.weighted_td && with_transforms && {
                        let above = joint[row][0] > fitted(words, row);
                        let falls = joint[row][0] - goal[row] >= 0.0;
                        above != falls
                    };
                    host.mask[row] * if half { 0.5 } else { 1.0 }
                })
                .collect();
            let all: f64 = weights.iter().sum();
            let td = |words: &[f64]| -> f64 {
                let q = host.utilities(words, &host.done);
                let joint =
                    host.joint_values(words, &q, false, (&params[p * stride..][..stride], &online));
                let of_row = |row: usize| -> f64 {
                    let error = |u: usize| (joint[row][u] - goal[row * units + u]).powi(2);
                    (0..units).map(error).sum::<f64>() / units as f64
                };
                (0..rows)
                    .map(|row| 0.5 * weights[row] * of_row(row))
                    .sum::<f64>()
                    / all
            };
            let transform_loss = |words: &[f64]| -> f64 {
                if !with_transforms {
                    return 0.0;
                }
                let of_row =
                    |row: usize| host.mask[row] * (fitted(words, row) - joint[row][0]).powi(2);
                (0..rows).map(of_row).sum::<f64>() / steps
            };
            let said = values_of(&q.loss.diagnostics, p);
            assert_eq!(said.len(), DIAGNOSTICS.len());
            close(&said[..1], &[td(words)], 1e-4, &format!("{what}: TD loss"));
            close(
                &said[4..5],
                &[transform_loss(words)],
                1e-4,
                &format!("{what}: transforms' loss"),
            );
            let first_transform = q.decomposition.all_nets().nth(q.decomposition.mixing);
            let first_transform = first_transform.map_or(stride, |n| n.layers[0].kernel);
            let hits = (0..rows * AGENTS)
                .filter(|&i| host.mask[i / AGENTS] == 1.0 && online.taken[i] >= online.best[i]);
            close(
                &said[6..7],
                &[hits.count() as f64 / (steps * AGENTS as f64)],
                1e-5,
                &format!("{what}: what was done is ranked first"),
            );
            // The smallest layer has eight words: every so many meet most of them, and the other member others.
            for i in (7 * p..stride).step_by(23) {
                let at = |d: f64| {
                    let mut words = words.to_vec();
                    words[i] += d;
                    // The other loss does not move what this one moves.
                    if i < first_transform {
                        td(&words)
                    } else {
                        transform_loss(&words)
                    }
                };
                let h = 1e-5;
                let want = (at(h) - at(-h)) / (2.0 * h);
                let found = grads[p * stride + i];
                largest = largest.max(want.abs());
                assert!(
                    (found - want).abs() < 1e-4 * (1.0 + want.abs()),
                    "{what}: member {p}, word {i}: {found}, expected {want}"
                );
            }
        }
        assert!(
            largest > 0.01,
            "{what}: gradients of {largest} would show nothing"
        );
    }
}

/// All joint actions in one batch, of random utilities and mixing weights: what every mixer ranks first is what the agents rank first
/// each for themselves, and QMIX and VDN rise in every utility.
#[test]
fn the_best_joint_action_is_that_of_the_agents() {
    for algo in [
        Algo::Vdn,
        Algo::Qmix,
        Algo::Qplex,
        Algo::MeQmix,
        Algo::MeQplex,
    ] {
        let learner = Either::new(&values(algo));
        let q = learner.q();
        let rows = q.run.replay.sizes.rows();
        let joint = SHOWN.pow(AGENTS as u32);
        let games = rows / joint;
        // Of both members' rows.
        let total = 2 * games;
        let utilities = uniform(31, total * AGENTS * SHOWN, -2.0, 2.0);
        let actions = |u: usize| [u / SHOWN, u % SHOWN];
        let best_of = |game: usize, a: usize| {
            let q = &utilities[(game * AGENTS + a) * SHOWN..][..SHOWN];
            let top = (0..SHOWN)
                .max_by(|x, y| q[*x].total_cmp(&q[*y]))
                .unwrap_or(0);
            (top, q[top])
        };
        let mut taken = vec![0.0_f32; 2 * rows * AGENTS];
        let mut best = taken.clone();
        for p in 0..2 {
            for i in 0..games * joint {
                let (game, u) = (p * games + i / joint, i % joint);
                for (a, &n) in actions(u).iter().enumerate() {
                    taken[(p * rows + i) * AGENTS + a] = utilities[(game * AGENTS + a) * SHOWN + n];
                    best[(p * rows + i) * AGENTS + a] = best_of(game, a).1;
                }
            }
        }
        gpu().write(&q.loss.target.part(TAKEN), &taken);
        gpu().write(&q.loss.target.part(BEST), &best);
        for (i, net) in q.decomposition.nets[..q.decomposition.mixing]
            .iter()
            .enumerate()
        {
            let width = net.outputs();
            // The same state for all joint actions of a game; QPLEX's third kind of network sees the action too.
            let per_game = uniform(40 + i as u32, total * width, -1.5, 1.5);
            let per_row = uniform(80 + i as u32, 2 * rows * width, -1.5, 1.5);
            let mut output = vec![0.0_f32; 2 * rows * width];
            for p in 0..2 {
                for row in 0..games * joint {
                    let at = (p * rows + row) * width;
                    let from = (p * games + row / joint) * width;
                    let values = if net.sees_actions {
                        &per_row[at..]
                    } else {
                        &per_game[from..]
                    };
                    output[at..at + width].copy_from_slice(&values[..width]);
                }
            }
            gpu().write(&q.loss.output(i, true), &output);
        }
        q.loss.replay_target().expect("replayed");
        let values = read(&q.loss.next_values);
        let mut margins: f64 = 0.0;
        for game in 0..total {
            let (p, first) = (game / games, game % games * joint);
            let of = |u: usize| values[p * rows + first + u];
            let [a, b] = [0, 1].map(|a| best_of(game, a).0);
            let top = of(a * SHOWN + b);
            for u in 0..joint {
                assert!(
                    of(u) <= top + 1e-5,
                    "{algo:?}, game {game}: {u} has {}, the best {top}",
                    of(u)
                );
                margins = margins.max(top - of(u));
                if matches!(algo, Algo::Vdn | Algo::Qmix | Algo::MeQmix) {
                    // The other action of one agent with a lower utility never gives more.
                    for other in 0..SHOWN {
                        let x = actions(u);
                        let q = |n: usize| utilities[game * AGENTS * SHOWN + n];
                        if q(other) <= q(x[0]) {
                            assert!(of(other * SHOWN + x[1]) <= of(u) + 1e-5, "{algo:?} falls");
                        }
                    }
                }
            }
        }
        assert!(margins > 0.5, "{algo:?}: all joint actions are alike");
    }
}

/// Softmax policies draw as often as they should, never what is not allowed, and keep the utilities' order: the device's draws against policies
/// of the same words in double precision.
#[test]
fn soft_policies_keep_the_order_of_the_utilities() {
    for transform in [
        Transform::Affine,
        Transform::Mlp2,
        Transform::Residual,
        Transform::Identity,
    ] {
        let config = Config {
            transform,
            temperature_init: 0.5,
            envs: 64,
            replay: 64 * 48,
            ..values(Algo::MeQmix)
        };
        let mut learner = Either::new(&config);
        stir(learner.q());
        History::collect(&mut learner, 30);
        learner.gradients();
        let q = learner.q();
        let stride = q.stride;
        let words = read(&q.adam.params);
        let (mut counts, mut expected) = ([0.0_f64; SHOWN], [0.0_f64; SHOWN]);
        let mut forbidden = 0;
        for p in 0..2 {
            let host = Host::new(q, &config, p);
            let words = &words[p * stride..][..stride];
            let online = host.utilities(words, &host.done);
            for (i, utilities) in online.all.iter().enumerate() {
                let log_policy = host.log_policy(words, i / AGENTS, i % AGENTS, utilities, 0.5);
                let allowed: Vec<usize> = (0..SHOWN).filter(|&n| log_policy[n] > -1e8).collect();
                for &x in &allowed {
                    for &y in &allowed {
                        assert!(
                            utilities[x] < utilities[y] || log_policy[x] >= log_policy[y] - 1e-9,
                            "{transform:?}: {utilities:?} {log_policy:?}"
                        );
                    }
                }
                if host.mask[i / AGENTS] == 0.0 {
                    continue;
                }
                let done = host.done[i] as usize;
                assert!(
                    allowed.contains(&done),
                    "{transform:?}: {done} of {allowed:?}"
                );
                forbidden += SHOWN - allowed.len();
                counts[done] += 1.0;
                for (sum, l) in expected.iter_mut().zip(&log_policy) {
                    *sum += l.exp();
                }
            }
        }
        assert!(forbidden > 20, "nothing was forbidden");
        // Not uniform: the draws tell a policy from another.
        let most = expected.iter().copied().fold(0.0, f64::max);
        let least = expected.iter().copied().fold(f64::MAX, f64::min);
        assert!(most > 1.2 * least, "{transform:?}: {expected:?}");
        for (count, want) in counts.iter().zip(expected) {
            assert!(
                (count - want).abs() < 5.0 * want.sqrt(),
                "{transform:?}: {counts:?} {expected:?}"
            );
        }
    }
}

/// Without a transform, at a temperature near 0, what the soft target takes to be done next is double Q's choice, and its entropy nothing
/// (`me_igm.md` §12.6); what a target is made of then, the formulas above hold.
#[test]
fn a_tiny_temperature_chooses_as_double_q_does() {
    let alpha = 1e-4;
    let config = Config {
        transform: Transform::Identity,
        temperature_init: alpha,
        temperature_lr: 0.0,
        ..values(Algo::MeQmix)
    };
    let mut learner = Either::new(&config);
    stir(learner.q());
    History::collect(&mut learner, 60);
    learner.gradients();
    let Either::Soft(soft) = &learner else {
        panic!("a soft learner")
    };
    let (q, words) = (learner.q(), read(&learner.q().adam.params));
    assert!((read(&soft.temperature.parts().soft.temperature)[0] - alpha).abs() < 1e-9);
    let said = read(soft.temperature.parts().log_probs);
    let (mut told, mut clear) = (0, 0);
    for p in 0..2 {
        let host = Host::new(q, &config, p);
        let online = host.utilities(&words[p * q.stride..][..q.stride], &host.done);
        for (i, utilities) in online.all.iter().enumerate() {
            let allowed = &host.allowed[i * SHOWN..][..SHOWN];
            let mut order: Vec<usize> = (0..SHOWN).filter(|&n| allowed[n] == 1.0).collect();
            order.sort_by(|&x, &y| utilities[y].total_cmp(&utilities[x]));
            told += 1;
            // As far apart as twenty temperatures: the second one comes with e⁻²⁰.
            if order.len() > 1 && utilities[order[0]] - utilities[order[1]] < 20.0 * alpha {
                continue;
            }
            clear += 1;
            assert_eq!(host.next[i] as usize, order[0], "{utilities:?}");
            let log_next = said[p * said.len() / 2 + i];
            assert!(log_next.abs() < 1e-6, "an entropy of {log_next}");
        }
    }
    assert!(clear > told * 9 / 10, "{clear} of {told}");
}

/// An MLP in the transform's place reads the same while collecting and over a batch, draws as often as it says, and does not keep the order of the
/// utilities.
#[test]
fn an_mlp_in_the_transforms_place_keeps_no_order() {
    for network in [Kind::Ff, Kind::Gru] {
        let config = Config {
            transform: Transform::Mlp,
            network,
            envs: 64,
            replay: 64 * 48,
            ..values(Algo::MeQmix)
        };
        let mut learner = Either::new(&config);
        stir(learner.q());
        let history = History::collect(&mut learner, 30);
        learner.gradients();
        let q = learner.q();
        let stride = q.stride;
        let words = read(&q.adam.params);
        let (mut turned, mut all) = (0.0, 0.0);
        // Drawn against expected, of how often each action comes.
        let (mut counts, mut expected) = ([0.0_f64; SHOWN], [0.0_f64; SHOWN]);
        for p in 0..2 {
            let host = Host::new(q, &config, p);
            let words = &words[p * stride..][..stride];
            let online = host.utilities(words, &host.done);
            for (i, utilities) in online.all.iter().enumerate() {
                if host.mask[i / AGENTS] == 0.0 {
                    continue;
                }
                let log_policy = host.log_policy(words, i / AGENTS, i % AGENTS, utilities, 1.0);
                counts[host.done[i] as usize] += 1.0;
                for (sum, l) in expected.iter_mut().zip(&log_policy) {
                    *sum += l.exp();
                }
                for x in 0..SHOWN {
                    for y in (0..SHOWN).filter(|&y| log_policy[y].min(log_policy[x]) > -1e8) {
                        let rises = utilities[x] > utilities[y];
                        turned += f64::from(u8::from(rises && log_policy[x] < log_policy[y]));
                        all += f64::from(u8::from(rises));
                    }
                }
            }
        }
        assert!(turned > 0.1 * all, "{turned} of {all} pairs are turned");
        for (count, want) in counts.iter().zip(expected) {
            assert!(
                (count - want).abs() < 5.0 * want.sqrt(),
                "{network:?}: {counts:?} {expected:?}"
            );
        }
        assert_eq!(history.actions.len(), 30);
    }
}

/// Above the aim the temperature falls, below it it rises, never beyond its bounds; neither loss moves it and it moves neither.
#[test]
fn the_temperature_moves_towards_the_entropy_that_is_aimed_at() {
    for (target_entropy, falls) in [(0.0, true), (2.0, false)] {
        let config = Config {
            target_entropy,
            learning_starts: 200,
            ..values(Algo::MeQmix)
        };
        let mut learner = Either::new(&config);
        (0..49).for_each(|_| learner.update());
        let Either::Soft(soft) = &learner else {
            panic!()
        };
        let alpha = |soft: &MeIgm| read(&soft.temperature.parts().soft.temperature)[0];
        assert_eq!(alpha(soft), 1.0, "nothing is learned yet");
        learner.update();
        let Either::Soft(soft) = &learner else {
            panic!()
        };
        // Adam's first step is the learning rate.
        let want = if falls { -0.3_f64 } else { 0.3 };
        assert!((alpha(soft) - want.exp()).abs() < 1e-4, "{}", alpha(soft));
        (0..60).for_each(|_| learner.update());
        let Either::Soft(soft) = &learner else {
            panic!()
        };
        let end = alpha(soft);
        assert!(
            (if falls { end < 0.01 } else { end > 5.0 })
                && ((-7.001_f64).exp()..=2.001_f64.exp()).contains(&end),
            "{end}"
        );
    }
}

/// Before the first episode has ended a batch has no step, and nothing is known of the entropy: it moves nowhere.
#[test]
fn the_temperature_rests_where_no_episode_has_ended() {
    let config = Config {
        env: MATCH.into(),
        learning_starts: 4,
        ..values(Algo::MeQmix)
    };
    let mut learner = Either::new(&config);
    let alpha = |learner: &Either| match learner {
        Either::Soft(soft) => read(&soft.temperature.parts().soft.temperature)[0],
        Either::Greedy(_) => panic!("its temperature is learned"),
    };
    let ends = learner.q().run.replay.sizes.limit;
    for step in 1..=ends + 1 {
        learner.update();
        assert_eq!(alpha(&learner) == 1.0, step < ends, "step {step}");
    }
}

#[test]
fn exploration_falls_to_its_end_and_draws_what_is_allowed() {
    let config = Config {
        envs: 64,
        replay: 64 * 48,
        epsilon_anneal: 640,
        ..values(Algo::Vdn)
    };
    let mut learner = Either::new(&config);
    let q = learner.q();
    for (steps, want) in [(0, 1.0), (320, 0.525), (640, 0.05), (9000, 0.05)] {
        assert!((q.run.epsilon_at(steps) - want).abs() < 1e-12, "{steps}");
    }
    let history = History::collect(&mut learner, 40);
    for (actions, avail) in history.actions.iter().zip(&history.avail) {
        for (i, &a) in actions.iter().enumerate() {
            assert_eq!(avail[i * SHOWN + a as usize], 1.0);
        }
    }
    // ε is 1 in the first step: each allowed action comes as often, of 256 rows. Where 3 is forbidden, three of them.
    let mut counts = [0.0_f64; SHOWN];
    let mut expected = [0.0_f64; SHOWN];
    for (i, &a) in history.actions[0].iter().enumerate() {
        counts[a as usize] += 1.0;
        let allowed = &history.avail[0][i * SHOWN..][..SHOWN];
        let n: f64 = allowed.iter().sum();
        (0..SHOWN).for_each(|k| expected[k] += allowed[k] / n);
    }
    for (count, want) in counts.iter().zip(expected) {
        assert!(
            (count - want).abs() < 5.0 * want.sqrt(),
            "{counts:?} {expected:?}"
        );
    }
    // At the end one in twenty: nearly all rows that see the same do the same.
    let (obs, actions) = (&history.obs[39], &history.actions[39]);
    let mut by_sight: BTreeMap<Vec<u64>, Vec<u32>> = BTreeMap::new();
    for (i, &a) in actions.iter().enumerate() {
        let mut key: Vec<u64> = obs[i * SHOWN..][..SHOWN]
            .iter()
            .map(|x| x.to_bits())
            .collect();
        // What an agent is told of itself.
        key.push((i % AGENTS) as u64);
        let (over, cut) = history.ends[38][i / AGENTS];
        let last = if over || cut {
            SHOWN as u32
        } else {
            history.actions[38][i]
        };
        key.push(u64::from(last));
        by_sight.entry(key).or_default().push(a);
    }
    let agree = |all: &Vec<u32>| {
        let most = (0..SHOWN as u32)
            .map(|n| all.iter().filter(|a| **a == n).count())
            .max();
        most.unwrap_or(0)
    };
    // Two members of other weights share the sights: at least half agree, and far more than chance would.
    let same: usize = by_sight.values().map(agree).sum();
    assert!(
        same as f64 > 0.5 * actions.len() as f64,
        "{same} of {}",
        actions.len()
    );
}

#[test]
fn a_member_of_a_population_learns_as_it_does_alone() {
    for (algo, network) in [
        (Algo::Qmix, Kind::Gru),
        (Algo::MeQplex, Kind::Ff),
        (Algo::Qtran, Kind::Gru),
    ] {
        let config = Config {
            rollout: 4,
            learning_starts: 64,
            network,
            ..values(algo)
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
        for (name, alone) in one
            .iter()
            .filter(|(n, _)| n.starts_with("actor.") || n.starts_with("mixer."))
        {
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
            assert!(far <= 1e-6, "{algo:?}: {name} differs by {far}");
        }
    }
}

#[test]
fn runs_repeat_and_go_on_to_the_same_bytes() {
    for (algo, network) in [
        (Algo::Iql, Kind::Ff),
        (Algo::Qplex, Kind::Gru),
        (Algo::MeQmix, Kind::Gru),
        (Algo::Qtran, Kind::Ff),
    ] {
        let config = Config {
            rollout: 4,
            learning_starts: 64,
            gradient_steps: 2,
            target_interval: 3,
            target_polyak: if algo == Algo::Iql { 0.1 } else { 1.0 },
            network,
            ..values(algo)
        };
        let mut whole = learner(&config);
        (0..9).for_each(|_| whole.update().expect("updated"));
        let saved = whole.checkpoint().expect("saved");
        // The ring comes round.
        (0..8).for_each(|_| whole.update().expect("updated"));
        let end = whole.checkpoint().expect("saved");

        let mut resumed = learner(&config);
        resumed.update().expect("updated");
        resumed.restore(&saved).expect("restored");
        assert_eq!(resumed.checkpoint().expect("saved"), saved);
        (0..8).for_each(|_| resumed.update().expect("updated"));
        assert!(resumed.checkpoint().expect("saved") == end, "{algo:?}");

        let mut missing = saved.clone();
        missing.remove("replay.counts");
        let refused = resumed.restore(&missing).expect_err("refused").to_string();
        assert!(refused.contains("`replay.counts` is missing"), "{refused}");
        // Nine updates, the first three of which have no gradient steps.
        let mut other = saved.clone();
        let (shape, data) = (vec![2], vec![9, 11]);
        let counters = Array::U64 { shape, data };
        let said = other.insert("counters".into(), counters);
        let (shape, data) = (vec![2], vec![9, 12]);
        assert_eq!(said, Some(Array::U64 { shape, data }));
        let refused = resumed.restore(&other).expect_err("refused").to_string();
        assert!(
            refused.contains("11 gradient steps in 9 updates"),
            "{refused}"
        );
        assert!(
            resumed.checkpoint().expect("saved") == end,
            "it is as it was"
        );
    }
}

#[test]
fn every_decomposition_learns_to_match() {
    for (algo, network) in [
        (Algo::Iql, Kind::Ff),
        (Algo::Vdn, Kind::Gru),
        (Algo::Qmix, Kind::Ff),
        (Algo::Qplex, Kind::Ff),
        (Algo::MeQmix, Kind::Ff),
        (Algo::MeQplex, Kind::Gru),
        (Algo::Qtran, Kind::Gru),
    ] {
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
            network,
            ..values(algo)
        };
        let mut learner = learner(&config);
        for _ in 0..150 {
            learner.update().expect("updated");
        }
        // Of an agent, in five steps; by chance 1.25 to 1.3.
        let (reports, _) = learner.report().expect("reported");
        assert!(reports[0].diagnostics.contains_key("td_loss"));
        (0..10).for_each(|_| learner.update().expect("updated"));
        let (reports, _) = learner.report().expect("reported");
        let mean = reports[0].episodes.mean_return();
        // ε is 0.05 there; soft policies aim at an entropy.
        let least = if algo.max_entropy() { 3.2 } else { 4.2 };
        assert!(mean > least, "{algo:?}: {mean} of 5");
    }
}

/// As the documentation has it.
#[test]
fn the_replay_takes_the_memory_that_it_should() {
    let config = values(Algo::Vdn);
    let learner = Either::new(&config);
    let (q, io) = (learner.q(), learner.q().run.env.io());
    let ring = [
        &io.obs,
        &io.avail,
        &io.actions,
        &io.reward,
        &io.agent_done,
        &io.state,
        &io.terminated,
        &io.truncated,
    ];
    let ring: u64 = ring.iter().map(|r| r.size).sum();
    // What the policy says of its actions, and the index but for two words an environment.
    let said = io.reward.size;
    let index = q.run.replay.saved();
    let index = index.iter().filter(|(name, ..)| *name != "replay.counts");
    let index: u64 = index.map(|(_, region, ..)| region.size).sum();
    let want = q.run.replay.sizes.bytes(config.envs, &q.run.sizes) * config.seeds as u64;
    assert_eq!(ring + said + index, want);
}

/// With nothing said the replay is 5,000 episodes, or what one buffer holds of all members; what is too much is refused as it is.
#[test]
fn an_unsaid_replay_is_the_largest_that_fits() {
    let settled = |env: &str, replay: u64, seeds: usize| {
        let config = Config {
            env: env.into(),
            algo: Algo::Qmix,
            envs: 8,
            replay,
            seeds,
            ..Config::default()
        };
        let settled = crate::settle(gpu(), &config).expect("it fits");
        assert_eq!(
            settled,
            Config {
                replay: settled.replay,
                ..config
            }
        );
        settled.replay
    };
    assert_eq!(settled("smax/3m", 1234, 1), 1234, "what is said stays");
    // Episodes of one step.
    assert_eq!(settled("matrix/3x3", 0, 20), 5_000);
    let options = serde_json::Map::new();
    let spec = merit_sim::registry::spec("smax/3m", &options).expect("known");
    let widest = 4 * (spec.agents * spec.obs.max(spec.actions.mask())).max(spec.state) as u64;
    for seeds in [1, 64] {
        let replay = settled("smax/3m", 0, seeds);
        let fits = |steps: u64| steps * widest * seeds as u64 <= gpu().max_binding();
        assert!(fits(replay) && replay % 8 == 0, "{replay}");
        let most = 5_000 * spec.max_steps as u64;
        assert!(replay == most || !fits(replay + 8), "{replay} of {most}");
    }
}

/// In front of anything that is allocated for them.
#[test]
fn gradients_that_do_not_fit_are_refused() {
    for algo in [Algo::Vdn, Algo::Iql] {
        // Partial sums of 64 rows each: gigabytes on any adapter.
        let config = Config {
            network: Kind::Gru,
            hidden: 256,
            batch: 4096,
            by_rows: Some(true),
            ..values(algo)
        };
        let refused = DoubleQ::new(gpu(), &config, toy(&config));
        let refused = refused.err().expect("refused").to_string();
        let words = [
            "the gradients' partial sums",
            "use at most",
            "episodes in a batch",
        ];
        for word in words {
            assert!(refused.contains(word), "{algo:?}: {refused}");
        }
    }
}

/// Against the step limit of [`FRAGILE`].
#[test]
fn a_replay_that_is_too_small_is_refused() {
    let config = Config {
        replay: 4 * 10,
        ..values(Algo::Vdn)
    };
    let env = toy(&values(Algo::Vdn));
    let refused = crate::replay::ReplaySizes::new(&config, env.spec());
    let refused = refused.expect_err("refused").to_string();
    let least = 4 * (1 + FRAGILE_EPISODE + 2);
    assert!(
        refused.contains(&format!("set replay to {least} or more")),
        "{refused}"
    );
}
