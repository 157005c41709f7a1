// An action drawn from softmax(transform(Q)/α) over the allowed ones; the largest utility if greedy, whose order the transform keeps
// (`me_igm.md` §2.2). Bindings and interface as sample_categorical.wgsl. Constants: AGENTS, SOFT (a binding). After a file that defines
// `prepare` and `transform`.

@group(0) @binding(3) var<storage, read> avail: array<f32>;          // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;  // [T, P * RPM]
@group(0) @binding(SOFT) var<storage, read> transform_words: array<f32>;   // [P * E, TRANSFORM_WORDS]
@group(0) @binding(SOFT + 1u) var<storage, read> temperature: array<f32>;  // [P, TEMPERATURE_STRIDE]

fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    let first = (member * RPM + row) / AGENTS * TRANSFORM_WORDS;
    let alpha = temperature[member * TEMPERATURE_STRIDE];
    var q: array<f32, N>;
    for (var n = 0u; n < N; n++) { q[n] = output(r, n); }
    var logits = transform(first, row % AGENTS, q);
    var best = 0u;
    var top = -3.4e38;
    var most = -3.4e38;
    var first_allowed = true;
    for (var n = 0u; n < N; n++) {
        if (avail[seen * N + n] == 0.0) { continue; }
        if (first_allowed || q[n] > top) { top = q[n]; best = n; }
        first_allowed = false;
        most = max(most, logits[n]);
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) {
        if (avail[seen * N + n] == 0.0) { continue; }
        logits[n] = exp((logits[n] - most) / alpha);
        total += logits[n];
    }
    var action = best;
    if (tick.greedy == 0u) {
        let threshold = uniform01(threefry2x32(keys[member], vec2(tick.draw, row)).x) * total;
        var sum = 0.0;
        for (var n = 0u; n < N; n++) {
            if (avail[seen * N + n] == 0.0) { continue; }
            let before = sum;
            sum += logits[n];
            if (before <= threshold && threshold < sum) { action = n; }
        }
    }
    actions[out] = action;
    return log(logits[action] / total);
}
