// A number tanh(u), u normal with a mean and a deviation from the network (`me_igm.md` §11). After rng.

/// Logarithms of deviations are kept within these.
const LEAST_LOG_STD = -20.0;
const MOST_LOG_STD = 2.0;

/// A normal number of two words (Box and Muller 1958): the radius of a number in (0, 1], the angle in [−π, π), where drivers must be most exact. A
/// driver's logarithm of almost 1 may be above 0.
fn normal_of(bits: vec2<u32>) -> f32 {
    return sqrt(max(-2.0 * log(1.0 - uniform01(bits.x)), 0.0)) * cos(6.2831853 * (uniform01(bits.y) - 0.5));
}

/// tanh without overflow of the exponentials that some drivers compute it from.
fn squash(u: f32) -> f32 { return tanh(clamp(u, -15.0, 15.0)); }

/// ln of the density of tanh(u) at noise `z` = (u - mean) / deviation: less 2 (ln 2 - u - softplus(-2 u)) = ln(1 - tanh² u), the softplus in the
/// form that does not overflow.
fn squashed_log_density(u: f32, z: f32, log_std: f32) -> f32 {
    let softplus = max(-2.0 * u, 0.0) + log(1.0 + exp(-abs(2.0 * u)));
    return -0.5 * z * z - log_std - 0.91893853 - 2.0 * (0.69314718 - u - softplus);
}
