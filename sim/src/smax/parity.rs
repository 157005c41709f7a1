//! SMAX against recordings of JaxMARL (`docs/parity.md` has the format).

use super::options::{ActionType, Opponent};
use super::{Replay, Smax, SmaxConfig, SmaxState, configure};
use crate::env::VecEnv;
use crate::golden::Recording;
use crate::gpu::Gpu;
use crate::parity::{Comparison, ParityError, kolmogorov_smirnov};
use crate::registry::{Batch, EnvOptions, Layout};

/// How rarely a reset test may fail by chance, per unit, axis and statistic. With 256 recorded resets a shift of about a
/// sixth of a distribution's mass is still found.
const RESET_ALPHA: f64 = 1e-6;
/// Our side of a reset test: so many resets of so many environments (the observations of 4,096 environments of 25 against
/// 25 exceed what a software device binds).
const RESET_ROUNDS: usize = 8;
const RESET_ENVS: usize = 512;

/// Compares one recording; returns the environment's name, the steps compared and the layout used.
pub(crate) fn compare(
    gpu: &Gpu,
    r: &Recording,
    layout: Layout,
    checked: bool,
    c: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let name = format!("smax/{}", r.text("scenario")?);
    let mut options = EnvOptions::new();
    let heuristic = r.text("environment")? == "HeuristicEnemySMAX";
    let resets = r.text("case")? == "resets";
    if !resets {
        options.insert("max_steps".into(), r.number::<u32>("max_steps")?.into());
        let steps = r.number::<u32>("world_steps_per_env_step")?;
        options.insert("world_steps_per_env_step".into(), steps.into());
        options.insert(
            "time_per_step".into(),
            r.number::<f32>("time_per_step")?.into(),
        );
    }
    // Recordings of the default variant do not say which they are of.
    for variant in ["observation_type", "action_type"] {
        if let Ok(kind) = r.text(variant) {
            options.insert(variant.into(), kind.into());
        }
    }
    let config = configure(&name, &options)?;
    let both = SmaxConfig {
        options: super::options::SmaxOptions {
            opponent: Opponent::External,
            ..config.options.clone()
        },
        ..config.clone()
    };
    let batch = |envs: usize| Batch {
        seeds: vec![0],
        envs_per_member: envs,
        steps: 1,
        slots: 1,
        layout,
        checked,
        ..Batch::default()
    };
    if resets {
        let env = Smax::new(gpu, both, &batch(RESET_ENVS))?;
        compare_resets(gpu, r, &env, c)?;
        return Ok((name, RESET_ROUNDS * RESET_ENVS, env.layout()));
    }
    let steps = r.rows("actions")?;
    let states = States::read(r, &config, steps, heuristic)?;
    let observer = Smax::new(gpu, both.clone(), &batch(steps + 1))?;
    compare_observations(gpu, r, &observer, &states, c)?;
    let played = if heuristic { config } else { both };
    for auto_reset in [false, true] {
        let played_batch = Batch {
            keep_ended: !auto_reset,
            ..batch(steps)
        };
        let env = Smax::replaying(gpu, played.clone(), &played_batch)?;
        compare_steps(gpu, r, &env, &states, auto_reset, c)?;
    }
    Ok((name, steps, observer.layout()))
}

/// The recorded states, as they go into a batch.
struct States {
    n: usize,
    /// `[T + 1]` states, environment-major.
    all: SmaxState,
    heuristic: bool,
}

