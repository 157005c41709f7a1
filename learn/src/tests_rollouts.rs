//! JaxMARL's conventions of value decomposition (`value_decomposition.md` §9): a replay of whole rollouts, its index of ends, RAdam.

use std::collections::BTreeMap;

use crate::adam::{Adam, AdamConfig, rectified_corrections};
use crate::config::{Algo, Config, Init, Layer, Network as Kind, Optimiser, ReplayUnit, RnnReset};
use crate::dense::Shape;
use crate::kernel::{Tick, Ticks};
use crate::learner::{Array, Learner};
use crate::q_loss::{GOAL, MASK};
use crate::replay::ReplaySizes;
use crate::testing::{AGENTS, EPISODE, MATCH, SHOWN, STURDY, gpu, learner, run, words_u32};
use crate::tests::{close, network, read, uniform};
use crate::tests_values::{Either, stir, values};

const T: usize = 8;
const ENVS: usize = 4;
/// Of the ring: no multiple of T.
const CAPACITY: usize = 44;

fn rollouts(algo: Algo) -> Config {
    Config {
        env: STURDY.into(),
        envs: ENVS,
        rollout: T,
        replay: (ENVS * CAPACITY) as u64,
        replay_unit: ReplayUnit::Rollouts,
        batch: 16,
        ..values(algo)
    }
}

/// What is drawn, what the networks read of it, where they forget, which steps bootstrap, and the targets.
#[test]
fn a_batch_is_whole_rollouts() {
    for (network, rnn_reset, jaxmarl_done_index) in [
        (Kind::Gru, RnnReset::EpisodeOrAgent, false),
        (Kind::Gru, RnnReset::AgentDone, true),
        (Kind::Ff, RnnReset::AgentDone, false),
    ] {
        let config = Config {
            network,
            rnn_reset,
            jaxmarl_done_index,
            td_lambda: 0.0,
            ..rollouts(Algo::Vdn)
        };
        let mut learner = Either::new(&config);
        stir(learner.q());
        const UPDATES: usize = 13;
        (0..UPDATES).for_each(|_| learner.update());
        // The ring has come round; the first step of the oldest that would fit has been written over.
        let there = UPDATES - (CAPACITY - 1) / T..UPDATES;
        let q = learner.q();
        let tick = q.run.gradient_tick(0);
        let mut seen: BTreeMap<[u32; 2], usize> = BTreeMap::new();
        for draw in 0..30 {
            let now = Tick {
                draw,
                ..Tick::default()
            };
            q.run.ticks.set_now(gpu(), tick, now);
            run(|to| q.run.replay.record_draw(to, tick));
            let drawn = words_u32(&q.run.replay.drawn);
            let mut of_batch = vec![];
            for (i, d) in drawn.chunks_exact(4).enumerate() {
                let p = i / config.batch;
                assert!((p * ENVS..(p + 1) * ENVS).contains(&(d[0] as usize)));
                assert!((d[1] as usize).is_multiple_of(T));
                assert!(there.contains(&(d[1] as usize / T)), "{d:?}");
                assert_eq!(d[2..], [T as u32 - 1, 1]);
                of_batch.push([d[0], d[1]]);
                *seen.entry([d[0], d[1]]).or_default() += 1;
            }
            of_batch.sort_unstable();
            of_batch.dedup();
            assert_eq!(of_batch.len(), 2 * config.batch, "twice the same");
        }
        assert_eq!(
            seen.len(),
            2 * ENVS * there.len(),
            "each comes at some time"
        );

        learner.gradients();
        let q = learner.q();
        let io = q.run.env.io();
        let drawn = words_u32(&q.run.replay.drawn);
        let (obs, state, avail) = (read(&io.obs), read(&io.state), read(&io.avail));
        let (reward, actions) = (read(&io.reward), words_u32(&io.actions));
        let (over, cut) = (read(&io.terminated), read(&io.truncated));
        let dead = read(&io.agent_done);
        let (inputs, columns) = (
            read(&q.batch.agent_input.region),
            q.batch.agent_input.stride,
        );
        let states = read(&q.batch.state_input.region);
        let (rewards, ended) = (read(&q.batch.rewards), read(&q.batch.ended));
        let (done, allowed) = (words_u32(&q.batch.done), read(&q.batch.allowed));
        let mask = read(&q.loss.batch.part(MASK));
        let (goal, next) = (read(&q.loss.batch.part(GOAL)), read(&q.loss.next_values));
        let utilities = read(&q.online.q);
        let params = read(&q.adam.params);
        let (slots, stride) = (q.run.replay.sizes.slots, q.stride);
        let groups = 2 * ENVS;
        let mut within = 0;
        for (i, d) in drawn.chunks_exact(4).enumerate() {
            let (p, b) = (i / config.batch, i % config.batch);
            let words = &params[p * stride..][..stride];
            let mut memories = vec![vec![0.0; config.hidden]; AGENTS];
            let place = |l: usize| (d[1] as usize + l) % CAPACITY * groups + d[0] as usize;
            let ends = |l: usize| over[place(l)] + cut[place(l)] > 0.0;
            for l in 0..slots {
                let row = (p * slots + l) * config.batch + b;
                assert_eq!(mask[row], f64::from(u8::from(l < T - 1)));
                if l >= T {
                    continue;
                }
                let at = place(l);
                assert_eq!(
                    states[row * q.batch.state_input.stride..][..q.run.sizes.state],
                    state[at * q.run.sizes.state..][..q.run.sizes.state]
                );
                for a in 0..AGENTS {
                    let i = row * AGENTS + a;
                    let mut want = obs[(at * AGENTS + a) * SHOWN..][..SHOWN].to_vec();
                    let mut last = vec![0.0; SHOWN];
                    if l > 0 && !ends(l - 1) {
                        last[actions[place(l - 1) * AGENTS + a] as usize] = 1.0;
                    }
                    want.extend(last);
                    want.extend((0..AGENTS).map(|k| f64::from(u8::from(k == a))));
                    assert_eq!(inputs[i * columns..][..want.len()], want);
                    assert_eq!(
                        allowed[i * SHOWN..][..SHOWN],
                        avail[(at * AGENTS + a) * SHOWN..][..SHOWN]
                    );
                    if l < T - 1 {
                        assert_eq!(done[i], actions[at * AGENTS + a]);
                    }
                    // Memory goes on over the end of an episode only where the rule says so.
                    let forgets = l > 0
                        && (dead[place(l - 1) * AGENTS + a] > 0.0
                            || rnn_reset == RnnReset::EpisodeOrAgent && ends(l - 1));
                    if forgets {
                        memories[a].fill(0.0);
                    }
                    let found = &utilities[i * SHOWN..][..SHOWN];
                    let want = network::forward(&q.network, words, false, &want, &mut memories[a]);
                    close(found, &want, 2e-5, "utilities");
                }
                if l == T - 1 {
                    continue;
                }
                let paid: f64 = reward[at * AGENTS..][..AGENTS].iter().sum::<f64>() / AGENTS as f64;
                assert_eq!(rewards[row], paid);
                let over = if jaxmarl_done_index {
                    l > 0 && ends(l - 1)
                } else {
                    ends(l)
                };
                within += usize::from(over);
                assert_eq!(ended[row], f64::from(u8::from(over)), "{l} of {d:?}");
                let after = row + config.batch;
                let bootstrap = if over {
                    0.0
                } else {
                    config.gamma * next[after]
                };
                close(&[goal[row]], &[paid + bootstrap], 1e-5, "targets");
            }
        }
        assert!(within > 5, "episodes end within rollouts");
    }
}

