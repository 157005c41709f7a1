//! Particle worlds against recordings of JaxMARL (`docs/parity.md` has the format).

use super::options::{ActionType, MpeOptions};
use super::{Mpe, MpeConfig, MpeState, configure};
use crate::env::VecEnv;
use crate::golden::Recording;
use crate::gpu::Gpu;
use crate::parity::{Comparison, ParityError};
use crate::registry::{Batch, EnvOptions, Layout};

/// Compares one recording; returns the environment's name, the steps compared and the layout used.
pub(crate) fn compare(
    gpu: &Gpu,
    r: &Recording,
    layout: Layout,
    checked: bool,
    c: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let tag = r.text("environment")? == "MPE_simple_tag";
    let name = if tag {
        "mpe/simple_tag"
    } else {
        "mpe/simple_spread"
    };
    // A list of names in JSON; predators are called adversaries.
    let agents: Vec<String> = serde_json::from_str(r.text("agents")?).unwrap_or_default();
    let predators = agents.iter().filter(|a| a.starts_with("adversary")).count();
    let moving = if tag { predators } else { agents.len() };
    let mut options = EnvOptions::new();
    options.insert("reference_defects".into(), true.into());
    options.insert("num_agents".into(), moving.into());
    if tag {
        options.insert("num_prey".into(), (agents.len() - predators).into());
    } else {
        let ratio = r.number::<f32>("local_ratio")?;
        options.insert("local_ratio".into(), ratio.into());
    }
    let landmarks = r.number::<usize>("num_landmarks")?;
    options.insert("num_landmarks".into(), landmarks.into());
    options.insert("max_steps".into(), r.number::<u32>("max_steps")?.into());
    options.insert("action_type".into(), r.text("action_type")?.into());
    let config = configure(name, &options)?;
    let batch = |envs: usize| Batch {
        seeds: vec![0],
        envs_per_member: envs,
        steps: 1,
        slots: 1,
        layout,
        checked,
        ..Batch::default()
    };
    compare_constants(r, &config, c)?;
    let steps = r.rows("actions")?;
    let observer = Mpe::new(gpu, config.clone(), &batch(steps + 1))?;
    compare_observations(gpu, r, &agents, &observer, c)?;
    for auto_reset in [false, true] {
        let played_batch = Batch {
            keep_ended: !auto_reset,
            ..batch(steps)
        };
        let env = Mpe::new(gpu, config.clone(), &played_batch)?;
        compare_steps(gpu, r, &agents, &env, auto_reset, c)?;
    }
    Ok((name.to_owned(), steps, observer.layout()))
}

fn moving_and_bodies(o: &MpeOptions) -> (usize, usize) {
    (o.moving(), o.moving() + o.num_landmarks)
}

/// Radii, masses, speed limits, who collides, accelerations.
fn compare_constants(
    r: &Recording,
    config: &MpeConfig,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let o = &config.options;
    let (n, b) = moving_and_bodies(o);
    let each = |agent: f32, prey: f32, landmark: f32| -> Vec<f32> {
        let kind = |e: usize| match e {
            e if e >= n => landmark,
            e if e >= o.num_agents => prey,
            _ => agent,
        };
        (0..b).map(kind).collect()
    };
    let radius = each(o.agent_radius, o.prey_radius, o.landmark_radius);
    c.floats("const.radius", &radius, r.f32("const.radius", &[b])?);
    c.floats("const.mass", &vec![1.0; b], r.f32("const.mass", &[b])?);
    let limit = |x: Option<f32>| x.unwrap_or(-1.0);
    // Landmarks never move; what the recordings say of their speed has no effect.
    let speeds = &each(limit(o.agent_max_speed), limit(o.prey_max_speed), -1.0)[..n];
    let theirs = &r.f32("const.max_speed", &[b])?[..n];
    c.floats("const.max_speed", speeds, theirs);
    let solid = u8::from(MpeOptions::solid_landmarks(config.task));
    let collide: Vec<u8> = (0..b).map(|e| if e < n { 1 } else { solid }).collect();
    c.exact("const.collide", &collide, r.int("const.collide", &[b])?);
    let accel = &each(o.agent_accel, o.prey_accel, 0.0)[..n];
    c.floats("const.accel", accel, r.f32("const.accel", &[n])?);
    Ok(())
}

