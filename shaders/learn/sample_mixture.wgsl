// As sample_categorical.wgsl, from COMA's mixture (1 − ε) softmax + ε / number of available actions (`ppo_family.md` §6.2); `tick.epsilon` is ε.
// After a file that defines `output`, and tick and rng; N is the number of actions.

@group(0) @binding(3) var<storage, read> avail: array<f32>;          // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;  // [T, P * RPM]

// Row `r` of the tile is `row` of the member's, `seen` of `avail` and `out` of `actions`.
fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    var p: array<f32, N>;
    var top = -3.4e38;
    var there = 0.0;
    for (var n = 0u; n < N; n++) {
        p[n] = output(r, n) - select(1e10, 0.0, avail[seen * N + n] > 0.0);
        top = max(top, p[n]);
        there += avail[seen * N + n];
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(p[n] - top); }
    var sum = 0.0;
    // Where the sums round in another order, the threshold may lie beyond the last of them.
    var action = 0u;
    for (var n = 0u; n < N; n++) {
        p[n] = avail[seen * N + n] * ((1.0 - tick.epsilon) * exp(p[n] - top) / total + tick.epsilon / there);
        sum += p[n];
        if (p[n] > p[action]) { action = n; }
    }
    // An unavailable action adds exactly 0 to the sum, so the sum never passes the threshold there.
    let threshold = uniform01(threefry2x32(keys[member], vec2(tick.draw, row)).x) * sum;
    sum = 0.0;
    for (var n = 0u; n < N; n++) {
        let before = sum;
        sum += p[n];
        if (before <= threshold && threshold < sum) { action = n; }
    }
    actions[out] = action;
    return log(p[action]);
}
