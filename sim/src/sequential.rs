//! The sequential matrix game of DAE: the rules are in `shaders/sequential/`.
//!
//! Reference: Li et al. 2022, *Difference Advantage Estimation for Multi-Agent Policy Gradients*, the diagnostic game of its code;
//! `docs/environments/sequential.md`.

use serde::{Deserialize, Serialize};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Frame, PALETTE, Shape};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{
    Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source, thread_state,
};
use crate::registry::{self, Batch, EnvError, EnvOptions};

/// How large the game is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SequentialOptions {
    /// Agents, and steps that an observation tells apart; an episode has one transition less.
    pub agents: usize,
    /// Actions of each.
    pub actions: usize,
}

impl Default for SequentialOptions {
    fn default() -> Self {
        Self {
            agents: 16,
            actions: 16,
        }
    }
}

pub fn names() -> Vec<String> {
    vec!["sequential".to_owned()]
}

/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<SequentialOptions, EnvError> {
    if name != "sequential" {
        return Err(registry::unknown(name));
    }
    let wrong = |reason: String| EnvError::Options {
        env: name.to_owned(),
        reason,
    };
    let options: SequentialOptions = registry::read_options(name, options)?;
    for (key, found) in [("agents", options.agents), ("actions", options.actions)] {
        if !(2..=64).contains(&found) {
            return Err(wrong(format!("`{key}` is {found}: it takes 2 to 64")));
        }
    }
    Ok(options)
}

impl SequentialOptions {
    pub fn spec(&self) -> EnvSpec {
        EnvSpec {
            name: "sequential".into(),
            agents: self.agents,
            obs: self.agents,
            state: self.agents * self.agents,
            actions: ActionSpace::Discrete(self.actions),
            max_steps: self.agents - 1,
            shortest_limit: self.agents - 1,
            action_names: (0..self.actions).map(|a| a.to_string()).collect(),
            reference: "DAE (Li et al. 2022), sequential matrix game",
        }
    }

    /// (N − 1) / 2: what the right action of a transition pays.
    pub fn middle(&self) -> f64 {
        (self.actions - 1) as f64 / 2.0
    }

    /// The greatest return.
    pub fn optimum(&self) -> f64 {
        (self.agents - 1) as f64 * self.middle()
    }
}

/// State of `G` environments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SequentialState {
    /// `[G]`: what the last transition paid, also if a new episode has begun since.
    pub last: Vec<f32>,
    /// `[G]`: the episode has ended (only with [`Batch::keep_ended`]).
    pub ended: Vec<bool>,
    /// `[G]`: transitions of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the team's return so far.
    pub running_return: Vec<f32>,
}

/// A batch of games on the device.
pub struct Sequential {
    spec: EnvSpec,
    kernels: Kernels,
}

impl Sequential {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, options: &SequentialOptions, batch: &Batch) -> Result<Self, EnvError> {
        let spec = options.spec();
        Kernels::guarded(gpu, &spec.name.clone(), batch, || {
            let grid = Grid::thread(gpu, batch);
            let source = include_str!("../../shaders/sequential/sequential.wgsl");
            let constants = constants(&spec, batch, grid).float("MIDDLE", options.middle());
            let program = Program {
                spec: &spec,
                source: thread_source(&constants, &[source]),
                grid,
                state: thread_state(batch.envs(), 2),
                extra: &[],
            };
            let kernels = Kernels::new(gpu, batch, program)?;
            Ok(Self { spec, kernels })
        })
    }

    /// Reads the state. Waits for the device.
    ///
    /// # Errors
    /// [`GpuError::Lost`].
    pub fn get_state(&self, gpu: &Gpu) -> Result<SequentialState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let column = |i: usize| &words[i * self.envs()..(i + 1) * self.envs()];
        let floats = |i: usize| column(i).iter().map(|w| f32::from_bits(*w)).collect();
        Ok(SequentialState {
            last: floats(THREAD_WORDS),
            ended: column(THREAD_WORDS + 1).iter().map(|w| *w != 0).collect(),
            step: column(0).to_vec(),
            episode: column(1).to_vec(),
            running_return: floats(2),
        })
    }

    /// Puts a state in. Observations follow with [`VecEnv::record_observe`] or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch size.
    pub fn set_state(&self, gpu: &Gpu, s: &SequentialState) -> Result<(), GpuError> {
        let envs = self.envs();
        for found in [
            s.last.len(),
            s.ended.len(),
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
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let ended: Vec<u32> = s.ended.iter().map(|&e| u32::from(e)).collect();
        let words = [
            s.step.clone(),
            s.episode.clone(),
            bits(&s.running_return),
            bits(&s.last),
            ended,
        ]
        .concat();
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }
}

impl VecEnv for Sequential {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        let own = [("last payment", 1), ("the end", 1)];
        [&THREAD_FIELDS[..], &own].concat()
    }

    /// A row of agents, the one that matters next in colour.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let s = self.get_state(gpu)?;
        let (agents, k) = (self.spec.agents, s.step[env] + 1);
        let next = (!s.ended[env]).then_some(k as usize % agents);
        let mut shapes = Vec::new();
        for i in 0..agents {
            let centre = [i as f32 + 0.5, 0.5];
            let fill = if Some(i) == next {
                PALETTE[5]
            } else {
                [200; 3]
            };
            shapes.push(Shape::Circle {
                centre,
                radius: 0.4,
                fill,
            });
            shapes.push(Shape::Text {
                at: centre,
                size: 0.35,
                text: i.to_string(),
                colour: [0; 3],
            });
        }
        let row: String = (0..agents)
            .map(|i| if Some(i) == next { '*' } else { '.' })
            .collect();
        let next = match next {
            None => "over".to_owned(),
            Some(i) => {
                let right = if k % 2 == 0 {
                    self.spec.action_names.len() - 1
                } else {
                    0
                };
                format!("transition {k} is agent {i}'s, right is {right}")
            }
        };
        Ok(Frame {
            size: [agents as f32, 1.0],
            background: [255; 3],
            shapes,
            text: format!(
                "{row}\n{next}; paid last {}, so far {}\n",
                s.last[env], s.running_return[env]
            ),
        })
    }
}
