//! Overcooked against recordings of JaxMARL (`docs/parity.md` has the format). All is whole numbers: all must be equal.

use super::layout::Cell;
use super::{AGENTS, CHANNELS, Item, Overcooked, OvercookedConfig, OvercookedState, configure};
use crate::env::VecEnv;
use crate::golden::{GoldenError, Recording};
use crate::gpu::Gpu;
use crate::parity::{Comparison, ParityError};
use crate::registry::{Batch, EnvOptions, Layout};

/// Compares one recording; returns the environment's name, the steps compared and the layout used.
pub(crate) fn compare(
    gpu: &Gpu,
    r: &Recording,
    _layout: Layout,
    checked: bool,
    c: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let name = format!("overcooked/{}", r.text("layout")?);
    let mut options = EnvOptions::new();
    options.insert("max_steps".into(), r.number::<u32>("max_steps")?.into());
    let config = configure(&name, &options)?;
    let steps = r.rows("actions")?;
    let recorded = Recorded::read(r, &config, steps)?;
    compare_kitchen(r, &config, c)?;
    let batch = |envs: usize, steps: usize, slots: usize| Batch {
        seeds: vec![0],
        envs_per_member: envs,
        steps,
        slots,
        checked,
        keep_ended: true,
        ..Batch::default()
    };
    let observer = Overcooked::new(gpu, config.clone(), &batch(steps + 1, 1, 1))?;
    observer.set_state(gpu, &recorded.states(0, steps + 1))?;
    gpu.compute(|pass| observer.record_observe(pass));
    let (obs, world): (Vec<f32>, Vec<f32>) = (
        gpu.read(&observer.io().obs)?,
        gpu.read(&observer.io().state)?,
    );
    for t in 0..=steps {
        recorded.compare_obs("obs", &obs, t, t, c);
        recorded.compare_obs("state (both observations)", &world, t, t, c);
    }
    for auto_reset in [false, true] {
        let played = Batch {
            keep_ended: !auto_reset,
            ..batch(steps, 1, 1)
        };
        let env = Overcooked::new(gpu, config.clone(), &played)?;
        compare_steps(gpu, &env, &recorded, auto_reset, c)?;
    }
    let env = Overcooked::new(gpu, config.clone(), &batch(1, steps, steps + 1))?;
    compare_rollout(gpu, &env, &recorded, c)?;
    Ok((name, steps, observer.layout()))
}

/// The grid, from the recording's constants and its first map.
fn compare_kitchen(
    r: &Recording,
    config: &OvercookedConfig,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let k = &config.kitchen;
    let size = [r.number::<i32>("height")?, r.number::<i32>("width")?];
    c.exact(
        "height and width",
        &[k.height as i32, k.width as i32],
        &size,
    );
    let walls = r.int("const.wall_map", &[k.height, k.width])?;
    let ours: Vec<i32> = k
        .cells
        .iter()
        .map(|&x| i32::from(x != Cell::Floor))
        .collect();
    c.exact("const.wall_map", &ours, walls);
    for (name, kind) in [
        ("const.pot_pos", Cell::Pot),
        ("const.goal_pos", Cell::Delivery),
    ] {
        let theirs = r.int(name, &[r.rows(name)?, 2])?;
        let ours = k.all(kind);
        let ours: Vec<i32> = ours
            .iter()
            .flat_map(|i| [(i % k.width) as i32, (i / k.width) as i32])
            .collect();
        c.exact(name, &ours, theirs);
    }
    Ok(())
}

/// Cells of padding around the reference's map.
const PAD: usize = 4;
/// The reference's object numbers: of items, and of agents.
const OBJECTS: [(Item, i32); 4] = [
    (Item::Nothing, 1),
    (Item::Onion, 3),
    (Item::Plate, 5),
    (Item::Dish, 9),
];
const AGENT: i32 = 10;

fn object(item: Item) -> i32 {
    OBJECTS[item as usize].1
}

struct Recorded<'a> {
    config: &'a OvercookedConfig,
    steps: usize,
    positions: &'a [i32],
    facing: &'a [i32],
    held: &'a [i32],
    maps: &'a [i32],
    step: &'a [i32],
    done: &'a [i32],
    actions: &'a [i32],
    reward: &'a [f32],
    shaped: &'a [f32],
    over: &'a [i32],
    obs: &'a [i32],
    all: OvercookedState,
}

