//! Every level: its size, its generator in `shaders/grid/` and what its missions can be.

use super::cell::Cell;

/// The step limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Steps(u32),
    /// BabyAI's: room size squared times the rooms, for each of at most so many journeys that a mission takes.
    Navigations(u32),
}

/// Where the mission's words come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// The clauses.
    Clauses,
    /// The same words in every episode.
    Fixed(&'static str),
}

/// The shader file that has the generator, beside `generate.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Balrog,
    Rooms,
    MiniGrid,
}

#[derive(Clone, Debug)]
pub(super) struct Level {
    /// `family/name`.
    pub name: String,
    pub file: File,
    /// The generator's call.
    pub call: String,
    pub width: usize,
    pub height: usize,
    /// Rooms' size with walls, columns, rows; size 0 where the level is not made of rooms.
    pub rooms: (usize, usize, usize),
    /// Things may lie where a wall was.
    pub open_walls: bool,
    /// Clauses of a part of the mission, and parts.
    pub per_part: usize,
    pub parts: usize,
    /// Descriptions may have a place.
    pub places: bool,
    /// There may be clauses with a second description.
    pub two_descriptions: bool,
    /// There may be goto clauses, which remember where things were.
    pub tracked: bool,
    /// Keys of locked doors must not be part of a mission.
    pub keys_matter: bool,
    /// The object to be moved is in the hand at the start.
    pub carrying: bool,
    pub see_through: bool,
    /// Balls that move.
    pub balls: usize,
    pub limit: Limit,
    /// Actions 0 .. n are offered.
    pub actions: usize,
    pub words: Words,
    /// BALROG's tasks take `num_dists`.
    pub takes_distractors: bool,
    pub reference: &'static str,
}

const BALROG: &str = "BALROG's MiniGrid fork (cf73dd1), BabyAI-MixedTrainLocal-v0";
const BABYAI: &str = "minigrid 3.2.0, BabyAI";
const MINIGRID: &str = "minigrid 3.2.0";

impl Level {
    fn rooms(name: &str, call: impl Into<String>, size: usize, cols: usize, rows: usize) -> Self {
        Self {
            name: format!("babyai/{name}"),
            file: File::Rooms,
            call: call.into(),
            width: (size - 1) * cols + 1,
            height: (size - 1) * rows + 1,
            rooms: (size, cols, rows),
            open_walls: false,
            per_part: 1,
            parts: 1,
            places: false,
            two_descriptions: false,
            tracked: false,
            keys_matter: false,
            carrying: false,
            see_through: false,
            balls: 0,
            limit: Limit::Navigations(1),
            actions: 7,
            words: Words::Clauses,
            takes_distractors: false,
            reference: BABYAI,
        }
    }

    fn grid(name: &str, call: impl Into<String>, size: usize, steps: usize) -> Self {
        Self {
            name: format!("minigrid/{name}"),
            file: File::MiniGrid,
            width: size,
            height: size,
            rooms: (0, 1, 1),
            limit: Limit::Steps(steps as u32),
            words: Words::Fixed("get to the green goal square"),
            reference: MINIGRID,
            ..Self::rooms(name, call, size, 1, 1)
        }
    }

    fn goto(self) -> Self {
        Self {
            tracked: true,
            ..self
        }
    }

    fn put_next(self, most: u32) -> Self {
        Self {
            two_descriptions: true,
            limit: Limit::Navigations(most),
            ..self
        }
    }

    fn steps(self, steps: usize) -> Self {
        Self {
            limit: Limit::Steps(steps as u32),
            ..self
        }
    }

    fn sequence(self) -> Self {
        Self { parts: 2, ..self }
    }

    fn places(self) -> Self {
        Self {
            places: true,
            ..self
        }
    }

    fn open_walls(self) -> Self {
        Self {
            open_walls: true,
            ..self
        }
    }

    /// The same rooms under MiniGrid's name.
    fn minigrid(self, words: Words) -> Self {
        let short = self.name.trim_start_matches("babyai/").to_owned();
        Self {
            name: format!("minigrid/{short}"),
            words,
            reference: MINIGRID,
            ..self
        }
    }

    /// Clauses of the longest mission.
    pub fn clauses(&self) -> usize {
        self.per_part * self.parts
    }

    /// Room size squared times the rooms.
    pub fn navigation_steps(&self) -> u32 {
        let (size, cols, rows) = self.rooms;
        (size * size * cols * rows) as u32
    }

