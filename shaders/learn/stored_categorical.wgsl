// What a categorical policy says of a step that is stored. After a file that defines `output`; N is the number of actions. PROBABILITIES:
// of every action; else the log-probability of the one that was taken.

@group(0) @binding(3) var<storage, read> avail: array<f32>;       // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> taken: array<u32>;       // [slots, P * RPM]
@group(0) @binding(5) var<storage, read_write> said: array<f32>;  // [slots, P * RPM], or [slots, P * RPM, N]

// Row `r` of the tile is row `at` of them.
fn say(member: u32, r: u32, at: u32) {
    var logits: array<f32, N>;
    var top = -3.4e38;
    for (var n = 0u; n < N; n++) {
        logits[n] = output(r, n) - select(1e10, 0.0, avail[at * N + n] > 0.0);
        top = max(top, logits[n]);
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(logits[n] - top); }
    if (PROBABILITIES) {
        for (var n = 0u; n < N; n++) { said[at * N + n] = exp(logits[n] - top) / total; }
    } else {
        said[at] = logits[taken[at]] - top - log(total);
    }
}
