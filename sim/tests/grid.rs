//! Grid worlds: recordings, the views and dynamics that are written down in the reference's specification, the generators against
//! statistics of the reference, and the expert.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::Gpu;
use merit_sim::grid::cell::{Cell, OBJECTS};
use merit_sim::grid::mission::{Clause, Description, Kind, Mission, Order};
use merit_sim::grid::{Grid, World, configure, text};
use merit_sim::parity::check_file_with;
use merit_sim::registry::{self, Batch, Driver, Layout};

use common::{gpu, options, recordings};

fn batch(envs: usize, driver: Driver) -> Batch {
    Batch {
        seeds: vec![5],
        ..common::batch(envs, driver)
    }
}

fn make(gpu: &Gpu, name: &str, with: serde_json::Value, batch: &Batch) -> Grid {
    let config = configure(name, &options(with)).expect("a valid configuration");
    Grid::new(gpu, config, batch).expect("a batch")
}

fn steps(gpu: &Gpu, env: &Grid, reset: bool, steps: usize) {
    gpu.compute(|pass| {
        if reset {
            env.record_reset(pass);
        }
        for _ in 0..steps {
            env.record_step(pass, 0);
        }
    });
}

/// One step of a batch of one; reward, terminated, truncated.
fn act(gpu: &Gpu, env: &Grid, action: u32) -> (f32, bool, bool) {
    gpu.write(&env.io().actions, &[action]);
    steps(gpu, env, false, 1);
    let one = |region| gpu.read::<f32>(region).unwrap()[0];
    let io = env.io();
    (
        one(&io.reward),
        one(&io.terminated) == 1.0,
        one(&io.truncated) == 1.0,
    )
}

const KEY: u8 = 5;
const BALL: u8 = 6;
const BOX: u8 = 7;
const DOOR: u8 = 4;
const RED: u8 = 0;
const GREEN: u8 = 1;
const BLUE: u8 = 2;
const PURPLE: u8 = 3;
const YELLOW: u8 = 4;
const GREY: u8 = 5;

/// A level with nothing but its walls and these things: object, colour, state, x, y.
fn level(
    width: usize,
    height: usize,
    things: &[(u8, u8, u8, usize, usize)],
    agent: (u8, u8, u8),
) -> World {
    let wall = |i: usize| {
        let (x, y) = (i % width, i / width);
        x.is_multiple_of(7) || y == 0 || y + 1 == height
    };
    let cells = (0..width * height).map(|i| if wall(i) { Cell::WALL } else { Cell::EMPTY });
    let mut cells: Vec<Cell> = cells.collect();
    for &(object, colour, state, x, y) in things {
        cells[y * width + x] = Cell::new(object, colour, state);
    }
    let (x, y, direction) = agent;
    World {
        cells,
        x,
        y,
        direction,
        ..World::default()
    }
}

fn goto(object: u8, colour: u8) -> Clause {
    Clause::new(Kind::GoTo, Description::new(object, colour))
}

fn pick_up(object: u8, colour: u8) -> Clause {
    Clause::new(Kind::PickUp, Description::new(object, colour))
}

// Recordings.

#[test]
fn recordings_in_the_repository_pass() {
    let gpu = gpu();
    let files = recordings("babyai");
    for path in &files {
        let report = check_file_with(&gpu, path, Layout::Auto, true).expect("readable");
        let failed: Vec<_> = report.arrays.iter().filter(|a| !a.pass).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", report.file);
    }
    assert!(files.len() >= 5, "{} recordings", files.len());
}

/// The comparison is no formality: a recording that is wrong in one entry fails in that array.
#[test]
fn a_recording_with_one_wrong_entry_fails() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/babyai/PickupLoc.safetensors");
    let bytes = std::fs::read(path).expect("a recording");
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    let gpu = gpu();
    for (array, at, found_in) in [
        ("image", 500, "image"),
        ("reward", 15, "reward"),
        ("grid", 900, "grid"),
    ] {
        let mut bytes = bytes.clone();
        bytes[8 + header + metadata.info(array).expect("the array").data_offsets.0 + at] ^= 1;
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        let report = check_file_with(&gpu, file.path(), Layout::Auto, false).expect("readable");
        let failed: Vec<&str> = report
            .arrays
            .iter()
            .filter(|a| !a.pass)
            .map(|a| a.name.as_str())
            .collect();
        assert!(failed.contains(&found_in), "{array}: {failed:?}");
    }
}

// Views and their words.

