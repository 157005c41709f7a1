//! The estimators of per-agent advantages against their definitions in double precision (`ppo_family.md` §6 to 8 and §10).

use merit_sim::env::{ActionSpace, VecEnv};
use merit_sim::gpu::Region;
use merit_sim::rng::threefry2x32;

use crate::coma::Coma;
use crate::config::CriticActions::{Concat, Head};
use crate::config::{ActorRatio, Algo, Config, Network as Kind, Trace};
use crate::credit::Traces;
use crate::dae::Dae;
use crate::gae::{Estimates, Gae};
use crate::gpae::{Estimator, Gpae};
use crate::kernel::{Recorder, Tick, Ticks};
use crate::loss::Input;
use crate::ppo::{ActorCritic, Critic, Ppo};
use crate::sizes::Sizes;
use crate::testing::{AGENTS, MATCH, NUMBERS, REACH, SHOWN, Toy, config, gpu, run, toy};
use crate::tests::network::forward;
use crate::tests::{close, read, uniform, unpadded};

const T: usize = 12;
const ENVS: usize = 7;
const MEMBERS: usize = 3;
const ROLLOUTS: usize = 3;
const ROWS: usize = MEMBERS * ENVS * AGENTS;
const SLOTS: usize = ROLLOUTS * (T + 1);
/// γ, λ, η of each member.
const DISCOUNT: [[f32; 4]; MEMBERS] = [
    [0.99, 0.95, 1.05, 0.0],
    [0.9, 0.0, 1.0, 0.0],
    [1.0, 1.0, 1.1, 0.0],
];

fn sizes() -> Sizes {
    Sizes {
        members: MEMBERS,
        envs: ENVS,
        agents: AGENTS,
        steps: T,
        obs: SHOWN,
        state: AGENTS * SHOWN,
        actions: ActionSpace::Discrete(SHOWN),
        minibatches: 1,
        epochs: 1,
        sequences: 0,
        reuse: ROLLOUTS,
    }
}

/// What an estimator looks at, `[slots, P, E, A]` or `[slots, P, E]`.
struct Case {
    reward: Vec<f32>,
    terminated: Vec<f32>,
    truncated: Vec<f32>,
    values: Vec<f32>,
    said: Vec<f32>,
    stored: Vec<f32>,
}

/// A fifth of the steps terminates, a fifth is cut; ratios from e⁻² to e².
fn case() -> Case {
    let pick = uniform(25, SLOTS * ROWS / AGENTS, 0.0, 1.0);
    Case {
        reward: uniform(21, SLOTS * ROWS, -1.0, 1.0),
        terminated: pick.iter().map(|&x| f32::from(x < 0.2)).collect(),
        truncated: pick.iter().map(|&x| f32::from(x > 0.8)).collect(),
        values: uniform(22, SLOTS * ROWS, -1.0, 1.0),
        said: uniform(23, SLOTS * ROWS, -2.0, 0.0),
        stored: uniform(24, SLOTS * ROWS, -2.0, 0.0),
    }
}

/// ρⁱ and ρ.
fn ratios(c: &Case, i: usize) -> (f64, f64) {
    let log = |i: usize| f64::from(c.said[i]) - f64::from(c.stored[i]);
    let first = i - i % AGENTS;
    (
        log(i).exp(),
        (first..first + AGENTS).map(log).sum::<f64>().exp(),
    )
}

/// Equations 5 to 7 and the table of §8.3: c and ρ̄.
fn weights(trace: Option<Trace>, [own, team]: [f64; 2], lambda: f64, eta: f64) -> (f64, f64) {
    let others = team / own;
    let target = own.min(1.0);
    match trace {
        None | Some(Trace::None) => (lambda, 1.0),
        Some(Trace::Dt) => (lambda * (own * others.min(eta)).min(1.0), target),
        Some(Trace::St) => (lambda * team.min(1.0), target),
        Some(Trace::It) => (lambda * target, target),
        Some(Trace::Full) => (team, target),
    }
}

fn estimate(c: &Case, trace: Option<Trace>) -> Estimates {
    let env = Toy::new(gpu(), MATCH, &[1, 2, 3], ENVS, SLOTS);
    let io = env.io();
    gpu().write(&io.reward, &c.reward);
    gpu().write(&io.terminated, &c.terminated);
    gpu().write(&io.truncated, &c.truncated);
    let region = |x: &[f32]| gpu().storage_from("case", x);
    let estimates = Estimates::new(gpu(), &sizes());
    let estimator = Estimator::new(
        gpu(),
        &sizes(),
        io,
        &region(&c.values),
        [&region(&c.said), &region(&c.stored)],
        trace,
        &gpu().storage_from("discounts", &DISCOUNT),
        &estimates,
    );
    run(|to| estimator.record(to, ROLLOUTS));
    estimates
}

/// Of every slot but the last of each rollout, which has no estimate.
fn of_steps(x: &[f64]) -> Vec<f64> {
    let step = |i: &usize| i / ROWS % (T + 1) < T;
    (0..x.len()).filter(step).map(|i| x[i]).collect()
}

fn steps(region: &Region) -> Vec<f64> {
    of_steps(&read(region))
}

#[test]
fn gpae_equals_its_definition_for_every_weight() {
    let c = case();
    let traces = [Trace::Dt, Trace::St, Trace::It, Trace::None, Trace::Full];
    for trace in traces.map(Some).into_iter().chain([None]) {
        let found = estimate(&c, trace);
        let (mut advantage, mut goal) = (vec![0.0; SLOTS * ROWS], vec![0.0; SLOTS * ROWS]);
        for (rollout, row) in (0..ROLLOUTS).flat_map(|m| (0..ROWS).map(move |row| (m, row))) {
            let [gamma, lambda, eta, _] = DISCOUNT[row / (ENVS * AGENTS)].map(f64::from);
            let weights = |i: usize| {
                let (own, team) = ratios(&c, i);
                weights(trace, [own, team], lambda, eta)
            };
            let mut next = 0.0;
            for t in (0..T).rev() {
                let i = (rollout * (T + 1) + t) * ROWS + row;
                let ends = c.terminated[i / AGENTS] + c.truncated[i / AGENTS];
                let on = gamma * (1.0 - f64::from(ends));
                let value = f64::from(c.values[i]);
                let delta = f64::from(c.reward[i]) + on * f64::from(c.values[i + ROWS]) - value;
                next = delta + on * weights(i + ROWS).0 * next;
                advantage[i] = next;
                goal[i] = value + weights(i).1 * next;
            }
        }
        let what = format!("{trace:?}");
        close(&steps(&found.advantage), &of_steps(&advantage), 3e-5, &what);
        close(&steps(&found.goal), &of_steps(&goal), 3e-5, &what);
    }
}

