//! A run from its start to its evaluation: repeated, killed, interrupted, damaged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{arg, merit, output, refused, text};
use serde_json::Value;

/// 24 updates of two members; checkpoints every fourth, lines every second.
fn train(out: &Path) -> Command {
    let mut command = merit(&[
        "train", "--env", "smax/3m", "--steps", "3072", "--envs", "8", "--seeds", "2",
    ]);
    for set in [
        "rollout=16",
        "hidden=16",
        "epochs=1",
        "minibatches=2",
        "log_every=256",
        "checkpoint_every=512",
        "eval_every=1024",
        "eval_episodes=16",
    ] {
        command.args(["--set", set]);
    }
    command.args(["--out", arg(out)]);
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// Every file of a run but the timing, by name.
fn bytes(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in [run.to_owned(), run.join("checkpoints")] {
        for entry in fs::read_dir(folder).expect("a run") {
            let path = entry.expect("entry").path();
            if path.is_file() && !path.ends_with("timing.jsonl") {
                let name = path.strip_prefix(run).expect("below").to_owned();
                files.insert(name, fs::read(&path).expect("file"));
            }
        }
    }
    files
}

/// Two runs with the same bytes in every file; says which differs without printing it.
#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (bytes(a), bytes(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, content) in &a {
        assert!(content == &b[name], "{} differs", name.display());
    }
}

/// What the device holds is the same from line `first` to the last: nothing is allocated that stays.
#[track_caller]
fn assert_held(run: &Path, first: usize) {
    let lines = fs::read_to_string(run.join("timing.jsonl")).expect("lines");
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    let lines = &lines[first..];
    assert!(lines.len() > 5);
    let device = &lines[0]["device_bytes"];
    // Other systems' drivers need not tell.
    let told = |bytes: &Value| bytes.as_u64().is_some_and(|bytes| bytes > 100_000);
    let must = cfg!(target_os = "linux");
    for line in lines {
        assert_eq!(&line["device_bytes"], device);
        assert!(!must || told(device) && told(&line["host_bytes"]), "{line}");
    }
}

