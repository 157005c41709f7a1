//! Overcooked beyond the recordings: the golden steps of its specification, contracts (determinism, independence of the
//! batch, exact state), what slots show, resets as distributions, options.

mod common;

use std::path::{Path, PathBuf};

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::overcooked::{Item, Overcooked, OvercookedConfig, POT_EMPTY, configure};
use merit_sim::parity::check_file_with;
use merit_sim::registry::{self, Batch, Driver, EnvOptions, Layout};
use serde_json::json;

use common::{batch, gpu, options, run};

const LAYOUTS: [&str; 5] = [
    "cramped_room",
    "asymm_advantages",
    "coord_ring",
    "forced_coord",
    "counter_circuit",
];

fn config(layout: &str, set: serde_json::Value) -> OvercookedConfig {
    configure(&format!("overcooked/{layout}"), &options(set)).expect("a valid configuration")
}

fn floats(gpu: &Gpu, region: &Region) -> Vec<f32> {
    gpu.read(region).expect("the device answers")
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/overcooked")
}

#[test]
fn recordings_in_the_repository_pass() {
    let gpu = gpu();
    let mut files = 0;
    for entry in std::fs::read_dir(golden()).expect("recordings") {
        let path = entry.expect("a readable folder").path();
        let report = check_file_with(&gpu, &path, Layout::Auto, true).expect("a recording");
        for a in &report.arrays {
            assert!(
                a.pass && a.exact && a.compared > 0,
                "{}: {} differs in {} of {} entries",
                report.file,
                a.name,
                a.unequal,
                a.compared
            );
        }
        files += 1;
    }
    assert_eq!(files, 4);
}

/// The comparison is no formality: a recording that is wrong in one entry of one array fails, in that array.
#[test]
fn a_recording_with_one_wrong_entry_fails() {
    let gpu = gpu();
    let bytes = std::fs::read(golden().join("cramped_room.random_reset.s0.safetensors"))
        .expect("a recording");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    for (array, failing) in [
        (
            "reward",
            &["reward", "shaped_reward", "reward (rollout)"][..],
        ),
        ("shaped_reward", &["shaped_reward"]),
        (
            "done_all",
            &["done_all", "done_all (each agent)", "final_obs", "reset"],
        ),
        (
            "obs",
            &["obs", "state (both observations)", "obs (rollout)"],
        ),
    ] {
        let mut bytes = bytes.clone();
        bytes[8 + header + metadata.info(array).expect("the array").data_offsets.0] ^= 1;
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        let report = check_file_with(&gpu, file.path(), Layout::Auto, false).expect("readable");
        let failed = report.arrays.iter().filter(|a| !a.pass);
        let failed: Vec<_> = failed.map(|a| a.name.as_str()).collect();
        assert_eq!(failed, failing, "{array}");
    }
}

