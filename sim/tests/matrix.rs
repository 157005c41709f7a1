//! Matrix games: every published table, rule and optimum on the device, and the payoff file.

mod common;

use std::path::Path;

use merit_sim::env::VecEnv;
use merit_sim::gpu::Gpu;
use merit_sim::matrix::payoff_file::parse;
use merit_sim::matrix::{Matrix, MatrixConfig, MatrixState, configure, names};
use merit_sim::registry::{self, Batch, Driver, EnvError, EnvOptions};
use serde_json::json;

use common::{batch, gpu, options, run, stats};

fn config(name: &str, given: serde_json::Value) -> MatrixConfig {
    configure(&format!("matrix/{name}"), &options(given)).expect("a valid configuration")
}

/// Plays the joint actions, an environment each, and returns the rewards of the first agent.
fn step(gpu: &Gpu, env: &Matrix, joint: &[Vec<usize>]) -> Vec<f32> {
    let told: Vec<u32> = joint.iter().flatten().map(|&a| a as u32).collect();
    gpu.write(&env.io().actions, &told);
    run(gpu, env, false, 1);
    let rewards: Vec<f32> = gpu.read(&env.io().reward).unwrap();
    let agents = env.spec().agents;
    for team in rewards.chunks(agents) {
        assert!(team.iter().all(|r| *r == team[0]), "the reward is shared");
    }
    rewards.chunks(agents).map(|team| team[0]).collect()
}

fn every_joint_action(counts: &[usize]) -> Vec<Vec<usize>> {
    counts.iter().fold(vec![vec![]], |lists, &n| {
        let longer = |l: Vec<usize>| (0..n).map(move |a| [&l[..], &[a]].concat());
        lists.into_iter().flat_map(longer).collect()
    })
}

/// The deterministic one-step games of `overcooked_and_small_games.md` §2: name, payoffs row by row, optimum.
const TABLES: [(&str, &[f32], f64); 14] = [
    ("3x3", &[8., -12., -12., -12., 0., 0., -12., 0., 0.], 8.),
    (
        "3x3_harder",
        &[8., -12., -12., -12., 6., 0., -12., 0., 6.],
        8.,
    ),
    (
        "3x3_plateau",
        &[10.4, 0., 10., 0., 10., 10., 10., 10., 10.],
        10.4,
    ),
    ("climbing", &[11., -30., 0., -30., 7., 6., 0., 0., 5.], 11.),
    (
        "climbing_package",
        &[11., -30., 0., -30., 7., 0., 0., 6., 5.],
        11.,
    ),
    (
        "climbing_3_agents",
        &[
            11., -30., 0., -30., 0., 0., 0., 0., 0., -30., 0., 0., 0., 7., 0., 0., 0., 0., 0., 0.,
            0., 0., 0., 0., 0., 6., 5.,
        ],
        11.,
    ),
    (
        "penalty",
        &[10., 0., -100., 0., 2., 0., -100., 0., 10.],
        10.,
    ),
    (
        "penalty_package",
        &[-100., 0., 10., 0., 2., 0., 10., 0., -100.],
        10.,
    ),
    ("trivial", &[11., 8., 0., 8., 7., 0., 0., 0., 0.], 11.),
    ("linear", &[1., 4., 2., 0., 3., 1., 2., 5., 3.], 5.),
    ("nonlinear", &[0., 3., 1., 0., 0., 0., 0., 6., 2.], 6.),
    ("2x2_linear", &[1., 5., 5., 9.], 9.),
    ("2x2_nonlinear", &[0., 0., 0., 10.], 10.),
    // Not in a table: the classic games' other parameters.
    ("penalty", &[10., 0., -25., 0., 2., 0., -25., 0., 10.], 10.),
];

