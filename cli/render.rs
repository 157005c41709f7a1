use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use merit_learn::config::parse_count;
use merit_sim::course::{Act, Course};
use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::replay;

use crate::failure::BadInput;
use crate::output::print;
use crate::picture::{self, Captioned, Format, check_place};
use crate::player::{Game, Policy, caption};

/// Draw episodes: a GIF film, or one frame or a sheet of frames as PNG or SVG
#[derive(Args)]
pub struct Render {
    #[command(flatten)]
    game: Game,
    /// Who acts: random, heuristic (the environment's own policy) or the directory of a run
    #[arg(long, default_value = "random", value_name = "random|heuristic|RUN")]
    policy: String,
    /// Play at most so many steps [default: to the end of the last episode]
    #[arg(long, allow_negative_numbers = true, value_parser = count)]
    steps: Option<usize>,
    /// Episodes to play
    #[arg(long, allow_negative_numbers = true, value_parser = count, default_value = "1")]
    episodes: usize,
    /// Also write a replay
    #[arg(long, value_name = "FILE")]
    save_replay: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// Picture to write: its name ends in .gif, .png or .svg
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// How pictures look.
#[derive(Args)]
pub struct Look {
    /// PNG and SVG: only the frame after so many steps
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = parse_count)]
    step: Option<u64>,
    /// PNG and SVG: frames of the sheet at most, evenly spread
    #[arg(long, allow_negative_numbers = true, value_parser = count, default_value = "12")]
    frames: usize,
    /// GIF: frames a second
    #[arg(long, allow_negative_numbers = true, value_parser = fps, default_value = "5")]
    fps: f32,
    /// Pixels that a frame is wide
    #[arg(long, allow_negative_numbers = true, value_parser = width, default_value = "400")]
    width: u32,
}

/// A number of steps or the like, at least one.
pub fn count(text: &str) -> Result<usize, String> {
    let n = parse_count(text)?;
    let n = usize::try_from(n)
        .ok()
        .filter(|n| (1..=1_000_000).contains(n));
    n.ok_or_else(|| "write 1 to 1000000".into())
}

fn fps(text: &str) -> Result<f32, String> {
    let fps: Option<f32> = text.parse().ok().filter(|f| (0.1..=50.0).contains(f));
    fps.ok_or_else(|| "write 0.1 to 50 frames a second".into())
}

fn width(text: &str) -> Result<u32, String> {
    let width: Option<u32> = text.parse().ok().filter(|w| (32..=4096).contains(w));
    width.ok_or_else(|| "write 32 to 4096 pixels".into())
}

impl Render {
    pub fn run(&self, choice: &AdapterChoice) -> anyhow::Result<ExitCode> {
        let format = self.look.check(&self.out)?;
        if let Some(path) = &self.save_replay {
            check_place(path)?;
        }
        let policy = Policy::parse(&self.policy)?;
        if policy == Policy::Keyboard {
            return Err(BadInput("`merit render` has no keyboard: `merit play` has".into()).into());
        }
        let (gpu, mut course, mut player) = self.game.begin(&policy, || Ok(Gpu::open(choice)?))?;
        let most = self.steps.unwrap_or(usize::MAX);
        let mut ended = 0;
        while ended < self.episodes && course.steps() < most {
            player.go_on(&gpu, &mut course)?;
            ended += usize::from(course.now().ended());
        }
        if let Some(path) = &self.save_replay {
            replay::save(path, &gpu, &course)?;
        }
        self.look.draw(&mut course, &self.out, format)?;
        let mut report = format!("{}\npicture     {}\n", caption(&course), self.out.display());
        if let Some(path) = &self.save_replay {
            report += &format!("replay      {}\n", path.display());
        }
        print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Look {
    /// What can be refused before anything is played.
    pub fn check(&self, out: &Path) -> Result<Format, BadInput> {
        let format = Format::of(out)?;
        if format == Format::Gif && self.step.is_some() {
            return Err(BadInput(
                "--step chooses one frame: name a .png or .svg file for it".into(),
            ));
        }
        Ok(format)
    }

    /// Draws all of a course, or what was chosen of it.
    pub fn draw(&self, course: &mut Course, out: &Path, format: Format) -> anyhow::Result<()> {
        let moments = course.moments().len();
        let shown: Vec<usize> = match (self.step, format) {
            (Some(step), _) => vec![self.moment_of(step, course)?],
            (None, Format::Gif) => (0..moments).collect(),
            (None, _) => spread(moments, self.frames),
        };
        let mut frames = Vec::new();
        for i in shown {
            course.seek(i)?;
            frames.push(Captioned {
                frame: course.frame()?,
                caption: below(course),
            });
        }
        course.seek(moments)?;
        picture::write(out, format, &frames, self.width, self.fps)
    }

    /// The moment after `step` steps, counted through all episodes.
    fn moment_of(&self, step: u64, course: &Course) -> Result<usize, BadInput> {
        let mut steps = 0;
        for (i, moment) in course.moments().iter().enumerate() {
            steps += u64::from(moment.act != Act::Reset);
            if steps == step {
                return Ok(i);
            }
        }
        Err(BadInput(format!(
            "--step is {step}, but only {steps} steps were played: it takes 0 to {steps}"
        )))
    }
}

/// `most` of `n` moments, the first and the last among them.
fn spread(n: usize, most: usize) -> Vec<usize> {
    match (n, most) {
        (n, most) if n <= most => (0..n).collect(),
        (n, 1) => vec![n - 1],
        _ => (0..most).map(|i| i * (n - 1) / (most - 1)).collect(),
    }
}

/// Short enough for a narrow frame.
fn below(course: &Course) -> String {
    let now = course.now();
    let end = match (now.terminated, now.truncated) {
        (true, _) => ", ended",
        (_, true) => ", cut",
        _ => "",
    };
    let total = crate::player::number(now.total);
    format!("step {}, return {total}{end}", now.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_the_first_the_last_and_some_between() {
        assert_eq!(spread(5, 12), [0, 1, 2, 3, 4]);
        assert_eq!(spread(101, 5), [0, 25, 50, 75, 100]);
        assert_eq!(spread(10, 4), [0, 3, 6, 9]);
        assert_eq!(spread(7, 1), [6]);
    }
}
