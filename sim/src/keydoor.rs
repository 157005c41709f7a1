//! The 1D Key-Door corridor of W.-T. Chen's thesis (sections 3.6.2, A.9.1, A.10, A.11): the rules are in
//! `shaders/keydoor/`, the exact values of any policy here, on the host.
//!
//! `docs/environments/keydoor.md` says what the thesis leaves open and how it is read.

use serde::{Deserialize, Serialize};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError};
use crate::kernels::{
    Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source, thread_state,
};
use crate::registry::{self, Batch, EnvError, EnvOptions};
use crate::rng::threefry2x32;

/// Actions: left, right, pick up, unlock.
pub const ACTIONS: usize = 4;

/// `[2 · L][4]`: the probability of each action in each state. State `h · L + x` is cell `x` without (`h` = 0) or with the
/// key (`h` = 1).
pub type Policy = Vec<[f64; ACTIONS]>;

/// Where episodes begin, uniformly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Any cell, without the key.
    #[default]
    NoKey,
    /// Any cell, with or without the key.
    All,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeydoorOptions {
    /// Cells of the corridor, `L`.
    pub length: u32,
    pub max_steps: u32,
    pub start: Start,
}

impl Default for KeydoorOptions {
    fn default() -> Self {
        Self {
            length: 10,
            max_steps: 1000,
            start: Start::NoKey,
        }
    }
}

pub fn names() -> Vec<String> {
    vec!["keydoor".to_owned()]
}

/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<KeydoorOptions, EnvError> {
    if name != "keydoor" {
        return Err(registry::unknown(name));
    }
    let o: KeydoorOptions = registry::read_options(name, options)?;
    let bad = |option: &str, found: u32, need: &str| EnvError::Option {
        env: name.to_owned(),
        option: option.to_owned(),
        found: found.to_string(),
        need: need.to_owned(),
    };
    if !(2..=1000).contains(&o.length) {
        return Err(bad("length", o.length, "2 to 1000 cells"));
    }
    // The step shares a 32-bit random counter with the purpose of a draw.
    if !(1..1 << 16).contains(&o.max_steps) {
        return Err(bad("max_steps", o.max_steps, "1 to 65535"));
    }
    Ok(o)
}

impl KeydoorOptions {
    /// States that are not the end, `2 L`.
    pub fn states(&self) -> usize {
        2 * self.length as usize
    }

    pub fn spec(&self) -> EnvSpec {
        EnvSpec {
            name: "keydoor".into(),
            agents: 1,
            obs: self.states(),
            state: self.states(),
            actions: ActionSpace::Discrete(ACTIONS),
            max_steps: self.max_steps as usize,
            shortest_limit: self.max_steps as usize,
            action_names: ["left", "right", "pick up", "unlock"]
                .map(str::to_owned)
                .to_vec(),
            reference: "W.-T. Chen's thesis, CMU-RI-TR-25-56, A.9.1",
        }
    }

    /// `[2 L]`: the probability that an episode begins in each state, ρ₀.
    pub fn start_distribution(&self) -> Vec<f64> {
        let starts = match self.start {
            Start::NoKey => self.length as usize,
            Start::All => self.states(),
        };
        (0..self.states())
            .map(|s| if s < starts { 1.0 / starts as f64 } else { 0.0 })
            .collect()
    }
}

// ---- Exact values ---------------------------------------------------------------------------------------------------

/// The state that `action` leads to from state `s` of a corridor of `length` cells, `None` if it opens the door; reward 1
/// for that, 0 otherwise. What is not possible changes nothing.
pub fn next(length: usize, s: usize, action: usize) -> Option<usize> {
    let (x, key) = (s % length, s >= length);
    match action {
        0 if x > 0 => Some(s - 1),
        1 if x < length - 1 => Some(s + 1),
        2 if x == 0 && !key => Some(s + length),
        3 if x == length - 1 && key => None,
        _ => Some(s),
    }
}

/// All actions alike.
pub fn uniform_policy(length: usize) -> Policy {
    vec![[0.25; ACTIONS]; 2 * length]
}

