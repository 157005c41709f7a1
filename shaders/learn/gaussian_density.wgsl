// A normal number x of mean μ and deviation σ = exp(log_std), for sampling and training alike: what is stored with an action is
// what the first minibatch finds, to the rounding of the mean.

/// (x − μ) / σ.
fn standardised(x: f32, mean: f32, log_std: f32) -> f32 { return (x - mean) * exp(-log_std); }

/// Logarithm of the density at the standardised number `z`; ½ ln 2π = 0.918…
fn log_density(z: f32, log_std: f32) -> f32 { return -0.5 * z * z - log_std - 0.91893853; }

/// Entropy: ½ + ½ ln 2π + ln σ.
fn normal_entropy(log_std: f32) -> f32 { return 1.4189385 + log_std; }
