//! Overcooked: two cooks fill pots with onions, plate the soup and deliver it. The rules are in `shaders/overcooked/`, this
//! file says shapes and holds the memory.
//!
//! Reference: JaxMARL 0.2.0, `Overcooked` (the first version); `docs/environments/overcooked.md` describes it.

pub mod layout;
pub mod options;
pub(crate) mod parity;
mod state;

use crate::env::{ActionSpace, EnvIo, EnvSpec, VecEnv};
use crate::frame::{Colour, Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError, Region};
use crate::kernels::{
    Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source,
};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions};
use layout::{Cell, Kitchen};
use options::{OvercookedOptions, PlateReward};
pub use state::{Item, OvercookedState, POT_EMPTY, POT_FULL, POT_READY};

/// The reference's layouts. `overcooked/custom` is no entry: it has no shape without a file.
pub fn names() -> Vec<String> {
    layout::names().map(|n| format!("overcooked/{n}")).collect()
}

/// A kitchen with its options, checked.
#[derive(Clone, Debug)]
pub struct OvercookedConfig {
    /// `overcooked/NAME`.
    pub name: String,
    pub kitchen: Kitchen,
    pub options: OvercookedOptions,
}

/// Finds `overcooked/NAME` or reads the file of `overcooked/custom`, and reads the options.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<OvercookedConfig, EnvError> {
    let wrong = |reason: String| EnvError::Options {
        env: name.to_owned(),
        reason,
    };
    let unknown = || registry::unknown(name);
    let short = name.strip_prefix("overcooked/").ok_or_else(unknown)?;
    let grid = layout::grid(short);
    if grid.is_none() && short != "custom" {
        return Err(unknown());
    }
    let options: OvercookedOptions = registry::read_options(name, options)?;
    options.check(name)?;
    let kitchen = match (grid, &options.layout_file) {
        (Some(grid), None) => Kitchen::parse(grid).map_err(|e| wrong(e.to_string()))?,
        (Some(_), Some(_)) => {
            let reason =
                "option `layout_file` is for `overcooked/custom`: a named layout has its own";
            return Err(wrong(reason.into()));
        }
        (None, None) => {
            let reason = "option `layout_file` is missing: the text grid of the kitchen";
            return Err(wrong(reason.into()));
        }
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| wrong(format!("cannot read {}: {e}", path.display())))?;
            Kitchen::parse(&text).map_err(|e| wrong(format!("{}, {e}", path.display())))?
        }
    };
    Ok(OvercookedConfig {
        name: name.to_owned(),
        kitchen,
        options,
    })
}

/// Cooks of a kitchen.
pub const AGENTS: usize = 2;
/// Channels of an observed cell.
pub const CHANNELS: usize = 26;

impl OvercookedConfig {
    pub fn spec(&self) -> EnvSpec {
        let obs = self.kitchen.cells.len() * CHANNELS;
        EnvSpec {
            name: self.name.clone(),
            agents: AGENTS,
            obs,
            state: AGENTS * obs,
            actions: ActionSpace::Discrete(6),
            max_steps: self.options.max_steps as usize,
            shortest_limit: self.options.max_steps as usize,
            action_names: ["up", "down", "right", "left", "stay", "interact"]
                .map(str::to_owned)
                .to_vec(),
            reference: "JaxMARL 0.2.0, Overcooked",
        }
    }
}

/// Where the words of the state lie; the shader's POTS_AT and COUNTERS_AT say the same.
#[derive(Clone, Copy, Debug)]
struct StateLayout {
    envs: usize,
    pot_words: usize,
    counter_words: usize,
}

const COOKS: usize = THREAD_WORDS;
const POINTS: usize = THREAD_WORDS + 1;
const POTS: usize = THREAD_WORDS + 2;

impl StateLayout {
    fn words(&self) -> usize {
        POTS + self.pot_words + self.counter_words
    }

