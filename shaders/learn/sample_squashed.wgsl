// An action of N numbers in (-1, 1), tanh of normal ones whose means and logarithms of deviations are the row's 2 N outputs, and its
// log-probability; with the tick's probability ε numbers uniform in [-1, 1). The most probable action is tanh of the means.
// After a file that defines `output`, and tick, rng and squashed. There is no mask: nothing is at binding 3 that is looked at.

@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<f32>;  // [T, P * RPM, N]

// As in sample_categorical.wgsl.
fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    let explores = uniform01(threefry2x32(keys[member], vec2(tick.draw, row * (2u * N + 1u))).x) < tick.epsilon;
    var log_prob = 0.0;
    for (var k = 0u; k < N; k++) {
        let at = row * (2u * N + 1u) + 1u + 2u * k;
        let log_std = clamp(output(r, N + k), LEAST_LOG_STD, MOST_LOG_STD);
        var z = normal_of(threefry2x32(keys[member], vec2(tick.draw, at)));
        if (tick.greedy == 1u) { z = 0.0; }
        let u = output(r, k) + exp(log_std) * z;
        log_prob += squashed_log_density(u, z, log_std);
        let any = 2.0 * uniform01(threefry2x32(keys[member], vec2(tick.draw, at + 1u)).x) - 1.0;
        actions[out * N + k] = select(squash(u), any, explores);
    }
    return log_prob;
}