impl States {
    fn read(
        r: &Recording,
        config: &SmaxConfig,
        steps: usize,
        heuristic: bool,
    ) -> Result<Self, ParityError> {
        let (n, na, t1) = (config.units(), config.scenario.allies, steps + 1);
        let ne = n - na;
        let mut s = SmaxState::zeroed(t1, n);
        let pairs = |v: &[f32]| -> Vec<[f32; 2]> { v.chunks(2).map(|p| [p[0], p[1]]).collect() };
        s.positions = pairs(r.f32("state.unit_positions", &[t1, n, 2])?);
        s.health = r.f32("state.unit_health", &[t1, n])?.to_vec();
        s.cooldown = r.f32("state.unit_weapon_cooldowns", &[t1, n])?.to_vec();
        let types = r.int("state.unit_types", &[t1, n])?;
        s.types = types.iter().map(|&t| t as u8).collect();
        s.step = r
            .int("state.step", &[t1])?
            .iter()
            .map(|&x| x as u32)
            .collect();
        let moves = r.f32("state.prev_movement_actions", &[t1, n, 2])?;
        let attacks = r.int("state.prev_attack_actions", &[t1, n])?;
        let continuous = config.options.action_type == ActionType::Continuous;
        if continuous {
            s.last_move = pairs(moves);
        }
        s.last_action = moves
            .chunks(2)
            .zip(attacks)
            .map(|(m, &attack)| match (attack, m[0], m[1]) {
                (5.., ..) => attack as u8,
                _ if continuous => 4,
                (_, _, y) if y > 0.5 => 0,
                (_, x, _) if x > 0.5 => 1,
                (_, _, y) if y < -0.5 => 2,
                (_, x, _) if x < -0.5 => 3,
                _ => 4,
            })
            .collect();
        if heuristic {
            let targets = pairs(r.f32("enemy_policy.default_target", &[t1, ne, 2])?);
            let last = r.int("enemy_policy.last_attacked", &[t1, ne])?;
            for t in 0..t1 {
                for e in 0..ne {
                    s.default_target[t * n + na + e] = targets[t * ne + e];
                    s.last_attacked[t * n + na + e] = last[t * ne + e];
                }
            }
        }
        Ok(Self {
            n,
            all: s,
            heuristic,
        })
    }

    /// States 0 .. `count`.
    fn first(&self, count: usize) -> SmaxState {
        let (s, m) = (&self.all, count * self.n);
        SmaxState {
            positions: s.positions[..m].to_vec(),
            health: s.health[..m].to_vec(),
            cooldown: s.cooldown[..m].to_vec(),
            types: s.types[..m].to_vec(),
            last_action: s.last_action[..m].to_vec(),
            last_move: s.last_move[..m].to_vec(),
            last_attacked: s.last_attacked[..m].to_vec(),
            default_target: s.default_target[..m].to_vec(),
            step: s.step[..count].to_vec(),
            episode: s.episode[..count].to_vec(),
            running_return: s.running_return[..count].to_vec(),
        }
    }
}

/// What the recorded states look like to both teams.
fn compare_observations(
    gpu: &Gpu,
    r: &Recording,
    env: &Smax,
    states: &States,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let t1 = env.envs();
    env.set_state(gpu, &states.first(t1))?;
    gpu.compute(|pass| env.record_observe(pass));
    let (n, na) = (states.n, env.config().scenario.allies);
    let (spec, ne) = (env.spec(), n - na);
    let (d, width) = (spec.obs, spec.actions.mask());
    let obs: Vec<f32> = gpu.read(&env.io().obs)?;
    let world: Vec<f32> = gpu.read(&env.io().state)?;
    let avail: Vec<f32> = gpu.read(&env.io().avail)?;
    let seen_by = if states.heuristic { na } else { n };
    let kept = r.rows("obs_steps")?;
    let theirs = r.f32("obs", &[kept, seen_by, d])?;
    let their_world = r.f32("world_state", &[kept, spec.state])?;
    for (k, &t) in r.int("obs_steps", &[kept])?.iter().enumerate() {
        let t = t as usize;
        let row = seen_by * d;
        let ours = &obs[t * n * d..][..row];
        c.floats("obs", ours, &theirs[k * row..][..row]);
        let row = spec.state;
        let ours = &world[t * row..][..row];
        c.floats("world_state", ours, &their_world[k * row..][..row]);
    }
    // With continuous actions the reference still returns the discrete mask; we have none.
    let masks = [("avail.ally", 0, na, ne), ("avail.enemy", na, ne, na)];
    for (name, first, units, targets) in masks.into_iter().filter(|_| width > 0) {
        let m = 5 + targets;
        let theirs = r.int(name, &[t1, units, m])?;
        for t in 0..t1 {
            let mine = (0..units).flat_map(|u| &avail[((t * n + first + u) * width)..][..m]);
            let mine: Vec<f32> = mine.copied().collect();
            c.exact(name, &mine, &theirs[t * units * m..][..units * m]);
        }
    }
    Ok(())
}

