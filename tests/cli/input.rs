//! What a user can get wrong before anything runs: one message, exit code 2, nothing written.

use std::fs;
use std::path::Path;

use crate::common::{arg, merit, output, refused, text};

/// Runs `merit train --out DIR/run ARGUMENTS` and checks that it is refused and leaves no trace.
#[track_caller]
fn train_refused(arguments: &[&str], words: &[&str]) {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("run");
    let all: Vec<&str> = ["train", "--out", arg(&out)]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    refused(&output(&all), words);
    assert!(empty(folder.path()), "something was written");
}

fn empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("folder").next().is_none()
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    train_refused(
        &["--env", "smax/2s3zz"],
        &["`smax/2s3zz`", "did you mean `smax/2s3z`?"],
    );
    train_refused(&["--algo", "mapo"], &["`mapo`", "did you mean `mappo`?"]);
    train_refused(
        &["--set", "learning_rat=0.1"],
        &["`learning_rat`", "did you mean `learning_rate`?"],
    );
    train_refused(&["--set", "env_options.max_step=9"], &["max_step"]);
    train_refused(
        &["--set", "reward_shaping_horizon=1000"],
        &[
            "`reward_shaping_horizon` is 1000",
            "smax/3m has no shaped reward",
        ],
    );
    refused(
        &output(&["bench", "smax/3n"]),
        &["`smax/3n`", "did you mean `smax/3m`?"],
    );
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    for (arguments, words) in [
        (["--envs", "0"], ["`envs` is 0", "1 to"]),
        (["--envs", "1e12"], ["`envs` is 1000000000000", "1 to"]),
        (["--seeds", "0"], ["`seeds` is 0", "1 to"]),
        (["--steps", "0"], ["`total_steps` is 0", "1 to"]),
        (
            ["--steps", "1000"],
            ["total_steps = 1000", "envs * rollout"],
        ),
        (["--set", "hidden=0"], ["`hidden` is 0", "1 to"]),
        (["--set", "rollout=1G"], ["`rollout` is 1000000000", "1 to"]),
        (
            ["--set", "minibatches=7"],
            ["minibatches = 7", "must divide"],
        ),
        (["--set", "gamma=1.5"], ["`gamma` is 1.5", "0 to 1"]),
        (
            ["--set", "log_std_init=99"],
            ["`log_std_init` is 99", "-10 to 10"],
        ),
        (
            ["--set", "learning_rate=nan"],
            ["`learning_rate` is NaN", "above 0"],
        ),
        (
            ["--set", "envs=many"],
            ["`envs` cannot be `many`", "a whole number"],
        ),
        (["--set", "envs"], ["`envs`", "key=value"]),
    ] {
        train_refused(&arguments, &words);
    }
}

#[test]
fn counts_that_are_none_are_refused_by_the_option_they_belong_to() {
    for (arguments, option) in [
        (["train", "--out=x", "--steps", "abc"], "'abc' for '--steps"),
        (["train", "--out=x", "--envs", "-1"], "'-1' for '--envs"),
        (["eval", "x", "--episodes", "0"], "'0' for '--episodes"),
        (["bench", "smax/3m", "--envs", "1,0"], "'0' for '--envs"),
        (
            ["bench", "smax/3m", "--seconds", "-1"],
            "'-1' for '--seconds",
        ),
    ] {
        let output = output(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.contains(option), "{error}");
    }
    assert!(!Path::new("x").exists());
}

#[test]
fn a_batch_that_does_not_fit_is_told_the_largest_that_does() {
    train_refused(
        &["--env", "smax/27m_vs_30m", "--envs", "4M", "--steps", "1G"],
        &["bytes in one buffer", "use at most", "environments"],
    );
    refused(
        &output(&[
            "bench",
            "smax/27m_vs_30m",
            "--envs",
            "16M",
            "--seconds",
            "1",
        ]),
        &["bytes in one buffer", "use at most", "environments"],
    );
}

