// The allowed action of the largest utility, the first of several, or with probability `tick.epsilon` any allowed one
// (`value_decomposition.md` §3). Bindings and interface as sample_categorical.wgsl; there is no probability to speak of.

@group(0) @binding(3) var<storage, read> avail: array<f32>;          // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;  // [T, P * RPM]

fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    var best = 0u;
    var top = -3.4e38;
    var allowed = 0u;
    for (var n = 0u; n < N; n++) {
        if (avail[seen * N + n] == 0.0) { continue; }
        allowed += 1u;
        // The first allowed one at least, whatever its utility is.
        if (allowed == 1u || output(r, n) > top) { top = output(r, n); best = n; }
    }
    let random = threefry2x32(keys[member], vec2(tick.draw, row));
    if (tick.greedy == 0u && uniform01(random.x) < tick.epsilon) {
        // Number `left` of the allowed ones; of at most 2^24 every one comes as often.
        var left = min(u32(uniform01(random.y) * f32(allowed)), allowed - 1u);
        for (var n = 0u; n < N; n++) {
            if (avail[seen * N + n] == 0.0) { continue; }
            if (left == 0u) { best = n; break; }
            left -= 1u;
        }
    }
    actions[out] = best;
    return 0.0;
}