/// The recorded states 0 .. `count` of `T + 1`.
fn states(r: &Recording, o: &MpeOptions, count: usize) -> Result<MpeState, ParityError> {
    let (n, b) = moving_and_bodies(o);
    let t1 = r.rows("actions")? + 1;
    let mut s = MpeState::zeroed(count, n, b);
    let positions = r.f32("state.p_pos", &[t1, b, 2])?;
    let velocities = r.f32("state.p_vel", &[t1, b, 2])?;
    let steps = r.int("state.step", &[t1])?;
    for (t, step) in s.step.iter_mut().enumerate() {
        *step = steps[t] as u32;
        for e in 0..b {
            let at = 2 * (t * b + e);
            s.positions[t * b + e] = [positions[at], positions[at + 1]];
            if e < n {
                s.velocities[t * n + e] = [velocities[at], velocities[at + 1]];
            }
        }
    }
    Ok(s)
}

/// What environment `row` of a batch shows.
struct Shown<'a> {
    /// What the comparison is called.
    name: &'a str,
    obs: &'a [f32],
    world: &'a [f32],
    row: usize,
}

/// The observation of each agent in state `t`, and the world state, which is all of them in a row.
fn compare_seen(
    r: &Recording,
    agents: &[String],
    env: &Mpe,
    shown: Shown<'_>,
    t: usize,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let (o, spec) = (&env.config().options, env.spec());
    let t1 = r.rows("actions")? + 1;
    let Shown {
        name,
        obs,
        world,
        row,
    } = shown;
    let (a, d) = (spec.agents, spec.obs);
    let mut all = Vec::new();
    for (i, agent) in agents.iter().enumerate() {
        let size = o.features(i >= o.num_agents);
        let theirs = r.f32(&format!("obs.{agent}"), &[t1, size])?;
        let theirs = &theirs[t * size..][..size];
        let ours = &obs[(row * a + i) * d..][..d];
        c.floats(name, &ours[..size], theirs);
        c.exact("obs padding", &ours[size..], &vec![0.0f32; d - size]);
        all.extend_from_slice(theirs);
    }
    let ours = &world[row * spec.state..][..spec.state];
    c.floats(&name.replace("obs", "world state"), ours, &all);
    Ok(())
}

/// What the recorded states look like to the agents.
fn compare_observations(
    gpu: &Gpu,
    r: &Recording,
    agents: &[String],
    env: &Mpe,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let t1 = env.envs();
    env.set_state(gpu, &states(r, &env.config().options, t1)?)?;
    gpu.compute(|pass| env.record_observe(pass));
    let obs: Vec<f32> = gpu.read(&env.io().obs)?;
    let world: Vec<f32> = gpu.read(&env.io().state)?;
    for t in 0..t1 {
        let shown = Shown {
            name: "obs",
            obs: &obs,
            world: &world,
            row: t,
        };
        compare_seen(r, agents, env, shown, t, c)?;
    }
    Ok(())
}