/// §8.9: effective sample sizes, the mean weight, and the gap of equation 9, which is a mean of absolute values, beside the signed one.
#[test]
fn trace_diagnostics_equal_their_definitions() {
    let c = case();
    let region = |x: &[f32]| gpu().storage_from("case", x);
    let (said, stored) = (region(&c.said), region(&c.stored));
    let discount = gpu().storage_from("discounts", &DISCOUNT);
    let ticks = Ticks::new(gpu(), 1);
    let items = ROLLOUTS as u32;
    ticks.set_now(
        gpu(),
        0,
        Tick {
            items,
            ..Tick::default()
        },
    );
    for trace in [Trace::Dt, Trace::St, Trace::It] {
        let of = [&said, &stored];
        let traces = Traces::new(gpu(), &sizes(), trace, of, &discount, (&ticks, 0));
        run(|to| traces.record(to));
        let found = traces.read(gpu()).expect("readable");
        for p in [0, 2] {
            let [_, lambda, eta, _] = DISCOUNT[p].map(f64::from);
            let of_member = |i: &usize| i / ROWS % (T + 1) < T && i % ROWS / (ENVS * AGENTS) == p;
            let (mut own_sums, mut team_sums) = ([0.0; 2], [0.0; 2]);
            let (mut gap, mut signed, mut weight, mut n) = (0.0, 0.0, 0.0, 0.0);
            for i in (0..SLOTS * ROWS).filter(of_member) {
                let (own, team) = ratios(&c, i);
                let (w, _) = weights(Some(trace), [own, team], lambda, eta);
                let farther = (team - w / lambda).abs() - (own - w / lambda).abs();
                gap += farther.abs();
                signed += farther;
                weight += w;
                n += 1.0;
                for (sums, ratio) in [(&mut own_sums, own), (&mut team_sums, team)] {
                    sums[0] += ratio;
                    sums[1] += ratio * ratio;
                }
            }
            let share = |[sum, squares]: [f64; 2]| sum * sum / (n * squares);
            for (key, want) in [
                ("ess_agent", share(own_sums)),
                ("ess_team", share(team_sums)),
                ("trace_weight", weight / n),
                ("trace_gap", gap / n),
                ("trace_gap_signed", signed / n),
            ] {
                let what = format!("{trace:?}: {key}");
                close(&[found[p][key]], &[want], 1e-4 * want.abs().max(1.0), &what);
            }
            assert!(gap > 1.05 * signed.abs(), "signs would not matter");
        }
    }
}

/// The table of §10.4: (ρⁱ, ρ⁻ⁱ), and what DT, IT and ST make of them with η = 1.05 and λ = 1. Only step 1 is paid, so that the advantage
/// of step 0 is γ c.
#[test]
fn weights_are_those_of_the_table() {
    for (own, others, [dt, it, st]) in [
        (0.5_f32, 3.0_f32, [0.525, 0.5, 1.0]),
        (1.2, 0.5, [0.6, 1.0, 0.6]),
        (2.0, 2.0, [1.0, 1.0, 1.0]),
    ] {
        let nothing = vec![0.0; SLOTS * ROWS];
        let mut c = Case {
            reward: nothing.clone(),
            terminated: vec![0.0; SLOTS * ROWS / AGENTS],
            truncated: vec![0.0; SLOTS * ROWS / AGENTS],
            values: nothing.clone(),
            said: nothing.clone(),
            stored: nothing,
        };
        c.reward[ROWS] = 1.0;
        (c.said[ROWS], c.said[ROWS + 1]) = (own.ln(), others.ln());
        for (trace, want) in [(Trace::Dt, dt), (Trace::It, it), (Trace::St, st)] {
            let found = read(&estimate(&c, Some(trace)).advantage)[0];
            let [gamma, lambda, ..] = DISCOUNT[0].map(f64::from);
            close(&[found / (gamma * lambda)], &[want], 1e-6, "weight");
        }
    }
}

#[test]
fn data_of_the_policy_itself_are_traced_by_lambda() {
    let mut c = case();
    c.stored.clone_from(&c.said);
    let want = estimate(&c, None);
    for trace in [Trace::Dt, Trace::St, Trace::It, Trace::None] {
        let found = estimate(&c, Some(trace));
        assert_eq!(steps(&found.advantage), steps(&want.advantage), "{trace:?}");
        assert_eq!(steps(&found.goal), steps(&want.goal), "{trace:?}");
    }
}

/// With values that do not depend on the others, or with one agent, EQ is V.
#[test]
fn gpae_on_policy_is_gae() {
    let c = case();
    let found = estimate(&c, None);
    let one = Sizes {
        reuse: 1,
        ..sizes()
    };
    let env = Toy::new(gpu(), MATCH, &[1, 2, 3], ENVS, T + 1);
    let io = env.io();
    // GAE knows one rollout: the first.
    gpu().write(&io.reward, &c.reward[..(T + 1) * ROWS]);
    gpu().write(&io.terminated, &c.terminated[..(T + 1) * ROWS / AGENTS]);
    gpu().write(&io.truncated, &c.truncated[..(T + 1) * ROWS / AGENTS]);
    let values = gpu().storage_from("values", &c.values[..(T + 1) * ROWS]);
    let estimates = Estimates::new(gpu(), &one);
    let discount = DISCOUNT.map(|[gamma, lambda, ..]| [gamma, lambda]);
    let gae = Gae::new(gpu(), &one, io, &values, None, &discount, &estimates);
    run(|to| gae.record(to));
    let want = read(&estimates.advantage);
    assert_eq!(read(&found.advantage)[..T * ROWS], want[..T * ROWS]);
    let want = read(&estimates.goal);
    assert_eq!(read(&found.goal)[..T * ROWS], want[..T * ROWS]);
}

/// A learner of one agent: nobody else's actions are in its critic, and its advantages are GAE's, bit for bit.
#[test]
fn gpae_of_one_agent_is_gae() {
    let config = Config {
        env: "babyai/goto".into(),
        algo: Algo::Gpae,
        envs: 6,
        rollout: 10,
        seeds: 2,
        hidden: 16,
        reuse: 1,
        minibatches: 1,
        total_steps: 1 << 20,
        ..Config::default()
    };
    let env = crate::ppo::train_env(gpu(), &config).expect("fits");
    let mut gpae = Gpae::new(gpu(), &config, env).expect("fits");
    assert_eq!(gpae.ppo.sizes.agents, 1);
    let mut to = gpae.ppo.begin_update();
    gpae.ppo.record_rollout(&mut to);
    let (all, rollouts) = (gpae.ppo.rollouts_tick(), gpae.ppo.rollouts());
    gpae.ppo.value.record(&mut to, all, rollouts);
    gpae.estimator.record(&mut to, rollouts);
    to.submit();
    let estimates = &gpae.ppo.estimates;
    let (advantage, goal) = (read(&estimates.advantage), read(&estimates.goal));
    let words = 10 * gpae.ppo.sizes.rows();
    assert!(advantage[..words].iter().filter(|x| **x != 0.0).count() > words / 2);
    run(|to| gpae.ppo.gae.record(to));
    assert_eq!(read(&estimates.advantage)[..words], advantage[..words]);
    assert_eq!(read(&estimates.goal)[..words], goal[..words]);
}

/// λ = 1 and an end in the last step: advantage and value are the discounted return, whatever the values.
#[test]
fn traces_of_one_add_up_to_the_return() {
    let mut c = case();
    c.terminated.fill(0.0);
    c.truncated.fill(0.0);
    for slot in (T - 1..SLOTS).step_by(T + 1) {
        c.terminated[slot * ROWS / AGENTS..(slot + 1) * ROWS / AGENTS].fill(1.0);
    }
    let found = read(&estimate(&c, None).goal);
    // The third member's λ.
    for row in 2 * ENVS * AGENTS..ROWS {
        for rollout in 0..ROLLOUTS {
            let mut total = 0.0;
            for t in (0..T).rev() {
                let i = (rollout * (T + 1) + t) * ROWS + row;
                total += f64::from(c.reward[i]);
                close(&[found[i]], &[total], 2e-5, "return");
            }
        }
    }
}

/// One rollout with parameters that leave no number near 0.
fn stirred<L: ActorCritic>(mut learner: L) -> L {
    stir(learner.ppo());
    let ppo = learner.ppo_mut();
    let mut to = ppo.begin_update();
    ppo.record_rollout(&mut to);
    to.submit();
    learner
}

fn stir(ppo: &Ppo) {
    let words = (ppo.adam.params.size / 4) as usize;
    gpu().write(&ppo.adam.params, &uniform(9, words, -0.8, 0.8));
}