/// The specification's golden steps (§1.9): agent 0 cooks and delivers one soup, agent 1 stays. With the older rule taking
/// the plate at step 17 earns nothing, with that of JaxMARL 0.2.0 three points.
#[test]
fn one_soup_from_onions_to_delivery() {
    let gpu = gpu();
    let mut actions = [4u32; 39];
    for (step, action) in [
        (0, 5),
        (1, 2),
        (2, 0),
        (3, 5),
        (4, 3),
        (5, 5),
        (6, 2),
        (7, 0),
        (8, 5),
        (9, 3),
        (10, 5),
        (11, 2),
        (12, 0),
        (13, 5),
        (14, 1),
        (15, 3),
        (16, 1),
        (17, 5),
        (18, 2),
        (19, 0),
        (32, 5),
        (33, 5),
        (34, 5),
        (35, 1),
        (36, 2),
        (37, 1),
        (38, 5),
    ] {
        actions[step] = action;
    }
    // After a step: position, facing, held, pot, reward, shaped.
    type Row = (usize, [u16; 2], u8, Item, u8, f32, f32);
    const TABLE: [Row; 8] = [
        (0, [1, 1], 3, Item::Onion, 23, 0.0, 0.0),
        (3, [2, 1], 0, Item::Nothing, 22, 0.0, 3.0),
        (8, [2, 1], 0, Item::Nothing, 21, 0.0, 3.0),
        (13, [2, 1], 0, Item::Nothing, 19, 0.0, 3.0),
        (17, [1, 2], 1, Item::Plate, 15, 0.0, 0.0),
        (32, [2, 1], 0, Item::Plate, 0, 0.0, 0.0),
        (33, [2, 1], 0, Item::Dish, 23, 0.0, 5.0),
        (38, [3, 2], 1, Item::Nothing, 23, 20.0, 0.0),
    ];
    for plate in ["never", "useful"] {
        let c = config("cramped_room", json!({ "plate_reward": plate }));
        let env = Overcooked::new(&gpu, c, &batch(1, Driver::External)).unwrap();
        let mut start = env.start_state();
        start.facing[0] = 3;
        env.set_state(&gpu, &start).unwrap();
        let mut rows = TABLE.into_iter().peekable();
        for (t, &action) in actions.iter().enumerate() {
            gpu.write(&env.io().actions, &[action, 4]);
            // Half the points, so that they and deliveries are told apart.
            assert!(env.set_reward_shaping(&gpu, 0.5));
            run(&gpu, &env, false, 1);
            let reward = floats(&gpu, &env.io().reward);
            let s = env.get_state(&gpu).unwrap();
            let Some((_, at, facing, held, pot, paid, points)) = rows.next_if(|row| row.0 == t)
            else {
                continue;
            };
            let points = if t == 17 && plate == "useful" {
                3.0
            } else {
                points
            };
            assert_eq!(
                (s.positions[0], s.facing[0], s.held[0]),
                (at, facing, held),
                "step {t}"
            );
            assert_eq!(s.pot_status[0], pot, "step {t}");
            assert_eq!(reward, [paid + 0.5 * points, paid], "step {t}");
        }
        assert!(rows.next().is_none());
        let s = env.get_state(&gpu).unwrap();
        assert_eq!(s.running_return, [20.0]);
        assert_eq!(s.shaped_points, [if plate == "useful" { 17 } else { 14 }]);
        // 18 ones: channels 0, 1, 3, 6, 10, 14, 15 one each, 11 has 9, 12 has 2.
        let obs = floats(&gpu, &env.io().obs);
        let mut channels = [0.0; 26];
        for (k, x) in obs[..520].iter().enumerate() {
            channels[k % 26] += x;
        }
        let mut expected = [0.0; 26];
        for (channel, sum) in [
            (0, 1.0),
            (1, 1.0),
            (3, 1.0),
            (6, 1.0),
            (10, 1.0),
            (14, 1.0),
            (15, 1.0),
            (11, 9.0),
            (12, 2.0),
        ] {
            expected[channel] = sum;
        }
        assert_eq!(channels, expected);
    }
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    let play = |envs: usize, workgroup: usize| {
        let set = json!({ "max_steps": 50, "random_reset": true });
        let b = Batch {
            workgroup: Some(workgroup),
            seeds: vec![3, 7],
            ..batch(envs, Driver::Random)
        };
        let env = Overcooked::new(&gpu, config("asymm_advantages", set), &b).unwrap();
        run(&gpu, &env, true, 170);
        let row = env.spec().agents * env.spec().obs;
        let (s, obs) = (env.get_state(&gpu).unwrap(), floats(&gpu, &env.io().obs));
        // Environment 0 of both members.
        [0, envs].map(|g| {
            (
                s.positions[2 * g..][..2].to_vec(),
                s.facing[2 * g..][..2].to_vec(),
                s.held[2 * g..][..2].to_vec(),
                s.pots(g).to_vec(),
                s.items[45 * g..][..45].to_vec(),
                (s.step[g], s.episode[g], s.shaped_points[g]),
                obs[g * row..][..row].to_vec(),
            )
        })
    };
    let alone = play(1, 1);
    assert_eq!(alone[0].5.1, 3, "episodes of 50 steps");
    assert_ne!(alone[0], alone[1], "members differ");
    for (envs, workgroup) in [(100, 8), (100, 32), (37, 64), (300, 256)] {
        assert!(
            play(envs, workgroup) == alone,
            "{envs} envs, {workgroup} a workgroup"
        );
    }
}

