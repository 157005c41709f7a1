//! Statistics over few seeds: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", with
//! the definitions of the authors' `rliable`.
//!
//! Scores are lists of runs per task. Intervals are percentiles of a stratified bootstrap: runs are drawn anew, with replacement,
//! within each task, which stays. The draws have a fixed seed, so that a report of the same runs has the same numbers.

use crate::draws::Draws;

/// Scores of the runs of each task.
pub type Tasks = Vec<Vec<f64>>;

/// A statistic and its 95 % interval, whose ends are NaN where there is one run per task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Bootstrap resamples of single numbers, and of each point of a curve.
pub const RESAMPLES: usize = 10_000;
pub const CURVE_RESAMPLES: usize = 1_000;

const SEED: u64 = 0x6d65_7269_7400;

/// Mean of the middle half: a quarter of the scores, rounded down, is left out at each end. NaN for no score.
pub fn iqm(scores: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = scores.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// Of sorted numbers, between neighbours linearly; NaN for none.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = percent / 100.0 * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    // Infinities have no difference.
    if below == above {
        below
    } else {
        below + (above - below) * at.fract()
    }
}

/// `statistic` of the scores, and the 2.5th and 97.5th percentile over the resamples.
pub fn interval(tasks: &Tasks, resamples: usize, statistic: impl Fn(&Tasks) -> f64) -> Interval {
    let value = statistic(tasks);
    if tasks.iter().all(|runs| runs.len() <= 1) {
        // One run per task: every resample is the same, which says nothing about other seeds.
        let (low, high) = (f64::NAN, f64::NAN);
        return Interval { value, low, high };
    }
    let mut draws = Draws::new(SEED);
    let mut drawn = tasks.clone();
    let mut values: Vec<f64> = (0..resamples)
        .map(|_| {
            for (to, from) in drawn.iter_mut().zip(tasks) {
                to.iter_mut()
                    .for_each(|x| *x = from[draws.below(from.len())]);
            }
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    Interval {
        value,
        low: percentile(&values, 2.5),
        high: percentile(&values, 97.5),
    }
}

/// IQM over all runs of all tasks.
pub fn iqm_interval(tasks: &Tasks, resamples: usize) -> Interval {
    interval(tasks, resamples, |t| iqm(t.iter().flatten().copied()))
}

/// Probability that a run of `x` scores more than one of `y` on the same task, ties counted half, averaged over the tasks.
pub fn improvement(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    let over = |(x, y): (&Vec<f64>, &Vec<f64>)| {
        let pairs = x.iter().flat_map(|a| y.iter().map(move |b| (a, b)));
        let won: f64 = pairs
            .map(|(a, b)| f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b)))
            .sum();
        won / (x.len() * y.len()) as f64
    };
    x.iter().zip(y).map(over).sum::<f64>() / x.len() as f64
}

/// [`improvement`] with its interval: the runs of both are drawn anew.
pub fn improvement_interval(x: &Tasks, y: &Tasks) -> Interval {
    let both = [x.clone(), y.clone()].concat();
    interval(&both, RESAMPLES, |t| {
        let (x, y) = t.split_at(x.len());
        improvement(x, y)
    })
}

/// Performance profile: the share of all runs of all tasks that score more than `tau`.
pub fn share_above(tasks: &Tasks, tau: f64) -> f64 {
    let runs = tasks.iter().flatten().count();
    tasks.iter().flatten().filter(|&&x| x > tau).count() as f64 / runs as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interquartile_mean_leaves_a_quarter_out_at_each_end() {
        // scipy.stats.trim_mean(x, 0.25): int(0.25 n) from each end.
        assert_eq!(iqm([4.0, 1.0, 2.0]), 7.0 / 3.0);
        assert_eq!(iqm([100.0, 1.0, 2.0, -50.0]), 1.5);
        assert_eq!(iqm([5.0, 1.0, 2.0, 3.0, 4.0]), 3.0);
        assert_eq!(iqm([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0]), 2.5);
        assert!(iqm([]).is_nan());
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(percentile(&sorted, 50.0), 4.0);
        assert_eq!(percentile(&sorted, 25.0), 2.0);
        assert_eq!(percentile(&sorted, 90.0), 8.0 + 8.0 * (0.9 * 4.0 - 3.0));
        let never = [1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(percentile(&never, 75.0), f64::INFINITY);
    }

    #[test]
    fn improvement_counts_pairs_and_halves_ties() {
        // (3 > 1, 3 > 2, 3 = 3), (1 = 1, 1 < 2, 1 < 3): 2.5 + 0.5 of 6.
        let x = [vec![3.0, 1.0]];
        let y = [vec![1.0, 2.0, 3.0]];
        assert_eq!(improvement(&x, &y), 0.5);
        // Averaged over tasks, however many runs each has: (1 + 1/4) / 2.
        let x = [vec![5.0], vec![1.0, 3.0]];
        let y = [vec![4.0, 4.0, 4.0], vec![2.0, 4.0]];
        assert_eq!(improvement(&x, &y), 0.625);
        let same = vec![vec![0.5; 4]; 2];
        let even = improvement_interval(&same, &same);
        assert_eq!([even.value, even.low, even.high], [0.5; 3]);
    }

    #[test]
    fn profiles_count_runs_of_all_tasks() {
        let tasks = vec![vec![0.1, 0.5], vec![0.5, 0.9, 1.0, 1.0]];
        assert_eq!(share_above(&tasks, 0.0), 1.0);
        assert_eq!(share_above(&tasks, 0.5), 0.5);
        assert_eq!(share_above(&tasks, 1.0), 0.0);
    }

    #[test]
    fn intervals_are_those_of_the_mean_of_two_coins() {
        // The mean of two draws from {0, 1} is 0, 1/2, 1 with 1/4, 1/2, 1/4: 2.5 % and 97.5 % lie in the outer quarters.
        let coin = vec![vec![0.0, 1.0]];
        let mean = |t: &Tasks| t[0].iter().sum::<f64>() / 2.0;
        let all = interval(&coin, 10_000, mean);
        assert_eq!((all.value, all.low, all.high), (0.5, 0.0, 1.0));
        // Strata are kept: nothing can change within either task.
        let fixed = vec![vec![0.0, 0.0], vec![1.0, 1.0]];
        let none = iqm_interval(&fixed, 1_000);
        assert_eq!((none.value, none.low, none.high), (0.5, 0.5, 0.5));
        let one = iqm_interval(&vec![vec![0.5]], 1_000);
        assert!(one.value == 0.5 && one.low.is_nan() && one.high.is_nan());
    }

    #[test]
    fn the_bootstrap_finds_the_standard_error_of_a_mean() {
        // Of 64 runs evenly spread over 0..1: deviation / sqrt(n) = 0.2886 / 8, and 1.96 of it each way.
        let runs: Vec<f64> = (0..64).map(|i| (f64::from(i) + 0.5) / 64.0).collect();
        let mean = |t: &Tasks| t[0].iter().sum::<f64>() / 64.0;
        let found = interval(&vec![runs], RESAMPLES, mean);
        let expected = 1.96 * 0.28864 / 8.0;
        for half in [found.value - found.low, found.high - found.value] {
            assert!((half / expected - 1.0).abs() < 0.04, "{half}, {expected}");
        }
    }

    #[test]
    fn a_repeat_has_the_same_numbers() {
        let tasks = vec![vec![0.3, 0.1, 0.9, 0.4, 0.7]];
        assert_eq!(iqm_interval(&tasks, 100), iqm_interval(&tasks, 100));
    }
}