impl<'a> Recorded<'a> {
    fn read(
        r: &'a Recording,
        config: &'a OvercookedConfig,
        steps: usize,
    ) -> Result<Self, ParityError> {
        let (w, h, t1) = (config.kitchen.width, config.kitchen.height, steps + 1);
        let mut recorded = Self {
            config,
            steps,
            positions: r.int("state.agent_pos", &[t1, AGENTS, 2])?,
            facing: r.int("state.agent_dir_idx", &[t1, AGENTS])?,
            held: r.int("state.agent_inv", &[t1, AGENTS])?,
            maps: r.int("state.maze_map", &[t1, h + 2 * PAD, w + 2 * PAD, 3])?,
            step: r.int("state.step", &[t1])?,
            done: r.int("state.done", &[t1])?,
            actions: r.int("actions", &[steps, AGENTS])?,
            reward: r.f32("reward", &[steps, AGENTS])?,
            shaped: r.f32("shaped_reward", &[steps, AGENTS])?,
            over: r.int("done_all", &[steps])?,
            obs: r.int("obs", &[t1, AGENTS, h, w, CHANNELS])?,
            all: OvercookedState::default(),
        };
        let item = |number: i32| OBJECTS.iter().find(|(_, n)| *n == number).map(|(i, _)| *i);
        for t in 0..t1 {
            let s = &mut recorded.all;
            for i in AGENTS * t..AGENTS * (t + 1) {
                let held = recorded.held[i];
                let unknown = || GoldenError::Missing {
                    path: r.path.clone(),
                    what: format!("a known object in `state.agent_inv` (found {held})"),
                };
                s.positions
                    .push([0, 1].map(|axis| recorded.positions[2 * i + axis] as u16));
                s.facing.push(recorded.facing[i] as u8);
                s.held.push(item(held).ok_or_else(unknown)?);
            }
            for (k, &cell) in config.kitchen.cells.iter().enumerate() {
                let at = ((t * (h + 2 * PAD) + PAD + k / w) * (w + 2 * PAD) + PAD + k % w) * 3;
                if cell == Cell::Pot {
                    s.pot_status.push(recorded.maps[at + 2] as u8);
                }
                let lies = item(recorded.maps[at]).filter(|_| cell == Cell::Counter);
                s.items.push(lies.unwrap_or_default());
            }
            s.step.push(recorded.step[t] as u32);
        }
        // No recording has counters of episodes and returns.
        recorded.all.episode = vec![0; t1];
        recorded.all.running_return = vec![0.0; t1];
        recorded.all.shaped_points = vec![0; t1];
        Ok(recorded)
    }

    /// States `first` .. `first + count`.
    fn states(&self, first: usize, count: usize) -> OvercookedState {
        fn part<T: Clone>(v: &[T], t1: usize, first: usize, count: usize) -> Vec<T> {
            let n = v.len() / t1;
            v[first * n..(first + count) * n].to_vec()
        }
        let (s, t1) = (&self.all, self.steps + 1);
        OvercookedState {
            positions: part(&s.positions, t1, first, count),
            facing: part(&s.facing, t1, first, count),
            held: part(&s.held, t1, first, count),
            pot_status: part(&s.pot_status, t1, first, count),
            items: part(&s.items, t1, first, count),
            step: part(&s.step, t1, first, count),
            episode: part(&s.episode, t1, first, count),
            running_return: part(&s.running_return, t1, first, count),
            shaped_points: part(&s.shaped_points, t1, first, count),
        }
    }

    /// Observations of both agents: row `ours_at` of ours with recorded state `t`.
    fn compare_obs(&self, name: &str, ours: &[f32], ours_at: usize, t: usize, c: &mut Comparison) {
        let row = AGENTS * CHANNELS * self.config.kitchen.cells.len();
        c.exact(
            name,
            &ours[ours_at * row..][..row],
            &self.obs[t * row..][..row],
        );
    }

    /// Environment `env` of `s` with recorded state `t`, the whole padded map included.
    fn compare_state(&self, s: &OvercookedState, env: usize, t: usize, c: &mut Comparison) {
        let (mine, theirs) = (
            AGENTS * env..AGENTS * (env + 1),
            AGENTS * t..AGENTS * (t + 1),
        );
        let positions: Vec<u16> = s.positions[mine.clone()].concat();
        let want = &self.positions[2 * theirs.start..2 * theirs.end];
        c.exact("state.agent_pos", &positions, want);
        let want = &self.facing[theirs.clone()];
        c.exact("state.agent_dir_idx", &s.facing[mine.clone()], want);
        let held: Vec<i32> = s.held[mine].iter().map(|&i| object(i)).collect();
        c.exact("state.agent_inv", &held, &self.held[theirs]);
        c.exact("state.step", &[s.step[env]], &[self.step[t]]);
        let map = self.map(s, env);
        c.exact(
            "state.maze_map",
            &map,
            &self.maps[t * map.len()..][..map.len()],
        );
    }