#[test]
fn the_same_run_twice_gives_the_same_bytes() {
    let gpu = gpu();
    let play = || {
        let c = config("coord_ring", json!({ "max_steps": 40 }));
        let env = Overcooked::new(&gpu, c, &batch(50, Driver::Random)).unwrap();
        run(&gpu, &env, true, 100);
        let io = env.io();
        (
            env.snapshot(&gpu).unwrap(),
            floats(&gpu, &io.obs),
            floats(&gpu, &io.final_obs),
        )
    };
    assert!(play() == play());
}

#[test]
fn a_restored_snapshot_goes_on_as_if_nothing_had_happened() {
    let gpu = gpu();
    let make = || {
        let c = config("forced_coord", json!({ "max_steps": 60 }));
        Overcooked::new(&gpu, c, &batch(20, Driver::Random)).unwrap()
    };
    let env = make();
    run(&gpu, &env, true, 45);
    let kept = env.snapshot(&gpu).unwrap();
    run(&gpu, &env, false, 45);
    let through = (env.snapshot(&gpu).unwrap(), floats(&gpu, &env.io().obs));
    let other = make();
    run(&gpu, &other, true, 3);
    other.restore(&gpu, &kept).unwrap();
    // Whoever restores writes the slots too: the environment no longer trusts what it wrote there.
    let io = other.io();
    for region in [&io.obs, &io.avail, &io.final_obs] {
        gpu.write(region, &vec![9.0f32; region.size as usize / 4]);
    }
    run(&gpu, &other, false, 45);
    assert!((other.snapshot(&gpu).unwrap(), floats(&gpu, &io.obs)) == through);
    assert_eq!(floats(&gpu, &io.avail), vec![1.0; 20 * 2 * 6]);
    assert_eq!(
        floats(&gpu, &io.final_obs),
        floats(&gpu, &env.io().final_obs)
    );
    let error = other.restore(&gpu, &kept[1..]).unwrap_err().to_string();
    assert!(error.contains("snapshot"), "{error}");
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    let c = config("counter_circuit", json!({ "random_reset": true }));
    let env = Overcooked::new(&gpu, c, &batch(33, Driver::Random)).unwrap();
    run(&gpu, &env, true, 90);
    let state = env.get_state(&gpu).unwrap();
    assert!(
        state.items.iter().any(|&i| i != Item::Nothing),
        "something lies on a counter"
    );
    run(&gpu, &env, false, 9);
    assert_ne!(env.get_state(&gpu).unwrap(), state);
    env.set_state(&gpu, &state).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), state);
    type Change = fn(&mut merit_sim::overcooked::OvercookedState);
    let changes: [(Change, &str); 8] = [
        (
            |s| s.positions[0] = [0, 0],
            "agent 0 of environment 0 is at 0 0",
        ),
        (
            |s| s.positions[3] = [8, 1],
            "agent 1 of environment 1 is at 8 1",
        ),
        (|s| s.positions[1] = s.positions[0], "in one cell"),
        (|s| s.facing[0] = 4, "faces 4"),
        (
            |s| s.pot_status[5] = 24,
            "pot 1 of environment 2 has status 24",
        ),
        (|s| s.items[9] = Item::Dish, "lies on no counter"),
        (|s| s.step[0] = 401, "step 401"),
        (
            |s| s.held.truncate(1),
            "`held` has 1 entries, 66 are needed",
        ),
    ];
    for (change, part) in changes {
        let mut wrong = state.clone();
        change(&mut wrong);
        let error = env.set_state(&gpu, &wrong).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        env.get_state(&gpu).unwrap(),
        state,
        "a refused state changes nothing"
    );
}