/// Eight steps of a game of five: one episode ends in each rollout, in its fifth step, and the one that the next rollout cuts is counted nowhere.
#[test]
fn every_rollout_begins_with_a_reset() {
    let config = Config {
        env: MATCH.into(),
        reset_at_rollout: true,
        learning_starts: 100,
        ..rollouts(Algo::Iql)
    };
    let mut learner = Either::new(&config);
    const UPDATES: usize = 13;
    (0..UPDATES).for_each(|_| learner.update());
    let groups = 2 * ENVS;
    let q = learner.q();
    let (over, cut) = (
        read(&q.run.env.io().terminated),
        read(&q.run.env.io().truncated),
    );
    let there = UPDATES - (CAPACITY - 1) / T..UPDATES;
    for step in there.start * T..there.end * T {
        for env in 0..groups {
            let at = step % CAPACITY * groups + env;
            let ends = step % T == EPISODE - 1;
            let want = [ends && env % 2 == 0, ends && env % 2 == 1];
            assert_eq!([over[at], cut[at]], want.map(|x| f64::from(u8::from(x))));
        }
    }
    // Steps of the episodes under way, and their numbers: two of each rollout.
    let state = words_u32(&q.run.env.kernels().state);
    assert_eq!(state[..groups], [(T - EPISODE) as u32; 2 * ENVS]);
    assert_eq!(
        state[groups..2 * groups],
        [2 * UPDATES as u32 - 1; 2 * ENVS]
    );
    let Either::Greedy(learner) = &mut learner else {
        panic!("iql is greedy");
    };
    let (reports, _) = learner.report().expect("reported");
    for report in reports {
        let episodes = &report.episodes;
        assert_eq!(episodes.episodes, (UPDATES * ENVS) as f64);
        assert_eq!(episodes.truncations, episodes.episodes / 2.0);
        assert_eq!(episodes.mean_length(), EPISODE as f64);
    }
    // What is seen in front of a rollout's first step is the new episode, and not what the last step left.
    let io = learner.0.run.env.io();
    let first = (UPDATES - 1) * T % CAPACITY * groups * AGENTS * SHOWN;
    let obs = read(&io.obs)[first..][..groups * AGENTS * SHOWN].to_vec();
    let plain = Either::new(&Config {
        reset_at_rollout: false,
        ..config.clone()
    });
    let env = &plain.q().run.env;
    // What is shown is drawn anew in every reset, step and end of an episode.
    let draws = (1 + T + 1) * (UPDATES - 1);
    (0..draws).for_each(|_| gpu().compute(|pass| env.record_reset(pass)));
    assert_eq!(read(&env.io().obs)[..obs.len()], obs);
}

