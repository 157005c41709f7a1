//! Finite team games as tables, and the games of the literature (`docs/environments/matrix.md` names the sources).

use std::collections::BTreeMap;

use super::payoff_file::Payoffs;

/// What a joint action does in a state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Each is paid with probability 1/2, to every agent.
    pub payoffs: [f32; 2],
    /// The state that follows.
    pub next: usize,
    /// Whether the episode ends there.
    pub ends: bool,
}

impl Outcome {
    pub fn mean(&self) -> f64 {
        f64::from(self.payoffs[0]).midpoint(f64::from(self.payoffs[1]))
    }
}

/// A game of `A` agents with `J` joint actions, numbered row-major: the last agent's action runs fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Game {
    /// `[A]`: actions of each agent.
    pub counts: Vec<usize>,
    /// `[states, F]`: what every agent sees of a state.
    pub features: Vec<Vec<f32>>,
    /// `[states · J]`.
    pub outcomes: Vec<Outcome>,
    /// The state that episodes begin in.
    pub start: usize,
    pub max_steps: usize,
}

impl Game {
    /// One table for every step: an episode of one step ends with it, a longer one is cut after `max_steps`.
    pub fn one_step(payoffs: &Payoffs, max_steps: usize) -> Self {
        let outcomes = payoffs.entries.iter().map(|&payoffs| Outcome {
            payoffs,
            next: 0,
            ends: max_steps == 1,
        });
        // The repeated games of EPyMARL show two zeros, the one-step game of QPLEX one.
        let zeros = if max_steps == 1 { 1 } else { 2 };
        Self {
            counts: payoffs.counts.clone(),
            features: vec![vec![0.0; zeros]],
            outcomes: outcomes.collect(),
            start: 0,
            max_steps,
        }
    }

    /// The first agent's first action chooses which of two tables the second step is paid from.
    pub fn two_step() -> Self {
        let mut outcomes = Vec::new();
        for a1 in 0..2 {
            let to = Outcome {
                payoffs: [0.0; 2],
                next: 1 + a1,
                ends: false,
            };
            outcomes.extend([to, to]);
        }
        for table in [[7.0; 4], [0.0, 1.0, 1.0, 8.0]] {
            outcomes.extend(table.map(|x| Outcome {
                payoffs: [x; 2],
                next: 3,
                ends: true,
            }));
        }
        outcomes.extend([end_at(3); 4]);
        Self {
            counts: vec![2, 2],
            features: one_hots(4),
            outcomes,
            start: 0,
            max_steps: 2,
        }
    }

    /// MAVEN's game of `k` steps: the first joint action chooses a branch, which must be followed. State `4 t + b` is step
    /// `t` in branch `b`.
    pub fn k_step(k: usize, good_branches: usize) -> Self {
        let mut features = Vec::new();
        let mut outcomes = Vec::new();
        for (t, b) in (0..=k).flat_map(|t| (0..4).map(move |b| (t, b))) {
            let mut seen = vec![0.0; if k == 1 { 2 } else { k + 5 }];
            seen[t] = 1.0;
            if k > 1 {
                seen[k + 1 + b] = 1.0;
            }
            features.push(seen);
            for c in 0..4 {
                if t == k {
                    outcomes.push(end_at(4 * k + b));
                    continue;
                }
                let branch = if t == 0 { c } else { b };
                let good = good_branches == 4 || branch == 0 || branch == 3;
                let mut reward = if c == branch && good { 1.0 } else { 0.0 };
                if k > 1 && t == k - 1 && branch == 0 {
                    reward = if c == 3 { 4.0 } else { 1.0 };
                }
                outcomes.push(Outcome {
                    payoffs: [reward; 2],
                    next: 4 * (t + 1) + branch,
                    ends: t + 1 == k || reward == 0.0,
                });
            }
        }
        Self {
            counts: vec![2, 2],
            features,
            outcomes,
            start: 0,
            max_steps: k,
        }
    }

    /// QPLEX's two states: in state 1 both may earn `reward` for ever, or leave for state 0, where nothing is paid.
    pub fn mmdp(reward: f32, max_steps: usize) -> Self {
        let to = |payoff: f32, next: usize| Outcome {
            payoffs: [payoff; 2],
            next,
            ends: false,
        };
        let mut outcomes = vec![to(0.0, 0); 4];
        outcomes.extend([to(reward, 1), to(0.0, 1), to(0.0, 1), to(0.0, 0)]);
        Self {
            counts: vec![2, 2],
            features: one_hots(2),
            outcomes,
            start: 1,
            max_steps,
        }
    }

    /// `J`.
    pub fn joint(&self) -> usize {
        self.counts.iter().product()
    }

    /// `[A]`: what one more of an agent's action adds to the joint action.
    pub fn strides(&self) -> Vec<usize> {
        (0..self.counts.len())
            .map(|i| self.counts[i + 1..].iter().product())
            .collect()
    }

    /// The agents' actions in joint action `u`.
    pub fn actions(&self, u: usize) -> Vec<usize> {
        let strides = self.strides();
        (0..self.counts.len())
            .map(|i| u / strides[i] % self.counts[i])
            .collect()
    }

    pub fn stochastic(&self) -> bool {
        self.outcomes.iter().any(|o| o.payoffs[0] != o.payoffs[1])
    }

