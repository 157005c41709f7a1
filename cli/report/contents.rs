//! What a report says, from curves to configurations.

use std::collections::BTreeSet;

use merit_learn::record::MemberRecord;

use super::chart::{self, Axes, Line, Row};
use super::document::{Block, Chart, Section, Table};
use super::series::{Member, Metric, Runs, Series, curve};
use super::stats::{
    self, CURVE_RESAMPLES, Interval, RESAMPLES, Tasks, improvement_interval, interval,
    iqm_interval, percentile,
};
use crate::naming::{values, varied};
use crate::output::{seeds, short};

pub struct Options {
    pub metric: Option<Metric>,
    pub threshold: Option<f64>,
}

/// Series with more than this are compared with the best alone.
const ALL_PAIRS: usize = 7;
/// Evaluations that make a curve of their own.
const EVALUATIONS: usize = 4;

const CURVE: (u32, u32) = (470, 300);
const SMALL: (u32, u32) = (300, 200);

/// A report under way: what all of its sections need.
struct Contents<'a> {
    runs: &'a Runs,
    options: &'a Options,
}

pub fn sections(runs: &Runs, options: &Options) -> anyhow::Result<Vec<Section>> {
    let contents = Contents { runs, options };
    let mut sections = vec![contents.overview()];
    for env in runs.envs() {
        sections.push(contents.environment(env)?);
    }
    sections.extend(contents.together()?);
    sections.push(contents.efficiency());
    sections.push(contents.time());
    sections.extend(contents.diagnostics()?);
    sections.push(contents.configurations());
    Ok(sections)
}

fn interval_text(i: Interval) -> String {
    format!(
        "{} [{}, {}]",
        digits3(i.value),
        digits3(i.low),
        digits3(i.high)
    )
}

fn digits3(x: f64) -> String {
    if x.is_nan() {
        "-".into()
    } else if x.abs() < 10.0 {
        format!("{x:.3}")
    } else {
        short(x)
    }
}