#[test]
fn runs_in_jaxmarls_way_repeat_and_go_on_to_the_same_bytes() {
    let config = Config {
        reset_at_rollout: true,
        init: Init::Orthogonal,
        optimiser: Optimiser::Radam,
        learning_starts: 64,
        gradient_steps: 2,
        target_interval: 3,
        network: Kind::Gru,
        rnn_reset: RnnReset::AgentDone,
        ..rollouts(Algo::Qmix)
    };
    let mut whole = learner(&config);
    (0..5).for_each(|_| whole.update().expect("updated"));
    let saved = whole.checkpoint().expect("saved");
    (0..4).for_each(|_| whole.update().expect("updated"));
    let end = whole.checkpoint().expect("saved");
    let mut resumed = learner(&config);
    resumed.restore(&saved).expect("restored");
    assert!(resumed.checkpoint().expect("saved") == saved);
    (0..4).for_each(|_| resumed.update().expect("updated"));
    assert!(resumed.checkpoint().expect("saved") == end);
    let mut carried = learner(&Config {
        reset_at_rollout: false,
        ..config.clone()
    });
    (0..9).for_each(|_| carried.update().expect("updated"));
    let other = carried.checkpoint().expect("saved");
    assert!(other["env.snapshot"] != end["env.snapshot"]);
}

/// Rows or columns of every kernel, whichever are fewer, are orthogonal and as long as the gain; biases are 0; a GRU's input gates have the variance
/// of their fan-in.
#[test]
fn orthogonal_weights_are_those_of_jaxmarl() {
    const SCALE: f64 = 1e-3;
    for network in [Kind::Gru, Kind::Ff] {
        let config = Config {
            network,
            hidden: 32,
            init: Init::Orthogonal,
            mixer_init_scale: SCALE,
            ..rollouts(Algo::Qmix)
        };
        let saved = learner(&config).checkpoint().expect("saved");
        let mut kernels = 0;
        for (name, array) in &saved {
            let Array::F32 { shape, data } = array else {
                continue;
            };
            let part = |p: usize| &data[p * data.len() / 2..][..data.len() / 2];
            if name.ends_with(".bias") {
                assert!(data.iter().all(|&x| x == 0.0), "{name}");
            }
            if !name.ends_with(".kernel") {
                continue;
            }
            kernels += 1;
            assert_ne!(part(0), part(1), "{name}: members begin alike");
            let [inputs, outputs] = shape[1..] else {
                panic!("{name}: {shape:?}");
            };
            let gates = if name.contains(".gru_") { 3 } else { 1 };
            let gain = if name.starts_with("mixer.") {
                SCALE
            } else {
                1.0
            };
            for (p, gate) in (0..2).flat_map(|p| (0..gates).map(move |gate| (p, gate))) {
                let columns = outputs / gates;
                let at = |i: usize, o: usize| f64::from(part(p)[i * outputs + gate * columns + o]);
                if name.contains(".gru_input") {
                    let all = (0..inputs).flat_map(|i| (0..columns).map(move |o| at(i, o).powi(2)));
                    let variance = all.sum::<f64>() / (inputs * columns) as f64;
                    // Of a cut normal distribution the square's standard deviation is about its mean: 1/32 of it over 1,024 numbers.
                    assert!(
                        (variance * inputs as f64 - 1.0).abs() < 0.16,
                        "{name}: {variance}"
                    );
                    continue;
                }
                let fewer = inputs.min(columns);
                let dot = |a: usize, b: usize| -> f64 {
                    match inputs >= columns {
                        true => (0..inputs).map(|i| at(i, a) * at(i, b)).sum(),
                        false => (0..columns).map(|o| at(a, o) * at(b, o)).sum(),
                    }
                };
                for (a, b) in (0..fewer).flat_map(|a| (0..fewer).map(move |b| (a, b))) {
                    let want = if a == b { 1.0 } else { 0.0 };
                    let found = dot(a, b) / (gain * gain);
                    assert!((found - want).abs() < 1e-5, "{name}: {a} and {b}: {found}");
                }
            }
        }
        // Of the agents three layers, or four with a GRU, and seven of the mixer.
        assert_eq!(kernels, if network == Kind::Gru { 11 } else { 10 });
        let Array::F32 { data: target, .. } = &saved["target"] else {
            panic!("the target's parameters are numbers");
        };
        assert!(target.iter().any(|&x| x != 0.0));
    }
}

