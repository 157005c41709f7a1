//! What the recordings of SMAX do not cover: conic observations, continuous actions, anomalies. Cases worked out by hand
//! from the reference's rules (`docs/environments/smax.md`, the sections named at each test), in both layouts.

mod common;

use merit_sim::env::{ActionSpace, EpisodeStats, VecEnv};
use merit_sim::gpu::Gpu;
use merit_sim::registry::{Batch, Driver, Layout};
use merit_sim::smax::options::{SmaxOptions, reference_types};
use merit_sim::smax::{Smax, SmaxState, configure};

use common::gpu;

const LAYOUTS: [Layout; 2] = [Layout::Thread, Layout::Tile];

fn batch(envs: usize, driver: Driver, layout: Layout) -> Batch {
    Batch {
        layout,
        ..common::batch(envs, driver)
    }
}

fn make(gpu: &Gpu, name: &str, options: serde_json::Value, batch: &Batch) -> Smax {
    let config = configure(name, &common::options(options)).expect("a valid configuration");
    Smax::new(gpu, config, batch).expect("a batch that fits")
}

/// Both teams of 3m as agents.
fn external(more: serde_json::Value) -> serde_json::Value {
    let mut options = more;
    options["opponent"] = "external".into();
    options
}

/// Environments of 3m with units at these places, all in full health.
fn marines(positions: &[[[f32; 2]; 6]]) -> SmaxState {
    let mut s = SmaxState::zeroed(positions.len(), 6);
    s.positions = positions.concat();
    s.health.fill(45.0);
    s
}

// ---- 7.2: conic observations ----------------------------------------------------------------------------------------

const SECTORS: usize = 32;
const ROW: usize = 13;
/// 32 sectors of 2 rows of 13, and 10 features of its own.
const CONIC: usize = 842;

/// Row of two a sector that is not all zero: (sector, row), features.
type Seen<'a> = Vec<((usize, usize), &'a [f32])>;

/// What ally_1 of environment `g` is shown.
fn seen_by_ally_1(obs: &[f32], g: usize) -> Seen<'_> {
    let rows = obs[(6 * g + 1) * CONIC..][..CONIC - 10]
        .chunks(ROW)
        .enumerate();
    rows.filter(|(_, row)| row.iter().any(|x| *x != 0.0))
        .map(|(k, row)| ((k / 2, k % 2), row))
        .collect()
}

fn conic(gpu: &Gpu, layout: Layout, more: serde_json::Value, state: &SmaxState) -> Vec<f32> {
    let mut options = external(more);
    options["observation_type"] = "conic".into();
    let b = batch(state.step.len(), Driver::External, layout);
    let env = make(gpu, "smax/3m", options, &b);
    env.set_state(gpu, state).unwrap();
    gpu.compute(|pass| env.record_observe(pass));
    gpu.read(&env.io().obs).unwrap()
}

/// A point `distance` from (16, 16) in the middle of a sector. Sector 0 begins in the west, sectors run counter-clockwise.
fn amid(sector: usize, distance: f32) -> [f32; 2] {
    let angle = std::f32::consts::TAU * ((sector as f32 + 0.5) / SECTORS as f32 - 0.5);
    [16.0 + distance * angle.cos(), 16.0 + distance * angle.sin()]
}

/// ally_1 in the middle, ally_2 at `other`, everyone else more than 9 away, the sight of a marine.
fn two(other: [f32; 2]) -> [[f32; 2]; 6] {
    [
        [1., 31.],
        [16., 16.],
        other,
        [31., 31.],
        [31., 1.],
        [1., 1.],
    ]
}

