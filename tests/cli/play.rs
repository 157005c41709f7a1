//! Playing, drawing and replaying through the program: plain frames, pictures that decode, replays that hold.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::common::{arg, merit, output, refused, text};
use serde_json::Value;

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = output(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// First words of every block that plain play prints.
fn captions<'a>(shown: &'a str, env: &str) -> Vec<&'a str> {
    let begin = format!("{env}  seed ");
    let lines = shown.lines().filter(|l| l.starts_with(&begin));
    lines.collect()
}

#[test]
fn plain_play_prints_every_frame_and_is_a_function_of_the_seed() {
    let play = |more: &[&str]| {
        let all: Vec<&str> = ["play", "smax/3m", "--plain", "--steps", "30"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        succeeds(&all)
    };
    let short = ["--set", "max_steps=12"];
    let shown = play(&short);
    let captions = captions(&shown, "smax/3m");
    // 30 steps, and a beginning for each of three episodes; SMAX's limit counts one more.
    assert_eq!(captions.len(), 33, "{shown}");
    for (i, words) in [
        (0, "seed 0  episode 0  step 0 of 12  return 0"),
        (13, "episode 0  step 13 of 12"),
        (13, "cut by the step limit"),
        (14, "episode 1  step 0"),
        (32, "episode 2  step 4"),
    ] {
        assert!(captions[i].contains(words), "{}", captions[i]);
    }
    assert!(shown.contains("ally 0: marine health 45 of 45"), "{shown}");
    assert!(
        shown.contains("agent 2: ") && shown.contains(" reward "),
        "{shown}"
    );
    assert_eq!(shown, play(&short));
    let other = play(&[&short[..], &["--seed", "1"]].concat());
    assert!(other.contains("seed 1  episode 0") && other != shown);
    let scripted = play(&["--policy", "heuristic"]);
    assert!(scripted != play(&["--policy", "random"]));
}

#[test]
fn pictures_decode_and_show_the_battle() {
    let folder = tempfile::tempdir().expect("temp");
    let draw = |name: &str, more: &[&str]| -> PathBuf {
        let out = folder.path().join(name);
        let all: Vec<&str> = [
            "render",
            "smax/3m",
            "--policy",
            "heuristic",
            "--out",
            arg(&out),
        ]
        .iter()
        .chain(more)
        .copied()
        .collect();
        assert!(succeeds(&all).contains("picture     "));
        out
    };

    let film = draw("a.gif", &["--steps", "6", "--width", "400", "--fps", "10"]);
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options
        .read_info(File::open(&film).expect("there"))
        .expect("a GIF");
    assert_eq!(decoder.width(), 400);
    let (mut frames, mut changed) = (0, 0);
    while let Some(frame) = decoder.read_next_frame().expect("a frame") {
        if frames == 0 {
            // Both teams are there: blue and vermilion.
            for colour in [[0, 114, 178, 255], [213, 94, 0, 255]] {
                let mut pixels = frame.buffer.chunks_exact(4);
                assert!(pixels.any(|p| p == colour), "{colour:?}");
            }
        } else {
            changed += usize::from(frame.buffer.chunks_exact(4).any(|p| p[3] != 0));
        }
        frames += 1;
    }
    assert_eq!(
        (frames, changed),
        (7, 6),
        "the beginning and six steps, each of them moves"
    );

    let png = |path: &Path| {
        let file = std::io::BufReader::new(File::open(path).expect("there"));
        let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("pixels");
        (info.width, info.height, pixels)
    };
    let one = draw("one.png", &["--step", "0"]);
    let (width, height, pixels) = png(&one);
    assert!(width == 400 && height > 400, "{width} by {height}");
    assert!(pixels.chunks_exact(3).any(|p| p == [0, 114, 178]));
    let later = draw("later.png", &["--step", "5"]);
    assert_ne!(png(&later).2, pixels);
    let sheet = draw("sheet.png", &["--frames", "4", "--width", "150"]);
    let (wide, high, _) = png(&sheet);
    assert!(wide == 308 && high > 2 * 150, "{wide} by {high}");

    let svg = draw("sheet.svg", &["--frames", "3"]);
    let drawn = fs::read_to_string(&svg).expect("there");
    let parsed = roxmltree::Document::parse(&drawn).expect("XML");
    let named = |name| {
        parsed
            .descendants()
            .filter(move |n| n.tag_name().name() == name)
    };
    assert_eq!(named("svg").count(), 4, "the sheet and its frames");
    assert!(named("circle").count() >= 6 && named("line").count() > 0);
    let captions: Vec<_> = named("text").filter_map(|t| t.text()).collect();
    assert!(captions.contains(&"step 0, return 0"), "{captions:?}");
    // The same command draws the same bytes.
    let again = draw("again.svg", &["--frames", "3"]);
    assert_eq!(fs::read_to_string(again).expect("there"), drawn);
}

/// Each command in a process of its own, for an environment of each family.
#[test]
fn every_family_is_played_drawn_and_replayed() {
    let folder = tempfile::tempdir().expect("temp");
    let (replay, picture) = (folder.path().join("a.replay"), folder.path().join("a.svg"));
    let listed = succeeds(&["envs", "--json"]);
    let names = listed.lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        row["env"].as_str().expect("a name").to_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.dedup_by_key(|name| name.split('/').next().map(str::to_owned));
    assert!(names.len() >= 8, "{names:?}");
    for name in &names {
        let play = ["play", name, "--plain", "--steps", "5", "--seed", "3"];
        let shown = succeeds(&[&play[..], &["--save", arg(&replay)]].concat());
        let steps = shown.lines().filter(|line| line.starts_with("agent 0: "));
        assert_eq!(steps.count(), 5, "{shown}");
        let verdict = succeeds(&["replay", arg(&replay)]);
        let all = format!("{name}, seed 3: all 5 steps as recorded\n");
        assert_eq!(verdict, all);
        let bytes = fs::metadata(&replay).expect("there").len();
        assert!(bytes < 8 << 10, "{name}: {bytes} bytes");
        let render = ["render", name, "--steps", "5", "--episodes", "9"];
        succeeds(&[&render[..], &["--out", arg(&picture)]].concat());
        let drawn = fs::read_to_string(&picture).expect("there");
        let parsed = roxmltree::Document::parse(&drawn).expect("XML");
        let frames = parsed
            .descendants()
            .filter(|n| n.tag_name().name() == "svg");
        assert!(frames.count() > 5, "{name}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{name}");
    }
}

#[test]
fn a_replay_goes_round_and_a_changed_one_names_step_and_field() {
    let folder = tempfile::tempdir().expect("temp");
    let path = folder.path().join("a.replay");
    let said = succeeds(&[
        "play",
        "smax/3m",
        "--plain",
        "--steps",
        "150",
        "--save",
        arg(&path),
    ]);
    assert!(said.contains("150 steps\n"), "the last line says so");
    let good = fs::read_to_string(&path).expect("there");
    assert!(good.len() < 64 << 10, "{} bytes", good.len());
    assert_eq!(
        succeeds(&["replay", arg(&path)]),
        "smax/3m, seed 0: all 150 steps as recorded\n"
    );
    // It shows what play showed.
    let replayed = succeeds(&["replay", arg(&path), "--plain"]);
    let frames = |text: &str| text[..text.rfind("\n\n").expect("blocks")].to_owned();
    assert_eq!(frames(&replayed), frames(&said));
    let picture = folder.path().join("a.png");
    succeeds(&["replay", arg(&path), "--out", arg(&picture), "--step", "9"]);
    assert!(fs::read(&picture).expect("there").starts_with(b"\x89PNG"));

    // Line 2 is the beginning, so line 12 is step 10.
    let lines: Vec<&str> = good.lines().collect();
    let mut step: Value = serde_json::from_str(lines[11]).expect("JSON");
    let action = step["step"]["actions"][1].as_u64().expect("an action");
    step["step"]["actions"][1] = ((action + 1) % 4).into();
    let mut changed = lines.clone();
    let line = step.to_string();
    changed[11] = &line;
    fs::write(&path, changed.join("\n")).expect("written");
    let told = output(&["replay", arg(&path)]);
    assert_eq!(told.status.code(), Some(1));
    let verdict = text(&told.stdout);
    assert!(
        verdict.contains("diverges at step 10 of episode 0 in positions")
            && verdict.contains("(9 of 150 steps as recorded)"),
        "{verdict}"
    );
    let told = output(&["replay", arg(&path), "--json"]);
    let report: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(report["divergence"]["step"], 10);
    assert_eq!(report["divergence"]["fields"][0], "positions");
    assert_eq!(
        (&report["reproduced"], &report["steps"]),
        (&9.into(), &150.into())
    );

    for (from, to, words) in [
        (
            "\"merit\":\"",
            "\"merit\":\"9",
            "only the version that made it reproduces it",
        ),
        ("smax/3m", "smax/2s3z", "here it has 5 agents of 10 actions"),
        ("smax/3m", "maze/9", "unknown environment `maze/9`"),
        ("\"agents\"", "\"agent\"", "is no replay"),
        ("{\"step\"", "{\"leap\"", "line 3: unknown variant `leap`"),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).expect("written");
        refused(&output(&["replay", arg(&path)]), &["a.replay", words]);
    }
    fs::write(&path, &good[..good.len() / 2]).expect("written");
    refused(
        &output(&["replay", arg(&path)]),
        &["a.replay is damaged: line "],
    );
    fs::write(&path, b"\xff\x00").expect("written");
    refused(&output(&["replay", arg(&path)]), &["cannot read"]);
    refused(&output(&["replay", "/no/such"]), &["cannot read /no/such"]);
}