/// The picture of a view: rows from far to near; `???` unseen, `...` empty, else type, colour, state.
fn picture(image: &text::Image) -> Vec<String> {
    let mark = |[object, colour, state]: [u8; 3]| match object {
        0 => "???".to_owned(),
        1 => "...".to_owned(),
        _ => {
            let letter = match OBJECTS[usize::from(object)] {
                "wall" => 'W',
                "door" => 'D',
                "key" => 'K',
                "ball" => 'A',
                "box" => 'B',
                other => panic!("{other} in a view"),
            };
            let colour = ['R', 'G', 'B', 'P', 'Y', 'E'][usize::from(colour)];
            let state = if object == DOOR {
                ['o', 'c', 'l'][usize::from(state)]
            } else {
                '-'
            };
            format!("{letter}{colour}{state}")
        }
    };
    (0..7)
        .map(|y| {
            (0..7)
                .map(|x| mark(image[x][y]))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn golden_views_and_their_words() {
    let gpu = gpu();
    let open_level = |things: &[(u8, u8, u8, usize, usize)], agent, hand: Option<(u8, u8)>| World {
        hand: hand.map(|(object, colour)| Cell::new(object, colour, 0)),
        ..level(15, 8, things, agent)
    };
    let yellow_key = Some((KEY, YELLOW));
    let c = [
        (DOOR, YELLOW, 0, 7, 3),
        (BALL, BLUE, 0, 11, 3),
        (BOX, GREY, 0, 10, 5),
    ];
    let d = [
        (DOOR, YELLOW, 0, 7, 3),
        (BALL, BLUE, 0, 11, 3),
        (KEY, RED, 0, 3, 5),
    ];
    let cases = [
        (
            "babyai/goto",
            level(
                8,
                8,
                &[
                    (BALL, RED, 0, 2, 2),
                    (KEY, GREEN, 0, 5, 3),
                    (BOX, PURPLE, 0, 3, 6),
                ],
                (3, 4, 3),
            ),
            "??? ??? ??? ??? ??? ??? ???
??? ??? ??? ??? ??? ??? ???
WE- WE- WE- WE- WE- WE- WE-
WE- ... ... ... ... ... ...
WE- ... AR- ... ... ... ...
WE- ... ... ... ... KG- ...
WE- ... ... ... ... ... ...",
            "a wall 4 steps forward
a wall 3 steps left
a red ball 1 step left and 2 steps forward
a green key 2 steps right and 1 step forward",
        ),
        (
            "babyai/open",
            open_level(
                &[(DOOR, YELLOW, 2, 7, 3), (KEY, YELLOW, 0, 3, 5)],
                (5, 3, 0),
                None,
            ),
            "??? ??? ??? ??? ??? ??? ???
??? ??? ??? ??? ??? ??? ???
??? ??? ??? ??? ??? ??? ???
??? ??? ??? ??? ??? ??? ???
WE- WE- WE- DYl WE- WE- WE-
WE- ... ... ... ... ... ...
WE- ... ... ... ... ... ...",
            "a wall 3 steps left
a locked yellow door 2 steps forward",
        ),
        (
            "babyai/open",
            open_level(&c, (5, 3, 0), yellow_key),
            "WE- ... ... AB- ... ... ...
WE- ... ... ... ... BE- ...
WE- ... ... ... ... ... ...
WE- ... ... ... ... ... ...
WE- WE- WE- DYo WE- WE- WE-
WE- ... ... ... ... ... ...
WE- ... ... KY- ... ... ...",
            "You carry a yellow key
a wall 3 steps left
a blue ball 6 steps forward
a open yellow door 2 steps forward
a grey box 2 steps right and 5 steps forward",
        ),
        (
            "babyai/open",
            open_level(&d, (7, 3, 0), yellow_key),
            "WE- ... ... ... ... ... ...
WE- ... ... ... ... ... ...
WE- ... ... AB- ... ... ...
WE- ... ... ... ... ... ...
WE- ... ... ... ... ... ...
WE- ... ... ... ... ... ...
??? ??? WE- KY- WE- ??? ???",
            "You carry a yellow key
a wall 1 step left
a wall 1 step right
a blue ball 4 steps forward",
        ),
        (
            "babyai/open",
            open_level(&d, (7, 3, 2), None),
            "... ... ... ... ... ... WE-
... ... ... ... ... ... WE-
... KR- ... ... ... ... WE-
... ... ... ... ... ... WE-
... ... ... ... ... ... WE-
... ... ... ... ... ... WE-
??? ??? WE- ... WE- ??? ???",
            "a wall 1 step left
a wall 1 step right
a red key 2 steps left and 4 steps forward",
        ),
        (
            "babyai/open",
            open_level(
                &[
                    (DOOR, BLUE, 1, 7, 3),
                    (BALL, GREY, 0, 6, 2),
                    (KEY, RED, 0, 5, 6),
                    (BOX, GREEN, 0, 2, 3),
                ],
                (6, 4, 3),
                None,
            ),
            "??? ??? ??? ??? ??? ??? ???
??? ??? ??? ??? ??? ??? ???
WE- WE- WE- WE- WE- ??? ???
... ... ... ... WE- ??? ???
... ... ... AE- WE- ??? ???
... ... ... ... DBc ??? ???
... ... ... ... WE- ??? ???",
            "a wall 1 step right
a grey ball 2 steps forward
a closed blue door 1 step right and 1 step forward",
        ),
    ];
    for encoding in ["ids", "one_hot"] {
        let envs: HashMap<&str, Grid> = ["babyai/goto", "babyai/open"]
            .map(|name| {
                (
                    name,
                    make(
                        &gpu,
                        name,
                        serde_json::json!({ "encoding": encoding }),
                        &batch(1, Driver::External),
                    ),
                )
            })
            .into();
        for (i, (name, world, view, words)) in cases.iter().enumerate() {
            let env = &envs[name];
            let mut world = world.clone();
            world.mission = Mission::single(goto(KEY, BLUE));
            env.set_state(&gpu, &[world]).unwrap();
            gpu.compute(|pass| env.record_observe(pass));
            let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
            let image = env.image(&obs);
            assert_eq!(picture(&image).join("\n"), *view, "view {i}, {encoding}");
            assert_eq!(text::describe(&image), *words, "words {i}");
        }
    }
}

// Dynamics.

fn duel(gpu: &Gpu, name: &str, max_steps: u32, world: World) -> Grid {
    let kept = Batch {
        keep_ended: true,
        ..batch(1, Driver::External)
    };
    let env = make(
        gpu,
        name,
        serde_json::json!({ "max_steps": max_steps }),
        &kept,
    );
    env.set_state(gpu, &[world]).unwrap();
    env
}

/// Of two equal keys: the goto clause remembers the one that was just picked up, in the same step.
#[test]
fn the_second_clause_is_tested_in_the_step_of_the_first() {
    let gpu = gpu();
    let mut world = level(
        8,
        8,
        &[(KEY, BLUE, 0, 3, 3), (KEY, BLUE, 0, 5, 5)],
        (2, 3, 0),
    );
    world.mission = Mission::sequence(Order::Before, pick_up(KEY, BLUE), goto(KEY, BLUE));
    let env = duel(&gpu, "babyai/pick_up_seq_go_to", 128, world);
    assert_eq!(act(&gpu, &env, 3), (0.992_968_75, true, false));
}

#[test]
fn goto_remembers_a_box_that_is_gone_until_the_next_drop() {
    let gpu = gpu();
    for (actions, success) in [(&[5, 1, 2, 3][..], true), (&[5, 4, 1, 2, 3], false)] {
        let mut world = level(
            8,
            8,
            &[(BOX, RED, 0, 3, 3), (KEY, BLUE, 0, 2, 5)],
            (2, 3, 0),
        );
        world.mission = Mission::sequence(Order::Before, pick_up(KEY, BLUE), goto(BOX, RED));
        let env = duel(&gpu, "babyai/pick_up_seq_go_to", 128, world);
        for &action in actions {
            assert_eq!(act(&gpu, &env, action), (0.0, false, false));
        }
        let mut after = env.get_state(&gpu).unwrap();
        assert!(after[0].cells[3 * 8 + 3].is_empty(), "the box is gone");
        assert_eq!(after[0].hand.map(Cell::triple), Some([KEY, BLUE, 0]));
        (after[0].x, after[0].y, after[0].direction) = (2, 3, 3);
        env.set_state(&gpu, &after).unwrap();
        let (reward, over, _) = act(&gpu, &env, 1);
        assert_eq!((reward > 0.0, over), (success, success), "{actions:?}");
    }
}

/// Success on the last step pays; terminated and truncated are never both set, here and in every environment.
#[test]
fn success_on_the_last_step_pays_a_tenth() {
    let gpu = gpu();
    let mut world = level(8, 8, &[(KEY, BLUE, 0, 3, 3)], (1, 3, 0));
    world.mission = Mission::single(goto(KEY, BLUE));
    let env = duel(&gpu, "babyai/goto", 3, world);
    assert_eq!(act(&gpu, &env, 1), (0.0, false, false));
    assert_eq!(act(&gpu, &env, 0), (0.0, false, false));
    assert_eq!(act(&gpu, &env, 2), (0.1, true, false));
}

#[test]
fn doors_keys_and_drops() {
    let gpu = gpu();
    let things = [
        (DOOR, YELLOW, 2, 7, 3),
        (KEY, YELLOW, 0, 5, 3),
        (KEY, RED, 0, 5, 5),
    ];
    let mut world = level(15, 8, &things, (4, 3, 0));
    world.mission = Mission::single(Clause::new(Kind::Open, Description::new(DOOR, YELLOW)));
    let env = duel(&gpu, "babyai/open", 100, world);
    let cell = |x: usize| env.get_state(&gpu).unwrap()[0].cells[3 * 15 + x].triple();
    for (action, x, then) in [
        (3, 5, [1, 0, 0]), // the key is taken
        (2, 5, [1, 0, 0]),
        (4, 6, [KEY, YELLOW, 0]), // put down in front of the door
        (3, 6, [1, 0, 0]),
        (2, 7, [DOOR, YELLOW, 2]),
        (3, 7, [DOOR, YELLOW, 2]), // a door is not carried off
        (4, 7, [DOOR, YELLOW, 2]), // nor is anything put into it
    ] {
        assert_eq!(act(&gpu, &env, action), (0.0, false, false));
        assert_eq!(cell(x), then, "after action {action}");
    }
    let (reward, over, _) = act(&gpu, &env, 5);
    assert!(
        over && (reward - (1.0 - 0.9 * 8.0 / 100.0)).abs() < 1e-6,
        "{reward}"
    );
    assert_eq!(cell(7), [DOOR, YELLOW, 0], "unlocked and open");
    let after = &env.get_state(&gpu).unwrap()[0];
    assert_eq!(
        after.hand.map(Cell::triple),
        Some([KEY, YELLOW, 0]),
        "the key stays in the hand"
    );
    // A key of another colour opens nothing.
    let mut world = level(15, 8, &things, (6, 3, 0));
    world.hand = Some(Cell::new(KEY, RED, 0));
    world.mission = Mission::single(Clause::new(Kind::Open, Description::new(DOOR, YELLOW)));
    env.set_state(&gpu, &[world]).unwrap();
    assert_eq!(act(&gpu, &env, 5), (0.0, false, false));
    assert_eq!(cell(7), [DOOR, YELLOW, 2]);
}

#[test]
fn put_next_needs_the_right_thing_put_down_beside_the_other() {
    let gpu = gpu();
    let mut world = level(8, 8, &[(BALL, RED, 0, 3, 2)], (2, 3, 0));
    world.hand = Some(Cell::new(KEY, BLUE, 0));
    let clause = Clause {
        second: Description::new(BALL, RED),
        ..Clause::new(Kind::PutNext, Description::new(KEY, BLUE))
    };
    let mut mission = Mission::single(clause);
    // The clause has been tested before, so that it knows what was carried.
    mission.tested = 1;
    world.mission = mission;
    let env = duel(&gpu, "babyai/putnext", 32, world.clone());
    assert_eq!(
        env.config().words(&world),
        "put the blue key next to the red ball"
    );
    assert!(act(&gpu, &env, 4).1);
    // Diagonal neighbours are none.
    world.y = 4;
    env.set_state(&gpu, &[world.clone()]).unwrap();
    assert!(!act(&gpu, &env, 4).1);
    // In its first test a clause takes the hand to have been empty.
    (world.y, world.mission.tested) = (3, 0);
    env.set_state(&gpu, &[world]).unwrap();
    assert!(!act(&gpu, &env, 4).1);
}

#[test]
fn the_goal_pays_and_lava_does_not() {
    let gpu = gpu();
    for (thing, reward) in [(8, 1.0 - 0.9 / 324.0), (9, 0.0)] {
        let kept = Batch {
            keep_ended: true,
            ..batch(1, Driver::External)
        };
        let env = make(
            &gpu,
            "minigrid/LavaCrossingS9N1",
            serde_json::json!({}),
            &kept,
        );
        steps(&gpu, &env, true, 0);
        let mut world = env.get_state(&gpu).unwrap().remove(0);
        (world.x, world.y, world.direction) = (1, 1, 0);
        world.cells[9 + 2] = Cell::new(thing, 0, 0);
        env.set_state(&gpu, &[world]).unwrap();
        let (paid, over, _) = act(&gpu, &env, 2);
        assert!(over && (paid - reward).abs() < 1e-6, "{paid}");
    }
}

/// Into a ball or a wall: -1. A ball that left the front cell in this step still strikes, one that came only blocks.
#[test]
fn walking_into_balls_costs() {
    let gpu = gpu();
    let many = Batch {
        keep_ended: true,
        ..batch(64, Driver::External)
    };
    let env = make(
        &gpu,
        "minigrid/Dynamic-Obstacles-8x8",
        serde_json::json!({}),
        &many,
    );
    steps(&gpu, &env, true, 0);
    let before = env.get_state(&gpu).unwrap();
    gpu.write(&env.io().actions, &[2u32; 64]);
    steps(&gpu, &env, false, 1);
    let after = env.get_state(&gpu).unwrap();
    let reward: Vec<f32> = gpu.read(&env.io().reward).unwrap();
    let mut struck = 0;
    for (i, (a, b)) in before.iter().zip(&after).enumerate() {
        assert_eq!(a.balls.len(), 4);
        assert_ne!(a.balls, b.balls, "balls move");
        for (from, to) in a.balls.iter().zip(&b.balls) {
            assert!(from[0].abs_diff(to[0]) <= 1 && from[1].abs_diff(to[1]) <= 1);
            let at = usize::from(to[1]) * 8 + usize::from(to[0]);
            assert_eq!(b.cells[at].triple(), [BALL, BLUE, 0]);
        }
        let ball_ahead = a.balls.contains(&[2, 1]);
        struck += usize::from(ball_ahead);
        assert_eq!(reward[i], if ball_ahead { -1.0 } else { 0.0 });
        let came = b.balls.contains(&[2, 1]);
        assert_eq!(b.x == 2, !came, "moved unless a ball is there");
    }
    assert!(struck > 0, "some ball lay ahead");
    // A wall.
    let mut worlds = before;
    for world in &mut worlds {
        world.direction = 3;
    }
    env.set_state(&gpu, &worlds).unwrap();
    steps(&gpu, &env, false, 1);
    assert!(
        gpu.read::<f32>(&env.io().reward)
            .unwrap()
            .iter()
            .all(|&r| r == -1.0)
    );
}

// Contracts.

#[test]
fn an_environment_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    for name in ["babyai/pick_up_seq_go_to", "minigrid/Dynamic-Obstacles-6x6"] {
        let play = |envs: usize, workgroup: Option<usize>| {
            let b = Batch {
                workgroup,
                ..batch(envs, Driver::Random)
            };
            let env = make(&gpu, name, serde_json::json!({}), &b);
            steps(&gpu, &env, true, 150);
            env.get_state(&gpu).unwrap()
        };
        let alone = play(1, None);
        let among = play(600, Some(64));
        assert!(among[0].episode > 0, "an episode ended");
        assert_eq!(alone[0], among[0]);
        assert_eq!(play(600, Some(8)), among);
        assert_ne!(among[0].cells, among[1].cells, "environments differ");
    }
}

/// A workgroup that begins the episodes of many environments gives each a level, the last one too.
#[test]
fn every_environment_of_a_large_level_gets_its_level() {
    let gpu = gpu();
    let reset = |envs: usize, workgroup: Option<usize>| {
        let b = Batch {
            workgroup,
            checked: false,
            ..batch(envs, Driver::External)
        };
        let env = make(&gpu, "babyai/GoTo", serde_json::json!({}), &b);
        steps(&gpu, &env, true, 0);
        env.get_state(&gpu).unwrap()
    };
    let worlds = reset(520, None);
    for (g, world) in worlds.iter().enumerate() {
        let things = world
            .cells
            .iter()
            .filter(|c| (5..8).contains(&c.triple()[0]));
        assert_eq!((things.count(), world.mission.navigations), (18, 1), "{g}");
    }
    assert_eq!(reset(520, Some(64)), worlds);
    assert_eq!(reset(3, Some(1)), worlds[..3]);
}

#[test]
fn a_restored_snapshot_goes_on_as_if_nothing_had_happened() {
    let gpu = gpu();
    let new = || {
        make(
            &gpu,
            "babyai/open",
            serde_json::json!({}),
            &batch(20, Driver::Heuristic),
        )
    };
    let env = new();
    steps(&gpu, &env, true, 25);
    let kept = env.snapshot(&gpu).unwrap();
    steps(&gpu, &env, false, 25);
    let through = env.snapshot(&gpu).unwrap();
    let other = new();
    other.restore(&gpu, &kept).unwrap();
    steps(&gpu, &other, false, 25);
    assert!(other.snapshot(&gpu).unwrap() == through);
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    for name in [
        "babyai/PickupLoc",
        "babyai/BossLevel",
        "minigrid/Dynamic-Obstacles-5x5",
    ] {
        let env = make(
            &gpu,
            name,
            serde_json::json!({}),
            &batch(16, Driver::Random),
        );
        steps(&gpu, &env, true, 20);
        let state = env.get_state(&gpu).unwrap();
        steps(&gpu, &env, false, 20);
        assert_ne!(env.get_state(&gpu).unwrap(), state);
        env.set_state(&gpu, &state).unwrap();
        assert_eq!(env.get_state(&gpu).unwrap(), state, "{name}");
        let mut outside = state.clone();
        outside[3].x = 0;
        let error = env.set_state(&gpu, &outside).unwrap_err().to_string();
        assert!(error.contains("within the outermost walls"), "{error}");
        assert!(env.set_state(&gpu, &state[1..]).is_err());
    }
}

/// What ends is shown in `final_obs`, what begins in `obs`; the mask allows everything; the critic may see the whole level.
#[test]
fn the_end_of_an_episode_is_kept_and_the_next_one_shown() {
    let gpu = gpu();
    let with = serde_json::json!({ "critic_state": "grid" });
    let env = make(&gpu, "babyai/goto", with, &batch(32, Driver::External));
    steps(&gpu, &env, true, 0);
    gpu.write(&env.io().actions, &[0u32; 32]);
    steps(&gpu, &env, false, 15);
    let before = env.get_state(&gpu).unwrap();
    assert!(
        before.iter().any(|w| w.step == 15),
        "turning alone seldom finds the goal"
    );
    steps(&gpu, &env, false, 1);
    let after = env.get_state(&gpu).unwrap();
    let (d, s) = (env.spec().obs, env.spec().state);
    assert_eq!(s, 3 * 64 + 3 + 7);
    let (obs, last): (Vec<f32>, Vec<f32>) = (
        gpu.read(&env.io().obs).unwrap(),
        gpu.read(&env.io().final_obs).unwrap(),
    );
    let (seen, end): (Vec<f32>, Vec<f32>) = (
        gpu.read(&env.io().state).unwrap(),
        gpu.read(&env.io().final_state).unwrap(),
    );
    for (g, (a, b)) in before
        .iter()
        .zip(&after)
        .enumerate()
        .filter(|(_, (a, _))| a.step == 15)
    {
        assert_eq!((b.step, b.episode), (0, a.episode + 1));
        let turned = (a.direction + 3) % 4;
        assert_eq!(
            last[g * d + 147],
            f32::from(turned),
            "the direction at the end"
        );
        assert_eq!(obs[g * d + 147], f32::from(b.direction));
        for (world, state, direction) in [(a, &end, turned), (b, &seen, b.direction)] {
            let at = |x: usize, y: usize| {
                let k = g * s + (x * 8 + y) * 3;
                [state[k], state[k + 1], state[k + 2]].map(|v| v as u8)
            };
            let (x, y) = (usize::from(world.x), usize::from(world.y));
            assert_eq!(at(x, y), [10, 0, direction]);
            for (i, cell) in world
                .cells
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != y * 8 + x)
            {
                assert_eq!(at(i % 8, i / 8), cell.triple());
            }
        }
    }
    assert!(
        gpu.read::<f32>(&env.io().avail)
            .unwrap()
            .iter()
            .all(|&a| a == 1.0)
    );
}

#[test]
fn bad_options_are_refused_with_one_message() {
    let message = |name: &str, with: serde_json::Value| {
        registry::spec(name, &options(with))
            .unwrap_err()
            .to_string()
    };
    let unknown = message("babyai/gotto", serde_json::json!({}));
    assert!(unknown.contains("did you mean `babyai/goto`"), "{unknown}");
    let m = message("babyai/GoToLocal", serde_json::json!({ "num_dists": 3 }));
    assert!(m.contains("num_dists") && m.contains("named level"), "{m}");
    let m = message("babyai/goto", serde_json::json!({ "num_dists": 21 }));
    assert!(m.contains("0 to 20"), "{m}");
    let m = message("babyai/goto", serde_json::json!({ "max_steps": 0 }));
    assert!(m.contains("1 to 65535"), "{m}");
    let asked = serde_json::json!({ "max_steps": 101, "reward_horizon": 90 });
    let m = message("babyai/goto", asked);
    assert!(
        m.contains("reward_horizon") && m.contains("91 or more"),
        "{m}"
    );
    let asked = serde_json::json!({ "max_steps": 101, "reward_horizon": 91 });
    registry::spec("babyai/goto", &options(asked)).unwrap();
    let m = message("minigrid/FourRooms", serde_json::json!({ "size": 3 }));
    assert!(m.contains("unknown field `size`"), "{m}");
}

#[test]
fn a_frame_shows_the_level() {
    let gpu = gpu();
    let env = make(
        &gpu,
        "babyai/open",
        serde_json::json!({}),
        &batch(2, Driver::Random),
    );
    steps(&gpu, &env, true, 0);
    let frame = env.frame(&gpu, 1).unwrap();
    assert_eq!(frame.size, [15.0, 9.0]);
    let rows: Vec<&str> = frame.text.lines().collect();
    assert!(
        rows[..8].iter().all(|r| r.chars().count() == 15),
        "{}",
        frame.text
    );
    assert!(rows[8].starts_with("open the "), "{}", frame.text);
    assert_eq!(
        frame.text.matches(['>', 'v', '<', '^']).count(),
        1 + rows[8].matches('v').count() + rows[9].matches('v').count()
    );
    assert!(
        rows[..8].concat().contains('L') && rows[..8].concat().contains('k'),
        "{}",
        frame.text
    );
}

// Generation, against what was measured on the reference (1,500 layouts and 6,000 random episodes a task).

const LAYOUTS: usize = 4096;

/// Pearson's statistic of `counts` against equal shares, and a bound that chance exceeds once in 100,000 times (Wilson and
/// Hilferty's approximation).
fn chi_square(counts: &[usize]) -> (f64, f64) {
    let n = counts.iter().sum::<usize>() as f64;
    let expected = n / counts.len() as f64;
    let statistic = counts
        .iter()
        .map(|&c| (c as f64 - expected).powi(2) / expected)
        .sum();
    let k = counts.len() as f64 - 1.0;
    let bound = k * (1.0 - 2.0 / (9.0 * k) + 4.265 * (2.0 / (9.0 * k)).sqrt()).powi(3);
    (statistic, bound)
}

fn uniform(what: &str, counts: &[usize]) {
    let (statistic, bound) = chi_square(counts);
    assert!(
        statistic < bound,
        "{what}: {statistic} above {bound}, {counts:?}"
    );
}

fn layouts(gpu: &Gpu, name: &str) -> (Vec<World>, Vec<String>) {
    let unchecked = Batch {
        checked: false,
        ..batch(LAYOUTS, Driver::External)
    };
    let env = make(gpu, name, serde_json::json!({}), &unchecked);
    steps(gpu, &env, true, 0);
    let worlds = env.get_state(gpu).unwrap();
    assert!(worlds.iter().all(|w| !w.gave_up));
    let words = worlds.iter().map(|w| env.config().words(w)).collect();
    (worlds, words)
}

/// Shortest ways, and what is seen at the start, against 1,500 layouts of the reference; and the expert's cost is what its way takes,
/// so that both are shortest ways.
#[test]
fn generators_agree_with_the_references_statistics() {
    const COUNT: usize = 1500;
    let gpu = gpu();
    // Shortest way: mean, median, 95th percentile, longest; share of first views with a key, ball or box in them.
    for (task, mean, median, p95, longest, seen) in [
        ("goto", 4.71, 5, 8, 11, 0.42),
        ("pickup", 5.75, 6, 9, 12, 0.47),
        ("pick_up_seq_go_to", 9.64, 10, 15, 19, 0.63),
        ("open", 12.78, 13, 18, 24, 0.42),
        ("putnext", 10.17, 10, 15, 19, 0.64),
    ] {
        let name = format!("babyai/{task}");
        let kept = Batch {
            keep_ended: true,
            checked: false,
            ..batch(COUNT, Driver::Heuristic)
        };
        let env = make(&gpu, &name, serde_json::json!({}), &kept);
        gpu.compute(|pass| {
            env.record_reset(pass);
            env.record_expert(pass);
        });
        let advice = env.advice(&gpu).unwrap();
        let costs: Vec<u32> = advice.iter().map(|a| a.cost.expect("a way")).collect();
        let obs: Vec<f32> = gpu.read(&env.io().obs).unwrap();
        let sees = |o: &&[f32]| o[..147].chunks(3).any(|cell| (5.0..8.0).contains(&cell[0]));
        let visible = obs.chunks(env.spec().obs).filter(sees).count();

        let mut ended = vec![None; COUNT];
        for t in 1..=env.spec().max_steps as u32 {
            steps(&gpu, &env, false, 1);
            let over: Vec<f32> = gpu.read(&env.io().terminated).unwrap();
            for (end, over) in ended.iter_mut().zip(over) {
                if end.is_none() && over == 1.0 {
                    *end = Some(t);
                }
            }
        }
        let taken: Vec<u32> = ended.into_iter().map(|e| e.expect("solved")).collect();
        assert_eq!(taken, costs, "{task}");

        let mut sorted = costs;
        sorted.sort_unstable();
        let n = COUNT as f64;
        let ours = sorted.iter().map(|&c| f64::from(c)).sum::<f64>() / n;
        let variance = sorted
            .iter()
            .map(|&c| (f64::from(c) - ours).powi(2))
            .sum::<f64>()
            / n;
        // Four standard deviations of the difference of two such means.
        let bound = 4.0 * (2.0 * variance / n).sqrt();
        assert!(
            (ours - mean).abs() < bound,
            "{task}: mean {ours}, there {mean}, bound {bound}"
        );
        for (what, ours, there, bound) in [
            ("median", sorted[COUNT / 2], median, 1),
            ("95 %", sorted[COUNT * 95 / 100], p95, 1),
            ("longest", sorted[COUNT - 1], longest, 4),
        ] {
            assert!(
                ours.abs_diff(there) <= bound,
                "{task}: {what} {ours}, there {there}"
            );
        }
        let ours = visible as f64 / n;
        let bound = 4.0 * (2.0 * seen * (1.0 - seen) / n).sqrt();
        assert!(
            (ours - seen).abs() < bound,
            "{task}: {ours} see a thing, there {seen}"
        );
    }
}

#[test]
fn levels_of_the_balrog_tasks_are_uniform_where_they_should_be() {
    let gpu = gpu();
    let excluded = [
        "yellow box",
        "red key",
        "red door",
        "green ball",
        "grey door",
    ];
    let tally = |words: &[String]| -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for w in words {
            assert!(!excluded.iter().any(|e| w.contains(e)), "{w}");
            *counts.entry(w.clone()).or_default() += 1;
        }
        counts
    };
    let counts = |m: &BTreeMap<String, usize>| m.values().copied().collect::<Vec<_>>();
    for task in ["goto", "pickup"] {
        let (worlds, words) = layouts(&gpu, &format!("babyai/{task}"));
        let missions = tally(&words);
        assert_eq!(missions.len(), 15);
        uniform("missions", &counts(&missions));
        let (mut cells, mut directions) = ([0; 36], [0; 4]);
        for w in &worlds {
            cells[usize::from(w.x - 1) + 6 * usize::from(w.y - 1)] += 1;
            directions[usize::from(w.direction)] += 1;
            let thing = (0..64)
                .find(|&i| (5..8).contains(&w.cells[i].triple()[0]))
                .expect("a thing");
            let distance = (thing % 8).abs_diff(w.x.into()) + (thing / 8).abs_diff(w.y.into());
            assert!(distance >= 2);
        }
        uniform("agent cells", &cells);
        uniform("directions", &directions);
    }
    let (worlds, words) = layouts(&gpu, "babyai/pick_up_seq_go_to");
    // 15 by 15 descriptions, either order; equal ones name two alike with `a`.
    let missions = tally(&words);
    assert_eq!(missions.len(), 450);
    uniform("missions", &counts(&missions));
    let after = words.iter().filter(|w| w.contains(" after you ")).count();
    uniform("forms", &[after, LAYOUTS - after]);
    assert!(
        words
            .iter()
            .all(|w| w.contains("a ") || w.matches("the ").count() == 2)
    );
    assert!(worlds.iter().all(|w| w.mission.navigations == 2));

    let (worlds, words) = layouts(&gpu, "babyai/putnext");
    assert_eq!(tally(&words).len(), 210, "two different descriptions of 15");
    for w in &worlds {
        let things: Vec<usize> = (0..64)
            .filter(|&i| (5..8).contains(&w.cells[i].triple()[0]))
            .collect();
        assert_eq!(things.len(), 2);
        assert!(
            (things[0] % 8).abs_diff(things[1] % 8) + (things[0] / 8).abs_diff(things[1] / 8) > 1
        );
    }

    let (worlds, words) = layouts(&gpu, "babyai/open");
    let missions = tally(&words);
    assert_eq!(missions.len(), 5);
    let unnamed = missions["open the door"];
    uniform("the colour is named or not", &[unnamed, LAYOUTS - unnamed]);
    let (mut rows, mut colours, mut left) = ([0; 6], [0; 4], 0);
    for w in &worlds {
        let at = (0..6)
            .find(|y| w.cells[(y + 1) * 15 + 7].triple()[0] == DOOR)
            .expect("a door");
        rows[at] += 1;
        let [_, colour, state] = w.cells[(at + 1) * 15 + 7].triple();
        assert_eq!(state, 2);
        colours[usize::from(colour) - 1] += 1;
        let key = w
            .cells
            .iter()
            .position(|c| c.triple() == [KEY, colour, 0])
            .expect("its key");
        assert_eq!(key % 15 < 7, w.x < 7, "the key is on the agent's side");
        left += usize::from(key % 15 < 7);
        assert!(key % 15 < 7 || (key % 15).abs_diff(11) + (key / 15).abs_diff(4) >= 2);
    }
    uniform("door rows", &rows);
    uniform("door colours", &colours);
    uniform("key rooms", &[left, LAYOUTS - left]);
}