#[test]
fn a_replay_that_does_not_fit_is_told_what_would() {
    let qmix = |more: &[&str], words: &[&str]| {
        train_refused(&[&["--algo", "qmix"], more].concat(), words);
    };
    qmix(
        &["--set", "replay=100"],
        &[
            "replay = 100",
            "episodes of up to 100 steps",
            "set replay to",
        ],
    );
    qmix(
        &["--set", "replay=1G"],
        &[
            "the replay's observations",
            "use at most",
            "steps of replay",
        ],
    );
    qmix(
        &["--set", "batch=4096"],
        &["bytes in one buffer", "use at most", "episodes in a batch"],
    );
    qmix(
        &["--set", "env_options.action_type=continuous"],
        &["\"qmix\"", "needs discrete actions"],
    );
    qmix(
        &["--set", "env_options.anomaly_probability=0.1"],
        &["replaces actions", "anomaly_probability = 0"],
    );
    qmix(
        &["--set", "positivity=relu"],
        &["`positivity` cannot be `relu`", "abs, softplus or square"],
    );
    train_refused(
        &["--algo", "qtran", "--set", "nopt_coef=-0.1"],
        &["`nopt_coef` is -0.1: it takes 0 or more"],
    );
    let fop = |more: &[&str], words: &[&str]| {
        train_refused(&[&["--algo", "fop"], more].concat(), words);
    };
    fop(
        &["--set", "batch=4096"],
        &["bytes in one buffer", "use at most", "episodes in a batch"],
    );
    fop(
        &["--set", "env_options.action_type=continuous"],
        &["\"fop\"", "needs discrete actions"],
    );
    fop(
        &["--set", "env_options.anomaly_probability=0.1"],
        &["replaces actions", "anomaly_probability = 0"],
    );
    fop(
        &["--set", "temperature_finish=0"],
        &["`temperature_finish` is 0", "a number above 0"],
    );
    fop(
        &["--set", "replay_unit=rollouts"],
        &["fop learns from episodes", "replay_unit = \"episodes\""],
    );
    fop(
        &["--set", "q_lambda=true"],
        &["fop has no such targets", "q_lambda = false"],
    );
    fop(
        &["--set", "fop_entropy=none"],
        &["`fop_entropy` cannot be `none`", "code or principled"],
    );
    let hasac = |more: &[&str], words: &[&str]| {
        train_refused(&[&["--algo", "hasac"], more].concat(), words);
    };
    hasac(
        &["--set", "batch=1000"],
        &["batch = 1000", "a multiple of 64", "1024 is the next"],
    );
    hasac(
        &["--set", "learning_starts=512"],
        &["batch = 1024", "set learning_starts to 1024 or more"],
    );
    hasac(
        &["--set", "network=gru"],
        &["hasac learns from transitions", "set network = \"ff\""],
    );
    hasac(
        &["--set", "replay_unit=rollouts"],
        &[
            "hasac learns from transitions",
            "replay_unit = \"episodes\"",
        ],
    );
    hasac(
        &["--set", "env_options.anomaly_probability=0.1"],
        &["replaces actions", "anomaly_probability = 0"],
    );
    hasac(
        &["--set", "hasac_entropy_target=none"],
        &[
            "`hasac_entropy_target` cannot be `none`",
            "intended or code",
        ],
    );
    hasac(
        &["--set", "n_step=0"],
        &["`n_step` is 0: it takes 1 to 1024"],
    );
}

#[test]
fn critics_that_cannot_see_actions_so_are_named() {
    let refuse = |algo: &str, set: &str, words: &[&str]| {
        train_refused(&["--algo", algo, "--set", set], words);
    };
    let head = "critic_actions=head";
    refuse(
        "dae",
        head,
        &["the critic of dae sees no actions", "take coma or gpae"],
    );
    refuse(
        "mappo",
        head,
        &["the critic of mappo sees no actions", "\"concat\""],
    );
    refuse(
        "coma_pg",
        head,
        &["coma_pg remembers nothing", "\"concat\""],
    );
    refuse(
        "coma",
        "critic_actions=none",
        &["critic of coma", "\"head\""],
    );
    refuse(
        "coma",
        "critic_actions=tail",
        &["`critic_actions` cannot be `tail`", "concat, head or none"],
    );
    refuse(
        "coma_pg",
        "env_options.action_type=continuous",
        &["\"coma_pg\" needs discrete actions", "take coma, dae"],
    );
    refuse(
        "coma",
        "counterfactual_samples=0",
        &["`counterfactual_samples` is 0: it takes 1 to 1024"],
    );
    refuse(
        "dae",
        "reward_hidden=20",
        &["reward_hidden = 20", "a multiple of 8"],
    );
}