/// One step from each recorded state. With `auto_reset`, a step that ends an episode also starts the next one: then the
/// recorded end is what `final_obs` and `final_state` must show, and the new state a fresh one.
fn compare_steps(
    gpu: &Gpu,
    r: &Recording,
    env: &Smax,
    states: &States,
    auto_reset: bool,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let (steps, n) = (env.envs(), states.n);
    let na = env.config().scenario.allies;
    let (spec, ne) = (env.spec(), n - na);
    let (a, d) = (spec.agents, spec.obs);
    let world_steps = env.config().options.world_steps_per_env_step as usize;
    env.set_state(gpu, &states.first(steps))?;
    // Continuous actions are recorded where nothing is left to chance: both probabilities are 0 or 1.
    let continuous = env.config().options.action_type == ActionType::Continuous;
    let actions = if continuous {
        let told = r.f32("actions", &[steps, a, 4])?;
        gpu.write(&env.io().actions, told);
        &[]
    } else {
        let actions = r.int("actions", &[steps, n])?;
        let own: Vec<u32> = actions
            .chunks(n)
            .flat_map(|row| row[..a].iter().map(|&x| x as u32))
            .collect();
        gpu.write(&env.io().actions, &own);
        actions
    };
    let mut chased = vec![-1; steps * n];
    if states.heuristic {
        let drawn = r.int("enemy_move_target", &[steps, ne])?;
        for t in 0..steps {
            chased[t * n + na..][..ne].copy_from_slice(&drawn[t * ne..][..ne]);
        }
    }
    let noise = r.f32("cooldown_noise", &[steps, world_steps, n])?;
    env.set_replay(
        gpu,
        &Replay {
            cooldown_noise: noise.to_vec(),
            chased,
        },
    )?;
    gpu.compute(|pass| env.record_step(pass, 0));
    let after = env.get_state(gpu)?;
    let io = env.io();
    let reward: Vec<f32> = gpu.read(&io.reward)?;
    let dead: Vec<f32> = gpu.read(&io.agent_done)?;
    let terminated: Vec<f32> = gpu.read(&io.terminated)?;
    let truncated: Vec<f32> = gpu.read(&io.truncated)?;
    let (shown, shown_state) = (gpu.read::<f32>(&io.obs)?, gpu.read::<f32>(&io.state)?);
    let last_shown: Vec<f32> = gpu.read(&io.final_obs)?;
    let last_state: Vec<f32> = gpu.read(&io.final_state)?;

    let their_reward = r.f32("reward", &[steps, a])?;
    let their_done = r.int("done", &[steps, a])?;
    let over = r.int("done_all", &[steps])?;
    let state_done = r.int("state.done", &[steps + 1])?;
    let kept = r.rows("obs_steps")?;
    let obs_steps = r.int("obs_steps", &[kept])?;
    let their_obs = r.f32("obs", &[kept, a, d])?;
    let their_world = r.f32("world_state", &[kept, spec.state])?;
    let moves = r.f32("state.prev_movement_actions", &[steps + 1, n, 2])?;
    let attacks = r.int("state.prev_attack_actions", &[steps + 1, n])?;
    let alive = r.int("state.unit_alive", &[steps + 1, n])?;
    let teams = r.f32("state.unit_teams", &[steps + 1, n])?;
    let resets_itself = r.text("case")? == "autoreset";
    for t in 0..steps {
        let ended = over[t] == 1;
        c.floats("reward", &reward[t * a..][..a], &their_reward[t * a..][..a]);
        c.exact("done", &dead[t * a..][..a], &their_done[t * a..][..a]);
        c.exact("done_all", &[terminated[t] + truncated[t]], &[over[t]]);
        let mine = t * n..t * n + n;
        if ended && auto_reset {
            // Fresh: full health, weapons ready, nothing done yet, all within the reach of a push from the camps.
            let full = mine.clone().map(|k| {
                let unit = &env.config().options.unit_types[usize::from(after.types[k])];
                unit.health
            });
            let full: Vec<f32> = full.collect();
            c.exact("reset.health", &after.health[mine.clone()], &full);
            c.exact(
                "reset.cooldown",
                &after.cooldown[mine.clone()],
                &vec![0.0; n],
            );
            c.exact("reset.step", &[after.step[t]], &[0]);
            c.exact("reset.episode", &[after.episode[t]], &[1]);
        }
        if ended && resets_itself {
            continue; // the recorded next state is of another random reset
        }
        let next = t + 1;
        let theirs = next * n..next * n + n;
        if !(ended && auto_reset) {
            let flat = |v: &[[f32; 2]]| -> Vec<f32> { v.iter().flatten().copied().collect() };
            let all = &states.all;
            let (ours, want) = (
                &after.positions[mine.clone()],
                &all.positions[theirs.clone()],
            );
            c.floats("state.unit_positions", &flat(ours), &flat(want));
            c.exact(
                "state.unit_health",
                &after.health[mine.clone()],
                &all.health[theirs.clone()],
            );
            let living = after.health[mine.clone()].iter();
            let living: Vec<i32> = living.map(|&h| i32::from(h > 0.0)).collect();
            c.exact("state.unit_alive", &living, &alive[theirs.clone()]);
            let team: Vec<f32> = (0..n).map(|i| if i < na { 0.0 } else { 1.0 }).collect();
            c.exact("state.unit_teams", &team, &teams[theirs.clone()]);
            let (ours, want) = (&after.cooldown[mine.clone()], &all.cooldown[theirs.clone()]);
            c.floats("state.unit_weapon_cooldowns", ours, want);
            c.exact(
                "state.unit_types",
                &after.types[mine.clone()],
                &all.types[theirs.clone()],
            );
            c.exact("state.step", &[after.step[t]], &[all.step[next]]);
            c.exact(
                "state.done",
                &[terminated[t] + truncated[t]],
                &[state_done[next]],
            );
            // The reference's constant for a unit move; see STRIDE in rules.wgsl.
            const STRIDE: f32 = 0.999_999_94;
            let direction = |a: u8| match a {
                0 => [0.0, STRIDE],
                1 => [STRIDE, 0.0],
                2 => [0.0, -STRIDE],
                3 => [-STRIDE, 0.0],
                _ => [0.0, 0.0],
            };
            let last = &after.last_action[mine.clone()];
            let ours = if continuous {
                flat(&after.last_move[mine.clone()])
            } else {
                last.iter().flat_map(|&a| direction(a)).collect()
            };
            let want = &moves[2 * theirs.start..2 * theirs.end];
            c.floats("state.prev_movement_actions", &ours, want);
            let ours: Vec<i32> = last
                .iter()
                .map(|&a| if a >= 5 { i32::from(a) } else { 0 })
                .collect();
            c.exact("state.prev_attack_actions", &ours, &attacks[theirs.clone()]);
            if states.heuristic {
                let foes = t * n + na..t * n + n;
                let their_foes = next * n + na..next * n + n;
                if !continuous {
                    let ours = &after.last_action[foes.clone()];
                    c.exact("actions (heuristic)", ours, &actions[foes.clone()]);
                }
                let ours = flat(&after.default_target[foes.clone()]);
                let want = flat(&all.default_target[their_foes.clone()]);
                c.floats("enemy_policy.default_target", &ours, &want);
                let (ours, want) = (&after.last_attacked[foes], &all.last_attacked[their_foes]);
                c.exact("enemy_policy.last_attacked", ours, want);
            }
        }
        if let Some(k) = obs_steps.iter().position(|&s| s as usize == next) {
            let (obs, world) = if ended && auto_reset {
                (&last_shown, &last_state)
            } else {
                (&shown, &shown_state)
            };
            let (obs_name, world_name) = if ended && auto_reset {
                ("final_obs", "final_state")
            } else {
                ("obs after the step", "world_state after the step")
            };
            c.floats(
                obs_name,
                &obs[t * a * d..][..a * d],
                &their_obs[k * a * d..][..a * d],
            );
            let s = spec.state;
            c.floats(world_name, &world[t * s..][..s], &their_world[k * s..][..s]);
        }
    }
    Ok(())
}

