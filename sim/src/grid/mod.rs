//! Grid worlds: BabyAI's levels (`babyai/…`, BALROG's tasks among them) and MiniGrid's layouts (`minigrid/…`). The rules are in
//! `shaders/grid/`, this folder says levels, shapes and words; `docs/environments/grid.md` describes them.

pub mod cell;
mod levels;
pub mod mission;
pub mod options;
pub(crate) mod parity;
mod state;
pub mod text;

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Colour, Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError, Region};
use crate::kernels::{
    Grid as Groups, Kernels, Program, THREAD_FIELDS, constants, source_by_fours, state_by_fours,
};
use crate::registry::{self, Batch, Driver, EnvError, EnvOptions};
use cell::{COLOURS, Cell, DOOR_STATES, OBJECTS};
use levels::{File, Level, Limit, Words};
use options::{CriticState, Encoding, GridOptions};
pub use state::{Advice, World};
use text::{Image, VIEW};

/// Names of a family, `babyai` or `minigrid`.
pub(crate) fn names(family: &str) -> Vec<String> {
    let all = levels::all().into_iter().map(|l| l.name);
    all.filter(|n| n.split('/').next() == Some(family))
        .collect()
}

/// A level with its options, checked.
#[derive(Clone, Debug)]
pub struct GridConfig {
    level: Level,
    pub options: GridOptions,
}

/// Finds `babyai/NAME` or `minigrid/NAME` and reads its options.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<GridConfig, EnvError> {
    let level = levels::all().into_iter().find(|l| l.name == name);
    let level = level.ok_or_else(|| registry::unknown(name))?;
    let options: GridOptions = registry::read_options(name, options)?;
    options.check(name, level.takes_distractors)?;
    let config = GridConfig { level, options };
    let (_, longest) = config.limits();
    if let Some(horizon) = config.options.reward_horizon {
        // 1 - 0.9 · step / horizon.
        let least = (9 * longest).div_ceil(10);
        if horizon < least {
            return Err(EnvError::Option {
                env: name.to_owned(),
                option: "reward_horizon".into(),
                found: horizon.to_string(),
                need: format!(
                    "{least} or more: a success in step {longest}, the last one, would be punished"
                ),
            });
        }
    }
    Ok(config)
}

impl GridConfig {
    pub fn width(&self) -> usize {
        self.level.width
    }

    pub fn height(&self) -> usize {
        self.level.height
    }

    /// Clauses of a part of the mission.
    pub fn clauses_per_part(&self) -> usize {
        self.level.per_part
    }

    /// Steps per navigation where the limit depends on the mission, and the longest limit.
    fn limits(&self) -> (u32, u32) {
        match (self.options.max_steps, self.level.limit) {
            (Some(steps), _) | (None, Limit::Steps(steps)) => (0, steps),
            (None, Limit::Navigations(most)) => {
                let each = self.level.navigation_steps();
                (each, each * most)
            }
        }
    }

    /// Features of the mission's code in an observation.
    fn mission_features(&self) -> usize {
        let l = &self.level;
        let one_hot = self.options.encoding == Encoding::OneHot;
        let size = |categories: usize| if one_hot { categories } else { 1 };
        let description = size(6) + size(7) + if l.places { size(5) } else { 0 };
        let clause = size(6) + description * if l.two_descriptions { 2 } else { 1 };
        l.clauses() * clause + if l.parts > 1 { size(3) } else { 0 }
    }