    /// Words that remember what a slot of observations shows: cooks, pots, counters.
    fn shown_words(&self) -> usize {
        1 + self.pot_words + self.counter_words
    }
}

/// A batch of kitchens on the device.
pub struct Overcooked {
    config: OvercookedConfig,
    spec: EnvSpec,
    layout: StateLayout,
    kernels: Kernels,
    /// What each slot of the observations shows.
    shown: Region,
    /// The shader's `Kitchen`, whose first word is the weight of the shaped reward.
    table: wgpu::Buffer,
}

impl Overcooked {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind,
    /// [`EnvError::Options`] for [`Driver::Heuristic`]: the reference has no policy.
    pub fn new(gpu: &Gpu, config: OvercookedConfig, batch: &Batch) -> Result<Self, EnvError> {
        if batch.driver == Driver::Heuristic {
            return Err(EnvError::Options {
                env: config.name,
                reason: "it has no built-in policy; actions are random or come from outside".into(),
            });
        }
        let name = config.name.clone();
        Kernels::guarded(gpu, &name, batch, || Self::build(gpu, config, batch))
    }

    fn build(gpu: &Gpu, config: OvercookedConfig, batch: &Batch) -> Result<Self, EnvError> {
        let (envs, spec) = (batch.envs(), config.spec());
        let (kitchen, options) = (&config.kitchen, &config.options);
        let [pots, counters, floor] =
            [Cell::Pot, Cell::Counter, Cell::Floor].map(|kind| kitchen.all(kind));
        let layout = StateLayout {
            envs,
            pot_words: pots.len().div_ceil(4),
            counter_words: counters.len().div_ceil(16),
        };
        let (mut pot, mut counter) = (0, 0);
        let cells = kitchen.cells.iter().map(|&kind| {
            let count = match kind {
                Cell::Pot => &mut pot,
                Cell::Counter => &mut counter,
                _ => return kind as u32,
            };
            *count += 1;
            kind as u32 | (*count - 1) << 3
        });
        let lists = [&pots, &counters, &floor].into_iter().flatten();
        let mut table: Vec<u32> = cells.chain(lists.map(|&cell| cell as u32)).collect();
        table.resize(table.len().next_multiple_of(4), 0);
        let rows = table.len() / 4;
        let head = [options.shaped_reward_coefficient.to_bits(), 0, 0, 0];
        let table = gpu.uniform_from("overcooked kitchen", &[&head[..], &table].concat());

        let grid = Grid::thread(gpu, batch);
        let constants = constants(&spec, batch, grid)
            .uint("W", kitchen.width)
            .uint("CELLS", kitchen.cells.len())
            .uint("POTS", pots.len())
            .uint("COUNTERS", counters.len())
            .uint("FLOORS", floor.len())
            .uint("POT_WORDS", layout.pot_words)
            .uint("COUNTER_WORDS", layout.counter_words)
            .uint("TABLE", rows)
            .uint("START0", kitchen.starts[0])
            .uint("START1", kitchen.starts[1])
            .uint("SLOTS", batch.slots)
            .flag("RANDOM_RESET", options.random_reset)
            .flag("PLATE_REWARD", options.plate_reward == PlateReward::Useful);
        let per_env = 4 * (layout.shown_words() * (batch.slots + 1)) as u64;
        gpu.check_fits("what is shown", per_env, envs as u64, "environments")?;
        let shown = gpu.storage("shown", per_env * envs as u64);
        // A critic sees what both agents see, which is the memory of the observations as it lies.
        let agents_only = EnvSpec {
            state: 0,
            ..spec.clone()
        };
        let mut io = EnvIo::allocate(gpu, &agents_only, envs, batch.steps, batch.slots)?;
        io.state = io.obs.clone();
        io.final_state = io.final_obs.clone();
        let mut state = vec![0; layout.words() * envs];
        // The first reset counts the episode up to 0.
        state[envs..2 * envs].fill(u32::MAX);
        let source = include_str!("../../../shaders/overcooked/kitchen.wgsl");
        let program = Program {
            spec: &spec,
            source: thread_source(&constants, &[source]),
            grid,
            state,
            extra: &[
                (Access::ReadWrite, shown.binding()),
                (
                    Access::Uniform(16 * (1 + rows) as u64),
                    table.as_entire_binding(),
                ),
            ],
        };
        let kernels = Kernels::with_io(gpu, batch, program, io)?;
        Ok(Self {
            config,
            spec,
            layout,
            kernels,
            shown,
            table,
        })
    }

