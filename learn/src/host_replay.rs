//! Value decomposition with its replay in host memory, as PyMARL's programs have it: what [`crate::replay`] is measured against
//! (`merit bench --learner-replay`), and no way to train.
//!
//! ```text
//! repeat: T times: actions on the device, a step of E environments, everything that it tells to the host
//!         G times: B whole episodes drawn and put together on the host, and sent to the device
//!                  the gradient step of q_learning.rs
//! ```
//!
//! Networks, losses and environments are on the device in both forms. What comes back after a step comes in one transfer, for which the host
//! waits: the actions, and what they led to. What goes out for a gradient step is what [`Batch`] gathers on the device, up to the
//! end of its longest episode. Both forms draw the same episodes and learn the same from them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use merit_sim::env::VecEnv;
use merit_sim::gpu::{Gpu, GpuError, Region};
use merit_sim::rng::threefry2x32;

use crate::LearnError;
use crate::config::{Algo, Config, ReplayUnit};
use crate::kernel::Recorder;
use crate::q_learning::QLearner;
use crate::q_loss::MASK;
use crate::replay::{Batch, ReplaySizes};
use crate::rng::{Purpose, key};
use crate::sizes::Sizes;

/// What the host did, since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostWork {
    /// Waiting for steps and what they tell, and putting it into the ring.
    pub read: Duration,
    /// Drawing episodes and putting batches together.
    pub gather: Duration,
    /// Handing batches to the driver.
    pub upload: Duration,
    pub bytes_read: u64,
    pub bytes_uploaded: u64,
}

/// IQL, VDN and QMIX in that form.
pub struct HostDoubleQ {
    pub q: QLearner,
    ring: Ring,
    staging: Staging,
    batch: HostBatch,
    pub work: HostWork,
}

impl HostDoubleQ {
    /// # Errors
    /// [`LearnError::Config`] for what the host does not put together: mixers that see actions, and whole rollouts. As [`QLearner::new`].
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        check(config)?;
        let q = QLearner::new(gpu, config, env, None)?;
        let mut learner = Self {
            ring: Ring::new(config, &q),
            staging: Staging::new(&q),
            batch: HostBatch::new(&q),
            work: HostWork::default(),
            q,
        };
        // What the first actions are chosen from.
        let seen = learner.staging.read_seen(&learner.q, 0)?;
        learner.ring.see(0, &seen);
        Ok(learner)
    }

    /// # Errors
    /// [`LearnError::Gpu`], [`LearnError::Burn`].
    pub fn update(&mut self) -> Result<(), LearnError> {
        let mut to = self.q.run.begin_update();

        // COLLECT: step by step, everything to the host.
        self.q.run.begin_rollout(&mut to);
        for t in 0..self.q.run.sizes.steps {
            self.q.run.record_step(&mut to, t);
            let begun = Instant::now();
            let told = self.staging.read_step(&mut to, &self.q, t)?;
            self.ring.put(&told);
            self.work.read += begun.elapsed();
            self.work.bytes_read += self.staging.bytes;
        }
        self.ring.forget();
        self.q.run.end_rollout(&mut to);

        for i in 0..self.q.run.gradient_steps() {
            let tick = self.q.run.gradient_tick(i);
            // SAMPLE: on the host.
            let begun = Instant::now();
            let drawn = self
                .ring
                .draw(self.q.run.gradient_steps_done() as u32 + i as u32);
            self.batch.gather(&self.ring, &drawn);
            self.work.gather += begun.elapsed();
            // The batch is written in front of the next submission, so what reads the one before it goes first.
            to.submit();
            let begun = Instant::now();
            self.work.bytes_uploaded += self.batch.upload(&self.q, &drawn);
            self.work.upload += begun.elapsed();
            self.q.batch.record_live(&mut to);
            self.q.record_networks(&mut to, tick);

            // TARGET and LEARN, as ever.
            self.q.record_greedy_next(&mut to, tick);
            self.q.record_targets(&mut to, tick)?;
            self.q.record_descent(&mut to, tick)?;
            self.q.record_target_update(&mut to, i);
        }
        self.q.run.end_update(to)?;
        Ok(())
    }
}

/// What the host puts together, and no more: a measurement needs no other.
///
/// # Errors
/// [`LearnError::Config`].
pub fn check(config: &Config) -> Result<(), LearnError> {
    if !matches!(config.algo, Algo::Iql | Algo::Vdn | Algo::Qmix) {
        return Err(LearnError::Config(format!(
            "algo = \"{}\": a replay in host memory is measured with iql, vdn and qmix",
            config.algo.name()
        )));
    }
    if config.replay_unit == ReplayUnit::Rollouts {
        return Err(LearnError::Config(
            "replay_unit = \"rollouts\": a replay in host memory is measured with replay_unit = \"episodes\"".into(),
        ));
    }
    Ok(())
}