    pub fn spec(&self) -> EnvSpec {
        let l = &self.level;
        let (each, longest) = self.limits();
        let one_hot = self.options.encoding == Encoding::OneHot;
        let (cell, direction) = if one_hot { (20, 4) } else { (3, 1) };
        // Rows of observations begin at multiples of 16 bytes.
        let obs = (VIEW * VIEW * cell + direction + self.mission_features()).next_multiple_of(4);
        let names = [
            "left", "right", "forward", "pickup", "drop", "toggle", "done",
        ];
        EnvSpec {
            name: l.name.clone(),
            agents: 1,
            obs,
            state: match self.options.critic_state {
                CriticState::View => obs,
                CriticState::Grid => 3 * l.width * l.height + 3 + 7 * l.clauses(),
            },
            actions: ActionSpace::Discrete(l.actions),
            max_steps: longest as usize,
            // A mission has one navigation at least.
            shortest_limit: if each > 0 { each } else { longest } as usize,
            action_names: names[..l.actions].iter().map(|&n| n.to_owned()).collect(),
            reference: l.reference,
        }
    }

    fn layout(&self, envs: usize, advice: bool) -> Layout {
        let l = &self.level;
        Layout {
            envs,
            width: l.width,
            height: l.height,
            cell_bits: if l.places { 16 } else { 8 },
            clauses: l.clauses(),
            balls: l.balls,
            advice: usize::from(advice),
        }
    }

    /// The mission in the words that the agent is given.
    pub fn words(&self, world: &World) -> String {
        match self.level.words {
            Words::Fixed(text) => text.to_owned(),
            Words::Clauses => world.mission.text(self.level.per_part),
        }
    }

    /// Rewards by navigations and step, as bits, then the level before anything is placed.
    fn tables(&self, layout: &Layout) -> Vec<u32> {
        let (each, longest) = self.limits();
        let rows = longest.checked_div(each).unwrap_or(1);
        let mut words = Vec::new();
        for row in 1..=rows {
            let limit = if each == 0 { longest } else { row * each };
            let horizon = f64::from(self.options.reward_horizon.unwrap_or(limit));
            let reward = |step: u32| (1.0 - 0.9 * (f64::from(step) / horizon)) as f32;
            words.extend((0..=longest).map(|step| reward(step).to_bits()));
        }
        words.resize(words.len().next_multiple_of(4), 0);
        words.extend(layout.pack_cells(&self.level.template()));
        words
    }
}

/// Where the clauses begin, behind step, episode, return, pose, hand and progress of the mission.
const CLAUSES_AT: usize = 6;

/// Where the words of the state lie; `grid.wgsl` says the same.
#[derive(Clone, Copy, Debug)]
struct Layout {
    envs: usize,
    width: usize,
    height: usize,
    cell_bits: usize,
    clauses: usize,
    balls: usize,
    /// Words of the expert's advice, 0 or 1.
    advice: usize,
}

impl Layout {
    fn place(&self, word: usize, env: usize) -> usize {
        4 * (word / 4 * self.envs + env) + word % 4
    }

    fn balls_at(&self) -> usize {
        CLAUSES_AT + self.clauses.max(2)
    }

    fn advice_at(&self) -> usize {
        self.balls_at() + self.balls
    }

    fn grid_at(&self) -> usize {
        (self.advice_at() + self.advice).next_multiple_of(4)
    }

    /// A row begins with a word, two rows or one with a four where they are short.
    fn row_words(&self) -> usize {
        match self.width.div_ceil(32 / self.cell_bits) {
            0..=2 => 2,
            3 | 4 => 4,
            words => words,
        }
    }

    fn grid_words(&self) -> usize {
        (self.row_words() * self.height).next_multiple_of(4)
    }

    /// Eight rows of eight bytes hold the level.
    fn is_small(&self) -> bool {
        self.cell_bits == 8 && self.width <= 8 && self.height <= 8
    }

    fn words(&self) -> usize {
        self.grid_at() + self.grid_words()
    }

    /// The word and the first bit of cell `i = y · width + x`.
    fn cell(&self, i: usize) -> (usize, usize) {
        let per_word = 32 / self.cell_bits;
        let (x, y) = (i % self.width, i / self.width);
        let word = self.grid_at() + y * self.row_words() + x / per_word;
        (word, x % per_word * self.cell_bits)
    }

