//! Key-Door: exact values against the specification's test vectors, the shader against the transitions that they are
//! computed from, and simulated returns against the exact values.

mod common;

use merit_sim::env::VecEnv;
use merit_sim::keydoor::*;
use merit_sim::registry::{self, Driver, EnvOptions};
use serde_json::json;

use common::{batch, gpu, options, run, stats};

const L: usize = 10;

fn keydoor(given: serde_json::Value) -> KeydoorOptions {
    configure("keydoor", &options(given)).expect("valid options")
}

fn near(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (k, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (a - b).abs() <= tolerance,
            "{what}, entry {k}: {a} instead of {b}"
        );
    }
}

// ---- Exact values: `overcooked_and_small_games.md` §5.2 and §5.4, `ricol.md` §13.2 ------------------------------------

/// Half a unit of the last digit that is printed.
const PRINTED: f64 = 5.1e-7;

#[test]
fn exact_values_of_the_uniform_policy_are_the_test_vectors() {
    let uniform = uniform_policy(L);
    let exact = exact_values(L, &uniform, 0.99).unwrap();
    let no_key = [
        0.200488, 0.165787, 0.137783, 0.115347, 0.097571, 0.083737, 0.073286, 0.065797, 0.060966,
        0.058599,
    ];
    let key = [
        0.243291, 0.253121, 0.273178, 0.304272, 0.347661, 0.405096, 0.478899, 0.572051, 0.688317,
        0.832393,
    ];
    near("V", &exact.v, &[no_key, key].concat(), PRINTED);
    for (x, h, advantage) in [
        (0, 0, [-0.002005, -0.036360, 0.040370, -0.002005]),
        (9, 0, [0.001758, -0.000586, -0.000586, -0.000586]),
        (0, 1, [-0.002433, 0.007299, -0.002433, -0.002433]),
        (5, 1, [-0.060912, 0.069014, -0.004051, -0.004051]),
        (9, 1, [-0.150959, -0.008324, -0.008324, 0.167607]),
    ] {
        near(
            &format!("A({x}, {h})"),
            &exact.advantage[h * L + x],
            &advantage,
            PRINTED,
        );
    }
    for s in 0..2 * L {
        let mean: f64 = exact.advantage[s].iter().sum::<f64>() / 4.0;
        assert!(
            mean.abs() < 1e-15,
            "the policy's mean advantage is 0, not {mean}"
        );
        for a in 0..ACTIONS {
            let q = next(L, s, a).map_or(1.0, |following| 0.99 * exact.v[following]);
            assert!((exact.q[s][a] - q).abs() < 1e-12);
            assert_eq!(exact.advantage[s][a], exact.q[s][a] - exact.v[s]);
        }
    }
    let exact = exact_values(L, &uniform, 0.9).unwrap();
    let no_key = [
        0.001256, 0.000652, 0.000339, 0.000176, 0.000092, 0.000048, 0.000025, 0.000013, 0.000008,
        0.000005,
    ];
    let key = [
        0.002417, 0.003491, 0.006117, 0.011461, 0.021900, 0.042071, 0.080940, 0.155784, 0.299864,
        0.577217,
    ];
    near("V at 0.9", &exact.v, &[no_key, key].concat(), PRINTED);
}

#[test]
fn optimal_values_are_powers_of_gamma() {
    let exact = exact_values(L, &optimal_policy(L), 0.99).unwrap();
    let printed = [exact.v[19], exact.v[10], exact.v[0], exact.v[9]];
    near(
        "V*",
        &printed,
        &[1.0, 0.913517, 0.904382, 0.826169],
        PRINTED,
    );
    for x in 0..L {
        let steps = |n: usize| 0.99f64.powi(n as i32);
        near(
            "V*",
            &[exact.v[x], exact.v[L + x]],
            &[steps(x + 10), steps(9 - x)],
            1e-12,
        );
    }
    // No action is better than the optimal one.
    assert!(exact.advantage.iter().flatten().all(|a| *a < 1e-12));
    let steps = expected_steps(L, &optimal_policy(L)).unwrap();
    assert_eq!((steps[9], steps[19]), (20.0, 1.0));
}

#[test]
fn expected_lengths_are_the_test_vectors() {
    let steps = expected_steps(L, &uniform_policy(L)).unwrap();
    let printed = [
        260., 296., 328., 356., 380., 400., 416., 428., 436., 440., 220., 216., 208., 196., 180.,
        160., 136., 108., 76., 40.,
    ];
    near("steps", &steps, &printed, 1e-6);
}