    /// The level before anything is placed.
    pub fn template(&self) -> Vec<Cell> {
        let (w, h) = (self.width, self.height);
        // MultiRoom's rooms lie in an empty world.
        let bare = self.call.starts_with("multi_room");
        let period = match self.rooms.0 {
            0 => usize::MAX,
            size => size - 1,
        };
        let wall = |x: usize, y: usize| {
            !bare
                && (x.is_multiple_of(period)
                    || y.is_multiple_of(period)
                    || x == w - 1
                    || y == h - 1)
        };
        let cell = |i: usize| {
            if wall(i % w, i / w) {
                Cell::WALL
            } else {
                Cell::EMPTY
            }
        };
        (0..w * h).map(cell).collect()
    }
}

/// BALROG's five tasks, with the step limits of Chen's thesis (CMU-RI-TR-25-56).
fn balrog() -> Vec<Level> {
    let task = |name: &str, cols: usize, steps: usize| Level {
        file: File::Balrog,
        actions: 6,
        takes_distractors: true,
        reference: BALROG,
        ..Level::rooms(name, format!("{name}_task()"), 8, cols, 1).steps(steps)
    };
    vec![
        task("goto", 1, 16).goto(),
        task("pickup", 1, 16),
        task("pick_up_seq_go_to", 1, 32).goto().sequence(),
        task("open", 2, 32),
        Level {
            two_descriptions: true,
            ..task("putnext", 1, 32)
        },
    ]
}