#[test]
fn every_joint_action_pays_what_the_papers_table_says() {
    let gpu = gpu();
    for (row, (name, payoffs, optimum)) in TABLES.iter().enumerate() {
        let given = if row == 13 {
            json!({ "penalty": 25 })
        } else {
            json!({})
        };
        let c = config(name, given);
        assert!((c.game.optimum() - optimum).abs() < 1e-6, "{name}");
        let joint = every_joint_action(&c.game.counts);
        let env = Matrix::new(&gpu, c, &batch(joint.len(), Driver::External)).unwrap();
        run(&gpu, &env, true, 0);
        assert_eq!(step(&gpu, &env, &joint), *payoffs, "{name}");
        let ends = |region| gpu.read::<f32>(region).unwrap();
        assert_eq!(ends(&env.io().terminated), vec![1.0; joint.len()], "{name}");
        assert_eq!(ends(&env.io().truncated), vec![0.0; joint.len()], "{name}");
        // A win is a best joint action.
        let best = payoffs.iter().filter(|&&p| f64::from(p) >= optimum - 1e-6);
        let s = stats(&gpu, &env);
        assert_eq!(
            (s.episodes, s.wins),
            (joint.len() as f64, best.count() as f64),
            "{name}"
        );
        assert_eq!(s.length_sum, joint.len() as f64);
    }
    let transposed: Vec<f32> = (0..9).map(|k| TABLES[3].1[k % 3 * 3 + k / 3]).collect();
    assert_eq!(TABLES[4].1, transposed, "the package exchanges the players");
}

/// Each payoff of a pair comes with probability 1/2; over 4,096 plays the share may be off by 4.5 standard deviations.
#[test]
fn stochastic_climbing_pays_either_payoff_half_of_the_time() {
    const PLAYS: usize = 4096;
    let gpu = gpu();
    let fully: [[f32; 2]; 9] = [
        [10., 12.],
        [5., -65.],
        [8., -8.],
        [5., -65.],
        [14., 0.],
        [12., 0.],
        [5., -5.],
        [5., -5.],
        [7., 3.],
    ];
    let classic = TABLES[3].1;
    let partly: [[f32; 2]; 9] =
        std::array::from_fn(|u| if u == 4 { [14., 0.] } else { [classic[u]; 2] });
    for (name, pairs) in [
        ("climbing_stochastic", fully),
        ("climbing_partly_stochastic", partly),
    ] {
        let c = config(name, json!({}));
        assert_eq!(c.game.optimum(), 11.0, "{name}");
        let env = Matrix::new(&gpu, c, &batch(9 * PLAYS, Driver::External)).unwrap();
        run(&gpu, &env, true, 0);
        let joint: Vec<_> = (0..PLAYS)
            .flat_map(|_| every_joint_action(&[3, 3]))
            .collect();
        let rewards = step(&gpu, &env, &joint);
        for (u, pair) in pairs.iter().enumerate() {
            let paid: Vec<f32> = rewards.iter().copied().skip(u).step_by(9).collect();
            assert!(paid.iter().all(|r| pair.contains(r)), "{name} {u}");
            // The mean is that of the classic game.
            assert_eq!((pair[0] + pair[1]) / 2.0, classic[u], "{name} {u}");
            if pair[0] != pair[1] {
                let first = paid.iter().filter(|r| **r == pair[0]).count();
                assert!(
                    first.abs_diff(PLAYS / 2) < 144,
                    "{name} {u}: {first} of {PLAYS}"
                );
            }
        }
    }
}

/// Plays courses of joint actions side by side, without resets; returns for each course what is seen at its beginning and
/// after each step: reward, end, observation.
fn play(gpu: &Gpu, c: MatrixConfig, courses: &[Vec<Vec<usize>>]) -> Vec<Vec<(f32, f32, Vec<f32>)>> {
    let n = courses.len();
    let mut b = batch(n, Driver::External);
    b.keep_ended = true;
    let env = Matrix::new(gpu, c, &b).unwrap();
    run(gpu, &env, true, 0);
    let mut seen = vec![Vec::new(); n];
    let mut look = |rewards: Vec<f32>| {
        let ends: Vec<f32> = gpu.read(&env.io().terminated).unwrap();
        let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
        let state: Vec<f32> = gpu.read(&env.io().state).unwrap();
        let d = env.spec().obs;
        for g in 0..n {
            let [first, second] = [0, 1].map(|i| &obs[(2 * g + i) * d..][..d]);
            assert_eq!(first, second, "both see the same");
            assert_eq!(first, &state[g * d..][..d]);
            seen[g].push((rewards[g], ends[g], first.to_vec()));
        }
    };
    look(vec![0.0; n]);
    for t in 0..courses[0].len() {
        let joint: Vec<_> = courses.iter().map(|c| c[t].clone()).collect();
        look(step(gpu, &env, &joint));
    }
    seen
}