impl Contents<'_> {
    fn metric(&self, env: &str) -> Metric {
        self.options.metric.unwrap_or_else(|| self.runs.metric(env))
    }

    fn overview(&self) -> Section {
        let runs = self.runs;
        let members: usize = runs.series.iter().map(|s| s.members.len()).sum();
        let all = runs.series.iter().flat_map(|s| &s.members);
        let complete = all.filter(|m| runs.is_complete(m)).count();
        let mut text = format!(
            "{members} members in {} runs; {complete} are complete.",
            runs.runs.len()
        );
        if runs.waiting > 0 {
            text += &format!(" {} more have not begun.", runs.waiting);
        }
        let method = "Curves and scores are interquartile means (IQM) over seeds with 95 % intervals of a stratified bootstrap (Agarwal et al. 2021); \
                      scores are those of the last evaluation of complete members. Few seeds give wide or misleading intervals: fewer than five are a first look.";
        let names = runs.names();
        let legend = names.iter().enumerate().map(|(i, n)| ((*n).to_owned(), i));
        Section {
            title: "Overview".into(),
            blocks: vec![
                Block::Text(text),
                Block::Text(method.into()),
                Block::Legend(legend.collect()),
            ],
        }
    }

    fn environment(&self, env: &str) -> anyhow::Result<Section> {
        let (runs, metric) = (self.runs, self.metric(env));
        let other = match metric {
            Metric::WinRate => Metric::Return,
            Metric::Return => Metric::WinRate,
        };
        let mut rows = Vec::new();
        let mut drawn = Vec::new();
        for series in runs.of_env(env) {
            let scores = runs.finals(series, metric);
            let score = iqm_interval(&vec![scores.clone()], RESAMPLES);
            let [low, high] = scores
                .iter()
                .fold([f64::NAN; 2], |[l, h], &x| [x.min(l), x.max(h)]);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let beside = stats::iqm(runs.finals(series, other));
            rows.push([
                series.name.clone(),
                scores.len().to_string(),
                interval_text(score),
                digits3(mean),
                digits3(low),
                digits3(high),
                digits3(beside),
            ]);
            if !scores.is_empty() {
                drawn.push(Row {
                    label: series.name.clone(),
                    color: series.color,
                    interval: score,
                });
            }
        }
        let (name, beside) = (metric.name(), format!("IQM of the {}", other.name()));
        let iqm = format!("IQM of the {name} [95 %]");
        let head = ["", "seeds", &iqm, "mean", "lowest", "highest", &beside];
        let mut charts = Vec::new();
        for metric in [metric, other] {
            charts.extend(self.curves(env, metric)?);
        }
        if !drawn.is_empty() {
            charts.push(Chart {
                svg: chart::intervals(&format!("final {name}"), shares(metric), None, &drawn)?,
                caption: format!("{name} of the last evaluation: IQM and 95 % interval"),
            });
        }
        Ok(Section {
            title: env.to_owned(),
            blocks: vec![Block::Table(Table::new(head, rows)), Block::Charts(charts)],
        })
    }

    /// The curve of the training's episodes, and that of the evaluations where there are some.
    fn curves(&self, env: &str, metric: Metric) -> anyhow::Result<Vec<Chart>> {
        let mut charts = Vec::new();
        for (what, of) in SOURCES {
            let least = if what == "training" { 1 } else { EVALUATIONS };
            let draw = |series: &Series| -> Option<Line> {
                let members: Vec<_> = series.members.iter().map(of).collect();
                let points = curve(
                    &members,
                    |m| metric.of(m),
                    |t| iqm_interval(t, CURVE_RESAMPLES),
                );
                let color = series.color;
                (points.len() >= least).then_some(Line { color, points })
            };
            let lines: Vec<_> = self.runs.of_env(env).filter_map(draw).collect();
            // A win rate that is nowhere above 0 is none of this environment's.
            let all = || lines.iter().flat_map(|l| &l.points);
            let won = metric == Metric::Return || all().any(|(_, i)| i.value > 0.0 || i.high > 0.0);
            if lines.is_empty() || !won {
                continue;
            }
            let axes = Axes {
                size: CURVE,
                x: "environment steps of each seed",
                y: metric.name(),
                heights: shares(metric),
            };
            charts.push(Chart {
                svg: chart::lines(&axes, &lines)?,
                caption: format!(
                    "{}, {what}: IQM and 95 % interval over seeds",
                    metric.name()
                ),
            });
        }
        Ok(charts)
    }

    /// Final scores of a series name in every environment, each on the scale from its lowest to its highest; nothing where
    /// an environment lacks the name or has no complete member of it.
    fn normalised(&self, name: &str) -> Option<Tasks> {
        let runs = self.runs;
        let task = |env: &&str| {
            let metric = self.metric(env);
            let series = runs.of_env(env).find(|s| s.name == name)?;
            let [low, high] = runs.range(env, metric);
            let span = if high > low { high - low } else { 1.0 };
            let scores = runs.finals(series, metric).into_iter();
            let scores: Vec<_> = scores.map(|x| (x - low) / span).collect();
            (!scores.is_empty()).then_some(scores)
        };
        runs.envs().iter().map(task).collect()
    }

    /// Comparisons over all environments.
    fn together(&self) -> anyhow::Result<Option<Section>> {
        let names = self.runs.names();
        let scored: Vec<(usize, &str, Tasks)> = names
            .iter()
            .enumerate()
            .filter_map(|(color, name)| Some((color, *name, self.normalised(name)?)))
            .collect();
        if scored.is_empty() {
            return Ok(None);
        }
        let mut blocks = vec![Block::Text(format!(
            "Scores of {}: win rates as they are; returns scaled so that the lowest final return of an environment is 0 and the highest 1.",
            self.runs.envs().join(", ")
        ))];
        if scored.len() < names.len() {
            blocks.push(Block::Text(
                "Only what has complete members in every environment is compared here.".into(),
            ));
        }
        let rows = scored.iter().map(|(_, name, tasks)| {
            let iqm = iqm_interval(tasks, RESAMPLES);
            let mean = interval(tasks, RESAMPLES, |t| {
                let all: Vec<f64> = t.iter().flatten().copied().collect();
                all.iter().sum::<f64>() / all.len() as f64
            });
            // Distance to the best score, where that is not reached.
            let gap = interval(tasks, RESAMPLES, |t| {
                let all: Vec<f64> = t.iter().flatten().map(|x| (1.0 - x).max(0.0)).collect();
                all.iter().sum::<f64>() / all.len() as f64
            });
            [
                (*name).to_owned(),
                interval_text(iqm),
                interval_text(mean),
                interval_text(gap),
            ]
        });
        let head = ["", "IQM [95 %]", "mean [95 %]", "optimality gap [95 %]"];
        blocks.push(Block::Table(Table::new(head, rows.collect())));
        let mut charts = vec![self.profiles(&scored)?];
        let pairs = improvements(&scored);
        if !pairs.is_empty() {
            let rows: Vec<_> = pairs
                .iter()
                .map(|row| [row.label.clone(), interval_text(row.interval)])
                .collect();
            let head = ["X > Y", "probability of improvement [95 %]"];
            blocks.push(Block::Table(Table::new(head, rows)));
            charts.push(Chart {
                svg: chart::intervals("P(X > Y)", Some(0.0..1.0), Some(0.5), &pairs)?,
                caption: "probability that a seed of X ends higher than one of Y, averaged over environments".into(),
            });
        }
        blocks.push(Block::Charts(charts));
        Ok(Some(Section {
            title: "All environments together".into(),
            blocks,
        }))
    }

    fn profiles(&self, scored: &[(usize, &str, Tasks)]) -> anyhow::Result<Chart> {
        const STEPS: u32 = 50;
        let line = |(color, _, tasks): &(usize, &str, Tasks)| Line {
            color: *color,
            points: (0..=STEPS)
                .map(|i| f64::from(i) / f64::from(STEPS))
                .map(|tau| {
                    let share = |t: &Tasks| stats::share_above(t, tau);
                    (tau, interval(tasks, CURVE_RESAMPLES, share))
                })
                .collect(),
        };
        let lines: Vec<_> = scored.iter().map(line).collect();
        let axes = Axes {
            size: CURVE,
            x: "score τ",
            y: "share of seeds above τ",
            heights: Some(0.0..1.0),
        };
        Ok(Chart {
            svg: chart::lines(&axes, &lines)?,
            caption: "performance profiles, with pointwise 95 % bands".into(),
        })
    }

    fn threshold(&self, env: &str) -> f64 {
        let metric = self.metric(env);
        let [low, high] = self.runs.range(env, metric);
        self.options.threshold.unwrap_or(low + 0.8 * (high - low))
    }

    fn efficiency(&self) -> Section {
        let mut rows = Vec::new();
        for env in self.runs.envs() {
            let (metric, threshold) = (self.metric(env), self.threshold(env));
            for series in self.runs.of_env(env) {
                let few = |m: &Member| m.evaluations.len() < EVALUATIONS;
                // Who is still training may reach it yet: to count those alone that have would favour the fast ones.
                let complete = || series.members.iter().filter(|m| self.runs.is_complete(m));
                let (source, of) = SOURCES[usize::from(!complete().any(few))];
                let mut steps: Vec<f64> = complete()
                    .map(|m| first_at(of(m), metric, threshold))
                    .collect();
                if steps.is_empty() {
                    continue;
                }
                steps.sort_by(f64::total_cmp);
                let reached = steps.iter().filter(|s| s.is_finite()).count();
                let median = percentile(&steps, 50.0);
                let median = if median.is_finite() {
                    short(median)
                } else {
                    "not reached".into()
                };
                rows.push([
                    format!("{env}: {}", series.name),
                    format!("{} {}", metric.name(), digits3(threshold)),
                    source.to_owned(),
                    format!("{reached} of {}", steps.len()),
                    median,
                ]);
            }
        }
        let head = [
            "",
            "threshold",
            "measured in",
            "seeds that reached it",
            "median steps",
        ];
        Section {
            title: "Sample efficiency".into(),
            blocks: vec![
                Block::Text(
                    "Environment steps of a seed to the first record at or above the threshold: the median over seeds, those that never reached it counted as infinite. Seeds that are still training are left out.".into(),
                ),
                Block::Table(Table::new(head, rows)),
            ],
        }
    }

    fn time(&self) -> Section {
        let rows = self.runs.runs.iter().map(|run| {
            let (t, info) = (&run.timing, &run.info);
            let name = run.path.file_name().unwrap_or(run.path.as_os_str());
            [
                name.to_string_lossy().into_owned(),
                info.adapter.clone(),
                info.config.seeds.to_string(),
                short(t.env_steps as f64),
                short(t.rollout_s),
                short(t.update_s),
                short(t.env_steps_per_s),
                t.launches_per_update.to_string(),
                if run.complete { "yes" } else { "no" }.into(),
            ]
        });
        let head = [
            "run",
            "adapter",
            "members",
            "steps of all",
            "rollout s",
            "update s",
            "steps/s",
            "launches per update",
            "complete",
        ];
        Section {
            title: "Time".into(),
            blocks: vec![
                Block::Text(
                    "Seconds of the device for collecting and for learning, evaluations apart; members of a run are trained in one batch.".into(),
                ),
                Block::Table(Table::new(head, rows.collect())),
            ],
        }
    }

    /// A chart for every number that training reports, whatever its name.
    fn diagnostics(&self) -> anyhow::Result<Option<Section>> {
        let mut blocks = Vec::new();
        for env in self.runs.envs() {
            let members = self.runs.of_env(env).flat_map(|s| &s.members);
            let records = members.flat_map(|m| &m.training);
            let keys: BTreeSet<&String> = records.flat_map(|(_, m)| m.diagnostics.keys()).collect();
            let mut charts = Vec::new();
            for key in keys {
                charts.extend(self.diagnostic(env, key)?);
            }
            if !charts.is_empty() {
                let title = format!("{env}: {} diagnostics", charts.len());
                blocks.push(Block::Details(title, vec![Block::Charts(charts)]));
            }
        }
        if blocks.is_empty() {
            return Ok(None);
        }
        let text = "Losses and diagnostics of the training lines of metrics.jsonl, of the last update before each (`unstable_episodes`: since the line before): median and quartiles over seeds.";
        blocks.insert(0, Block::Text(text.into()));
        Ok(Some(Section {
            title: "Diagnostics".into(),
            blocks,
        }))
    }

    fn diagnostic(&self, env: &str, key: &str) -> anyhow::Result<Option<Chart>> {
        let draw = |series: &Series| -> Option<Line> {
            let members: Vec<_> = series.members.iter().map(|m| &m.training[..]).collect();
            let value = |m: &MemberRecord| m.diagnostics.get(key).copied().flatten();
            let points = curve(&members, value, quartiles);
            let color = series.color;
            (!points.is_empty()).then_some(Line { color, points })
        };
        let lines: Vec<_> = self.runs.of_env(env).filter_map(draw).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let axes = Axes {
            size: SMALL,
            x: "steps",
            y: key,
            heights: None,
        };
        Ok(Some(Chart {
            svg: chart::lines(&axes, &lines)?,
            caption: key.to_owned(),
        }))
    }

    fn configurations(&self) -> Section {
        let series = &self.runs.series;
        let configs: Vec<_> = series.iter().map(|s| &s.config).collect();
        let keys = varied(&configs);
        let mut blocks = Vec::new();
        if !keys.is_empty() {
            let first = ["".to_owned(), "environment".to_owned()];
            let head = first.into_iter().chain(keys.iter().cloned()).collect();
            let row = |s: &Series| -> Vec<String> {
                let values = values(&s.config);
                let value = |k: &String| values.get(k).cloned().unwrap_or_else(|| "-".into());
                let name = [s.name.clone(), s.env.clone()];
                name.into_iter().chain(keys.iter().map(value)).collect()
            };
            let rows = series.iter().map(row).collect();
            blocks.push(Block::Table(Table { head, rows }));
        }
        let machines: BTreeSet<_> = self
            .runs
            .runs
            .iter()
            .map(|r| {
                let i = &r.info;
                [
                    i.merit.clone(),
                    i.commit.clone(),
                    i.adapter.clone(),
                    i.driver.clone(),
                ]
            })
            .collect();
        let head = ["merit", "commit", "adapter", "driver"];
        blocks.push(Block::Table(Table::new(
            head,
            machines.into_iter().collect(),
        )));
        for s in series {
            let lines: Vec<_> = values(&s.config)
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}"))
                .collect();
            let all: Vec<_> = s.members.iter().map(|m| m.seed.to_string()).collect();
            let count = seeds(all.len());
            let title = format!("{}, {}: {count} ({})", s.env, s.name, all.join(", "));
            blocks.push(Block::Details(title, vec![Block::Code(lines.join("\n"))]));
        }
        Section {
            title: "Configurations".into(),
            blocks,
        }
    }
}