/// The shortest way: left to the key, pick it up, right to the door, unlock it.
pub fn optimal_policy(length: usize) -> Policy {
    let action = |s: usize| match (s % length, s >= length) {
        (0, false) => 2,
        (_, false) => 0,
        (x, true) if x == length - 1 => 3,
        (_, true) => 1,
    };
    (0..2 * length)
        .map(|s| std::array::from_fn(|a| if a == action(s) { 1.0 } else { 0.0 }))
        .collect()
}

/// Values of a policy, `[2 L]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub v: Vec<f64>,
    pub q: Vec<[f64; ACTIONS]>,
    /// Q(s, a) - V(s).
    pub advantage: Vec<[f64; ACTIONS]>,
}

impl Values {
    /// V as the policy's mean of Q, and what follows.
    fn from_q(policy: &Policy, q: Vec<[f64; ACTIONS]>) -> Self {
        let mean = |(p, q): (&[f64; ACTIONS], &[f64; ACTIONS])| -> f64 {
            p.iter().zip(q).map(|(p, q)| p * q).sum()
        };
        let v: Vec<f64> = policy.iter().zip(&q).map(mean).collect();
        let advantage = q.iter().zip(&v).map(|(q, v)| q.map(|q| q - v)).collect();
        Self { v, q, advantage }
    }
}

/// The exact values: V = (I - γP)⁻¹ R, Q(s, a) = r(s, a) + γ V(s'), A = Q - V. The thesis prints A with the opposite sign
/// in A.9.1, and uses it with this one.
///
/// `None` if the policy is no table of `2 L` distributions, γ is outside [0, 1], or the values are not finite numbers (γ = 1
/// and a policy that may never open the door).
pub fn exact_values(length: usize, policy: &Policy, gamma: f64) -> Option<Values> {
    let reward: Vec<f64> = opening(length, policy)?;
    let v = discounted_sum(length, policy, gamma, reward)?;
    let q = (0..2 * length)
        .map(|s| {
            std::array::from_fn(|a| {
                next(length, s, a).map_or(1.0, |following| gamma * v[following])
            })
        })
        .collect();
    // V again as the mean of Q: what the solver leaves of rounding then cancels in the advantages.
    Some(Values::from_q(policy, q))
}

/// `[2 L]`: the expected number of steps to the open door. `None` as in [`exact_values`].
pub fn expected_steps(length: usize, policy: &Policy) -> Option<Vec<f64>> {
    opening(length, policy)?;
    discounted_sum(length, policy, 1.0, vec![1.0; 2 * length])
}

/// `[2 L]`: the probability that a step opens the door, which is its mean reward. `None` if `policy` is none for this
/// corridor.
fn opening(length: usize, policy: &Policy) -> Option<Vec<f64>> {
    let distribution = |p: &[f64; ACTIONS]| {
        p.iter().all(|x| *x >= 0.0) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-6
    };
    if length < 2 || policy.len() != 2 * length || !policy.iter().all(distribution) {
        return None;
    }
    let mean = |(s, p): (usize, &[f64; ACTIONS])| -> f64 {
        (0..ACTIONS)
            .filter(|&a| next(length, s, a).is_none())
            .map(|a| p[a])
            .sum()
    };
    Some(policy.iter().enumerate().map(mean).collect())
}

/// Solves x = r + γ P x by Gaussian elimination with partial pivoting.
fn discounted_sum(length: usize, policy: &Policy, gamma: f64, r: Vec<f64>) -> Option<Vec<f64>> {
    if !(0.0..=1.0).contains(&gamma) {
        return None;
    }
    let n = 2 * length;
    // Rows of I - γP, each with its right-hand side behind it.
    let mut rows = vec![vec![0.0; n + 1]; n];
    for (s, row) in rows.iter_mut().enumerate() {
        row[s] = 1.0;
        row[n] = r[s];
        for (a, p) in policy[s].iter().enumerate() {
            if let Some(following) = next(length, s, a) {
                row[following] -= gamma * p;
            }
        }
    }
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs()))?;
        rows.swap(k, pivot);
        let (above, below) = rows.split_at_mut(k + 1);
        let row = &above[k];
        if row[k].abs() < 1e-12 {
            return None;
        }
        for other in below {
            let factor = other[k] / row[k];
            if factor != 0.0 {
                for j in k..=n {
                    other[j] -= factor * row[j];
                }
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| rows[k][j] * x[j]).sum();
        x[k] = (rows[k][n] - known) / rows[k][k];
    }
    Some(x)
}

