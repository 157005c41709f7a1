//! Robots against recordings of JaxMARL's MABrax and the test vectors of system files (`docs/parity.md` has the formats).
//!
//! The levels are those of `docs/environments/mabrax.md` §8: about ten times what two versions of the reference differ by.

use std::path::Path;

use super::system::System;
use super::task::{self, Goal, Sees};
use super::{Mabrax, MabraxConfig, MabraxState, STAGES, configure};
use crate::env::VecEnv;
use crate::golden::Recording;
use crate::gpu::Gpu;
use crate::parity::{Comparison, FileReport, ParityError, report};
use crate::registry::{Batch, EnvError, EnvOptions, Layout};

/// Teacher-forced, one step from a recorded state: coordinates, positions and rotations; velocities; rewards.
const POSITION: f64 = 2e-5;
const VELOCITY: f64 = 2e-3;
const REWARD: f64 = 1e-4;
/// The second angles of joints of several hinges, which the reference takes from an arc cosine near 1.
const COARSE_ANGLE: f64 = 2e-3;
/// Within a substep.
const STAGE_POSITION: f64 = 2e-6;
const STAGE_VELOCITY: f64 = 1e-3;
const STAGE_IMPULSE: f64 = 1e-6;
/// Forces of the joints, absolute: where the velocities are exact, and where their noise is multiplied by the damping.
const FIRST_FORCE: f64 = 1e-4;
const LATER_FORCE: f64 = 5e-2;
/// An end whose deciding quantity is nearer to its threshold than this may go either way.
const AT_THRESHOLD: f32 = 1e-4;

/// Free-running: coordinates, velocities, observations and rewards after 5 and after 20 steps, ten times what the reference
/// was seen to differ from a rewrite by.
fn free_running(task: &str) -> [[f64; 4]; 2] {
    let seen = match task {
        "ant" => [[1e-5, 2e-4, 2e-4, 4e-5], [1e-4, 2e-3, 2e-3, 4e-4]],
        "halfcheetah" => [[2e-5, 3e-4, 3e-4, 1e-5], [9e-4, 1e-2, 1e-2, 5e-4]],
        "hopper" => [[1e-6, 8e-5, 8e-5, 9e-7], [9e-6, 6e-4, 6e-4, 8e-5]],
        "walker2d" => [[1e-6, 6e-5, 6e-5, 2e-6], [3e-5, 4e-4, 4e-4, 2e-5]],
        "reacher" => [[9e-7, 1e-5, 3e-6, 7e-8], [1e-5, 8e-5, 1e-5, 1e-7]],
        // The one step of the humanoids' table that shows what the coarse angles do.
        _ => [[2e-4, 1e-4, 2e-4, 7e-6], [2e-4, 2e-3, 2e-3, 5e-5]],
    };
    seen.map(|row| row.map(|x| 10.0 * x))
}

/// Compares one recording; returns the environment's name, the steps compared and the layout used.
pub(crate) fn compare(
    gpu: &Gpu,
    r: &Recording,
    layout: Layout,
    checked: bool,
    c: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let bench = Bench {
        gpu,
        r,
        asked: &EnvOptions::new(),
        layout,
        checked,
    };
    bench.compare(c)
}

/// Compares the recording at `path` with a robot of one's own: `asked` may name another system than the recording's.
///
/// # Errors
/// [`ParityError`]; a difference is no error but a report that does not pass.
pub fn check_file_of(
    gpu: &Gpu,
    path: &Path,
    asked: &EnvOptions,
) -> Result<FileReport, ParityError> {
    let r = Recording::open(path)?;
    let bench = Bench {
        gpu,
        r: &r,
        asked,
        layout: Layout::Auto,
        checked: false,
    };
    report(path, &r, |c| bench.compare(c))
}

struct Bench<'a> {
    gpu: &'a Gpu,
    r: &'a Recording,
    asked: &'a EnvOptions,
    layout: Layout,
    checked: bool,
}

/// The four arrays of a state, at the links' centres of mass, by the way to them: `state.`, `sub.`, `initial.`.
struct Links<'a> {
    position: &'a [f32],
    rotation: &'a [f32],
    velocity: &'a [f32],
    angular: &'a [f32],
}

