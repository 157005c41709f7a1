//! SMAX beyond the recordings: contracts (determinism, independence of the batch, exact state), the spec's hand-made
//! cases, and statistics of random and heuristic play against those measured on the reference.

mod common;

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::Gpu;
use merit_sim::registry::{Batch, Driver, EnvOptions, Layout};
use merit_sim::smax::options::Opponent;
use merit_sim::smax::{Smax, SmaxConfig, SmaxState, configure};

use common::{gpu, run};

const LAYOUTS: [Layout; 2] = [Layout::Thread, Layout::Tile];

fn config(name: &str, options: serde_json::Value) -> SmaxConfig {
    configure(name, &common::options(options)).expect("a valid configuration")
}

fn batch(envs: usize, driver: Driver, layout: Layout) -> Batch {
    Batch {
        layout,
        ..common::batch(envs, driver)
    }
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_any_layout() {
    let gpu = gpu();
    let name = "smax/smacv2_5_units";
    let play = |envs: usize, layout| {
        let c = config(name, serde_json::json!({}));
        let env = Smax::new(&gpu, c, &batch(envs, Driver::Random, layout)).unwrap();
        run(&gpu, &env, true, 120);
        env.get_state(&gpu).unwrap()
    };
    let alone = play(1, Layout::Thread);
    let among = play(300, Layout::Thread);
    assert!(among.episode[0] > 0, "an episode ended within 120 steps");
    assert_eq!(alone.positions[..], among.positions[..10], "positions");
    assert_eq!(alone.health[..], among.health[..10], "health");
    assert_eq!(alone.step[0], among.step[0]);
    assert_ne!(
        among.positions[..10],
        among.positions[10..20],
        "environments differ"
    );
    // Another layout sums in the same order, but the compiler may contract differently: close, not equal, and only until
    // rounding decides a shot.
    let tile = play(300, Layout::Tile);
    let same = (0..300).filter(|&g| tile.step[g] == among.step[g]).count();
    assert!(
        same >= 290,
        "{same} of 300 environments are at the same step in both layouts"
    );
}

#[test]
fn the_same_run_twice_gives_the_same_bytes() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let play = || {
            let c = config("smax/2s3z", serde_json::json!({}));
            let env = Smax::new(&gpu, c, &batch(50, Driver::Random, layout)).unwrap();
            run(&gpu, &env, true, 70);
            let obs: Vec<u32> = gpu.read(&env.io().obs).unwrap();
            (env.snapshot(&gpu).unwrap(), obs)
        };
        assert!(play() == play(), "{layout:?}");
    }
}

#[test]
fn a_restored_snapshot_goes_on_as_if_nothing_had_happened() {
    let gpu = gpu();
    let make = || {
        let c = config("smax/3m", serde_json::json!({}));
        Smax::new(&gpu, c, &batch(20, Driver::Heuristic, Layout::Auto)).unwrap()
    };
    let env = make();
    run(&gpu, &env, true, 25);
    let kept = env.snapshot(&gpu).unwrap();
    run(&gpu, &env, false, 25);
    let through = env.snapshot(&gpu).unwrap();
    let other = make();
    other.restore(&gpu, &kept).unwrap();
    run(&gpu, &other, false, 25);
    assert!(other.snapshot(&gpu).unwrap() == through);
    let error = other.restore(&gpu, &kept[1..]).unwrap_err().to_string();
    assert!(error.contains("snapshot"), "{error}");
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let c = config("smax/5m_vs_6m", serde_json::json!({}));
        let env = Smax::new(&gpu, c, &batch(33, Driver::Random, layout)).unwrap();
        run(&gpu, &env, true, 9);
        let state = env.get_state(&gpu).unwrap();
        assert!(
            state.default_target.iter().any(|t| *t != [0.0; 2]),
            "enemies have a goal"
        );
        run(&gpu, &env, false, 9);
        assert_ne!(env.get_state(&gpu).unwrap(), state);
        env.set_state(&gpu, &state).unwrap();
        assert_eq!(env.get_state(&gpu).unwrap(), state, "{layout:?}");
        let error = env.set_state(&gpu, &SmaxState::zeroed(32, 11)).unwrap_err();
        assert!(error.to_string().contains("expected"), "{error}");
    }
}

/// 3m with both teams as agents and the given positions and health, one environment.
fn duel(gpu: &Gpu, options: serde_json::Value, positions: [[f32; 2]; 6], health: [f32; 6]) -> Smax {
    let mut options = options;
    options["opponent"] = "external".into();
    let c = config("smax/3m", options);
    assert_eq!(c.options.opponent, Opponent::External);
    let env = Smax::new(gpu, c, &batch(1, Driver::External, Layout::Auto)).unwrap();
    let mut s = SmaxState::zeroed(1, 6);
    s.positions = positions.to_vec();
    s.health = health.to_vec();
    env.set_state(gpu, &s).unwrap();
    env
}

