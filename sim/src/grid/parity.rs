//! Grid worlds against recordings of minigrid's BabyAI levels (`docs/parity.md` has the format).

use serde::Deserialize;

use super::cell::{COLOURS, Cell, OBJECTS};
use super::mission::{Clause, Description, Kind, Mission, Order, Place};
use super::{Grid, GridConfig, World, configure};
use crate::env::VecEnv;
use crate::golden::{GoldenError, Recording};
use crate::gpu::Gpu;
use crate::parity::{Comparison, ParityError};
use crate::registry::{Batch, EnvOptions, Layout};

/// An episode of the header.
#[derive(Deserialize)]
struct Episode {
    mission: String,
    instruction: Instruction,
    max_steps: u32,
    steps: usize,
}

/// A node of the recorded instruction.
#[derive(Deserialize)]
struct Instruction {
    kind: String,
    desc: Option<RecordedDescription>,
    desc_move: Option<RecordedDescription>,
    desc_fixed: Option<RecordedDescription>,
    instr_a: Option<Box<Instruction>>,
    instr_b: Option<Box<Instruction>>,
    #[serde(default)]
    strict: bool,
}

#[derive(Deserialize)]
struct RecordedDescription {
    #[serde(rename = "type")]
    object: Option<String>,
    color: Option<String>,
    loc: Option<String>,
    positions: Vec<[usize; 2]>,
}

impl RecordedDescription {
    fn read(&self) -> Option<Description> {
        let among = |names: &[&str], name: &Option<String>| match name {
            None => Some(None),
            Some(name) => names.iter().position(|n| n == name).map(|i| Some(i as u8)),
        };
        let place = match self.loc.as_deref() {
            None => None,
            Some("left") => Some(Place::Left),
            Some("right") => Some(Place::Right),
            Some("front") => Some(Place::Front),
            Some("behind") => Some(Place::Behind),
            Some(_) => return None,
        };
        Some(Description {
            object: among(&OBJECTS, &self.object)?,
            colour: among(&COLOURS, &self.color)?,
            place,
            several: self.positions.len() > 1,
        })
    }
}

impl Instruction {
    fn descriptions(&self) -> [Option<&RecordedDescription>; 2] {
        match &self.desc {
            Some(d) => [Some(d), None],
            None => [self.desc_move.as_ref(), self.desc_fixed.as_ref()],
        }
    }

    fn clause(&self) -> Option<Clause> {
        let kind = match self.kind.as_str() {
            "GoToInstr" => Kind::GoTo,
            "PickupInstr" => Kind::PickUp,
            "OpenInstr" => Kind::Open,
            "PutNextInstr" => Kind::PutNext,
            _ => return None,
        };
        let [first, second] = self.descriptions();
        Some(Clause {
            kind,
            first: first?.read()?,
            second: match second {
                Some(d) => d.read()?,
                None => Description::default(),
            },
            strict: self.strict,
        })
    }

    fn halves(&self) -> Option<[&Instruction; 2]> {
        Some([self.instr_a.as_deref()?, self.instr_b.as_deref()?])
    }

    /// The clauses in the order of the text, by part.
    fn parts(&self) -> Option<Vec<Vec<&Instruction>>> {
        Some(match self.kind.as_str() {
            "BeforeInstr" | "AfterInstr" => {
                let halves = self.halves()?;
                halves
                    .into_iter()
                    .map(|h| match h.kind.as_str() {
                        "AndInstr" => h.halves().map(Vec::from),
                        _ => Some(vec![h]),
                    })
                    .collect::<Option<_>>()?
            }
            "AndInstr" => vec![self.halves().map(Vec::from)?],
            _ => vec![vec![self]],
        })
    }

    /// The mission in the level's form, with the instructions behind its clauses.
    fn mission(&self, config: &GridConfig) -> Option<(Mission, Vec<Option<&Instruction>>)> {
        let per_part = config.level.per_part;
        let mut nodes = vec![None; config.level.clauses()];
        for (p, part) in self.parts()?.into_iter().enumerate() {
            for (n, node) in part.into_iter().enumerate() {
                let at = p * per_part + n;
                *nodes.get_mut(at).filter(|_| n < per_part)? = Some(node);
            }
        }
        let clauses = nodes
            .iter()
            .map(|n| match n {
                Some(node) => node.clause().map(Some),
                None => Some(None),
            })
            .collect::<Option<Vec<_>>>()?;
        let journeys = |c: &Clause| if c.kind == Kind::PutNext { 2 } else { 1 };
        let mission = Mission {
            navigations: clauses.iter().flatten().map(journeys).sum(),
            clauses,
            order: match self.kind.as_str() {
                "BeforeInstr" => Order::Before,
                "AfterInstr" => Order::After,
                _ => Order::Single,
            },
            strict_order: self.kind != "AndInstr" && self.instr_a.is_some() && self.strict,
            ..Mission::default()
        };
        Some((mission, nodes))
    }
}