#[test]
fn a_conic_observation_shows_a_unit_in_its_sector() {
    let gpu = gpu();
    let others: Vec<[f32; 2]> = (0..SECTORS).map(|k| amid(k, 8.9)).collect();
    let places: Vec<_> = others.iter().map(|&at| two(at)).collect();
    let mut s = marines(&places);
    for g in 0..SECTORS {
        s.cooldown[6 * g + 2] = 0.305;
        s.last_action[6 * g + 2] = 7;
        s.health[6 * g + 2] = 9.0;
    }
    for layout in LAYOUTS {
        let obs = conic(&gpu, layout, serde_json::json!({}), &s);
        assert_eq!(obs.len(), SECTORS * 6 * CONIC);
        for (g, other) in others.iter().enumerate() {
            let seen = seen_by_ally_1(&obs, g);
            assert_eq!(seen.len(), 1, "{layout:?} sector {g}");
            assert_eq!(seen[0].0, (g, 0), "{layout:?}");
            let (x, y) = ((other[0] - 16.) / 9., (other[1] - 16.) / 9.);
            // 9 of 45 points, its place, no move, attack 7 of 7, half its cooldown, a marine.
            let want = [0.2, x, y, 0., 0., 1.0, 0.5, 1., 0., 0., 0., 0., 0.];
            for (k, (x, y)) in seen[0].1.iter().zip(want).enumerate() {
                assert!(
                    (x - y).abs() < 1e-6,
                    "{layout:?}: feature {k} is {x}, not {y}"
                );
            }
            let own = &obs[(6 * g + 2) * CONIC - 10..][..10];
            assert_eq!(own, [1., 0.5, 0.5, 0., 1., 0., 0., 0., 0., 0.]);
        }
    }
}

/// Two rows a sector, the lowest indices first, whoever is nearer; never unit 0; the dead too, for the living only.
#[test]
fn a_sector_shows_the_first_units_by_index_as_the_reference_does() {
    let gpu = gpu();
    let near = |d: f32| amid(20, d);
    // Unit 0 and units 2 to 5 are all in sector 20 of unit 1, the last ones nearest.
    let mut s = marines(&[[near(8.), [16., 16.], near(7.), near(5.), near(3.), near(1.)]]);
    s.health[2] = 0.0;
    let x = |d: f32| (near(d)[0] - 16.0) / 9.0;
    for layout in LAYOUTS {
        let obs = conic(&gpu, layout, serde_json::json!({}), &s);
        let seen = seen_by_ally_1(&obs, 0);
        assert_eq!(seen.len(), 2, "{layout:?}: {seen:?}");
        assert_eq!(
            (seen[0].0, seen[0].1[0]),
            ((20, 0), 0.0),
            "{layout:?}: dead unit 2"
        );
        assert_eq!(
            (seen[1].0, seen[1].1[0]),
            ((20, 1), 1.0),
            "{layout:?}: unit 3"
        );
        assert!((seen[0].1[1] - x(7.)).abs() < 1e-6 && (seen[1].1[1] - x(5.)).abs() < 1e-6);
        // The dead unit itself sees nothing, its own features included.
        assert!(
            obs[2 * CONIC..3 * CONIC].iter().all(|x| *x == 0.0),
            "{layout:?}"
        );
        // Corrected: unit 0 and unit 3, since unit 2 is dead.
        let obs = conic(
            &gpu,
            layout,
            serde_json::json!({ "corrected_conic": true }),
            &s,
        );
        let seen = seen_by_ally_1(&obs, 0);
        assert_eq!(seen.len(), 2, "{layout:?}: {seen:?}");
        assert!((seen[0].1[1] - x(8.)).abs() < 1e-6 && (seen[1].1[1] - x(5.)).abs() < 1e-6);
    }
}

/// Due east and west are the border of two sectors, and so is no distance at all: nobody is seen there. Corrected, someone
/// is, once. A hair beside the border is within.
#[test]
fn a_border_of_two_sectors_shows_nobody_unless_corrected() {
    let gpu = gpu();
    let borders = [
        ([3., 0.], 16),
        ([-3., 0.], 31),
        ([0., 0.], 31),
        ([0., 3.], 24),
        ([0., -3.], 8),
    ];
    let within = [
        ([3., 1e-4], 16),
        ([3., -1e-4], 15),
        ([-3., 1e-4], 31),
        ([-3., -1e-4], 0),
    ];
    let all: Vec<([f32; 2], usize)> = borders.into_iter().chain(within).collect();
    let places: Vec<_> = all
        .iter()
        .map(|(d, _)| two([16. + d[0], 16. + d[1]]))
        .collect();
    let s = marines(&places);
    for layout in LAYOUTS {
        for corrected in [false, true] {
            let options = serde_json::json!({ "corrected_conic": corrected });
            let obs = conic(&gpu, layout, options, &s);
            for (g, (d, sector)) in all.iter().enumerate() {
                let seen: Vec<_> = seen_by_ally_1(&obs, g).iter().map(|(at, _)| *at).collect();
                if g < borders.len() && !corrected {
                    assert!(seen.is_empty(), "{layout:?} {d:?}: {seen:?}");
                } else {
                    assert_eq!(seen, [(*sector, 0)], "{layout:?} {d:?} {corrected}");
                }
            }
        }
    }
}