    /// The words of a level, from the grid's first on. What is left of a row's words and of the last four is wall.
    fn pack_cells(&self, cells: &[Cell]) -> Vec<u32> {
        let per_word = 32 / self.cell_bits;
        let word = |w: usize| {
            let (y, first) = (w / self.row_words(), w % self.row_words() * per_word);
            (0..per_word).fold(0, |word, n| {
                let inside = first + n < self.width && y < self.height;
                let cell = if inside {
                    cells[y * self.width + first + n]
                } else {
                    Cell::WALL
                };
                word | (u32::from(cell.0) << (n * self.cell_bits))
            })
        };
        (0..self.grid_words()).map(word).collect()
    }
}

/// A batch of grid worlds on the device.
pub struct Grid {
    config: GridConfig,
    spec: EnvSpec,
    layout: Layout,
    kernels: Kernels,
    /// Begins episodes, over so many workgroups; after a step only where environments do not stay as they ended.
    restart: wgpu::ComputePipeline,
    /// Step and restart in one, over as many workgroups as the restart.
    turn: Option<wgpu::ComputePipeline>,
    chunks: (u32, u32),
    restarts: bool,
    experts_turn: bool,
    expert: Option<wgpu::ComputePipeline>,
}

/// Environments whose ends a workgroup of restart.wgsl gathers, and its invocations.
#[derive(Clone, Copy)]
struct Gathering {
    envs: usize,
    invocations: usize,
}

impl Gathering {
    /// A software device runs a kernel's whole text for every eight invocations, whether any of them has something to do or not: there
    /// a workgroup has eight, and as many environments as an invocation can generate levels for. It ends the loops of an invocation
    /// after 65,535 rounds in all, of which a large level takes some 5,000, and one without distractors in a room some 500.
    fn of(gpu: &Gpu, config: &GridConfig, layout: &Layout) -> Self {
        if !gpu.is_software() {
            return Self {
                envs: 128,
                invocations: 64,
            };
        }
        let short = layout.is_small() && config.options.num_dists.unwrap_or(0) <= 2;
        let most = match (short, config.level.file) {
            (true, File::Balrog | File::MiniGrid) => 16,
            _ => 2,
        };
        // Small batches are spread over the cores.
        let levels = (layout.envs / 64).clamp(1, most);
        Self {
            envs: 8 * levels,
            invocations: 8,
        }
    }

    fn groups(self, batch: &Batch) -> Groups {
        Groups::new(self.invocations, batch.envs(), self.envs, "thread")
    }
}