/// Compares one recording; returns the environment's name, the steps compared and the layout used.
pub(crate) fn compare(
    gpu: &Gpu,
    r: &Recording,
    _layout: Layout,
    checked: bool,
    c: &mut Comparison,
) -> Result<(String, usize, &'static str), ParityError> {
    let id = r.text("environment")?;
    let short = id
        .trim_start_matches("BabyAI-")
        .trim_start_matches("MiniGrid-");
    let short = short.rsplit_once("-v").map_or(short, |(name, _)| name);
    let family = if id.starts_with("BabyAI-") {
        "babyai"
    } else {
        "minigrid"
    };
    let name = format!("{family}/{short}");
    let config = configure(&name, &EnvOptions::new())?;
    let episodes: Vec<Episode> = serde_json::from_str(r.text("episodes")?)
        .map_err(|e| malformed(r, format!("readable `episodes` in its header ({e})")))?;
    let recorded = Recorded::read(r, &config, &episodes)?;
    let batch = |envs: usize, keep_ended: bool| Batch {
        seeds: vec![0],
        envs_per_member: envs,
        steps: 1,
        slots: 1,
        checked,
        keep_ended,
        ..Batch::default()
    };
    let env = Grid::new(gpu, config.clone(), &batch(episodes.len(), true))?;
    let before = compare_rollouts(gpu, &env, &recorded, &episodes, c)?;
    let steps = recorded.actions.len();
    let env = Grid::new(gpu, config, &batch(steps, false))?;
    compare_resets(gpu, &env, &recorded, &before, c)?;
    Ok((name, steps, env.layout()))
}

fn malformed(r: &Recording, what: String) -> ParityError {
    ParityError::Golden(GoldenError::Missing {
        path: r.path.clone(),
        what,
    })
}

/// The arrays, and each episode's start.
struct Recorded<'a> {
    starts: Vec<World>,
    width: usize,
    height: usize,
    /// `[S, width, height, 3]`.
    grid: &'a [i32],
    pos: &'a [i32],
    dir: &'a [i32],
    carrying: &'a [i32],
    step_count: &'a [i32],
    image: &'a [i32],
    actions: &'a [i32],
    reward: &'a [f32],
    terminated: &'a [i32],
    truncated: &'a [i32],
    step_offset: &'a [i32],
    state_offset: &'a [i32],
}

impl<'a> Recorded<'a> {
    fn read(
        r: &'a Recording,
        config: &GridConfig,
        episodes: &[Episode],
    ) -> Result<Self, ParityError> {
        let (w, h) = (config.width(), config.height());
        let (t, s) = (r.rows("actions")?, r.rows("grid")?);
        let e = episodes.len();
        let mut recorded = Self {
            starts: Vec::new(),
            width: w,
            height: h,
            grid: r.int("grid", &[s, w, h, 3])?,
            pos: r.int("agent_pos", &[s, 2])?,
            dir: r.int("agent_dir", &[s])?,
            carrying: r.int("carrying", &[s, 2])?,
            step_count: r.int("step_count", &[s])?,
            image: r.int("image", &[s, 7, 7, 3])?,
            actions: r.int("actions", &[t])?,
            reward: r.f32("reward", &[t])?,
            terminated: r.int("terminated", &[t])?,
            truncated: r.int("truncated", &[t])?,
            step_offset: r.int("step_offset", &[e + 1])?,
            state_offset: r.int("state_offset", &[e + 1])?,
        };
        // An episode of n steps has n + 1 states, and one begins where the one before ends.
        let covers = |offsets: &[i32], more: usize, all: usize| {
            let mut at = 0;
            episodes.iter().zip(offsets).all(|(episode, &offset)| {
                let begins = usize::try_from(offset) == Ok(at);
                at = at.saturating_add(episode.steps).saturating_add(more);
                begins
            }) && at == all
                && offsets.last().map(|&x| usize::try_from(x)) == Some(Ok(all))
        };
        if t == 0 || !covers(recorded.step_offset, 0, t) || !covers(recorded.state_offset, 1, s) {
            let what = "`step_offset` and `state_offset` that the `steps` of its episodes lead to";
            return Err(malformed(r, what.into()));
        }
        let boxes = match r.has("box_contents") {
            true => Some(r.int("box_contents", &[e, w, h, 2])?),
            false => None,
        };
        for (e, episode) in episodes.iter().enumerate() {
            let start = recorded.start(config, episode, e, boxes);
            let what = || {
                format!(
                    "an instruction and boxes that {} can have",
                    config.level.name
                )
            };
            recorded
                .starts
                .push(start.ok_or_else(|| malformed(r, what()))?);
        }
        Ok(recorded)
    }