#[test]
fn random_play_succeeds_as_often_as_in_the_reference() {
    let gpu = gpu();
    for (task, share) in [
        ("goto", 0.085),
        ("pickup", 0.0275),
        ("pick_up_seq_go_to", 0.009),
        ("open", 0.0003),
        ("putnext", 0.0017),
    ] {
        let quota = Batch {
            episode_quota: 3,
            checked: false,
            ..batch(LAYOUTS, Driver::Random)
        };
        let env = make(
            &gpu,
            &format!("babyai/{task}"),
            serde_json::json!({}),
            &quota,
        );
        steps(&gpu, &env, true, 3 * env.spec().max_steps);
        gpu.compute(|pass| env.record_stats(pass));
        let totals: Vec<f32> = gpu.read(env.stats_region()).unwrap();
        let stats = EpisodeStats::from_words(&totals);
        assert_eq!(stats.episodes, 3.0 * LAYOUTS as f64);
        // 6,000 episodes there: four standard deviations are 1.4 points at 8.5 %.
        // Of the rarest there were 2 and 10: what is below is tested by there being any.
        let bound = 4.0 * (share * (1.0 - share) * (1.0 / 6000.0 + 1.0 / stats.episodes)).sqrt();
        assert!(
            stats.win_rate() > 0.0 && (stats.win_rate() - share).abs() < bound,
            "{task}: {} of {share}",
            stats.win_rate()
        );
    }
}

