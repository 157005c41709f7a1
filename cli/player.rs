//! Who acts, in `merit play` and `merit render`: options of both, and the next step of a course.

use std::path::{Path, PathBuf};

use clap::Args;
use merit_learn::actor::Actor;
use merit_learn::config::{Layer, parse_count};
use merit_learn::run::{RunError, RunInfo, newest_checkpoint};
use merit_sim::course::{Act, Course, Start};
use merit_sim::env::ActionSpace;
use merit_sim::gpu::Gpu;
use merit_sim::registry::{self, Driver, EnvOptions};

use crate::failure::BadInput;

/// What is played.
#[derive(Args)]
pub struct Game {
    /// Environment, as `merit envs` lists them
    #[arg(value_name = "ENV")]
    env: String,
    /// Option of the environment, as its page lists them; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of the episodes
    #[arg(long, allow_negative_numbers = true, value_parser = parse_count, default_value = "0")]
    seed: u64,
    /// With a run: take the most probable action instead of drawing one
    #[arg(long)]
    greedy: bool,
    /// With a run: which of its seeds, counted from 0
    #[arg(long, value_name = "P", default_value = "0")]
    member: usize,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    Keyboard,
    Random,
    Heuristic,
    /// Directory of a training run.
    Run(PathBuf),
}

impl Policy {
    /// `keyboard`, `random`, `heuristic`, or a run.
    pub fn parse(text: &str) -> Result<Self, BadInput> {
        match text {
            "keyboard" => Ok(Self::Keyboard),
            "random" => Ok(Self::Random),
            "heuristic" => Ok(Self::Heuristic),
            path if Path::new(path).is_dir() => Ok(Self::Run(path.into())),
            other => Err(BadInput(format!(
                "`{other}` is no policy: name random, heuristic or the directory of a run (`merit play` also takes keyboard)"
            ))),
        }
    }
}

/// Who acts, ready to.
pub enum Player {
    /// Whoever sits in front of it.
    Person,
    /// A replay: there is nothing beyond its end.
    Nobody,
    Random,
    /// The step shader.
    Shader,
    Run(Box<Actor>),
}

impl Game {
    /// Begins the first episode. All that can be refused without a device is refused before `gpu` is called.
    pub fn begin(
        &self,
        policy: &Policy,
        gpu: impl FnOnce() -> anyhow::Result<Gpu>,
    ) -> anyhow::Result<(Gpu, Course, Player)> {
        let run = match policy {
            Policy::Run(path) => {
                let info = RunInfo::read(path)?;
                let saved = newest_checkpoint(path)?;
                let saved = saved.ok_or_else(|| RunError::NoCheckpoint(path.clone()))?;
                Some((info.config, saved))
            }
            _ => None,
        };
        // A run is seen in the world that it was trained in, but for what is said here.
        let mut options = EnvOptions::new();
        if let Some((config, _)) = &run
            && config.env == self.env
        {
            options = config.options()?;
        }
        let set = Layer::from_assignments("--set", &self.set)?;
        options.extend(set.options()?);
        let spec = registry::spec(&self.env, &options)?;
        let driver = match (policy, spec.actions) {
            (Policy::Heuristic, _) => Driver::Heuristic,
            // Only the environment knows the bounds of its continuous actions.
            (Policy::Random, ActionSpace::Continuous(_)) => Driver::Random,
            _ => Driver::External,
        };
        let gpu = gpu()?;
        let start = Start {
            env: self.env.clone(),
            options,
            seed: self.seed,
            driver,
        };
        let course = Course::begin(&gpu, start)?;
        let player = match (policy, run) {
            (_, Some((config, saved))) => Player::Run(Box::new(Actor::new(
                &gpu,
                &config,
                &saved.arrays,
                self.member,
                course.env(),
                self.seed,
                self.greedy,
            )?)),
            (Policy::Keyboard, None) => Player::Person,
            _ if driver == Driver::External => Player::Random,
            _ => Player::Shader,
        };
        Ok((gpu, course, player))
    }
}

impl Player {
    /// The next moment: a step, or the next episode where this one is over. Forgets what lay ahead.
    pub fn go_on(&mut self, gpu: &Gpu, course: &mut Course) -> anyhow::Result<()> {
        if matches!(self, Self::Nobody) {
            return Ok(());
        }
        let act = if course.now().ended() {
            Act::Reset
        } else {
            Act::Step(match self {
                // A person's actions come from the keyboard; whoever asks here has none.
                Self::Person | Self::Nobody | Self::Random => {
                    course.random_actions()?.unwrap_or_default()
                }
                Self::Shader => Vec::new(),
                Self::Run(actor) => {
                    actor.act(gpu);
                    course.written_actions()?
                }
            })
        };
        course.go_on(act)?;
        Ok(())
    }

    /// Another episode in the place of the one under way.
    pub fn begin_again(&mut self, gpu: &Gpu, course: &mut Course) -> anyhow::Result<()> {
        course.go_on(Act::Reset)?;
        if let Self::Run(actor) = self {
            actor.forget(gpu);
        }
        Ok(())
    }
}

/// One line about the present moment.
pub fn caption(course: &Course) -> String {
    let (now, spec) = (course.now(), course.spec());
    let mut text = format!(
        "{}  seed {}  episode {}  step {} of {}  return {}",
        spec.name,
        course.start.seed,
        now.episode,
        now.step,
        spec.max_steps,
        number(now.total)
    );
    if now.terminated {
        text += "  ended";
    } else if now.truncated {
        text += "  cut by the step limit";
    }
    text
}

/// At most three decimals.
pub fn number(x: f32) -> String {
    let text = format!("{x:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".into()
    } else {
        text.into()
    }
}