/// What a step tells.
struct Told {
    /// `[G, A] u32`
    actions: Vec<u32>,
    /// `[G, A]`
    reward: Vec<f32>,
    /// `[G]`
    terminated: Vec<f32>,
    truncated: Vec<f32>,
    final_obs: Vec<f32>,
    final_state: Vec<f32>,
    seen: Seen,
}

/// `[G, A, D]`, `[G, S]` and `[G, A, N]`
struct Seen {
    obs: Vec<f32>,
    state: Vec<f32>,
    avail: Vec<f32>,
}

/// One buffer for all that a step tells: one transfer and one wait.
struct Staging {
    buffer: wgpu::Buffer,
    bytes: u64,
}

impl Staging {
    fn new(q: &QLearner) -> Self {
        let bytes = told(q, 0, 0).iter().map(|r| r.size).sum();
        let buffer = q.run.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("what a step tells"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer, bytes }
    }

    /// Submits what was recorded, and waits for what step `t` of the rollout tells.
    fn read_step(&self, to: &mut Recorder, q: &QLearner, t: usize) -> Result<Told, GpuError> {
        let slot = q.run.slot(t);
        let mut parts = self.read(
            to,
            q,
            &told(q, slot, (slot + 1) % q.run.replay.sizes.capacity),
        )?;
        let mut next = || parts.pop_front().unwrap_or_default();
        let actions = next().into_iter().map(f32::to_bits).collect();
        let [reward, terminated, truncated] = [next(), next(), next()];
        let [final_obs, final_state] = [next(), next()];
        let [obs, state, avail] = [next(), next(), next()];
        Ok(Told {
            actions,
            reward,
            terminated,
            truncated,
            final_obs,
            final_state,
            seen: Seen { obs, state, avail },
        })
    }

    fn read_seen(&self, q: &QLearner, slot: usize) -> Result<Seen, GpuError> {
        let mut to = Recorder::new(&q.run.gpu);
        let mut parts = self.read(&mut to, q, &seen(q, slot))?;
        let mut next = || parts.pop_front().unwrap_or_default();
        let [obs, state, avail] = [next(), next(), next()];
        Ok(Seen { obs, state, avail })
    }

    fn read(
        &self,
        to: &mut Recorder,
        q: &QLearner,
        regions: &[Region],
    ) -> Result<VecDeque<Vec<f32>>, GpuError> {
        let mut at = 0;
        for region in regions {
            let (from, size) = (&region.buffer, region.size);
            let encoder = to.encoder();
            encoder.copy_buffer_to_buffer(from, region.offset, &self.buffer, at, size);
            at += size;
        }
        to.submit();
        let lost = |reason: String| GpuError::Lost {
            doing: "reading a step back",
            reason,
        };
        let (tx, rx) = std::sync::mpsc::channel();
        let slice = self.buffer.slice(..at);
        slice.map_async(wgpu::MapMode::Read, move |r| {
            // The receiver is gone only if the caller is.
            let _ = tx.send(r);
        });
        q.run.gpu.sync()?;
        rx.recv()
            .map_err(|e| lost(e.to_string()))?
            .map_err(|e| lost(e.to_string()))?;
        let mapped = slice.get_mapped_range().map_err(|e| lost(e.to_string()))?;
        let mut rest = &mapped[..];
        let parts = regions.iter().map(|region| {
            let (part, behind) = rest.split_at(region.size as usize);
            rest = behind;
            bytemuck::pod_collect_to_vec(part)
        });
        let parts = parts.collect();
        drop(mapped);
        self.buffer.unmap();
        Ok(parts)
    }
}

/// Slot `slot` of a region of `capacity` of them.
fn of_slot(region: &Region, capacity: usize, slot: usize) -> Region {
    let words = region.size as usize / 4 / capacity;
    region.part(slot * words, words)
}

fn seen(q: &QLearner, slot: usize) -> Vec<Region> {
    let (io, capacity) = (q.run.env.io(), q.run.replay.sizes.capacity);
    let regions = [&io.obs, &io.state, &io.avail];
    Vec::from(regions.map(|region| of_slot(region, capacity, slot)))
}