/// While collecting as while learning: a rollout begins with nothing remembered and no last action. With ε = 0 what was done is what the
/// networks over the stored rollouts rank first.
#[test]
fn rollouts_are_collected_as_they_are_learned_from() {
    let config = Config {
        network: Kind::Gru,
        epsilon_start: 0.0,
        epsilon_finish: 0.0,
        ..rollouts(Algo::Vdn)
    };
    let mut learner = Either::new(&config);
    stir(learner.q());
    (0..5).for_each(|_| learner.update());
    learner.gradients();
    let q = learner.q();
    let (utilities, allowed) = (read(&q.online.q), read(&q.batch.allowed));
    let (done, mask) = (words_u32(&q.batch.done), read(&q.loss.batch.part(MASK)));
    let mut steps = 0;
    for (i, &action) in done.iter().enumerate() {
        if mask[i / AGENTS] == 0.0 {
            continue;
        }
        steps += 1;
        let of_row = |n: usize| (utilities[i * SHOWN + n], allowed[i * SHOWN + n]);
        let there = (0..SHOWN).filter(|&n| of_row(n).1 > 0.0);
        let top = there.map(|n| of_row(n).0).fold(f64::MIN, f64::max);
        assert!(of_row(action as usize).0 > top - 1e-5, "row {i}");
    }
    assert!(steps > 100);
}

#[test]
fn rollouts_are_learned_from() {
    let config = Config {
        env: MATCH.into(),
        seeds: 1,
        envs: 8,
        replay: 8 * 400,
        learning_starts: 200,
        gradient_steps: 4,
        learning_rate: 3e-3,
        gamma: 0.5,
        td_lambda: 0.0,
        anneal_lr: false,
        epsilon_anneal: 2000,
        target_interval: 20,
        hidden: 32,
        optimiser: Optimiser::Radam,
        adam_eps: 1e-8,
        rnn_reset: RnnReset::AgentDone,
        network: Kind::Gru,
        ..rollouts(Algo::Qmix)
    };
    let mut learner = learner(&config);
    (0..100).for_each(|_| learner.update().expect("updated"));
    learner.report().expect("reported");
    (0..10).for_each(|_| learner.update().expect("updated"));
    let (reports, _) = learner.report().expect("reported");
    assert!(reports[0].diagnostics.contains_key("replay_rollouts"));
    // Of five steps; by chance 1.25 to 1.3.
    let mean = reports[0].episodes.mean_return();
    assert!(mean > 4.0, "{mean} of 5");
}

#[test]
fn what_rollouts_do_not_go_with_is_refused() {
    let spec = crate::testing::toy(&values(Algo::Vdn)).spec().clone();
    let refused = |config: Config| {
        let sizes = crate::sizes::Sizes::new(&config, &spec);
        sizes.expect_err("refused").to_string()
    };
    let short = Config {
        rollout: 1,
        ..rollouts(Algo::Vdn)
    };
    assert!(refused(short).contains("needs at least 2"));
    let index = Config {
        jaxmarl_done_index: true,
        ..values(Algo::Vdn)
    };
    assert!(refused(index).contains("set replay_unit = \"rollouts\""));
    let resets = Config {
        reset_at_rollout: true,
        ..values(Algo::Vdn)
    };
    assert!(refused(resets).contains("reset_at_rollout = true: it would cut"));
    for algo in [Algo::Qplex, Algo::MeQmix, Algo::Fop] {
        let orthogonal = Config {
            init: Init::Orthogonal,
            ..values(algo)
        };
        let said = format!("init = \"orthogonal\": {}", algo.name());
        assert!(refused(orthogonal).contains(&said));
    }
    let soft = Config {
        optimiser: Optimiser::Radam,
        ..values(Algo::MeQmix)
    };
    assert!(refused(soft).contains("optimiser = \"radam\": me_qmix"));
    // Its steps are Adam's, and rectified corrections are 0 in the first of them.
    let transitions = Config {
        optimiser: Optimiser::Radam,
        network: Kind::Ff,
        ..values(Algo::Hasac)
    };
    assert!(refused(transitions).contains("optimiser = \"radam\": hasac"));
}