#[test]
fn sectors_and_rows_are_options_of_conic() {
    let gpu = gpu();
    let near = |d: f32| amid(20, d);
    let s = marines(&[[[1., 1.], [16., 16.], near(7.), near(5.), near(3.), near(1.)]]);
    for layout in LAYOUTS {
        let options = serde_json::json!({ "num_sections": 8, "max_units_per_section": 3 });
        let obs = conic(&gpu, layout, options, &s);
        assert_eq!(obs.len(), 6 * (8 * 3 * ROW + 10));
        let ally_1 = &obs[8 * 3 * ROW + 10..];
        let shown: Vec<usize> = (0..24).filter(|k| ally_1[ROW * k] != 0.0).collect();
        assert_eq!(shown, [15, 16, 17], "{layout:?}: sector 5 = 20 / 4");
    }
}

/// Where nobody stands on a border and no sector is full, the corrected conic observation has the living rows of the list.
#[test]
fn conic_rows_are_those_of_the_list_in_another_order() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let rows_of = |kind: serde_json::Value| -> Vec<Vec<Vec<u32>>> {
            let b = batch(40, Driver::Random, layout);
            let env = make(&gpu, "smax/smacv2_5_units", kind, &b);
            gpu.compute(|pass| {
                env.record_reset(pass);
                (0..12).for_each(|_| env.record_step(pass, 0));
            });
            let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
            obs.chunks(env.spec().obs)
                .map(|agent| {
                    let rows = agent[..agent.len() - 10].chunks(ROW);
                    let seen = rows.filter(|r| r.iter().any(|x| *x != 0.0));
                    let bits = seen.map(|r| r.iter().map(|x| x.to_bits()).collect());
                    let mut rows: Vec<Vec<u32>> = bits.collect();
                    rows.sort();
                    rows
                })
                .collect()
        };
        let list = rows_of(serde_json::json!({}));
        let options = serde_json::json!({
            "observation_type": "conic", "max_units_per_section": 8, "corrected_conic": true
        });
        let conic = rows_of(options);
        assert!(
            list.iter().map(Vec::len).sum::<usize>() > 200,
            "units see each other"
        );
        assert_eq!(list, conic, "{layout:?}");
    }
}

#[test]
fn options_of_variants_are_checked() {
    let message = |options: serde_json::Value| {
        let serde_json::Value::Object(options) = options else {
            panic!("options are an object")
        };
        configure("smax/3m", &options)
            .expect_err("an error")
            .to_string()
    };
    let text = message(serde_json::json!({ "num_sections": 16 }));
    assert!(text.contains("conic"), "{text}");
    let text = message(serde_json::json!({ "observation_type": "conic", "num_sections": 0 }));
    assert!(
        text.contains("0 and 2") && text.contains("at least one"),
        "{text}"
    );
    let text = message(serde_json::json!({ "observation_type": "conic", "num_sections": 129 }));
    assert!(text.contains("256"), "{text}");
    let text = message(serde_json::json!({ "observation_type": "cone" }));
    assert!(
        text.contains("unit_list") && text.contains("conic"),
        "{text}"
    );
    let text = message(serde_json::json!({ "map_width": 20, "max_steps": "abc" }));
    assert!(
        text.contains("option `max_steps`") && text.contains("abc"),
        "{text}"
    );
    let text = message(serde_json::json!({ "anomaly_probability": 1.5 }));
    assert!(text.contains("0 to 1"), "{text}");
}

