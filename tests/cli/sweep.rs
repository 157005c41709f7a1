//! Sweeps: killed, locked out, on a full disk, added to, in shards, reported.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{arg, merit, output, refused, text};
use serde_json::Value;

/// Two batches of two members, eight updates each.
const TINY: &str = "\
[config]
env = 'matrix/climbing'
algo = 'ippo'
total_steps = 512
envs = 8
rollout = 8
hidden = 16
epochs = 1
minibatches = 2
log_every = 64
checkpoint_every = 128
eval_every = 128
eval_episodes = 16
[grid]
learning_rate = [1e-3, 4e-3]
";

fn tiny(folder: &Path, seeds: usize) -> PathBuf {
    let file = folder.join(format!("tiny-{seeds}.toml"));
    fs::write(&file, format!("seeds = {seeds}\n{TINY}")).expect("written");
    file
}

/// The command that makes the sweep of `file` in `out`, two members to a run.
fn sweep(file: &Path, out: &Path) -> Command {
    let mut command = merit(&["sweep", arg(file), "--out", arg(out), "--population", "2"]);
    // The tests may themselves run in a task of an array.
    for name in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"] {
        command.env_remove(name);
    }
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

/// A sweep of two seeds that nothing disturbed; made once for all tests.
fn whole() -> &'static Path {
    static WHOLE: OnceLock<PathBuf> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("removed");
        }
        fs::create_dir_all(&folder).expect("made");
        let out = folder.join("whole");
        let said = succeeds(&mut sweep(&tiny(&folder, 2), &out));
        assert_eq!(said.lines().count(), 1 + 4, "a line per member: {said}");
        out
    })
}

/// Every file below `folder` that a repeat must write again, by name.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("entry").path();
            let name = path.strip_prefix(folder).expect("below").to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("timing.jsonl") {
                files.insert(name, fs::read(&path).expect("file"));
            }
        }
    }
    files
}

/// The runs of a sweep, each with the number of its members.
fn runs(sweep: &Path) -> Vec<(PathBuf, u64)> {
    let plan = fs::read(sweep.join("sweep.json")).expect("a plan");
    let plan: Value = serde_json::from_slice(&plan).expect("JSON");
    let batches = plan["batches"].as_array().expect("a list");
    let run = |b: &Value| {
        let name = b["name"].as_str().expect("a name");
        let members = b["config"]["seeds"].as_u64().expect("members");
        (sweep.join("runs").join(name), members)
    };
    batches.iter().map(run).collect()
}

/// Says which file differs without printing it.
#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (bytes(a), bytes(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, content) in &a {
        assert!(content == &b[name], "{} differs", name.display());
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, content) in bytes(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
}

/// Lines of metrics in all runs.
fn progress(sweep: &Path) -> usize {
    let runs = fs::read_dir(sweep.join("runs"));
    let runs = runs.into_iter().flatten().flatten();
    let metrics = runs.filter_map(|r| fs::read(r.path().join("metrics.jsonl")).ok());
    metrics
        .map(|bytes| bytes.iter().filter(|b| **b == b'\n').count())
        .sum()
}