impl Grid {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: GridConfig, batch: &Batch) -> Result<Self, EnvError> {
        let name = config.level.name.clone();
        Kernels::guarded(gpu, &name, batch, || Self::build(gpu, config, batch))
    }

    fn build(gpu: &Gpu, config: GridConfig, batch: &Batch) -> Result<Self, EnvError> {
        let spec = config.spec();
        let advice = config.options.expert || batch.driver == Driver::Heuristic;
        let layout = config.layout(batch.envs(), advice);
        let groups = Groups::thread(gpu, batch);
        let gathering = Gathering::of(gpu, &config, &layout);
        let tables = gpu.storage_from("grid tables", &config.tables(&layout));
        // One agent whose critic sees what it sees: the observation's memory serves as the state's.
        let shared = config.options.critic_state == CriticState::View;
        let written = EnvSpec {
            state: if shared { 0 } else { spec.state },
            ..spec.clone()
        };
        let mut kernels = Kernels::new(
            gpu,
            batch,
            Program {
                spec: &written,
                source: source(&config, &written, batch, groups, gathering, advice),
                grid: groups,
                state: state_by_fours(batch.envs(), layout.words()),
                extra: &[(Access::Read, tables.binding())],
            },
        )?;
        if shared {
            kernels.io.state = kernels.io.obs.clone();
            kernels.io.final_state = kernels.io.final_obs.clone();
        }
        allow_everything(gpu, &kernels.io.avail);
        let expert = advice.then(|| kernels.entry(gpu, "env_expert"));
        let restart = kernels.entry(gpu, "env_restart");
        // A chosen workgroup is that of the step by itself.
        let together = gpu.is_software() && !batch.keep_ended && batch.workgroup.is_none();
        let turn = together.then(|| kernels.entry(gpu, "env_turn"));
        Ok(Self {
            config,
            spec,
            layout,
            kernels,
            restart,
            turn,
            chunks: gathering.groups(batch).groups,
            restarts: !batch.keep_ended,
            experts_turn: batch.driver == Driver::Heuristic,
            expert,
        })
    }

    pub fn config(&self) -> &GridConfig {
        &self.config
    }

    /// Notes what the expert would do now, for [`Grid::advice`]. Does nothing in a batch without expert (option `expert`, or
    /// [`Driver::Heuristic`]).
    pub fn record_expert(&self, pass: &mut wgpu::ComputePass<'_>) {
        if let Some(expert) = &self.expert {
            self.kernels.record_entry(pass, expert, None, None);
        }
    }

    fn begin_episodes(&self, pass: &mut wgpu::ComputePass<'_>, t: Option<usize>) {
        self.kernels
            .record_entry(pass, &self.restart, t, Some(self.chunks));
    }

    /// The view in an observation of this environment.
    pub fn image(&self, obs: &[f32]) -> Image {
        let mut image = Image::default();
        let (cells, one_hot) = (
            VIEW * VIEW,
            self.config.options.encoding == Encoding::OneHot,
        );
        let width = if one_hot { 20 } else { 3 };
        for (i, cell) in obs.chunks(width).take(cells).enumerate() {
            image[i / VIEW][i % VIEW] = if one_hot {
                let which = |range: std::ops::Range<usize>| {
                    cell[range].iter().position(|&x| x == 1.0).unwrap_or(0) as u8
                };
                [which(0..11), which(11..17), which(17..20)]
            } else {
                [cell[0] as u8, cell[1] as u8, cell[2] as u8]
            };
        }
        image
    }
}

/// No action is ever forbidden, so that the mask is written once and not by the steps.
fn allow_everything(gpu: &Gpu, avail: &Region) {
    let piece = vec![1.0f32; 1 << 20];
    let mut offset = 0;
    while offset < avail.size {
        let bytes = (avail.size - offset).min(4 * piece.len() as u64);
        let part = Region {
            buffer: avail.buffer.clone(),
            offset: avail.offset + offset,
            size: bytes,
        };
        gpu.write(&part, &piece[..bytes as usize / 4]);
        offset += bytes;
    }
}

impl VecEnv for Grid {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn record_reset_in(&self, pass: &mut wgpu::ComputePass<'_>, slot: usize) {
        self.kernels.record_reset_in(pass, slot);
        self.begin_episodes(pass, Kernels::showing_in(slot));
    }

    fn record_step(&self, pass: &mut wgpu::ComputePass<'_>, t: usize) {
        if self.experts_turn {
            self.record_expert(pass);
        }
        if let Some(turn) = &self.turn {
            self.kernels
                .record_entry(pass, turn, Some(t), Some(self.chunks));
            return;
        }
        self.kernels.record_step(pass, t);
        if self.restarts {
            self.begin_episodes(pass, Some(t));
        }
    }

    fn dispatches_per_step(&self) -> u32 {
        let restart = self.restarts && self.turn.is_none();
        1 + u32::from(self.experts_turn) + u32::from(restart)
    }

    /// The header in and out, the seen square (21 or 28 words) and the key in; action, outcome and what is seen next.
    fn bytes_per_step(&self) -> u64 {
        let l = &self.layout;
        let header = 2 * CLAUSES_AT + l.clauses;
        let square = VIEW * (VIEW.div_ceil(32 / l.cell_bits) + 1);
        let critic = match self.config.options.critic_state {
            CriticState::View => 0,
            CriticState::Grid => self.spec.state,
        };
        4 * (header + square + 2 + 1 + 4 + self.spec.obs + critic) as u64
    }