/// The action words of row `i` of `[slots, P, E, A]` as a critic of the others sees its team: one-hot or numbers, the own one blank unless
/// `all`.
fn told(ppo: &Ppo, actions: &[u32], i: usize, all: bool) -> Vec<f64> {
    let k = ppo.sizes.actions.words();
    let mut seen = Vec::new();
    for j in i - i % AGENTS..i - i % AGENTS + AGENTS {
        let own = j == i && !all;
        let words = &actions[j * k..(j + 1) * k];
        match ppo.sizes.actions {
            ActionSpace::Discrete(n) => {
                seen.extend((0..n).map(|a| f64::from(u8::from(!own && a as u32 == words[0]))));
            }
            ActionSpace::Continuous(_) => {
                let number = |&w: &u32| {
                    if own {
                        0.0
                    } else {
                        f64::from(f32::from_bits(w))
                    }
                };
                seen.extend(words.iter().map(number));
            }
        }
    }
    seen
}

/// The input of a critic of the others for row `i`: state, number, actions.
pub(crate) fn central(ppo: &Ppo, world: &[f64], actions: &[u32], i: usize) -> Vec<f64> {
    central_with(ppo, world, actions, i, false)
}

/// With `all` the agent's own action too.
fn central_with(ppo: &Ppo, world: &[f64], actions: &[u32], i: usize, all: bool) -> Vec<f64> {
    let env = i / AGENTS;
    let mut input = world[env * ppo.sizes.state..(env + 1) * ppo.sizes.state].to_vec();
    input.extend((0..AGENTS).map(|a| f64::from(u8::from(a == i % AGENTS))));
    input.extend(told(ppo, actions, i, all));
    input
}

/// Values of every slot, the log-probabilities that are said of stored steps and the inputs of minibatches, over three updates that fill
/// two rollouts and begin again.
#[test]
fn critics_see_what_the_others_did_and_policies_judge_what_is_stored() {
    for (env, network, critic_actions, by_rows, hidden) in [
        (MATCH, Kind::Ff, Concat, true, 16),
        (MATCH, Kind::Ff, Concat, false, 16),
        // A first kernel of 18 inputs and 256 columns is more than one uniform block beside the second.
        (MATCH, Kind::Ff, Concat, true, 256),
        (REACH, Kind::Ff, Concat, true, 16),
        (REACH, Kind::Ff, Concat, false, 16),
        (MATCH, Kind::Gru, Concat, false, 16),
        (REACH, Kind::Gru, Concat, false, 16),
        (MATCH, Kind::Ff, Head, true, 16),
        (REACH, Kind::Ff, Head, false, 16),
        (MATCH, Kind::Gru, Head, true, 16),
        (REACH, Kind::Gru, Head, false, 16),
    ] {
        let config = Config {
            env: env.into(),
            envs: 5,
            seeds: 2,
            rollout: 8,
            reuse: 2,
            minibatches: 1,
            network,
            critic_actions,
            hidden,
            by_rows: Some(by_rows),
            ..config(Algo::Gpae)
        };
        let mut gpae = Gpae::new(gpu(), &config, toy(&config)).expect("it fits");
        stir(&gpae.ppo);
        let (s, rows) = (gpae.ppo.sizes, gpae.ppo.sizes.rows());
        let (mut reset_before, mut first_memory) = (vec![], vec![vec![]; 2]);
        for update in 0..3 {
            let ppo = &mut gpae.ppo;
            let mut to = ppo.begin_update();
            ppo.record_rollout(&mut to);
            let (all, rollouts) = (ppo.rollouts_tick(), ppo.rollouts());
            assert_eq!(rollouts, (update + 1).min(2));
            ppo.value.record(&mut to, all, rollouts);
            let old = gpae.off_policy.as_ref().expect("two rollouts");
            old.policy.record_all(&mut to, all, rollouts, ppo.rollout());
            to.submit();
            let newest = ppo.rollout();
            let io = ppo.env.io().clone();
            if let Some(r) = &ppo.recurrent {
                reset_before = read(&r.resets.reset_in);
                first_memory = r.memories.iter().map(|m| read(&m.start)).collect();
            }
            let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
            let (world, obs, avail) = (read(&io.state), read(&io.obs), read(&io.avail));
            let (values, said, stored) = (
                read(&ppo.values),
                read(ppo.said.as_ref().expect("two rollouts")),
                read(&ppo.log_probs),
            );
            let params = read(&ppo.adam.params);
            let net = ppo.networks();
            for (rollout, row) in (0..rollouts).flat_map(|m| (0..rows).map(move |row| (m, row))) {
                let member = row / s.member_rows();
                let words = &params[member * net.stride()..(member + 1) * net.stride()];
                let mut memory: Vec<Vec<f64>> = first_memory
                    .iter()
                    .map(|m| {
                        let h = config.hidden;
                        let first = (rollout * rows + row) * h;
                        m.get(first..first + h).unwrap_or_default().to_vec()
                    })
                    .collect();
                for t in 0..=s.steps {
                    let i = (rollout * (s.steps + 1) + t) * rows + row;
                    if network == Kind::Gru {
                        let keep = 1.0 - reset_before[i];
                        memory.iter_mut().flatten().for_each(|m| *m *= keep);
                    }
                    let input = central(ppo, &world, &actions, i);
                    let want = forward(&net.critic, words, false, &input, &mut memory[1])[0];
                    close(&[values[i]], &[want], 3e-5, "value");
                    if t == s.steps {
                        continue;
                    }
                    let seen = &obs[i * s.obs..(i + 1) * s.obs];
                    let output = forward(&net.actor, words, false, seen, &mut memory[0]);
                    if env == MATCH {
                        let allowed = &avail[i * SHOWN..(i + 1) * SHOWN];
                        let all = crate::tests::network::log_softmax(&output, allowed);
                        close(&[said[i]], &[all[actions[i] as usize]], 3e-5, "said");
                    }
                    // The same parameters collected it, but for the action that the rollout before ended with, and what is
                    // remembered of that step.
                    let same = update == 0 || (t > 0 && network == Kind::Ff);
                    if rollout == newest && same {
                        close(&[said[i]], &[stored[i]], 3e-5, "said of what it did");
                    }
                }
            }
            // A minibatch is all that there is at first, and shows the same.
            let tick = ppo.minibatch_tick(0, 0);
            run(|to| {
                ppo.minibatches.record_epoch(to, tick, rollouts);
                ppo.record_gather(to, tick);
            });
            let order: Vec<u32> = gpu().read(&ppo.minibatches.order).expect("readable");
            let items = order.len() / s.members;
            let columns = net.critic.inputs();
            let gathered = unpadded(&ppo.minibatches.critic_input, columns);
            for sample in 0..s.members * s.minibatch_rows() {
                let (p, r) = (sample / s.minibatch_rows(), sample % s.minibatch_rows());
                let i = match s.sequences {
                    0 => {
                        let item = order[p * items + r] as usize;
                        let t = item / s.member_rows();
                        let slot = t / s.steps * (s.steps + 1) + t % s.steps;
                        (slot * s.members + p) * s.member_rows() + item % s.member_rows()
                    }
                    n => {
                        let item = order[p * items + r % n] as usize;
                        let slot = item / s.member_rows() * (s.steps + 1) + r / n;
                        (slot * s.members + p) * s.member_rows() + item % s.member_rows()
                    }
                };
                let want = central(ppo, &world, &actions, i);
                let found = &gathered[sample * columns..(sample + 1) * columns];
                close(found, &want[..columns], 1e-6, "minibatch");
                if let Critic::Apart { actions: told, .. } = &ppo.critic {
                    let width = want.len() - columns;
                    let row = &unpadded(&told.rows, width)[sample * width..(sample + 1) * width];
                    close(row, &want[columns..], 1e-6, "actions of a minibatch");
                }
            }
            // Another policy from now on: what is stored is older than what judges it.
            let drift = uniform(40 + update as u32, params.len(), -0.1, 0.1);
            let moved: Vec<_> = params
                .iter()
                .zip(drift)
                .map(|(w, d)| *w as f32 + d)
                .collect();
            gpu().write(&ppo.adam.params, &moved);
            ppo.end_update(Recorder::new(gpu()))
                .expect("few enough workgroups");
        }
    }
}

