//! Courses and replays: what is gone through again is what it was.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use merit_sim::course::{Act, Course, Start};
use merit_sim::env::ActionSpace;
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::registry::{self, Batch, Driver, EnvOptions};
use merit_sim::replay::{self, Replay};

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&AdapterChoice::from_env()).expect("tests need an adapter"))
}

fn start(seed: u64, driver: Driver) -> Start {
    let mut options = EnvOptions::new();
    options.insert("max_steps".into(), 20.into());
    Start {
        env: "smax/3m".into(),
        options,
        seed,
        driver,
    }
}

/// So many moments of random actions; a fresh episode after each that ended.
fn played(seed: u64, driver: Driver, moments: usize) -> Course {
    let mut course = Course::begin(gpu(), start(seed, driver)).expect("begins");
    while course.moments().len() < moments {
        let act = match driver {
            _ if course.now().ended() => Act::Reset,
            Driver::External => {
                let actions = course.random_actions().expect("reads").expect("discrete");
                Act::Step(actions)
            }
            _ => Act::Step(Vec::new()),
        };
        course.go_on(act).expect("steps");
    }
    course
}

/// The state kept after the end and the explicit reset must not make another environment of it.
#[test]
fn a_course_is_what_a_batch_does_with_the_same_actions() {
    let course = played(7, Driver::External, 70);
    assert!(course.now().episode >= 2, "several episodes");
    let start = start(7, Driver::External);
    let batch = Batch {
        seeds: vec![7],
        envs_per_member: 1,
        steps: 1,
        slots: 1,
        ..Batch::default()
    };
    let env = registry::make(gpu(), &start.env, &start.options, &batch).expect("makes");
    let record = |f: &dyn Fn(&mut wgpu::ComputePass<'_>)| {
        let mut encoder = gpu().encoder();
        f(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        gpu().submit(encoder);
    };
    let observed = || crc32fast::hash(&gpu().read::<u8>(&env.io().obs).expect("reads"));
    let at = course.fields().iter().position(|f| f == "observations");
    let at = at.expect("a field");
    record(&|pass| env.record_reset(pass));
    for (i, moment) in course.moments().iter().enumerate() {
        if let Act::Step(actions) = &moment.act {
            gpu().write(&env.io().actions, actions);
            record(&|pass| env.record_step(pass, 0));
            let reward: Vec<f32> = gpu().read(&env.io().reward).expect("reads");
            assert_eq!(reward, moment.reward, "moment {i}");
            let terminated: Vec<f32> = gpu().read(&env.io().terminated).expect("reads");
            assert_eq!(terminated[0] > 0.0, moment.terminated, "moment {i}");
        }
        // The batch shows the next episode where the course still shows the end of the last.
        if !moment.ended() {
            assert_eq!(observed(), moment.sums[at], "moment {i}");
        }
    }
}

#[test]
fn going_back_and_forth_ends_where_it_was() {
    let mut course = played(1, Driver::External, 80);
    let frames: Vec<_> = (0..80)
        .map(|i| {
            course.seek(i).expect("seeks");
            (
                course.frame().expect("draws"),
                course.allowed().expect("reads"),
            )
        })
        .collect();
    assert!(frames.windows(2).any(|w| w[0].0 != w[1].0));
    for i in [79, 3, 0, 40, 32, 31, 64, 33, 79, 78] {
        course.seek(i).expect("seeks");
        assert_eq!(course.at(), i);
        assert_eq!(course.frame().expect("draws"), frames[i].0, "moment {i}");
        assert_eq!(course.allowed().expect("reads"), frames[i].1, "moment {i}");
    }
    course.seek(1000).expect("seeks");
    assert_eq!(course.at(), 79, "the last one");

    // The same actions from a moment in the middle lead to the same moments; others do not, and the rest is forgotten.
    let recorded = course.moments().to_vec();
    course.seek(35).expect("seeks");
    for moment in &recorded[36..] {
        course.go_on(moment.act.clone()).expect("steps");
    }
    assert_eq!(course.moments(), recorded);
    course.seek(2).expect("seeks");
    let Act::Step(actions) = &recorded[3].act else {
        panic!("the episode is longer")
    };
    let others: Vec<u32> = actions.iter().map(|&a| u32::from(a == 0)).collect();
    course.go_on(Act::Step(others)).expect("steps");
    assert_eq!((course.at(), course.moments().len()), (3, 4));
    assert_ne!(course.now().sums, recorded[3].sums);
}

#[test]
fn replays_are_reproduced_exactly_by_every_driver() {
    let folder = tempfile::tempdir().expect("temp");
    for driver in [Driver::External, Driver::Random, Driver::Heuristic] {
        let path = folder.path().join(format!("{driver:?}"));
        let course = played(5, driver, 60);
        replay::save(&path, gpu(), &course).expect("saved");
        let bytes = fs::metadata(&path).expect("there").len();
        assert!(bytes < 16 << 10, "{bytes} bytes");
        let (again, divergence) = Replay::read(&path)
            .expect("reads")
            .play(gpu())
            .expect("plays");
        assert_eq!(divergence, None);
        assert_eq!(again.moments(), course.moments());
    }
}

/// The first environment of each family, and continuous actions.
fn one_of_each() -> Vec<Start> {
    let mut names = registry::names();
    names.dedup_by_key(|name| name.split('/').next().map(str::to_owned));
    assert!(names.len() >= 8, "{names:?}");
    let begin = |env: String| {
        let options = EnvOptions::new();
        let spec = registry::spec(&env, &options).expect("a name of the registry");
        // A course draws random actions where they are discrete; elsewhere the shader does.
        let driver = match spec.actions {
            ActionSpace::Discrete(_) => Driver::External,
            ActionSpace::Continuous(_) => Driver::Random,
        };
        Start {
            env,
            options,
            seed: 11,
            driver,
        }
    };
    let mut all: Vec<Start> = names.into_iter().map(begin).collect();
    for env in ["mpe/simple_spread", "smax/3m"] {
        let mut continuous = begin(env.into());
        let kind = ("action_type".into(), "continuous".into());
        continuous.options.extend([kind]);
        continuous.driver = Driver::Random;
        all.push(continuous);
    }
    all
}

/// What every environment must do to be played and replayed: end and go on, go back to what was shown, and come to the same
/// bytes in another batch.
#[test]
fn every_family_goes_back_and_is_reproduced() {
    const MOMENTS: usize = 40;
    let folder = tempfile::tempdir().expect("temp");
    for start in one_of_each() {
        let (name, driver) = (start.env.clone(), start.driver);
        let mut course = Course::begin(gpu(), start).expect("begins");
        let fields = course.env().state_fields();
        let words: usize = fields.iter().map(|(_, words)| words).sum();
        assert_eq!(words, course.env().kernels().state_words(), "{name}");
        assert!(fields.len() > 3, "{name} names the parts of its state");
        while course.moments().len() < MOMENTS {
            let act = match course.random_actions().expect("reads") {
                _ if course.now().ended() => Act::Reset,
                Some(actions) => Act::Step(actions),
                None => Act::Step(Vec::new()),
            };
            course.go_on(act).expect("steps");
        }
        let shown = |course: &mut Course, at: usize| {
            course.seek(at).expect("seeks");
            let frame = course.frame().expect("draws");
            assert!(!frame.text.is_empty() && !frame.shapes.is_empty(), "{name}");
            (frame, course.allowed().expect("reads"))
        };
        let first: Vec<_> = (0..MOMENTS).map(|i| shown(&mut course, i)).collect();
        assert!(first.windows(2).any(|w| w[0].0 != w[1].0), "{name}");
        for i in [38, 0, 33, 5, 32, 31, 39] {
            assert_eq!(shown(&mut course, i), first[i], "{name}, moment {i}");
        }
        let path = folder.path().join("replay");
        replay::save(&path, gpu(), &course).expect("saved");
        let bytes = fs::metadata(&path).expect("there").len();
        assert!(bytes < 16 << 10, "{name}: {bytes} bytes");
        let replay = Replay::read(&path).expect("reads");
        assert_eq!(replay.header.start.driver, driver);
        let (again, divergence) = replay.play(gpu()).expect("plays");
        assert_eq!(divergence, None, "{name}");
        assert_eq!(again.moments(), course.moments(), "{name}");
    }
}

/// What an agent was told, and that it did something else.
#[test]
fn a_course_says_whose_action_was_replaced() {
    let mut start = start(2, Driver::External);
    let anomalies = ("anomaly_probability".into(), 1.0.into());
    start.options.extend([anomalies]);
    let mut course = Course::begin(gpu(), start).expect("begins");
    assert_eq!(course.now().replaced, [false; 3]);
    let stopped = course.go_on(Act::Step(vec![0; 3])).expect("steps");
    let count = stopped.replaced.iter().filter(|&&r| r).count();
    assert_eq!(count, 1, "one living agent");
}

/// Replaces the `nth` line from 1.
fn edit(path: &Path, nth: usize, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).expect("reads");
    let lines = text.lines().enumerate();
    let text: String = lines
        .map(|(i, l)| if i + 1 == nth { change(l) } else { l.to_owned() } + "\n")
        .collect();
    fs::write(path, text).expect("written");
}

