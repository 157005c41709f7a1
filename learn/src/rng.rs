//! What a learner draws at random, each from a stream of its own: `shaders/common/rng.wgsl` says how.

use merit_sim::rng::threefry2x32;

/// What a random number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Initialise,
    Act,
    Shuffle,
    Evaluate,
    /// Which episodes a batch is made of.
    Sample,
    /// Actions that a soft target resamples.
    Resample,
    /// What an agent might have done in place of what it did.
    Counterfactual,
}

/// The key of a member's draws. It depends on the member's seed alone, so that a member draws the same whoever trains
/// beside it.
pub fn key(seed: u64, purpose: Purpose) -> [u32; 2] {
    // Keeps these blocks apart from what the environments draw under the same seed.
    const LEARNER: u32 = 0x6c65_6172;
    threefry2x32(
        [(seed >> 32) as u32, seed as u32],
        [purpose as u32, LEARNER],
    )
}

/// Numbers uniform in [0, 1) on the host, for initial weights.
pub struct Unit(Normal);

impl Unit {
    /// `stream` tells the tensors of a member apart.
    pub fn new(seed: u64, stream: u32) -> Self {
        Self(Normal::new(seed, stream))
    }

    pub fn draw(&mut self) -> f64 {
        let [bits, _] = self.0.bits();
        f64::from(bits) / 4_294_967_296.0
    }
}

/// Standard normal numbers on the host, for initial weights.
pub struct Normal {
    key: [u32; 2],
    drawn: u32,
}

impl Normal {
    /// `stream` tells the tensors of a member apart.
    pub fn new(seed: u64, stream: u32) -> Self {
        Self {
            key: threefry2x32(key(seed, Purpose::Initialise), [stream, 0]),
            drawn: 0,
        }
    }

    fn bits(&mut self) -> [u32; 2] {
        self.drawn += 1;
        threefry2x32(self.key, [self.drawn - 1, 0])
    }

    /// By Box and Muller's method.
    pub fn draw(&mut self) -> f64 {
        let [a, b] = self.bits();
        // The logarithm needs a number above 0.
        let unit = |bits: u32| (f64::from(bits) + 0.5) / 4_294_967_296.0;
        (-2.0 * unit(a).ln()).sqrt() * (std::f64::consts::TAU * unit(b)).cos()
    }
}
