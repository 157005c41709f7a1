//! For tests: one device per process, two environments small enough to reason about, and what host references share.

use std::sync::OnceLock;

use merit_sim::env::{ActionSpace, EnvSpec, VecEnv};
use merit_sim::frame::Frame;
use merit_sim::gpu::{AdapterChoice, Gpu, GpuError, Region};
use merit_sim::kernels::{
    Grid, Kernels, Program, THREAD_WORDS, constants, thread_source, thread_state,
};
use merit_sim::registry::Batch;

use crate::coma::Coma;
use crate::coma_pg::ComaPg;
use crate::config::{Algo, Config};
use crate::dae::Dae;
use crate::decomposition::HyperNet;
use crate::fop::Fop;
use crate::gpae::Gpae;
use crate::hasac::Hasac;
use crate::ippo::Ippo;
use crate::kernel::Recorder;
use crate::learner::Learner;
use crate::mappo::Mappo;
use crate::me_igm::MeIgm;
use crate::ppo::Ppo;
use crate::q_learning::DoubleQ;
use crate::replay::Replay;

pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&AdapterChoice::from_env()).expect("tests need an adapter"))
}

pub const AGENTS: usize = 2;
pub const SHOWN: usize = 4;
pub const EPISODE: usize = 5;

/// Numbers of an action of [`REACH`]: odd, for they are drawn in pairs.
pub const NUMBERS: usize = 3;

/// `shaders/testenv/match.wgsl`, discrete actions.
pub const MATCH: &str = "test/match";
/// The same, where an episode also terminates when nobody is right: episodes of any length.
pub const FRAGILE: &str = "test/fragile";
/// The same, more seldom: some episodes reach the limit.
pub const STURDY: &str = "test/sturdy";
pub const FRAGILE_EPISODE: usize = 20;
/// `shaders/testenv/reach.wgsl`, continuous actions.
pub const REACH: &str = "test/reach";

/// [`MATCH`], [`FRAGILE`], [`STURDY`] or [`REACH`].
pub struct Toy {
    spec: EnvSpec,
    kernels: Kernels,
}

impl Toy {
    pub fn new(
        gpu: &Gpu,
        name: &str,
        member_seeds: &[u64],
        per_member: usize,
        slots: usize,
    ) -> Self {
        let fragile = match name {
            MATCH => "const FRAGILE: u32 = 0u;\n",
            FRAGILE => "const FRAGILE: u32 = 1u;\n",
            STURDY => "const FRAGILE: u32 = 2u;\n",
            _ => "",
        };
        let (shown, actions, source) = match name {
            MATCH | FRAGILE | STURDY => (
                SHOWN,
                ActionSpace::Discrete(SHOWN),
                include_str!("../../shaders/testenv/match.wgsl"),
            ),
            REACH => (
                NUMBERS,
                ActionSpace::Continuous(NUMBERS),
                include_str!("../../shaders/testenv/reach.wgsl"),
            ),
            _ => panic!("no environment {name}"),
        };
        let max_steps = match name {
            FRAGILE | STURDY => FRAGILE_EPISODE,
            _ => EPISODE,
        };
        let spec = EnvSpec {
            name: name.into(),
            agents: AGENTS,
            obs: shown,
            state: AGENTS * shown,
            actions,
            max_steps,
            shortest_limit: max_steps,
            action_names: (0..shown).map(|k| k.to_string()).collect(),
            reference: "none",
        };
        let batch = Batch {
            seeds: member_seeds.to_vec(),
            envs_per_member: per_member,
            steps: slots,
            slots,
            checked: true,
            ..Batch::default()
        };
        let grid = Grid::thread(gpu, &batch);
        // A counter, and what each agent is shown: one number of four, or three.
        let words = 1 + AGENTS * if name == REACH { NUMBERS } else { 1 };
        let program = Program {
            spec: &spec,
            source: thread_source(&constants(&spec, &batch, grid), &[fragile, source]),
            grid,
            state: thread_state(batch.envs(), words),
            extra: &[],
        };
        let kernels = Kernels::new(gpu, &batch, program).expect("small");
        Self { spec, kernels }
    }
}

