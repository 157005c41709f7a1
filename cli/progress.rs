//! What is seen of a run in progress: a bar on a terminal, plain lines in a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use merit_learn::config::Config;
use merit_learn::record::{Record, TimingRecord};
use merit_learn::train::Event;

use crate::output::{decimal, percent, short, tell};

enum Display {
    Quiet,
    Lines,
    Bar(ProgressBar),
}

pub struct Progress {
    display: Display,
    total: u64,
    /// Where this process began, for the rate that the remaining time is estimated from.
    first: u64,
    begun: Instant,
}

impl Progress {
    /// `first`: the step that a resumed run goes on from.
    pub fn new(config: &Config, updates: u64, first: u64, quiet: bool) -> Self {
        let total = updates * (config.envs * config.rollout) as u64;
        let display = if quiet {
            Display::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_position(first);
            // The template is a constant; the plain bar stands in should it ever be wrong.
            let style =
                ProgressStyle::with_template("{bar:24} {human_pos}/{human_len} steps  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            Display::Bar(bar)
        } else {
            Display::Lines
        };
        Self {
            display,
            total,
            first,
            begun: Instant::now(),
        }
    }

    pub fn show(&self, event: &Event<'_>) {
        match event {
            Event::Logged(record, timing) => self.logged(record, timing),
            Event::Evaluated(record) => self.line(&format!(
                "step {}: evaluation: return {}, win rate {}",
                record.step,
                decimal(record.mean(|m| m.mean_return)),
                percent(record.mean(|m| m.win_rate)),
            )),
            Event::Saved { .. } => {}
        }
    }

    fn logged(&self, record: &Record, timing: &TimingRecord) {
        let done = record.step.saturating_sub(self.first).max(1);
        let left = self.total.saturating_sub(record.step) as f64;
        let left = Duration::from_secs_f64(self.begun.elapsed().as_secs_f64() * left / done as f64);
        let message = format!(
            "{} env steps/s, return {}, win rate {}, {} left",
            short(timing.env_steps_per_s),
            decimal(record.mean(|m| m.mean_return)),
            percent(record.mean(|m| m.win_rate)),
            HumanDuration(left),
        );
        match &self.display {
            Display::Quiet => {}
            Display::Lines => tell(&format!("step {}/{}: {message}", record.step, self.total)),
            Display::Bar(bar) => {
                bar.set_message(message);
                bar.set_position(record.step);
            }
        }
    }

    fn line(&self, text: &str) {
        match &self.display {
            Display::Quiet => {}
            Display::Lines => tell(text),
            Display::Bar(bar) => bar.println(text),
        }
    }

    /// Leaves the bar as it stands.
    pub fn end(&self) {
        if let Display::Bar(bar) = &self.display {
            bar.abandon();
        }
    }
}