#[test]
fn what_cannot_be_played_or_drawn_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("temp");
    let picture = folder.path().join("a.gif");
    let gif = arg(&picture);
    for (arguments, words) in [
        (&["play", "smax/3m"][..], &["no terminal", "--plain"][..]),
        (
            &["play", "mpe/simple_tag", "--plain", "--policy", "heuristic"],
            &["mpe/simple_tag", "no policy of their own"],
        ),
        (
            &["play", "smax/3m", "--plain", "--policy", "keyboard"],
            &["--plain", "no keyboard"],
        ),
        (
            &["play", "smax/3n", "--plain"],
            &["`smax/3n`", "did you mean `smax/3m`?"],
        ),
        (
            &["play", "smax/3m", "--plain", "--policy", "randm"],
            &["`randm` is no policy"],
        ),
        (
            &["play", "smax/3m", "--plain", "--set", "max_step=1"],
            &["max_step"],
        ),
        (
            &["play", "smax/3m", "--plain", "--set", "max_steps"],
            &["`max_steps`", "key=value"],
        ),
        (
            &["play", "smax/3m", "--plain", "--save", "/no/such/a"],
            &["cannot write /no/such/a"],
        ),
        (
            &["render", "smax/3m", "--out", "a.jpg"],
            &["a.jpg", ".gif, .png or .svg"],
        ),
        (
            &["render", "smax/3m", "--out", "/no/such/a.gif"],
            &["cannot write", "no folder"],
        ),
        (
            &["render", "smax/3m", "--step", "3", "--out", gif],
            &["--step", ".png or .svg"],
        ),
        (
            &["render", "smax/3m", "--policy", "keyboard", "--out", gif],
            &["no keyboard"],
        ),
        (
            &[
                "render",
                "smax/3m",
                "--policy",
                arg(folder.path()),
                "--out",
                gif,
            ],
            &["no run.toml"],
        ),
    ] {
        refused(&output(arguments), words);
    }
    let out = folder.path().join("a.png");
    let late = [
        "render",
        "smax/3m",
        "--steps",
        "3",
        "--step",
        "9",
        "--out",
        arg(&out),
    ];
    refused(&output(&late), &["--step is 9", "it takes 0 to 3"]);
    let wide = ["render", "smax/3m", "--width", "4096", "--out", arg(&out)];
    refused(&output(&wide), &["too large", "fewer --frames"]);
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 0);
}