#[test]
fn teams_that_cannot_be_are_refused_before_anything_is_made_of_them() {
    for (allies, enemies) in [(0, 5), (150, 51), (1_000_000_000_000_000, 5), (u64::MAX, 5)] {
        let asked = serde_json::json!({ "num_allies": allies, "num_enemies": enemies });
        let asked = common::options(asked);
        let text = configure("smax/custom", &asked)
            .expect_err("an error")
            .to_string();
        assert!(text.contains("at most 200 together"), "{text}");
    }
    let mut types = reference_types();
    types[0].weapon_cooldown = f32::INFINITY;
    let asked = SmaxOptions {
        unit_types: types,
        ..SmaxOptions::default()
    };
    let scenario = configure("smax/3m", &Default::default())
        .expect("fits")
        .scenario;
    let text = asked.check(&scenario).expect_err("an error").to_string();
    assert!(
        text.contains("marine") && text.contains("stats up to 1e6"),
        "{text}"
    );
}

#[test]
fn a_tile_that_workgroup_memory_cannot_hold_is_refused() {
    let gpu = gpu();
    let asked = external(serde_json::json!({
        "observation_type": "conic", "num_sections": 128, "num_allies": 100, "num_enemies": 100
    }));
    let config = configure("smax/custom", &common::options(asked)).expect("read");
    // A byte for each of the 256 rows of 200 agents.
    assert!(
        gpu.limits.max_compute_workgroup_storage_size < 200 * 256,
        "choose more rows"
    );
    let refused = Smax::new(&gpu, config, &batch(2, Driver::External, Layout::Tile));
    let text = refused.err().expect("an error").to_string();
    assert!(
        text.contains("max_compute_workgroup_storage_size"),
        "{text}"
    );
}

/// `enemy_shoots` and `attack_mode` are the enemies': whom the heuristic plays on the other side fights all the same.
#[test]
fn enemies_that_do_not_shoot_lose_to_the_heuristic() {
    let gpu = gpu();
    for layout in [Layout::Thread, Layout::Tile] {
        let asked = serde_json::json!({ "enemy_shoots": false });
        let b = batch(16, Driver::Heuristic, layout);
        let env = make(&gpu, "smax/3m", asked, &b);
        gpu.compute(|pass| env.record_reset(pass));
        for _ in 0..60 {
            gpu.compute(|pass| env.record_step(pass, 0));
        }
        gpu.compute(|pass| env.record_stats(pass));
        let words: Vec<f32> = gpu.read(env.stats_region()).expect("readable");
        let stats = EpisodeStats::from_words(&words[..EpisodeStats::WORDS]);
        assert!(stats.episodes >= 16.0, "{stats:?}");
        assert_eq!(stats.wins, stats.episodes, "{stats:?}");
    }
    // Both teams are agents: nobody has the options, unless the heuristic plays.
    let asked = common::options(external(serde_json::json!({ "attack_mode": "random" })));
    let config = configure("smax/3m", &asked).expect("read");
    Smax::new(
        &gpu,
        config.clone(),
        &batch(4, Driver::Heuristic, Layout::Thread),
    )
    .expect("fits");
    let refused = Smax::new(&gpu, config, &batch(4, Driver::External, Layout::Thread));
    let text = refused.err().expect("an error").to_string();
    assert!(text.contains("both teams are agents otherwise"), "{text}");
}

// ---- 5.3: continuous actions ----------------------------------------------------------------------------------------

const APART: [[f32; 2]; 6] = [
    [16., 16.],
    [2., 2.],
    [2., 30.],
    [20., 16.],
    [30., 2.],
    [30., 30.],
];

fn continuous(gpu: &Gpu, layout: Layout, more: serde_json::Value, state: &SmaxState) -> Smax {
    let mut options = external(more);
    options["action_type"] = "continuous".into();
    let envs = state.step.len();
    let env = make(
        gpu,
        "smax/3m",
        options,
        &batch(envs, Driver::External, layout),
    );
    env.set_state(gpu, state).unwrap();
    env
}

fn step(gpu: &Gpu, env: &Smax, actions: &[[f32; 4]]) -> SmaxState {
    gpu.write(&env.io().actions, actions);
    gpu.compute(|pass| env.record_step(pass, 0));
    env.get_state(gpu).unwrap()
}

/// Every unit told to stand still: a move of radius 0.
const STILL: [f32; 4] = [1.0, 1.0, 0.0, 0.0];