/// One step from each recorded state. With `auto_reset`, a step that ends an episode also starts the next one: then the
/// recorded end is what `final_obs` and `final_state` must show, and the new state a fresh one.
fn compare_steps(
    gpu: &Gpu,
    r: &Recording,
    agents: &[String],
    env: &Mpe,
    auto_reset: bool,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let (o, steps) = (&env.config().options, env.envs());
    let (n, b) = moving_and_bodies(o);
    env.set_state(gpu, &states(r, o, steps)?)?;
    let a = env.spec().agents;
    match o.action_type {
        ActionType::Discrete => {
            let actions = r.int("actions", &[steps, a])?;
            let actions: Vec<u32> = actions.iter().map(|&x| x as u32).collect();
            gpu.write(&env.io().actions, &actions);
        }
        ActionType::Continuous => {
            gpu.write(&env.io().actions, r.f32("actions", &[steps, a, 5])?);
        }
    }
    gpu.compute(|pass| env.record_step(pass, 0));
    let after = env.get_state(gpu)?;
    let read = |region| gpu.read::<f32>(region);
    let reward = read(&env.io().reward)?;
    let (terminated, truncated) = (read(&env.io().terminated)?, read(&env.io().truncated)?);
    let dead = read(&env.io().agent_done)?;
    let seen = [read(&env.io().obs)?, read(&env.io().state)?];
    let last_seen = [read(&env.io().final_obs)?, read(&env.io().final_state)?];
    let their_reward = r.f32("reward", &[steps, a])?;
    let their_done = r.int("done", &[steps, a])?;
    let over = r.int("done_all", &[steps])?;
    let (their_steps, their_ends) = (
        r.int("state.step", &[steps + 1])?,
        r.int("state.done", &[steps + 1, a])
            .or_else(|_| r.int("state.done", &[steps + 1]))?,
    );
    let next = states(r, o, steps + 1)?;
    let resets_itself = r.text("case")? == "autoreset";
    let flat = |v: &[[f32; 2]]| -> Vec<f32> { v.iter().flatten().copied().collect() };
    for t in 0..steps {
        let ended = over[t] == 1;
        c.floats("reward", &reward[t * a..][..a], &their_reward[t * a..][..a]);
        c.exact("done", &dead[t * a..][..a], &their_done[t * a..][..a]);
        c.exact("done_all", &[terminated[t] + truncated[t]], &[over[t]]);
        let (ours, velocities) = (
            &after.positions[t * b..][..b],
            &after.velocities[t * n..][..n],
        );
        if ended && auto_reset {
            compare_fresh(o, ours, velocities, after.step[t], after.episode[t], c);
        }
        if ended && resets_itself {
            continue; // the recorded next state is of another random reset
        }
        if !(ended && auto_reset) {
            let theirs = &next.positions[(t + 1) * b..][..b];
            c.floats("state.p_pos", &flat(ours), &flat(theirs));
            let theirs = &next.velocities[(t + 1) * n..][..n];
            c.floats("state.p_vel", &flat(velocities), &flat(theirs));
            c.exact("state.step", &[after.step[t]], &[their_steps[t + 1]]);
            let per_state = their_ends.len() / (steps + 1);
            c.exact(
                "state.done",
                &vec![terminated[t] + truncated[t]; per_state],
                &their_ends[(t + 1) * per_state..][..per_state],
            );
        }
        let (name, [obs, world]) = if ended && auto_reset {
            ("final obs", &last_seen)
        } else {
            ("obs after the step", &seen)
        };
        let shown = Shown {
            name,
            obs,
            world,
            row: t,
        };
        compare_seen(r, agents, env, shown, t + 1, c)?;
    }
    Ok(())
}

/// A fresh episode: at rest within its squares, counters set.
fn compare_fresh(
    o: &MpeOptions,
    positions: &[[f32; 2]],
    velocities: &[[f32; 2]],
    step: u32,
    episode: u32,
    c: &mut Comparison,
) {
    let inside = positions.iter().enumerate().all(|(e, p)| {
        let half = if e < o.moving() {
            o.agent_box
        } else {
            o.landmark_box
        };
        p.iter().all(|x| x.abs() <= half)
    });
    let at_rest = velocities.iter().all(|v| *v == [0.0; 2]);
    let fresh = [inside, at_rest, step == 0, episode == 1].map(u8::from);
    c.exact("reset (inside, at rest, counters)", &fresh, &[1u8; 4]);
}