/// What the step in `slot` of the ring tells, and what is seen next.
fn told(q: &QLearner, slot: usize, next: usize) -> Vec<Region> {
    let (io, capacity) = (q.run.env.io(), q.run.replay.sizes.capacity);
    let of_step = [&io.actions, &io.reward, &io.terminated, &io.truncated];
    let mut regions = Vec::from(of_step.map(|region| of_slot(region, capacity, slot)));
    regions.extend([io.final_obs.clone(), io.final_state.clone()]);
    regions.extend(seen(q, next));
    regions
}

/// An episode of an environment: its first step, its steps, whether the step limit cut it.
#[derive(Clone, Copy, Debug)]
struct Episode {
    start: u64,
    length: usize,
    cut: bool,
}

/// A drawn one, and its environment; of no steps where nothing was drawn.
type Drawn = (usize, Episode);

/// Steps of all environments, round and round.
struct Ring {
    s: Sizes,
    r: ReplaySizes,
    keys: Vec<[u32; 2]>,
    /// `[CAPACITY, G, …]`
    obs: Vec<f32>,
    state: Vec<f32>,
    avail: Vec<f32>,
    actions: Vec<u32>,
    reward: Vec<f32>,
    /// `[KEPT, G, …]`: what cut episodes ended with; two of an environment are a step limit apart.
    kept_obs: Vec<f32>,
    kept_state: Vec<f32>,
    /// Steps so far, and of each environment the first step of the episode under way.
    steps: u64,
    begun: Vec<u64>,
    /// By environment, those that ended and whose first observation is still there.
    episodes: Vec<VecDeque<Episode>>,
}

impl Ring {
    fn new(config: &Config, q: &QLearner) -> Self {
        let (s, r) = (q.run.sizes, q.run.replay.sizes);
        let envs = s.members * s.envs;
        let steps = r.capacity * envs;
        let seeds = config.seeds_from(config.seed);
        Self {
            keys: seeds.iter().map(|&s| key(s, Purpose::Sample)).collect(),
            obs: vec![0.0; steps * s.agents * s.obs],
            state: vec![0.0; steps * s.state],
            avail: vec![0.0; steps * s.agents * s.outputs()],
            actions: vec![0; steps * s.agents],
            reward: vec![0.0; steps * s.agents],
            kept_obs: vec![0.0; r.kept * envs * s.agents * s.obs],
            kept_state: vec![0.0; r.kept * envs * s.state],
            steps: 0,
            begun: vec![0; envs],
            episodes: vec![VecDeque::new(); envs],
            s,
            r,
        }
    }

    fn envs(&self) -> usize {
        self.s.members * self.s.envs
    }

    fn see(&mut self, slot: usize, seen: &Seen) {
        put(&mut self.obs, slot, &seen.obs);
        put(&mut self.state, slot, &seen.state);
        put(&mut self.avail, slot, &seen.avail);
    }

    fn put(&mut self, told: &Told) {
        let slot = self.slot(self.steps);
        put(&mut self.actions, slot, &told.actions);
        put(&mut self.reward, slot, &told.reward);
        self.see(self.slot(self.steps + 1), &told.seen);
        let envs = self.envs();
        for env in 0..envs {
            let cut = told.truncated[env] > 0.0;
            if !cut && told.terminated[env] == 0.0 {
                continue;
            }
            if cut {
                let to = self.kept(self.steps, env);
                put(&mut self.kept_obs, to, row(&told.final_obs, envs, env));
                let state = row(&told.final_state, envs, env);
                put(&mut self.kept_state, to, state);
            }
            let start = self.begun[env];
            self.episodes[env].push_back(Episode {
                start,
                length: (self.steps + 1 - start) as usize,
                cut,
            });
            self.begun[env] = self.steps + 1;
        }
        self.steps += 1;
    }

    /// Forgets the episodes whose first observation was written over.
    fn forget(&mut self) {
        let (steps, capacity) = (self.steps, self.r.capacity as u64);
        for episodes in &mut self.episodes {
            while episodes
                .front()
                .is_some_and(|e| e.start + capacity <= steps)
            {
                episodes.pop_front();
            }
        }
    }

    fn slot(&self, step: u64) -> usize {
        (step % self.r.capacity as u64) as usize
    }

    /// An environment's index among the kept ends of the episode that ended in `step`.
    fn kept(&self, step: u64, env: usize) -> usize {
        (step / self.r.limit as u64) as usize % self.r.kept * self.envs() + env
    }