/// Every course of `steps` joint actions of two agents with two actions.
fn every_course(steps: usize) -> Vec<Vec<Vec<usize>>> {
    every_joint_action(&vec![4; steps])
        .into_iter()
        .map(|codes| codes.into_iter().map(|c| vec![c / 2, c % 2]).collect())
        .collect()
}

#[test]
fn the_two_step_game_pays_by_the_table_that_agent_1_chose() {
    let gpu = gpu();
    let c = config("two_step", json!({}));
    assert_eq!((c.game.optimum(), c.spec().max_steps), (8.0, 2));
    let courses = every_course(2);
    for (course, seen) in courses.iter().zip(play(&gpu, c, &courses)) {
        assert_eq!(seen[0], (0.0, 0.0, vec![1., 0., 0., 0.]));
        let to_b = course[0][0] == 1;
        let shown = if to_b {
            vec![0., 0., 1., 0.]
        } else {
            vec![0., 1., 0., 0.]
        };
        assert_eq!(seen[1], (0.0, 0.0, shown), "agent 2 has no say");
        let paid = match (to_b, course[1][0] + course[1][1]) {
            (false, _) => 7.0,
            (true, both) => [0.0, 1.0, 8.0][both],
        };
        assert_eq!(seen[2], (paid, 1.0, vec![0., 0., 0., 1.]));
    }
}

/// MAVEN's rule, as `overcooked_and_small_games.md` §3.2 prints it, against every course of up to three steps.
#[test]
fn the_k_step_game_follows_its_branch() {
    let gpu = gpu();
    for (k, good) in [(1, 2), (1, 4), (2, 2), (3, 2), (3, 4)] {
        let c = config("k_step", json!({ "k": k, "good_branches": good }));
        let best = if k == 1 { 1.0 } else { k as f64 + 3.0 };
        assert_eq!(c.game.optimum(), best);
        let hot = |n: usize, at: usize| (0..n).map(move |i| f32::from(u8::from(i == at)));
        let shown = |t: usize, b: usize| -> Vec<f32> {
            if k == 1 {
                hot(2, t).collect()
            } else {
                hot(k + 1, t).chain(hot(4, b)).collect()
            }
        };
        let courses = every_course(k);
        for (course, seen) in courses.iter().zip(play(&gpu, c, &courses)) {
            assert_eq!(seen[0].2, shown(0, 0));
            let code = |t: usize| 2 * course[t][0] + course[t][1];
            let b = code(0);
            for t in 0..k {
                let good = good == 4 || b == 0 || b == 3;
                let mut reward = f32::from(u8::from(code(t) == b && good));
                if k > 1 && t == k - 1 && b == 0 {
                    reward = if code(t) == 3 { 4.0 } else { 1.0 };
                }
                let done = !(t + 1 < k && reward > 0.0);
                let expected = (reward, f32::from(u8::from(done)), shown(t + 1, b));
                assert_eq!(seen[t + 1], expected, "k {k}, {course:?}, step {t}");
                if done {
                    // An episode that is kept stays as it ended, and pays no more.
                    for later in &seen[t + 2..] {
                        assert_eq!(*later, (0.0, 1.0, shown(t + 1, b)), "k {k}, {course:?}");
                    }
                    break;
                }
            }
        }
    }
    assert_eq!(
        config("k_step", json!({})).spec().obs,
        2,
        "k is 1 by default"
    );
}

