//! `merit-sim`: multi-agent environments stepped by WGSL compute shaders, many at once, on any GPU that wgpu reaches.
//!
//! The crate is useful without a learner: open a [`gpu::Gpu`], build an environment (it implements
//! [`env::VecEnv`]), record as many steps as wanted into one submission, read what you need.
//!
//! Sizes are named as everywhere in this project: `T` steps of a rollout, `P` members of a population, `E` environments
//! of a member, `G = P · E` environments in all, `A` agents, `D` observation features, `S` state features, `N` actions.

pub mod bench;
pub mod course;
pub mod env;
pub mod frame;
pub mod golden;
pub mod gpu;
pub mod grid;
pub mod junction;
pub mod kernels;
pub mod keydoor;
pub mod mabrax;
pub mod matrix;
pub mod mpe;
pub mod overcooked;
pub mod parity;
pub mod registry;
pub mod replay;
pub mod rng;
pub mod sequential;
pub mod smax;