    /// The greatest expected return of an episode, undiscounted.
    pub fn optimum(&self) -> f64 {
        self.values(self.max_steps)[self.start]
    }

    /// `[states · J]`: whether a joint action is a best one, judged by the whole length of an episode.
    pub fn optimal(&self) -> Vec<bool> {
        let (now, then) = (
            self.values(self.max_steps),
            self.values(self.max_steps.saturating_sub(1)),
        );
        let best = |(at, o): (usize, &Outcome)| {
            let q = o.mean() + if o.ends { 0.0 } else { then[o.next] };
            let v = now[at / self.joint()];
            q >= v - 1e-9 * (1.0 + v.abs())
        };
        self.outcomes.iter().enumerate().map(best).collect()
    }

    /// `[states]`: the greatest expected return of `steps` steps.
    fn values(&self, steps: usize) -> Vec<f64> {
        // The best way from each state to each that may follow; a table of thousands of joint actions leads to few.
        let ways: Vec<BTreeMap<(usize, bool), f64>> = self
            .outcomes
            .chunks(self.joint())
            .map(|row| {
                let mut best = BTreeMap::new();
                for o in row {
                    let most: &mut f64 = best.entry((o.next, o.ends)).or_insert(f64::NEG_INFINITY);
                    *most = most.max(o.mean());
                }
                best
            })
            .collect();
        let mut values = vec![0.0; ways.len()];
        for _ in 0..steps {
            let after = |(&(next, ends), reward): (&(usize, bool), &f64)| {
                reward + if ends { 0.0 } else { values[next] }
            };
            values = ways
                .iter()
                .map(|w| w.iter().map(after).fold(f64::NEG_INFINITY, f64::max))
                .collect();
        }
        values
    }
}

/// What fills the rows of a state that is an end.
fn end_at(state: usize) -> Outcome {
    Outcome {
        payoffs: [0.0; 2],
        next: state,
        ends: true,
    }
}

fn one_hots(n: usize) -> Vec<Vec<f32>> {
    (0..n)
        .map(|s| (0..n).map(|k| if k == s { 1.0 } else { 0.0 }).collect())
        .collect()
}

/// A published one-step game.
pub struct Published {
    pub name: &'static str,
    /// The table as in a payoff file; `PENALTY` and `FIRST` are options.
    pub table: &'static str,
    pub reference: &'static str,
}

const PACKAGE: &str = "semitable/matrix-games c3a8930";
const CLAUS: &str = "Claus and Boutilier 1998";
const KAPETANAKIS: &str = "Kapetanakis and Kudenko 2002";

/// Every published one-step game. Rows are the first agent's actions, columns the second's; blocks, where there are three
/// agents, the first one's.
pub const PUBLISHED: &[Published] = &[
    Published {
        name: "3x3",
        table: "8 -12 -12\n-12 0 0\n-12 0 0",
        reference: "ME-IGM; QPLEX 6c0a7ba, matrix_game_2",
    },
    Published {
        name: "3x3_harder",
        table: "8 -12 -12\n-12 6 0\n-12 0 6",
        reference: "QPLEX 6c0a7ba, matrix_game_3",
    },
    Published {
        name: "3x3_plateau",
        table: "FIRST 0 10\n0 10 10\n10 10 10",
        reference: "QPLEX 6c0a7ba, matrix_game_1",
    },
    Published {
        name: "climbing",
        table: "11 -30 0\n-30 7 6\n0 0 5",
        reference: CLAUS,
    },
    Published {
        name: "climbing_package",
        table: "11 -30 0\n-30 7 0\n0 6 5",
        reference: PACKAGE,
    },
    Published {
        name: "climbing_partly_stochastic",
        table: "11 -30 0\n-30 14/0 6\n0 0 5",
        reference: KAPETANAKIS,
    },
    Published {
        name: "climbing_stochastic",
        table: "10/12 5/-65 8/-8\n5/-65 14/0 12/0\n5/-5 5/-5 7/3",
        reference: KAPETANAKIS,
    },
    Published {
        name: "climbing_3_agents",
        table: "11 -30 0\n-30 0 0\n0 0 0\n\n-30 0 0\n0 7 0\n0 0 0\n\n0 0 0\n0 0 0\n0 6 5",
        reference: PACKAGE,
    },
    Published {
        name: "penalty",
        table: "10 0 PENALTY\n0 2 0\nPENALTY 0 10",
        reference: CLAUS,
    },
    Published {
        name: "penalty_package",
        table: "PENALTY 0 10\n0 2 0\n10 0 PENALTY",
        reference: PACKAGE,
    },
    Published {
        name: "trivial",
        table: "11 8 0\n8 7 0\n0 0 0",
        reference: PACKAGE,
    },
    Published {
        name: "linear",
        table: "1 4 2\n0 3 1\n2 5 3",
        reference: PACKAGE,
    },
    Published {
        name: "nonlinear",
        table: "0 3 1\n0 0 0\n0 6 2",
        reference: PACKAGE,
    },
    Published {
        name: "2x2_linear",
        table: "1 5\n5 9",
        reference: PACKAGE,
    },
    Published {
        name: "2x2_nonlinear",
        table: "0 0\n0 10",
        reference: PACKAGE,
    },
];