/// do_shoot is the probability of moving; with 1 the unit walks `radius` of its velocity along the angle.
#[test]
fn a_continuous_move_goes_by_radius_and_angle() {
    let gpu = gpu();
    let cases = [
        (1.0f32, 0.0f32),
        (0.5, 0.25),
        (0.75, 0.625),
        (1.0, 0.95),
        (0.0, 0.4),
        (1.0, 1.0),
    ];
    let mut told = vec![STILL; 6 * cases.len()];
    for (g, (radius, angle)) in cases.iter().enumerate() {
        told[6 * g] = [0.5, 1.0, *radius, *angle];
    }
    for layout in LAYOUTS {
        let places = vec![APART; cases.len()];
        let env = continuous(&gpu, layout, serde_json::json!({}), &marines(&places));
        let s = step(&gpu, &env, &told);
        let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
        assert!(s.last_action.iter().all(|a| *a == 4));
        for (g, (radius, angle)) in cases.iter().enumerate() {
            // A marine's 3.15 a second for half a second.
            let turn = std::f64::consts::TAU * f64::from(*angle);
            let (dx, dy) = (
                f64::from(*radius) * turn.cos(),
                f64::from(*radius) * turn.sin(),
            );
            let (at, moved) = (s.positions[6 * g], s.last_move[6 * g]);
            for (ours, want) in [
                (at[0], 16.0 + 1.575 * dx),
                (at[1], 16.0 + 1.575 * dy),
                (moved[0], dx),
                (moved[1], dy),
            ] {
                let off = (f64::from(ours) - want).abs();
                assert!(
                    off < 2e-5,
                    "{layout:?} {radius} {angle}: {ours}, not {want}"
                );
            }
            assert_eq!(s.positions[6 * g + 1], [2., 2.], "radius 0 stays");
            // enemy_0 sees the move of ally_0, in its last row.
            let row = &obs[(6 * g + 3) * 75 + 4 * ROW..][..ROW];
            assert!((f64::from(row[3]) - dx).abs() < 1e-6 && (f64::from(row[4]) - dy).abs() < 1e-6);
            assert_eq!(row[5], 0.0);
        }
    }
}

/// With do_shoot 0 the unit attacks whichever opponent is closest to the point, alive or not, in range or not.
#[test]
fn a_continuous_attack_takes_the_opponent_closest_to_the_point() {
    let gpu = gpu();
    // Three enemies around ally_0 at distance 3; ally_1 stands between it and the one in the north.
    let ring = [
        [16., 16.],
        [16., 17.],
        [2., 30.],
        [19., 16.],
        [16., 19.],
        [13., 16.],
    ];
    // enemy_0 exactly between ally_0 in the east and ally_1 in the west.
    let between = [
        [17., 16.],
        [15., 16.],
        [2., 30.],
        [16., 16.],
        [30., 2.],
        [30., 30.],
    ];
    let cases = [(0.0f32, 0u8), (0.25, 1), (0.5, 2), (0.124, 0), (0.126, 1)];
    let (dead, tie) = (cases.len(), cases.len() + 1);
    let mut places = vec![ring; tie];
    places.push(between);
    let mut before = marines(&places);
    before.health[6 * dead + 3] = 0.0;
    let mut told = vec![STILL; 6 * (tie + 1)];
    for (g, (angle, _)) in cases.iter().enumerate() {
        told[6 * g] = [1.0, 0.0, 0.9, *angle];
    }
    told[6 * dead] = [1.0, 0.0, 0.9, 0.0];
    told[6 * tie + 3] = [1.0, 0.0, 0.0, 0.3];
    for layout in LAYOUTS {
        // One world step: each fires once.
        let options = serde_json::json!({ "world_steps_per_env_step": 1 });
        let env = continuous(&gpu, layout, options, &before);
        let s = step(&gpu, &env, &told);
        for (g, (angle, slot)) in cases.iter().enumerate() {
            assert_eq!(s.last_action[6 * g], 5 + slot, "{layout:?} angle {angle}");
            assert_eq!(s.last_move[6 * g], [0.0; 2]);
            let mut health = [45.0; 6];
            health[3 + usize::from(*slot)] = 36.0;
            assert_eq!(s.health[6 * g..][..6], health, "{layout:?} angle {angle}");
        }
        // The dead are not passed over: the attack on them misses.
        assert_eq!(s.last_action[6 * dead], 5, "{layout:?}");
        assert_eq!(s.health[6 * dead + 3..][..3], [0.0, 45.0, 45.0]);
        // An exact tie goes to the lowest index, and an enemy counts its slots from the last ally.
        assert_eq!(
            s.last_action[6 * tie + 3],
            5 + 2,
            "{layout:?}: ally_0 is slot 2"
        );
        assert_eq!(s.health[6 * tie], 36.0);
    }
}