impl<'a> Links<'a> {
    fn read(r: &'a Recording, at: &str, shape: &[usize]) -> Result<Self, ParityError> {
        let array = |name: &str, width: usize| {
            let shape = [shape, &[width]].concat();
            r.f32(&format!("{at}{name}"), &shape)
        };
        Ok(Self {
            position: array("x_i.pos", 3)?,
            rotation: array("x_i.rot", 4)?,
            velocity: array("xd_i.vel", 3)?,
            angular: array("xd_i.ang", 3)?,
        })
    }

    /// Puts row `from` into environment `to`.
    fn put(&self, s: &mut MabraxState, system: &System, from: usize, to: usize) {
        let b = system.links.len();
        for i in 0..b {
            let (at, link) = (to * b + i, from * b + i);
            let three = |v: &[f32]| std::array::from_fn(|k| v[3 * link + k]);
            s.position[at] = three(self.position);
            s.velocity[at] = three(self.velocity);
            s.angular_velocity[at] = three(self.angular);
            s.rotation[at] = std::array::from_fn(|k| self.rotation[4 * link + k]);
        }
    }

    /// Compares environment `of` with row `with`.
    fn compare(
        &self,
        c: &mut Comparison,
        what: &str,
        levels: [f64; 2],
        s: &MabraxState,
        [of, with]: [usize; 2],
        b: usize,
    ) {
        let [position, velocity] = levels;
        let three = |v: &'a [f32]| &v[3 * b * with..3 * b * (with + 1)];
        let ours = |v: &[[f32; 3]]| v[b * of..b * (of + 1)].as_flattened().to_vec();
        let name = |array: &str| format!("{what}{array}");
        c.within(
            &name("x_i.pos"),
            position,
            &ours(&s.position),
            three(self.position),
        );
        let rotation = s.rotation[b * of..b * (of + 1)].as_flattened();
        let theirs = &self.rotation[4 * b * with..4 * b * (with + 1)];
        c.within(&name("x_i.rot"), position, rotation, theirs);
        c.within(
            &name("xd_i.vel"),
            velocity,
            &ours(&s.velocity),
            three(self.velocity),
        );
        c.within(
            &name("xd_i.ang"),
            velocity,
            &ours(&s.angular_velocity),
            three(self.angular),
        );
    }
}

/// For each coordinate, velocity and number of the whole observation its level: `position`, `velocity`, and the coarse one for second angles.
struct Levels {
    q: Vec<f64>,
    obs: Vec<f64>,
}

impl Levels {
    fn of(config: &MabraxConfig, position: f64, velocity: f64) -> Self {
        let s = &config.system;
        let mut q = vec![position; s.nq];
        for l in s.links.iter().filter(|l| !l.free) {
            let hinges = s.dofs[l.qd_start..l.qd_start + l.axes]
                .iter()
                .all(|d| !d.slide);
            if l.axes > 1 && hinges {
                q[l.q_start + 1] = q[l.q_start + 1].max(COARSE_ANGLE);
            }
        }
        let hidden = super::split::hidden_coordinates(s);
        let mut obs = match config.task.sees {
            Sees::Reaching => vec![position; 6],
            _ => q[hidden..].to_vec(),
        };
        obs.resize(config.whole(), velocity);
        if config.task.sees == Sees::Reaching {
            obs[8..].fill(position);
        }
        Self { q, obs }
    }
}

/// Numbers, each within its own level.
fn each(c: &mut Comparison, name: &str, levels: &[f64], ours: &[f32], theirs: &[f32]) {
    for (level, name) in [
        (false, name.to_owned()),
        (true, format!("{name} (second angles)")),
    ] {
        let coarse = |k: &usize| {
            (levels[*k] >= COARSE_ANGLE && levels[*k] != levels[levels.len() - 1]) == level
        };
        let at: Vec<usize> = (0..theirs.len()).filter(coarse).collect();
        let mut groups: Vec<f64> = at.iter().map(|&k| levels[k]).collect();
        groups.sort_by(f64::total_cmp);
        groups.dedup();
        for (n, group) in groups.iter().enumerate() {
            let at: Vec<usize> = at
                .iter()
                .copied()
                .filter(|&k| levels[k] == *group)
                .collect();
            let pick = |v: &[f32]| at.iter().map(|&k| v[k]).collect::<Vec<_>>();
            let name = if n == 0 {
                name.clone()
            } else {
                format!("{name} (velocities)")
            };
            c.within(&name, *group, &pick(ours), &pick(theirs));
        }
    }
}