/// π(a|s) ∝ π₀(a|s) exp(A(s, a) / β).
pub fn improved_policy(policy: &Policy, advantage: &[[f64; ACTIONS]], beta: f64) -> Policy {
    let improved = |(p, a): (&[f64; ACTIONS], &[f64; ACTIONS])| {
        // Of what π₀ does at all: the best of the rest would leave it weights that are all 0 where β is small.
        let done = p.iter().zip(a).filter(|(p, _)| **p > 0.0);
        let most = done.fold(f64::NEG_INFINITY, |m, (_, x)| m.max(*x));
        let weight = |k: usize| match p[k] > 0.0 {
            true => p[k] * ((a[k] - most) / beta).exp(),
            false => 0.0,
        };
        let weights: [f64; ACTIONS] = std::array::from_fn(weight);
        let sum: f64 = weights.iter().sum();
        weights.map(|w| w / sum)
    };
    policy.iter().zip(advantage).map(improved).collect()
}

/// `[2 L]`: KL(π(·|s) ‖ π₀(·|s)) in nats, the critical score of each state.
pub fn critical_score(policy: &Policy, base: &Policy) -> Vec<f64> {
    let divergence = |(p, q): (&[f64; ACTIONS], &[f64; ACTIONS])| {
        let terms = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
        terms.map(|(p, q)| p * (p / q).ln()).sum()
    };
    policy.iter().zip(base).map(divergence).collect()
}

/// E_{s~ρ₀} KL(π_m(·|s) ‖ π_gt(·|s)): how far a method's policy is from the one that the exact advantages give.
pub fn policy_error(method: &Policy, exact: &Policy, start: &[f64]) -> f64 {
    let scores = critical_score(method, exact);
    scores.iter().zip(start).map(|(v, rho)| v * rho).sum()
}

// ---- Simulated values -----------------------------------------------------------------------------------------------

/// `[n][2 L][4]`: discounted returns of `n` simulated trajectories for each state and action, which take the action in
/// the state and then follow `policy`, for at most `max_steps` steps. Trajectory `j` does not depend on `n`.
///
/// # Errors
/// [`EnvError::Options`] for a policy of another corridor; what does not fit the adapter.
pub fn simulated_returns(
    gpu: &Gpu,
    options: &KeydoorOptions,
    policy: &Policy,
    gamma: f64,
    seed: u64,
    n: usize,
) -> Result<Vec<f64>, EnvError> {
    // Environments of a submission: some tens of MB.
    const MOST: usize = 1 << 16;
    // Steps of a submission: a driver's watchdog ends one that takes seconds.
    const STEPS: usize = 250;
    let pairs = ACTIONS * options.states();
    let seeds: Vec<u64> = (0..n).map(|j| trajectory_seed(seed, j as u32)).collect();
    let mut returns = Vec::with_capacity(n * pairs);
    for chunk in seeds.chunks((MOST / pairs).max(1)) {
        let batch = Batch {
            seeds: chunk.to_vec(),
            envs_per_member: pairs,
            steps: 1,
            slots: 1,
            keep_ended: true,
            ..Batch::default()
        };
        let env = Keydoor::following(gpu, options.clone(), policy, &batch)?;
        let mut s = KeydoorState::beginning(env.envs());
        for g in 0..env.envs() {
            let (place, action) = (g % pairs / ACTIONS, g % ACTIONS);
            s.cell[g] = (place % options.length as usize) as u32;
            s.key[g] = place >= options.length as usize;
            s.told[g] = Some(action as u8);
        }
        env.set_state(gpu, &s)?;
        let mut left = options.max_steps as usize;
        while left > 0 {
            let steps = left.min(STEPS);
            let mut encoder = gpu.encoder();
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                for _ in 0..steps {
                    env.record_step(&mut pass, 0);
                }
            }
            gpu.submit(encoder);
            gpu.sync()?;
            left -= steps;
        }
        let s = env.get_state(gpu)?;
        let discounted = |(open, steps): (&bool, &u32)| {
            if *open {
                gamma.powf(f64::from(*steps) - 1.0)
            } else {
                0.0
            }
        };
        returns.extend(s.open.iter().zip(&s.step).map(discounted));
    }
    Ok(returns)
}

