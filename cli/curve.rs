use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use merit_learn::config::Config;
use merit_learn::record::{Kind, MemberRecord, Record};
use merit_learn::run::{RunError, RunInfo, records};
use plotters::prelude::*;

use crate::naming;
use crate::output::{print, seeds, short};

/// Draw learning curves of runs: mean and range over the seeds of each setting
#[derive(Args)]
pub struct Curve {
    /// Directories of runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// SVG file to write
    #[arg(long, value_name = "FILE.svg")]
    out: PathBuf,
    #[arg(long, value_enum, default_value_t = Metric::WinRate)]
    metric: Metric,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    WinRate,
    Return,
    Length,
}

impl Metric {
    fn of(self, member: &MemberRecord) -> Option<f64> {
        match self {
            Self::WinRate => member.win_rate,
            Self::Return => member.mean_return,
            Self::Length => member.length,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::WinRate => "win rate",
            Self::Return => "return",
            Self::Length => "episode length (environment steps)",
        }
    }
}

impl Curve {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        draw(&self.runs, &self.out, self.metric)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A line of the picture.
#[derive(Clone)]
struct Series {
    label: String,
    /// Of its first seed.
    config: Config,
    seeds: usize,
    /// Step, then mean, least and greatest over the seeds, of the episodes that ended since the point before.
    training: Vec<(f64, [f64; 3])>,
    /// Step and mean of the evaluations.
    evaluations: Vec<(f64, f64)>,
}

impl Series {
    /// A line for every setting: members that have more than their seed to themselves are no seeds of one.
    fn read(run: &Path, metric: Metric) -> Result<Vec<Self>, RunError> {
        let config = RunInfo::read(run)?.config;
        let name = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy();
        let records = records(run)?;
        let mut settings: Vec<(String, Vec<usize>)> = Vec::new();
        for p in 0..config.seeds {
            let own = config.own_values(p);
            match settings.iter_mut().find(|(of, _)| *of == own) {
                Some((_, members)) => members.push(p),
                None => settings.push((own, vec![p])),
            }
        }
        let of_setting = |(own, members): (String, Vec<usize>)| {
            let count = seeds(members.len());
            let label = format!("{name}: {}{own}, {count}", config.algo.name());
            let first = config.alone(members[0]);
            Self::of(&records, &members, metric, label, first)
        };
        let all: Vec<_> = settings.into_iter().map(of_setting).collect();
        if all.iter().any(|s| s.training.is_empty()) {
            return Err(RunError::NoRecords(run.to_owned()));
        }
        Ok(all)
    }

