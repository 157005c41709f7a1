mod hands;
mod screen;
pub mod terminal;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use merit_sim::course::{Act, Course};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::replay;

use crate::failure::{BadInput, heard};
use crate::output::print;
use crate::picture::check_place;
use crate::player::{Game, Player, Policy, caption, number};
use crate::render::count;

/// Play an environment in the terminal, or watch it: step by step, forth and back
///
/// With several agents, TAB chooses one and ENTER lets all of them act; with one agent an action key acts at once. The
/// arrow keys are the actions named up, down, left, right or forward, digits the actions by number; + and - go through what
/// is allowed. Continuous actions: LEFT and RIGHT choose one of an agent's numbers, UP and DOWN change it, 0 clears it.
#[derive(Args)]
pub struct Play {
    #[command(flatten)]
    game: Game,
    /// Who acts: keyboard, random, heuristic (the environment's own policy) or the directory of a run [default: keyboard,
    /// with --plain random]
    #[arg(long, value_name = "keyboard|random|heuristic|RUN")]
    policy: Option<String>,
    /// Print frames instead of filling the terminal
    #[arg(long)]
    plain: bool,
    /// With --plain: so many steps, through the ends of episodes [default: one episode]
    #[arg(long, requires = "plain", allow_negative_numbers = true, value_parser = count)]
    steps: Option<usize>,
    /// Write a replay when done
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Play {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let policy = match (&self.policy, self.plain) {
            (Some(text), _) => Policy::parse(text)?,
            (None, true) => Policy::Random,
            (None, false) => Policy::Keyboard,
        };
        if let Some(path) = &self.save {
            check_place(path)?;
        }
        if self.plain && policy == Policy::Keyboard {
            let message = "--plain has no keyboard: choose --policy random, heuristic or a run";
            return Err(BadInput(message.into()).into());
        }
        if !self.plain {
            need_terminal()?;
        }
        let (gpu, mut course, mut player) = self.game.begin(&policy, || Ok(Gpu::open(choice)?))?;
        let code = if self.plain {
            // The file is asked for all the same.
            heard(self.print(&gpu, &mut course, &mut player))?;
            ExitCode::SUCCESS
        } else {
            terminal::watch(&gpu, &mut course, &mut player)?
        };
        if let Some(path) = &self.save {
            replay::save(path, &gpu, &course)?;
            let steps = course.steps();
            print(&format!("replay      {}, {steps} steps\n", path.display()))?;
        }
        Ok(code)
    }

    fn print(&self, gpu: &Gpu, course: &mut Course, player: &mut Player) -> anyhow::Result<()> {
        print(&plain(course)?)?;
        loop {
            let done = match self.steps {
                Some(steps) => course.steps() >= steps,
                None => course.now().ended(),
            };
            if done {
                return Ok(());
            }
            player.go_on(gpu, course)?;
            print(&plain(course)?)?;
        }
    }
}

/// A screen to fill and keys to read.
pub fn need_terminal() -> Result<(), BadInput> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(BadInput(
        "this is no terminal: --plain prints frames".into(),
    ))
}

/// The present moment for a script: what it is, what was done, the picture, and an empty line.
pub fn plain(course: &Course) -> anyhow::Result<String> {
    let mut text = caption(course) + "\n";
    for line in deeds(course) {
        text += &(line + "\n");
    }
    text += course.frame()?.text.trim_end_matches('\n');
    Ok(text + "\n\n")
}

/// What every agent did in the step to the present moment, and what it was paid.
fn deeds(course: &Course) -> Vec<String> {
    let (now, spec) = (course.now(), course.spec());
    let Act::Step(words) = &now.act else {
        return Vec::new();
    };
    let line = |i: usize| {
        // Where the environment's own policy acts it does not say how.
        let did = words
            .chunks_exact(spec.actions.words())
            .nth(i)
            .map_or_else(String::new, |w| format!(" {}", hands::named(spec, w)));
        let replaced = if now.replaced[i] { " (replaced)" } else { "" };
        let done = if now.agent_done[i] > 0.0 {
            ", done"
        } else {
            ""
        };
        let reward = number(now.reward[i]);
        format!("agent {i}:{did}{replaced} reward {reward}{done}")
    };
    (0..spec.agents).map(line).collect()
}