/// The Monte Carlo estimate: Q is the mean of [`simulated_returns`], V the policy's mean of Q.
pub fn estimated_values(policy: &Policy, returns: &[f64]) -> Values {
    let pairs = ACTIONS * policy.len();
    let n = returns.len() / pairs;
    let mut q = vec![[0.0; ACTIONS]; policy.len()];
    for trajectory in returns.chunks(pairs) {
        for (k, r) in trajectory.iter().enumerate() {
            q[k / ACTIONS][k % ACTIONS] += r / n as f64;
        }
    }
    Values::from_q(policy, q)
}

/// A stream of its own for every trajectory of a seed.
fn trajectory_seed(seed: u64, trajectory: u32) -> u64 {
    const TRAJECTORY: u32 = 0x7472_616a;
    let [a, b] = threefry2x32([(seed >> 32) as u32, seed as u32], [trajectory, TRAJECTORY]);
    u64::from(a) << 32 | u64::from(b)
}

// ---- The environment ------------------------------------------------------------------------------------------------

/// State of `G` environments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeydoorState {
    /// `[G]`: 0 is the key's cell, `L - 1` the door's.
    pub cell: Vec<u32>,
    /// `[G]`: the agent has the key.
    pub key: Vec<bool>,
    /// `[G]`: the door is open, the episode at its end (only with [`Batch::keep_ended`]).
    pub open: Vec<bool>,
    /// `[G]`: an action that the next step takes, whoever drives.
    pub told: Vec<Option<u8>>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the return so far, undiscounted.
    pub running_return: Vec<f32>,
}

impl KeydoorState {
    /// `envs` first episodes in the leftmost cell, without the key.
    pub fn beginning(envs: usize) -> Self {
        Self {
            cell: vec![0; envs],
            key: vec![false; envs],
            open: vec![false; envs],
            told: vec![None; envs],
            step: vec![0; envs],
            episode: vec![0; envs],
            running_return: vec![0.0; envs],
        }
    }
}

/// A batch of corridors on the device.
pub struct Keydoor {
    options: KeydoorOptions,
    spec: EnvSpec,
    kernels: Kernels,
}

impl Keydoor {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, options: KeydoorOptions, batch: &Batch) -> Result<Self, EnvError> {
        Kernels::guarded(gpu, "keydoor", batch, || {
            Self::build(gpu, options, None, batch)
        })
    }

    /// A batch whose agents draw their actions from a table, in the step shader; [`Batch::driver`] has no say.
    ///
    /// # Errors
    /// As [`Keydoor::new`]; [`EnvError::Options`] for a policy of another corridor.
    pub fn following(
        gpu: &Gpu,
        options: KeydoorOptions,
        policy: &Policy,
        batch: &Batch,
    ) -> Result<Self, EnvError> {
        if opening(options.length as usize, policy).is_none() {
            return Err(EnvError::Options {
                env: "keydoor".into(),
                reason: format!(
                    "a policy of {} states: it takes a distribution over 4 actions for each of {}",
                    policy.len(),
                    options.states()
                ),
            });
        }
        Kernels::guarded(gpu, "keydoor", batch, || {
            Self::build(gpu, options, Some(policy), batch)
        })
    }

    fn build(
        gpu: &Gpu,
        options: KeydoorOptions,
        policy: Option<&Policy>,
        batch: &Batch,
    ) -> Result<Self, EnvError> {
        let spec = options.spec();
        let grid = Grid::thread(gpu, batch);
        let starts = match options.start {
            Start::NoKey => options.length as usize,
            Start::All => options.states(),
        };
        let constants = constants(&spec, batch, grid)
            .uint("LENGTH", options.length as usize)
            .uint("STARTS", starts)
            .flag("FOLLOWS", policy.is_some());
        let table: Vec<f32> = match policy {
            None => vec![0.0],
            Some(policy) => policy
                .iter()
                .flat_map(|p| {
                    let mut sum = 0.0;
                    p.map(|x| {
                        sum += x;
                        sum as f32
                    })
                })
                .collect(),
        };
        let table = gpu.storage_from("keydoor policy", &table);
        let source = include_str!("../../shaders/keydoor/keydoor.wgsl");
        let program = Program {
            spec: &spec,
            source: thread_source(&constants, &[source]),
            grid,
            state: thread_state(batch.envs(), 1),
            extra: &[(Access::Read, table.binding())],
        };
        let kernels = Kernels::new(gpu, batch, program)?;
        Ok(Self {
            options,
            spec,
            kernels,
        })
    }

    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<KeydoorState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let column = |i: usize| &words[i * self.envs()..(i + 1) * self.envs()];
        let packed = column(THREAD_WORDS);
        Ok(KeydoorState {
            cell: packed.iter().map(|w| w & 0xffff).collect(),
            key: packed.iter().map(|w| w >> 16 & 1 == 1).collect(),
            open: packed.iter().map(|w| w >> 17 & 1 == 1).collect(),
            told: packed
                .iter()
                .map(|w| ((w >> 18 & 7) as u8).checked_sub(1))
                .collect(),
            step: column(0).to_vec(),
            episode: column(1).to_vec(),
            running_return: column(2).iter().map(|w| f32::from_bits(*w)).collect(),
        })
    }

    /// Puts a state in; a cell beyond the corridor means its last one. Observations follow with
    /// [`VecEnv::record_observe`] or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch size.
    pub fn set_state(&self, gpu: &Gpu, s: &KeydoorState) -> Result<(), GpuError> {
        let envs = self.envs();
        for found in [
            s.cell.len(),
            s.key.len(),
            s.open.len(),
            s.told.len(),
            s.step.len(),
            s.episode.len(),
            s.running_return.len(),
        ] {
            if found != envs {
                return Err(GpuError::Size {
                    what: "the state of the environments",
                    found: found as u64,
                    needed: envs as u64,
                });
            }
        }
        let mut words = [&s.step[..], &s.episode].concat();
        words.extend(s.running_return.iter().map(|x| x.to_bits()));
        words.extend((0..envs).map(|g| {
            s.cell[g].min(self.options.length - 1)
                | u32::from(s.key[g]) << 16
                | u32::from(s.open[g]) << 17
                | s.told[g].map_or(0, |a| u32::from(a.min(3)) + 1) << 18
        }));
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }
}