/// With shoot_last_enemy 0 the last attack is repeated, whatever the point; if there was none, nothing happens.
#[test]
fn shoot_last_enemy_is_the_probability_of_a_new_target() {
    let gpu = gpu();
    let ring = [
        [16., 16.],
        [2., 2.],
        [2., 30.],
        [19., 16.],
        [16., 19.],
        [13., 16.],
    ];
    let mut before = marines(&[ring, ring]);
    before.last_action[0] = 7;
    before.last_move[6] = [1.0, 0.0];
    let mut told = [STILL; 12];
    let east = [0.0, 0.0, 0.9, 0.0];
    (told[0], told[6]) = (east, east);
    for layout in LAYOUTS {
        let env = continuous(&gpu, layout, serde_json::json!({}), &before);
        let s = step(&gpu, &env, &told);
        assert_eq!((s.last_action[0], s.health[5]), (7, 36.0), "{layout:?}");
        assert_eq!(
            (s.last_action[6], s.last_move[6]),
            (4, [0.0; 2]),
            "{layout:?}"
        );
        assert_eq!(s.health[6..], [45.0; 6]);
        assert_eq!(s.positions[6], [16., 16.]);
    }
}

/// The two draws of a decision have the probabilities that the action says, and are independent.
#[test]
fn continuous_choices_are_drawn_with_the_given_probabilities() {
    let gpu = gpu();
    const ENVS: usize = 8000;
    let (new, walk) = (0.7f32, 0.4f32);
    let mut s = SmaxState::zeroed(ENVS, 6);
    for g in 0..ENVS {
        s.positions[6 * g..][..6].copy_from_slice(&APART);
        s.health[6 * g..][..6].fill(45.0);
        s.last_action[6 * g] = 6;
    }
    let env = continuous(&gpu, Layout::Auto, serde_json::json!({}), &s);
    let mut told = vec![STILL; 6 * ENVS];
    for g in 0..ENVS {
        // Out of 1 in all directions the closest enemy is enemy_0.
        told[6 * g] = [new, walk, 0.5, 0.0];
    }
    let after = step(&gpu, &env, &told);
    let count = |a: u8| (0..ENVS).filter(|g| after.last_action[6 * g] == a).count() as f64;
    let (walk, new) = (f64::from(walk), f64::from(new));
    for (what, found, p) in [
        ("moves", count(4), walk),
        ("new targets", count(5), (1.0 - walk) * new),
        ("old targets", count(6), (1.0 - walk) * (1.0 - new)),
    ] {
        let (mean, sd) = (p * ENVS as f64, (p * (1.0 - p) * ENVS as f64).sqrt());
        assert!(
            (found - mean).abs() < 4.5 * sd,
            "{what}: {found}, not {mean} ± {sd}"
        );
    }
}

/// Numbers outside [0, 1] are clipped: 1 + x is 1, -x is 0.
#[test]
fn continuous_numbers_are_clipped() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let env = continuous(&gpu, layout, serde_json::json!({}), &marines(&[APART]));
        let mut told = [[9.0, 1.5, -3.0, 0.0]; 6];
        told[0] = [9.0, 1.5, 4.0, -0.5];
        let s = step(&gpu, &env, &told);
        assert!(
            (s.positions[0][0] - 17.575).abs() < 1e-5 && s.positions[0][1] == 16.0,
            "{:?}",
            s.positions[0]
        );
        assert_eq!(s.positions[1], [2., 2.]);
    }
}