/// BabyAI's registry.
fn babyai() -> Vec<Level> {
    let one = |name: &str, call: String, size: usize| Level::rooms(name, call, size, 1, 1);
    let nine = |name: &str, call: String, size: usize| Level::rooms(name, call, size, 3, 3);
    let mut all = vec![
        one("GoToObj", "go_to_obj()".into(), 8).goto(),
        one("GoToObjS4", "go_to_obj()".into(), 4).goto(),
        one("GoToObjS6", "go_to_obj()".into(), 6).goto(),
        one("GoToRedBall", "go_to_red_ball(7u, false)".into(), 8).goto(),
        one("GoToRedBallGrey", "go_to_red_ball(7u, true)".into(), 8).goto(),
        one("GoToRedBallNoDists", "go_to_red_ball(0u, false)".into(), 8).goto(),
        one("GoToRedBlueBall", "go_to_red_blue_ball(7u)".into(), 8).goto(),
        one("GoToLocal", "go_to_local(8u)".into(), 8).goto(),
    ];
    for (size, n) in [
        (5, 2),
        (6, 2),
        (6, 3),
        (6, 4),
        (7, 4),
        (7, 5),
        (8, 2),
        (8, 3),
        (8, 4),
        (8, 5),
        (8, 6),
        (8, 7),
    ] {
        let name = format!("GoToLocalS{size}N{n}");
        all.push(one(&name, format!("go_to_local({n}u)"), size).goto());
    }
    for (name, size, n) in [
        ("PutNextLocal", 8, 8),
        ("PutNextLocalS5N3", 5, 3),
        ("PutNextLocalS6N4", 6, 4),
    ] {
        all.push(one(name, format!("put_next_local({n}u)"), size).put_next(2));
    }
    all.extend([
        // Locked rooms in quarters, objects, unblocking, implicit unlocking, goto, pick up only, all instructions.
        one(
            "PickupLoc",
            "synth(0u, 8u, false, true, PICK, false)".into(),
            8,
        )
        .places(),
        one("PickupDist", "pickup_dist(false)".into(), 7),
        one("PickupDistDebug", "pickup_dist(true)".into(), 7),
    ]);
    for size in [8, 12, 16, 20] {
        all.push(one(&format!("OneRoomS{size}"), "one_room()".into(), size));
    }
    all.extend([
        Level::rooms("OpenRedDoor", "open_red_door()", 5, 2, 1),
        nine("OpenDoor", "open_door(0u, false)".into(), 8).places(),
        nine("OpenDoorDebug", "open_door(0u, true)".into(), 8).places(),
        nine("OpenDoorColor", "open_door(1u, false)".into(), 8),
        nine("OpenDoorLoc", "open_door(2u, false)".into(), 8).places(),
        nine(
            "OpenTwoDoors",
            "open_two_doors(ANY_COLOUR, ANY_COLOUR, false)".into(),
            6,
        )
        .sequence()
        .steps(720),
        nine(
            "OpenRedBlueDoors",
            "open_two_doors(0u, 2u, false)".into(),
            6,
        )
        .sequence()
        .steps(720),
        nine(
            "OpenRedBlueDoorsDebug",
            "open_two_doors(0u, 2u, true)".into(),
            6,
        )
        .sequence()
        .steps(720),
    ]);
    for n in [2, 4] {
        for (suffix, strict) in [("", false), ("Debug", true)] {
            let name = format!("OpenDoorsOrderN{n}{suffix}");
            let call = format!("open_doors_order({n}u, {strict})");
            all.push(nine(&name, call, 6).sequence().steps(720));
        }
    }
    all.extend([
        nine("GoToDoor", "go_to_door()".into(), 7).goto(),
        nine("GoToObjDoor", "go_to_obj_door()".into(), 8).goto(),
        nine("ActionObjDoor", "action_obj_door()".into(), 7).goto(),
        nine("UnlockLocal", "unlock_local(0u)".into(), 8),
        nine("UnlockLocalDist", "unlock_local(3u)".into(), 8),
        nine("KeyInBox", "key_in_box()".into(), 8),
        Level::rooms("UnlockPickup", "unlock_pickup(0u)", 6, 2, 1),
        Level::rooms("UnlockPickupDist", "unlock_pickup(4u)", 6, 2, 1),
        Level::rooms("BlockedUnlockPickup", "blocked_unlock_pickup()", 6, 2, 1).steps(576),
        Level::rooms("UnlockToUnlock", "unlock_to_unlock()", 6, 3, 1).steps(1080),
        nine("PickupAbove", "pickup_above()".into(), 6).steps(288),
    ]);
    for size in [5, 6, 7] {
        all.push(
            nine(&format!("FindObjS{size}"), "find_obj()".into(), size).steps(20 * size * size),
        );
    }
    all.extend(key_corridors("key_corridor(false)"));
    let default = nine("KeyCorridor", "key_corridor(false)".into(), 6).open_walls();
    all.push(default.steps(30 * 36));
    for (size, n) in [(4, 1), (5, 1), (5, 2), (6, 3), (7, 4)] {
        for (suffix, carrying) in [("", false), ("Carrying", true)] {
            if carrying && n == 1 {
                continue;
            }
            let name = format!("PutNextS{size}N{n}{suffix}");
            let level = Level::rooms(&name, format!("put_next({n}u)"), size, 2, 1);
            let level = level.put_next(2).steps(8 * size * size);
            all.push(Level { carrying, ..level });
        }
    }
    for (size, n) in [(5, 2), (8, 9)] {
        let name = format!("MoveTwoAcrossS{size}N{n}");
        let level = Level::rooms(&name, format!("move_two_across({n}u)"), size, 2, 1);
        all.push(level.put_next(4).sequence().steps(16 * size * size));
    }
    all.extend([
        nine("GoTo", "go_to(18u, false)".into(), 8).goto(),
        nine("GoToOpen", "go_to(18u, true)".into(), 8).goto(),
        nine("GoToObjMaze", "go_to(1u, false)".into(), 8).goto(),
        nine("GoToObjMazeOpen", "go_to(1u, true)".into(), 8).goto(),
    ]);
    for size in [4, 5, 6, 7] {
        all.push(
            nine(
                &format!("GoToObjMazeS{size}"),
                "go_to(1u, false)".into(),
                size,
            )
            .goto(),
        );
    }
    let synth = |level: Level| Level {
        tracked: true,
        keys_matter: true,
        ..level.put_next(2)
    };
    let boss = |level: Level| Level {
        per_part: 2,
        ..synth(level).sequence().places().put_next(8)
    };
    let seq = |level: Level| Level {
        per_part: 2,
        limit: Limit::Navigations(4),
        ..level.goto().sequence()
    };
    all.extend([
        Level::rooms("GoToObjMazeS4R2", "go_to(1u, false)", 4, 2, 2).goto(),
        nine("GoToImpUnlock", "go_to_imp_unlock()".into(), 8).goto(),
        nine("Pickup", "pickup(18u, false)".into(), 8),
        nine("UnblockPickup", "pickup(20u, true)".into(), 8),
        nine("Open", "open()".into(), 8),
        nine("Unlock", "unlock()".into(), 8),
        seq(nine(
            "GoToSeq",
            "synth(0u, 18u, false, true, GOTO, true)".into(),
            8,
        )),
        seq(Level::rooms(
            "GoToSeqS5R2",
            "synth(0u, 4u, false, true, GOTO, true)",
            5,
            2,
            2,
        )),
        synth(nine(
            "Synth",
            "synth(2u, 18u, true, false, 0u, false)".into(),
            8,
        )),
        synth(Level::rooms(
            "SynthS5R2",
            "synth(2u, 18u, true, false, 0u, false)",
            5,
            3,
            2,
        )),
        synth(nine(
            "SynthLoc",
            "synth(2u, 18u, true, false, 0u, false)".into(),
            8,
        ))
        .places(),
        boss(nine(
            "SynthSeq",
            "synth(2u, 18u, true, false, 0u, true)".into(),
            8,
        )),
        boss(Level::rooms(
            "MiniBossLevel",
            "synth(1u, 7u, true, true, 0u, true)",
            5,
            2,
            2,
        )),
        boss(nine(
            "BossLevel",
            "synth(2u, 18u, true, true, 0u, true)".into(),
            8,
        )),
        boss(nine(
            "BossLevelNoUnlock",
            "synth(0u, 18u, true, false, 0u, true)".into(),
            8,
        )),
    ]);
    all
}

