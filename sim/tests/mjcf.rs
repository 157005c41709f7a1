//! Robots from MJCF files against the built-in ones and recordings of the reference, and what is refused.

mod common;

use std::path::{Path, PathBuf};

use merit_sim::mabrax::mjcf;
use merit_sim::mabrax::system::System;
use merit_sim::mabrax::{check_file_of, configure};
use serde_json::{Value, json};

use common::{gpu, options};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A robot of the tests' own.
fn robot(task: &str) -> PathBuf {
    folder("tests/robots").join(format!("{task}.xml"))
}

fn text(task: &str) -> String {
    std::fs::read_to_string(robot(task)).unwrap()
}

// ---- the built-in robots ---------------------------------------------------------------------------------------------

/// What 32-bit numbers differ by that were rounded on two ways.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-7 + 1e-6 * b.abs()
}

/// Lists what differs.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn numbers(&mut self, name: &str, ours: &[f32], theirs: &[f32]) {
        let alike = |(a, b): (&f32, &f32)| same((*a).into(), (*b).into());
        if ours.len() != theirs.len() || !ours.iter().zip(theirs).all(alike) {
            self.0.push(format!("{name}: {ours:?}, not {theirs:?}"));
        }
    }

    fn values<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, ours: T, theirs: T) {
        if ours != theirs {
            self.0.push(format!("{name}: {ours:?}, not {theirs:?}"));
        }
    }
}

/// The matrix of moments about the link's axes: principal axes may be chosen in more than one way.
fn tensor(moments: [f32; 3], rotation: [f32; 4]) -> Vec<f32> {
    let [w, x, y, z] = rotation.map(f64::from);
    let columns = [
        [
            1.0 - 2.0 * (y * y + z * z),
            2.0 * (x * y + w * z),
            2.0 * (x * z - w * y),
        ],
        [
            2.0 * (x * y - w * z),
            1.0 - 2.0 * (x * x + z * z),
            2.0 * (y * z + w * x),
        ],
        [
            2.0 * (x * z + w * y),
            2.0 * (y * z - w * x),
            1.0 - 2.0 * (x * x + y * y),
        ],
    ];
    let entry = |i: usize, j: usize| -> f64 {
        (0..3)
            .map(|k| f64::from(moments[k]) * columns[k][i] * columns[k][j])
            .sum()
    };
    (0..9).map(|n| entry(n / 3, n % 3) as f32).collect()
}

