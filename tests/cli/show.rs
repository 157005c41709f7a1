//! The commands that only show something.

use crate::common::{output, refused, text};
use serde_json::Value;

#[test]
fn doctor_reports_an_adapter_and_that_training_can_run() {
    let full = output(&["doctor"]);
    assert!(full.status.success(), "{}", text(&full.stderr));
    let report = text(&full.stdout);
    for word in [
        "adapters\n  0  ",
        "driver",
        "largest buffer binding",
        "subgroups",
        "training can run",
    ] {
        assert!(report.contains(word), "`{word}` is not in: {report}");
    }
    let quiet = output(&["doctor", "--quiet"]);
    assert!(quiet.status.success() && quiet.stdout.is_empty());
}

#[test]
fn envs_lists_every_scenario_of_the_reference_with_its_sizes() {
    let listed = output(&["envs", "--json"]);
    let rows: Vec<Value> = text(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let sizes = |name: &str| {
        let row = rows.iter().find(|r| r["env"] == name).expect(name);
        ["agents", "obs", "state", "actions"].map(|key| row[key].as_u64().expect(key))
    };
    // The table of the reference (`docs/environments/smax.md`).
    assert_eq!(sizes("smax/3m"), [3, 75, 72, 8]);
    assert_eq!(sizes("smax/27m_vs_30m"), [27, 738, 684, 35]);
    assert_eq!(sizes("smax/3s5z_vs_3s6z"), [8, 218, 204, 14]);
    assert_eq!(sizes("smax/smacv2_20_units"), [20, 517, 480, 25]);
    let table = output(&["envs"]);
    assert_eq!(text(&table.stdout).lines().count(), rows.len() + 1);
}

#[test]
fn envs_tells_the_shapes_and_what_actions_mean() {
    let listed = output(&["envs", "smax/3m", "--json"]);
    let row: Value = serde_json::from_slice(&listed.stdout).expect("one object");
    assert_eq!(row["obs_shape"], serde_json::json!([3, 75]));
    assert_eq!(row["action_shape"], serde_json::json!([3]));
    assert_eq!(row["max_steps"], 100);
    let names = row["action_names"].as_array().expect("names");
    assert_eq!(
        names.len() as u64,
        row["actions"].as_u64().expect("actions")
    );
    assert_eq!((&names[0], &names[7]), (&"up".into(), &"attack 2".into()));
    assert!(row["reference"].as_str().expect("text").contains("JaxMARL"));

    let one = output(&["envs", "smax/3m"]);
    let detail = text(&one.stdout);
    for words in [
        "3 x 75",
        "3 (one of 8 each)",
        "0 up, 1 right",
        "100",
        "JaxMARL",
    ] {
        assert!(detail.contains(words), "`{words}` is not in: {detail}");
    }
    let family = output(&["envs", "smax"]);
    let all = output(&["envs"]);
    assert!(text(&family.stdout).lines().count() > 2);
    assert!(all.stdout.starts_with(&family.stdout[..20]));
    refused(
        &output(&["envs", "smax/3n"]),
        &["`smax/3n`", "did you mean `smax/3m`?"],
    );
}

#[test]
fn bench_prints_an_object_per_measurement() {
    let measured = output(&[
        "bench",
        "smax/3m",
        "--envs",
        "1,64",
        "--seconds",
        "0.2",
        "--json",
    ]);
    assert!(measured.status.success(), "{}", text(&measured.stderr));
    let rows: Vec<Value> = text(&measured.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(
        rows.iter().map(|r| r["envs"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(64)]
    );
    for row in &rows {
        assert_eq!(
            (&row["env"], &row["policy"]),
            (&"smax/3m".into(), &"random".into())
        );
        let rate = row["env_steps_per_s"].as_f64().expect("rate");
        assert!(rate > 0.0);
        assert!((row["agent_steps_per_s"].as_f64().expect("rate") / rate - 3.0).abs() < 1e-9);
        let dispatches = row["dispatches_per_step"].as_u64().expect("dispatches");
        assert!((1..=4).contains(&dispatches), "{dispatches}");
        assert!(row["bytes_per_step"].as_u64().expect("bytes") > 0);
        assert!(row["floor_ratio"].as_f64().expect("ratio") > 0.0);
        assert!(row["adapter"].is_string() && row["driver"].is_string());
    }
}

/// Two updates or so of each: as many in both, and the same parameters after them.
#[test]
fn bench_trains_from_both_replays() {
    let measured = output(&[
        "bench",
        "matrix/3x3",
        "--learner-replay",
        "device,host",
        "--envs=4",
        "--seconds=0.2",
        "--set=rollout=16",
        "--set=replay=1k",
        "--set=learning_starts=64",
        "--set=hidden=16",
        "--json",
    ]);
    assert!(measured.status.success(), "{}", text(&measured.stderr));
    let rows: Vec<Value> = text(&measured.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let places: Vec<_> = rows.iter().map(|r| r["replay"].as_str()).collect();
    assert_eq!(places, [Some("device"), Some("host")]);
    for row in &rows {
        assert_eq!(row["algo"], "qmix");
        assert!(row["env_steps_per_s"].as_f64().expect("a rate") > 0.0);
        assert_eq!(row["runs"].as_array().expect("runs").len(), 5);
        let travels = row["replay"] == "host";
        for key in ["bytes_read", "bytes_uploaded"] {
            assert_eq!(row[key].as_u64().expect("bytes") > 0, travels, "{key}");
        }
    }
    assert_eq!(rows[0]["updates"], rows[1]["updates"]);
    assert_eq!(rows[0]["parameters_crc32"], rows[1]["parameters_crc32"]);
}

#[test]
fn bench_trains_what_the_host_can_put_together() {
    let bench =
        |more: &[&str]| output(&[&["bench", "matrix/3x3", "--learner-replay=host"], more].concat());
    refused(&bench(&["--algo=qplex"]), &["qplex", "iql, vdn and qmix"]);
    refused(&bench(&["--set=batch=0"]), &["`batch` is 0"]);
    refused(
        &bench(&["--set=replay_unit=rollouts"]),
        &["replay_unit = \"episodes\""],
    );
    assert_eq!(bench(&["--policy=random"]).status.code(), Some(2));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::Stdio;
    let mut child = crate::common::merit(&["envs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let done = child.wait_with_output().expect("ends");
    assert!(
        done.status.success() && done.stderr.is_empty(),
        "{}",
        text(&done.stderr)
    );
}
