//! Matrix games: finite team games given as tables. The rules are in `shaders/matrix/`, the tables in [`game`].
//!
//! `docs/environments/matrix.md` has the payoffs, their sources and the known optima.

pub mod game;
pub mod payoff_file;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Frame, PALETTE, Shape};
use crate::gpu::{Access, Gpu, GpuError};
use crate::kernels::{
    Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source, thread_state,
};
use crate::registry::{self, Batch, EnvError, EnvOptions};
use game::{Game, PUBLISHED};

/// What agents see of a game that has one table for all steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// Zeros: one, or two in a repeated game.
    #[default]
    Constant,
    /// The last action of every agent, one-hot; -1 everywhere before the first step.
    LastAction,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixOptions {
    /// One-step games: steps of an episode, 1 (25 in EPyMARL's benchmark). `matrix/mmdp`: 100.
    pub max_steps: Option<u32>,
    /// One-step games.
    pub observation: Option<Observation>,
    /// Appends the agent's number, one-hot, to what it sees: agents that share parameters cannot tell themselves apart
    /// otherwise.
    pub agent_id: bool,
    /// Penalty games: what missing each other costs, 100.
    pub penalty: Option<f32>,
    /// `matrix/3x3_plateau`: the payoff of the best joint action, 10.4.
    pub first_payoff: Option<f32>,
    /// `matrix/k_step`: steps, 1.
    pub k: Option<u32>,
    /// `matrix/k_step`: branches that pay, 2 or 4; 2.
    pub good_branches: Option<u32>,
    /// `matrix/mmdp`: what a step in state 1 may earn, 1.
    pub reward: Option<f32>,
    /// `matrix/custom`: a file with the payoffs.
    pub payoff_file: Option<PathBuf>,
}

/// A game with its options, checked.
#[derive(Clone, Debug)]
pub struct MatrixConfig {
    name: String,
    pub game: Game,
    pub last_action: bool,
    pub agent_id: bool,
    /// How many times the critic gets the features of the game's state.
    state_copies: usize,
    reference: &'static str,
}

/// Every game's name but `matrix/custom`, which has no shape before it has a file.
pub fn names() -> Vec<String> {
    let published = PUBLISHED.iter().map(|p| p.name);
    published
        .chain(["two_step", "k_step", "mmdp"])
        .map(|n| format!("matrix/{n}"))
        .collect()
}

