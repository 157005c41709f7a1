// PPO's ratio on rollouts of older policies (`ppo_family.md` §8.6), κ = π_k/μ being what the policy when the update began makes of what μ
// collected. GePPO: π/μ, clipped about κ. WEIGHTED: π/π_k, clipped about 1, times min(1, κ). Constants: WEIGHTED, CENTER (place in the
// batch), SAID (a binding).

@group(0) @binding(SAID) var<storage, read> said: array<f32>; // [slots, P * RPM]: ln π_k

struct Ratio { log_prob: f32, weight: f32, center: f32 }

fn ratio_of(source: u32) -> Ratio {
    let kappa = exp(clamp(said[source] - log_probs[source], -20.0, 20.0));
    if (WEIGHTED) { return Ratio(said[source], min(1.0, kappa), 1.0); }
    return Ratio(log_probs[source], 1.0, kappa);
}

fn tell_center(row: u32, center: f32) { batch[CENTER + row] = center; }
