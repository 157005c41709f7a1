//! The training loop: when to update, report, evaluate and save, whatever the algorithm.
//!
//! All points are counted in updates from the start of the run, so a resumed run passes the same ones. A checkpoint is
//! always also a log point: the sums of ended episodes are empty then and need no saving.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::LearnError;
use crate::config::Config;
use crate::learner::Learner;
use crate::record::{Record, Summary, TimingRecord};
use crate::run::{Run, RunError, Saved};

/// Evaluations play in environments of other seeds than training; the same ones each time, so that two evaluations of
/// a run differ by the policy alone.
pub const EVAL_SEED_OFFSET: u64 = 1 << 20;

/// What happened, for whoever shows progress.
#[derive(Debug)]
pub enum Event<'a> {
    Evaluated(&'a Record),
    Logged(&'a Record, &'a TimingRecord),
    Saved { step: u64, path: &'a Path },
}

/// How a call of [`train`] ended.
#[derive(Debug)]
pub enum Outcome {
    Finished(Summary),
    /// Asked to stop: the run was saved at `step`.
    Interrupted {
        step: u64,
    },
}

/// Points of a run, in updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    updates: u64,
    log: u64,
    save: u64,
    /// 0: only before and after.
    eval: u64,
}

impl Schedule {
    fn new(config: &Config, learner: &dyn Learner) -> Self {
        let updates = |steps: u64| steps.div_ceil(learner.steps_per_update());
        Self {
            updates: learner.updates(),
            log: updates(config.log_every),
            save: updates(config.checkpoint_every),
            eval: updates(config.eval_every),
        }
    }

    fn saves(&self, update: u64) -> bool {
        update == self.updates || update.is_multiple_of(self.save)
    }

    fn logs(&self, update: u64) -> bool {
        self.saves(update) || update.is_multiple_of(self.log)
    }

    fn evaluates(&self, update: u64) -> bool {
        // A multiple of 0 is 0 alone: the evaluation before training.
        update == self.updates || update.is_multiple_of(self.eval)
    }
}

/// Puts `learner` and `run` where `saved` stands, or at the start if there is no checkpoint.
///
/// # Errors
/// As [`restore`] and [`Run::rewind`].
pub fn resume(
    learner: &mut dyn Learner,
    run: &mut Run,
    saved: Option<&Saved>,
) -> Result<(), RunError> {
    if let Some(saved) = saved {
        restore(learner, saved)?;
    }
    run.rewind(saved.map(|s| s.step))
}

/// [`Learner::restore`], with the file in the message.
///
/// # Errors
/// [`RunError::Damaged`] if the checkpoint is not this learner's.
pub fn restore(learner: &mut dyn Learner, saved: &Saved) -> Result<(), RunError> {
    learner.restore(&saved.arrays).map_err(|e| match e {
        LearnError::Checkpoint(problem) => RunError::Damaged {
            path: saved.path.clone(),
            problem,
            remedy: "it was written for another configuration or version".into(),
        },
        other => other.into(),
    })
}