fn step(gpu: &Gpu, env: &Smax, actions: [u32; 6]) -> Vec<f32> {
    gpu.write(&env.io().actions, &actions);
    run(gpu, env, false, 1);
    gpu.read(&env.io().reward).unwrap()
}

fn flag(gpu: &Gpu, region: &merit_sim::gpu::Region) -> f32 {
    gpu.read::<f32>(region).unwrap()[0]
}

const APART: [[f32; 2]; 6] = [
    [16., 16.],
    [2., 2.],
    [2., 30.],
    [17., 16.],
    [30., 2.],
    [30., 30.],
];

/// `specs/smax.md` §17.5: both last units kill each other in the same world step.
#[test]
fn a_draw_pays_the_damage_and_no_bonus() {
    let gpu = gpu();
    let health = [9., 0., 0., 9., 0., 0.];
    // ally_0 attacks enemy_0 (slot 0); enemy_0 attacks ally_0, who is its slot 2.
    let actions = [5, 4, 4, 7, 4, 4];
    let env = duel(&gpu, serde_json::json!({}), APART, health);
    let reward = step(&gpu, &env, actions);
    for r in &reward {
        assert!((r - 9.0 / 45.0 / 3.0).abs() < 1e-6, "{reward:?}");
    }
    assert_eq!(flag(&gpu, &env.io().terminated), 1.0);
    let env = duel(
        &gpu,
        serde_json::json!({ "use_self_play_reward": true }),
        APART,
        health,
    );
    assert_eq!(step(&gpu, &env, actions), [0.0; 6]);
}

#[test]
fn a_win_pays_the_bonus_to_the_winners() {
    let gpu = gpu();
    let health = [9., 0., 0., 9., 0., 0.];
    let actions = [5, 4, 4, 4, 4, 4];
    let env = duel(&gpu, serde_json::json!({}), APART, health);
    let reward = step(&gpu, &env, actions);
    assert!(
        (reward[0] - 1.066_666_7).abs() < 1e-6 && reward[3] == 0.0,
        "{reward:?}"
    );
    let env = duel(
        &gpu,
        serde_json::json!({ "use_self_play_reward": true }),
        APART,
        health,
    );
    assert_eq!(step(&gpu, &env, actions), [1., 1., 1., -1., -1., -1.]);
}

#[test]
fn walls_kill_unless_they_are_told_not_to() {
    let gpu = gpu();
    let mut positions = APART;
    positions[0] = [0.05, 16.0];
    let west = [3, 4, 4, 4, 4, 4];
    let env = duel(&gpu, serde_json::json!({}), positions, [45.; 6]);
    let reward = step(&gpu, &env, west);
    assert!((reward[3] - 1.0 / 3.0).abs() < 1e-6, "{reward:?}");
    let state = env.get_state(&gpu).unwrap();
    assert_eq!((state.health[0], state.positions[0]), (0.0, [0.0, 16.0]));
    let env = duel(
        &gpu,
        serde_json::json!({ "walls_cause_death": false }),
        positions,
        [45.; 6],
    );
    assert_eq!(step(&gpu, &env, west), [0.0; 6]);
    assert_eq!(env.get_state(&gpu).unwrap().health[0], 45.0);
}

/// The limit is compared before the counter is increased: step 101 ends an idle episode, as truncated, not terminated.
#[test]
fn an_idle_episode_is_cut_at_step_101() {
    let gpu = gpu();
    let env = duel(&gpu, serde_json::json!({}), APART, [45.; 6]);
    for _ in 0..100 {
        step(&gpu, &env, [4; 6]);
        assert_eq!(flag(&gpu, &env.io().truncated), 0.0);
    }
    assert_eq!(env.get_state(&gpu).unwrap().cooldown[0], -50.0);
    step(&gpu, &env, [4; 6]);
    assert_eq!(flag(&gpu, &env.io().truncated), 1.0);
    assert_eq!(flag(&gpu, &env.io().terminated), 0.0);
    // The next episode has begun, and the end of the old one is kept: cooldown -50.5 in the raw world state.
    let state = env.get_state(&gpu).unwrap();
    assert_eq!((state.step[0], state.cooldown[0]), (0, 0.0));
    assert_eq!(gpu.read::<f32>(&env.io().final_state).unwrap()[3], -50.5);
}