#[test]
fn a_sweep_killed_five_times_ends_as_one_left_alone() {
    let folder = tempfile::tempdir().expect("temp");
    let (file, killed) = (tiny(folder.path(), 2), folder.path().join("killed"));
    let all = progress(whole());
    for kill in 0..5 {
        // While there is much left to write.
        #[cfg(unix)]
        if kill == 2 {
            full_disk(&killed);
        }
        // As far as a fifth further than the time before, and from there any number of milliseconds.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH);
        let wait = u64::from(clock.expect("a clock").subsec_nanos()) % 50;
        let mut command = match kill {
            0..3 => sweep(&file, &killed),
            _ => merit(&["sweep", "--resume", arg(&killed)]),
        };
        let quiet = command.stderr(Stdio::null()).stdout(Stdio::null());
        let mut child = quiet.spawn().expect("starts");
        let begun = Instant::now();
        while !killed.join("sweep.json").exists() || progress(&killed) < all * kill / 6 {
            let ended = child.try_wait().expect("child").is_some();
            assert!(!ended && begun.elapsed() < Duration::from_secs(300));
            std::thread::sleep(Duration::from_millis(2));
        }
        if kill == 2 {
            // What the process before has written may be there before this one is at work.
            let lock = fs::File::open(killed.join("sweep.lock")).expect("a lock");
            while lock.try_lock_shared().is_ok() {
                lock.unlock().expect("unlocked");
                let ended = child.try_wait().expect("child").is_some();
                assert!(!ended && begun.elapsed() < Duration::from_secs(300));
                std::thread::sleep(Duration::from_millis(2));
            }
            drop(lock);
            let second = sweep(&file, &killed).output().expect("starts");
            refused(&second, &["killed: another process is at work"]);
        }
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
    succeeds(&mut merit(&["sweep", "--resume", arg(&killed)]));
    assert_same(whole(), &killed);
}

/// A limit on the size of files stands for a disk that has no more room: writing fails, nothing already written is lost.
#[cfg(unix)]
fn full_disk(sweep: &Path) {
    let before = progress(sweep);
    let limited = "trap '' XFSZ; ulimit -f 12; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_merit")])
        .args(["sweep", "--quiet", "--resume", arg(sweep)])
        .output()
        .expect("starts");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("File too large"), "{error}");
    assert_eq!(
        error.lines().filter(|l| l.starts_with("error: ")).count(),
        1
    );
    assert!(
        progress(sweep) + 8 > before,
        "lines up to a checkpoint are kept"
    );
}

#[test]
fn seeds_are_added_beside_what_is_there() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("sweep");
    copy(whole(), &out);
    let file = tiny(folder.path(), 3);
    let mut command = sweep(&file, &out);
    let said = succeeds(command.arg("--tensorboard"));
    assert_eq!(said.lines().count(), 1 + 6, "{said}");
    for (name, content) in bytes(whole()) {
        let now = fs::read(out.join(&name)).expect("still there");
        let grew = ["sweep.json", "summary.json"].map(Path::new);
        assert!(now == content || grew.contains(&name.as_path()), "{name:?}");
    }

    // The new members differ in their learning rate and are one run, yet each is what it is alone.
    let summary = fs::read(out.join("summary.json")).expect("summary");
    let rows: Vec<Value> = serde_json::from_slice(&summary).expect("JSON");
    let new: Vec<_> = rows.iter().filter(|r| r["seed"] == 2).collect();
    assert_eq!(new.len(), 2);
    assert_eq!(new[0]["run"], new[1]["run"]);
    assert_eq!(new[1]["name"], "ippo learning_rate=0.004");
    let config = TINY.split("[grid]").next().expect("a table");
    let config_file = folder.path().join("alone.toml");
    fs::write(&config_file, config.replace("[config]\n", "")).expect("written");
    let alone = folder.path().join("alone");
    succeeds(&mut merit(&[
        "train",
        "--config",
        arg(&config_file),
        "--seed",
        "2",
        "--set",
        "learning_rate=4e-3",
        "--quiet",
        "--out",
        arg(&alone),
    ]));
    let alone = fs::read(alone.join("summary.json")).expect("summary");
    let alone: Value = serde_json::from_slice(&alone).expect("JSON");
    assert_eq!(alone["members"][0]["before"], new[1]["before"]);
    assert_eq!(alone["members"][0]["after"], new[1]["after"]);

    let run = new[1]["run"].as_str().expect("a name");
    let board = out.join("runs").join(run).join("tensorboard");
    let mut events = 0;
    for member in ["seed-2 learning_rate=0.001", "seed-2 learning_rate=0.004"] {
        let file = fs::read_dir(board.join(member)).expect("events").next();
        let path = file.expect("a file").expect("entry").path();
        assert!(arg(&path).contains("/events.out.tfevents."));
        let steps = event_steps(&fs::read(path).expect("events"));
        assert_eq!((steps.first(), steps.last()), (Some(&0), Some(&512)));
        events = steps.len();
    }
    // Five evaluations, eight log points with a rate each.
    assert_eq!(events, 5 + 2 * 8);

    refused(
        &sweep(&tiny(folder.path(), 1), &out)
            .output()
            .expect("starts"),
        &["another sweep", "only add to the file"],
    );
}