/// Trains to the end, or to the first log point after `stop` was set.
///
/// # Errors
/// Whatever the learner or the disk reports.
pub fn train(
    learner: &mut dyn Learner,
    run: &mut Run,
    stop: &AtomicBool,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, RunError> {
    let config = run.info.config.clone();
    let schedule = Schedule::new(&config, learner);
    let mut logged = learner.env_steps();
    if learner.updates_done() == 0 {
        evaluate(learner, run, &config, on)?;
    }
    while learner.updates_done() < schedule.updates {
        learner.update()?;
        let (step, update) = (learner.env_steps(), learner.updates_done());
        if schedule.logs(update) {
            let (reports, timing) = learner.report()?;
            let record = Record::training(&config, step, update, &reports);
            let env_steps = (step - logged) * config.seeds as u64;
            let timing = TimingRecord::new(step, env_steps, &timing);
            logged = step;
            run.log(&record)?;
            run.log_timing(&timing)?;
            on(Event::Logged(&record, &timing));
        }
        if schedule.evaluates(update) {
            evaluate(learner, run, &config, on)?;
        }
        // Between log points the sums of ended episodes are under way: a checkpoint there would lose them.
        let stopping = stop.load(Ordering::Relaxed) && schedule.logs(update);
        if schedule.saves(update) || stopping {
            let path = run.save(step, &learner.checkpoint()?)?;
            run.prune(|step| schedule.saves(step / learner.steps_per_update()))?;
            on(Event::Saved { step, path: &path });
        }
        if stopping && update < schedule.updates {
            return Ok(Outcome::Interrupted { step });
        }
    }
    // Also where the run was killed between its last checkpoint and this.
    run.prune(|step| schedule.saves(step / learner.steps_per_update()))?;
    Ok(Outcome::Finished(run.finish()?))
}

fn evaluate(
    learner: &mut dyn Learner,
    run: &mut Run,
    config: &Config,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<(), RunError> {
    let seed = config.seed + EVAL_SEED_OFFSET;
    let stats = learner.evaluate(config.eval_episodes, config.eval_greedy, seed)?;
    let (step, update) = (learner.env_steps(), learner.updates_done());
    let record = Record::evaluation(config, step, update, &stats);
    run.log(&record)?;
    on(Event::Evaluated(&record));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use merit_sim::env::EpisodeStats;

    use super::*;
    use crate::learner::{Array, Checkpoint, MemberReport, Timing};
    use crate::run::{RunInfo, check_free, newest_checkpoint};

    /// A learner whose whole state is one number per member that every update scrambles, so that a lost or repeated
    /// update shows in every later byte.
    struct Scrambler {
        state: Vec<u64>,
        pending: Vec<f64>,
        done: u64,
        updates: u64,
        /// Fails in this update, as if the process had been killed.
        dies_in: Option<u64>,
        stop_in: Option<u64>,
        stop: &'static AtomicBool,
    }

    impl Scrambler {
        fn new(config: &Config) -> Self {
            Self {
                state: (config.seed..).take(config.seeds).collect(),
                pending: vec![0.0; config.seeds],
                done: 0,
                updates: config.total_steps / 10,
                dies_in: None,
                stop_in: None,
                stop: Box::leak(Box::new(AtomicBool::new(false))),
            }
        }
    }

    impl Learner for Scrambler {
        fn env_steps(&self) -> u64 {
            self.done * 10
        }

        fn steps_per_update(&self) -> u64 {
            10
        }

        fn updates(&self) -> u64 {
            self.updates
        }

        fn updates_done(&self) -> u64 {
            self.done
        }

        fn update(&mut self) -> Result<(), LearnError> {
            if self.dies_in == Some(self.done) {
                return Err(LearnError::Burn("killed".into()));
            }
            if self.stop_in == Some(self.done) {
                self.stop.store(true, Ordering::Relaxed);
            }
            for (state, pending) in self.state.iter_mut().zip(&mut self.pending) {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                *pending += (*state >> 40) as f64;
            }
            self.done += 1;
            Ok(())
        }

        fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
            let report = |pending: &mut f64| MemberReport {
                episodes: EpisodeStats {
                    episodes: 3.0,
                    return_sum: std::mem::take(pending),
                    ..EpisodeStats::default()
                },
                diagnostics: BTreeMap::from([
                    ("entropy".to_owned(), 0.1),
                    ("actor_loss".to_owned(), f64::NAN),
                ]),
            };
            Ok((
                self.pending.iter_mut().map(report).collect(),
                Timing::default(),
            ))
        }

        fn evaluate(
            &mut self,
            episodes: usize,
            greedy: bool,
            seed: u64,
        ) -> Result<Vec<EpisodeStats>, LearnError> {
            let stats = |state: &u64| EpisodeStats {
                episodes: episodes as f64,
                truncations: if greedy { episodes as f64 } else { 0.0 },
                wins: ((state ^ seed) % 100) as f64,
                ..EpisodeStats::default()
            };
            Ok(self.state.iter().map(stats).collect())
        }

        fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
            let state = Array::U64 {
                shape: vec![self.state.len()],
                data: self.state.clone(),
            };
            let done = Array::U64 {
                shape: vec![],
                data: vec![self.done],
            };
            Ok(Checkpoint::from([
                ("state".into(), state),
                ("done".into(), done),
            ]))
        }

        fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
            let (Some(Array::U64 { data: state, .. }), Some(Array::U64 { data: done, .. })) =
                (checkpoint.get("state"), checkpoint.get("done"))
            else {
                return Err(LearnError::Checkpoint("no array `state` or `done`".into()));
            };
            (self.state, self.done) = (state.clone(), done[0]);
            Ok(())
        }
    }

    fn info() -> RunInfo {
        let mut config = Config {
            total_steps: 235,
            seeds: 3,
            log_every: 20,
            checkpoint_every: 50,
            eval_every: 100,
            ..Config::default()
        };
        config.env_options.insert("max_steps".into(), 60.into());
        RunInfo {
            merit: "0.1.0".into(),
            commit: "unknown".into(),
            adapter: "a".into(),
            driver: "d".into(),
            config,
        }
    }

    /// Every file of a run, by name.
    fn bytes(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in [run.to_owned(), run.join("checkpoints")] {
            for entry in fs::read_dir(folder).expect("run") {
                let path = entry.expect("entry").path();
                if path.is_file() {
                    let name = path.strip_prefix(run).expect("below").to_owned();
                    files.insert(name, fs::read(&path).expect("file"));
                }
            }
        }
        files
    }

    fn go(learner: &mut Scrambler, run: &mut Run) -> Result<Outcome, RunError> {
        let stop = learner.stop;
        train(learner, run, stop, &mut |_| {})
    }

    fn whole_run(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut run = Run::create(path, info()).expect("created");
        let outcome = go(&mut Scrambler::new(&info().config), &mut run).expect("trains");
        assert!(matches!(outcome, Outcome::Finished(_)));
        bytes(path)
    }

    fn go_on(path: &Path) -> Result<Outcome, RunError> {
        let mut run = Run::open(path)?;
        let mut learner = Scrambler::new(&run.info.config);
        resume(&mut learner, &mut run, newest_checkpoint(path)?.as_ref())?;
        go(&mut learner, &mut run)
    }

    #[test]
    fn a_run_leaves_what_its_page_lists() {
        let folder = tempfile::tempdir().expect("temp");
        let files = whole_run(&folder.path().join("run"));
        let names: Vec<_> = files.keys().filter_map(|p| p.to_str()).collect();
        assert_eq!(
            names,
            [
                "checkpoints/step-200.safetensors",
                "checkpoints/step-230.safetensors",
                "marl-eval.json",
                "metrics.jsonl",
                "run.toml",
                "summary.json",
                "timing.jsonl",
            ]
        );
        let records = crate::run::records(&folder.path().join("run")).expect("records");
        let steps = |kind| {
            records
                .iter()
                .filter(|r| r.kind == kind)
                .map(|r| r.step)
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(crate::record::Kind::Eval), [0, 100, 200, 230]);
        // Every second update, every fifth (a checkpoint) and the last.
        let logs = [
            20, 40, 50, 60, 80, 100, 120, 140, 150, 160, 180, 200, 220, 230,
        ];
        assert_eq!(steps(crate::record::Kind::Train), logs);
        assert_eq!(records[1].members[0].diagnostics["actor_loss"], None);
        assert_eq!(records[1].members[2].seed, 2);
    }

    #[test]
    fn evaluations_are_greedy_where_the_configuration_says_so() {
        for greedy in [false, true] {
            let dir = tempfile::tempdir().expect("temp");
            let mut info = info();
            info.config.eval_greedy = greedy;
            let mut run = Run::create(&dir.path().join("run"), info).expect("created");
            let mut learner = Scrambler::new(&run.info.config);
            let mut truncated = Vec::new();
            train(
                &mut learner,
                &mut run,
                &AtomicBool::new(false),
                &mut |event| {
                    if let Event::Evaluated(record) = event {
                        truncated.extend(record.members.iter().map(|m| m.truncated));
                    }
                },
            )
            .expect("trained");
            assert!(truncated.len() >= 6);
            let all = Some(f64::from(u8::from(greedy)));
            assert!(truncated.iter().all(|t| *t == all), "{truncated:?}");
        }
    }

    #[test]
    fn a_complete_run_that_is_gone_on_with_is_not_complete() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("run");
        let files = whole_run(&path);
        fs::remove_file(path.join("checkpoints/step-230.safetensors")).expect("removed");
        let mut run = Run::open(&path).expect("opened");
        let mut learner = Scrambler::new(&run.info.config);
        let saved = newest_checkpoint(&path).expect("readable");
        assert_eq!(saved.as_ref().map(|s| s.step), Some(200));
        resume(&mut learner, &mut run, saved.as_ref()).expect("resumed");
        for name in ["summary.json", "marl-eval.json"] {
            assert!(
                !path.join(name).exists(),
                "{name} says what is not there any more"
            );
        }
        go(&mut learner, &mut run).expect("trained");
        drop(run);
        assert_eq!(bytes(&path), files);
    }

    #[test]
    fn a_run_killed_in_any_update_ends_with_the_same_bytes() {
        let folder = tempfile::tempdir().expect("temp");
        let whole = whole_run(&folder.path().join("whole"));
        for update in 0..23 {
            let path = folder.path().join(format!("killed-{update}"));
            let mut run = Run::create(&path, info()).expect("created");
            let mut learner = Scrambler::new(&info().config);
            learner.dies_in = Some(update);
            go(&mut learner, &mut run).expect_err("dies");
            drop(run);
            // What the death of a writer leaves: a line and a file cut short.
            let metrics = path.join("metrics.jsonl");
            let mut text = fs::read_to_string(&metrics).expect("metrics");
            text.push_str("{\"kind\":\"tra");
            fs::write(&metrics, text).expect("written");
            fs::write(path.join("checkpoints/step-999.safetensors.tmp"), b"\x07").expect("written");
            go_on(&path).expect("goes on");
            assert_eq!(bytes(&path), whole, "killed in update {update}");
        }
    }

    #[test]
    fn an_interrupted_run_is_saved_and_ends_with_the_same_bytes() {
        let folder = tempfile::tempdir().expect("temp");
        let whole = whole_run(&folder.path().join("whole"));
        for update in 0..23 {
            let path = folder.path().join(format!("stopped-{update}"));
            let mut run = Run::create(&path, info()).expect("created");
            let mut learner = Scrambler::new(&info().config);
            learner.stop_in = Some(update);
            let outcome = go(&mut learner, &mut run).expect("stops");
            drop(run);
            if let Outcome::Interrupted { step } = outcome {
                assert!(
                    path.join(format!("checkpoints/step-{step}.safetensors"))
                        .exists()
                );
                go_on(&path).expect("goes on");
            }
            assert_eq!(bytes(&path), whole, "stopped in update {update}");
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_named_and_never_used() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("run");
        whole_run(&path);
        let newest = path.join("checkpoints/step-230.safetensors");
        let good = fs::read(&newest).expect("checkpoint");
        let mut flipped = good.clone();
        *flipped.last_mut().expect("not empty") ^= 1;
        let older = fs::read(path.join("checkpoints/step-200.safetensors")).expect("checkpoint");
        for bad in [
            &good[..good.len() - 1],
            &good[..9],
            &[],
            b"not a checkpoint",
            &flipped,
            &older,
        ] {
            fs::write(&newest, bad).expect("written");
            let before = bytes(&path);
            let e = go_on(&path).expect_err("refused").to_string();
            assert!(e.contains("step-230.safetensors is damaged: "), "{e}");
            assert!(e.ends_with("delete it to go on from step 200"), "{e}");
            assert_eq!(bytes(&path), before);
        }
    }

    #[test]
    fn a_checkpoint_of_another_learner_is_refused() {
        let folder = tempfile::tempdir().expect("temp");
        let mut run = Run::create(&folder.path().join("run"), info()).expect("created");
        let odd = Array::F32 {
            shape: vec![2],
            data: vec![0.5, -1.0],
        };
        run.save(10, &Checkpoint::from([("odd".into(), odd)]))
            .expect("saved");
        drop(run);
        let e = go_on(&folder.path().join("run")).expect_err("refused");
        assert!(e.to_string().contains("no array `state`"), "{e}");
    }

    #[test]
    fn arrays_of_every_type_come_back() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("run");
        let mut run = Run::create(&path, info()).expect("created");
        let checkpoint = Checkpoint::from([
            (
                "a".into(),
                Array::F32 {
                    shape: vec![1, 3],
                    data: vec![0.5, f32::MIN_POSITIVE, -0.0],
                },
            ),
            (
                "b".into(),
                Array::U32 {
                    shape: vec![2],
                    data: vec![0, u32::MAX],
                },
            ),
            (
                "c".into(),
                Array::U64 {
                    shape: vec![],
                    data: vec![u64::MAX],
                },
            ),
            (
                "d".into(),
                Array::U8 {
                    shape: vec![3],
                    data: vec![1, 2, 3],
                },
            ),
            (
                "e".into(),
                Array::F32 {
                    shape: vec![0],
                    data: vec![],
                },
            ),
        ]);
        run.save(7, &checkpoint).expect("saved");
        let saved = newest_checkpoint(&path).expect("reads").expect("exists");
        assert_eq!((saved.step, saved.arrays), (7, checkpoint));
    }

    #[test]
    fn directories_that_cannot_be_used_are_refused() {
        let folder = tempfile::tempdir().expect("temp");
        let path = folder.path().join("run");
        assert!(matches!(Run::open(&path), Err(RunError::Foreign(_))));
        check_free(&path).expect("free");
        assert!(!path.exists());
        let run = Run::create(&path, info()).expect("created");
        assert!(matches!(Run::open(&path), Err(RunError::Busy(_))));
        drop(run);
        assert_eq!(Run::open(&path).expect("opens").info, info());
        let e = check_free(&path).expect_err("used").to_string();
        assert!(
            e.contains("already holds files") && e.contains("--resume"),
            "{e}"
        );
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        assert!(matches!(
            check_free(&file),
            Err(RunError::NotWritable { .. })
        ));
        assert!(matches!(
            check_free(&file.join("run")),
            Err(RunError::NotWritable { .. })
        ));
        for bad in ["merit = ", "merit = \"0.1.0\"\nnonsense = 1\n", ""] {
            fs::write(path.join("run.toml"), bad).expect("written");
            assert!(
                matches!(Run::open(&path), Err(RunError::Damaged { .. })),
                "{bad}"
            );
        }
    }
}