/// Steps write the difference to what a slot shows. After each step every slot must be what observing its state from
/// nothing gives: slots written one step before, slots written three steps before, and what episodes ended with.
#[test]
fn slots_show_what_an_observation_from_nothing_shows() {
    let gpu = gpu();
    const ENVS: usize = 64;
    for layout in LAYOUTS {
        for slots in [1, 3] {
            let c = config(layout, json!({ "max_steps": 47, "random_reset": true }));
            let b = Batch {
                steps: slots,
                slots,
                ..batch(ENVS, Driver::Random)
            };
            let env = Overcooked::new(&gpu, c.clone(), &b).unwrap();
            let observer = Overcooked::new(&gpu, c, &batch(ENVS, Driver::External)).unwrap();
            let words = ENVS * env.spec().agents * env.spec().obs;
            gpu.compute(|pass| env.record_reset(pass));
            let mut ended = None;
            for t in 0..105 {
                let before = env.get_state(&gpu).unwrap();
                gpu.compute(|pass| env.record_step(pass, t % slots));
                observer
                    .set_state(&gpu, &env.get_state(&gpu).unwrap())
                    .unwrap();
                gpu.compute(|pass| observer.record_observe(pass));
                let seen = floats(&gpu, &env.io().obs);
                let slot = &seen[(t + 1) % slots * words..][..words];
                assert!(
                    slot == floats(&gpu, &observer.io().obs),
                    "{layout}, {slots} slots, step {t}"
                );
                if t % 47 == 46 {
                    ended = Some(before);
                }
            }
            // What the second episodes ended with: replayed by hand from one step before, with the same draws.
            let c = config(layout, json!({ "max_steps": 47, "random_reset": true }));
            let kept = Batch {
                keep_ended: true,
                ..batch(ENVS, Driver::Random)
            };
            let replayed = Overcooked::new(&gpu, c, &kept).unwrap();
            replayed
                .set_state(&gpu, &ended.expect("episodes ended"))
                .unwrap();
            gpu.compute(|pass| replayed.record_step(pass, 0));
            let last = floats(&gpu, &env.io().final_obs);
            assert!(
                last == floats(&gpu, &replayed.io().obs),
                "{layout}: the last observation"
            );
            assert!(
                last == floats(&gpu, &env.io().final_state),
                "{layout}: the last state"
            );
            assert!(
                seen_by_critic(&gpu, &env),
                "{layout}: a critic sees both observations"
            );
        }
    }
}

fn seen_by_critic(gpu: &Gpu, env: &Overcooked) -> bool {
    let io = env.io();
    env.spec().state == 2 * env.spec().obs && floats(gpu, &io.state) == floats(gpu, &io.obs)
}

/// A learner copies the last slot to the first one: the next rollout begins with it, and no step writes it.
#[test]
fn a_rollout_may_begin_with_a_copied_slot() {
    let gpu = gpu();
    let c = config("cramped_room", json!({ "max_steps": 30 }));
    let b = Batch {
        steps: 8,
        slots: 9,
        ..batch(10, Driver::Random)
    };
    let env = Overcooked::new(&gpu, c.clone(), &b).unwrap();
    let plain = Overcooked::new(&gpu, c, &batch(10, Driver::Random)).unwrap();
    let words = 10 * 2 * env.spec().obs;
    run(&gpu, &plain, true, 0);
    gpu.compute(|pass| env.record_reset(pass));
    for _ in 0..8 {
        gpu.compute(|pass| (0..8).for_each(|t| env.record_step(pass, t)));
        let rollout = floats(&gpu, &env.io().obs);
        for t in 0..8 {
            assert!(rollout[t * words..][..words] == floats(&gpu, &plain.io().obs));
            run(&gpu, &plain, false, 1);
        }
        gpu.write(&env.io().obs, &rollout[8 * words..]);
    }
}

/// Pearson's statistic of counts that should be equal, and its value at six standard deviations of its distribution.
fn chi_squared(counts: &[usize]) -> (f64, f64) {
    let expected = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let statistic = counts
        .iter()
        .map(|&n| (n as f64 - expected).powi(2) / expected)
        .sum();
    let freedom = counts.len() as f64 - 1.0;
    (statistic, freedom + 6.0 * (2.0 * freedom).sqrt() + 10.0)
}

