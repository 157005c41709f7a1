//! For tests: one device per process, and an environment small enough to reason about.

use std::sync::OnceLock;

use merit_sim::env::{ActionSpace, EnvIo, EnvSpec, EpisodeStats, VecEnv};
use merit_sim::gpu::{AdapterChoice, Gpu, GpuError, Region};

use crate::config::{Algo, Config};
use crate::ippo::Ippo;
use crate::kernel::{Bind, Constants, Kernel, Recorder, Tick, Ticks};
use crate::learner::Learner;
use crate::mappo::Mappo;
use crate::ppo::{Ppo, keys, seeds};
use crate::rng::Purpose;

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&AdapterChoice::from_env()).expect("tests need an adapter"))
}

pub const AGENTS: usize = 2;
pub const SHOWN: usize = 4;
pub const EPISODE: usize = 5;

/// `shaders/testenv/match.wgsl`.
pub struct Match {
    spec: EnvSpec,
    io: EnvIo,
    envs: usize,
    members: usize,
    memory: Region,
    sums: Region,
    totals: Region,
    reset: Kernel,
    step: Kernel,
    reduce: (wgpu::ComputePipeline, wgpu::BindGroup),
}

impl Match {
    pub fn new(gpu: &Gpu, member_seeds: &[u64], per_member: usize, steps: usize) -> Self {
        let spec = EnvSpec {
            name: "test/match".into(),
            agents: AGENTS,
            obs: SHOWN,
            state: AGENTS * SHOWN,
            actions: ActionSpace::Discrete(SHOWN),
            max_steps: EPISODE,
        };
        let members = member_seeds.len();
        let envs = members * per_member;
        let slots = if steps == 1 { 1 } else { steps + 1 };
        let io = EnvIo::allocate(gpu, &spec, envs, steps, slots).expect("small");
        let memory = gpu.storage("memory", 4 * (envs * (3 + AGENTS)) as u64);
        let sums = gpu.storage("sums", 4 * (EpisodeStats::WORDS * envs) as u64);
        let totals = gpu.storage("totals", 4 * (EpisodeStats::WORDS * members) as u64);
        let mut ticks = Ticks::new(gpu, steps);
        for t in 0..steps {
            ticks.set(
                t,
                Tick {
                    slot: t as u32,
                    step: t as u32,
                    ..Tick::default()
                },
            );
        }
        ticks.upload(gpu);
        let constants = Constants::default()
            .uint("ENVS", envs)
            .uint("PER_MEMBER", per_member)
            .uint("AGENTS", AGENTS)
            .uint("SHOWN", SHOWN)
            .uint("EPISODE", EPISODE)
            .uint("SLOTS", slots);
        // Another purpose than the learner's own.
        let keys = keys(gpu, member_seeds, Purpose::Initialise);
        let sources = [
            include_str!("../../shaders/learn/tick.wgsl"),
            include_str!("../../shaders/common/rng.wgsl"),
            include_str!("../../shaders/testenv/match.wgsl"),
        ];
        let kernel = |entry: &str| {
            let binds = [
                Bind::Tick(&ticks),
                Bind::Read(&keys),
                Bind::Write(&memory),
                Bind::Read(&io.actions),
                Bind::Write(&io.obs),
                Bind::Write(&io.state),
                Bind::Write(&io.avail),
                Bind::Write(&io.reward),
                Bind::Write(&io.terminated),
                Bind::Write(&io.truncated),
                Bind::Write(&io.agent_done),
                Bind::Write(&io.final_obs),
                Bind::Write(&io.final_state),
                Bind::Write(&sums),
            ];
            Kernel::new(gpu, entry, &constants, &sources, &binds)
        };
        let (reset, step) = (kernel("reset"), kernel("step"));
        let reduce = {
            use merit_sim::gpu::Access;
            let source = include_str!("../../shaders/common/stats.wgsl");
            let module = gpu.shader("stats", source, false);
            let accesses = [Access::Uniform(16), Access::ReadWrite, Access::ReadWrite];
            let layout = gpu.layout("stats", &accesses);
            let words = EpisodeStats::WORDS as u32;
            let shape = gpu.uniform_from("shape", &[envs as u32, per_member as u32, words, 0]);
            let binds = [shape.as_entire_binding(), sums.binding(), totals.binding()];
            let pipeline = gpu.pipeline("reduce", &module, "reduce", &layout);
            (pipeline, gpu.bind("stats", &layout, &binds))
        };
        Self {
            spec,
            io,
            envs,
            members,
            memory,
            sums,
            totals,
            reset,
            step,
            reduce,
        }
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, kernel: &Kernel, tick: usize) {
        kernel.record_in(pass, tick, [self.envs.div_ceil(64), 1, 1]);
    }
}

impl VecEnv for Match {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn envs(&self) -> usize {
        self.envs
    }

    fn io(&self) -> &EnvIo {
        &self.io
    }

    fn record_reset(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.record(pass, &self.reset, 0);
    }

    fn record_step(&self, pass: &mut wgpu::ComputePass<'_>, t: usize) {
        self.record(pass, &self.step, t);
    }

    fn dispatches_per_step(&self) -> u32 {
        1
    }

    fn bytes_per_step(&self) -> u64 {
        4 * (AGENTS * (3 * SHOWN + 3) + 2) as u64
    }

    fn layout(&self) -> &'static str {
        "thread"
    }

    fn env_sums(&self) -> &Region {
        &self.sums
    }

    fn record_stats(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.reduce.0);
        pass.set_bind_group(0, &self.reduce.1, &[]);
        pass.dispatch_workgroups(EpisodeStats::WORDS as u32, self.members as u32, 1);
    }

    fn stats_region(&self) -> &Region {
        &self.totals
    }

    fn snapshot(&self, gpu: &Gpu) -> Result<Vec<u8>, GpuError> {
        gpu.read(&self.memory)
    }

    fn restore(&self, gpu: &Gpu, snapshot: &[u8]) -> Result<(), GpuError> {
        if snapshot.len() as u64 != self.memory.size {
            return Err(GpuError::Size {
                what: "the snapshot",
                found: snapshot.len() as u64,
                needed: self.memory.size,
            });
        }
        gpu.write(&self.memory, snapshot);
        Ok(())
    }
}

/// A small run on [`Match`].
pub fn config(algo: Algo) -> Config {
    Config {
        env: "test/match".into(),
        algo,
        total_steps: 20 * 8 * 16,
        envs: 8,
        rollout: 16,
        hidden: 16,
        minibatches: 2,
        epochs: 2,
        ..Config::default()
    }
}

pub fn ppo(config: &Config) -> Ppo {
    let gpu = gpu();
    let seeds = seeds(config.seed, config.seeds);
    let env = Box::new(Match::new(gpu, &seeds, config.envs, config.rollout));
    match config.algo {
        Algo::Ippo => Ippo::new(gpu, config, env).map(|l| l.0),
        Algo::Mappo => Mappo::new(gpu, config, env).map(|l| l.0),
    }
    .expect("a small run fits")
}

pub fn learner(config: &Config) -> Box<dyn Learner> {
    let ppo = ppo(config);
    match config.algo {
        Algo::Ippo => Box::new(Ippo(ppo)),
        Algo::Mappo => Box::new(Mappo(ppo)),
    }
}

/// Runs what `f` records and waits.
pub fn run(f: impl FnOnce(&mut Recorder)) {
    let mut to = Recorder::new(gpu());
    f(&mut to);
    to.submit();
    gpu().sync().expect("the device is there");
}
