//! Rates of value decomposition with its replay on the device and in host memory: what keeping it on the device is worth.

use std::time::{Duration, Instant};

use merit_sim::gpu::{Gpu, GpuError, Region};
use merit_sim::registry;
use serde::Serialize;

use crate::LearnError;
use crate::config::Config;
use crate::host_replay::{self, HostDoubleQ};
use crate::learner::{Learner, Timing};
use crate::ppo::options;
use crate::q_learning::{DoubleQ, QLearner, train_env};
use crate::sizes::Sizes;

/// Where the replay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPlace {
    /// As it is trained with: nothing travels.
    Device,
    /// Every step comes to the host, every batch goes from there ([`crate::host_replay`]).
    Host,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayRow {
    pub replay: ReplayPlace,
    pub env: String,
    pub algo: String,
    pub envs: usize,
    pub rollout: usize,
    pub gradient_steps: usize,
    pub batch: usize,
    pub hidden: usize,
    pub replay_steps: u64,
    /// Environment steps per second, gradient steps included: the median of `runs`.
    pub env_steps_per_s: f64,
    /// Of each timed run of `updates_per_run` updates, device sync included.
    pub runs: Vec<f64>,
    pub updates_per_run: u64,
    /// Seconds of an update, mean over the timed runs. The device's own clock, waiting for the host within them included; where the adapter has none, all of
    /// it is in `update_s`.
    pub rollout_s: f64,
    pub update_s: f64,
    /// Of those the host's: waiting for steps and putting them into its ring, putting batches together, handing them to the driver.
    pub host_read_s: f64,
    pub host_gather_s: f64,
    pub host_upload_s: f64,
    /// Bytes of an update that crossed to the host and from it.
    pub bytes_read: u64,
    pub bytes_uploaded: u64,
    /// Updates in all, and the CRC-32 of the parameters after them: of two places the same where the adapter divides as the host does.
    pub updates: u64,
    pub parameters_crc32: u32,
    pub adapter: String,
    pub driver: String,
    /// A software device's rates say nothing about a GPU's.
    pub software: bool,
}

/// Timed runs of each place.
const RUNS: usize = 5;

enum Either {
    Device(Box<DoubleQ>),
    Host(Box<HostDoubleQ>),
}

/// One learner, and what was measured of it.
struct Measured {
    learner: Either,
    runs: Vec<f64>,
    timing: Timing,
}

impl Measured {
    fn new(gpu: &Gpu, config: &Config, place: ReplayPlace) -> Result<Self, LearnError> {
        let env = train_env(gpu, config)?;
        let learner = match place {
            ReplayPlace::Device => Either::Device(Box::new(DoubleQ::new(gpu, config, env)?)),
            ReplayPlace::Host => Either::Host(Box::new(HostDoubleQ::new(gpu, config, env)?)),
        };
        Ok(Self {
            learner,
            runs: vec![],
            timing: Timing::default(),
        })
    }

    fn q(&mut self) -> &mut QLearner {
        match &mut self.learner {
            Either::Device(l) => &mut l.0,
            Either::Host(l) => &mut l.q,
        }
    }

    /// `updates` updates, and the time that they took.
    fn run(&mut self, gpu: &Gpu, updates: u64) -> Result<Duration, LearnError> {
        let begun = Instant::now();
        for _ in 0..updates {
            match &mut self.learner {
                Either::Device(l) => l.update()?,
                Either::Host(l) => l.update()?,
            }
        }
        gpu.sync()?;
        Ok(begun.elapsed())
    }

    /// Forgets what was measured.
    fn clear(&mut self) -> Result<(), LearnError> {
        self.q().run.timing()?;
        if let Either::Host(l) = &mut self.learner {
            l.work = host_replay::HostWork::default();
        }
        Ok(())
    }
}

/// `config` as it is measured: without an end, however long that takes.
///
/// # Errors
/// [`LearnError`]: what the host does not put together, what does not fit the environment. Nothing is opened for that.
pub fn endless(config: &Config) -> Result<Config, LearnError> {
    host_replay::check(config)?;
    let config = Config {
        total_steps: (config.envs as u64) << 30,
        ..config.clone()
    };
    let spec = registry::spec(&config.env, &options(&config)?)?;
    Sizes::new(&config, &spec)?;
    Ok(config)
}