#[test]
fn the_two_state_mmdp_stays_or_leaves_for_ever() {
    let gpu = gpu();
    let mut b = batch(4, Driver::External);
    b.keep_ended = true;
    let env = Matrix::new(&gpu, config("mmdp", json!({ "reward": 2.5 })), &b).unwrap();
    run(&gpu, &env, true, 0);
    let obs = || gpu.read::<f32>(&env.io().obs).unwrap();
    let (one, zero) = ([0., 1., 0., 1.], [1., 0., 1., 0.]);
    assert_eq!(obs(), [one; 4].concat());
    let all = every_joint_action(&[2, 2]);
    assert_eq!(step(&gpu, &env, &all), [2.5, 0., 0., 0.]);
    assert_eq!(obs(), [one, one, one, zero].concat());
    assert_eq!(
        gpu.read::<f32>(&env.io().state).unwrap(),
        obs(),
        "both observations"
    );
    let stay = vec![vec![0, 0]; 4];
    assert_eq!(step(&gpu, &env, &stay), [2.5, 2.5, 2.5, 0.]);
    for _ in 2..100 {
        assert_eq!(gpu.read::<f32>(&env.io().truncated).unwrap(), [0.0; 4]);
        step(&gpu, &env, &stay);
    }
    assert_eq!(gpu.read::<f32>(&env.io().truncated).unwrap(), [1.0; 4]);
    assert_eq!(gpu.read::<f32>(&env.io().terminated).unwrap(), [0.0; 4]);
    assert_eq!(env.config().game.optimum(), 250.0);
    assert_eq!(config("mmdp", json!({})).game.optimum(), 100.0);
}