/// Steps of the events in a file, by the format's own rules; the header's event has none.
fn event_steps(mut bytes: &[u8]) -> Vec<u64> {
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
        let data = &bytes[12..12 + length];
        // The first field is the time, nine bytes; then a step, or the header's version.
        if data[9] == 0x10 {
            let mut step = 0;
            for (i, byte) in data[10..].iter().enumerate() {
                step |= u64::from(byte & 0x7f) << (7 * i);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            steps.push(step);
        }
        bytes = &bytes[12 + length + 4..];
    }
    steps
}

#[test]
fn shards_are_merged_to_the_whole() {
    let folder = tempfile::tempdir().expect("temp");
    let file = tiny(folder.path(), 2);
    let [a, b, merged] = ["a", "b", "merged"].map(|name| folder.path().join(name));
    succeeds(sweep(&file, &a).args(["--shard", "1/2"]));
    let mut second = sweep(&file, &b);
    second
        .args(["--shards", "2"])
        .env("JOB_COMPLETION_INDEX", "1");
    succeeds(&mut second);
    refused(
        &sweep(&file, &a).output().expect("starts"),
        &["is the directory of shard 1/2 of the sweep, not of all"],
    );
    let more = tiny(folder.path(), 3);
    refused(
        &sweep(&more, &a)
            .args(["--shard", "1/2"])
            .output()
            .expect("starts"),
        &["another file", "merit merge"],
    );

    let said = succeeds(&mut merit(&["merge", arg(&merged), arg(&a)]));
    assert!(
        said.contains("2 members of the sweep are in none of these"),
        "{said}"
    );
    // A copy from another machine may lack it.
    fs::remove_file(b.join("sweep.lock")).expect("there");
    for time in 0..3 {
        if time == 2 {
            // What a merge leaves that is killed while it copies.
            let run = fs::read_dir(merged.join("runs")).expect("runs").next();
            let run = run.expect("a run").expect("entry").path();
            fs::rename(&run, run.with_extension("tmp")).expect("renamed");
        }
        let said = succeeds(&mut merit(&["merge", arg(&merged), arg(&a), arg(&b)]));
        assert_eq!(said.lines().count(), 1 + 4, "{said}");
        assert_same(whole(), &merged);
    }
    // A merged sweep is one that can be gone on with.
    succeeds(&mut sweep(&file, &merged));
    assert_same(whole(), &merged);

    // The same run with another result has been tampered with, or trained on another adapter.
    let run = fs::read_dir(a.join("runs")).expect("runs").next();
    let summary = run
        .expect("a run")
        .expect("entry")
        .path()
        .join("summary.json");
    let other = fs::read_to_string(&summary).expect("summary") + " ";
    fs::write(&summary, other).expect("written");
    let merge = ["merge", arg(&merged), arg(&a)];
    refused(&output(&merge), &["the same run with different results"]);
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("out");
    let file = folder.path().join("s.toml");
    let try_with = |content: &str, more: &[&str]| {
        fs::write(&file, content).expect("written");
        let mut command = sweep(&file, &out);
        command.args(more).output().expect("starts")
    };
    for (content, words) in [
        (
            "sedes = 3",
            &["s.toml: unknown key `sedes`", "did you mean `seeds`?"][..],
        ),
        ("seeds = = 3", &["s.toml:1:9"]),
        ("[grid]\ngamma = []", &["[grid] `gamma` is empty"]),
        ("[grid]\ngama = [0.9]", &["`gama`", "did you mean `gamma`?"]),
        (
            "[grid]\nenv = ['smax/3m', 'smax/3n']",
            &["mappo on smax/3n", "did you mean `smax/3m`?"],
        ),
        (
            "[config]\nminibatches = 7",
            &["mappo on smax/3m", "minibatches = 7", "must divide"],
        ),
        (
            "[random]\npoints = 1\ngamma = { uniform = [1.1, 1.5] }\nseed = 3",
            &["`gamma` is 1.", "0 to 1"],
        ),
    ] {
        refused(&try_with(content, &[]), words);
    }
    for (shard, word) in [("3/2", "1/4"), ("x", "1/4"), ("0/2", "1/4")] {
        let refused = try_with("seeds = 2", &["--shard", shard]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(word));
    }
    refused(
        &try_with("seeds = 2", &["--shards", "2"]),
        &["--shards needs SLURM_ARRAY_TASK_ID"],
    );
    assert_eq!(
        try_with("seeds = 2", &["--population", "0"]).status.code(),
        Some(2)
    );
    assert!(!out.exists(), "something was written");

    let missing = folder.path().join("missing.toml");
    refused(
        &sweep(&missing, &out).output().expect("starts"),
        &["cannot read", "missing.toml"],
    );
    fs::write(&file, "seeds = 2").expect("written");
    let below_a_file = file.join("out");
    refused(
        &sweep(&file, &below_a_file).output().expect("starts"),
        &["cannot write in"],
    );
    refused(
        &sweep(&file, folder.path()).output().expect("starts"),
        &["already holds files"],
    );
    refused(
        &output(&["sweep", "--resume", arg(folder.path())]),
        &["is no sweep", "sweep.json"],
    );
    refused(
        &output(&["merge", arg(&out), arg(folder.path())]),
        &["is no sweep"],
    );
    assert!(!out.exists(), "something was written");

    // Listing writes nothing either.
    let listed = succeeds(sweep(&tiny(folder.path(), 3), &out).arg("--dry-run"));
    assert_eq!(listed.lines().count(), 1 + 6, "{listed}");
    assert!(
        listed.contains("matrix/climbing ippo learning_rate=0.004 seed 2"),
        "{listed}"
    );
    assert!(!out.exists(), "something was written");
}