/// KeyCorridor S3R1 to S6R3.
fn key_corridors(call: &str) -> Vec<Level> {
    let sizes = [(3, 1), (3, 2), (3, 3), (4, 3), (5, 3), (6, 3)];
    sizes
        .into_iter()
        .map(|(size, rows)| {
            let level = Level::rooms(&format!("KeyCorridorS{size}R{rows}"), call, size, 3, rows);
            level.open_walls().steps(30 * size * size)
        })
        .collect()
}

/// MiniGrid's usual layouts.
fn minigrid() -> Vec<Level> {
    let mut all = Vec::new();
    let see_through = |level: Level| Level {
        see_through: true,
        ..level
    };
    for n in [5, 6, 8, 16] {
        all.push(see_through(Level::grid(
            &format!("Empty-{n}x{n}"),
            "empty(false)",
            n,
            4 * n * n,
        )));
    }
    for n in [5, 6] {
        let name = format!("Empty-Random-{n}x{n}");
        all.push(see_through(Level::grid(&name, "empty(true)", n, 4 * n * n)));
    }
    for n in [5, 6, 8, 16] {
        all.push(Level {
            words: Words::Fixed("use the key to open the door and then get to the goal"),
            ..Level::grid(&format!("DoorKey-{n}x{n}"), "door_key()", n, 10 * n * n)
        });
    }
    all.push(Level {
        words: Words::Fixed("reach the goal"),
        ..Level::grid("FourRooms", "four_rooms()", 19, 100)
    });
    all.push(
        Level::rooms("Unlock", "unlock_two_rooms()", 6, 2, 1)
            .minigrid(Words::Clauses)
            .steps(288),
    );
    all.push(
        Level::rooms("UnlockPickup", "unlock_pickup(0u)", 6, 2, 1)
            .minigrid(Words::Clauses)
            .steps(288),
    );
    all.extend(
        key_corridors("key_corridor(true)")
            .into_iter()
            .map(|l| l.minigrid(Words::Clauses)),
    );
    for (material, obstacle, words) in [
        (
            "Lava",
            "LAVA",
            "avoid the lava and get to the green goal square",
        ),
        (
            "Simple",
            "GREY_WALL",
            "find the opening and get to the green goal square",
        ),
    ] {
        for (n, rivers) in [(9, 1), (9, 2), (9, 3), (11, 5)] {
            let name = format!("{material}CrossingS{n}N{rivers}");
            all.push(Level {
                words: Words::Fixed(words),
                ..Level::grid(
                    &name,
                    format!("crossing({rivers}u, {obstacle})"),
                    n,
                    4 * n * n,
                )
            });
        }
    }
    // The first version of N4-S5 has six rooms; the second keeps its promise.
    for (name, n, most) in [
        ("N2-S4", 2, 4),
        ("N4-S5", 6, 5),
        ("N4-S5-v1", 4, 5),
        ("N6", 6, 10),
    ] {
        all.push(Level {
            words: Words::Fixed("traverse the rooms to get to the goal"),
            ..Level::grid(
                &format!("MultiRoom-{name}"),
                format!("multi_room({n}u, {most}u)"),
                25,
                20 * n,
            )
        });
    }
    for (name, n, random, asked) in [
        ("5x5", 5, false, 2),
        ("6x6", 6, false, 3),
        ("8x8", 8, false, 4),
        ("16x16", 16, false, 8),
        ("Random-5x5", 5, true, 2),
        ("Random-6x6", 6, true, 3),
    ] {
        all.push(Level {
            balls: asked,
            actions: 3,
            ..see_through(Level::grid(
                &format!("Dynamic-Obstacles-{name}"),
                format!("dynamic_obstacles({random})"),
                n,
                4 * n * n,
            ))
        });
    }
    all
}

pub(super) fn all() -> Vec<Level> {
    [balrog(), babyai(), minigrid()].concat()
}