    /// Of some of the members of a run.
    fn of(
        records: &[Record],
        members: &[usize],
        metric: Metric,
        label: String,
        config: Config,
    ) -> Self {
        let (mut training, mut evaluations) = (Vec::new(), Vec::new());
        for record in records {
            let of_setting = members.iter().filter_map(|&p| record.members.get(p));
            let values: Vec<f64> = of_setting.filter_map(|m| metric.of(m)).collect();
            if values.is_empty() {
                continue;
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            match record.kind {
                Kind::Train => training.push((record.step as f64, [mean, low, high])),
                Kind::Eval => evaluations.push((record.step as f64, mean)),
            }
        }
        Self {
            label,
            config,
            seeds: members.len(),
            training,
            evaluations,
        }
    }
}

/// Several lines are named by what their configurations differ in, where that is enough: a folder of a sweep says nothing to a reader.
fn told_apart(series: &mut [Series]) {
    let configs: Vec<&Config> = series.iter().map(|s| &s.config).collect();
    let names = naming::names(&configs);
    let envs: BTreeSet<&str> = configs.iter().map(|c| c.env.as_str()).collect();
    let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    if names.len() == 1 || !unique || envs.len() > 1 {
        return;
    }
    for (line, name) in series.iter_mut().zip(&names) {
        line.label = format!("{name}, {}", seeds(line.seeds));
    }
}

/// Reads `runs` and writes the picture to `out`.
pub fn draw(runs: &[PathBuf], out: &Path, metric: Metric) -> anyhow::Result<()> {
    let series = runs
        .iter()
        .map(|run| Series::read(run, metric))
        .collect::<Result<Vec<_>, _>>()?;
    let mut series = series.concat();
    told_apart(&mut series);
    let mut svg = String::new();
    // The error of the drawing library borrows the picture.
    picture(&mut svg, &series, metric).map_err(|e| anyhow!("drawing: {e}"))?;
    std::fs::write(out, svg).map_err(|reason| RunError::NotWritable {
        path: out.to_owned(),
        reason,
    })?;
    print(&format!("curve       {}\n", out.display()))?;
    Ok(())
}

/// Win rates are shares; everything else gets the range that its points take.
fn heights(series: &[Series], metric: Metric) -> Range<f64> {
    if metric == Metric::WinRate {
        return 0.0..1.0;
    }
    let bands = series.iter().flat_map(|s| &s.training);
    let bands = bands.flat_map(|(_, band)| band);
    let evaluations = series.iter().flat_map(|s| &s.evaluations);
    let points = bands.chain(evaluations.map(|(_, mean)| mean));
    let (low, high) = points.fold((0.0f64, f64::MIN_POSITIVE), |(l, h), &x| {
        (l.min(x), h.max(x))
    });
    low * 1.05..high * 1.05
}

fn picture(
    svg: &mut String,
    series: &[Series],
    metric: Metric,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (860, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut envs: Vec<_> = series.iter().map(|s| s.config.env.as_str()).collect();
    envs.sort_unstable();
    envs.dedup();
    let title = format!(
        "{}: {} while training, mean and range over seeds",
        envs.join(", "),
        metric.name()
    );
    let steps = series
        .iter()
        .flat_map(|s| &s.training)
        .map(|(step, _)| *step);
    let last = steps.fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, heights(series, metric))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("environment steps of each seed")
        .y_desc(metric.name())
        .x_label_formatter(&|x| short(*x))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (i, s) in series.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let upper = s.training.iter().map(|(x, [_, _, high])| (*x, *high));
        let lower = s.training.iter().rev().map(|(x, [_, low, _])| (*x, *low));
        let band: Vec<_> = upper.chain(lower).collect();
        chart.draw_series([Polygon::new(band, color.mix(0.2).filled())])?;
        let mean = s.training.iter().map(|(x, [mean, ..])| (*x, *mean));
        chart
            .draw_series(LineSeries::new(mean, color.stroke_width(2)))?
            .label(&s.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(
            s.evaluations
                .iter()
                .map(|at| Circle::new(*at, 4, color.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(training: &[(f64, [f64; 3])], evaluations: &[(f64, f64)]) -> Series {
        Series {
            label: "one".into(),
            config: Config {
                env: "mpe/simple_spread".into(),
                ..Config::default()
            },
            seeds: 1,
            training: training.to_vec(),
            evaluations: evaluations.to_vec(),
        }
    }

    /// What lies outside the axes would be drawn at their edge.
    #[test]
    fn evaluations_have_room_beside_the_training_episodes() {
        let all = [line(
            &[(1.0, [-25.0, -30.0, -20.0])],
            &[(0.0, -60.0), (2.0, 3.0)],
        )];
        let range = heights(&all, Metric::Return);
        assert!(range.start <= -60.0 && range.end >= 3.0, "{range:?}");
        assert_eq!(heights(&all, Metric::WinRate), 0.0..1.0);
    }

    #[test]
    fn lines_are_named_by_what_differs() {
        let of = |reuse: usize, seed: u64| {
            let mut line = line(&[(1.0, [0.0; 3])], &[]);
            line.config = Config {
                algo: merit_learn::config::Algo::Gpae,
                reuse,
                seed,
                ..line.config
            };
            line
        };
        let labels = |mut lines: Vec<Series>| -> Vec<String> {
            told_apart(&mut lines);
            lines.into_iter().map(|l| l.label).collect()
        };
        let two = labels(vec![of(1, 0), of(4, 0)]);
        assert_eq!(two, ["gpae reuse=1, 1 seed", "gpae reuse=4, 1 seed"]);
        // The same setting twice, or alone, is told by its folder.
        assert_eq!(labels(vec![of(4, 0), of(4, 1)]), ["one", "one"]);
        assert_eq!(labels(vec![of(4, 0)]), ["one"]);
    }

    #[test]
    fn members_with_values_of_their_own_are_other_lines() {
        let folder = tempfile::tempdir().expect("temp");
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results/2026-11-27-3m-search");
        for file in ["run.toml", "metrics.jsonl"] {
            std::fs::copy(run.join(file), folder.path().join(file)).expect("copied");
        }
        let lines = Series::read(folder.path(), Metric::WinRate).expect("read");
        // Six settings of five seeds in one batch.
        assert_eq!(lines.len(), 6);
        assert!(lines.iter().all(|l| l.label.ends_with(", 5 seeds")));
        assert!(lines.iter().all(|l| l.label.contains("learning_rate=")));
    }
}