    /// As [`Layout`] has them.
    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let l = &self.layout;
        let own = [
            ("agent", 1),
            ("hand and box", 1),
            ("progress of the mission", 1),
            ("mission", l.balls_at() - CLAUSES_AT),
            ("moving balls", l.balls),
            ("advice", l.advice),
            ("filling", l.grid_at() - l.advice_at() - l.advice),
            ("cells", l.grid_words()),
        ];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// The level from above: walls grey, things in their colours, the agent a triangle; below it the hand and the mission.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let words: Vec<World> = self.get_state(gpu)?;
        Ok(draw(&self.config, &words[env]))
    }
}

/// Okabe and Ito's colours nearest to MiniGrid's names; red, green, blue, purple, yellow, grey.
const PAINT: [Colour; 6] = [
    PALETTE[6],
    PALETTE[3],
    PALETTE[5],
    PALETTE[7],
    PALETTE[4],
    [120, 120, 120],
];

fn draw(config: &GridConfig, world: &World) -> Frame {
    let (w, h) = (config.level.width, config.level.height);
    let mut shapes = Vec::new();
    // The floor's tiles; walls hide the lines.
    for (count, across) in [(w, true), (h, false)] {
        for k in 1..count {
            let (k, long) = (k as f32, if across { h } else { w } as f32);
            let (from, to) = if across {
                ([k, 0.0], [k, long])
            } else {
                ([0.0, k], [long, k])
            };
            shapes.push(Shape::Line {
                from,
                to,
                width: 0.03,
                colour: [225; 3],
            });
        }
    }
    let mut text = String::new();
    let own = (usize::from(world.x), usize::from(world.y));
    let mut names = Vec::new();
    for (i, cell) in world.cells.iter().enumerate() {
        let (x, y) = (i % w, i / w);
        let [object, colour, state] = cell.triple();
        shapes.extend(picture(*cell, [x as f32, y as f32]));
        text.push(if (x, y) == own {
            ['>', 'v', '<', '^'][usize::from(world.direction & 3)]
        } else {
            match object {
                2 => '#',
                3 => ',',
                4 => ['_', '+', 'L'][usize::from(state)],
                5 => 'k',
                6 => 'o',
                7 => 'b',
                8 => 'G',
                9 => '~',
                _ => '.',
            }
        });
        if (4..8).contains(&object) {
            let name = format!(
                "{} {}",
                COLOURS[usize::from(colour)],
                OBJECTS[usize::from(object)]
            );
            let state = if object == 4 {
                DOOR_STATES[usize::from(state)]
            } else {
                ""
            };
            names.push(format!("{state} {name} {x} {y}").trim_start().to_owned());
        }
        if x + 1 == w {
            text.push('\n');
        }
    }
    let (x, y) = (f32::from(world.x) + 0.5, f32::from(world.y) + 0.5);
    let (fx, fy) =
        [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][usize::from(world.direction & 3)];
    shapes.push(Shape::Polygon {
        points: vec![
            [x + 0.4 * fx, y + 0.4 * fy],
            [x - 0.35 * fx - 0.35 * fy, y - 0.35 * fy + 0.35 * fx],
            [x - 0.35 * fx + 0.35 * fy, y - 0.35 * fy - 0.35 * fx],
        ],
        fill: PALETTE[0],
    });
    let mission = config.words(world);
    let below = h as f32;
    // A row for every clause that there may be; its left end is the hand's.
    let rows = config.level.clauses().max(1) as f32;
    shapes.push(Shape::Rect {
        from: [0.0, below],
        size: [w as f32, rows],
        fill: [255; 3],
    });
    shapes.extend(written(&mission, [1.0, below], [w as f32 - 1.2, rows]));
    if let Some(hand) = world.hand {
        shapes.extend(picture(hand, [0.0, below]));
        let [object, colour, _] = hand.triple();
        names.push(format!(
            "carried: {} {}",
            COLOURS[usize::from(colour)],
            OBJECTS[usize::from(object)]
        ));
    }
    text += &format!("{mission}\n{}\n", names.join(", "));
    Frame {
        size: [w as f32, below + rows],
        background: [255, 255, 255],
        shapes,
        text,
    }
}