/// Where agents did something else in step 3, an agent's own value does not move and the others' do; the values of step 4 move where the
/// critic remembers what was done, and only there.
#[test]
fn an_agents_own_action_never_moves_its_value() {
    for (env, network, critic_actions, by_rows) in [
        (MATCH, Kind::Ff, Concat, true),
        (MATCH, Kind::Ff, Concat, false),
        (MATCH, Kind::Gru, Concat, false),
        (REACH, Kind::Ff, Concat, true),
        (MATCH, Kind::Ff, Head, true),
        (MATCH, Kind::Gru, Head, true),
        (MATCH, Kind::Gru, Head, false),
        (REACH, Kind::Gru, Head, false),
    ] {
        let config = Config {
            env: env.into(),
            // No end between the steps that are looked at.
            envs: 2,
            reuse: 1,
            network,
            critic_actions,
            by_rows: Some(by_rows),
            ..config(Algo::Gpae)
        };
        let gpae = stirred(Gpae::new(gpu(), &config, toy(&config)).expect("it fits"));
        let ppo = &gpae.ppo;
        let values = || {
            run(|to| ppo.record_values(to));
            read(&ppo.values)
        };
        let before = values();
        // Agent 1 of environment 1 does something else in step 2.
        let rows = ppo.sizes.rows();
        let i = 2 * rows + AGENTS + 1;
        let k = ppo.sizes.actions.words();
        let mut actions: Vec<u32> = gpu().read(&ppo.env.io().actions).expect("readable");
        actions[i * k] = match ppo.sizes.actions {
            ActionSpace::Discrete(n) => (actions[i] + 1) % n as u32,
            ActionSpace::Continuous(_) => 7.5_f32.to_bits(),
        };
        gpu().write(&ppo.env.io().actions, &actions);
        let after = values();
        let what = format!("{env} {network:?} {critic_actions:?}");
        assert_eq!(after[i], before[i], "{what}: its own value");
        assert_ne!(after[i - 1], before[i - 1], "{what}: the other's");
        // Of the next step: what the others do then is the same.
        let remembers = network == Kind::Gru && critic_actions == Concat;
        let ended =
            read(&ppo.env.io().terminated)[i / AGENTS] + read(&ppo.env.io().truncated)[i / AGENTS];
        assert_eq!(ended, 0.0);
        let moved = after[i - 1 + rows] != before[i - 1 + rows];
        assert_eq!(moved, remembers, "{what}: the other's value a step later");
        assert_eq!(after[i + rows], before[i + rows], "{what}: its own later");
        let others = (0..after.len()).filter(|&j| j != i - 1 && j % rows != i % rows - 1);
        for j in others {
            assert_eq!(after[j], before[j], "{what}: value {j}");
        }
    }
}

#[test]
fn coma_equals_its_definition() {
    for (network, critic_actions) in [
        (Kind::Ff, Concat),
        (Kind::Gru, Concat),
        (Kind::Ff, Head),
        (Kind::Gru, Head),
    ] {
        let config = Config {
            envs: 5,
            seeds: 2,
            minibatches: 1,
            network,
            critic_actions,
            ..config(Algo::Coma)
        };
        let mut coma = stirred(Coma::new(gpu(), &config, toy(&config)).expect("it fits"));
        coma.ppo
            .end_update(Recorder::new(gpu()))
            .expect("few enough workgroups");
        let mut to = coma.ppo.begin_update();
        coma.ppo.record_rollout(&mut to);
        coma.record_estimates(&mut to);
        to.submit();
        let (ppo, s) = (&coma.ppo, coma.ppo.sizes);
        let io = ppo.env.io().clone();
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let (reward, ended) = (read(&io.reward), read(&io.terminated));
        let cut = read(&io.truncated);
        let (q, policy) = (read(&ppo.critic_values), read(&coma.probabilities));
        let (advantage, goal) = (read(&ppo.estimates.advantage), read(&ppo.estimates.goal));
        for i in 0..s.steps * s.rows() {
            let of = |x: &[f64], i: usize| x[i * SHOWN..(i + 1) * SHOWN].to_vec();
            let (q_here, p) = (of(&q, i), of(&policy, i));
            close(&[p.iter().sum()], &[1.0], 1e-6, "probabilities");
            let taken = actions[i] as usize;
            close(&[p[taken].ln()], &[read(&ppo.log_probs)[i]], 1e-4, "policy");
            let baseline: f64 = p.iter().zip(&q_here).map(|(p, q)| p * q).sum();
            close(
                &[advantage[i]],
                &[q_here[taken] - baseline],
                2e-5,
                "advantage",
            );
            let next = of(&q, i + s.rows())[actions[i + s.rows()] as usize];
            let on = 1.0 - ended[i / AGENTS] - cut[i / AGENTS];
            let want = reward[i] + config.gamma * on * next;
            close(&[goal[i]], &[want], 2e-5, "target");
        }
        assert!(ended.contains(&1.0) && cut.contains(&1.0));
    }
}

