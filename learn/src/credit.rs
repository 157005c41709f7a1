//! Whom an estimator credits: how the advantages' variance is shared among the agents, how well each agent's value is predicted, whom
//! the advantages blame where an action was not the agent's own, and how far traces are from the ratios that they stand for.
//! `ppo_family.md` §8.9.

use std::collections::BTreeMap;

use merit_sim::env::VecEnv;
use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::config::Trace;
use crate::diagnostics::REDUCE;
use crate::gae::Estimates;
use crate::gpae::{TRACES, trace_constants};
use crate::kernel::{Bind, Constants, Kernel, Recorder, Ticks};
use crate::minibatch::TICK;
use crate::sizes::Sizes;

/// By name, for one member.
type Named = BTreeMap<String, f64>;

/// Of the newest rollout.
pub struct Credit {
    sums: Region,
    kernel: Kernel,
    sizes: Sizes,
}

/// Words per member and agent, in the shader's order.
const WORDS: usize = 5;

impl Credit {
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        env: &dyn VecEnv,
        estimates: &Estimates,
        values: &Region,
        ticks: &Ticks,
    ) -> Self {
        let sums = gpu.storage("credit", 4 * (sizes.members * sizes.agents * WORDS) as u64);
        let constants = Constants::default()
            .uint("T", sizes.steps)
            .uint("MEMBERS", sizes.members)
            .uint("ENVS", sizes.envs)
            .uint("AGENTS", sizes.agents)
            .flag("EVENTS", env.replaced().is_some());
        let binds = [
            Bind::Tick(ticks),
            Bind::Read(&estimates.advantage),
            Bind::Read(&estimates.goal),
            Bind::Read(values),
            Bind::Read(env.replaced().unwrap_or(values)),
            Bind::Write(&sums),
        ];
        let file = include_str!("../../shaders/learn/credit.wgsl");
        let files = [TICK, REDUCE, file];
        Self {
            kernel: Kernel::new(gpu, "credit_of", &constants, &files, &binds),
            sums,
            sizes: *sizes,
        }
    }

    /// After the estimates of a rollout.
    pub fn record(&self, to: &mut Recorder) {
        let groups = [self.sizes.agents, self.sizes.members, 1];
        self.kernel.record(to, 0, groups);
    }

    /// Per member. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<Named>, GpuError> {
        let words: Vec<f32> = gpu.read(&self.sums)?;
        let member = |agents: &[f32]| {
            let column = |k: usize| agents.iter().skip(k).step_by(WORDS).map(|&x| f64::from(x));
            let mut named = Named::new();
            let all: f64 = column(0).sum();
            for (i, variance) in column(0).enumerate() {
                // Of advantages that are all the same, nobody has a share.
                if all != 0.0 {
                    named.insert(format!("advantage_share_{i}"), variance / all);
                }
            }
            for (i, (left, variance)) in column(2).zip(column(1)).enumerate() {
                let explained = 1.0 - left / variance.max(1e-12);
                named.insert(format!("explained_variance_{i}"), explained);
            }
            let events: f64 = column(4).sum();
            if events > 0.0 {
                named.insert("advantage_gap".into(), column(3).sum::<f64>() / events);
                named.insert("advantage_gap_events".into(), events);
            }
            named
        };
        Ok(words
            .chunks_exact(WORDS * self.sizes.agents)
            .map(member)
            .collect())
    }
}

/// Of all rollouts that are kept.
pub struct Traces {
    sums: Region,
    kernel: Kernel,
    members: usize,
    tick: usize,
}

impl Traces {
    /// `said` and `stored`: ln π and ln μ of what was done, `[slots, P, E, A]`; `discount: [P, 4]`, γ, λ and η.
    pub fn new(
        gpu: &Gpu,
        sizes: &Sizes,
        trace: Trace,
        [said, stored]: [&Region; 2],
        discount: &Region,
        (ticks, tick): (&Ticks, usize),
    ) -> Self {
        let sums = gpu.storage("trace gaps", 4 * 8 * sizes.members as u64);
        let constants = trace_constants(sizes, Some(trace), 1)
            .uint("T", sizes.steps)
            .uint("MEMBERS", sizes.members)
            .uint("RPM", sizes.member_rows());
        let binds = [
            Bind::Tick(ticks),
            Bind::Read(said),
            Bind::Read(stored),
            Bind::Read(discount),
            Bind::Write(&sums),
        ];
        let file = include_str!("../../shaders/learn/trace_gap.wgsl");
        Self {
            kernel: Kernel::new(
                gpu,
                "trace_gap",
                &constants,
                &[TICK, TRACES, REDUCE, file],
                &binds,
            ),
            sums,
            members: sizes.members,
            tick,
        }
    }

    /// After the ratios are known.
    pub fn record(&self, to: &mut Recorder) {
        self.kernel.record(to, self.tick, [self.members, 1, 1]);
    }

    /// Per member: the effective sample size as a share of the samples, by the agents' ratios and by the team's; the mean weight; the
    /// trace gap of equation 9, the mean of a sample's |(|ρ − c/λ| − |ρⁱ − c/λ|)|, and the mean of the same with its sign, as table 4 has it. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn read(&self, gpu: &Gpu) -> Result<Vec<Named>, GpuError> {
        let words: Vec<f32> = gpu.read(&self.sums)?;
        let member = |w: &[f32]| {
            let w: Vec<f64> = w.iter().map(|&x| f64::from(x)).collect();
            let n = w[7];
            let named = [
                ("ess_agent", w[0] * w[0] / (n * w[1])),
                ("ess_team", w[2] * w[2] / (n * w[3])),
                ("trace_gap", w[4] / n),
                ("trace_gap_signed", w[5] / n),
                ("trace_weight", w[6] / n),
            ];
            // Nothing was collected by an older policy yet.
            let named = named.into_iter().filter(|_| n > 0.0);
            named.map(|(k, x)| (k.to_owned(), x)).collect()
        };
        Ok(words.chunks_exact(8).map(member).collect())
    }
}