/// Words in the box of this `size` whose upper left corner is `at`, in as many lines as make the letters largest.
fn written(words: &str, [x, y]: [f32; 2], [width, height]: [f32; 2]) -> Vec<Shape> {
    // Of the height of a capital, in a fixed-width font.
    const ADVANCE: f32 = 0.83;
    const LINE: f32 = 1.8;
    let broken = |columns: usize| {
        let mut lines = vec![String::new()];
        for word in words.split(' ') {
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(word),
                Some(line) if line.len() + 1 + word.len() <= columns => {
                    *line += " ";
                    *line += word;
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines
    };
    let size = |lines: &[String]| {
        let longest = lines.iter().map(String::len).max().unwrap_or(0).max(1);
        let fits = width / (ADVANCE * longest as f32);
        fits.min(height / (LINE * lines.len() as f32)).min(0.5)
    };
    let all = (1..=words.len().max(1)).map(broken);
    let Some(lines) = all.max_by(|a, b| size(a).total_cmp(&size(b))) else {
        return Vec::new();
    };
    let (size, top) = (size(&lines), y + height / 2.0);
    let lines = lines
        .into_iter()
        .enumerate()
        .map(|(i, text)| (i as f32, text));
    let lines: Vec<_> = lines.collect();
    let middle = (lines.len() as f32 - 1.0) / 2.0;
    let line = |(i, text): (f32, String)| Shape::Text {
        at: [x + width / 2.0, top + (i - middle) * LINE * size],
        size,
        text,
        colour: PALETTE[0],
    };
    lines.into_iter().map(line).collect()
}

/// A thing in the unit square whose upper left corner is `at`.
fn picture(cell: Cell, [x, y]: [f32; 2]) -> Vec<Shape> {
    let [object, colour, state] = cell.triple();
    let fill = PAINT[usize::from(colour.min(5))];
    let rect = |from: [f32; 2], size: [f32; 2], fill: Colour| Shape::Rect {
        from: [x + from[0], y + from[1]],
        size,
        fill,
    };
    let circle = |centre: [f32; 2], radius: f32, fill: Colour| Shape::Circle {
        centre: [x + centre[0], y + centre[1]],
        radius,
        fill,
    };
    match (object, state) {
        // Wall and lava: a little over the cell, so that no seam shows between two.
        (2, _) => vec![rect([-0.02, -0.02], [1.04, 1.04], [150, 150, 150])],
        (3, _) => vec![rect([0.05, 0.05], [0.9, 0.9], [220, 230, 245])],
        (4, 0) => vec![
            rect([0.0, 0.0], [0.12, 1.0], fill),
            rect([0.88, 0.0], [0.12, 1.0], fill),
        ],
        (4, locked) => {
            let middle = if locked == 2 { [0; 3] } else { [255; 3] };
            vec![
                rect([0.0, 0.0], [1.0, 1.0], fill),
                circle([0.75, 0.5], 0.1, middle),
            ]
        }
        (5, _) => vec![
            circle([0.5, 0.28], 0.18, fill),
            rect([0.45, 0.4], [0.1, 0.45], fill),
            rect([0.55, 0.7], [0.15, 0.1], fill),
        ],
        (6, _) => vec![circle([0.5, 0.5], 0.32, fill)],
        (7, _) => vec![
            rect([0.15, 0.15], [0.7, 0.7], fill),
            rect([0.25, 0.25], [0.5, 0.5], [255; 3]),
            rect([0.15, 0.45], [0.7, 0.1], fill),
        ],
        (8, _) => vec![rect([0.0, 0.0], [1.0, 1.0], PAINT[1])],
        (9, _) => vec![rect([-0.02, -0.02], [1.04, 1.04], PALETTE[1])],
        _ => Vec::new(),
    }
}

/// The shader's text: constants of the level and its options, then the files.
fn source(
    config: &GridConfig,
    spec: &EnvSpec,
    batch: &Batch,
    groups: Groups,
    gathering: Gathering,
    advice: bool,
) -> String {
    let (l, o) = (&config.level, &config.options);
    let layout = config.layout(batch.envs(), advice);
    let (each, longest) = config.limits();
    let rows = longest.checked_div(each).unwrap_or(1) as usize;
    let (size, cols, room_rows) = l.rooms;
    // Episodes begin in a dispatch of their own.
    let stepping = Batch {
        keep_ended: true,
        ..batch.clone()
    };
    let constants = constants(spec, &stepping, groups)
        .uint("CHUNK", gathering.envs)
        .uint("RESTART_GROUP", gathering.invocations)
        .uint(
            "RESTART_GROUPS_X",
            gathering.groups(batch).groups.0 as usize,
        )
        .uint("W", l.width)
        .uint("H", l.height)
        .uint("CELL_BITS", layout.cell_bits)
        .uint("CELL_SHIFT", if l.places { 1 } else { 2 })
        .uint("CLAUSES", layout.clauses)
        .uint("PER_PART", l.per_part)
        .uint("PARTS", l.parts)
        .uint("BALLS", l.balls)
        .uint("ADVICE", layout.advice)
        .uint("NAV_STEPS", each as usize)
        .uint("REWARD_ROW", longest as usize + 1)
        .uint("TEMPLATE", (rows * (longest as usize + 1)).div_ceil(4))
        .uint("GRID_0", layout.grid_at())
        .uint("ROW_WORDS", layout.row_words())
        .flag("SMALL", layout.is_small())
        .flag("RESTARTS", !batch.keep_ended)
        .uint("ROOM", size.max(3))
        .uint("COLS", cols)
        .uint("ROWS", room_rows)
        .uint("MARGIN", usize::from(!l.open_walls))
        .uint("DISTRACTORS", o.num_dists.unwrap_or(0) as usize)
        .flag("TRACKED", l.tracked)
        .flag("PLACES", l.places)
        .flag("TWO_DESCS", l.two_descriptions)
        .flag("KEYS_MATTER", l.keys_matter)
        .flag("START_CARRYING", l.carrying)
        .flag("SEE_THROUGH", l.see_through)
        .flag("ONE_HOT", o.encoding == Encoding::OneHot)
        .flag("GRID_STATE", o.critic_state == CriticState::Grid);
    let mut files = vec![
        include_str!("../../../shaders/grid/grid.wgsl"),
        include_str!("../../../shaders/grid/verify.wgsl"),
        include_str!("../../../shaders/grid/view.wgsl"),
        include_str!("../../../shaders/grid/generate.wgsl"),
        include_str!("../../../shaders/grid/restart.wgsl"),
        include_str!("../../../shaders/grid/entry.wgsl"),
    ];
    let toolkit = include_str!("../../../shaders/grid/roomgrid.wgsl");
    match l.file {
        File::Balrog => files.extend([toolkit, include_str!("../../../shaders/grid/balrog.wgsl")]),
        File::Rooms => files.extend([toolkit, include_str!("../../../shaders/grid/levels.wgsl")]),
        File::MiniGrid => files.push(include_str!("../../../shaders/grid/minigrid.wgsl")),
    }
    let balls = if l.balls > 0 {
        include_str!("../../../shaders/grid/balls.wgsl")
    } else {
        "fn move_balls() {}"
    };
    let expert = if advice {
        include_str!("../../../shaders/grid/expert.wgsl")
    } else {
        ""
    };
    let level = format!("fn level() -> bool {{ return {}; }}", l.call);
    files.extend([balls, expert, &level]);
    source_by_fours(&constants, &files)
}