/// A short run of two seeds.
fn train(run: &Path, env: &str, algo: &str, sets: &[&str]) {
    let mut command = merit(&["train", "--quiet", "--env", env, "--algo", algo]);
    command.args(["--steps", "512", "--envs", "8", "--seeds", "2"]);
    command.args(["--out", arg(run)]);
    let small = [
        "rollout=16",
        "hidden=16",
        "minibatches=2",
        "eval_episodes=8",
    ];
    for set in small.iter().chain(sets) {
        command.args(["--set", set]);
    }
    assert!(command.output().expect("starts").status.success());
}

/// What a trained policy does on screen is what its evaluation counts.
fn plays_as_its_evaluation_does(run: &Path, env: &str) {
    let folder = tempfile::tempdir().expect("temp");
    for greedy in [&["--greedy"][..], &[]] {
        let eval = [
            "eval",
            arg(run),
            "--episodes",
            "1",
            "--seed",
            "40",
            "--json",
        ];
        let evaluated = succeeds(&[&eval, greedy].concat());
        let record: Value = serde_json::from_str(&evaluated).expect("JSON");
        for member in [0, 1] {
            // Member 1 of the evaluation has the next seed.
            let (seed, number) = ((40 + member).to_string(), member.to_string());
            let replay = folder.path().join("a.replay");
            let play = [
                "play",
                env,
                "--plain",
                "--policy",
                arg(run),
                "--seed",
                &seed,
            ];
            let more = ["--member", &number, "--save", arg(&replay)];
            let shown = succeeds(&[&play[..], &more, greedy].concat());
            let captions = captions(&shown, env);
            let last = captions[captions.len() - 1];
            let expected = &record["members"][member];
            let (total, length) = (expected["return"].as_f64(), expected["length"].as_f64());
            let (total, length) = (total.expect("return"), length.expect("length"));
            let after = |word: &str| -> f64 {
                let mut words = last.split_whitespace().skip_while(|w| *w != word).skip(1);
                words.next().and_then(|w| w.parse().ok()).expect(word)
            };
            assert_eq!(after("step"), length, "{env} {last}");
            assert!(
                (after("return") - total).abs() < 1e-3,
                "{env} {last} {total}"
            );
            assert!(succeeds(&["replay", arg(&replay)]).contains("steps as recorded"));
        }
    }
    let out = folder.path().join("run.svg");
    let args = ["render", env, "--policy", arg(run), "--out", arg(&out)];
    succeeds(&args);
    assert!(fs::read_to_string(&out).expect("there").contains("<circle"));
    let args = [&args[..], &["--member", "2"]].concat();
    refused(&output(&args), &["no member 2", "members 0 to 1"]);
}