/// Every field that is simulated; `names` are those of links too, which are shown only.
fn differences(ours: &System, theirs: &System) -> Vec<String> {
    let mut d = Differences::default();
    d.numbers("timestep", &[ours.timestep], &[theirs.timestep]);
    d.values("frames", ours.frames, theirs.frames);
    d.numbers("gravity", &ours.gravity, &theirs.gravity);
    let scales = |s: &System| {
        [
            s.joint_scale_pos,
            s.joint_scale_ang,
            s.collide_scale,
            s.vel_damping,
            s.ang_damping,
        ]
    };
    d.numbers("scales and damping", &scales(ours), &scales(theirs));
    d.values("nq and nv", (ours.nq, ours.nv), (theirs.nq, theirs.nv));
    d.numbers("init_q", &ours.init_q, &theirs.init_q);
    d.values("split", &ours.split, &theirs.split);
    d.values("links", ours.links.len(), theirs.links.len());
    for (i, (a, b)) in ours.links.iter().zip(&theirs.links).enumerate() {
        let at = |field: &str| format!("link {i} {field}");
        d.values(
            &at("joint"),
            (a.free, a.parent, a.axes),
            (b.free, b.parent, b.axes),
        );
        d.values(
            &at("place"),
            (a.q_start, a.qd_start),
            (b.q_start, b.qd_start),
        );
        d.numbers(&at("position"), &a.position, &b.position);
        d.numbers(&at("rotation"), &a.rotation, &b.rotation);
        d.numbers(&at("anchor"), &a.anchor, &b.anchor);
        d.numbers(&at("com"), &a.com, &b.com);
        d.numbers(&at("mass"), &[a.raw_mass, a.mass], &[b.raw_mass, b.mass]);
        let inertia = |l: &merit_sim::mabrax::system::Link| tensor(l.inertia, l.inertia_rotation);
        d.numbers(&at("inertia"), &inertia(a), &inertia(b));
        let damping = [a.ang_damping, a.vel_damping];
        d.numbers(&at("damping"), &damping, &[b.ang_damping, b.vel_damping]);
        d.numbers(
            &at("frame"),
            a.joint_frame.as_flattened(),
            b.joint_frame.as_flattened(),
        );
        d.numbers(&at("parity"), &[a.parity], &[b.parity]);
        d.numbers(
            &at("limits"),
            a.angle_limits.as_flattened(),
            b.angle_limits.as_flattened(),
        );
    }
    d.values("dofs", ours.dofs.len(), theirs.dofs.len());
    for (i, (a, b)) in ours.dofs.iter().zip(&theirs.dofs).enumerate() {
        let at = |field: &str| format!("dof {i} {field}");
        d.values(
            &at("joint"),
            (a.link, &a.joint, a.slide),
            (b.link, &b.joint, b.slide),
        );
        d.numbers(&at("axis"), &a.axis, &b.axis);
        d.numbers(&at("limit"), &a.limit, &b.limit);
    }
    d.values("motors", ours.actuators.len(), theirs.actuators.len());
    for (i, (a, b)) in ours.actuators.iter().zip(&theirs.actuators).enumerate() {
        let at = |field: &str| format!("motor {i} {field}");
        d.values(&at("joint"), (&a.joint, a.qd_index), (&b.joint, b.qd_index));
        d.numbers(&at("gear"), &[a.gear, a.gain], &[b.gear, b.gain]);
        d.numbers(&at("ctrl_range"), &a.ctrl_range, &b.ctrl_range);
        d.numbers(&at("force_range"), &a.force_range, &b.force_range);
    }
    d.values("geoms", ours.geoms.len(), theirs.geoms.len());
    for (i, (a, b)) in ours.geoms.iter().zip(&theirs.geoms).enumerate() {
        let at = |field: &str| format!("geom {i} {field}");
        d.values(&at("link"), a.link, b.link);
        d.numbers(
            &at("size"),
            &[a.radius, a.half_length],
            &[b.radius, b.half_length],
        );
        d.numbers(&at("position"), &a.position, &b.position);
        d.numbers(&at("rotation"), &a.rotation, &b.rotation);
    }
    d.values("contacts", ours.contacts.len(), theirs.contacts.len());
    for (i, (a, b)) in ours.contacts.iter().zip(&theirs.contacts).enumerate() {
        let at = |field: &str| format!("contact {i} {field}");
        d.values(&at("link"), a.link, b.link);
        d.numbers(&at("centre"), &a.centre, &b.centre);
        let numbers = [a.radius, a.friction, a.elasticity];
        d.numbers(
            &at("numbers"),
            &numbers,
            &[b.radius, b.friction, b.elasticity],
        );
    }
    d.0
}

/// Moments before they are flattened, which only the system files keep beside the effective ones.
fn raw_moments_differ(task: &str, file: &str, text: &str) -> Vec<String> {
    let built_in = folder("src/mabrax/systems").join(format!("{task}.json"));
    let built_in: Value =
        serde_json::from_str(&std::fs::read_to_string(built_in).unwrap()).unwrap();
    let unscaled = |line: &str| -> String {
        let scales = ["spring_inertia_scale", "spring_mass_scale"];
        match scales.iter().find(|s| line.contains(**s)) {
            Some(scale) => format!("<numeric name=\"{scale}\" data=\"0\"/>\n"),
            None => format!("{line}\n"),
        }
    };
    let text: String = text.lines().map(unscaled).collect();
    let raw = mjcf::parse(file, &text, &System::built_in(task).unwrap()).unwrap();
    let mut d = Differences::default();
    for (link, theirs) in raw.links.iter().zip(built_in["links"].as_array().unwrap()) {
        let numbers =
            |name: &str| -> Vec<f32> { serde_json::from_value(theirs[name].clone()).unwrap() };
        let moments = numbers("inertia_diag_raw").try_into().unwrap();
        let rotation = numbers("inertia_rot").try_into().unwrap();
        d.numbers(
            &link.name,
            &tensor(link.inertia, link.inertia_rotation),
            &tensor(moments, rotation),
        );
        d.numbers(
            &link.name,
            &[link.mass],
            &[theirs["mass_raw"].as_f64().unwrap() as f32],
        );
    }
    d.0
}