/// Finds `matrix/NAME` and reads its options.
///
/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`], [`EnvError::Option`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<MatrixConfig, EnvError> {
    let unknown = || registry::unknown(name);
    let short = name.strip_prefix("matrix/").ok_or_else(unknown)?;
    let published = PUBLISHED.iter().find(|p| p.name == short);
    if published.is_none() && !["two_step", "k_step", "mmdp", "custom"].contains(&short) {
        return Err(unknown());
    }
    let refused = |reason: String| EnvError::Options {
        env: name.to_owned(),
        reason,
    };
    let bad = |option: &str, found: String, need: &str| EnvError::Option {
        env: name.to_owned(),
        option: option.to_owned(),
        found,
        need: need.to_owned(),
    };
    let o: MatrixOptions = registry::read_options(name, options)?;

    let one_step = published.is_some() || short == "custom";
    let has = |word: &str| published.is_some_and(|p| p.table.contains(word));
    for (option, given, applies, to) in [
        (
            "max_steps",
            o.max_steps.is_some(),
            one_step || short == "mmdp",
            "games without a length of their own",
        ),
        (
            "observation",
            o.observation.is_some(),
            one_step,
            "one-step games",
        ),
        (
            "penalty",
            o.penalty.is_some(),
            has("PENALTY"),
            "penalty games",
        ),
        (
            "first_payoff",
            o.first_payoff.is_some(),
            has("FIRST"),
            "`matrix/3x3_plateau`",
        ),
        ("k", o.k.is_some(), short == "k_step", "`matrix/k_step`"),
        (
            "good_branches",
            o.good_branches.is_some(),
            short == "k_step",
            "`matrix/k_step`",
        ),
        (
            "reward",
            o.reward.is_some(),
            short == "mmdp",
            "`matrix/mmdp`",
        ),
        (
            "payoff_file",
            o.payoff_file.is_some(),
            short == "custom",
            "`matrix/custom`",
        ),
    ] {
        if given && !applies {
            return Err(refused(format!("option `{option}` is one of {to} only")));
        }
    }
    // The step shares a 32-bit random counter with the purpose and the agent of a draw.
    let max_steps = o.max_steps.unwrap_or(if short == "mmdp" { 100 } else { 1 });
    if !(1..1 << 16).contains(&max_steps) {
        return Err(bad("max_steps", max_steps.to_string(), "1 to 65535"));
    }
    let (penalty, first) = (o.penalty.unwrap_or(100.0), o.first_payoff.unwrap_or(10.4));
    let reward = o.reward.unwrap_or(1.0);
    for (option, x, low) in [
        ("penalty", penalty, 0.0),
        ("first_payoff", first, -1e6),
        ("reward", reward, -1e6),
    ] {
        if !(low..=1e6).contains(&x) {
            let need = format!("a number from {low} to 1000000");
            return Err(bad(option, x.to_string(), &need));
        }
    }
    let (k, good) = (o.k.unwrap_or(1), o.good_branches.unwrap_or(2));
    if !(1..=1000).contains(&k) {
        return Err(bad("k", k.to_string(), "1 to 1000"));
    }
    if good != 2 && good != 4 {
        return Err(bad("good_branches", good.to_string(), "2 or 4"));
    }

    let max_steps = max_steps as usize;
    let (game, reference) = match (short, published) {
        (_, Some(p)) => {
            // -0 would show as such.
            let table = p.table.replace("PENALTY", &(0.0 - penalty).to_string());
            let table = table.replace("FIRST", &first.to_string());
            let payoffs = payoff_file::parse(p.name, &table).map_err(|e| refused(e.to_string()))?;
            (Game::one_step(&payoffs, max_steps), p.reference)
        }
        ("two_step", _) => (Game::two_step(), "Rashid et al. 2018, QMIX"),
        ("k_step", _) => (
            Game::k_step(k as usize, good as usize),
            "MAVEN be975c5, nstep_matrix_game",
        ),
        ("mmdp", _) => (Game::mmdp(reward, max_steps), "QPLEX 6c0a7ba, mmdp_game_1"),
        _ => {
            let Some(path) = &o.payoff_file else {
                let need = "it needs the option `payoff_file`, a text file with a line of payoffs for each action of \
                            the first agent";
                return Err(refused(need.into()));
            };
            let payoffs = payoff_file::read(path).map_err(|e| refused(e.to_string()))?;
            (Game::one_step(&payoffs, max_steps), "none: a payoff file")
        }
    };
    Ok(MatrixConfig {
        name: name.to_owned(),
        game,
        last_action: o.observation == Some(Observation::LastAction),
        agent_id: o.agent_id,
        // QPLEX's state is what both agents see.
        state_copies: if short == "mmdp" { 2 } else { 1 },
        reference,
    })
}

impl MatrixConfig {
    /// `F`: what there is to see of a state, the agent's number not counted.
    fn features(&self) -> usize {
        if self.last_action {
            self.game.counts.iter().sum()
        } else {
            self.game.features[0].len()
        }
    }

    pub fn spec(&self) -> EnvSpec {
        let agents = self.game.counts.len();
        let actions = self.game.counts.iter().copied().max().unwrap_or(1);
        EnvSpec {
            name: self.name.clone(),
            agents,
            obs: self.features() + if self.agent_id { agents } else { 0 },
            state: self.state_copies * self.features(),
            actions: ActionSpace::Discrete(actions),
            max_steps: self.game.max_steps,
            shortest_limit: self.game.max_steps,
            action_names: (0..actions).map(|a| action_name(a, actions)).collect(),
            reference: self.reference,
        }
    }

    /// The shader's `game`: three words for every state and joint action, then the features of every state.
    fn tables(&self) -> Vec<u32> {
        const ENDS: u32 = 1 << 31;
        const OPTIMAL: u32 = 1 << 30;
        let optimal = self.game.optimal();
        let mut words = Vec::new();
        for (o, best) in self.game.outcomes.iter().zip(optimal) {
            let next =
                o.next as u32 | if o.ends { ENDS } else { 0 } | if best { OPTIMAL } else { 0 };
            words.extend([o.payoffs[0].to_bits(), o.payoffs[1].to_bits(), next]);
        }
        words.extend(self.game.features.iter().flatten().map(|x| x.to_bits()));
        words
    }
}

/// Letters as in the papers' tables, numbers where they run out.
fn action_name(action: usize, of: usize) -> String {
    match u8::try_from(action) {
        Ok(a) if of <= 26 => char::from(b'A' + a).to_string(),
        _ => action.to_string(),
    }
}

/// State of `G` environments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatrixState {
    /// `[G]`: the game's state.
    pub game_state: Vec<u32>,
    /// `[G]`: the episode has ended (only with [`Batch::keep_ended`]).
    pub ended: Vec<bool>,
    /// `[G]`: every joint action of the episode was a best one.
    pub optimal: Vec<bool>,
    /// `[G]`: the joint action of the last step ([`Game::actions`] parts it), also if a new episode has begun since.
    pub last: Vec<Option<u32>>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the team's return so far.
    pub running_return: Vec<f32>,
}

/// A batch of games on the device.
pub struct Matrix {
    config: MatrixConfig,
    spec: EnvSpec,
    kernels: Kernels,
}

impl Matrix {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, config: MatrixConfig, batch: &Batch) -> Result<Self, EnvError> {
        let name = config.name.clone();
        Kernels::guarded(gpu, &name, batch, || Self::build(gpu, config, batch))
    }

    fn build(gpu: &Gpu, config: MatrixConfig, batch: &Batch) -> Result<Self, EnvError> {
        let (spec, game) = (config.spec(), &config.game);
        let grid = Grid::thread(gpu, batch);
        let constants = constants(&spec, batch, grid)
            .uint("STATES", game.features.len())
            .uint("JOINT", game.joint())
            .uint("FEATURES", config.features())
            .uint("STATE_COPIES", config.state_copies)
            .uint("START", game.start)
            .uints("COUNTS", &game.counts)
            .uints("STRIDES", &game.strides())
            .flag("LAST_ACTION", config.last_action)
            .flag("AGENT_ID", config.agent_id)
            .flag("STOCHASTIC", game.stochastic());
        let tables = gpu.storage_from("matrix game", &config.tables());
        let source = include_str!("../../../shaders/matrix/game.wgsl");
        let program = Program {
            spec: &spec,
            source: thread_source(&constants, &[source]),
            grid,
            state: thread_state(batch.envs(), 2),
            extra: &[(Access::Read, tables.binding())],
        };
        let kernels = Kernels::new(gpu, batch, program)?;
        Ok(Self {
            config,
            spec,
            kernels,
        })
    }

    pub fn config(&self) -> &MatrixConfig {
        &self.config
    }

    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<MatrixState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let column = |i: usize| &words[i * self.envs()..(i + 1) * self.envs()];
        let packed = column(THREAD_WORDS);
        Ok(MatrixState {
            game_state: packed.iter().map(|w| w & 0x0fff_ffff).collect(),
            ended: packed.iter().map(|w| w >> 31 == 1).collect(),
            optimal: packed.iter().map(|w| w >> 30 & 1 == 1).collect(),
            last: column(THREAD_WORDS + 1)
                .iter()
                .map(|w| w.checked_sub(1))
                .collect(),
            step: column(0).to_vec(),
            episode: column(1).to_vec(),
            running_return: column(2).iter().map(|w| f32::from_bits(*w)).collect(),
        })
    }

    /// Puts a state in; numbers beyond the game's last state or joint action mean these. Observations follow with
    /// [`VecEnv::record_observe`] or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch size.
    pub fn set_state(&self, gpu: &Gpu, s: &MatrixState) -> Result<(), GpuError> {
        let envs = self.envs();
        for found in [
            s.game_state.len(),
            s.ended.len(),
            s.optimal.len(),
            s.last.len(),
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
        let states = self.config.game.features.len() as u32;
        words.extend((0..envs).map(|g| {
            s.game_state[g].min(states - 1)
                | u32::from(s.ended[g]) << 31
                | u32::from(s.optimal[g]) << 30
        }));
        let joint = self.config.game.joint() as u32;
        words.extend(s.last.iter().map(|l| l.map_or(0, |u| u.min(joint - 1) + 1)));
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }
}

impl VecEnv for Matrix {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let own = [("state of the game", 1), ("last actions", 1)];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// The payoffs of the game's state, a table for every choice of the agents before the last two; the last joint
    /// action is marked where every step has the same table.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let s = self.get_state(gpu)?;
        let game = &self.config.game;
        let (joint, state) = (game.joint(), s.game_state[env] as usize);
        let actions = self.spec.actions.mask();
        let name = |a: usize| action_name(a, actions);
        // At the beginning of an episode the last one's is no news.
        let last = s.last[env].filter(|_| s.step[env] > 0);
        let last = last.map(|u| u as usize);
        let marked = last.filter(|_| game.features.len() == 1);

        let mut text = format!("step {}, return {}", s.step[env], s.running_return[env]);
        if let Some(u) = last {
            let names: Vec<_> = game.actions(u).into_iter().map(name).collect();
            text += &format!(", last actions {}", names.join(" "));
        }
        text.push('\n');
        if game.features.len() > 1 {
            text += &format!("state {state}\n");
        }

        let width = game.counts[game.counts.len() - 1];
        // The one agent of a game of one has a single row.
        let height = game
            .counts
            .len()
            .checked_sub(2)
            .map_or(1, |i| game.counts[i]);
        let mut shapes = Vec::new();
        let mut top = 0.0;
        // Whoever plays with thousands of joint actions does not read them from a picture.
        let shown = if joint <= 1024 { joint } else { 0 };
        for block in 0..shown / (width * height) {
            let first = block * width * height;
            let before = game.actions(first);
            let before = &before[..before.len().saturating_sub(2)];
            if !before.is_empty() {
                let names: Vec<_> = before.iter().map(|&a| name(a)).collect();
                text += &format!("with {} first\n", names.join(" "));
                shapes.push(words([1.0, top + 0.5], names.join(" ")));
                top += 1.0;
            }
            text += &format!("{:>4}", "");
            for column in 0..width {
                text += &format!("{:>12}", name(column));
                shapes.push(words([column as f32 * 2.0 + 2.0, top + 0.5], name(column)));
            }
            text.push('\n');
            for row in 0..height {
                text += &format!("{:>4}", name(row));
                let y = top + 1.0 + row as f32;
                shapes.push(words([0.5, y + 0.5], name(row)));
                for column in 0..width {
                    let u = first + row * width + column;
                    let [a, b] = game.outcomes[state * joint + u].payoffs;
                    let payoff = if a == b {
                        format!("{a}")
                    } else {
                        format!("{a}/{b}")
                    };
                    let x = column as f32 * 2.0 + 1.0;
                    shapes.push(Shape::Rect {
                        from: [x + 0.03, y + 0.03],
                        size: [1.94, 0.94],
                        fill: if marked == Some(u) {
                            PALETTE[4]
                        } else {
                            [235; 3]
                        },
                    });
                    shapes.push(words([x + 1.0, y + 0.5], payoff.clone()));
                    let payoff = if marked == Some(u) {
                        format!("[{payoff}]")
                    } else {
                        payoff
                    };
                    text += &format!("{payoff:>12}");
                }
                text.push('\n');
            }
            top += 1.0 + height as f32;
        }
        let across = 2.0 * width as f32 + 1.0;
        // What a table of one state shows by its mark.
        if game.features.len() > 1 {
            let names = last.map(|u| game.actions(u).into_iter().map(name));
            let names: Vec<_> = names.into_iter().flatten().collect();
            let from = if names.is_empty() { "" } else { " after " };
            let text = format!("state {state}{from}{}", names.join(" "));
            shapes.push(Shape::Text {
                at: [across / 2.0, top + 0.5],
                // A letter is about as wide as its capitals are high.
                size: (0.95 * across / text.len() as f32).min(0.5),
                text,
                colour: PALETTE[0],
            });
            top += 1.0;
        }
        Ok(Frame {
            size: [across, top],
            background: [255; 3],
            shapes,
            text,
        })
    }
}

fn words(at: [f32; 2], text: String) -> Shape {
    Shape::Text {
        at,
        size: 0.5,
        text,
        colour: PALETTE[0],
    }
}