    pub fn config(&self) -> &OvercookedConfig {
        &self.config
    }

    /// Bytes of one environment that a step moves whatever happens: its own state and what the slot shows, in and out, the
    /// key, the actions and the outcome.
    fn least_bytes(&self) -> u64 {
        let state = 2 * (self.layout.words() + self.layout.shown_words()) + 2;
        let outcome = 2 * AGENTS + 2;
        4 * (state + AGENTS + outcome) as u64
    }
}

impl VecEnv for Overcooked {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn set_reward_shaping(&self, gpu: &Gpu, weight: f32) -> bool {
        gpu.queue
            .write_buffer(&self.table, 0, bytemuck::bytes_of(&weight));
        true
    }

    /// Without the words of the observations that changed: a random step in `cramped_room` changes 9 of 1,040.
    fn bytes_per_step(&self) -> u64 {
        self.least_bytes()
    }

    /// Also forgets what the slots show: whoever restores writes them too.
    fn restore(&self, gpu: &Gpu, snapshot: &[u8]) -> Result<(), GpuError> {
        self.kernels.restore(gpu, snapshot)?;
        let mut encoder = gpu.encoder();
        encoder.clear_buffer(&self.shown.buffer, self.shown.offset, Some(self.shown.size));
        gpu.submit(encoder);
        Ok(())
    }

    /// As [`StateLayout`] has them.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let own = [
            ("cooks", 1),
            ("shaped points", 1),
            ("pots", self.layout.pot_words),
            ("counters", self.layout.counter_words),
        ];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// The kitchen from above: agent 0 blue, agent 1 vermilion, with a nose in the direction that they face.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        Ok(draw(&self.config.kitchen, &self.get_state(gpu)?, env))
    }
}

const WOOD: Colour = [181, 148, 112];
const TILES: Colour = [238, 232, 220];
const WHITE: Colour = [255, 255, 255];