/// One step of a game in which both agents choose among four, every joint action in an environment of its own: the sums over them are
/// the expectations.
#[test]
fn on_an_enumerated_game_the_estimators_keep_the_gradient_and_subtract_the_mean() {
    let n = SHOWN;
    let config = Config {
        envs: n * n,
        rollout: 1,
        minibatches: 1,
        ..config(Algo::Coma)
    };
    let coma = stirred(Coma::new(gpu(), &config, toy(&config)).expect("it fits"));
    let ppo = &coma.ppo;
    let payoff: Vec<f64> = uniform(31, n * n, -5.0, 5.0)
        .into_iter()
        .map(f64::from)
        .collect();
    let softmax = |stream: u32| {
        let weights: Vec<f64> = uniform(stream, n, 0.1, 1.0)
            .into_iter()
            .map(f64::from)
            .collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).collect::<Vec<_>>()
    };
    let policies = [softmax(32), softmax(33)];
    let joint: Vec<[usize; 2]> = (0..n * n).map(|e| [e / n, e % n]).collect();
    let rows = || joint.iter().flat_map(|a| (0..AGENTS).map(move |i| (*a, i)));
    let floats = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<_>>();
    let of_other = |a: [usize; 2], i: usize, own: usize| match i {
        0 => payoff[own * n + a[1]],
        _ => payoff[a[0] * n + own],
    };
    let actions: Vec<u32> = rows().map(|(a, i)| a[i] as u32).collect();
    gpu().write(&ppo.env.io().actions, &actions);
    let q = rows().flat_map(|(a, i)| {
        (0..n)
            .map(move |own| of_other(a, i, own))
            .collect::<Vec<_>>()
    });
    gpu().write(&ppo.critic_values, &floats(q.collect()));
    let said = rows().flat_map(|(_, i)| policies[i].clone());
    gpu().write(&coma.probabilities, &floats(said.collect()));
    run(|to| coma.record_advantages(to));
    let advantage = read(&ppo.estimates.advantage);

    // GPAE with exact values, EQⁱ(a⁻ⁱ) = Σ π Q, over the same step, which ends the game.
    let eq = |a: [usize; 2], i: usize| -> f64 {
        (0..n)
            .map(|own| policies[i][own] * of_other(a, i, own))
            .sum()
    };
    let gpae = Gpae::new(
        gpu(),
        &Config {
            algo: Algo::Gpae,
            reuse: 1,
            ..config.clone()
        },
        toy(&config),
    );
    let gpae = gpae.expect("it fits");
    let io = gpae.ppo.env.io().clone();
    gpu().write(
        &io.reward,
        &floats(rows().map(|(a, _)| payoff[a[0] * n + a[1]]).collect()),
    );
    gpu().write(&io.terminated, &vec![1.0_f32; n * n]);
    gpu().write(
        &gpae.ppo.values,
        &floats(rows().map(|(a, i)| eq(a, i)).collect()),
    );
    run(|to| gpae.estimator.record(to, 1));
    let of_gpae = read(&gpae.ppo.estimates.advantage);

    for i in 0..AGENTS {
        // ∂ ln π(a) / ∂ logits = 1[a] − π.
        let score = |a: usize, k: usize| f64::from(u8::from(a == k)) - policies[i][k];
        for k in 0..n {
            let gradient = |weight: &dyn Fn(usize) -> f64| -> f64 {
                let each = joint.iter().enumerate();
                each.map(|(e, a)| {
                    policies[0][a[0]] * policies[1][a[1]] * score(a[i], k) * weight(e)
                })
                .sum()
            };
            let want = gradient(&|e| payoff[e]);
            for found in [&advantage, &of_gpae] {
                let found = gradient(&|e| found[e * AGENTS + i]);
                close(&[found], &[want], 1e-5, "gradient");
            }
        }
        for (e, a) in joint.iter().enumerate() {
            let want = payoff[e] - eq(*a, i);
            close(&[advantage[e * AGENTS + i]], &[want], 1e-5, "Q - E Q");
            close(&[of_gpae[e * AGENTS + i]], &[want], 1e-5, "Q - E Q");
        }
        // Σ_a π(a) A(a, a⁻ⁱ) = 0 whatever the other does.
        for other in 0..n {
            let with = |own: usize| {
                if i == 0 {
                    own * n + other
                } else {
                    other * n + own
                }
            };
            let mean: f64 = (0..n)
                .map(|own| policies[i][own] * advantage[with(own) * AGENTS + i])
                .sum();
            close(&[mean], &[0.0], 1e-5, "mean advantage");
        }
    }
}

fn dae(env: &str, beta: f64, shaped: bool, network: Kind) -> Dae {
    estimated_dae(&Config {
        env: env.into(),
        envs: 5,
        seeds: 2,
        minibatches: 1,
        network,
        dae_beta: beta,
        dae_shaped_target: shaped,
        bootstrap_truncated: network == Kind::Ff,
        counterfactual_samples: 3,
        ..config(Algo::Dae)
    })
}

/// In its second rollout, whose recurrent networks begin with something remembered.
fn estimated_dae(config: &Config) -> Dae {
    let mut dae = stirred(Dae::new(gpu(), config, toy(config)).expect("it fits"));
    run(|to| dae.record_estimates(to));
    dae.ppo
        .end_update(Recorder::new(gpu()))
        .expect("few enough workgroups");
    let mut to = dae.ppo.begin_update();
    dae.ppo.record_rollout(&mut to);
    dae.record_estimates(&mut to);
    to.submit();
    dae
}

#[test]
fn dae_equals_its_definition() {
    for (env, beta, shaped, network) in [
        (MATCH, 0.5, true, Kind::Ff),
        (MATCH, 0.5, false, Kind::Ff),
        (MATCH, 1.0, true, Kind::Gru),
        (REACH, 0.5, true, Kind::Ff),
        (REACH, 1.0, true, Kind::Gru),
    ] {
        let dae = dae(env, beta, shaped, network);
        let (ppo, s) = (&dae.ppo, dae.ppo.sizes);
        let io = ppo.env.io().clone();
        let (reward, over, cut) = (read(&io.reward), read(&io.terminated), read(&io.truncated));
        let (values, policy) = (read(&ppo.values), read(&dae.probabilities));
        let finals = ppo.final_values.as_ref().map(read);
        let (models, advantage) = (read(&dae.predictions), read(&ppo.estimates.advantage));
        let goal = read(&ppo.estimates.goal);
        let words = models.len() / 2;
        let (gamma, lambda) = (ppo.config.gamma, ppo.config.gae_lambda);
        for row in 0..s.rows() {
            let (mut trace, mut expected) = (0.0, 0.0);
            for t in (0..s.steps).rev() {
                let i = t * s.rows() + row;
                let e = i / AGENTS;
                let ended = over[e] + cut[e] > 0.5;
                let next = match &finals {
                    Some(finals) if cut[e] > 0.5 => finals[i],
                    _ if ended => 0.0,
                    _ => values[i + s.rows()],
                };
                let on = if ended { 0.0 } else { gamma * lambda };
                let mean = |k: usize| (models[k] + models[words + k]) / 2.0;
                let b = match s.actions {
                    ActionSpace::Discrete(n) => {
                        (i * n..(i + 1) * n).map(|k| policy[k] * mean(k)).sum()
                    }
                    // What the samples of the policy came to.
                    ActionSpace::Continuous(_) => mean(i),
                };
                trace = reward[i] + gamma * next - values[i] + on * trace;
                expected = beta * b + on * beta * expected;
                close(&[advantage[i]], &[trace - expected], 3e-5, "advantage");
                let target = if shaped { trace - expected } else { trace };
                close(&[goal[i]], &[values[i] + target], 3e-5, "target");
            }
        }
    }
}

#[test]
fn dae_without_the_model_is_gae() {
    for env in [MATCH, REACH] {
        let dae = dae(env, 0.0, true, Kind::Ff);
        let (advantage, goal) = (&dae.ppo.estimates.advantage, &dae.ppo.estimates.goal);
        let found = (read(advantage), read(goal));
        run(|to| dae.ppo.gae.record(to));
        assert_eq!(found, (read(advantage), read(goal)), "{env}");
    }
}

/// The two steps of §10.5: b = (1, 2), β = 0.5, γλ = 0.9 give B = (0.95, 1).
#[test]
fn dae_takes_off_what_the_example_by_hand_does() {
    let config = Config {
        envs: 1,
        rollout: 2,
        minibatches: 1,
        gamma: 0.9,
        gae_lambda: 1.0,
        dae_beta: 0.5,
        ..config(Algo::Dae)
    };
    let dae = Dae::new(gpu(), &config, toy(&config)).expect("it fits");
    let ppo = &dae.ppo;
    let step = |x: f32| [x; AGENTS * SHOWN];
    let models = [step(1.0), step(2.0), step(0.0)].concat();
    let words = (dae.predictions.size / 4) as usize / 2;
    for m in 0..2 {
        gpu().write(&dae.predictions.part(m * words, models.len()), &models);
    }
    gpu().write(&dae.probabilities, &[0.25_f32; 3 * AGENTS * SHOWN]);
    run(|to| dae.record_advantages(to));
    let found = read(&ppo.estimates.advantage);
    // Rewards and values are 0.
    close(
        &found[..2 * AGENTS],
        &[-0.95, -0.95, -1.0, -1.0],
        1e-6,
        "advantage",
    );
}

/// What the rows of recurrent network `which` remembered when the newest rollout began; nothing of others.
fn remembered(ppo: &Ppo, which: usize) -> Vec<f64> {
    let memories = ppo.recurrent.as_ref().map(|r| &r.memories[which]);
    memories.map_or(vec![], |m| read(&m.start))
}