#[test]
fn a_run_plays_as_its_evaluation_does() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("run.svg");
    for (algo, network) in [("mappo", "network=ff"), ("ippo", "network=gru")] {
        let run = folder.path().join(algo);
        train(&run, "smax/3m", algo, &[network]);
        plays_as_its_evaluation_does(&run, "smax/3m");
        let strange = [
            "render",
            "smax/2s3z",
            "--policy",
            arg(&run),
            "--out",
            arg(&out),
        ];
        refused(
            &output(&strange),
            &["trained on smax/3m with 75 features", "smax/2s3z"],
        );
    }
}

#[test]
fn a_run_of_continuous_actions_plays_as_its_evaluation_does() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("run.svg");
    for (env, algo, network, numbers) in [
        ("smax/3m", "mappo", "network=ff", "actions of 4 numbers"),
        (
            "mpe/simple_spread",
            "ippo",
            "network=gru",
            "actions of 5 numbers",
        ),
    ] {
        let run = folder.path().join(algo);
        let continuous = "env_options.action_type=continuous";
        let cut = "bootstrap_truncated=false";
        train(&run, env, algo, &[network, continuous, cut]);
        plays_as_its_evaluation_does(&run, env);
        // The run's options hold unless others are asked for.
        let render = ["render", env, "--policy", arg(&run), "--out", arg(&out)];
        let discrete = [&render[..], &["--set", "action_type=discrete"]].concat();
        refused(&output(&discrete), &["was trained on", numbers, "has here"]);
    }
}

/// Networks whose parameters fill no whole vector.
#[test]
fn runs_of_other_families_are_drawn() {
    let folder = tempfile::tempdir().expect("temp");
    let (run, out) = (folder.path().join("run"), folder.path().join("a.png"));
    for (env, algo) in [("junction", "ippo"), ("mpe/simple_spread", "mappo")] {
        let mut command = merit(&["train", "--quiet", "--env", env, "--algo", algo]);
        command.args(["--steps", "256", "--envs", "8", "--out", arg(&run)]);
        for set in ["rollout=16", "hidden=16", "minibatches=2"] {
            command.args(["--set", set]);
        }
        assert!(command.output().expect("starts").status.success());
        let render = ["render", env, "--policy", arg(&run), "--out", arg(&out)];
        succeeds(&render);
        assert!(fs::read(&out).expect("there").starts_with(b"\x89PNG"));
        fs::remove_dir_all(&run).expect("removed");
    }
}