/// `specs/smax.md` §17.4, through a step in which nobody moves: eight passes converge on what one pass begins, so the
/// first pass is checked by its own world step.
#[test]
fn overlapping_marines_are_pushed_apart_as_in_the_reference() {
    let gpu = gpu();
    let mut positions = APART;
    positions[0] = [10.0, 16.0];
    positions[1] = [10.5, 16.0];
    let options = serde_json::json!({ "world_steps_per_env_step": 1 });
    let env = duel(&gpu, options, positions, [45.; 6]);
    step(&gpu, &env, [4; 6]);
    let p = env.get_state(&gpu).unwrap().positions;
    for (ours, theirs) in [(p[0][0], 9.875_001), (p[1][0], 10.624_999)] {
        assert!((ours - theirs).abs() < 2e-6, "{ours} instead of {theirs}");
    }
    // Coincident units are never separated.
    positions[1] = positions[0];
    let env = duel(&gpu, serde_json::json!({}), positions, [45.; 6]);
    step(&gpu, &env, [4; 6]);
    assert_eq!(
        env.get_state(&gpu).unwrap().positions[..2],
        [[10.0, 16.0]; 2]
    );
}

/// Means over the first episode of each of `episodes` environments.
fn statistics(gpu: &Gpu, name: &str, driver: Driver, episodes: usize) -> EpisodeStats {
    let mut b = batch(episodes, driver, Layout::Auto);
    b.episode_quota = 1;
    b.checked = false;
    let env = Smax::new(gpu, config(name, EnvOptions::new().into()), &b).unwrap();
    run(gpu, &env, true, 101);
    gpu.compute(|pass| env.record_stats(pass));
    let words: Vec<f32> = gpu.read(env.stats_region()).unwrap();
    let stats = EpisodeStats::from_words(&words);
    assert_eq!(
        stats.episodes, episodes as f64,
        "every environment ends an episode within 101 steps"
    );
    stats
}