/// What the reward models expect, and the gradients of their loss, against the network in double precision and its differences.
#[test]
fn reward_models_equal_their_networks_and_gradients_finite_differences() {
    for (env, network, reward_layer_norm, by_rows) in [
        (MATCH, Kind::Ff, true, true),
        (MATCH, Kind::Gru, true, false),
        (MATCH, Kind::Gru, true, true),
        (MATCH, Kind::Gru, false, false),
        (REACH, Kind::Ff, true, false),
        (REACH, Kind::Gru, true, true),
    ] {
        let config = Config {
            env: env.into(),
            envs: 4,
            rollout: 8,
            seeds: 2,
            minibatches: 1,
            network,
            // Not the width of the others.
            reward_hidden: 24,
            reward_layer_norm,
            counterfactual_samples: 3,
            by_rows: Some(by_rows),
            ..config(Algo::Dae)
        };
        let dae = estimated_dae(&config);
        let what = format!("{env} {network:?} {reward_layer_norm}");
        let (ppo, s) = (&dae.ppo, dae.ppo.sizes);
        let tick = ppo.minibatch_tick(0, 0);
        run(|to| {
            ppo.minibatches.record_epoch(to, tick, 1);
            dae.record_model_gradients(to, tick);
            ppo.adam.record_norms(to, tick);
        });
        let io = ppo.env.io().clone();
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let (world, reward) = (read(&io.state), read(&io.reward));
        let (params, grads) = (read(&ppo.adam.params), read(&ppo.adam.grads));
        let net = ppo.networks();
        // They forget with the episode: an agent that is dead sees the others' rewards.
        let ended: Vec<f64> = read(&io.terminated)
            .iter()
            .zip(read(&io.truncated))
            .map(|(a, b)| a.max(b))
            .collect();
        let dead = read(&io.agent_done);
        assert!(dead.iter().enumerate().any(|(i, d)| *d > ended[i / AGENTS]));
        let predictions = read(&dae.predictions);
        let numbers = env == REACH;
        for (m, model) in net.models.iter().enumerate() {
            assert_eq!(model.apart.as_ref().expect("apart").norms.len(), {
                let all = 2 + usize::from(network == Kind::Gru);
                if reward_layer_norm { all } else { 0 }
            });
            let (start, h) = (remembered(ppo, 2 + m), model.hidden());
            let predicted = &predictions[m * predictions.len() / 2..];
            for p in 0..s.members {
                // One minibatch is the whole rollout: the order does not matter.
                let rewards = |words: &[f64], see: &mut dyn FnMut(usize, Vec<f64>)| {
                    for row in p * s.member_rows()..(p + 1) * s.member_rows() {
                        let own = row * h..(row + 1) * h;
                        let mut memory = start.get(own).unwrap_or_default().to_vec();
                        for t in 0..s.steps {
                            let i = t * s.rows() + row;
                            if t > 0 {
                                let before = ended[(i - s.rows()) / AGENTS];
                                memory.iter_mut().for_each(|x| *x *= 1.0 - before);
                            }
                            let input = central_with(ppo, &world, &actions, i, numbers);
                            see(i, forward(model, words, false, &input, &mut memory));
                        }
                    }
                };
                let loss = |words: &[f64]| {
                    let mut sum = 0.0;
                    rewards(words, &mut |i, output| {
                        let taken = if numbers { 0 } else { actions[i] as usize };
                        sum += 0.5 * (output[taken] - reward[i]).powi(2);
                    });
                    sum / s.minibatch_rows() as f64
                };
                let words = &params[p * net.stride()..(p + 1) * net.stride()];
                if !numbers {
                    rewards(words, &mut |i, output| {
                        let found = &predicted[i * SHOWN..(i + 1) * SHOWN];
                        close(found, &output, 5e-5, &what);
                    });
                }
                let apart = model.apart.as_ref().expect("apart");
                let first = apart.state.expect("a layer of the state").kernel;
                let mut largest: f64 = 0.0;
                // Every 23rd: all kinds of weights are among them, and all norms.
                let norms = apart.norms.iter().flat_map(|n| n.scale..n.end());
                for w in (first..model.end()).step_by(23).chain(norms.step_by(3)) {
                    let at = |d: f64| {
                        let mut words = words.to_vec();
                        words[w] += d;
                        loss(&words)
                    };
                    let want = (at(1e-5) - at(-1e-5)) / 2e-5;
                    largest = largest.max(want.abs());
                    let found = grads[p * net.stride() + w];
                    assert!(
                        (found - want).abs() < 5e-5,
                        "{what}, word {w}: {found}, {want}"
                    );
                }
                assert!(largest > 0.02, "gradients of {largest} would show nothing");
            }
        }
    }
}

/// Scales begin with 1 and shifts with 0, kernels are orthogonal with gain 1, biases 0.
#[test]
fn reward_models_begin_as_the_published_ones() {
    let config = Config {
        network: Kind::Gru,
        ..config(Algo::Dae)
    };
    let dae = Dae::new(gpu(), &config, toy(&config)).expect("it fits");
    let params = read(&dae.ppo.adam.params);
    let models = &dae.ppo.networks().models;
    assert_eq!(models.len(), 2);
    for model in models {
        let apart = model.apart.as_ref().expect("apart");
        for norm in &apart.norms {
            assert!(params[norm.scale..norm.shift].iter().all(|x| *x == 1.0));
            assert!(params[norm.shift..norm.end()].iter().all(|x| *x == 0.0));
        }
        let trunk = model.trunk.as_ref().expect("recurrent");
        for layer in [&apart.actions, &trunk.embed] {
            let h = layer.outputs;
            let kernel = &params[layer.kernel..layer.bias];
            // As many inputs as units, or more: the columns have length 1.
            let long = layer.inputs >= h;
            let length = |u: usize| -> f64 {
                let of = |k: usize| kernel[k * h + u].powi(2);
                (0..layer.inputs).map(of).sum()
            };
            if long {
                (0..h).for_each(|u| close(&[length(u)], &[1.0], 1e-5, "gain"));
            }
            assert!(params[layer.bias..layer.end()].iter().all(|x| *x == 0.0));
        }
    }
    let (a, b) = (&models[0], &models[1]);
    let kernel = |n: &crate::net::Network| params[n.head().kernel..n.head().bias].to_vec();
    assert_ne!(kernel(a), kernel(b), "the ensemble's models differ");
}

/// What an agent of row `i` in `[slots, P, E, A]` might have done, drawn again in double precision: `[K]` actions of the Gaussian policy.
/// `i`'s environment step is the rollout's first, `first`, and its slot.
fn samples_of(ppo: &Ppo, params: &[f64], means: &[f64], i: usize, first: u32) -> Vec<Vec<f64>> {
    let (s, k) = (ppo.sizes, NUMBERS);
    let (row, p) = (i % s.member_rows(), i % s.rows() / s.member_rows());
    let seed = ppo.config.seeds_from(ppo.config.seed)[p];
    let key = crate::rng::key(seed, crate::rng::Purpose::Counterfactual);
    let log_std = {
        let words = ppo.networks().actor.log_std_words().expect("Gaussian");
        params[p * ppo.networks().stride()..][words].to_vec()
    };
    let count = ppo.config.counterfactual_samples;
    let pairs = k.div_ceil(2);
    let draw = first + (i / s.rows()) as u32;
    let unit = |bits: u32| f64::from(bits >> 8) / f64::from(1 << 24);
    let one = |sample: usize| {
        let number = |j: usize| {
            let word = ((row * count + sample) * pairs + j / 2) as u32;
            let [a, b] = threefry2x32(key, [draw, word]);
            let radius = (-2.0 * (1.0 - unit(a)).ln()).sqrt();
            let angle = std::f64::consts::TAU * (unit(b) - 0.5);
            let z = if j.is_multiple_of(2) {
                angle.cos()
            } else {
                angle.sin()
            } * radius;
            means[i * k + j] + log_std[j].exp() * z
        };
        (0..k).map(number).collect()
    };
    (0..count).map(one).collect()
}