impl Bench<'_> {
    fn compare(&self, c: &mut Comparison) -> Result<(String, usize, &'static str), ParityError> {
        let environment = self.r.text("environment")?;
        if environment == "brax-positional-system" {
            return self.vectors(c);
        }
        let config = configure(&format!("mabrax/{environment}"), self.asked)?;
        if self.r.text("case")? == "system" {
            compare_system(self.r, &config, c)?;
            return Ok((config.name, 0, "none"));
        }
        self.trajectory(&config, c)
    }

    fn make(
        &self,
        config: &MabraxConfig,
        envs: usize,
        keep_ended: bool,
    ) -> Result<Mabrax, EnvError> {
        let batch = Batch {
            seeds: vec![0],
            envs_per_member: envs,
            steps: 1,
            slots: 1,
            layout: self.layout,
            keep_ended,
            checked: self.checked,
            ..Batch::default()
        };
        Mabrax::new(self.gpu, config.clone(), &batch)
    }

    /// Tells each environment its row of the whole robot's actions.
    fn tell(&self, env: &Mabrax, rows: &[&[f32]]) {
        let width = env.spec().actions.words();
        let mut words = Vec::new();
        for row in rows {
            for part in &env.config().parts {
                let told = part.actions.iter().map(|&a| row[a]);
                words.extend(told.chain(std::iter::repeat(0.0)).take(width));
            }
        }
        self.gpu.write(&env.io().actions, &words);
    }

    fn step(&self, env: &Mabrax) {
        self.gpu.compute(|pass| env.record_step(pass, 0));
    }

    /// The recorded states, one step from each, the whole as one run, and every recorded substep.
    fn trajectory(
        &self,
        config: &MabraxConfig,
        c: &mut Comparison,
    ) -> Result<(String, usize, &'static str), ParityError> {
        let (r, s) = (self.r, &config.system);
        let steps = r.rows("actions")?;
        let (b, nu) = (s.links.len(), s.actuators.len());
        let links = Links::read(r, "state.", &[steps + 1, b])?;
        let their_q = r.f32("state.q", &[steps + 1, s.nq])?;
        let their_qd = r.f32("state.qd", &[steps + 1, s.nv])?;
        let actions = r.f32("actions", &[steps, nu])?;
        let begin = if r.text("case")? == "midflight" {
            25
        } else {
            0
        };
        let states = |count: usize| {
            let mut state = MabraxState::zeroed(count, s);
            for t in 0..count {
                links.put(&mut state, s, t, t);
                state.step[t] = (begin + t) as u32;
            }
            state.start_q.copy_from_slice(&their_q[..count * s.nq]);
            state.start_qd.copy_from_slice(&their_qd[..count * s.nv]);
            state
        };
        let rows: Vec<&[f32]> = actions.chunks_exact(nu).collect();
        let watched = MabraxConfig {
            keeps_joints: true,
            ..config.clone()
        };

        // The last state has no step; its environment is told to do nothing.
        let env = self.make(&watched, steps + 1, true)?;
        env.set_state(self.gpu, &states(steps + 1))?;
        self.gpu.compute(|pass| env.record_observe(pass));
        for t in 0..=steps {
            self.compare_seen(&env, c, "", false, [t, t])?;
        }
        let still = vec![0.0; nu];
        let mut told = rows.clone();
        told.push(&still);
        self.tell(&env, &told);
        self.step(&env);
        let after = env.get_state(self.gpu)?;
        let levels = Levels::of(config, POSITION, VELOCITY);
        for t in 0..steps {
            links.compare(c, "", [POSITION, VELOCITY], &after, [t, t + 1], b);
            each(
                c,
                "q",
                &levels.q,
                &after.start_q[t * s.nq..][..s.nq],
                &their_q[(t + 1) * s.nq..][..s.nq],
            );
            let theirs = &their_qd[(t + 1) * s.nv..][..s.nv];
            c.within("qd", VELOCITY, &after.start_qd[t * s.nv..][..s.nv], theirs);
            self.compare_seen(&env, c, "after the step: ", false, [t, t + 1])?;
        }
        self.compare_outcome(&env, c, "", REWARD, steps)?;

        let done = r.int("done", &[steps])?;
        if done.contains(&1) {
            let resetting = self.make(config, steps, false)?;
            resetting.set_state(self.gpu, &states(steps))?;
            self.tell(&resetting, &rows);
            self.step(&resetting);
            let fresh = resetting.get_state(self.gpu)?;
            for t in (0..steps).filter(|&t| done[t] == 1) {
                self.compare_seen(&resetting, c, "final ", true, [t, t + 1])?;
                c.exact(
                    "reset (counters)",
                    &[fresh.step[t], fresh.episode[t]],
                    &[0u32, 1],
                );
            }
        }

        self.free_run(&env, c, &states(steps + 1), &rows)?;
        if r.has("sub.x_i.pos") {
            self.substeps(&watched, c, &links, &rows)?;
        }
        Ok((config.name.clone(), steps, env.layout()))
    }

    /// What environment `of` shows, against the recorded state `with`.
    fn compare_seen(
        &self,
        env: &Mabrax,
        c: &mut Comparison,
        what: &str,
        last: bool,
        [of, with]: [usize; 2],
    ) -> Result<(), ParityError> {
        let (r, config, spec) = (self.r, env.config(), env.spec());
        let io = env.io();
        let (obs, state) = match last {
            true => (&io.final_obs, &io.final_state),
            false => (&io.obs, &io.state),
        };
        let (obs, state): (Vec<f32>, Vec<f32>) = (self.gpu.read(obs)?, self.gpu.read(state)?);
        let rows = r.rows("global_obs")?;
        let (whole, d) = (config.whole(), spec.obs);
        let levels = Levels::of(config, POSITION, VELOCITY);
        let theirs = &r.f32("global_obs", &[rows, whole])?[with * whole..][..whole];
        each(
            c,
            &format!("{what}global_obs"),
            &levels.obs,
            &state[of * whole..][..whole],
            theirs,
        );
        for (i, part) in config.parts.iter().enumerate() {
            let n = part.obs.len();
            let theirs = r.f32(&format!("obs.agent_{i}"), &[rows, n])?;
            let ours = &obs[(of * spec.agents + i) * d..][..d];
            let levels: Vec<f64> = part
                .obs
                .iter()
                .map(|&k| levels.obs[k.min(whole - 1)])
                .collect();
            each(
                c,
                &format!("{what}obs"),
                &levels,
                &ours[..n],
                &theirs[with * n..][..n],
            );
            c.exact("obs padding", &ours[n..], &vec![0.0f32; d - n]);
        }
        Ok(())
    }

    /// Rewards and ends of a step of every environment.
    fn compare_outcome(
        &self,
        env: &Mabrax,
        c: &mut Comparison,
        what: &str,
        level: f64,
        steps: usize,
    ) -> Result<(), ParityError> {
        let (r, a) = (self.r, env.spec().agents);
        let read = |region| self.gpu.read::<f32>(region);
        let (reward, dead) = (read(&env.io().reward)?, read(&env.io().agent_done)?);
        let (over, cut) = (read(&env.io().terminated)?, read(&env.io().truncated)?);
        let state = env.get_state(self.gpu)?;
        let their_reward = r.f32("reward", &[steps])?;
        let (their_done, their_cut) = (r.int("done", &[steps])?, r.int("truncation", &[steps])?);
        for t in 0..steps {
            let theirs = vec![their_reward[t]; a];
            c.within(
                &format!("{what}reward"),
                level,
                &reward[t * a..][..a],
                &theirs,
            );
            let ended = over[t] + cut[t];
            let near = threshold(env.config(), &state, t) < AT_THRESHOLD;
            let differs = ended != their_done[t] as f32;
            c.excused("done at a threshold, passed over", differs && near);
            if !(differs && near) {
                c.exact(&format!("{what}done"), &[ended], &[their_done[t]]);
                c.exact(
                    &format!("{what}done of agents"),
                    &dead[t * a..][..a],
                    &vec![their_done[t]; a],
                );
                c.exact(&format!("{what}truncation"), &[cut[t]], &[their_cut[t]]);
            }
        }
        Ok(())
    }

    /// The first 20 steps as one run of environment 0; any others are told to do nothing.
    fn free_run(
        &self,
        env: &Mabrax,
        c: &mut Comparison,
        start: &MabraxState,
        actions: &[&[f32]],
    ) -> Result<(), ParityError> {
        let (r, config) = (self.r, env.config());
        let s = &config.system;
        let still = vec![0.0; s.actuators.len()];
        env.set_state(self.gpu, start)?;
        let rows = actions.len() + 1;
        let vectors = r.has("rollout.steps.0.q");
        for (t, &row) in actions.iter().enumerate().take(20) {
            let mut told = vec![row];
            told.resize(env.envs(), &still);
            self.tell(env, &told);
            self.step(env);
            let [q, qd, obs, reward] = free_running(config.task.name)[usize::from(t >= 5)];
            let span = if t < 5 { "5" } else { "20" };
            let name = |array: &str| format!("{array}, running free for {span} steps");
            let after = env.get_state(self.gpu)?;
            let paid: Vec<f32> = self.gpu.read(&env.io().reward)?;
            let seen: Vec<f32> = self.gpu.read(&env.io().state)?;
            let levels = Levels::of(config, q, obs);
            let (at, nq, nv) = (t + 1, s.nq, s.nv);
            let (their_q, their_qd, their_reward, their_obs) = if vectors {
                let step = |name: &str| format!("rollout.steps.{t}.{name}");
                let obs = match r.has(&step("obs")) {
                    true => Some(r.f32(&step("obs"), &[config.whole()])?),
                    false => None,
                };
                (
                    r.f32(&step("q"), &[nq])?,
                    r.f32(&step("qd"), &[nv])?,
                    r.f32(&step("reward"), &[])?[0],
                    obs,
                )
            } else {
                let whole = config.whole();
                (
                    &r.f32("state.q", &[rows, nq])?[at * nq..][..nq],
                    &r.f32("state.qd", &[rows, nv])?[at * nv..][..nv],
                    r.f32("reward", &[rows - 1])?[t],
                    Some(&r.f32("global_obs", &[rows, whole])?[at * whole..][..whole]),
                )
            };
            each(c, &name("q"), &levels.q, &after.start_q[..nq], their_q);
            c.within(&name("qd"), qd, &after.start_qd[..nv], their_qd);
            if let Some(theirs) = their_obs {
                each(
                    c,
                    &name("obs"),
                    &levels.obs,
                    &seen[..config.whole()],
                    theirs,
                );
            }
            // Rounding of a place of about 1 m is in every difference of places.
            let noise = match config.task.goal {
                Goal::Reach => 1e-6,
                _ => 2.0 * f64::from(f32::EPSILON / s.dt()),
            };
            c.within(
                &name("reward"),
                reward.max(noise),
                &paid[..1],
                &[their_reward],
            );
            if vectors {
                let over: Vec<f32> = self.gpu.read(&env.io().terminated)?;
                let theirs = r.f32(&format!("rollout.steps.{t}.done"), &[])?;
                c.exact("done, running free", &over[..1], theirs);
            }
        }
        Ok(())
    }

    /// One substep from each recorded one.
    fn substeps(
        &self,
        config: &MabraxConfig,
        c: &mut Comparison,
        states: &Links<'_>,
        actions: &[&[f32]],
    ) -> Result<(), ParityError> {
        let (r, s) = (self.r, &config.system);
        let (steps, frames, b) = (actions.len(), s.frames, s.links.len());
        let subs = Links::read(r, "sub.", &[steps, frames, b])?;
        let single = MabraxConfig {
            frames: 1,
            ..config.clone()
        };
        let envs = steps * frames;
        let mut begin = MabraxState::zeroed(envs, s);
        for n in 0..envs {
            if n % frames == 0 {
                states.put(&mut begin, s, n / frames, n);
            } else {
                subs.put(&mut begin, s, n - 1, n);
            }
            begin.step[n] = 1;
        }
        let env = self.make(&single, envs, true)?;
        env.set_state(self.gpu, &begin)?;
        let told: Vec<&[f32]> = (0..envs).map(|n| actions[n / frames]).collect();
        self.tell(&env, &told);
        self.step(&env);
        let after = env.get_state(self.gpu)?;
        let (nq, nv) = (s.nq, s.nv);
        let (q, qd) = (
            r.f32("sub.q", &[steps, frames, nq])?,
            r.f32("sub.qd", &[steps, frames, nv])?,
        );
        let levels = Levels::of(config, POSITION, VELOCITY);
        for n in 0..envs {
            subs.compare(c, "substep: ", [POSITION, VELOCITY], &after, [n, n], b);
            each(
                c,
                "substep: q",
                &levels.q,
                &after.start_q[n * nq..][..nq],
                &q[n * nq..][..nq],
            );
            c.within(
                "substep: qd",
                VELOCITY,
                &after.start_qd[n * nv..][..nv],
                &qd[n * nv..][..nv],
            );
        }
        Ok(())
    }

    /// The test vectors of a system file, with the robot as that file has it.
    fn vectors(&self, c: &mut Comparison) -> Result<(String, usize, &'static str), ParityError> {
        let r = self.r;
        let task = r.text("task")?;
        let name = format!("brax/{task}");
        let scales = task::find(task).is_some_and(|t| t.scales_actions);
        let config = |scaled: bool| -> Result<MabraxConfig, EnvError> {
            let mut options = self.asked.clone();
            let own = || r.path.display().to_string().into();
            options.entry("system").or_insert_with(own);
            if !scaled && scales {
                options.insert("humanoid_action_scaling".into(), false.into());
            }
            Ok(MabraxConfig {
                keeps_joints: true,
                ..configure(&name, &options)?
            })
        };
        let task = config(true)?;
        let s = &task.system;
        let (b, nq, nv) = (s.links.len(), s.nq, s.nv);
        let nu = s.actuators.len();

        // The start: what a reset makes of joint coordinates and velocities. Environment 0 starts from the initial state, the
        // others from those that end an episode in one step.
        let case = |n: usize, name: &str| format!("termination_cases.{n}.{name}");
        let ends = (0..).take_while(|&n| r.has(&case(n, "q"))).count();
        let env = self.make(&task, 1 + ends, true)?;
        let mut start = MabraxState::zeroed(1 + ends, s);
        start.start_q[..nq].copy_from_slice(r.f32("initial.q", &[nq])?);
        start.start_qd[..nv].copy_from_slice(r.f32("initial.qd", &[nv])?);
        for n in 0..ends {
            let row = 1 + n;
            start.start_q[row * nq..][..nq].copy_from_slice(r.f32(&case(n, "q"), &[nq])?);
            start.start_qd[row * nv..][..nv].copy_from_slice(r.f32(&case(n, "qd"), &[nv])?);
        }
        env.set_state(self.gpu, &start)?;
        self.gpu.compute(|pass| env.record_place(pass));
        let placed = env.get_state(self.gpu)?;
        let initial = Links::read(r, "initial.", &[b])?;
        initial.compare(
            c,
            "initial: ",
            [STAGE_POSITION, STAGE_VELOCITY],
            &placed,
            [0, 0],
            b,
        );
        let obs: Vec<f32> = self.gpu.read(&env.io().state)?;
        let levels = Levels::of(&task, POSITION, VELOCITY);
        let seen = &obs[..task.whole()];
        each(
            c,
            "initial: obs",
            &levels.obs,
            seen,
            r.f32("initial.obs", &[task.whole()])?,
        );

        // Ends.
        let still = vec![0.0; nu];
        let rows = (0..ends).map(|n| r.f32(&case(n, "action"), &[nu]));
        let rows: Vec<&[f32]> = std::iter::once(Ok(&still[..]))
            .chain(rows)
            .collect::<Result<_, _>>()?;
        self.tell(&env, &rows);
        self.step(&env);
        let after = env.get_state(self.gpu)?;
        let reward: Vec<f32> = self.gpu.read(&env.io().reward)?;
        let over: Vec<f32> = self.gpu.read(&env.io().terminated)?;
        for n in 0..ends {
            let row = 1 + n;
            let (q, qd) = (
                &after.start_q[row * nq..][..nq],
                &after.start_qd[row * nv..][..nv],
            );
            each(
                c,
                "end: q",
                &levels.q,
                q,
                r.f32(&case(n, "q_after"), &[nq])?,
            );
            c.within("end: qd", VELOCITY, qd, r.f32(&case(n, "qd_after"), &[nv])?);
            c.within(
                "end: reward",
                REWARD,
                &reward[row..=row],
                r.f32(&case(n, "reward"), &[])?,
            );
            c.exact("end: done", &over[row..=row], r.f32(&case(n, "done"), &[])?);
        }

        // 20 steps from the start; the other environments come along.
        let steps = r.rows("rollout.actions")?;
        let actions: Vec<&[f32]> = r
            .f32("rollout.actions", &[steps, nu])?
            .chunks_exact(nu)
            .collect();
        self.free_run(&env, c, &placed, &actions)?;

        // Single substeps, stage by stage.
        let single = MabraxConfig {
            frames: 1,
            notes: true,
            ..config(false)?
        };
        let mut substeps = vec![("substeps.steps.0", "initial", "substeps.ctrl", FIRST_FORCE)];
        substeps.push((
            "substeps.steps.1",
            "substeps.steps.0",
            "substeps.ctrl",
            LATER_FORCE,
        ));
        if r.has("contact_substep.ctrl") {
            let at = "contact_substep.stages";
            substeps.push((
                at,
                "contact_substep.state",
                "contact_substep.ctrl",
                LATER_FORCE,
            ));
        }
        let stages = self.make(&single, substeps.len(), true)?;
        let mut begin = MabraxState::zeroed(substeps.len(), s);
        let mut told = Vec::new();
        for (n, (_, from, ctrl, _)) in substeps.iter().enumerate() {
            Links::read(r, &format!("{from}."), &[b])?.put(&mut begin, s, 0, n);
            begin.step[n] = 1;
            told.push(r.f32(ctrl, &[nu])?);
        }
        stages.set_state(self.gpu, &begin)?;
        self.tell(&stages, &told);
        self.step(&stages);
        let after = stages.get_state(self.gpu)?;
        let levels = Levels::of(&task, POSITION, VELOCITY);
        for (n, (at, _, _, force)) in substeps.iter().enumerate() {
            self.compare_stages(&stages, c, at, *force, n)?;
            let theirs = Links::read(r, &format!("{at}."), &[b])?;
            theirs.compare(c, "", [STAGE_POSITION, STAGE_VELOCITY], &after, [n, 0], b);
            let theirs = r.f32(&format!("{at}.q"), &[nq])?;
            each(c, "q", &levels.q, &after.start_q[n * nq..][..nq], theirs);
            let theirs = r.f32(&format!("{at}.qd"), &[nv])?;
            c.within(
                "qd",
                STAGE_VELOCITY,
                &after.start_qd[n * nv..][..nv],
                theirs,
            );
        }

        Ok((
            task.name.clone(),
            steps + substeps.len() + ends,
            env.layout(),
        ))
    }

    /// What the substep of environment `n` noted on its way.
    fn compare_stages(
        &self,
        env: &Mabrax,
        c: &mut Comparison,
        at: &str,
        force: f64,
        n: usize,
    ) -> Result<(), ParityError> {
        let (r, s, envs) = (self.r, &env.config().system, env.envs());
        let (b, contacts) = (s.links.len(), s.contacts.len());
        let rows = b.max(contacts);
        let notes: Vec<[f32; 4]> = match env.notes() {
            Some(notes) => self.gpu.read(notes)?,
            None => return Ok(()),
        };
        let note = |stage: &str, row: usize, half: usize| {
            let stage = STAGES.iter().position(|s| *s == stage).unwrap_or(0);
            notes[(2 * (stage * rows + row) + half) * envs + n]
        };
        let three = |stage: &str, half: usize| -> Vec<f32> {
            (0..b)
                .flat_map(|i| note(stage, i, half)[..3].to_vec())
                .collect()
        };
        let four = |stage: &str| -> Vec<f32> { (0..b).flat_map(|i| note(stage, i, 1)).collect() };
        for (half, part) in ["vel", "ang"].iter().enumerate() {
            let name = format!("force_com.{part}");
            let theirs = r.f32(&format!("{at}.{name}"), &[b, 3])?;
            let name = match force {
                FIRST_FORCE => format!("first {name}"),
                _ => name,
            };
            c.within(&name, force, &three("FORCE", half), theirs);
        }
        for (stage, name) in [
            ("INTEGRATED", "x_i_integrated"),
            ("JOINTS", "x_i_after_joints"),
            ("CONTACTS", "x_i_after_contacts"),
        ] {
            let theirs = r.f32(&format!("{at}.{name}.pos"), &[b, 3])?;
            c.within(
                &format!("{name}.pos"),
                STAGE_POSITION,
                &three(stage, 0),
                theirs,
            );
            let theirs = r.f32(&format!("{at}.{name}.rot"), &[b, 4])?;
            c.within(&format!("{name}.rot"), STAGE_POSITION, &four(stage), theirs);
        }
        for (stage, name) in [
            ("INTEGRATED_VELOCITY", "xd_i_integrated"),
            ("PROJECTED", "xd_i_projected"),
        ] {
            for (half, part) in ["vel", "ang"].iter().enumerate() {
                let name = format!("{name}.{part}");
                let theirs = r.f32(&format!("{at}.{name}"), &[b, 3])?;
                c.within(&name, STAGE_VELOCITY, &three(stage, half), theirs);
            }
        }
        if contacts > 0 {
            let rows = 0..contacts;
            let gap: Vec<f32> = rows.clone().map(|k| note("CONTACT", k, 0)[3]).collect();
            let place: Vec<f32> = rows
                .clone()
                .flat_map(|k| note("CONTACT", k, 0)[..3].to_vec())
                .collect();
            let impulse: Vec<f32> = rows.map(|k| note("CONTACT", k, 1)[0]).collect();
            c.within(
                "contact_dist",
                STAGE_POSITION,
                &gap,
                r.f32(&format!("{at}.contact_dist"), &[contacts])?,
            );
            let theirs = r.f32(&format!("{at}.contact_pos"), &[contacts, 3])?;
            c.within("contact_pos", STAGE_POSITION, &place, theirs);
            c.within(
                "dlambda",
                STAGE_IMPULSE,
                &impulse,
                r.f32(&format!("{at}.dlambda"), &[contacts])?,
            );
        }
        Ok(())
    }
}