impl VecEnv for Toy {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let state: Vec<u32> = gpu.read(&self.kernels.state)?;
        let first = (THREAD_WORDS + 1) * self.envs();
        let shown = state[first..].iter().skip(env).step_by(self.envs());
        Ok(Frame {
            size: [1.0, 1.0],
            background: [255, 255, 255],
            shapes: Vec::new(),
            text: format!("{:?}\n", shown.collect::<Vec<_>>()),
        })
    }
}

/// A small run on [`MATCH`].
pub fn config(algo: Algo) -> Config {
    Config {
        env: MATCH.into(),
        algo,
        total_steps: 20 * 8 * 16,
        envs: 8,
        rollout: 16,
        hidden: 16,
        reward_hidden: 16,
        minibatches: 2,
        epochs: 2,
        ..Config::default()
    }
}

pub fn toy(config: &Config) -> Box<dyn VecEnv> {
    let seeds = config.seeds_from(config.seed);
    let slots = if config.algo.replays() {
        config.replay as usize / config.envs
    } else {
        config.rollouts_kept() * (config.rollout + 1)
    };
    Box::new(Toy::new(gpu(), &config.env, &seeds, config.envs, slots))
}

pub fn ppo(config: &Config) -> Ppo {
    let (gpu, env) = (gpu(), toy(config));
    match config.algo {
        Algo::Ippo => Ippo::new(gpu, config, env).map(|l| l.0),
        Algo::Mappo => Mappo::new(gpu, config, env).map(|l| l.0),
        Algo::Coma => Coma::new(gpu, config, env).map(|l| l.ppo),
        Algo::ComaPg => panic!("{:?} is not PPO", config.algo),
        Algo::Dae => Dae::new(gpu, config, env).map(|l| l.ppo),
        Algo::Gpae => Gpae::new(gpu, config, env).map(|l| l.ppo),
        _ => panic!("{} is no PPO", config.algo.name()),
    }
    .expect("a small run fits")
}

pub fn learner(config: &Config) -> Box<dyn Learner> {
    let (gpu, env) = (gpu(), toy(config));
    let made: Result<Box<dyn Learner>, _> = match config.algo {
        Algo::Ippo => Ippo::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Mappo => Mappo::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Coma => Coma::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::ComaPg => ComaPg::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Dae => Dae::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Gpae => Gpae::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::MeQmix | Algo::MeQplex => MeIgm::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Fop => Fop::new(gpu, config, env).map(|l| Box::new(l) as _),
        Algo::Hasac => Hasac::new(gpu, config, env).map(|l| Box::new(l) as _),
        _ => DoubleQ::new(gpu, config, env).map(|l| Box::new(l) as _),
    };
    made.expect("a small run fits")
}

/// Through a network with ReLU between its layers.
pub fn relu_network(net: &HyperNet, words: &[f64], input: &[f64]) -> Vec<f64> {
    let mut x = input.to_vec();
    for (i, layer) in net.layers.iter().enumerate() {
        let column = |o: usize| -> f64 {
            let products = x.iter().enumerate();
            let products = products.map(|(k, x)| x * words[layer.kernel + k * layer.outputs + o]);
            products.sum::<f64>() + words[layer.bias + o]
        };
        let y = (0..layer.outputs).map(column);
        let last = i + 1 == net.layers.len();
        x = y.map(|y| if last { y } else { y.max(0.0) }).collect();
    }
    x
}

/// With α = 1.
pub fn elu(x: f64) -> f64 {
    if x > 0.0 { x } else { x.exp() - 1.0 }
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn words_u32(region: &Region) -> Vec<u32> {
    gpu().read(region).expect("readable")
}

/// Member `member`'s part of what `members` have.
pub fn of_member<T: Clone>(all: &[T], members: usize, member: usize) -> Vec<T> {
    let n = all.len() / members;
    all[member * n..][..n].to_vec()
}

/// Steps of the longest episode of the batch that was drawn.
pub fn longest(replay: &Replay) -> usize {
    let drawn = words_u32(&replay.drawn);
    drawn.chunks_exact(4).map(|d| d[2]).max().unwrap_or(0) as usize
}

/// Runs what `f` records and waits.
pub fn run(f: impl FnOnce(&mut Recorder)) {
    let mut to = Recorder::new(gpu());
    f(&mut to);
    to.submit();
    gpu().sync().expect("the device is there");
}