#[test]
fn configuration_files_are_checked_where_they_stand() {
    let folder = tempfile::tempdir().expect("temp");
    let file = folder.path().join("a.toml");
    let name = arg(&file).to_owned();
    for (content, words) in [
        ("envs = 64\nrollout = = 3\n", [":2:11: ", "a.toml"]),
        (
            "envs = 64\nepoch = 3\n",
            ["unknown key `epoch`", "did you mean `epochs`?"],
        ),
        (
            "anneal_lr = 3\n",
            ["`anneal_lr` cannot be 3", "true or false"],
        ),
        ("algo = \"mapo\"\n", ["`mapo`", "did you mean `mappo`?"]),
        ("[config]\nenvs = 3\n", ["unknown key `config`", "a.toml"]),
    ] {
        fs::write(&file, content).expect("written");
        train_refused(&["--config", &name], &words);
    }
    fs::write(&file, b"envs = 6\xff").expect("written");
    train_refused(&["--config", &name], &["cannot read", "a.toml"]);
    train_refused(
        &["--config", "/no/such/file.toml"],
        &["cannot read /no/such/file.toml"],
    );
}

#[test]
fn the_last_source_of_a_value_wins() {
    let folder = tempfile::tempdir().expect("temp");
    let file = folder.path().join("a.toml");
    fs::write(&file, "envs = 0\n").expect("written");
    // Whichever counts shows in the message.
    train_refused(&["--config", arg(&file)], &["`envs` is 0"]);
    train_refused(
        &["--config", arg(&file), "--envs", "5M"],
        &["`envs` is 5000000"],
    );
    train_refused(
        &["--config", arg(&file), "--envs", "5M", "--set", "envs=6M"],
        &["`envs` is 6000000"],
    );
}

#[test]
fn a_directory_that_cannot_take_a_run_is_refused() {
    let folder = tempfile::tempdir().expect("temp");
    let used = folder.path().join("used");
    fs::create_dir(&used).expect("created");
    fs::write(used.join("notes"), "mine").expect("written");
    refused(
        &output(&["train", "--out", arg(&used)]),
        &["already holds files"],
    );
    assert_eq!(fs::read_dir(&used).expect("used").count(), 1);
    let below_a_file = used.join("notes/run");
    refused(
        &output(&["train", "--out", arg(&below_a_file)]),
        &["cannot write in"],
    );
    refused(
        &output(&["train", "--out", arg(&used.join("notes"))]),
        &["cannot write in"],
    );
    assert_eq!(fs::read(used.join("notes")).expect("notes"), b"mine");
}

#[test]
fn what_is_no_run_is_said_to_be_none() {
    let folder = tempfile::tempdir().expect("temp");
    let (missing, foreign) = (folder.path().join("missing"), folder.path().join("foreign"));
    fs::create_dir(&foreign).expect("created");
    fs::write(foreign.join("notes"), "mine").expect("written");
    for path in [&missing, &foreign] {
        refused(&output(&["eval", arg(path)]), &["no run.toml"]);
        refused(&output(&["train", "--resume", arg(path)]), &["no run.toml"]);
        let svg = folder.path().join("curve.svg");
        refused(
            &output(&["curve", arg(path), "--out", arg(&svg)]),
            &["no run.toml"],
        );
        assert!(!svg.exists());
    }
    fs::write(foreign.join("run.toml"), "merit = \"0.1").expect("written");
    for command in [
        ["eval", arg(&foreign)].as_slice(),
        &["train", "--resume", arg(&foreign)],
    ] {
        refused(&output(command), &["run.toml is damaged"]);
    }
    assert_eq!(fs::read_dir(&foreign).expect("foreign").count(), 2);
}

#[test]
fn recordings_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("temp");
    let file = folder.path().join("a.safetensors");
    let header = br#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut foreign = (header.len() as u64).to_le_bytes().to_vec();
    foreign.extend_from_slice(header);
    foreign.extend_from_slice(&[0; 8]);
    for bytes in [
        &foreign[..],
        &foreign[..foreign.len() - 1],
        &foreign[..20],
        &[],
        b"no recording at all",
    ] {
        fs::write(&file, bytes).expect("written");
        refused(&output(&["parity", arg(&file)]), &["a.safetensors"]);
        refused(
            &output(&["parity", "--json", arg(&file)]),
            &["a.safetensors"],
        );
    }
    refused(
        &output(&["parity", "/no/such.safetensors"]),
        &["cannot read /no/such.safetensors"],
    );
}