#[test]
fn improved_policies_and_critical_scores_are_the_test_vectors() {
    let uniform = uniform_policy(L);
    let exact = exact_values(L, &uniform, 0.99).unwrap();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    for (beta, most, no_key, all) in [
        (1.0, 0.006462, 1.0033e-4, 9.2176e-4),
        (0.1, 0.527869, 0.0101921, 0.0835902),
    ] {
        let improved = improved_policy(&uniform, &exact.advantage, beta);
        let score = critical_score(&improved, &uniform);
        near("score", &[score[19]], &[most], PRINTED);
        assert!(
            score.iter().all(|v| *v <= score[19]),
            "the door is the most critical"
        );
        near(
            "mean score",
            &[mean(&score[..L]), mean(&score)],
            &[no_key, all],
            5.1e-8,
        );
    }
    let improved = improved_policy(&uniform, &exact.advantage, 0.1);
    near(
        "π(0, 0)",
        &improved[0],
        &[0.236021, 0.167397, 0.360562, 0.236021],
        PRINTED,
    );
    near(
        "π(9, 1)",
        &improved[19],
        &[0.029842, 0.124245, 0.124245, 0.721669],
        PRINTED,
    );
    let mut score = critical_score(&improved, &uniform)[..L].to_vec();
    score.reverse();
    let printed = [
        0.000052, 0.000340, 0.000963, 0.002025, 0.003701, 0.006268, 0.010149, 0.015980, 0.024709,
        0.037735,
    ];
    near("score without the key", &score, &printed, PRINTED);
    let start = keydoor(json!({})).start_distribution();
    assert_eq!(policy_error(&improved, &improved, &start), 0.0);
    near(
        "distance from π₀",
        &[policy_error(&improved, &uniform, &start)],
        &[0.0101921],
        5.1e-8,
    );
    assert!(exact_values(L, &uniform, 1.1).is_none());
    assert!(exact_values(L + 1, &uniform, 0.9).is_none());
    assert!(exact_values(L, &vec![[0.3; 4]; 20], 0.9).is_none());
    // Who always goes left never arrives.
    assert!(expected_steps(L, &vec![[1.0, 0.0, 0.0, 0.0]; 20]).is_none());
}

// ---- The shader -------------------------------------------------------------------------------------------------------

/// Every state and action, with the transitions that the exact values are computed from.
#[test]
fn the_shader_makes_the_transitions_of_the_exact_model() {
    let gpu = gpu();
    for length in [2, 3, L] {
        let o = keydoor(json!({ "length": length }));
        let pairs = 8 * length;
        let mut b = batch(pairs, Driver::External);
        b.keep_ended = true;
        let env = Keydoor::new(&gpu, o, &b).unwrap();
        let mut s = KeydoorState::beginning(pairs);
        for g in 0..pairs {
            s.cell[g] = (g / 4 % length) as u32;
            s.key[g] = g / 4 >= length;
        }
        env.set_state(&gpu, &s).unwrap();
        let actions: Vec<u32> = (0..pairs as u32).map(|g| g % 4).collect();
        gpu.write(&env.io().actions, &actions);
        run(&gpu, &env, false, 1);
        let read = |region| gpu.read::<f32>(region).unwrap();
        let (reward, over) = (read(&env.io().reward), read(&env.io().terminated));
        let obs = read(&env.io().obs);
        assert_eq!(obs, read(&env.io().state));
        assert_eq!(read(&env.io().avail), vec![1.0; 4 * pairs]);
        let after = env.get_state(&gpu).unwrap();
        for g in 0..pairs {
            let following = next(length, g / 4, g % 4);
            let opened = f32::from(u8::from(following.is_none()));
            assert_eq!(
                (reward[g], over[g], after.open[g]),
                (opened, opened, opened == 1.0)
            );
            let shown: Vec<f32> = (0..2 * length)
                .map(|k| f32::from(u8::from(Some(k) == following)))
                .collect();
            assert_eq!(
                obs[g * 2 * length..][..2 * length],
                shown,
                "pair {g} of length {length}"
            );
        }
        // The door stays open, and no step counts any more.
        run(&gpu, &env, false, 3);
        let later = env.get_state(&gpu).unwrap();
        let g = pairs - 1;
        assert_eq!(
            (later.open[g], later.step[g], later.running_return[g]),
            (true, 1, 1.0)
        );
        assert_eq!(later.step[0], 4);
    }
}