/// Waits until the run has reached `step`, as its checkpoints tell.
fn wait_for(child: &mut Child, run: &Path, step: u64) {
    let begun = Instant::now();
    let path = run.join(format!("checkpoints/step-{step}.safetensors"));
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "no {}",
            path.display()
        );
        assert!(
            child.try_wait().expect("child").is_none(),
            "the run ended before step {step}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_repeated_a_killed_and_an_interrupted_run_have_the_same_bytes() {
    let folder = tempfile::tempdir().expect("temp");
    let path = |name: &str| folder.path().join(name);
    let whole = path("whole");
    let shown = succeeds(&mut train(&whole));
    assert!(
        shown.contains("before") && shown.contains("after") && shown.contains("0 host syncs"),
        "{shown}"
    );

    assert_held(&whole, 0);

    succeeds(&mut train(&path("again")));
    assert_same(&whole, &path("again"));

    // Killed at whatever moment it reaches after its first, then after its third checkpoint, and once before any.
    let killed = path("killed");
    for (i, step) in [None, Some(512), Some(1536)].into_iter().enumerate() {
        let mut command = if i == 0 {
            train(&killed)
        } else {
            merit(&["train", "--resume", arg(&killed)])
        };
        let mut child = command
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        match step {
            Some(step) => wait_for(&mut child, &killed, step),
            None => {
                while !killed.join("metrics.jsonl").exists() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
    succeeds(&mut merit(&["train", "--resume", arg(&killed)]));
    assert_same(&whole, &killed);

    #[cfg(unix)]
    {
        let stopped = path("stopped");
        let mut child = train(&stopped)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        wait_for(&mut child, &stopped, 512);
        // The standard library sends no signals but SIGKILL.
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .expect("kill")
                .success()
        );
        let ended = child.wait_with_output().expect("ends");
        assert_eq!(ended.status.code(), Some(130));
        let said = text(&ended.stdout);
        assert!(
            said.starts_with("saved at step ") && said.contains("--resume"),
            "{said}"
        );
        assert!(!stopped.join("summary.json").exists());
        succeeds(&mut merit(&["train", "--resume", arg(&stopped)]));
        assert_same(&whole, &stopped);
    }

    // A run that is complete has nothing left to do, and says so by its summary.
    assert!(succeeds(&mut merit(&["train", "--resume", arg(&whole)])).contains("after 3072 steps"));
    assert_same(&whole, &path("again"));
}

#[test]
fn a_recurrent_run_is_resumed_to_the_same_bytes() {
    resumed_to_the_same_bytes(&["--algo", "ippo", "--set", "network=gru"]);
}

/// The replay with it; and what was learned is evaluated and drawn by its largest utilities.
#[test]
fn a_run_from_a_replay_is_resumed_to_the_same_bytes() {
    // Utilities are no distribution to draw from.
    let [any, greedy] = resumed_from_a_replay(&["--algo", "me_qmix", "--set", "hyper_hidden=16"]);
    assert_eq!(any, greedy);
}

/// The same of a replay of whole rollouts, as JaxMARL's value learners have it.
#[test]
fn a_run_from_rollouts_is_resumed_to_the_same_bytes() {
    let rollouts = [
        ["--algo", "qmix"],
        ["--set", "replay_unit=rollouts"],
        ["--set", "reset_at_rollout=true"],
        ["--set", "init=orthogonal"],
        ["--set", "optimiser=radam"],
        ["--set", "network=gru"],
    ];
    let [any, greedy] = resumed_from_a_replay(&rollouts.concat());
    assert_eq!(any, greedy);
}

/// The same of a policy beside the utilities, which is drawn from unless it is asked for its most probable actions.
#[test]
fn a_policy_from_a_replay_is_resumed_to_the_same_bytes() {
    let fop = [
        ["--algo", "fop"],
        ["--set", "critic_hidden=16"],
        ["--set", "gradient_steps=1"],
    ];
    let [any, greedy] = resumed_from_a_replay(&fop.concat());
    assert_ne!(any, greedy);
}

/// The same of a policy of each agent, from a replay of transitions.
#[test]
fn policies_of_each_agent_are_resumed_to_the_same_bytes() {
    let hasac = [
        ["--algo", "hasac"],
        ["--set", "critic_hidden=16"],
        ["--set", "gradient_steps=1"],
        ["--set", "batch=64"],
        ["--set", "bootstrap_truncated=true"],
    ];
    let [any, greedy] = resumed_from_a_replay(&hasac.concat());
    assert_ne!(any, greedy);
}

/// Trains, kills and resumes; evaluates and draws. Returns what the members came to, drawn from their policies and at their best.
#[track_caller]
fn resumed_from_a_replay(more: &[&str]) -> [Value; 2] {
    let folder = tempfile::tempdir().expect("temp");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let start = |out: &Path| {
        let mut command = train(out);
        command.args(["--set", "batch=8"]).args(more);
        for set in ["replay=1200", "learning_starts=128", "mixing_embed=8"] {
            command.args(["--set", set]);
        }
        command
    };
    succeeds(&mut start(&whole));
    // The first reports have no batch to enumerate joint actions of.
    assert_held(&whole, 4);
    let summary = fs::read_to_string(whole.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(summary["replay"], 1200);
    let mut child = start(&killed)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    wait_for(&mut child, &killed, 1536);
    child.kill().expect("killed");
    child.wait().expect("reaped");
    succeeds(&mut merit(&["train", "--resume", arg(&killed)]));
    assert_same(&whole, &killed);

    let evaluate = |more: &[&str]| {
        let all = [&["eval", arg(&whole), "--episodes", "16", "--json"], more].concat();
        succeeds(&mut merit(&all))
    };
    let members = |text: &str| -> Value {
        let evaluation: Value = serde_json::from_str(text).expect("JSON");
        evaluation["members"].clone()
    };
    let evaluated = [&[][..], &["--greedy"]].map(|more| members(&evaluate(more)));
    let picture = folder.path().join("battle.png");
    succeeds(&mut merit(&[
        "render",
        "smax/3m",
        "--policy",
        arg(&whole),
        "--out",
        arg(&picture),
    ]));
    assert!(fs::metadata(&picture).expect("picture").len() > 1000);
    evaluated
}

#[test]
fn a_run_of_continuous_actions_is_resumed_to_the_same_bytes() {
    let continuous = ["--set", "env_options.action_type=continuous"];
    let recurrent = [
        ["--set", "env=mpe/simple_spread"],
        ["--set", "network=gru"],
        ["--set", "bootstrap_truncated=false"],
    ]
    .concat();
    resumed_to_the_same_bytes(&continuous);
    resumed_to_the_same_bytes(&[&continuous[..], &["--algo", "ippo"], &recurrent].concat());
}

#[track_caller]
fn resumed_to_the_same_bytes(more: &[&str]) {
    let folder = tempfile::tempdir().expect("temp");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let start = |out: &Path| {
        let mut command = train(out);
        command.args(more);
        command
    };
    succeeds(&mut start(&whole));
    let mut command = start(&killed);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    wait_for(&mut child, &killed, 1024);
    child.kill().expect("killed");
    child.wait().expect("reaped");
    succeeds(&mut merit(&["train", "--resume", arg(&killed)]));
    assert_same(&whole, &killed);
}

#[test]
fn a_run_is_evaluated_drawn_and_guarded_against_damage() {
    let folder = tempfile::tempdir().expect("temp");
    let run = folder.path().join("run");
    succeeds(&mut train(&run));

    let evaluate = |more: &[&str]| -> Value {
        let arguments: Vec<&str> = ["eval", arg(&run), "--episodes", "40", "--json"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        serde_json::from_str(&succeeds(&mut merit(&arguments))).expect("JSON")
    };
    let drawn = evaluate(&[]);
    assert_eq!(drawn["step"], 3072);
    let members = drawn["members"].as_array().expect("members");
    assert_eq!(members.len(), 2);
    for (p, member) in members.iter().enumerate() {
        assert_eq!(
            (&member["seed"], &member["episodes"]),
            (&p.into(), &40.into())
        );
        let mean_return = member["return"].as_f64().expect("return");
        assert!((0.0..=2.0).contains(&mean_return), "{mean_return}");
    }
    assert_eq!(drawn, evaluate(&[]));
    assert_ne!(drawn, evaluate(&["--greedy"]));
    assert_ne!(drawn, evaluate(&["--seed", "99"]));
    let shown = text(&output(&["eval", arg(&run), "--episodes", "8"]).stdout).to_owned();
    assert!(
        shown.contains("seed 1") && shown.contains("mean") && shown.contains("win rate"),
        "{shown}"
    );

    // The program's own evaluation at the end is the same as `eval` with its settings.
    let summary: Value =
        serde_json::from_slice(&fs::read(run.join("summary.json")).expect("summary"))
            .expect("JSON");
    let repeated: Value = serde_json::from_str(&succeeds(&mut merit(&[
        "eval",
        arg(&run),
        "--episodes",
        "16",
        "--json",
    ])))
    .expect("JSON");
    assert_eq!(summary["members"][1]["after"], repeated["members"][1]);

    let marl: Value =
        serde_json::from_slice(&fs::read(run.join("marl-eval.json")).expect("marl-eval"))
            .expect("JSON");
    let seed = &marl["smax"]["3m"]["mappo"]["seed_1"];
    assert_eq!(seed["step_3"]["step_count"], 3072);
    assert_eq!(seed["absolute_metrics"]["return"], seed["step_3"]["return"]);

    let svg = folder.path().join("curve.svg");
    succeeds(&mut merit(&[
        "curve",
        arg(&run),
        "--metric",
        "return",
        "--out",
        arg(&svg),
    ]));
    let picture = fs::read_to_string(&svg).expect("curve");
    for word in [
        "smax/3m: return while training",
        "environment steps of each seed",
        "mappo, 2 seeds",
        "<polygon",
    ] {
        assert!(picture.contains(word), "`{word}` is not in the picture");
    }

    refused(
        &train(&run).output().expect("starts"),
        &["already holds files", "--resume"],
    );

    let newest = run.join("checkpoints/step-3072.safetensors");
    let good = fs::read(&newest).expect("checkpoint");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    for bad in [&good[..good.len() / 2], &[], &flipped] {
        fs::write(&newest, bad).expect("written");
        let before = bytes(&run);
        let words = [
            "step-3072.safetensors is damaged",
            "delete it to go on from step 2560",
        ];
        refused(&output(&["eval", arg(&run)]), &words);
        refused(&output(&["train", "--resume", arg(&run)]), &words);
        assert_eq!(before, bytes(&run));
    }
    // The advice leads back to the same bytes.
    fs::remove_file(&newest).expect("removed");
    succeeds(&mut merit(&["train", "--resume", arg(&run)]));
    assert!(fs::read(&newest).expect("checkpoint") == good);
}