    /// `B` episodes of each member, uniformly and without replacement, all of them where there are fewer: as `draw_episodes.wgsl`.
    fn draw(&self, draw: u32) -> Vec<Drawn> {
        let members = self.episodes.chunks_exact(self.s.envs).zip(&self.keys);
        let drawn = members.enumerate().flat_map(|(p, (episodes, &key))| {
            let all: usize = episodes.iter().map(VecDeque::len).sum();
            (0..self.r.batch).map(move |i| {
                let nothing = Episode {
                    start: 0,
                    length: 0,
                    cut: false,
                };
                if i >= all {
                    return (p * self.s.envs, nothing);
                }
                let mut x = chosen(key, draw, i, all);
                let mut env = 0;
                while x >= episodes[env].len() {
                    x -= episodes[env].len();
                    env += 1;
                }
                (p * self.s.envs + env, episodes[env][x])
            })
        });
        drawn.collect()
    }
}

/// Where `i` of `all` lands in a keyed permutation of them (`feistel.wgsl`).
fn chosen(key: [u32; 2], draw: u32, i: usize, all: usize) -> usize {
    let bits = (32 - (all as u32).saturating_sub(1).leading_zeros()).max(2);
    let mut x = scatter(key, draw, i as u32, bits);
    // Numbers beyond are sent on until one falls within.
    while x as usize >= all {
        x = scatter(key, draw, x, bits);
    }
    x as usize
}

fn scatter(key: [u32; 2], draw: u32, x: u32, bits: u32) -> u32 {
    let low_bits = bits.div_ceil(2);
    let of_low = (1_u32 << low_bits) - 1;
    let of_high = (1_u32 << (bits - low_bits)) - 1;
    let (mut low, mut high) = (x & of_low, x >> low_bits);
    for round in 0..4 {
        let [a, b] = threefry2x32(key, [draw, round]);
        low ^= mix_bits(high ^ a) & of_low;
        high ^= mix_bits(low ^ b) & of_high;
    }
    high << low_bits | low
}

fn mix_bits(bits: u32) -> u32 {
    let x = bits.wrapping_mul(0x9E37_79B1);
    let x = (x ^ (x >> 15)).wrapping_mul(0x85EB_CA77);
    let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE3D);
    x ^ (x >> 16)
}

/// Puts `values` at the `i`th place of as many.
fn put<T: Copy>(all: &mut [T], i: usize, values: &[T]) {
    all[i * values.len()..][..values.len()].copy_from_slice(values);
}

/// The `i`th of `rows` equal parts.
fn row<T>(all: &[T], rows: usize, i: usize) -> &[T] {
    let n = all.len() / rows;
    &all[i * n..][..n]
}

/// What [`Batch`] has on the device, with the same shapes.
struct HostBatch {
    s: Sizes,
    r: ReplaySizes,
    /// Slots that count, of the batch that is there.
    live: usize,
    quantum: usize,
    reward_scale: f32,
    /// Columns of the networks' inputs, and where in the agents' the last action and the agent's number begin.
    columns: [usize; 2],
    action: Option<usize>,
    id: Option<usize>,
    /// `[P, SLOTS, B, A, columns]`
    agents: Vec<f32>,
    /// `[P, SLOTS, B, columns]`
    states: Vec<f32>,
    /// `[P, SLOTS, B, A]`
    done: Vec<u32>,
    /// `[P, SLOTS, B, A, N]`
    allowed: Vec<f32>,
    /// `[P, SLOTS, B]`
    rewards: Vec<f32>,
    mask: Vec<f32>,
    ended: Vec<f32>,
}

impl HostBatch {
    fn new(q: &QLearner) -> Self {
        let (s, r, c) = (q.run.sizes, q.run.replay.sizes, &q.run.config);
        let rows = s.members * r.rows();
        let columns = [q.batch.agent_input.stride, q.batch.state_input.stride];
        let told = if c.obs_last_action { s.outputs() } else { 0 };
        Self {
            live: 0,
            quantum: q.batch.quantum,
            reward_scale: c.reward_scale as f32,
            columns,
            action: c.obs_last_action.then_some(s.obs),
            id: c.obs_agent_id.then_some(s.obs + told),
            agents: vec![0.0; rows * s.agents * columns[0]],
            states: vec![0.0; rows * columns[1]],
            done: vec![0; rows * s.agents],
            allowed: vec![1.0; rows * s.agents * s.outputs()],
            rewards: vec![0.0; rows],
            mask: vec![0.0; rows],
            ended: vec![0.0; rows],
            s,
            r,
        }
    }

    fn gather(&mut self, ring: &Ring, drawn: &[Drawn]) {
        let longest = drawn.iter().map(|(_, e)| e.length).max().unwrap_or(0);
        let live = (longest + self.quantum) / self.quantum * self.quantum;
        // Behind them, what the batch before left.
        let before = std::mem::replace(&mut self.live, live.min(self.r.slots));
        let rows = self.r.rows();
        for p in 0..self.s.members {
            let of_member = &drawn[p * self.r.batch..][..self.r.batch];
            for l in 0..self.live.max(before) {
                for (b, drawn) in of_member.iter().enumerate() {
                    self.gather_slot(ring, drawn, l, p * rows + l * self.r.batch + b);
                }
            }
        }
    }