#[test]
fn distractors_are_drawn_on_request() {
    let gpu = gpu();
    let env = make(
        &gpu,
        "babyai/pick_up_seq_go_to",
        serde_json::json!({ "num_dists": 8 }),
        &batch(64, Driver::Random),
    );
    steps(&gpu, &env, true, 0);
    for world in env.get_state(&gpu).unwrap() {
        assert!(!world.gave_up);
        let things = world
            .cells
            .iter()
            .filter(|c| (5..8).contains(&c.triple()[0]));
        assert_eq!(things.count(), 10);
    }
}

// The expert.

/// Can nobody fulfil the mission of a level as it begins? Of the missions there are only two kinds, both of strict clauses: the door that
/// the first of two clauses opens is the wrong one for the second, which is tested in the same step; and where picking up anything
/// else fails, only boxes can be cleared away, by breaking them, so that what they and free cells lead to is all that can be reached.
fn is_impossible(name: &str, width: usize, world: &World) -> bool {
    let Some(first) = world.mission.clauses.first().copied().flatten() else {
        return false;
    };
    if !first.strict {
        return false;
    }
    match first.kind {
        Kind::Open => name.contains("OrderN") && world.mission.order != Order::Single,
        Kind::PickUp => {
            let meant = |cell: Cell| {
                let [object, colour, _] = cell.triple();
                (5..8).contains(&object)
                    && first.first.object.is_none_or(|o| o == object)
                    && first.first.colour.is_none_or(|c| c == colour)
            };
            let mut seen = vec![false; world.cells.len()];
            let mut open = vec![usize::from(world.y) * width + usize::from(world.x)];
            while let Some(i) = open.pop() {
                for n in [i - 1, i + 1, i - width, i + width] {
                    let cell = world.cells[n];
                    if meant(cell) {
                        return false;
                    }
                    if !seen[n] && (cell.is_empty() || cell.triple()[0] == BOX) {
                        seen[n] = true;
                        open.push(n);
                    }
                }
            }
            true
        }
        _ => false,
    }
}