fn draw(kitchen: &Kitchen, s: &OvercookedState, env: usize) -> Frame {
    let (w, h) = (kitchen.width, kitchen.height);
    let mut shapes = Vec::new();
    let mut text = vec![vec![[' ', ' ']; w]; h];
    let circle = |centre: [f32; 2], radius: f32, fill: Colour| Shape::Circle {
        centre,
        radius,
        fill,
    };
    let item = |shapes: &mut Vec<Shape>, at: [f32; 2], item: Item, size: f32| match item {
        Item::Nothing => {}
        Item::Onion => shapes.push(circle(at, 0.8 * size, PALETTE[4])),
        Item::Plate => shapes.push(circle(at, size, WHITE)),
        Item::Dish => {
            shapes.push(circle(at, size, WHITE));
            shapes.push(circle(at, 0.7 * size, PALETTE[1]));
        }
    };
    let mut pots = s.pots(env).iter();
    let mut list = String::new();
    for (k, &cell) in kitchen.cells.iter().enumerate() {
        let (x, y) = (k % w, k / w);
        let corner = [x as f32, y as f32];
        let centre = [corner[0] + 0.5, corner[1] + 0.5];
        if cell != Cell::Floor {
            shapes.push(Shape::Rect {
                from: [corner[0] + 0.02, corner[1] + 0.02],
                size: [0.96, 0.96],
                fill: if cell == Cell::Delivery {
                    [150, 150, 150]
                } else {
                    WOOD
                },
            });
        }
        let letter = cell.letter();
        text[y][x] = match cell {
            Cell::Floor => ['.', ' '],
            Cell::Counter => [s.items[env * w * h + k].letter('#'), ' '],
            _ => [letter, ' '],
        };
        match cell {
            Cell::Floor => {}
            Cell::Counter => item(&mut shapes, centre, s.items[env * w * h + k], 0.25),
            Cell::OnionPile => {
                for [dx, dy] in [[-0.15, 0.12], [0.15, 0.12], [0.0, -0.12]] {
                    let at = [centre[0] + dx, centre[1] + dy];
                    item(&mut shapes, at, Item::Onion, 0.22);
                }
            }
            Cell::PlatePile => {
                for dy in [0.12, 0.0, -0.12] {
                    let at = [centre[0], centre[1] + dy];
                    shapes.push(circle(at, 0.28, [200, 200, 200]));
                    item(&mut shapes, at, Item::Plate, 0.26);
                }
            }
            Cell::Delivery => shapes.push(Shape::Text {
                at: centre,
                size: 0.3,
                text: "OUT".into(),
                colour: WHITE,
            }),
            Cell::Pot => {
                let status = pots.next().copied().unwrap_or(POT_EMPTY);
                let onions = POT_EMPTY.saturating_sub(status).min(3);
                shapes.push(circle(centre, 0.4, [60, 60, 60]));
                let soup = match status {
                    POT_READY => PALETTE[1],
                    s if s <= POT_FULL => PALETTE[6],
                    _ => [90, 90, 90],
                };
                shapes.push(circle(centre, 0.32, soup));
                let (mark, says) = match status {
                    POT_READY => ("!".to_owned(), "ready".to_owned()),
                    s if s < POT_FULL => (s.to_string(), format!("cooks {s} more steps")),
                    _ => ("o".repeat(onions.into()), format!("{onions} of 3 onions")),
                };
                if let Some(first) = mark.chars().next() {
                    text[y][x][1] = if mark.len() > 1 && status < POT_FULL {
                        '*'
                    } else {
                        first
                    };
                }
                shapes.push(Shape::Text {
                    at: centre,
                    size: 0.3,
                    text: mark,
                    colour: WHITE,
                });
                list += &format!("pot at {x} {y}: {says}\n");
            }
        }
    }
    for i in 0..AGENTS {
        let k = AGENTS * env + i;
        let [x, y] = s.positions[k];
        let centre = [x as f32 + 0.5, y as f32 + 0.5];
        let [dx, dy] =
            [[0.0, -1.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]][usize::from(s.facing[k] & 3)];
        let (fill, way) = (PALETTE[[5, 6][i]], ["north", "south", "east", "west"]);
        shapes.push(circle(centre, 0.36, fill));
        let nose = |along: f32, across: f32| {
            [
                centre[0] + along * dx + across * dy,
                centre[1] + along * dy + across * dx,
            ]
        };
        shapes.push(Shape::Polygon {
            points: vec![nose(0.48, 0.0), nose(0.3, 0.16), nose(0.3, -0.16)],
            fill,
        });
        item(&mut shapes, nose(0.12, 0.0), s.held[k], 0.18);
        let arrow = ['^', 'v', '>', '<'][usize::from(s.facing[k] & 3)];
        text[usize::from(y)][usize::from(x)] = [['0', '1'][i], arrow];
        list += &format!(
            "agent {i} at {x} {y}, faces {}, holds {}\n",
            way[usize::from(s.facing[k] & 3)],
            s.held[k].name(),
        );
    }
    let map = text.iter().map(|row| {
        let line: String = row.iter().flatten().collect();
        line.trim_end().to_owned() + "\n"
    });
    list += &format!("step {}, return {}\n", s.step[env], s.running_return[env]);
    Frame {
        size: [w as f32, h as f32],
        background: TILES,
        shapes,
        text: map.collect::<String>() + &list,
    }
}