/// The mean of a network's output over the samples in place of the own action, for every step of the newest rollout: `see` gets the row, that
/// mean and the output for what was done.
fn expectations(
    ppo: &Ppo,
    net: &crate::net::Network,
    tanh: bool,
    which: usize,
    means: &[f64],
    see: &mut dyn FnMut(usize, f64, f64),
) {
    let s = ppo.sizes;
    let io = ppo.env.io().clone();
    let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
    let (world, params) = (read(&io.state), read(&ppo.adam.params));
    // Reward models forget with the episode alone.
    let resets = ppo.recurrent.as_ref().map(|r| match &r.ends {
        Some(ends) if which >= 2 => read(&ends.reset_in),
        _ => read(&r.resets.reset_in),
    });
    // The second rollout.
    let first = s.steps as u32;
    let (start, h) = (remembered(ppo, which), net.hidden());
    for row in 0..s.rows() {
        let p = row / s.member_rows();
        let words = &params[p * ppo.networks().stride()..(p + 1) * ppo.networks().stride()];
        let mut memory = start
            .get(row * h..(row + 1) * h)
            .unwrap_or_default()
            .to_vec();
        for t in 0..s.steps {
            let i = t * s.rows() + row;
            if let Some(resets) = &resets {
                memory.iter_mut().for_each(|x| *x *= 1.0 - resets[i]);
            }
            let input = central_with(ppo, &world, &actions, i, true);
            let before = memory.clone();
            let taken = forward(net, words, tanh, &input, &mut memory)[0];
            let samples = samples_of(ppo, &params, means, i, first);
            let own = input.len() - (AGENTS - i % AGENTS) * NUMBERS;
            let of_sample = |action: &Vec<f64>| {
                let mut input = input.clone();
                input[own..own + NUMBERS].copy_from_slice(action);
                forward(net, words, tanh, &input, &mut before.clone())[0]
            };
            let mean = samples.iter().map(of_sample).sum::<f64>() / samples.len() as f64;
            see(i, mean, taken);
        }
    }
}

#[test]
fn coma_of_numbers_equals_its_definition_with_the_same_draws() {
    for (network, critic_actions, by_rows) in [
        (Kind::Ff, Concat, true),
        (Kind::Gru, Concat, false),
        (Kind::Ff, Head, false),
        (Kind::Gru, Head, true),
    ] {
        let config = Config {
            env: REACH.into(),
            envs: 5,
            seeds: 2,
            minibatches: 1,
            network,
            critic_actions,
            counterfactual_samples: 3,
            by_rows: Some(by_rows),
            ..config(Algo::Coma)
        };
        let mut coma = stirred(Coma::new(gpu(), &config, toy(&config)).expect("it fits"));
        run(|to| coma.record_estimates(to));
        coma.ppo
            .end_update(Recorder::new(gpu()))
            .expect("few enough workgroups");
        let mut to = coma.ppo.begin_update();
        coma.ppo.record_rollout(&mut to);
        coma.record_estimates(&mut to);
        to.submit();
        let (ppo, s) = (&coma.ppo, coma.ppo.sizes);
        let what = format!("{network:?} {critic_actions:?}");
        let io = ppo.env.io().clone();
        let (reward, ended, cut) = (read(&io.reward), read(&io.terminated), read(&io.truncated));
        let expected = read(&ppo.sampled.as_ref().expect("samples").expected);
        let (advantage, goal) = (read(&ppo.estimates.advantage), read(&ppo.estimates.goal));
        let (values, means) = (read(&ppo.values), read(&coma.probabilities));
        let critic = &ppo.networks().critic;
        expectations(ppo, critic, false, 1, &means, &mut |i, mean, taken| {
            close(&[values[i]], &[taken], 5e-5, &what);
            close(&[expected[i]], &[mean], 1e-4, &what);
            close(&[advantage[i]], &[taken - mean], 1e-4, &what);
            let on = 1.0 - ended[i / AGENTS] - cut[i / AGENTS];
            let want = reward[i] + config.gamma * on * values[i + s.rows()];
            close(&[goal[i]], &[want], 2e-5, &what);
        });
        assert!(ended.contains(&1.0) && cut.contains(&1.0));
    }
}

#[test]
fn dae_of_numbers_expects_what_its_definition_does_with_the_same_draws() {
    for network in [Kind::Ff, Kind::Gru] {
        let dae = dae(REACH, 0.5, true, network);
        let predictions = read(&dae.predictions);
        let means = read(&dae.probabilities);
        for (m, model) in dae.ppo.networks().models.iter().enumerate() {
            let found = &predictions[m * predictions.len() / 2..];
            expectations(&dae.ppo, model, false, 2 + m, &means, &mut |i, mean, _| {
                close(&[found[i]], &[mean], 1e-4, &format!("{network:?}"));
            });
        }
    }
}

/// With a critic that is linear in the actions, the expectation is its value for the policy's means; the error of K samples falls as 1/√K.
#[test]
fn more_samples_come_closer_to_the_expectation() {
    let error = |count: usize| {
        let config = Config {
            env: REACH.into(),
            envs: 32,
            minibatches: 1,
            counterfactual_samples: count,
            ..config(Algo::Coma)
        };
        let coma = stirred(Coma::new(gpu(), &config, toy(&config)).expect("it fits"));
        let (ppo, s) = (&coma.ppo, coma.ppo.sizes);
        // All units are far above 0: the rectifier is the identity.
        let critic = &ppo.networks().critic;
        let mut params = read(&ppo.adam.params);
        for layer in &critic.layers[..2] {
            params[layer.kernel..layer.bias]
                .iter_mut()
                .for_each(|w| *w *= 0.2);
            params[layer.bias..layer.end()].fill(20.0);
        }
        let words: Vec<f32> = params.iter().map(|x| *x as f32).collect();
        gpu().write(&ppo.adam.params, &words);
        run(|to| coma.record_estimates(to));
        let expected = read(&ppo.sampled.as_ref().expect("samples").expected);
        let means = read(&coma.probabilities);
        let io = ppo.env.io().clone();
        let actions: Vec<u32> = gpu().read(&io.actions).expect("readable");
        let world = read(&io.state);
        let mut squares = 0.0;
        for i in 0..s.steps * s.rows() {
            let mut input = central_with(ppo, &world, &actions, i, true);
            let own = input.len() - (AGENTS - i % AGENTS) * NUMBERS;
            input[own..own + NUMBERS].copy_from_slice(&means[i * NUMBERS..(i + 1) * NUMBERS]);
            let want = forward(critic, &params, false, &input, &mut vec![])[0];
            squares += (expected[i] - want).powi(2);
        }
        (squares / (s.steps * s.rows()) as f64).sqrt()
    };
    let errors = [4, 64, 1024].map(error);
    // By four each; a thousand rows tell it to some per cent.
    for pair in errors.windows(2) {
        let ratio = pair[0] / pair[1];
        assert!((3.6..4.4).contains(&ratio), "{errors:?}");
    }
    assert!(errors[2] > 1e-3, "{errors:?} would show nothing");
}