#[test]
fn a_sweep_is_reported() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("report");
    succeeds(&mut merit(&["report", arg(whole()), "--out", arg(&out)]));
    let page = fs::read_to_string(out.join("report.html")).expect("page");
    crate::report::is_self_contained(&page);
    for words in [
        "matrix/climbing",
        "ippo learning_rate=0.004",
        "4 members in 2 runs; 4 are complete.",
        "Sample efficiency",
        "probability of improvement",
        "performance profiles",
        "explained_variance",
        "total_steps = 512",
    ] {
        assert!(page.contains(words), "`{words}` is not in the page");
    }
    let markdown = fs::read_to_string(out.join("report.md")).expect("tables");
    assert!(
        markdown.contains("| ippo learning_rate=0.001 | 2 |"),
        "{markdown}"
    );
    let marl = fs::read(out.join("marl-eval.json")).expect("marl-eval");
    let marl: Value = serde_json::from_slice(&marl).expect("JSON");
    let seed = &marl["matrix"]["climbing"]["ippo learning_rate=0.004"]["seed_1"];
    assert_eq!(seed["step_4"]["step_count"], 512);

    // A sweep under way is reported as far as it is.
    let part = folder.path().join("part");
    copy(whole(), &part);
    let run = fs::read_dir(part.join("runs")).expect("runs").next();
    fs::remove_dir_all(run.expect("a run").expect("entry").path()).expect("removed");
    succeeds(&mut merit(&["report", arg(&part)]));
    let page = fs::read_to_string(part.join("report/report.html")).expect("page");
    assert!(page.contains("2 more have not begun"), "{page}");
}