/// Against the heuristic only the allies are told numbers; the enemies act as ever, and their moves show.
#[test]
fn the_heuristic_plays_against_continuous_actions() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let options = serde_json::json!({ "action_type": "continuous" });
        let env = make(
            &gpu,
            "smax/3m",
            options,
            &batch(1, Driver::External, layout),
        );
        assert_eq!(env.spec().actions, ActionSpace::Continuous(4));
        assert_eq!(env.spec().action_names.len(), 4);
        env.set_state(&gpu, &marines(&[APART])).unwrap();
        let s = step(&gpu, &env, &[STILL; 3]);
        // enemy_0 at (20, 16) has ally_0 in range, its slot 2; the others see nobody and go to the opposite point.
        assert_eq!(s.last_action[3], 7, "{layout:?}");
        assert!(s.health[0] < 45.0);
        // enemy_1 at (30, 2) to (2, 30): as far north as west, and north comes first. enemy_2 to (2, 2): south.
        assert_eq!(s.last_action[4..], [0, 2], "{layout:?}");
        assert_eq!(s.last_move[4], [0.0, 0.999_999_94]);
        assert_eq!(s.last_move[5], [0.0, -0.999_999_94]);
        // The heuristic and the shader's own random numbers can play the allies too.
        for driver in [Driver::Heuristic, Driver::Random] {
            let options = serde_json::json!({ "action_type": "continuous" });
            let env = make(&gpu, "smax/2s3z", options, &batch(20, driver, layout));
            gpu.compute(|pass| {
                env.record_reset(pass);
                (0..60).for_each(|_| env.record_step(pass, 0));
            });
            let s = env.get_state(&gpu).unwrap();
            assert!(
                s.health.iter().any(|h| *h > 0.0 && *h < 100.0),
                "{driver:?}"
            );
            assert_eq!(env.io().avail.size, 4 * 20, "no mask");
            // In and out, moves included.
            env.set_state(&gpu, &s).unwrap();
            assert_eq!(env.get_state(&gpu).unwrap(), s, "{layout:?} {driver:?}");
            assert!(s.last_move.iter().any(|m| *m != [0.0; 2]));
        }
    }
}

/// The course of an environment does not depend on the batch or the workgroup, with everything switched on.
#[test]
fn variants_do_not_depend_on_the_batch() {
    let gpu = gpu();
    let options = serde_json::json!({
        "action_type": "continuous", "observation_type": "conic", "anomaly_probability": 0.3
    });
    let play = |envs: usize, layout, workgroup| {
        let mut b = batch(envs, Driver::Random, layout);
        b.workgroup = workgroup;
        let env = make(&gpu, "smax/smacv2_5_units", options.clone(), &b);
        gpu.compute(|pass| {
            env.record_reset(pass);
            (0..40).for_each(|_| env.record_step(pass, 0));
        });
        let s = env.get_state(&gpu).unwrap();
        let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
        let marks: Vec<f32> = gpu.read(env.replaced().expect("marks")).unwrap();
        (
            s.positions[..10].to_vec(),
            s.health[..10].to_vec(),
            obs[..5 * 842].to_vec(),
            marks[..5].to_vec(),
        )
    };
    for layout in LAYOUTS {
        let alone = play(1, layout, None);
        assert!(alone.2.iter().any(|x| *x != 0.0), "{layout:?}");
        assert!(alone == play(50, layout, None), "{layout:?}");
        assert!(alone == play(50, layout, Some(4)), "{layout:?}");
    }
}

// ---- 5.4: anomalies -------------------------------------------------------------------------------------------------