    /// The reference's map of environment `env`: object, colour, status per cell, with padding.
    fn map(&self, s: &OvercookedState, env: usize) -> Vec<i32> {
        let k = &self.config.kitchen;
        let (w, h) = (k.width, k.height);
        let wall = [2, 5, 0];
        let mut map = vec![wall; (w + 2 * PAD) * (h + 2 * PAD)];
        let mut pots = s.pots(env).iter();
        for (i, cell) in k.cells.iter().enumerate() {
            map[(PAD + i / w) * (w + 2 * PAD) + PAD + i % w] = match cell {
                Cell::Floor => [1, 0, 0],
                Cell::Pot => [8, 7, pots.next().map_or(-1, |&status| status.into())],
                Cell::OnionPile => [4, 4, 0],
                Cell::PlatePile => [6, 6, 0],
                Cell::Delivery => [7, 1, 0],
                Cell::Counter => match s.items[env * w * h + i] {
                    Item::Nothing => wall,
                    Item::Onion => [object(Item::Onion), 4, 0],
                    item => [object(item), 6, 0],
                },
            };
        }
        for i in 0..AGENTS {
            let [x, y] = s.positions[AGENTS * env + i].map(usize::from);
            let facing = s.facing[AGENTS * env + i].into();
            map[(PAD + y) * (w + 2 * PAD) + PAD + x] = [AGENT, 2 * i as i32, facing];
        }
        map.concat()
    }
}

/// One step from each recorded state. With `auto_reset` shaped points count too, and a step that ends an episode starts the
/// next one: then `final_obs` shows the recorded end.
fn compare_steps(
    gpu: &Gpu,
    env: &Overcooked,
    recorded: &Recorded<'_>,
    auto_reset: bool,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let steps = recorded.steps;
    env.set_state(gpu, &recorded.states(0, steps))?;
    env.set_reward_shaping(gpu, if auto_reset { 1.0 } else { 0.0 });
    let actions: Vec<u32> = recorded.actions.iter().map(|&a| a as u32).collect();
    gpu.write(&env.io().actions, &actions);
    gpu.compute(|pass| {
        // Once the slot shows the state before, so that the step writes the difference; once it shows nothing.
        if auto_reset {
            env.record_observe(pass);
        }
        env.record_step(pass, 0);
    });
    let after = env.get_state(gpu)?;
    let io = env.io();
    let reward: Vec<f32> = gpu.read(&io.reward)?;
    let terminated: Vec<f32> = gpu.read(&io.terminated)?;
    let truncated: Vec<f32> = gpu.read(&io.truncated)?;
    let agent_done: Vec<f32> = gpu.read(&io.agent_done)?;
    let (obs, last): (Vec<f32>, Vec<f32>) = (gpu.read(&io.obs)?, gpu.read(&io.final_obs)?);
    for t in 0..steps {
        let agents = AGENTS * t..AGENTS * (t + 1);
        let (ours, theirs) = (&reward[agents.clone()], &recorded.reward[agents.clone()]);
        if auto_reset {
            let shaped: Vec<f32> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
            c.exact("shaped_reward", &shaped, &recorded.shaped[agents.clone()]);
        } else {
            c.exact("reward", ours, theirs);
        }
        let over = recorded.over[t];
        c.exact("done_all", &[terminated[t] + truncated[t]], &[over]);
        c.exact(
            "done_all (each agent)",
            &agent_done[agents],
            &[over; AGENTS],
        );
        if over == 1 && auto_reset {
            recorded.compare_obs("final_obs", &last, t, t + 1, c);
            let fresh = env.start_state();
            let mine = AGENTS * t..AGENTS * (t + 1);
            let same = after.positions[mine.clone()] == fresh.positions[mine.clone()]
                && after.held[mine.clone()] == fresh.held[mine]
                && after.pots(t) == fresh.pots(t)
                && (after.step[t], after.episode[t]) == (0, 1);
            c.exact("reset", &[u8::from(same)], &[1]);
        } else {
            recorded.compare_state(&after, t, t + 1, c);
            let state_done = terminated[t] + truncated[t];
            c.exact("state.done", &[state_done], &[recorded.done[t + 1]]);
            recorded.compare_obs("obs after the step", &obs, t, t + 1, c);
        }
    }
    Ok(())
}

/// The file as one episode, from its first state on.
fn compare_rollout(
    gpu: &Gpu,
    env: &Overcooked,
    recorded: &Recorded<'_>,
    c: &mut Comparison,
) -> Result<(), ParityError> {
    env.set_state(gpu, &recorded.states(0, 1))?;
    let actions: Vec<u32> = recorded.actions.iter().map(|&a| a as u32).collect();
    gpu.write(&env.io().actions, &actions);
    gpu.compute(|pass| {
        env.record_observe(pass);
        for t in 0..recorded.steps {
            env.record_step(pass, t);
        }
    });
    let obs: Vec<f32> = gpu.read(&env.io().obs)?;
    for t in 0..=recorded.steps {
        recorded.compare_obs("obs (rollout)", &obs, t, t, c);
    }
    let reward: Vec<f32> = gpu.read(&env.io().reward)?;
    c.exact("reward (rollout)", &reward, recorded.reward);
    recorded.compare_state(&env.get_state(gpu)?, 0, recorded.steps, c);
    Ok(())
}