fn uniform(what: &str, values: impl Iterator<Item = usize>, kinds: usize) {
    let mut counts = vec![0; kinds];
    values.for_each(|v| counts[v] += 1);
    let (statistic, critical) = chi_squared(&counts);
    assert!(statistic < critical, "{what}: {counts:?}");
}

#[test]
fn resets_are_the_layouts_or_uniform() {
    let gpu = gpu();
    const ENVS: usize = 4096;
    let reset = |random: bool| {
        let c = config("cramped_room", json!({ "random_reset": random }));
        let env = Overcooked::new(&gpu, c, &batch(ENVS, Driver::External)).unwrap();
        run(&gpu, &env, true, 0);
        (env.start_state(), env.get_state(&gpu).unwrap())
    };
    let (start, s) = reset(false);
    assert_eq!(s.positions, start.positions);
    assert_eq!((s.held, s.pot_status), (start.held, start.pot_status));
    let both = |facing: &[u8]| -> Vec<usize> {
        facing
            .chunks(2)
            .map(|f| usize::from(f[0] * 4 + f[1]))
            .collect()
    };
    uniform("facing", both(&s.facing).into_iter(), 16);
    let (start, s) = reset(true);
    uniform("facing at random resets", both(&s.facing).into_iter(), 16);
    // Ordered pairs of the six cells of the floor, (1, 1) to (3, 2).
    let cell = |[x, y]: [u16; 2]| usize::from(x - 1 + 3 * (y - 1));
    let pairs = s.positions.chunks(2).map(|p| {
        let (a, b) = (cell(p[0]), cell(p[1]));
        assert_ne!(a, b, "two agents in one cell");
        5 * a + if b > a { b - 1 } else { b }
    });
    uniform("places", pairs, 30);
    uniform(
        "held",
        s.held.chunks(2).map(|h| 4 * h[0] as usize + h[1] as usize),
        16,
    );
    uniform("pots", s.pot_status.iter().map(|&p| p.into()), 24);
    assert_eq!(s.items, start.items, "counters are bare");
    assert_eq!((s.step, s.episode), (vec![0; ENVS], vec![0; ENVS]));
}

/// From facing an onion pile in the west: three moves turn, one keeps the facing, interacting takes an onion.
#[test]
fn random_actions_are_uniform() {
    let gpu = gpu();
    let c = config("cramped_room", json!({}));
    let env = Overcooked::new(&gpu, c, &batch(6000, Driver::Random)).unwrap();
    let mut start = env.start_state();
    start.facing = [3, 2].repeat(6000);
    env.set_state(&gpu, &start).unwrap();
    run(&gpu, &env, false, 1);
    let s = env.get_state(&gpu).unwrap();
    for (i, wall) in [(0, 3), (1, 2)] {
        let mut counts = [0; 5];
        for g in 0..6000 {
            let (facing, held) = (s.facing[2 * g + i], s.held[2 * g + i]);
            let outcome = if held == Item::Onion {
                4
            } else {
                usize::from(facing)
            };
            counts[outcome] += 1;
        }
        // Moving to the wall and staying are one outcome.
        let kept = counts[wall];
        assert!((1820..2180).contains(&kept), "agent {i}: {counts:?}");
        counts[wall] /= 2;
        let (statistic, critical) = chi_squared(&counts);
        assert!(statistic < critical, "agent {i}: {counts:?}");
    }
}

/// Both want the cell between them, then each other's; then one follows the other.
#[test]
fn agents_block_and_follow_each_other() {
    let gpu = gpu();
    let c = config("cramped_room", json!({}));
    let env = Overcooked::new(&gpu, c, &batch(1, Driver::External)).unwrap();
    let play = |positions: [[u16; 2]; 2], actions: [u32; 2]| {
        let mut s = env.start_state();
        s.positions = positions.to_vec();
        env.set_state(&gpu, &s).unwrap();
        gpu.write(&env.io().actions, &actions);
        run(&gpu, &env, false, 1);
        let s = env.get_state(&gpu).unwrap();
        (s.positions, s.facing)
    };
    let stay = |a, b| (vec![a, b], vec![2, 3]);
    assert_eq!(play([[1, 1], [3, 1]], [2, 3]), stay([1, 1], [3, 1]));
    assert_eq!(play([[1, 1], [2, 1]], [2, 3]), stay([1, 1], [2, 1]));
    let follow = play([[1, 1], [2, 1]], [2, 2]);
    assert_eq!(follow, (vec![[2, 1], [3, 1]], vec![2, 2]));
    let into_standing = play([[1, 1], [2, 1]], [2, 4]);
    assert_eq!(into_standing, (vec![[1, 1], [2, 1]], vec![2, 0]));
    // A number that is no action does nothing.
    assert_eq!(
        play([[1, 1], [2, 1]], [6, u32::MAX]),
        (vec![[1, 1], [2, 1]], vec![0, 0])
    );
}