/// One living agent in a step at most, each alike, with the probability asked for; it stands still, the others do not.
#[test]
fn an_anomaly_stops_one_living_agent_and_marks_it() {
    let gpu = gpu();
    const ENVS: usize = 4000;
    let mut s = SmaxState::zeroed(ENVS, 6);
    for g in 0..ENVS {
        let places = [
            [8., 8.],
            [8., 16.],
            [8., 24.],
            [28., 8.],
            [28., 16.],
            [28., 24.],
        ];
        s.positions[6 * g..][..6].copy_from_slice(&places);
        s.health[6 * g..][..6].fill(45.0);
        s.health[6 * g + 1] = 0.0;
    }
    for layout in LAYOUTS {
        for p in [0.3, 1.0] {
            let options = serde_json::json!({ "anomaly_probability": p });
            let env = make(
                &gpu,
                "smax/3m",
                options,
                &batch(ENVS, Driver::External, layout),
            );
            env.set_state(&gpu, &s).unwrap();
            gpu.write(&env.io().actions, &vec![1u32; 3 * ENVS]); // east
            gpu.compute(|pass| env.record_step(pass, 0));
            let after = env.get_state(&gpu).unwrap();
            let marks: Vec<f32> = gpu.read(env.replaced().expect("marks")).unwrap();
            let mut counts = [0usize; 3];
            for g in 0..ENVS {
                let mark = &marks[3 * g..][..3];
                assert!(mark.iter().sum::<f32>() <= 1.0, "one at most: {mark:?}");
                for i in [0, 2] {
                    let stays = after.positions[6 * g + i][0] == 8.0;
                    assert_eq!(
                        stays,
                        mark[i] == 1.0,
                        "{layout:?} {p}: agent {i} of environment {g}"
                    );
                    assert_eq!(after.last_action[6 * g + i], if stays { 4 } else { 1 });
                }
                (0..3).for_each(|i| counts[i] += usize::from(mark[i] == 1.0));
                assert!(
                    (3..6).all(|i| after.last_action[6 * g + i] != 4),
                    "the heuristic's enemies go on"
                );
            }
            assert_eq!(counts[1], 0, "the dead are not drawn");
            let n = ENVS as f64;
            for i in [0, 2] {
                let sd = (p / 2.0 * (1.0 - p / 2.0) * n).sqrt();
                assert!(
                    (counts[i] as f64 - p / 2.0 * n).abs() < 4.5 * sd,
                    "{layout:?} {p}: {counts:?}"
                );
            }
            if p == 1.0 {
                assert_eq!(counts[0] + counts[2], ENVS);
            }
        }
    }
}

/// Steps of a rollout are marked each in its own row, and a batch without anomalies plays the same episodes as ever.
#[test]
fn marks_lie_by_step_and_cost_nothing_when_off() {
    let gpu = gpu();
    let play = |p: f64| {
        let mut b = batch(64, Driver::Random, Layout::Auto);
        (b.steps, b.slots) = (6, 7);
        let env = make(
            &gpu,
            "smax/3m",
            serde_json::json!({ "anomaly_probability": p }),
            &b,
        );
        gpu.compute(|pass| {
            env.record_reset(pass);
            (0..6).for_each(|t| env.record_step(pass, t));
        });
        let marks = env.replaced().map(|r| gpu.read::<f32>(r).unwrap());
        (marks, env.bytes_per_step(), env.get_state(&gpu).unwrap())
    };
    let (none, bytes, _) = play(0.0);
    assert!(none.is_none());
    let (marks, more, _) = play(0.5);
    let marks = marks.expect("marks");
    assert_eq!(marks.len(), 6 * 64 * 3);
    assert_eq!(more, bytes + 12);
    let by_step: Vec<f32> = marks.chunks(64 * 3).map(|m| m.iter().sum()).collect();
    // 64 draws of probability 1/2 a step: 32 ± 4.
    assert!(
        by_step.iter().all(|n| (14.0..50.0).contains(n)),
        "{by_step:?}"
    );
    assert_ne!(marks[..192], marks[192..384], "steps draw anew");
}

/// The replaced attack does not happen, with continuous actions either.
#[test]
fn an_anomaly_withholds_attacks() {
    let gpu = gpu();
    for layout in LAYOUTS {
        let mut s = marines(&[APART]);
        s.health = vec![45., 0., 0., 45., 0., 45.];
        let told: [[f32; 4]; 3] = [[1.0, 0.0, 0.5, 0.0]; 3];
        for (p, action, health) in [(0.0, 5, 36.0), (1.0, 4, 45.0)] {
            let options = serde_json::json!({
                "action_type": "continuous", "anomaly_probability": p, "enemy_shoots": false
            });
            let env = make(
                &gpu,
                "smax/3m",
                options,
                &batch(1, Driver::External, layout),
            );
            env.set_state(&gpu, &s).unwrap();
            let after = step(&gpu, &env, &told);
            assert_eq!(
                (after.last_action[0], after.health[3]),
                (action, health),
                "{layout:?} {p}"
            );
        }
    }
}
