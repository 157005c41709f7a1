//! The one-step traffic junction of LICA: the rules are in `shaders/junction/`.
//!
//! Reference: `1_step_traffic_junction` of mzho7212/LICA, commit `b9f69ce`; `docs/environments/junction.md` has its
//! training protocol.

use serde::{Deserialize, Serialize};

use crate::env::{ActionSpace, EnvSpec, VecEnv};
use crate::frame::{Frame, PALETTE, Shape};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::{
    Grid, Kernels, Program, THREAD_FIELDS, THREAD_WORDS, constants, thread_source, thread_state,
};
use crate::registry::{self, Batch, EnvError, EnvOptions};

/// The greatest return: exactly one of the two moves.
pub const OPTIMUM: f64 = 1.0;

/// The game has no options; any is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JunctionOptions {}

pub fn names() -> Vec<String> {
    vec!["junction".to_owned()]
}

/// # Errors
/// [`EnvError::Unknown`], [`EnvError::Options`].
pub fn configure(name: &str, options: &EnvOptions) -> Result<JunctionOptions, EnvError> {
    if name != "junction" {
        return Err(registry::unknown(name));
    }
    registry::read_options(name, options)
}

impl JunctionOptions {
    pub fn spec(&self) -> EnvSpec {
        EnvSpec {
            name: "junction".into(),
            agents: 2,
            obs: 1,
            state: 1,
            actions: ActionSpace::Discrete(2),
            max_steps: 1,
            shortest_limit: 1,
            action_names: vec!["wait".into(), "move".into()],
            reference: "LICA b9f69ce, 1_step_traffic_junction",
        }
    }
}

/// State of `G` environments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JunctionState {
    /// `[G, 2]`: who moved in the last step, also if a new episode has begun since.
    pub moved: Vec<[bool; 2]>,
    /// `[G]`: the episode has ended (only with [`Batch::keep_ended`]).
    pub ended: Vec<bool>,
    /// `[G]`: steps of this episode.
    pub step: Vec<u32>,
    /// `[G]`: episodes before this one.
    pub episode: Vec<u32>,
    /// `[G]`: the team's return so far.
    pub running_return: Vec<f32>,
}

/// A batch of junctions on the device.
pub struct Junction {
    spec: EnvSpec,
    kernels: Kernels,
}

impl Junction {
    /// # Errors
    /// [`EnvError::Empty`] for an empty batch, [`GpuError::TooLarge`] for one that the adapter cannot bind.
    pub fn new(gpu: &Gpu, batch: &Batch) -> Result<Self, EnvError> {
        let spec = JunctionOptions {}.spec();
        Kernels::guarded(gpu, &spec.name.clone(), batch, || {
            let grid = Grid::thread(gpu, batch);
            let source = include_str!("../../shaders/junction/junction.wgsl");
            let program = Program {
                spec: &spec,
                source: thread_source(&constants(&spec, batch, grid), &[source]),
                grid,
                state: thread_state(batch.envs(), 1),
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
    pub fn get_state(&self, gpu: &Gpu) -> Result<JunctionState, GpuError> {
        let words: Vec<u32> = gpu.read(&self.kernels.state)?;
        let column = |i: usize| &words[i * self.envs()..(i + 1) * self.envs()];
        let packed = column(THREAD_WORDS);
        Ok(JunctionState {
            moved: packed.iter().map(|w| [w & 1 != 0, w & 2 != 0]).collect(),
            ended: packed.iter().map(|w| w & 4 != 0).collect(),
            step: column(0).to_vec(),
            episode: column(1).to_vec(),
            running_return: column(2).iter().map(|w| f32::from_bits(*w)).collect(),
        })
    }

    /// Puts a state in. Observations follow with [`VecEnv::record_observe`] or the next step.
    ///
    /// # Errors
    /// [`GpuError::Size`] if it is of another batch size.
    pub fn set_state(&self, gpu: &Gpu, s: &JunctionState) -> Result<(), GpuError> {
        let envs = self.envs();
        for found in [
            s.moved.len(),
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
        let mut words = [&s.step[..], &s.episode].concat();
        words.extend(s.running_return.iter().map(|x| x.to_bits()));
        words.extend(
            s.moved
                .iter()
                .zip(&s.ended)
                .map(|(m, &ended)| u32::from(m[0]) | u32::from(m[1]) << 1 | u32::from(ended) << 2),
        );
        gpu.write(&self.kernels.state, &words);
        Ok(())
    }
}

impl VecEnv for Junction {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    fn state_fields(&self) -> Vec<(&'static str, usize)> {
        [&THREAD_FIELDS[..], &[("who moved, and the end", 1)]].concat()
    }

    /// Two roads that cross, a car on each: before the crossing if it waits, on it if it moves.
    fn frame(&self, gpu: &Gpu, env: usize) -> Result<Frame, GpuError> {
        let s = self.get_state(gpu)?;
        let acted = s.step[env] > 0;
        let moved = s.moved[env].map(|moved| moved && acted);
        let mut shapes = vec![
            Shape::Rect {
                from: [0.0, 2.0],
                size: [5.0, 1.0],
                fill: [200; 3],
            },
            Shape::Rect {
                from: [2.0, 0.0],
                size: [1.0, 5.0],
                fill: [200; 3],
            },
        ];
        // Both on the crossing are drawn beside each other.
        let both = if moved == [true; 2] { 0.2 } else { 0.0 };
        let centres = [
            if moved[0] {
                [2.5 - both, 2.5]
            } else {
                [1.5, 2.5]
            },
            if moved[1] {
                [2.5 + both, 2.5]
            } else {
                [2.5, 3.5]
            },
        ];
        let mut cells = [[' ', ' ', '.', ' ', ' ']; 5];
        cells[2] = ['.'; 5];
        for (i, centre) in centres.into_iter().enumerate() {
            shapes.push(Shape::Circle {
                centre,
                radius: 0.3,
                fill: PALETTE[5 + i],
            });
            shapes.push(Shape::Text {
                at: centre,
                size: 0.35,
                text: i.to_string(),
                colour: [255; 3],
            });
            cells[centre[1] as usize][centre[0] as usize] = if i == 0 { '0' } else { '1' };
        }
        if moved == [true; 2] {
            cells[2][2] = 'X';
        }
        let mut text: String = cells
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n")
            .collect();
        let word = |m: bool| if m { "moves" } else { "waits" };
        text += &if acted {
            format!(
                "0 {}, 1 {}: {}\n",
                word(moved[0]),
                word(moved[1]),
                if moved[0] == moved[1] { 0 } else { 1 }
            )
        } else {
            "nobody has moved yet\n".to_owned()
        };
        Ok(Frame {
            size: [5.0, 5.0],
            background: [255; 3],
            shapes,
            text,
        })
    }
}
