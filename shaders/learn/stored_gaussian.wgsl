// What a Gaussian policy says of a step that is stored. PROBABILITIES: the means; else the log-probability of the action. After a file that defines `output` and
// `parameter`, and gaussian_density; N numbers an action. Constant: LOG_STD.

@group(0) @binding(4) var<storage, read> taken: array<f32>;       // [slots, P * RPM, N]
@group(0) @binding(5) var<storage, read_write> said: array<f32>;  // [slots, P * RPM], or [slots, P * RPM, N]

// Row `r` of the tile is row `at` of them.
fn say(member: u32, r: u32, at: u32) {
    if (PROBABILITIES) {
        for (var k = 0u; k < N; k++) { said[at * N + k] = output(r, k); }
        return;
    }
    var log_prob = 0.0;
    for (var k = 0u; k < N; k++) {
        let log_std = parameter(member, LOG_STD + k);
        log_prob += log_density(standardised(taken[at * N + k], output(r, k), log_std), log_std);
    }
    said[at] = log_prob;
}