    /// Slot `l` of an episode to row `to`.
    fn gather_slot(&mut self, ring: &Ring, &(env, e): &Drawn, l: usize, to: usize) {
        let (s, n, envs) = (self.s, self.s.outputs(), ring.envs());
        let is_step = l < e.length;
        let behind = l == e.length && e.cut && e.length > 0;
        let [columns, state_columns] = self.columns;
        let agents = &mut self.agents[to * s.agents * columns..][..s.agents * columns];
        let state = &mut self.states[to * state_columns..][..state_columns];
        let allowed = &mut self.allowed[to * s.agents * n..][..s.agents * n];
        let done = &mut self.done[to * s.agents..][..s.agents];
        self.mask[to] = f32::from(u8::from(is_step));
        self.ended[to] = f32::from(u8::from(is_step && l + 1 == e.length && !e.cut));
        self.rewards[to] = 0.0;
        done.fill(0);
        if !is_step && !behind {
            agents.fill(0.0);
            state.fill(0.0);
            allowed.fill(1.0);
            return;
        }
        let place = |l: usize| ring.slot(e.start + l as u64) * envs + env;
        let at = place(l);
        // Of what comes next nothing says what would be allowed: what was allowed in the last step stands for it.
        let masks = if behind { place(l - 1) } else { at };
        allowed.copy_from_slice(&ring.avail[masks * s.agents * n..][..s.agents * n]);
        let (obs, world) = match behind {
            true => {
                let kept = ring.kept(e.start + l as u64 - 1, env);
                (
                    &ring.kept_obs[kept * s.agents * s.obs..],
                    &ring.kept_state[kept * s.state..],
                )
            }
            false => (
                &ring.obs[at * s.agents * s.obs..],
                &ring.state[at * s.state..],
            ),
        };
        state[..s.state].copy_from_slice(&world[..s.state]);
        for (a, input) in agents.chunks_exact_mut(columns).enumerate() {
            input[..s.obs].copy_from_slice(&obs[a * s.obs..][..s.obs]);
            input[s.obs..].fill(0.0);
            if let (Some(first), true) = (self.action, l > 0) {
                input[first + ring.actions[place(l - 1) * s.agents + a] as usize] = 1.0;
            }
            if let Some(first) = self.id {
                input[first + a] = 1.0;
            }
        }
        if is_step {
            done.copy_from_slice(&ring.actions[at * s.agents..][..s.agents]);
            let paid = &ring.reward[at * s.agents..][..s.agents];
            let sum: f32 = paid.iter().sum();
            self.rewards[to] = sum / s.agents as f32 * self.reward_scale;
        }
    }

    /// Returns bytes. Behind the slots that count the device keeps what it had: nothing there is learned from, where the mask is 0.
    fn upload(&self, q: &QLearner, drawn: &[Drawn]) -> u64 {
        let (batch, gpu): (&Batch, &Gpu) = (&q.batch, &q.run.gpu);
        let drawn: Vec<_> = drawn
            .iter()
            .map(|(env, e)| {
                let [env, length, cut] = [*env, e.length, usize::from(e.cut)].map(|x| x as u32);
                [env, e.start as u32, length, cut]
            })
            .collect();
        gpu.write(&q.run.replay.drawn, &drawn);
        let mask = q.loss.batch.part(MASK);
        gpu.write(&mask, &self.mask);
        gpu.write(&batch.rewards, &self.rewards);
        gpu.write(&batch.ended, &self.ended);
        let whole = q.run.replay.drawn.size + mask.size + batch.rewards.size + batch.ended.size;
        whole
            + self.upload_live(gpu, &batch.agent_input.region, &self.agents)
            + self.upload_live(gpu, &batch.state_input.region, &self.states)
            + self.upload_live(gpu, &batch.done, &self.done)
            + self.upload_live(gpu, &batch.allowed, &self.allowed)
    }

    /// The slots that count of `values: [P, SLOTS, …]`. Returns bytes.
    fn upload_live<T: bytemuck::Pod>(&self, gpu: &Gpu, to: &Region, values: &[T]) -> u64 {
        let of_member = values.len() / self.s.members;
        let words = of_member / self.r.slots * self.live;
        for (p, values) in values.chunks_exact(of_member).enumerate() {
            gpu.write(&to.part(p * of_member, words), &values[..words]);
        }
        4 * (self.s.members * words) as u64
    }
}