#[test]
fn the_built_in_policy_takes_the_shortest_way() {
    let gpu = gpu();
    for (start, longest) in [("no_key", 20.0), ("all", 20.0)] {
        let o = keydoor(json!({ "start": start }));
        let steps = expected_steps(L, &optimal_policy(L)).unwrap();
        let expected: f64 = steps
            .iter()
            .zip(o.start_distribution())
            .map(|(n, p)| n * p)
            .sum();
        let mut b = batch(4096, Driver::Heuristic);
        b.episode_quota = 1;
        let env = Keydoor::new(&gpu, o, &b).unwrap();
        run(&gpu, &env, true, longest as usize);
        let s = stats(&gpu, &env);
        assert_eq!(
            (s.episodes, s.wins, s.return_sum),
            (4096.0, 4096.0, 4096.0),
            "{start}"
        );
        let sd = (s.length_sq_sum / 4096.0 - s.mean_length().powi(2)).sqrt();
        assert!(
            (s.mean_length() - expected).abs() < 4.5 * sd / 64.0,
            "{start}: {} instead of {expected}",
            s.mean_length()
        );
    }
}

/// Random play, 1,024 episodes, against the expected length; 4.5 standard errors.
#[test]
fn random_play_takes_as_long_as_computed() {
    let gpu = gpu();
    let o = keydoor(json!({ "max_steps": 20_000 }));
    let steps = expected_steps(L, &uniform_policy(L)).unwrap();
    let expected: f64 = steps
        .iter()
        .zip(o.start_distribution())
        .map(|(n, p)| n * p)
        .sum();
    let mut b = batch(1024, Driver::Random);
    b.keep_ended = true;
    b.checked = false;
    let env = Keydoor::new(&gpu, o, &b).unwrap();
    run(&gpu, &env, true, 0);
    let starts = env.get_state(&gpu).unwrap().cell;
    for x in 0..L as u32 {
        // Standard deviation of a count: sqrt(1024 · 0.09) = 9.6.
        let n = starts.iter().filter(|s| **s == x).count();
        assert!(n.abs_diff(102) < 44, "{n} episodes begin in cell {x}");
    }
    for _ in 0..20 {
        run(&gpu, &env, false, 250);
        gpu.sync().unwrap();
    }
    let s = env.get_state(&gpu).unwrap();
    assert!(s.open.iter().all(|open| *open), "5,000 steps suffice");
    let lengths: Vec<f64> = s.step.iter().map(|n| f64::from(*n)).collect();
    let mean = lengths.iter().sum::<f64>() / 1024.0;
    let sd = (lengths.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 1024.0).sqrt();
    assert!(
        (mean - expected).abs() < 4.5 * sd / 32.0,
        "{mean} instead of {expected}"
    );
}

#[test]
fn an_episode_is_cut_at_its_limit() {
    let gpu = gpu();
    let o = keydoor(json!({ "max_steps": 3 }));
    let env = Keydoor::new(&gpu, o, &batch(1, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let read = |region| gpu.read::<f32>(region).unwrap()[0];
    gpu.write(&env.io().actions, &[3u32]);
    for (cut, episode) in [(0.0, 0), (0.0, 0), (1.0, 1), (0.0, 1)] {
        run(&gpu, &env, false, 1);
        assert_eq!(
            (read(&env.io().truncated), read(&env.io().terminated)),
            (cut, 0.0)
        );
        assert_eq!(env.get_state(&gpu).unwrap().episode[0], episode);
    }
    // Opened in the last step: the rules ended it, not the limit.
    let mut s = KeydoorState::beginning(1);
    (s.cell[0], s.key[0], s.step[0]) = (9, true, 2);
    env.set_state(&gpu, &s).unwrap();
    run(&gpu, &env, false, 1);
    assert_eq!(
        (read(&env.io().truncated), read(&env.io().terminated)),
        (0.0, 1.0)
    );
    assert_eq!(gpu.read::<f32>(&env.io().final_obs).unwrap(), [0.0; 20]);
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    let course = |members: usize, envs: usize, workgroup: Option<usize>| {
        let mut b = batch(envs, Driver::Random);
        b.seeds = (7..7 + members as u64).collect();
        b.workgroup = workgroup;
        let env = Keydoor::new(&gpu, keydoor(json!({ "max_steps": 30 })), &b).unwrap();
        run(&gpu, &env, true, 70);
        let s = env.get_state(&gpu).unwrap();
        (0..3)
            .map(|g| (s.cell[g], s.key[g], s.step[g], s.episode[g]))
            .collect::<Vec<_>>()
    };
    let few = course(1, 3, None);
    assert_eq!(few, course(1, 300, None));
    assert_eq!(few, course(4, 77, Some(32)));
    assert_eq!(few, course(1, 65, Some(1)));
    assert!(few[0] != few[1] || few[1] != few[2], "environments differ");
    assert!(few[0].3 >= 2, "episodes ended");
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    let o = keydoor(json!({ "start": "all" }));
    let env = Keydoor::new(&gpu, o, &batch(50, Driver::Random)).unwrap();
    run(&gpu, &env, true, 9);
    let mut state = env.get_state(&gpu).unwrap();
    assert!(state.key.contains(&true) && state.key.contains(&false));
    state.told[4] = Some(3);
    env.set_state(&gpu, &state).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), state);
    run(&gpu, &env, false, 9);
    let later = env.get_state(&gpu).unwrap();
    assert_ne!(later, state);
    env.set_state(&gpu, &state).unwrap();
    run(&gpu, &env, false, 9);
    assert_eq!(env.get_state(&gpu).unwrap(), later, "the same course again");
    let error = env
        .set_state(&gpu, &KeydoorState::beginning(49))
        .unwrap_err();
    assert!(error.to_string().contains("expected"), "{error}");
}