/// Resets as distributions: positions of each unit, and what ties units together (spread and centre of a team, how many
/// stand outside the map), and the types.
fn compare_resets(
    gpu: &Gpu,
    r: &Recording,
    env: &Smax,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let (mut positions, mut our_types) = (Vec::new(), Vec::new());
    for _ in 0..RESET_ROUNDS {
        gpu.compute(|pass| env.record_reset(pass));
        let state = env.get_state(gpu)?;
        positions.extend(state.positions);
        our_types.extend(state.types);
    }
    let samples = RESET_ROUNDS * RESET_ENVS;
    let (n, na) = (env.config().units(), env.config().scenario.allies);
    let m = r.rows("state.unit_positions")?;
    let flat = r.f32("state.unit_positions", &[m, n, 2])?;
    let theirs: Vec<[f32; 2]> = flat.chunks(2).map(|p| [p[0], p[1]]).collect();
    let types = r.int("state.unit_types", &[m, n])?;
    let both = |f: &dyn Fn(&[[f32; 2]]) -> f64| -> (f64, f64) {
        let a: Vec<f64> = positions.chunks(n).map(f).collect();
        let b: Vec<f64> = theirs.chunks(n).map(f).collect();
        kolmogorov_smirnov(&a, &b, RESET_ALPHA)
    };
    for i in 0..n {
        for (axis, name) in ["reset.x (KS)", "reset.y (KS)"].into_iter().enumerate() {
            let (d, critical) = both(&|units| f64::from(units[i][axis]));
            c.statistic(name, m, d, critical);
        }
    }
    let mean = |units: &[[f32; 2]], axis: usize| {
        units.iter().map(|p| f64::from(p[axis])).sum::<f64>() / units.len() as f64
    };
    for team in [0..na, na..n] {
        for axis in 0..2 {
            let (d, critical) = both(&|units| mean(&units[team.clone()], axis));
            c.statistic("reset.team centre (KS)", m, d, critical);
            let (d, critical) = both(&|units| {
                let units = &units[team.clone()];
                let centre = mean(units, axis);
                let squares = units.iter().map(|p| (f64::from(p[axis]) - centre).powi(2));
                squares.sum::<f64>().sqrt()
            });
            c.statistic("reset.team spread (KS)", m, d, critical);
        }
    }
    let (w, h) = (
        env.config().options.map_width,
        env.config().options.map_height,
    );
    let (d, critical) = both(&|units| {
        let outside = |p: &&[f32; 2]| p[0] <= 0.0 || p[1] <= 0.0 || p[0] >= w || p[1] >= h;
        units.iter().filter(outside).count() as f64
    });
    c.statistic("reset.units outside (KS)", m, d, critical);
    for i in 0..n {
        let a: Vec<f64> = (0..samples)
            .map(|g| f64::from(our_types[g * n + i]))
            .collect();
        let b: Vec<f64> = (0..m).map(|g| f64::from(types[g * n + i])).collect();
        let (d, critical) = kolmogorov_smirnov(&a, &b, RESET_ALPHA);
        c.statistic("reset.types (KS)", m, d, critical);
    }
    // The enemies are the allies' types in order.
    let pairs = na.min(n - na);
    let copies = |g: usize, at: &dyn Fn(usize) -> i32| {
        (0..pairs).all(|i| at(g * n + i) == at(g * n + na + i))
    };
    let theirs_copy = (0..m).all(|g| copies(g, &|k| types[k]));
    let ours_copy = (0..samples).all(|g| copies(g, &|k| i32::from(our_types[k])));
    c.exact(
        "reset.enemies copy the allies",
        &[u8::from(ours_copy)],
        &[u8::from(theirs_copy)],
    );
    Ok(())
}