/// Plays the first episodes of `count` environments of each level: the expert loses those that nobody can win, and no other. Returns what
/// is different, with the levels as they begin.
fn wrongly_lost(levels: impl IntoIterator<Item = String>, count: usize, seed: u64) -> Vec<String> {
    let gpu = gpu();
    let mut wrong = Vec::new();
    for name in levels {
        let begun = std::time::Instant::now();
        let quota = Batch {
            seeds: vec![seed],
            episode_quota: 1,
            checked: false,
            ..batch(count, Driver::Heuristic)
        };
        let env = make(&gpu, &name, serde_json::json!({}), &quota);
        steps(&gpu, &env, true, 0);
        let worlds = env.get_state(&gpu).unwrap();
        assert!(worlds.iter().all(|w| !w.gave_up), "{name}: no valid level");
        let mut played = 0;
        let sums = loop {
            steps(&gpu, &env, false, 16);
            played += 16;
            let sums: Vec<f32> = gpu.read(env.env_sums()).unwrap();
            if sums[..count].iter().sum::<f32>() as usize == count {
                break sums;
            }
            assert!(
                played <= env.spec().max_steps + 16,
                "{name}: an episode does not end"
            );
        };
        let width = env.config().width();
        let lost: Vec<usize> = (0..count).filter(|g| sums[5 * count + g] == 0.0).collect();
        let impossible: Vec<usize> = (0..count)
            .filter(|&g| is_impossible(&name, width, &worlds[g]))
            .collect();
        println!(
            "{name}: {} lost, {} impossible, of {count}; {:.1} steps each; {:.0} s",
            lost.len(),
            impossible.len(),
            sums[3 * count..4 * count].iter().sum::<f32>() / count as f32,
            begun.elapsed().as_secs_f64()
        );
        let differing: Vec<usize> = (0..count)
            .filter(|g| lost.contains(g) != impossible.contains(g))
            .collect();
        if differing.is_empty() {
            continue;
        }
        env.set_state(&gpu, &worlds).unwrap();
        for g in differing {
            let level = env.frame(&gpu, g).unwrap().text;
            wrong.push(format!(
                "{name}, environment {g} of seed {seed}: {}\n{level}",
                if lost.contains(&g) { "lost" } else { "won" }
            ));
        }
    }
    wrong
}