#[test]
fn a_repeated_game_is_cut_at_its_limit_and_shows_what_was_played() {
    let gpu = gpu();
    let given = json!({ "max_steps": 25 });
    let c = config("climbing_package", given);
    assert_eq!(
        (c.spec().obs, c.spec().state, c.game.optimum()),
        (2, 2, 275.0)
    );
    let env = Matrix::new(&gpu, c, &batch(1, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    for t in 0..50 {
        assert_eq!(step(&gpu, &env, &[vec![2, 1]]), [6.0]);
        let cut = f32::from(u8::from(t % 25 == 24));
        assert_eq!(gpu.read::<f32>(&env.io().truncated).unwrap(), [cut]);
        assert_eq!(gpu.read::<f32>(&env.io().terminated).unwrap(), [0.0]);
        assert_eq!(gpu.read::<f32>(&env.io().obs).unwrap(), [0.0; 4]);
    }
    let s = stats(&gpu, &env);
    assert_eq!(
        (s.episodes, s.mean_return(), s.truncations),
        (2.0, 150.0, 2.0)
    );

    let given = json!({ "max_steps": 25, "observation": "last_action", "agent_id": true });
    let c = config("climbing_package", given);
    assert_eq!((c.spec().obs, c.spec().state), (8, 6));
    let env = Matrix::new(&gpu, c, &batch(1, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let obs = || gpu.read::<f32>(&env.io().obs).unwrap();
    let unseen = [-1., -1., -1., -1., -1., -1.];
    let both = |seen: &[f32]| [seen, &[1., 0.], seen, &[0., 1.]].concat();
    assert_eq!(obs(), both(&unseen));
    let played = [0., 0., 1., 0., 1., 0.];
    for _ in 0..24 {
        step(&gpu, &env, &[vec![2, 1]]);
        assert_eq!(obs(), both(&played));
    }
    step(&gpu, &env, &[vec![2, 1]]);
    assert_eq!(obs(), both(&unseen), "the next episode");
    assert_eq!(gpu.read::<f32>(&env.io().final_obs).unwrap(), both(&played));
    assert_eq!(gpu.read::<f32>(&env.io().final_state).unwrap(), played);
}

#[test]
fn the_built_in_policy_earns_the_optimum_in_every_game() {
    let gpu = gpu();
    for name in names() {
        let short = name.strip_prefix("matrix/").unwrap();
        let given = if short == "k_step" {
            json!({ "k": 6 })
        } else {
            json!({})
        };
        let c = config(short, given);
        let optimum = c.game.optimum();
        let (steps, stochastic) = (c.spec().max_steps, c.game.stochastic());
        let env = Matrix::new(&gpu, c, &batch(64, Driver::Heuristic)).unwrap();
        run(&gpu, &env, true, steps);
        let s = stats(&gpu, &env);
        assert_eq!((s.episodes, s.wins), (64.0, 64.0), "{name}");
        // A stochastic payoff is 11 on average only: 10 or 12.
        let slack = if stochastic { 0.6 } else { 1e-5 };
        assert!(
            (s.mean_return() - optimum).abs() < slack,
            "{name}: {}",
            s.mean_return()
        );
    }
}

/// Random play against the mean of the table: 4.5 standard errors over 16,384 plays.
#[test]
fn random_play_is_uniform_over_joint_actions() {
    const PLAYS: usize = 16_384;
    let gpu = gpu();
    let c = config("climbing_3_agents", json!({}));
    let env = Matrix::new(&gpu, c, &batch(PLAYS, Driver::Random)).unwrap();
    run(&gpu, &env, true, 1);
    let mut counts = [0usize; 27];
    for u in env.get_state(&gpu).unwrap().last {
        counts[u.expect("played") as usize] += 1;
    }
    // Standard deviation of a count: sqrt(16384 · 26) / 27 = 24.2.
    for (u, n) in counts.iter().enumerate() {
        assert!(n.abs_diff(PLAYS / 27) < 109, "joint action {u}: {n} times");
    }
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    let course = |members: usize, envs: usize, workgroup: Option<usize>| {
        let c = config("climbing_stochastic", json!({ "max_steps": 5 }));
        let mut b = batch(envs, Driver::Random);
        b.seeds = (7..7 + members as u64).collect();
        b.workgroup = workgroup;
        let env = Matrix::new(&gpu, c, &b).unwrap();
        run(&gpu, &env, true, 13);
        let s = env.get_state(&gpu).unwrap();
        (0..3)
            .map(|g| {
                (
                    s.last[g],
                    s.step[g],
                    s.episode[g],
                    s.running_return[g].to_bits(),
                )
            })
            .collect::<Vec<_>>()
    };
    let few = course(1, 3, None);
    assert_eq!(few, course(1, 300, None));
    assert_eq!(few, course(4, 77, Some(32)));
    assert_eq!(few, course(1, 65, Some(1)));
    assert!(few[0] != few[1] || few[1] != few[2], "environments differ");
    assert_eq!(
        (few[0].1, few[0].2),
        (3, 2),
        "two episodes of five steps and three steps"
    );
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    let c = config("k_step", json!({ "k": 4, "good_branches": 4 }));
    let env = Matrix::new(&gpu, c, &batch(40, Driver::Random)).unwrap();
    run(&gpu, &env, true, 3);
    let state = env.get_state(&gpu).unwrap();
    assert!(state.game_state.iter().any(|&s| s > 0), "{state:?}");
    run(&gpu, &env, false, 3);
    let later = env.get_state(&gpu).unwrap();
    assert_ne!(later, state);
    env.set_state(&gpu, &state).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), state);
    run(&gpu, &env, false, 3);
    assert_eq!(env.get_state(&gpu).unwrap(), later, "the same course again");
    let error = env.set_state(&gpu, &MatrixState::default()).unwrap_err();
    assert!(error.to_string().contains("40"), "{error}");
}

#[test]
fn frames_show_the_table_and_what_was_played() {
    let gpu = gpu();
    let kept = Batch {
        keep_ended: true,
        ..batch(1, Driver::External)
    };
    let env = Matrix::new(&gpu, config("3x3", json!({})), &kept).unwrap();
    run(&gpu, &env, true, 0);
    let frame = env.frame(&gpu, 0).unwrap();
    assert!(!frame.text.contains('['), "{}", frame.text);
    step(&gpu, &env, &[vec![1, 2]]);
    let frame = env.frame(&gpu, 0).unwrap();
    assert!(frame.text.contains("last actions B C"), "{}", frame.text);
    let row: Vec<_> = frame
        .text
        .lines()
        .nth(3)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(row, ["B", "-12", "0", "[0]"], "{}", frame.text);
    assert_eq!(frame.text.lines().count(), 5);
    run(&gpu, &env, true, 0);
    let next = env.frame(&gpu, 0).unwrap();
    assert!(!next.text.contains('['), "a new episode: {}", next.text);
    let cube = config("climbing_3_agents", json!({}));
    let env = Matrix::new(&gpu, cube, &batch(1, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let text = env.frame(&gpu, 0).unwrap().text;
    assert!(text.contains("with C first"), "{text}");
}

#[test]
fn a_payoff_file_is_a_game() {
    let gpu = gpu();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("payoffs.txt");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let given = json!({ "payoff_file": path.to_str().unwrap() });

    // Agents with two and three actions: the first one's third is masked and means its second.
    write("# rows: agent 0\n 1, 2\t3.5\n-4 5e1 6/6 # the best is 50\n");
    let c = config("custom", given.clone());
    assert_eq!(c.game.counts, [2, 3]);
    assert_eq!(c.game.optimum(), 50.0);
    let env = Matrix::new(&gpu, c, &batch(2, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let avail: Vec<f32> = gpu.read(&env.io().avail).unwrap();
    assert_eq!(avail[..6], [1., 1., 0., 1., 1., 1.]);
    assert_eq!(step(&gpu, &env, &[vec![0, 2], vec![2, 1]]), [3.5, 50.0]);

    // Three agents by blocks, four by a first line.
    write("1 2\n3 4\n\n5 6\n7 8\n\n");
    assert_eq!(config("custom", given.clone()).game.counts, [2, 2, 2]);
    write("actions 2 1 2 2\n1 2\n3 4\n5 6\n7 8\n");
    let c = config("custom", given.clone());
    assert_eq!(c.game.counts, [2, 1, 2, 2]);
    let env = Matrix::new(&gpu, c, &batch(1, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    assert_eq!(step(&gpu, &env, &[vec![1, 0, 0, 1]]), [6.0]);

    let error = registry::spec("matrix/custom", &EnvOptions::new()).unwrap_err();
    assert!(error.to_string().contains("payoff_file"), "{error}");
    write("1 2\n3 x\n");
    let error = registry::spec("matrix/custom", &options(given)).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, EnvError::Options { .. }), "exit code 2");
    assert!(message.ends_with(
        "payoffs.txt, line 2, column 3: `x` is no payoff: expected a number, or `x/y` for x or y with probability 1/2"
    ), "{message}");
    let absent = Path::new("/nonexistent/payoffs.txt");
    let given = options(json!({ "payoff_file": absent }));
    let message = registry::spec("matrix/custom", &given)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("cannot read the payoff file /nonexistent/payoffs.txt"),
        "{message}"
    );
}

#[test]
fn malformed_payoffs_are_told_with_line_and_column() {
    for (text, at, problem) in [
        ("", "line 1, column 1", "no payoffs"),
        ("# nothing\n\n", "line 2, column 1", "no payoffs"),
        ("1 2\n3\n", "line 2, column 2", "1 payoffs in a line of 2"),
        (
            "1 2\n\t3  4 5\n",
            "line 2, column 7",
            "3 payoffs in a line of 2",
        ),
        ("1 2\n3 nan\n", "line 2, column 3", "`nan` is no payoff"),
        ("1 2\n3 1/2/3\n", "line 2, column 3", "`1/2/3` is no payoff"),
        ("1 2\n3 4/\n", "line 2, column 3", "`4/` is no payoff"),
        ("1 2\n3 1e99\n", "line 2, column 3", "`1e99` is no payoff"),
        ("é 2\n", "line 1, column 1", "`é` is no payoff"),
        ("1 é2\n", "line 1, column 3", "`é2` is no payoff"),
        (
            "1 2\n3 4\n\n5 6\n",
            "line 4, column 1",
            "a table of 1 lines, the first has 2",
        ),
        (
            "1 2\n\n3 4\n5 6\n",
            "line 3, column 1",
            "a table of 2 lines, the first has 1",
        ),
        (
            "actions 2 2\n1 2\n",
            "line 2, column 1",
            "ends after 1 of 2 lines",
        ),
        (
            "actions 2 2\n1 2\n3 4\n5 6\n",
            "line 4, column 1",
            "more than 2 lines",
        ),
        (
            "actions 2 two\n1 2\n",
            "line 1, column 11",
            "`two` is no number of actions",
        ),
        (
            "actions 2 0\n1 2\n",
            "line 1, column 11",
            "`0` is no number of actions",
        ),
        ("actions\n1 2\n", "line 1, column 1", "it takes 1 to 16"),
        (
            "actions 1024 1024\n1 2\n",
            "line 1, column 1",
            "more than 65536 joint actions",
        ),
        (
            "1 2\nactions 2 2\n",
            "line 2, column 1",
            "`actions` is no payoff",
        ),
    ] {
        let message = parse("p.txt", text).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("p.txt, {at}: ")) && message.contains(problem),
            "{text:?}: {message}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bytes");
    std::fs::write(&path, b"1 2\n3 \xff\n").unwrap();
    let message = merit_sim::matrix::payoff_file::read(&path)
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("line 2, column 3: no UTF-8 text"),
        "{message}"
    );
}

#[test]
fn options_that_make_no_sense_are_refused_with_one_message() {
    for (name, given, says) in [
        (
            "3x3",
            json!({ "penalty": 5 }),
            "option `penalty` is one of penalty games only",
        ),
        ("two_step", json!({ "max_steps": 5 }), "option `max_steps`"),
        (
            "k_step",
            json!({ "observation": "constant" }),
            "option `observation`",
        ),
        ("3x3", json!({ "payoff_file": "x" }), "`matrix/custom` only"),
        ("3x3", json!({ "k": 2 }), "`matrix/k_step` only"),
        (
            "penalty",
            json!({ "penalty": -5 }),
            "`penalty` cannot be -5",
        ),
        (
            "3x3",
            json!({ "max_steps": 0 }),
            "`max_steps` cannot be 0: it takes 1 to 65535",
        ),
        ("3x3", json!({ "max_steps": 65536 }), "1 to 65535"),
        ("k_step", json!({ "k": 0 }), "`k` cannot be 0"),
        ("k_step", json!({ "good_branches": 3 }), "2 or 4"),
        ("3x3", json!({ "agents": 3 }), "unknown field `agents`"),
        (
            "3x3",
            json!({ "observation": "none" }),
            "unknown variant `none`",
        ),
        ("4x4", json!({}), "unknown environment `matrix/4x4`"),
    ] {
        let error = registry::spec(&format!("matrix/{name}"), &options(given)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(says) && !message.contains('\n'),
            "{message}"
        );
    }
    let error = registry::spec("matrix/climing", &EnvOptions::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("did you mean `matrix/climbing`?"),
        "{error}"
    );
}

/// `docs/environments/matrix.md` has a row with the optimum of every game.
#[test]
fn the_page_lists_every_game_and_its_optimum() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/environments/matrix.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in names() {
        let short = name.strip_prefix("matrix/").unwrap();
        let row = page
            .lines()
            .find(|l| l.starts_with(&format!("| `{short}` |")));
        let row = row.unwrap_or_else(|| panic!("{short} is not in the page"));
        let optimum: f64 = row
            .split('|')
            .rev()
            .nth(1)
            .and_then(|cell| cell.split(',').next())
            .and_then(|cell| cell.trim().parse().ok())
            .unwrap_or_else(|| panic!("no optimum in `{row}`"));
        let ours = config(short, json!({})).game.optimum();
        assert!(
            (ours - optimum).abs() < 1e-6,
            "{short}: {ours}, the page has {optimum}"
        );
    }
}