/// The recipe of JaxMARL's values fits SMAX.
#[test]
fn jaxmarls_values_are_a_configuration() {
    let recipe = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/recipes/jaxmarl-value-baselines.toml"
    );
    for algo in ["iql", "vdn", "qmix"] {
        let chosen = ["env=smax/3m".to_owned(), format!("algo={algo}")];
        let layers = [
            Layer::from_file(recipe.as_ref()).expect("a recipe"),
            Layer::from_assignments("--set", &chosen).expect("assignments"),
        ];
        let config = Config::resolve(&layers).expect("resolves");
        config.check().expect("in range");
        assert_eq!(
            (config.init, config.mixer_init_scale),
            (Init::Orthogonal, 1e-3)
        );
        assert!(config.reset_at_rollout);
        let options = config.options().expect("options");
        let spec = merit_sim::registry::spec(&config.env, &options).expect("known");
        let sizes = ReplaySizes::new(&config, &spec).expect("fits");
        // 5,000 rollouts, of which each environment has a whole number.
        let kept = (sizes.capacity - 1) / config.rollout * config.envs;
        assert_eq!((kept, sizes.slots, sizes.batch), (16 * 312, 128, 32));
    }
}

/// Against the formulas of Liu et al. 2020, algorithm 2, in double precision, over the steps in which the variance comes to be trusted.
#[test]
fn radam_equals_the_formulas() {
    const STEPS: usize = 12;
    let shape = Shape::new(gpu(), 2, 64, 64, &[16], false);
    let rates = [1e-2_f32, 3e-3];
    let mut ticks = Ticks::new(gpu(), STEPS);
    for t in 0..STEPS {
        let [correction_1, correction_2] = rectified_corrections(t as u64 + 1);
        let tick = Tick {
            correction_1,
            correction_2,
            anneal: 0.75,
            ..Tick::default()
        };
        ticks.set(t, tick);
    }
    ticks.upload(gpu());
    let epsilon = 1e-8;
    let config = AdamConfig {
        epsilon,
        rule: Optimiser::Radam,
        max_grad_norm: vec![1e9],
    };
    let adam = Adam::new(gpu(), &shape, &[64], &config, &rates, &ticks);
    let n = 2 * 64;
    let start = uniform(1, n, -1.0, 1.0);
    gpu().write(&adam.params, &start);
    let mut params: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
    let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
    let (beta_1, beta_2): (f64, f64) = (0.9, 0.999);
    let mut rectified = vec![];
    for t in 0..STEPS {
        let grads = uniform(20 + t as u32, shape.chunks() * n, -0.5, 0.5);
        gpu().write(&adam.partials, &grads);
        run(|to| {
            adam.record_norms(to, t);
            adam.record_step(to, t);
        });
        let step = t as i32 + 1;
        let longest = 2.0 / (1.0 - beta_2) - 1.0;
        let kept = beta_2.powi(step);
        let length = longest - 2.0 * f64::from(step) * kept / (1.0 - kept);
        rectified.push(length >= 5.0);
        for i in 0..n {
            let g = f64::from(grads[i]);
            m[i] = beta_1 * m[i] + (1.0 - beta_1) * g;
            v[i] = beta_2 * v[i] + (1.0 - beta_2) * g * g;
            let m_hat = m[i] / (1.0 - beta_1.powi(step));
            let change = if length >= 5.0 {
                let up = (length - 4.0) * (length - 2.0) * longest;
                let down = (longest - 4.0) * (longest - 2.0) * length;
                (up / down).sqrt() * m_hat / ((v[i] / (1.0 - kept)).sqrt() + epsilon)
            } else {
                m_hat
            };
            params[i] -= f64::from(rates[i / 64]) * 0.75 * change;
        }
        close(&read(&adam.params), &params, 2e-6, &format!("step {t}"));
    }
    // Both kinds of steps, in this order.
    let first = rectified.iter().position(|r| *r).expect("some");
    assert!((4..8).contains(&first) && rectified[first..].iter().all(|r| *r));
}