/// Random and heuristic play against the reference's own statistics (`specs/smax.md` §18). Each mean may be off by 4.5
/// standard errors of the difference of two samples; with 32 comparisons a correct build fails once in 4,600 runs.
#[test]
fn random_and_heuristic_play_have_the_reference_statistics() {
    let gpu = gpu();
    // Episodes of the reference, win rate, return mean and sd, length mean and sd, allies and enemies alive at the end.
    type Row = (&'static str, Driver, f64, f64, [f64; 2], [f64; 2], [f64; 2]);
    const TABLE: [Row; 8] = [
        (
            "3m",
            Driver::Random,
            1024.,
            0.0,
            [0.173, 0.096],
            [17.8, 3.5],
            [0.0, 3.0],
        ),
        (
            "3m",
            Driver::Heuristic,
            1024.,
            0.519,
            [1.432, 0.595],
            [13.9, 1.8],
            [0.71, 0.64],
        ),
        (
            "2s3z",
            Driver::Random,
            1024.,
            0.0,
            [0.206, 0.076],
            [54.4, 13.0],
            [0.01, 5.0],
        ),
        (
            "2s3z",
            Driver::Heuristic,
            1024.,
            0.507,
            [1.431, 0.581],
            [72.2, 14.4],
            [0.98, 0.88],
        ),
        (
            "5m_vs_6m",
            Driver::Heuristic,
            1024.,
            0.0,
            [0.572, 0.087],
            [12.4, 1.2],
            [0.0, 3.41],
        ),
        (
            "3s_vs_5z",
            Driver::Random,
            1024.,
            0.0,
            [0.219, 0.082],
            [43.4, 13.4],
            [0.01, 4.99],
        ),
        (
            "smacv2_5_units",
            Driver::Random,
            1024.,
            0.001,
            [0.255, 0.173],
            [35.9, 14.8],
            [0.01, 4.64],
        ),
        (
            "smacv2_5_units",
            Driver::Heuristic,
            1024.,
            0.519,
            [1.387, 0.653],
            [36.1, 13.1],
            [1.53, 1.38],
        ),
    ];
    const OURS: f64 = 4096.0;
    for (name, driver, n, win, ret, length, alive) in TABLE {
        let s = statistics(&gpu, &format!("smax/{name}"), driver, OURS as usize);
        println!(
            "{name} {driver:?}: win {:.3} return {:.3} length {:.2} alive {:.2} {:.2}",
            s.win_rate(),
            s.mean_return(),
            s.mean_length(),
            s.extra[0] / s.episodes,
            s.extra[1] / s.episodes
        );
        let error = (1.0 / n + 1.0 / OURS).sqrt();
        // The table is rounded: half a unit of the last digit comes on top.
        let near = |what: &str, ours: f64, theirs: f64, sd: f64, rounding: f64| {
            let slack = 4.5 * sd * error + rounding;
            assert!(
                (ours - theirs).abs() <= slack,
                "{name} {driver:?}: {what} {ours:.4}, the reference has {theirs} ± {slack:.4}"
            );
        };
        near("return", s.mean_return(), ret[0], ret[1], 0.0005);
        near("length", s.mean_length(), length[0], length[1], 0.05);
        near(
            "win rate",
            s.win_rate(),
            win,
            (win * (1.0 - win)).max(0.001).sqrt(),
            0.0005,
        );
        // One win in a thousand episodes moves the spread of the return by a fifth: compare it where wins are common or none.
        if win > 0.1 || driver == Driver::Random {
            let sd = |sum_sq: f64, mean: f64| (sum_sq / OURS - mean * mean).max(0.0).sqrt();
            let spread = sd(s.return_sq_sum, s.mean_return()) / ret[1];
            assert!(
                (0.85..1.15).contains(&spread),
                "{name} {driver:?}: sd of the return, ratio {spread:.3}"
            );
        }
        // Numbers alive at the end are at most five: their standard deviation is below 2.
        for (what, ours, theirs) in [
            ("allies", s.extra[0], alive[0]),
            ("enemies", s.extra[1], alive[1]),
        ] {
            near(what, ours / s.episodes, theirs, 1.8, 0.005);
        }
    }
}

#[test]
fn every_scenario_steps_in_both_layouts() {
    let gpu = gpu();
    // The widest of each kind, and more allies than enemies; the tile layout's arrays are the largest with 57 units.
    for name in [
        "2m_vs_1z",
        "corridor",
        "27m_vs_30m",
        "protoss_20_vs_23",
        "zerg_10_vs_11",
        "6h_vs_8z",
    ] {
        for layout in LAYOUTS {
            let c = config(&format!("smax/{name}"), serde_json::json!({}));
            let env = Smax::new(&gpu, c, &batch(3, Driver::Random, layout)).unwrap();
            run(&gpu, &env, true, 10);
            let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
            assert!(obs.iter().all(|x| x.is_finite()), "{name} {layout:?}");
            assert!(obs.iter().any(|x| *x != 0.0), "{name} {layout:?}");
        }
    }
}

#[test]
fn races_draw_only_their_two_types_and_mirror_them() {
    let gpu = gpu();
    let c = config("smax/zerg_10_vs_11", serde_json::json!({}));
    let env = Smax::new(&gpu, c, &batch(2000, Driver::External, Layout::Auto)).unwrap();
    run(&gpu, &env, true, 0);
    let s = env.get_state(&gpu).unwrap();
    let mut counts = [0usize; 6];
    for types in s.types.chunks(21) {
        types.iter().for_each(|&t| counts[usize::from(t)] += 1);
        assert_eq!(types[..10], types[10..20], "enemies copy the allies");
    }
    assert_eq!(counts[..4], [0; 4]);
    // 22,000 independent draws of the allies and the extra enemy: 4.5 standard deviations are 334.
    let zerglings: usize = s
        .types
        .chunks(21)
        .map(|t| t[..10].iter().chain(&t[20..]).filter(|&&x| x == 4).count())
        .sum();
    assert!(
        zerglings.abs_diff(11_000) < 334,
        "{zerglings} zerglings of 22,000"
    );
}

#[test]
fn a_batch_that_does_not_fit_says_what_would() {
    let gpu = gpu();
    let c = config("smax/27m_vs_30m", serde_json::json!({}));
    let huge = batch(1 << 26, Driver::Random, Layout::Auto);
    let error = Smax::new(&gpu, c, &huge).err().expect("too large");
    let text = error.to_string();
    assert!(
        text.contains("use at most") && text.contains("environments"),
        "{text}"
    );
}

#[test]
fn a_normalized_world_state_is_the_raw_one_over_its_ranges() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let states = [false, true].map(|normalized| {
            let options = serde_json::json!({ "normalized_world_state": normalized });
            let env = Smax::new(
                &gpu,
                config("smax/2s3z", options),
                &batch(4, Driver::Random, layout),
            )
            .unwrap();
            run(&gpu, &env, true, 12);
            gpu.read::<f32>(&env.io().state).unwrap()
        });
        let cooldown = [1.87, 1.87, 0.86, 0.86, 0.86];
        for (i, (raw, ours)) in states[0].iter().zip(&states[1]).enumerate() {
            let word = i % 120;
            let want = match (word < 100, word % 10) {
                (true, 1 | 2) => raw / 32.0,
                (true, 3) => (raw / cooldown[word / 10 % 5]).clamp(0.0, 1.0),
                (false, _) if word >= 110 => raw / 6.0,
                _ => *raw,
            };
            assert!(
                (ours - want).abs() < 1e-6,
                "{layout:?}: word {word} is {ours}, not {want}"
            );
        }
    }
}