    fn cell(&self, state: usize, x: usize, y: usize) -> [u8; 3] {
        let at = ((state * self.width + x) * self.height + y) * 3;
        [0, 1, 2].map(|c| self.grid[at + c] as u8)
    }

    fn hand(&self, state: usize) -> Option<Cell> {
        let [object, colour] = [self.carrying[2 * state], self.carrying[2 * state + 1]];
        (object >= 0).then(|| Cell::new(object as u8, colour as u8, 0))
    }

    /// The first state of an episode; `None` if the level cannot have such an instruction or such boxes.
    fn start(
        &self,
        config: &GridConfig,
        episode: &Episode,
        e: usize,
        boxes: Option<&[i32]>,
    ) -> Option<World> {
        let s = self.state_offset[e] as usize;
        let (w, h) = (self.width, self.height);
        let (mission, nodes) = episode.instruction.mission(config)?;
        let mut cells: Vec<Cell> = (0..w * h)
            .map(|i| {
                let [object, colour, state] = self.cell(s, i % w, i / w);
                Cell::new(object, colour, state)
            })
            .collect();
        let mut contents = None;
        for (i, cell) in cells.iter_mut().enumerate() {
            let at = ((e * w + i % w) * h + i / w) * 2;
            let Some([object, colour]) = boxes.map(|b| [b[at], b[at + 1]]).filter(|b| b[0] >= 0)
            else {
                continue;
            };
            let held = Cell::new(object as u8, colour as u8, 0);
            if contents.is_some_and(|c| c != held) {
                return None;
            }
            contents = Some(held);
            *cell = cell.filled();
        }
        for (k, node) in nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            for (n, description) in node.descriptions().into_iter().enumerate() {
                let Some(description) = description.filter(|d| d.loc.is_some()) else {
                    continue;
                };
                for &[x, y] in &description.positions {
                    let at = y.checked_mul(w)?.checked_add(x).filter(|_| x < w)?;
                    let cell = cells.get_mut(at)?;
                    *cell = cell.meant(2 * k + n);
                }
            }
        }
        Some(World {
            cells,
            x: self.pos[2 * s] as u8,
            y: self.pos[2 * s + 1] as u8,
            direction: self.dir[s] as u8,
            hand: self.hand(s),
            contents,
            mission,
            step: self.step_count[s] as u32,
            ..World::default()
        })
    }
}