impl VecEnv for Keydoor {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        [&THREAD_FIELDS[..], &[("cell, key, door and action", 1)]].concat()
    }

    /// The corridor: the key on the left until somebody has it, the door on the right.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let s = self.get_state(gpu)?;
        let (length, cell) = (self.options.length as usize, s.cell[env] as usize);
        let (key, open) = (s.key[env], s.open[env]);
        let mut shapes = Vec::new();
        for x in 0..length {
            shapes.push(Shape::Rect {
                from: [x as f32 + 0.03, 0.03],
                size: [0.94, 0.94],
                fill: [235; 3],
            });
        }
        shapes.push(Shape::Rect {
            from: [length as f32 - 0.2, 0.03],
            size: [0.17, 0.94],
            fill: if open { PALETTE[3] } else { PALETTE[6] },
        });
        let centre = [cell as f32 + 0.45, 0.5];
        shapes.push(Shape::Circle {
            centre,
            radius: 0.3,
            fill: PALETTE[5],
        });
        let bow = if key { centre } else { [0.25, 0.75] };
        shapes.push(Shape::Circle {
            centre: bow,
            radius: 0.12,
            fill: PALETTE[1],
        });
        shapes.push(Shape::Line {
            from: bow,
            to: [bow[0] + 0.3, bow[1]],
            width: 0.06,
            colour: PALETTE[1],
        });
        // A row for the agent (`@`, `&` with the key), one for what lies below it.
        let row = |of: &dyn Fn(usize) -> char| (0..length).map(of).collect::<String>();
        let above = row(&|x| match x == cell {
            true if key => '&',
            true => '@',
            false => ' ',
        });
        let below = row(&|x| {
            if x == 0 && !key {
                'k'
            } else if x == length - 1 {
                if open { '/' } else { 'D' }
            } else {
                '.'
            }
        });
        let text = format!(
            "{}\n{below}\nstep {}, {}, door {}\n",
            above.trim_end(),
            s.step[env],
            if key {
                "with the key"
            } else {
                "without the key"
            },
            if open { "open" } else { "locked" },
        );
        Ok(Frame {
            size: [length as f32, 1.0],
            background: [255; 3],
            shapes,
            text,
        })
    }
}
