// An action from the masked logits of one row, and its log-probability.
// After a file that defines `output`, and tick and rng; N is the number of actions.

@group(0) @binding(3) var<storage, read> avail: array<f32>;          // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;  // [T, P * RPM]

// Row `r` of the tile is `row` of the member's, `seen` of `avail` and `out` of `actions`. Draws the inverse of the cumulative
// distribution; the most probable action if greedy, the first of several.
fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    var logits: array<f32, N>;
    for (var n = 0u; n < N; n++) { logits[n] = output(r, n) - select(1e10, 0.0, avail[seen * N + n] > 0.0); }
    var best = 0u;
    var top = logits[0];
    for (var n = 1u; n < N; n++) {
        if (logits[n] > top) { top = logits[n]; best = n; }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(logits[n] - top); }
    var action = best;
    if (tick.greedy == 0u) {
        // An unavailable action adds exactly 0 to the sum, so the sum never passes the threshold there.
        let threshold = uniform01(threefry2x32(keys[member], vec2(tick.draw, row)).x) * total;
        var sum = 0.0;
        for (var n = 0u; n < N; n++) {
            let before = sum;
            sum += exp(logits[n] - top);
            if (before <= threshold && threshold < sum) { action = n; }
        }
    }
    actions[out] = action;
    return logits[action] - top - log(total);
}