/// A member's draws are its own, whoever is trained beside it and however many environments there are.
#[test]
fn samples_do_not_depend_on_the_batch() {
    let expected = |seeds: usize, envs: usize| {
        let config = Config {
            env: REACH.into(),
            envs,
            seeds,
            minibatches: 1,
            counterfactual_samples: 2,
            by_rows: Some(false),
            ..config(Algo::Coma)
        };
        let coma = Coma::new(gpu(), &config, toy(&config)).expect("it fits");
        let ppo = &coma.ppo;
        // The same critic for all, and policies that mean 0: what is left is what was drawn.
        let stride = ppo.networks().stride();
        let one = uniform(9, stride, -0.8, 0.8);
        let mut all = one.repeat(seeds);
        for member in all.chunks_exact_mut(stride) {
            member[..ppo.networks().actor.end()].fill(0.0);
        }
        gpu().write(&ppo.adam.params, &all);
        gpu().write(
            &ppo.env.io().actions,
            &vec![0.0_f32; ppo.sizes.slots() * ppo.sizes.rows() * NUMBERS],
        );
        gpu().write(
            &ppo.env.io().state,
            &vec![0.5_f32; ppo.sizes.slots() * seeds * envs * ppo.sizes.state],
        );
        run(|to| coma.record_estimates(to));
        let expected = read(&ppo.sampled.as_ref().expect("samples").expected);
        // Step 2, environment 1, both agents, of the first member.
        let i = 2 * ppo.sizes.rows() + AGENTS;
        (expected[i..i + AGENTS].to_vec(), expected)
    };
    let (alone, all) = expected(1, 3);
    close(&expected(3, 3).0, &alone, 1e-6, "members");
    close(&expected(1, 40).0, &alone, 1e-6, "environments");
    assert!((alone[0] - alone[1]).abs() > 1e-3, "{alone:?}");
    assert!((all[0] - alone[0]).abs() > 1e-3, "{alone:?}");
}

/// Two agents, and what they are paid depends on the first alone: the second's advantages by values that see the first are small.
#[test]
fn an_agent_that_does_not_matter_gets_no_credit() {
    let n = SHOWN;
    let config = Config {
        envs: n * n,
        rollout: 1,
        minibatches: 1,
        reuse: 1,
        ..config(Algo::Gpae)
    };
    let gpae = Gpae::new(gpu(), &config, toy(&config)).expect("it fits");
    let io = gpae.ppo.env.io().clone();
    let paid: Vec<f32> = (0..n * n).flat_map(|e| [(e / n) as f32; AGENTS]).collect();
    // EQ⁰ is the mean over its own actions, EQ¹ what the first one's action pays.
    let mean = (n - 1) as f32 / 2.0;
    let values: Vec<f32> = (0..n * n).flat_map(|e| [mean, (e / n) as f32]).collect();
    gpu().write(&io.reward, &paid);
    gpu().write(&io.terminated, &vec![1.0_f32; n * n]);
    gpu().write(&gpae.ppo.values, &values);
    run(|to| {
        gpae.estimator.record(to, 1);
        gpae.ppo.credit.record(to);
    });
    let credit = gpae.ppo.credit.read(gpu()).expect("readable");
    assert_eq!(credit[0]["advantage_share_0"], 1.0);
    assert_eq!(credit[0]["advantage_share_1"], 0.0);
}

/// PPO's ratio on older rollouts (§8.6): what is gathered for it, and the derivative of the loss by ln π.
#[test]
fn the_ratio_on_older_rollouts_is_as_configured() {
    for ratio in [
        ActorRatio::Behaviour,
        ActorRatio::Geppo,
        ActorRatio::Weighted,
    ] {
        let config = Config {
            actor_ratio: ratio,
            reuse: 2,
            minibatches: 1,
            ..config(Algo::Gpae)
        };
        let mut gpae = Gpae::new(gpu(), &config, toy(&config)).expect("it fits");
        (0..2).for_each(|_| gpae.learn().expect("updated"));
        let ppo = &mut gpae.ppo;
        let to = ppo.begin_update();
        drop(to);
        let rows = ppo.sizes.slots() * ppo.sizes.rows();
        let random = |stream| uniform(stream, rows, -1.5, 0.0);
        let (mu, pi, advantage) = (random(51), random(52), uniform(53, rows, -1.0, 1.0));
        gpu().write(&ppo.log_probs, &mu);
        gpu().write(ppo.said.as_ref().expect("two rollouts"), &pi);
        gpu().write(&ppo.estimates.advantage, &advantage);
        let tick = ppo.minibatch_tick(0, 0);
        run(|to| {
            ppo.minibatches.record_epoch(to, tick, 2);
            ppo.record_gather(to, tick);
        });
        let samples = ppo.sizes.minibatch_rows();
        let log_prob = uniform(54, samples, -1.5, 0.0);
        gpu().write(&ppo.loss.input(Input::LogProb), &log_prob);
        ppo.loss.replay().expect("replayed");
        let order: Vec<u32> = gpu().read(&ppo.minibatches.order).expect("readable");
        let place = |r: usize| {
            let item = order[r] as usize;
            let t = item / ppo.sizes.member_rows();
            let slot = t / ppo.sizes.steps * (ppo.sizes.steps + 1) + t % ppo.sizes.steps;
            slot * ppo.sizes.rows() + item % ppo.sizes.member_rows()
        };
        let of = |x: &[f32], r: usize| f64::from(x[place(r)]);
        let mean = (0..samples).map(|r| of(&advantage, r)).sum::<f64>() / samples as f64;
        let variance = (0..samples)
            .map(|r| (of(&advantage, r) - mean).powi(2))
            .sum::<f64>();
        let deviation = (variance / samples as f64).sqrt();
        let found = read(&ppo.loss.log_prob_grad);
        let mut clipped = 0;
        for r in 0..samples {
            let a = (of(&advantage, r) - mean) / deviation;
            let kappa = (of(&pi, r) - of(&mu, r)).exp();
            let now = f64::from(log_prob[r]);
            let (ratio, center, weight) = match ratio {
                ActorRatio::Behaviour => ((now - of(&mu, r)).exp(), 1.0, 1.0),
                ActorRatio::Geppo => ((now - of(&mu, r)).exp(), kappa, 1.0),
                ActorRatio::Weighted => ((now - of(&pi, r)).exp(), 1.0, kappa.min(1.0)),
            };
            let within = ratio * a <= ratio.clamp(center - 0.2, center + 0.2) * a;
            clipped += usize::from(!within);
            let want = if within { -weight * ratio * a } else { 0.0 };
            close(&[found[r] * samples as f64], &[want], 2e-4, "derivative");
        }
        assert!(
            (samples / 8..samples).contains(&clipped),
            "{clipped} of {samples}"
        );
        // What is reported of it: ratios beyond the clipping, and the divergence from the policy when the update began.
        let [mut beyond, mut divergence] = [0.0; 2];
        for (r, &now) in log_prob.iter().enumerate() {
            let now = f64::from(now);
            let kappa = (of(&pi, r) - of(&mu, r)).exp();
            let (log_ratio, center) = match ratio {
                ActorRatio::Behaviour => (now - of(&mu, r), 1.0),
                ActorRatio::Geppo => (now - of(&mu, r), kappa),
                ActorRatio::Weighted => (now - of(&pi, r), 1.0),
            };
            beyond += f64::from(u8::from((log_ratio.exp() - center).abs() > 0.2));
            divergence += log_ratio.exp() - center - center * (log_ratio - center.ln());
        }
        let ticks = &ppo.ticks;
        ticks.set_now(
            gpu(),
            tick,
            Tick {
                first: 1,
                ..Tick::default()
            },
        );
        run(|to| ppo.diagnostics.record_minibatch(to, tick));
        let told = ppo.diagnostics.read(gpu(), 1).expect("readable");
        let n = samples as f64;
        close(&[told[0]["clip_fraction"]], &[beyond / n], 1e-5, "clipped");
        close(
            &[told[0]["approx_kl"]],
            &[divergence / n],
            1e-4,
            "divergence",
        );
    }
}