/// No driver, as on a bare machine: the Vulkan loader takes its list of drivers from this variable.
const NO_DRIVER: (&str, &str) = ("VK_DRIVER_FILES", "/dev/null");

#[test]
#[cfg(target_os = "linux")]
fn a_machine_without_an_adapter_is_told_what_to_install() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("run");
    for arguments in [
        ["doctor", "--quiet"].as_slice(),
        &["doctor"],
        &["bench", "smax/3m"],
        &["train", "--out", arg(&out)],
    ] {
        // Older loaders know the other name.
        let mut command = merit(arguments);
        command
            .env(NO_DRIVER.0, NO_DRIVER.1)
            .env("VK_ICD_FILENAMES", NO_DRIVER.1);
        refused(
            &command.output().expect("starts"),
            &["no graphics adapter", "mesa-vulkan-drivers"],
        );
    }
    assert!(!out.exists());
}

#[test]
fn an_adapter_that_is_not_there_is_answered_with_those_that_are() {
    for name in ["no such adapter", "99"] {
        refused(
            &output(&["doctor", "--quiet", "--adapter", name]),
            &[name, "0 = "],
        );
        let mut command = merit(&["bench", "smax/3m"]);
        refused(
            &command.env("MERIT_ADAPTER", name).output().expect("starts"),
            &[name, "0 = "],
        );
    }
}

/// The same in MuJoCo's format: the file with line and column, and the element.
#[test]
fn wrong_robots_in_mjcf_are_refused() {
    let folder = tempfile::tempdir().expect("temp");
    let robot = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/tests/robots/ant.xml");
    let good = fs::read_to_string(robot).expect("there");
    let path = folder.path().join("ant.xml");
    let system = format!("env_options.system={}", arg(&path));
    for (from, to, place, problem) in [
        (
            "</mujoco>",
            "</mujoc>",
            ":107:1 is no XML",
            "expected 'mujoco'",
        ),
        (
            r#"mass="0""#,
            r#"mass="-1""#,
            ":50:13: <geom>",
            "must not be negative",
        ),
        (
            r#"<motor joint="hip_4"/>"#,
            "<motor/>",
            ":98:5: <motor>",
            "lacks attribute `joint`",
        ),
        (
            "<actuator>",
            "<equality/><actuator>",
            ":97:3: <equality>",
            "loop of links",
        ),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).expect("written");
        let place = format!("{}{place}", arg(&path));
        train_refused(
            &["--env", "mabrax/ant_4x2", "--set", &system],
            &[&place, problem],
        );
    }
}

/// A robot of one's own: the file and the field, before any device is opened.
#[test]
fn wrong_robots_and_splits_are_refused() {
    let folder = tempfile::tempdir().expect("temp");
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/src/mabrax/systems/ant.json");
    let good = fs::read_to_string(built_in).expect("there");
    let path = folder.path().join("ant.json");
    let system = format!("env_options.system={}", arg(&path));
    for (from, to, words) in [
        (
            r#""joint_pos""#,
            r#""joint_place""#,
            ["field `links[0].joint_pos`", "missing"],
        ),
        (
            r#""mass": 1.0"#,
            r#""mass": -1.0"#,
            ["field `links[0].mass`", "must be from 1e-12 to 1e12"],
        ),
        (
            r#""type": "sphere""#,
            r#""type": "box""#,
            ["field `geoms[1].type`", "unsupported geometry"],
        ),
        (
            r#""parent": 0"#,
            r#""parent": 2"#,
            ["field `links[1].parent`", "loop of links"],
        ),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).expect("written");
        let train = ["train", "--env", "mabrax/ant_4x2", "--set", &system];
        let out = folder.path().join("run");
        let words = [words[0], words[1], arg(&path)];
        refused(
            &output(&[&train[..], &["--out", arg(&out)]].concat()),
            &words,
        );
        refused(&output(&["parity", arg(&path)]), &["lacks `test_vectors`"]);
    }
    train_refused(
        &[
            "--env",
            "mabrax/hopper_3x1",
            "--set",
            r#"env_options.split=[["leg_joint"],["leg_joint","thigh_joint","foot_joint"]]"#,
        ],
        &["`split[1][0]`", "`leg_joint` is named twice"],
    );
}