#[test]
fn files_of_our_own_are_the_built_in_robots() {
    for task in ["ant", "halfcheetah", "humanoid"] {
        let built_in = System::built_in(task).unwrap();
        let system = mjcf::open(&robot(task), &built_in).unwrap();
        let found = differences(&system, &built_in);
        assert!(found.is_empty(), "{task}:\n{}", found.join("\n"));
        let found = raw_moments_differ(task, task, &text(task));
        assert!(found.is_empty(), "{task}:\n{}", found.join("\n"));
    }
}

/// The reference's own files, and what its tasks change in code when they load them for the positional pipeline: seconds of a
/// substep, substeps, gears.
#[test]
#[ignore = "needs the folder brax/envs/assets of Brax 0.14.2 in MERIT_MJCF"]
fn files_of_the_reference_are_the_built_in_robots() {
    let folder = std::env::var("MERIT_MJCF").expect("MERIT_MJCF names a folder of MJCF files");
    let humanoid = [[350.0; 11].as_slice(), [100.0; 6].as_slice()].concat();
    let changed: [(&str, &str, f32, usize, Vec<f32>); 7] = [
        ("ant", "ant", 0.005, 10, vec![200.0; 8]),
        (
            "halfcheetah",
            "half_cheetah",
            0.003125,
            16,
            vec![120.0, 90.0, 60.0, 120.0, 100.0, 100.0],
        ),
        ("hopper", "hopper", 0.002, 4, vec![200.0; 3]),
        ("walker2d", "walker2d", 0.002, 4, vec![100.0; 6]),
        ("humanoid", "humanoid", 0.0015, 10, humanoid.clone()),
        ("humanoidstandup", "humanoidstandup", 0.0015, 10, humanoid),
        ("reacher", "reacher", 0.005, 4, vec![25.0; 2]),
    ];
    let mut found = Vec::new();
    for (task, file, timestep, frames, gears) in changed {
        let path = Path::new(&folder).join(format!("{file}.xml"));
        let built_in = System::built_in(task).unwrap();
        let mut system = mjcf::open(&path, &built_in).unwrap();
        // The file's own timestep gives steps of the same length.
        assert!((system.dt() - built_in.dt()).abs() < 1e-7, "{task}");
        (system.timestep, system.frames) = (timestep, frames);
        for (motor, gear) in system.actuators.iter_mut().zip(gears) {
            motor.gear = gear;
        }
        found.extend(
            differences(&system, &built_in)
                .iter()
                .map(|d| format!("{task}: {d}")),
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let raw = raw_moments_differ(task, file, &text);
        found.extend(raw.iter().map(|d| format!("{task}: {d}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The recordings that the built-in robots are compared with, with the robot from an MJCF file.
#[test]
fn recordings_pass_with_robots_of_mjcf_files() {
    let gpu = gpu();
    for (task, recording) in [
        ("ant", "ant_4x2.rollout.s1.safetensors"),
        ("halfcheetah", "halfcheetah_6x1.rollout.s0.safetensors"),
        ("halfcheetah", "halfcheetah.json"),
    ] {
        let path = folder("../tests/golden/mabrax").join(recording);
        let asked = options(json!({"system": robot(task)}));
        let report = check_file_of(&gpu, &path, &asked).unwrap();
        let failed = report.arrays.iter().filter(|a| !a.pass);
        let failed: Vec<_> = failed
            .map(|a| format!("{} by {:e}", a.name, a.max_abs_diff))
            .collect();
        assert!(
            report.arrays.len() > 10,
            "{recording}: {} arrays",
            report.arrays.len()
        );
        assert!(failed.is_empty(), "{recording}: {}", failed.join("\n"));
    }
}

// ---- what a file cannot say ------------------------------------------------------------------------------------------

fn write(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("robot.xml");
    std::fs::write(&path, text).unwrap();
    path
}

/// The file as it is named in messages is `FILE`.
fn told(name: &str, text: &str, more: Value) -> Result<System, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&dir, text);
    let mut asked = options(more);
    asked.insert("system".into(), json!(path));
    let config = configure(name, &asked);
    config.map(|c| c.system).map_err(|e| {
        let (message, file) = (e.to_string(), path.display().to_string());
        assert!(message.contains(&file), "{message} does not name {file}");
        message.replace(&file, "FILE")
    })
}

#[test]
fn steps_are_as_long_as_the_task_says_where_the_file_does_not() {
    let substeps = "    <numeric name=\"n_frames\" data=\"10\"/>\n";
    let text = text("ant").replacen(substeps, "", 1);
    let system = told("brax/ant", &text, json!({})).unwrap();
    assert_eq!(system.frames, 10);
    let text = text.replacen("timestep=\"0.005\"", "timestep=\"0.01\"", 1);
    let system = told("brax/ant", &text, json!({})).unwrap();
    assert_eq!((system.frames, system.timestep), (5, 0.01));
    let text = text.replacen("timestep=\"0.01\"", "timestep=\"0.03\"", 1);
    let message = told("brax/ant", &text, json!({})).unwrap_err();
    let expected = "FILE:5:3: <option> has a `timestep` of 0.03 s, which does not divide";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn registered_splits_hold_for_the_same_joints_only() {
    let system = told("mabrax/ant_4x2", &text("ant"), json!({})).unwrap();
    assert_eq!(system.split, System::built_in("ant").unwrap().split);
    let renamed = text("ant").replace("ankle_2", "knee_2");
    let message = told("mabrax/ant_4x2", &renamed, json!({})).unwrap_err();
    assert!(
        message.contains("FILE gives no split `ant_4x2`"),
        "{message}"
    );
    let split = json!([
        ["hip_1", "ankle_1"],
        ["hip_2", "knee_2"],
        ["hip_3", "ankle_3", "hip_4", "ankle_4"]
    ]);
    let system = told("mabrax/ant_4x2", &renamed, json!({"split": split})).unwrap();
    assert_eq!(system.split, None);
    // Another robot altogether: it has a torso on two slides and a hinge, as the task wants it.
    told("brax/walker2d", &text("halfcheetah"), json!({})).unwrap();
}

#[test]
fn numbers_mean_what_they_do_in_mujoco() {
    let change = |pairs: &[(&str, &str)]| {
        let text = pairs.iter().fold(text("ant"), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        told("brax/ant", &text, json!({})).unwrap()
    };
    let ant = System::built_in("ant").unwrap();
    // Bounds that are not asked for do not hold.
    let free = change(&[(r#"limited="true" armature"#, r#"limited="false" armature"#)]);
    assert_eq!(free.dofs[6].limit, [-f32::MAX, f32::MAX]);
    // The start is the file's pose where nothing else is said.
    let start = r#"<numeric name="init_qpos" data="0 0 0.55  1 0 0 0  0 1  0 -1  0 -1  0 1"/>"#;
    let posed = change(&[
        (start, ""),
        (r#"pos="0 0 0.75""#, r#"pos="0 0 0.75" quat="0 0 0 2""#),
    ]);
    assert_eq!(posed.init_q[..8], [0.0, 0.0, 0.75, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(posed.links[0].rotation, [1.0, 0.0, 0.0, 0.0]);
    // Radians are taken as they are, degrees are not.
    let radians = change(&[
        (r#"angle="degree""#, r#"angle="radian""#),
        ("-30 30", "-0.5 0.5"),
    ]);
    assert_eq!(radians.dofs[6].limit, [-0.5, 0.5]);
    // Bodies without a joint turn what they hold.
    let turned = change(&[(
        r#"<body name="shoulder_1">"#,
        r#"<body name="shoulder_1" axisangle="0 0 1 90">"#,
    )]);
    let place = turned
        .links
        .iter()
        .find(|l| l.name == "aux_1")
        .unwrap()
        .position;
    assert!(
        (place[0] + 0.2).abs() < 1e-7 && (place[1] - 0.2).abs() < 1e-7,
        "{place:?}"
    );
    // The larger friction holds, and half of the floor's and the foot's elasticity.
    let elastic = r#"<numeric name="elasticity" data="0.5"/><numeric name="spring_mass_scale""#;
    let rough = change(&[
        (
            r#"size="40 40 40""#,
            r#"size="40 40 40" friction="1.5 0.1""#,
        ),
        (r#"<numeric name="spring_mass_scale""#, elastic),
    ]);
    assert_eq!(
        (rough.contacts[3].friction, rough.contacts[3].elasticity),
        (1.5, 0.5)
    );
    // A capsule that touches, then the balls of the feet: kinds stay together, the first one's first.
    let capsule = change(&[(
        r#"<geom fromto="0 0 0  0.2 0.2 0"/>"#,
        r#"<geom contype="1" fromto="0 0 0  0.2 0.2 0"/>"#,
    )]);
    let links: Vec<_> = capsule.contacts.iter().map(|c| c.link).collect();
    assert_eq!(links, [0, 0, 1, 1, 2, 4, 6, 8]);
    // Forces are clipped where the file says so.
    let clipped = change(&[(r#"ctrlrange="-1 1" gear"#, r#"forcerange="-0.5 0.25" gear"#)]);
    assert_eq!(clipped.actuators[0].force_range, [-0.5, 0.25]);
    assert_eq!(clipped.actuators[0].ctrl_range, [-f32::MAX, f32::MAX]);
    // What has no effect here changes nothing.
    let ignored = change(&[
        (
            r#"armature="1" damping="1""#,
            r#"armature="3" stiffness="7" solreflimit="0.1 1""#,
        ),
        (
            "<worldbody>",
            r#"<asset><texture name="t"/></asset><worldbody><light pos="0 0 3"/>"#,
        ),
    ]);
    assert_eq!(differences(&ignored, &ant), Vec::<String>::new());
}

// ---- bad input -------------------------------------------------------------------------------------------------------

#[test]
fn a_wrong_file_is_refused_with_its_element() {
    let cases = [
        // XML
        (
            "</mujoco>",
            "</mujoc>",
            "FILE:107:1 is no XML: expected 'mujoco' tag, not 'mujoc'",
        ),
        (
            "<mujoco model=\"ant\">",
            "<mujoco model=ant>",
            "FILE:3:15 is no XML: ",
        ),
        ("<compiler", "<compiler &", "FILE:4:13 is no XML: "),
        // attributes
        (
            r#"type="sphere" size="0.25""#,
            r#"type="sphere" size="""#,
            r#"FILE:40:7: <geom name="trunk"> has attribute `size`, which must have at least 1 number, found 0"#,
        ),
        (
            r#"type="capsule" size="0.08" density"#,
            r#"type="capsule" density"#,
            "FILE:43:9: <geom> lacks attribute `size`",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            "<motor/>",
            "FILE:98:5: <motor> lacks attribute `joint`",
        ),
        (
            r#"name="n_frames" "#,
            "",
            "FILE:8:5: <numeric> lacks attribute `name`",
        ),
        (
            r#"range="-30 30""#,
            "",
            r#"FILE:45:11: <joint name="hip_1"> lacks attribute `range`"#,
        ),
        (
            r#"range="-30 30""#,
            r#"range="30 -30""#,
            "`range` of its class, which must have its lower bound below its upper, found 30 and -30",
        ),
        (
            r#"range="-30 30""#,
            r#"range="-30 x""#,
            "`range` of its class, which must be numbers up to 1e9, found `x`",
        ),
        (
            r#"range="-30 30""#,
            r#"range="-30 inf""#,
            "`range` of its class, which must be numbers up to 1e9, found `inf`",
        ),
        (
            r#"range="-30 30""#,
            r#"range="30""#,
            "`range` of its class, which must have 2 numbers, found 1",
        ),
        (
            r#"axis="-1 1 0""#,
            r#"axis="0 0 0""#,
            r#"<joint name="ankle_1"> has attribute `axis`, which has no direction"#,
        ),
        (
            r#"density="5""#,
            r#"density="-5""#,
            r#"FILE:37:5: <geom name="floor"> has attribute `density` of its class, which must not be negative, found -5"#,
        ),
        (
            r#"mass="0" contype"#,
            r#"mass="-1" contype"#,
            "`mass` of its class, which must not be negative, found -1",
        ),
        (
            r#"density="5""#,
            r#"density="0""#,
            r#"FILE:38:5: <body name="torso"> has no mass"#,
        ),
        (
            r#"density="5""#,
            r#"density="1e-60""#,
            r#"<body name="torso"> has a mass of"#,
        ),
        (
            r#"size="0.25""#,
            r#"size="0""#,
            "`size`, which must be positive, found 0",
        ),
        (
            r#"fromto="0 0 0  0.2 0.2 0""#,
            r#"fromto="0 0 0  0 0 0""#,
            "`fromto`, which has both ends at one place",
        ),
        (
            r#"timestep="0.005""#,
            r#"timestep="0""#,
            "<option> has attribute `timestep`, which must be 1e-6 or more",
        ),
        (
            r#"gravity="0 0 -9.81""#,
            r#"density="1.2""#,
            "<option> has attribute `density`, which must be 0, found 1.2",
        ),
        (
            r#"gravity="0 0 -9.81""#,
            r#"integrator="RK4""#,
            "`integrator`, which must be `Euler`, found `RK4`",
        ),
        (
            r#"angle="degree""#,
            r#"angle="turn""#,
            "`angle`, which must be `degree` or `radian`, found `turn`",
        ),
        (
            r#"angle="degree""#,
            r#"coordinate="global""#,
            "`coordinate`, which must be `local`, found `global`",
        ),
        (
            r#"angle="degree""#,
            r#"boundmass="1""#,
            "<compiler> has attribute `boundmass`, which is not supported",
        ),
        (
            r#"pos="0 0 0.75""#,
            r#"pos="0 0 0.75" euler="1 2 3""#,
            r#"FILE:38:5: <body name="torso"> has attribute `euler`, which is not supported"#,
        ),
        (
            r#"pos="0 0 0.75""#,
            r#"pos="0 0 0.75" gravcomp="1""#,
            "`gravcomp`, which is not supported",
        ),
        (
            r#"range="30 70""#,
            r#"range="30 70" frictionloss="2""#,
            "`frictionloss` of its class, which must be 0, found 2",
        ),
        (
            r#"range="30 70""#,
            r#"range="30 70" ref="2""#,
            "`ref` of its class, which must be 0, found 2",
        ),
        // classes
        (
            r#"class="ankle down" axis="1 1 0""#,
            r#"class="ankle" axis="1 1 0""#,
            r#"FILE:61:13: <joint name="ankle_2"> is of class `ankle`, which no `<default>` defines"#,
        ),
        (
            r#"<body name="aux_2""#,
            r#"<body childclass="leg" name="aux_2""#,
            "FILE:59:11: <geom> is of class `leg`, which no `<default>` defines",
        ),
        (
            r#"<default class="foot">"#,
            r#"<default class="hip">"#,
            "FILE:31:5: <default> defines class `hip` a second time",
        ),
        (
            r#"<default class="foot">"#,
            "<default>",
            "FILE:31:5: <default> lacks attribute `class`",
        ),
        // joints, geometry, motors
        (
            r#"<joint type="hinge""#,
            r#"<joint type="ball""#,
            "`type` of its class, which is `ball`, an unsupported joint",
        ),
        (
            r#"type="sphere" size="0.25""#,
            r#"type="box" size="1 1 1""#,
            "FILE:40:7: <geom name=\"trunk\"> has attribute `type`, which is `box`, an unsupported geometry",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            r#"<position joint="hip_4"/>"#,
            "FILE:98:5: <position> is not supported: of actuators only `<motor>` is",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            r#"<motor joint="hip_5"/>"#,
            "`joint`, which names `hip_5`, which there is not",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            r#"<motor joint="root"/>"#,
            "`joint`, which names `root`, which is free",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            r#"<motor joint="hip_1"/>"#,
            "`joint`, which names `hip_1`, which another motor moves",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            r#"<motor joint="hip_4" gear="1 2 0 0 0 0"/>"#,
            "`gear`, which must be one number",
        ),
        (
            r#"name="hip_2""#,
            r#"name="hip_1""#,
            r#"FILE:58:11: <joint name="hip_1"> has the name of another joint"#,
        ),
        (
            r#"<freejoint name="root"/>"#,
            r#"<freejoint/><joint range="0 1"/>"#,
            "<freejoint> is free: it must be the only joint",
        ),
        (
            r#"<joint name="hip_1" class="hip"/>"#,
            "<freejoint/>",
            "FILE:45:11: <freejoint> is free",
        ),
        (
            r#"<joint name="hip_1" class="hip"/>"#,
            r#"<joint name="hip_1" class="hip"/><joint class="hip" axis="0 1 1"/>"#,
            "is at an angle to the body's other joints that is not supported",
        ),
        (
            r#"<joint name="hip_1" class="hip"/>"#,
            r#"<joint name="hip_1" class="hip"/><joint class="hip" axis="1 0 0" pos="0 0 1"/>"#,
            "<joint> is not at the `pos` of the body's other joints",
        ),
        (
            r#"<body name="torso""#,
            r#"<joint name="stuck" range="0 1"/><body name="torso""#,
            "<joint name=\"stuck\"> belongs to the world",
        ),
        // parts of what has none
        (
            r#"gravity="0 0 -9.81"/>"#,
            r#"><flag gravity="disable"/></option>"#,
            "FILE:5:29: <flag> is not supported",
        ),
        (
            r#"type="sphere" size="0.25"/>"#,
            r#"type="sphere" size="0.25"><plugin/></geom>"#,
            "<plugin> is not supported",
        ),
        // loops and other constraints
        (
            "<actuator>",
            r#"<equality><connect body1="foot_1" body2="foot_2" anchor="0 0 0"/></equality><actuator>"#,
            "FILE:97:3: <equality> is not supported: it would close a loop of links",
        ),
        (
            "<actuator>",
            "<tendon/><actuator>",
            "<tendon> is not supported",
        ),
        (
            "<actuator>",
            "<contact/><actuator>",
            "<contact> is not supported",
        ),
        (
            "<custom>",
            r#"<include file="x.xml"/><custom>"#,
            r#"<include> is not supported"#,
        ),
        // the floor
        (
            r#"<geom class="foot" pos="0.4 0.4 0"/>"#,
            r#"<geom class="foot" pos="0.4 0.4 0" contype="x"/>"#,
            "`contype`, which must be a whole number, found `x`",
        ),
        (
            r#"<geom fromto="0 0 0  0.4 0.4 0"/>"#,
            r#"<geom pos="1 0 0" fromto="0 0 0  0.4 0.4 0"/>"#,
            "`pos`, which says what `fromto` says too",
        ),
        (
            r#"<geom class="foot" pos="0.4 0.4 0"/>"#,
            r#"<geom class="foot" pos="0.4 0.4 0" conaffinity="1"/>"#,
            "would touch geom `without a name`: only the floor",
        ),
        (
            r#"size="40 40 40""#,
            r#"size="40 40 40" pos="0 0 -1""#,
            r#"FILE:37:5: <geom name="floor"> stops geoms and must be at z = 0"#,
        ),
        (
            r#"size="40 40 40""#,
            r#"size="40 40 40" axisangle="1 0 0 10""#,
            r#"<geom name="floor"> stops geoms and must be at z = 0 and face up"#,
        ),
        (
            r#"size="40 40 40""#,
            r#"size="40 40 40" condim="6""#,
            "`condim`, which must be 3, found 6",
        ),
        (
            r#"<body name="torso""#,
            r#"<geom type="plane" conaffinity="1"/><body name="torso""#,
            "would touch two floors",
        ),
        (
            r#"type="sphere" size="0.25""#,
            r#"type="plane""#,
            r#"<geom name="trunk"> is a plane, which only the world can have"#,
        ),
        // the pipeline's parameters
        (
            r#""joint_scale_pos""#,
            r#""joint_scale_position""#,
            r#"FILE:12:5: <numeric name="joint_scale_position"> is no parameter"#,
        ),
        (
            r#""n_frames" data="10""#,
            r#""n_frames" data="2.5""#,
            "must be a whole number from 1 to 1000, found 2.5",
        ),
        (
            r#""spring_mass_scale" data="1""#,
            r#""spring_mass_scale" data="2""#,
            "must be from 0 to 1, found 2",
        ),
        (
            r#""constraint_ang_damping" data="10""#,
            r#""constraint_ang_damping" data="1 2""#,
            "must have 1 or 9 numbers, found 2",
        ),
        (
            r#""constraint_ang_damping" data="10""#,
            r#""constraint_ang_damping" data="-1""#,
            "must not be negative, found -1",
        ),
        (
            r#"1 0 0 0  0 1  0 -1"#,
            "1 0 0 0",
            "must have 15 numbers as the joints have coordinates, found 11",
        ),
    ];
    let good = text("ant");
    let mut failed = Vec::new();
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from}");
        match told("brax/ant", &good.replacen(from, to, 1), json!({})) {
            Err(message) if message.contains(expected) => {}
            Err(message) => failed.push(format!("{message}\ndoes not say\n{expected}")),
            Ok(_) => failed.push(format!("taken: {to}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    let whole = [
        ("<robot/>", "FILE:1:1: <robot> is no MJCF model"),
        ("<mujoco/>", "FILE:1:1: <mujoco> has no body with a joint"),
        ("", "is no XML"),
    ];
    for (text, expected) in whole {
        let message = told("brax/ant", text, json!({})).unwrap_err();
        assert!(
            message.contains(expected),
            "{message}\ndoes not say\n{expected}"
        );
    }
    let inertial = good.replacen(r#"inertiafromgeom="true""#, "", 1).replacen(
        r#"<freejoint name="root"/>"#,
        r#"<freejoint name="root"/><inertial mass="1" pos="0 0 0"/>"#,
        1,
    );
    let message = told("brax/ant", &inertial, json!({})).unwrap_err();
    assert!(
        message.contains("<inertial> is not supported: masses and inertias come from geoms"),
        "{message}"
    );
    let bodies = "<body><joint limited=\"false\"/><geom type=\"sphere\"/>".repeat(40)
        + &"</body>".repeat(40);
    let long = good.replacen(
        r#"<body name="torso""#,
        &format!("{bodies}<body name=\"torso\""),
        1,
    );
    let message = told("brax/ant", &long, json!({})).unwrap_err();
    assert!(
        message.contains("<body> is one link too many: there may be 32"),
        "{message}"
    );
    let deep = format!(
        "<mujoco><worldbody>{}{}</worldbody></mujoco>",
        "<body>".repeat(5000),
        "</body>".repeat(5000)
    );
    let message = told("brax/ant", &deep, json!({})).unwrap_err();
    assert!(message.contains("<body> is nested too deeply"), "{message}");
}