/// A level of every family: strict clauses, doors and keys, put next, mazes with things in the way, random instructions, lava.
#[test]
fn the_expert_solves_levels_of_every_kind() {
    let levels = [
        "babyai/PickupDistDebug",
        "babyai/BlockedUnlockPickup",
        "babyai/PutNextS5N2",
        "babyai/UnblockPickup",
        "babyai/MiniBossLevel",
        "minigrid/LavaCrossingS9N2",
    ];
    let wrong = wrongly_lost(levels.map(str::to_owned), 64, 5);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `MERIT_LEVELS` sets how many of each, `MERIT_SEED` their seed, `MERIT_LEVEL` (names, separated by commas) which.
#[test]
#[ignore = "compiles five shaders for each of 138 levels: half an hour and more"]
fn the_expert_solves_every_level() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |n| n.parse().expect("a whole number"))
    };
    let grids = |n: &String| n.starts_with("babyai/") || n.starts_with("minigrid/");
    let levels = match std::env::var("MERIT_LEVEL") {
        Ok(names) => names.split(',').map(str::to_owned).collect(),
        Err(_) => registry::names()
            .into_iter()
            .filter(grids)
            .collect::<Vec<_>>(),
    };
    let count = number("MERIT_LEVELS", 64) as usize;
    let wrong = wrongly_lost(levels, count, number("MERIT_SEED", 5));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