#[test]
fn a_changed_replay_is_told_apart_at_the_step_and_field() {
    let folder = tempfile::tempdir().expect("temp");
    let path = folder.path().join("replay");
    let course = played(3, Driver::External, 25);
    let divergence = |nth: usize, change: &dyn Fn(&str) -> String| {
        replay::save(&path, gpu(), &course).expect("saved");
        edit(&path, nth, change);
        let (_, divergence) = Replay::read(&path)
            .expect("reads")
            .play(gpu())
            .expect("plays");
        divergence.expect("it was changed")
    };
    // Line 1 is the header, line 2 the reset, line 10 so is step 8.
    let Act::Step(actions) = &course.moments()[8].act else {
        panic!("the episode is longer")
    };
    let other = |line: &str| {
        let was = format!("[{},", actions[0]);
        let now = format!("[{},", (actions[0] + 1) % 4);
        assert!(line.contains(&was));
        line.replacen(&was, &now, 1)
    };
    let found = divergence(10, &other);
    assert_eq!((found.episode, found.step), (0, 8));
    assert_eq!(found.fields[0], "positions");

    let health = course
        .fields()
        .iter()
        .position(|f| f == "health")
        .expect("a field");
    let sum = course.moments()[8].sums[health];
    let found = divergence(10, &|line| line.replacen(&sum.to_string(), "12345", 1));
    assert_eq!((found.episode, found.step), (0, 8));
    assert_eq!(found.fields, ["health"]);

    let found = divergence(1, &|line| line.replacen("\"seed\":3", "\"seed\":4", 1));
    assert_eq!((found.episode, found.step), (0, 0));
}

