//! Evaluation: the current policy in environments of its own, the first episodes of each and no others.

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::registry::{Batch, Driver};

use crate::LearnError;
use crate::config::Config;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::net::Network;
use crate::policy::{Behaviour, Context, Itself, Policy, Remembered};
use crate::ppo::{keys, make_env};
use crate::recurrent::Memory;
use crate::rng::Purpose;
use crate::sizes::Sizes;

/// Environments per member at most: enough to fill a device, few enough that the memory does not count.
const ENVS: usize = 256;
/// Steps between two looks at whether all episodes have ended.
const CHUNK: usize = 32;

/// Environments and kernels of evaluations of so many episodes under one seed.
pub struct Evaluation {
    env: Box<dyn VecEnv>,
    /// The environments before their first episode: every evaluation begins here.
    fresh: Vec<u8>,
    /// What an agent network is told of itself.
    itself: Option<Itself>,
    policy: Policy,
    keep_first: Kernel,
    ticks: Ticks,
    /// What a recurrent policy remembers.
    memory: Option<Memory>,
    /// `[WORDS, G]`: sums over the episodes that count.
    kept: Region,
    sizes: Sizes,
    episodes: usize,
    seed: u64,
}

impl Evaluation {
    /// # Errors
    /// [`LearnError`]: what does not fit the adapter.
    pub fn new(
        c: &Context<'_>,
        config: &Config,
        net: &Network,
        episodes: usize,
        seed: u64,
    ) -> Result<Self, LearnError> {
        let (gpu, sizes) = (c.gpu, c.sizes);
        if episodes == 0 {
            return Err(LearnError::Config(
                "an evaluation needs at least one episode".into(),
            ));
        }
        let sizes = Sizes {
            envs: episodes.min(ENVS),
            ..*sizes
        };
        let seeds = config.seeds_from(seed);
        let batch = Batch {
            seeds: seeds.clone(),
            envs_per_member: sizes.envs,
            steps: 1,
            slots: 1,
            driver: Driver::External,
            ..Batch::default()
        };
        let env = make_env(gpu, config, &batch)?;
        let fresh = env.snapshot(gpu)?;
        gpu.guarded("the evaluation's kernels", || {
            let ticks = Ticks::new(gpu, CHUNK);
            let log_probs = gpu.storage("log-probabilities", 4 * sizes.rows() as u64);
            let keys = keys(gpu, &seeds, Purpose::Evaluate);
            let envs = sizes.members * sizes.envs;
            let kept = gpu.storage("kept episodes", 4 * (EpisodeStats::WORDS * envs) as u64);
            // The first environments of each member take one more where the episodes do not divide.
            let quota: Vec<u32> = (0..envs)
                .map(|g| g % sizes.envs)
                .map(|e| (episodes / sizes.envs + usize::from(e < episodes % sizes.envs)) as u32)
                .collect();
            let quota = gpu.storage_from("episode quota", &quota);
            let keep_first = Kernel::new(
                gpu,
                "keep_first",
                &Constants::default()
                    .uint("ENVS", envs)
                    .uint("WORDS", EpisodeStats::WORDS),
                &[include_str!("../../shaders/learn/quota.wgsl")],
                &[
                    Bind::Read(&quota),
                    Bind::Write(env.env_sums()),
                    Bind::Write(&kept),
                ],
            );
            let memory = net
                .trunk
                .map(|t| Memory::new(gpu, sizes.rows(), t.hidden(), 1));
            let carried = gpu.storage("nothing carried", 4 * sizes.rows() as u64);
            let remembered = memory.as_ref().map(|m| Remembered {
                memory: &m.state,
                carried: &carried,
            });
            let context = Context {
                sizes: &sizes,
                ticks: &ticks,
                ..*c
            };
            let itself = config
                .algo
                .decomposes_values()
                .then(|| Itself::new(&context, config, env.io()));
            let behaviour = Behaviour::executing(config.algo, itself.as_ref());
            let policy = Policy::new(
                &context,
                net,
                env.io(),
                &keys,
                &log_probs,
                remembered,
                behaviour,
            );
            Self {
                env,
                fresh,
                itself,
                policy,
                keep_first,
                ticks,
                memory,
                kept,
                sizes,
                episodes,
                seed,
            }
        })
        .map_err(LearnError::from)
    }

    pub fn is_for(&self, episodes: usize, seed: u64) -> bool {
        self.episodes == episodes && self.seed == seed
    }

    /// Plays until every environment has ended its share of the episodes.
    ///
    /// # Errors
    /// [`LearnError::Gpu`], and [`LearnError::Config`] if the environment's episodes do not end.
    pub fn run(&mut self, gpu: &Gpu, greedy: bool) -> Result<Vec<EpisodeStats>, LearnError> {
        let envs = self.sizes.members * self.sizes.envs;
        gpu.write(&self.kept, &vec![0.0_f32; EpisodeStats::WORDS * envs]);
        gpu.write(
            self.env.env_sums(),
            &vec![0.0_f32; EpisodeStats::WORDS * envs],
        );
        self.env.restore(gpu, &self.fresh)?;
        if let Some(memory) = &self.memory {
            gpu.write(&memory.state, &vec![0_u8; memory.state.size as usize]);
        }
        let mut to = Recorder::new(gpu);
        self.env.record_reset(to.pass());
        to.submit();
        // An episode takes its step limit at most, one more where the reference counts so, and the chunks are whole.
        let most =
            (self.env.spec().max_steps + 2) * self.episodes.div_ceil(self.sizes.envs) + CHUNK;
        for chunk in 0..most.div_ceil(CHUNK) {
            for i in 0..CHUNK {
                let draw = (chunk * CHUNK + i) as u32;
                // One slot and one step: what the last step ended stands where the next will write.
                let before = if draw == 0 { Tick::CARRIED } else { 0 };
                let greedy = u32::from(greedy);
                self.ticks.set(
                    i,
                    Tick {
                        draw,
                        greedy,
                        before,
                        ..Tick::default()
                    },
                );
            }
            self.ticks.upload(gpu);
            for i in 0..CHUNK {
                if let Some(itself) = &self.itself {
                    itself.record(&mut to, i);
                }
                self.policy.record(&mut to, i);
                self.env.record_step(to.pass(), 0);
                self.keep_first
                    .record(&mut to, 0, [envs.div_ceil(64), 1, 1]);
            }
            to.submit();
            to.check()?;
            let kept: Vec<f32> = gpu.read(&self.kept)?;
            let ended: f64 = kept[..envs].iter().map(|&n| f64::from(n)).sum();
            if ended as usize == self.episodes * self.sizes.members {
                return Ok(self.per_member(&kept));
            }
        }
        Err(LearnError::Config(format!(
            "{}: after {most} steps not every environment has ended its episodes, its step limit does not hold",
            self.env.spec().name
        )))
    }

    fn per_member(&self, kept: &[f32]) -> Vec<EpisodeStats> {
        let envs = self.sizes.members * self.sizes.envs;
        let member = |p: usize| {
            let word = |w: usize| -> f64 {
                let first = w * envs + p * self.sizes.envs;
                kept[first..first + self.sizes.envs]
                    .iter()
                    .map(|&x| f64::from(x))
                    .sum()
            };
            EpisodeStats {
                episodes: word(0),
                return_sum: word(1),
                return_sq_sum: word(2),
                length_sum: word(3),
                length_sq_sum: word(4),
                wins: word(5),
                truncations: word(6),
                extra: [word(7), word(8)],
            }
        };
        (0..self.sizes.members).map(member).collect()
    }
}