/// Whole episodes side by side from their recorded starts: the mission's progress is in no recording, so that a state in the
/// middle of an episode cannot be put in. Returns our state before every recorded step.
fn compare_rollouts(
    gpu: &Gpu,
    env: &Grid,
    r: &Recorded<'_>,
    episodes: &[Episode],
    c: &mut Comparison,
) -> Result<Vec<World>, ParityError> {
    let d = env.spec().obs;
    let mut worlds = r.starts.clone();
    env.set_state(gpu, &worlds)?;
    gpu.compute(|pass| env.record_observe(pass));
    for (e, episode) in episodes.iter().enumerate() {
        let ours = env.config().words(&worlds[e]);
        c.exact("mission", &[u8::from(ours == episode.mission)], &[1]);
        let (each, longest) = env.config().limits();
        let navigations = u32::from(worlds[e].mission.navigations);
        let limit = if each == 0 {
            longest
        } else {
            navigations * each
        };
        c.exact("max_steps", &[limit], &[episode.max_steps]);
    }
    let longest = episodes.iter().map(|e| e.steps).max().unwrap_or(0);
    let mut before: Vec<Option<World>> = vec![None; r.actions.len()];
    for t in 0..=longest {
        let obs: Vec<f32> = gpu.read(&env.io().obs)?;
        for (e, episode) in episodes.iter().enumerate().filter(|(_, e)| t <= e.steps) {
            let s = r.state_offset[e] as usize + t;
            let world = &worlds[e];
            let triples = |f: &dyn Fn(usize, usize) -> [u8; 3]| -> Vec<u8> {
                let cells = (0..r.height).flat_map(|y| (0..r.width).map(move |x| (x, y)));
                cells.flat_map(|(x, y)| f(x, y)).collect()
            };
            let ours = triples(&|x, y| world.cells[y * r.width + x].triple());
            c.exact("grid", &ours, &triples(&|x, y| r.cell(s, x, y)));
            c.exact("agent_pos", &[world.x, world.y], &r.pos[2 * s..][..2]);
            c.exact("agent_dir", &[world.direction], &r.dir[s..=s]);
            let hand = |cell: Option<Cell>| cell.map_or([0; 3], Cell::triple);
            c.exact("carrying", &hand(world.hand), &hand(r.hand(s)));
            c.exact("step_count", &[world.step], &r.step_count[s..=s]);
            c.exact("image", &obs[e * d..][..147], &r.image[s * 147..][..147]);
            c.exact("direction", &obs[e * d + 147..][..1], &r.dir[s..=s]);
            if t < episode.steps {
                before[r.step_offset[e] as usize + t] = Some(world.clone());
            }
        }
        if t == longest {
            break;
        }
        let action = |(e, episode): (usize, &Episode)| match t < episode.steps {
            true => r.actions[r.step_offset[e] as usize + t] as u32,
            false => 6,
        };
        let actions: Vec<u32> = episodes.iter().enumerate().map(action).collect();
        gpu.write(&env.io().actions, &actions);
        gpu.compute(|pass| env.record_step(pass, 0));
        let io = env.io();
        let reward: Vec<f32> = gpu.read(&io.reward)?;
        let terminated: Vec<f32> = gpu.read(&io.terminated)?;
        let truncated: Vec<f32> = gpu.read(&io.truncated)?;
        for (e, _) in episodes.iter().enumerate().filter(|(_, e)| t < e.steps) {
            let k = r.step_offset[e] as usize + t;
            c.exact("reward", &reward[e..=e], &r.reward[k..=k]);
            c.exact("terminated", &terminated[e..=e], &r.terminated[k..=k]);
            // The reference sets both where the last step succeeds.
            let theirs = r.truncated[k] * (1 - r.terminated[k]);
            c.exact("truncated", &truncated[e..=e], &[theirs]);
        }
        worlds = env.get_state(gpu)?;
    }
    Ok(before.into_iter().flatten().collect())
}

/// Every recorded step alone, with automatic resets: the recorded end is what `final_obs` must show, and the new state a fresh one.
fn compare_resets(
    gpu: &Gpu,
    env: &Grid,
    r: &Recorded<'_>,
    before: &[World],
    c: &mut Comparison,
) -> Result<(), ParityError> {
    let d = env.spec().obs;
    env.set_state(gpu, before)?;
    let actions: Vec<u32> = r.actions.iter().map(|&a| a as u32).collect();
    gpu.write(&env.io().actions, &actions);
    gpu.compute(|pass| env.record_step(pass, 0));
    let after = env.get_state(gpu)?;
    let io = env.io();
    let (obs, final_obs) = (gpu.read::<f32>(&io.obs)?, gpu.read::<f32>(&io.final_obs)?);
    let reward: Vec<f32> = gpu.read(&io.reward)?;
    let mut state = 0;
    for k in 0..r.actions.len() {
        // A step leads to the next state; each episode has one state more than steps.
        state += 1;
        c.exact("reward", &reward[k..=k], &r.reward[k..=k]);
        let ended = r.terminated[k] + r.truncated[k] > 0;
        let (name, seen) = if ended {
            c.exact("reset.step", &[after[k].step], &[0]);
            c.exact("reset.episode", &[after[k].episode], &[1]);
            c.exact("reset.gave_up", &[u8::from(after[k].gave_up)], &[0]);
            ("final_obs", &final_obs)
        } else {
            ("image after the step", &obs)
        };
        c.exact(name, &seen[k * d..][..147], &r.image[state * 147..][..147]);
        if r.step_offset.contains(&(k as i32 + 1)) {
            state += 1;
        }
    }
    Ok(())
}