#[test]
fn an_episode_is_cut_at_its_step_limit_and_counted() {
    let gpu = gpu();
    let c = config("cramped_room", json!({ "shaped_reward_coefficient": 1.0 }));
    let env = Overcooked::new(&gpu, c, &batch(2, Driver::External)).unwrap();
    let mut s = env.start_state();
    s.step = vec![399, 398];
    s.running_return = vec![40.0, 40.0];
    s.shaped_points = vec![9, 9];
    // Agent 0 of environment 0 puts an onion into the pot, agent 1 of environment 1 delivers nothing.
    s.positions[0] = [2, 1];
    s.held[0] = Item::Onion;
    env.set_state(&gpu, &s).unwrap();
    gpu.write(&env.io().actions, &[5u32, 4, 4, 4]);
    run(&gpu, &env, false, 1);
    let io = env.io();
    assert_eq!(floats(&gpu, &io.truncated), [1.0, 0.0]);
    assert_eq!(floats(&gpu, &io.terminated), [0.0, 0.0]);
    assert_eq!(floats(&gpu, &io.agent_done), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(floats(&gpu, &io.reward), [3.0, 0.0, 0.0, 0.0]);
    let after = env.get_state(&gpu).unwrap();
    assert_eq!(after.step, [0, 399]);
    assert_eq!(after.pot_status, [POT_EMPTY, POT_EMPTY]);
    // The old episode's last observation has plane 25, the new one's first has not.
    assert_eq!(floats(&gpu, &io.final_obs)[25], 1.0);
    let obs = floats(&gpu, &io.obs);
    assert_eq!([obs[25], obs[2 * 520 + 25]], [0.0, 1.0]);
    gpu.compute(|pass| env.record_stats(pass));
    let stats = EpisodeStats::from_words(&floats(&gpu, env.stats_region()));
    assert_eq!(
        (stats.episodes, stats.truncations, stats.wins),
        (1.0, 1.0, 0.0)
    );
    // The return counts deliveries, not points: two soups, twelve points.
    assert_eq!((stats.mean_return(), stats.mean_length()), (40.0, 400.0));
    assert_eq!(stats.extra, [2.0, 12.0]);
}

const WIDE: &str = "\
WWWWWWWWWWWWWWWWWWWWWWWW
P P O B X 0  1 W W W W W
W                      W
P  W W W W W W W W W WPP
P                      P
WWWWWWWWWWWWWPWWWWWWWWWW
";

#[test]
fn a_kitchen_from_a_file_is_played_as_any() {
    let gpu = gpu();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("wide.txt");
    std::fs::write(&path, WIDE).expect("written");
    let set =
        || options(json!({ "layout_file": path.to_str().expect("a name"), "random_reset": true }));
    let c = configure("overcooked/custom", &set()).expect("a kitchen");
    assert_eq!((c.kitchen.width, c.kitchen.height), (24, 6));
    let spec = registry::spec("overcooked/custom", &set()).expect("a kitchen");
    assert_eq!((spec.obs, spec.state), (24 * 6 * 26, 2 * 24 * 6 * 26));
    let env = Overcooked::new(&gpu, c.clone(), &batch(40, Driver::Random)).unwrap();
    run(&gpu, &env, true, 200);
    let s = env.get_state(&gpu).unwrap();
    assert_eq!(s.pots(0).len(), 8);
    let observer = Overcooked::new(&gpu, c, &batch(40, Driver::External)).unwrap();
    observer.set_state(&gpu, &s).unwrap();
    gpu.compute(|pass| observer.record_observe(pass));
    assert!(floats(&gpu, &env.io().obs) == floats(&gpu, &observer.io().obs));
    // Eight pots are independent, and uniform.
    let c = configure("overcooked/custom", &set()).expect("a kitchen");
    let env = Overcooked::new(&gpu, c, &batch(2000, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let s = env.get_state(&gpu).unwrap();
    for p in 0..8 {
        uniform("pot", (0..2000).map(|g| s.pots(g)[p].into()), 24);
        let other = (p + 3) % 8;
        let equal = (0..2000)
            .filter(|&g| s.pots(g)[p] == s.pots(g)[other])
            .count();
        assert!(equal < 150, "pots {p} and {other} agree in {equal} of 2000");
    }
}

#[test]
fn bad_options_get_one_clear_message() {
    let gpu = gpu();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("bad.txt");
    std::fs::write(&path, "WWPWW\nO0 1O\nW z W\nWBWXW\n").expect("written");
    let bad = path.to_str().expect("a name");
    let message = |name: &str, set: serde_json::Value| {
        let e = registry::spec(name, &options(set)).expect_err("an error");
        let text = e.to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    };
    for (name, set, parts) in [
        (
            "overcooked/custom",
            json!({}),
            &["layout_file", "missing"][..],
        ),
        (
            "overcooked/custom",
            json!({ "layout_file": bad }),
            &["bad.txt, line 3, column 3", "`z`"],
        ),
        (
            "overcooked/custom",
            json!({ "layout_file": "no/such/file" }),
            &["cannot read no/such/file"],
        ),
        (
            "overcooked/coord_ring",
            json!({ "layout_file": bad }),
            &["`overcooked/custom`"],
        ),
        (
            "overcooked/cramped",
            json!({}),
            &["unknown environment", "overcooked/cramped_room"],
        ),
        (
            "overcooked/cramped_room",
            json!({ "max_step": 3 }),
            &["max_step", "max_steps"],
        ),
        (
            "overcooked/cramped_room",
            json!({ "max_steps": 0 }),
            &["max_steps", "1 to 65535"],
        ),
        (
            "overcooked/cramped_room",
            json!({ "max_steps": 65536 }),
            &["1 to 65535"],
        ),
        (
            "overcooked/cramped_room",
            json!({ "shaped_reward_coefficient": -1 }),
            &["shaped_reward_coefficient", "0 to 1e6"],
        ),
        (
            "overcooked/cramped_room",
            json!({ "plate_reward": "always" }),
            &["always", "useful"],
        ),
    ] {
        let text = message(name, set);
        for part in parts {
            assert!(text.contains(part), "{text}");
        }
    }
    let b = batch(1, Driver::Heuristic);
    let made = registry::make(&gpu, "overcooked/cramped_room", &EnvOptions::new(), &b);
    let text = made.err().expect("an error").to_string();
    assert!(text.contains("no built-in policy"), "{text}");
}

#[test]
fn a_frame_shows_the_kitchen() {
    let gpu = gpu();
    let env = Overcooked::new(
        &gpu,
        config("cramped_room", json!({})),
        &batch(2, Driver::External),
    )
    .unwrap();
    let mut s = env.start_state();
    s.pot_status = vec![POT_EMPTY, 7];
    s.held[3] = Item::Dish;
    s.facing[3] = 2;
    s.items[20 + 10] = Item::Onion;
    s.step = vec![0, 12];
    env.set_state(&gpu, &s).unwrap();
    let frame = env.frame(&gpu, 1).unwrap();
    assert_eq!(
        frame.text,
        "# # P7# #\nO 0^. 1>O\no . . . #\n# B # X #\npot at 2 0: cooks 7 more steps\n\
         agent 0 at 1 1, faces north, holds nothing\nagent 1 at 3 1, faces east, holds a dish\n\
         step 12, return 0\n"
    );
    assert_eq!(frame.size, [5.0, 4.0]);
    assert!(frame.shapes.len() > 20);
}