/// The full screen needs a terminal: `script` makes one.
#[test]
#[cfg(target_os = "linux")]
fn the_terminal_is_taken_and_given_back() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    let folder = tempfile::tempdir().expect("temp");
    let replay = folder.path().join("a.replay");
    let saved = arg(&replay);
    let run = |arguments: &str, keys: &[&[u8]]| -> (Option<i32>, String) {
        let program = env!("CARGO_BIN_EXE_merit");
        let command = format!("stty rows 60 cols 100; {program} {arguments} {saved}");
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is part of every Linux");
        let mut keyboard = child.stdin.take().expect("piped");
        let mut screen = child.stdout.take().expect("piped");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let shown = shown.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = screen.read(&mut bytes) {
                    shown.lock().expect("sound").extend_from_slice(&bytes[..n]);
                }
            }
        });
        let text = || String::from_utf8_lossy(&shown.lock().expect("sound")).into_owned();
        // Every key is answered by a screen, and the first one comes when keys are read.
        let screens = || text().matches("\x1b[?2026l").count();
        for (i, key) in keys.iter().enumerate() {
            let begun = Instant::now();
            while screens() <= i {
                assert!(begun.elapsed() < Duration::from_secs(300), "{}", text());
                std::thread::sleep(Duration::from_millis(5));
            }
            keyboard.write_all(key).expect("typed");
        }
        let code = child.wait().expect("ends").code();
        reader.join().expect("reads");
        (code, text())
    };
    let play =
        |policy: &str, keys: &[&[u8]]| run(&format!("play smax/3m --policy {policy} --save"), keys);
    let given_back = |shown: &str| {
        let (taken, left) = (shown.find("\x1b[?1049h"), shown.rfind("\x1b[?1049l"));
        assert!(taken.is_some() && taken < left, "{shown}");
        assert!(
            shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l"),
            "the cursor is seen"
        );
    };

    // Up for agent 0, right for agent 1, two steps, one back, and another one from there.
    let keys: [&[u8]; 8] = [
        b"\x1b[A", b"\t", b"\x1b[C", b"\r", b"\r", b"\x7f", b"\r", b"q",
    ];
    let (code, shown) = play("keyboard", &keys);
    assert_eq!(code, Some(0), "{shown}");
    given_back(&shown);
    for words in [
        "> agent 0: stop",
        "agent 0: up",
        "> agent 1: right",
        "step 2 of 100",
        "2 steps",
    ] {
        assert!(shown.contains(words), "`{words}` is not in: {shown}");
    }
    let saved = fs::read_to_string(&replay).expect("saved");
    let actions: Vec<Value> = saved
        .lines()
        .skip(2)
        .map(|l| serde_json::from_str::<Value>(l).expect("JSON")["step"]["actions"].clone())
        .collect();
    assert_eq!(
        actions,
        [serde_json::json!([0, 1, 4]), serde_json::json!([0, 1, 4])]
    );

    // The same again from its replay: to its end, no further, and back; then the verdict.
    let keys: [&[u8]; 6] = [b"\r", b"\r", b"\r", b"n", b"\x1b[D", b"q"];
    let (code, shown) = run("replay --watch", &keys);
    assert_eq!(code, Some(0), "{shown}");
    given_back(&shown);
    for words in [
        "moment 0 of 2",
        "moment 2 of 2",
        "the replay ends here",
        "a replay has its own episodes",
        "moment 1 of 2",
        "all 2 steps as recorded",
    ] {
        assert!(shown.contains(words), "`{words}` is not in: {shown}");
    }

    // Watching: a step, back, forth, and Ctrl-C.
    let keys: [&[u8]; 5] = [b"\r", b"\x1b[D", b"\r", b"n", b"\x03"];
    let (code, shown) = play("heuristic", &keys);
    assert_eq!(code, Some(130), "{shown}");
    given_back(&shown);
    assert!(
        shown.contains("moment 0 of 1") && shown.contains("episode 1"),
        "{shown}"
    );
    assert!(
        fs::read_to_string(&replay)
            .expect("saved")
            .contains("\"driver\":\"heuristic\"")
    );
}