/// How far the quantity that ends an episode is from its threshold, at least.
fn threshold(config: &MabraxConfig, s: &MabraxState, g: usize) -> f32 {
    let system = &config.system;
    let back = system.links[0].com.map(|x| -f64::from(x));
    let turned = super::model::rotated(back, s.rotation[g * system.links.len()].map(f64::from));
    let height = s.position[g * system.links.len()][2] + turned[2] as f32;
    let mut least = f32::MAX;
    if let Some((bounds, _)) = config.task.height {
        least = bounds.iter().fold(least, |m, b| m.min((height - b).abs()));
    }
    if let Some(pitch) = config.task.pitch {
        least = least.min((s.start_q[g * system.nq + 2].abs() - pitch).abs());
    }
    least
}

/// The robot's constants against the reference's.
fn compare_system(
    r: &Recording,
    config: &MabraxConfig,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let s = &config.system;
    let b = s.links.len();
    let flat = |each: &dyn Fn(&super::system::Link) -> Vec<f32>| -> Vec<f32> {
        s.links.iter().flat_map(each).collect()
    };
    let mut one = |name: &str, shape: &[usize], ours: Vec<f32>| -> Result<(), ParityError> {
        let name = format!("sys.{name}");
        let theirs = match r.f32(&name, shape) {
            Ok(v) => v.to_vec(),
            Err(e) => match r.int(&name, shape) {
                Ok(v) => v.iter().map(|&x| x as f32).collect(),
                Err(_) => return Err(e.into()),
            },
        };
        c.within(&name, 1e-6, &ours, &theirs);
        Ok(())
    };
    one("link.inertia.mass", &[b], flat(&|l| vec![l.raw_mass]))?;
    one(
        "link.inertia.transform.pos",
        &[b, 3],
        flat(&|l| l.com.to_vec()),
    )?;
    one(
        "link.transform.pos",
        &[b, 3],
        flat(&|l| l.position.to_vec()),
    )?;
    one(
        "link.transform.rot",
        &[b, 4],
        flat(&|l| l.rotation.to_vec()),
    )?;
    one("link.joint.pos", &[b, 3], flat(&|l| l.anchor.to_vec()))?;
    one(
        "link.constraint_ang_damping",
        &[b],
        flat(&|l| vec![l.ang_damping]),
    )?;
    one(
        "link.constraint_vel_damping",
        &[b],
        flat(&|l| vec![l.vel_damping]),
    )?;
    one("opt.timestep", &[1], vec![s.timestep])?;
    one("opt.gravity", &[3], s.gravity.to_vec())?;
    one("init_q", &[s.nq], s.init_q.clone())?;
    one("vel_damping", &[1], vec![s.vel_damping])?;
    one("ang_damping", &[1], vec![s.ang_damping])?;
    one("joint_scale_pos", &[1], vec![s.joint_scale_pos])?;
    one("joint_scale_ang", &[1], vec![s.joint_scale_ang])?;
    one("collide_scale", &[1], vec![s.collide_scale])?;
    let nu = s.actuators.len();
    one(
        "actuator.gear",
        &[nu],
        s.actuators.iter().map(|a| a.gear).collect(),
    )?;
    one(
        "actuator.gain",
        &[nu],
        s.actuators.iter().map(|a| a.gain).collect(),
    )?;
    let ranges = s.actuators.iter().flat_map(|a| a.ctrl_range).collect();
    one("actuator.ctrl_range", &[nu, 2], ranges)?;
    let places = s.actuators.iter().map(|a| a.qd_index as f32).collect();
    one("actuator.qd_id", &[nu], places)?;
    Ok(())
}

impl Mabrax {
    fn notes(&self) -> Option<&crate::gpu::Region> {
        self.notes.as_ref()
    }
}