/// Measures `config` in every one of `places`, which take turns, for about `seconds` on the device: as many updates in each. Both are warm
/// then: whole batches, everything compiled.
///
/// # Errors
/// [`LearnError`]: what does not fit the configuration, the adapter or burn.
pub fn replay_rates(
    gpu: &Gpu,
    config: &Config,
    places: &[ReplayPlace],
    seconds: f64,
) -> Result<Vec<ReplayRow>, LearnError> {
    let config = &crate::settle(gpu, &endless(config)?)?;
    let learners = places
        .iter()
        .map(|&place| Measured::new(gpu, config, place));
    let mut learners = learners.collect::<Result<Vec<_>, _>>()?;
    let Some(first) = learners.first_mut() else {
        return Ok(vec![]);
    };
    // Until gradient steps are under way, and as many episodes have ended as a batch has.
    let q = first.q();
    let steps = (q.run.env.spec().max_steps * config.batch.div_ceil(config.envs)) as u64;
    let steps = steps * config.envs as u64;
    let warm = steps.max(config.learning_starts) / q.run.steps_per_update() + 2;
    for learner in &mut learners {
        learner.run(gpu, warm)?;
    }
    let per_run = seconds / RUNS as f64;
    let one = learners[0].run(gpu, 1)?.as_secs_f64();
    for learner in &mut learners[1..] {
        learner.run(gpu, 1)?;
    }
    let updates = ((per_run / one) as u64).max(1);
    for learner in &mut learners {
        learner.clear()?;
    }
    for _ in 0..RUNS {
        for learner in &mut learners {
            let took = learner.run(gpu, updates)?.as_secs_f64();
            let steps = learner.q().run.steps_per_update() * updates * config.seeds as u64;
            learner.runs.push(steps as f64 / took);
            let timing = learner.q().run.timing()?;
            learner.timing.rollout_s += timing.rollout_s;
            learner.timing.update_s += timing.update_s;
        }
    }
    let rows = learners.iter_mut().zip(places);
    rows.map(|(learner, &place)| learner.row(gpu, config, place, updates))
        .collect()
}

impl Measured {
    fn row(
        &mut self,
        gpu: &Gpu,
        config: &Config,
        place: ReplayPlace,
        updates: u64,
    ) -> Result<ReplayRow, LearnError> {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        let measured = updates * RUNS as u64;
        let of_update = |seconds: f64| seconds / measured as f64;
        let work = match &self.learner {
            Either::Device(_) => host_replay::HostWork::default(),
            Either::Host(l) => l.work,
        };
        let seconds = |d: Duration| of_update(d.as_secs_f64());
        let timing = self.timing;
        let runs = self.runs.clone();
        let q = self.q();
        Ok(ReplayRow {
            replay: place,
            env: config.env.clone(),
            algo: config.algo.name().to_owned(),
            envs: config.envs,
            rollout: config.rollout,
            gradient_steps: config.gradient_steps,
            batch: config.batch,
            hidden: config.hidden,
            replay_steps: config.replay,
            env_steps_per_s: sorted[RUNS / 2],
            runs,
            updates_per_run: updates,
            rollout_s: of_update(timing.rollout_s),
            update_s: of_update(timing.update_s),
            host_read_s: seconds(work.read),
            host_gather_s: seconds(work.gather),
            host_upload_s: seconds(work.upload),
            bytes_read: work.bytes_read / measured,
            bytes_uploaded: work.bytes_uploaded / measured,
            updates: q.run.updates_done(),
            parameters_crc32: crc32(gpu, &q.adam.params)?,
            adapter: gpu.info.name.clone(),
            driver: format!("{} {}", gpu.info.driver, gpu.info.driver_info),
            software: gpu.is_software(),
        })
    }
}

fn crc32(gpu: &Gpu, region: &Region) -> Result<u32, GpuError> {
    Ok(crc32fast::hash(&gpu.read::<u8>(region)?))
}