#[test]
fn frames_show_the_corridor() {
    let gpu = gpu();
    let env = Keydoor::new(&gpu, keydoor(json!({})), &batch(1, Driver::External)).unwrap();
    let mut s = KeydoorState::beginning(1);
    s.cell[0] = 3;
    env.set_state(&gpu, &s).unwrap();
    let frame = env.frame(&gpu, 0).unwrap();
    assert!(
        frame.text.starts_with("   @\nk........D\n"),
        "{}",
        frame.text
    );
    (s.key[0], s.open[0]) = (true, true);
    env.set_state(&gpu, &s).unwrap();
    let frame = env.frame(&gpu, 0).unwrap();
    assert!(
        frame.text.starts_with("   &\n........./\n"),
        "{}",
        frame.text
    );
    assert_eq!(frame.size, [10.0, 1.0]);
}

#[test]
fn options_that_make_no_sense_are_refused_with_one_message() {
    for (given, says) in [
        (
            json!({ "length": 1 }),
            "`length` cannot be 1: it takes 2 to 1000 cells",
        ),
        (json!({ "length": 1001 }), "2 to 1000"),
        (json!({ "max_steps": 0 }), "1 to 65535"),
        (json!({ "start": "key" }), "unknown variant `key`"),
        (json!({ "agents": 2 }), "unknown field `agents`"),
    ] {
        let given = given.as_object().unwrap();
        let message = registry::spec("keydoor", given).unwrap_err().to_string();
        assert!(
            message.contains(says) && !message.contains('\n'),
            "{message}"
        );
    }
    let message = registry::spec("keydoor/10", &EnvOptions::new())
        .unwrap_err()
        .to_string();
    assert!(message.contains("did you mean `keydoor`?"), "{message}");
    let o = keydoor(json!({}));
    let error = Keydoor::following(&gpu(), o, &uniform_policy(9), &batch(1, Driver::External));
    let message = error.err().expect("another corridor").to_string();
    assert!(message.contains("a policy of 18 states"), "{message}");
}

// ---- Simulated values -------------------------------------------------------------------------------------------------