#[test]
fn what_is_no_replay_of_this_program_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("temp");
    let path = folder.path().join("replay");
    let course = played(3, Driver::External, 5);
    let refused = |nth: usize, change: &dyn Fn(&str) -> String| {
        replay::save(&path, gpu(), &course).expect("saved");
        edit(&path, nth, change);
        Replay::read(&path).expect_err("refused").to_string()
    };
    let swap = |from: &'static str, to: &'static str| {
        move |line: &str| {
            assert!(line.contains(from), "{line}");
            line.replacen(from, to, 1)
        }
    };
    for (nth, from, to, words) in [
        (
            1,
            "\"merit\":\"0",
            "\"merit\":\"99",
            "only the version that made it",
        ),
        (1, "\"format\":1", "\"format\":2", "(format 2)"),
        (1, "smax/3m", "smax/3n", "did you mean `smax/3m`?"),
        (
            1,
            "smax/3m",
            "smax/5m_vs_6m",
            "here it has 5 agents of 11 actions",
        ),
        (
            1,
            "\"max_steps\"",
            "\"max_step\"",
            "unknown field `max_step`",
        ),
        (1, "{", "", "no replay"),
        (
            1,
            "\"moments\":5",
            "\"moments\":6",
            "promises 6 moments, 5 follow",
        ),
        (
            3,
            "\"actions\":[",
            "\"actions\":[8,",
            "line 3: it has 4 actions, 3 are needed",
        ),
        (3, "\"actions\":[", "\"actions\":[1", "is no action"),
        (3, "\"sums\":[", "\"sums\":[1,", "checksums"),
        (3, "step", "stop", "line 3: unknown variant"),
        (2, "{\"reset\"", "{\"step\"", "line 2: "),
    ] {
        let e = refused(nth, &swap(from, to));
        assert!(e.contains(words), "`{words}` is not in: {e}");
    }
    let e = Replay::read(&folder.path().join("none")).expect_err("refused");
    assert!(e.to_string().starts_with("cannot read "), "{e}");
    fs::write(&path, "").expect("written");
    let e = Replay::read(&path).expect_err("refused").to_string();
    assert!(e.contains("no replay"), "{e}");
}
