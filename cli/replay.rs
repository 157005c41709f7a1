use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use merit_sim::course::Course;
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::replay::{Divergence, Replay};
use serde::Serialize;

use crate::failure::heard;
use crate::output::{print, print_json};
use crate::play::{need_terminal, plain, terminal};
use crate::player::Player;
use crate::render::Look;

/// Play a replay again and check every step of it
#[derive(Args)]
pub struct ReplayCommand {
    /// Written by `merit play --save` or `merit render --save-replay`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Step through it in the terminal, forth and back
    #[arg(long, conflicts_with_all = ["plain", "json"])]
    watch: bool,
    /// Print every frame
    #[arg(long)]
    plain: bool,
    /// Draw it too: .gif, .png or .svg
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// One JSON object
    #[arg(long, conflicts_with = "plain")]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    env: &'a str,
    seed: u64,
    /// Steps that were as recorded, of those that there are.
    reproduced: usize,
    steps: usize,
    divergence: Option<Divergence>,
}

impl ReplayCommand {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let replay = Replay::read(&self.file)?;
        let format = self
            .out
            .as_deref()
            .map(|out| self.look.check(out))
            .transpose()?;
        if self.watch {
            need_terminal()?;
        }
        let gpu = Gpu::open(choice)?;
        let (mut course, divergence) = replay.play(&gpu)?;
        if self.watch {
            course.seek(0)?;
            let code = terminal::watch(&gpu, &mut course, &mut Player::Nobody)?;
            // Ctrl-C asks for nothing more.
            if code != ExitCode::SUCCESS {
                return Ok(code);
            }
        }
        if self.plain {
            heard(printed(&mut course))?;
        }
        if let (Some(out), Some(format)) = (&self.out, format) {
            self.look.draw(&mut course, out, format)?;
        }
        let start = &replay.header.start;
        let steps = replay.steps();
        let code = ExitCode::from(u8::from(divergence.is_some()));
        // The step that differs is in the course, and is not as recorded.
        let at_a_step = divergence.as_ref().is_some_and(|d| d.step > 0);
        let reproduced = course.steps() - usize::from(at_a_step);
        if self.json {
            print_json(&Report {
                file: self.file.display().to_string(),
                env: &start.env,
                seed: start.seed,
                reproduced,
                steps,
                divergence,
            })?;
            return Ok(code);
        }
        let about = format!("{}, seed {}", start.env, start.seed);
        let verdict = match divergence {
            None => format!("all {steps} steps as recorded"),
            Some(Divergence {
                episode,
                step,
                fields,
            }) => {
                let mut text = format!(
                    "diverges at step {step} of episode {episode} in {}",
                    fields.join(", ")
                );
                text += &format!(" ({reproduced} of {steps} steps as recorded)");
                let (there, here) = (&replay.header.adapter, &gpu.info.name);
                if there != here {
                    text += &format!("; it was recorded on {there}, this is {here}");
                }
                text
            }
        };
        print(&format!("{about}: {verdict}\n"))?;
        Ok(code)
    }
}

/// All moments, one after the other.
fn printed(course: &mut Course) -> anyhow::Result<()> {
    for i in 0..course.moments().len() {
        course.seek(i)?;
        print(&plain(course)?)?;
    }
    Ok(())
}