/// The root of the mean square of the estimates' errors falls as 1/√n, because the returns are unbiased; and the error of
/// the improved policy is that of the specification's own experiment (`ricol.md` §13.3: means over 8 seeds,
/// all 20 states alike; "accept within a factor 1.5 at each n").
#[test]
fn monte_carlo_error_falls_with_the_square_root_of_the_trajectories() {
    const SEEDS: u64 = 8;
    const COUNTS: [usize; 5] = [1, 3, 10, 30, 100];
    // MSE of A, and e_MC at β = 1 and β = 0.1.
    const PUBLISHED: [[f64; 3]; 5] = [
        [0.0339, 0.01613, 0.5506],
        [0.0111, 0.00545, 0.3175],
        [0.0036, 0.00179, 0.1306],
        [0.0012, 0.00058, 0.0479],
        [0.00034, 0.00017, 0.0145],
    ];
    let gpu = gpu();
    let o = keydoor(json!({ "start": "all" }));
    let uniform = uniform_policy(L);
    let exact = exact_values(L, &uniform, 0.99).unwrap();
    let rho = o.start_distribution();
    let best = [1.0, 0.1].map(|beta| improved_policy(&uniform, &exact.advantage, beta));
    let mut errors = [[0.0; 3]; COUNTS.len()];
    let pairs = 80;
    let mut q_sum = vec![0.0; pairs];
    let mut sq_sum = vec![0.0; pairs];
    let most = COUNTS[COUNTS.len() - 1];
    for seed in 0..SEEDS {
        let returns = simulated_returns(&gpu, &o, &uniform, 0.99, seed, most).unwrap();
        assert_eq!(returns.len(), most * pairs);
        for (k, r) in returns.iter().enumerate() {
            q_sum[k % pairs] += r;
            sq_sum[k % pairs] += r * r;
        }
        for (n, error) in COUNTS.iter().zip(&mut errors) {
            let estimate = estimated_values(&uniform, &returns[..n * pairs]);
            let squares = estimate.advantage.iter().flatten();
            let squares = squares.zip(exact.advantage.iter().flatten());
            let mse = squares.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / pairs as f64;
            error[0] += mse / SEEDS as f64;
            for (k, beta) in [1.0, 0.1].into_iter().enumerate() {
                let method = improved_policy(&uniform, &estimate.advantage, beta);
                error[1 + k] += policy_error(&method, &best[k], &rho) / SEEDS as f64;
            }
        }
    }
    for (n, (ours, theirs)) in COUNTS.iter().zip(errors.iter().zip(&PUBLISHED)) {
        println!(
            "n {n}: MSE of A {:.5}, error {:.5} and {:.4}",
            ours[0], ours[1], ours[2]
        );
        for (a, b) in ours.iter().zip(theirs) {
            let ratio = a / b;
            assert!(
                (1.0 / 1.5..1.5).contains(&ratio),
                "n {n}: {ours:?}, printed {theirs:?}"
            );
        }
    }
    // Slope of log RMS error over log n, by least squares: -1/2.
    let points = COUNTS.iter().zip(&errors);
    let points: Vec<_> = points
        .map(|(n, e)| ((*n as f64).ln(), e[0].sqrt().ln()))
        .collect();
    let count = points.len() as f64;
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / count;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x).powi(2));
    println!("slope {slope:.3}");
    assert!((slope + 0.5).abs() < 0.05, "slope {slope}");
    // Each pair's mean over all trajectories, 5 standard errors; the cut at 1,000 steps takes away less than 4.4e-5.
    let n = (SEEDS as usize * most) as f64;
    for k in 0..pairs {
        let mean = q_sum[k] / n;
        let se = ((sq_sum[k] / n - mean * mean) / n).sqrt();
        let q = exact.q[k / 4][k % 4];
        assert!(
            (mean - q).abs() < 5.0 * se + 4.4e-5,
            "pair {k}: {mean} instead of {q} ± {se}"
        );
    }
}

/// Trajectories of any policy, not of the uniform one only; the first of them are the same whatever their number.
#[test]
fn simulated_returns_follow_the_policy() {
    let gpu = gpu();
    let o = keydoor(json!({ "length": 4, "max_steps": 300 }));
    let optimal = optimal_policy(4);
    let exact = exact_values(4, &optimal, 0.9).unwrap();
    let returns = simulated_returns(&gpu, &o, &optimal, 0.9, 1, 2).unwrap();
    let q: Vec<f64> = exact.q.iter().flatten().copied().collect();
    near(
        "a deterministic policy",
        &returns,
        &[&q[..], &q].concat(),
        1e-12,
    );

    let mut policy: Policy = vec![[0.1, 0.2, 0.3, 0.4]; 8];
    policy[..4].fill([0.4, 0.2, 0.3, 0.1]);
    let exact = exact_values(4, &policy, 0.9).unwrap();
    let returns = simulated_returns(&gpu, &o, &policy, 0.9, 1, 500).unwrap();
    let few = simulated_returns(&gpu, &o, &policy, 0.9, 1, 3).unwrap();
    assert_eq!(few, returns[..few.len()]);
    let estimate = estimated_values(&policy, &returns);
    for (k, (ours, exact)) in estimate
        .q
        .iter()
        .flatten()
        .zip(exact.q.iter().flatten())
        .enumerate()
    {
        let pair = || returns.iter().skip(k).step_by(32);
        let variance = pair().map(|r| (r - ours).powi(2)).sum::<f64>() / 500.0;
        let slack = 5.0 * (variance / 500.0).sqrt() + 1e-12;
        assert!(
            (ours - exact).abs() < slack,
            "pair {k}: {ours} instead of {exact} ± {slack}"
        );
    }
}