/// The range of shares.
fn shares(metric: Metric) -> Option<std::ops::Range<f64>> {
    (metric == Metric::WinRate).then_some(0.0..1.0)
}

type Source = fn(&Member) -> &[(u64, MemberRecord)];

/// Where scores over time come from.
const SOURCES: [(&str, Source); 2] = [
    ("training", |m| &m.training),
    ("evaluations", |m| &m.evaluations),
];

fn first_at(records: &[(u64, MemberRecord)], metric: Metric, threshold: f64) -> f64 {
    let mut at = records
        .iter()
        .filter(|(_, m)| metric.of(m) >= Some(threshold));
    at.next().map_or(f64::INFINITY, |(step, _)| *step as f64)
}

/// Median and quartiles of the one task.
fn quartiles(tasks: &Tasks) -> Interval {
    let mut sorted = tasks.concat();
    sorted.sort_by(f64::total_cmp);
    let [low, value, high] = [25.0, 50.0, 75.0].map(|p| percentile(&sorted, p));
    Interval { value, low, high }
}

/// All pairs, or the best with each of the others where pairs would be too many.
fn improvements(scored: &[(usize, &str, Tasks)]) -> Vec<Row> {
    let iqm = |i: usize| stats::iqm(scored[i].2.iter().flatten().copied());
    let best = (0..scored.len()).max_by(|a, b| iqm(*a).total_cmp(&iqm(*b)));
    let mut rows = Vec::new();
    for i in 0..scored.len() {
        for j in 0..scored.len() {
            let wanted = if scored.len() <= ALL_PAIRS {
                // The better one first.
                i != j && (iqm(i), j) > (iqm(j), i)
            } else {
                Some(i) == best && i != j
            };
            if wanted {
                let ((color, x, of_x), (_, y, of_y)) = (&scored[i], &scored[j]);
                rows.push(Row {
                    label: format!("{x} > {y}"),
                    color: *color,
                    interval: improvement_interval(of_x, of_y),
                });
            }
        }
    }
    rows
}