#[cfg(unix)]
#[test]
fn the_cluster_scripts_are_shell() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clusters.md");
    let page = fs::read_to_string(page).expect("the page");
    let blocks: Vec<_> = page.split("```bash\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let script = block.split("```").next().expect("a block");
        let checked = Command::new("bash").args(["-n", "-c", script]).output();
        let checked = checked.expect("bash starts");
        assert!(checked.status.success(), "{}", text(&checked.stderr));
    }
}

/// 30 agents that see each other: 21 kilobytes an environment, of which an evaluation has 256 a member. 26 members' training fits llvmpipe's
/// bindings, their evaluation does not.
const WIDE: &str = "\
seeds = 26
[config]
env = 'mpe/simple_spread_30'
algo = 'ippo'
total_steps = 8
envs = 1
rollout = 8
hidden = 16
epochs = 1
minibatches = 1
log_every = 1
eval_episodes = 256
[config.env_options]
max_steps = 3
";

#[test]
fn a_population_whose_evaluation_does_not_fit_is_split() {
    let doctor = output(&["doctor"]);
    let binding = text(&doctor.stdout)
        .lines()
        .find(|l| l.contains("largest buffer binding"));
    if !binding.expect("doctor says it").ends_with(" 128 MiB") {
        eprintln!("skipped: this adapter binds more than llvmpipe's 128 MiB, or less");
        return;
    }
    let folder = tempfile::tempdir().expect("temp");
    let (file, out) = (folder.path().join("wide.toml"), folder.path().join("out"));
    fs::write(&file, WIDE).expect("written");
    let mut command = merit(&["sweep", arg(&file), "--out", arg(&out)]);
    let output = command.output().expect("starts");
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("two runs in its place"), "{said}");
    let runs = runs(&out);
    assert_eq!(runs.iter().map(|r| r.1).collect::<Vec<_>>(), [13, 13]);
    assert!(runs.iter().all(|r| r.0.join("summary.json").exists()));
    let kept = fs::read_dir(out.join("runs")).expect("runs").count();
    assert_eq!(kept, 2, "what was split is gone");
}

#[test]
fn what_is_trained_in_part_is_not_split() {
    let folder = tempfile::tempdir().expect("temp");
    let out = folder.path().join("out");
    copy(whole(), &out);
    let (run, _) = runs(&out).remove(0);
    fs::remove_file(run.join("summary.json")).expect("removed");
    // As on an adapter that has no memory for it any more.
    let file = run.join("run.toml");
    let config = fs::read_to_string(&file).expect("a configuration");
    let large = config.replace("envs = 8", "envs = 4194304");
    let large = large.replace("total_steps = 512", "total_steps = 1073741824");
    assert_ne!(config, large);
    fs::write(&file, large).expect("written");
    let before = bytes(&out.join("runs"));
    refused(
        &output(&["sweep", "--quiet", "--resume", arg(&out)]),
        &[
            "is trained to step 512 with 2 members side by side",
            "begin again in smaller runs",
        ],
    );
    assert_eq!(bytes(&out.join("runs")), before, "nothing is lost");
    // The summary of the whole sweep is none of one that is not complete.
    assert!(!out.join("summary.json").exists());
}

#[test]
fn a_shard_is_neither_merged_into_nor_empty() {
    let folder = tempfile::tempdir().expect("temp");
    let file = tiny(folder.path(), 2);
    let empty = sweep(&file, &folder.path().join("empty"))
        .args(["--shard", "1/100"])
        .output()
        .expect("starts");
    refused(
        &empty,
        &["shard 1/100 of 4 members is empty", "at most 4 shards"],
    );
    assert!(!folder.path().join("empty").exists());
    let shard = folder.path().join("shard");
    let plan = fs::read_to_string(whole().join("sweep.json")).expect("a plan");
    let plan = plan.replace("\"shard\": null", "\"shard\": {\"index\": 1, \"of\": 2}");
    fs::create_dir_all(&shard).expect("made");
    fs::write(shard.join("sweep.json"), plan).expect("written");
    let merged = output(&["merge", arg(&shard), arg(whole())]);
    refused(
        &merged,
        &["is shard 1/2 of a sweep", "name another directory"],
    );
    // What cannot be written to is not listed either.
    let other = output(&[
        "sweep",
        arg(&file),
        "--out",
        arg(folder.path()),
        "--dry-run",
    ]);
    refused(&other, &["already holds files"]);
}
