// What the policies would do in every slot of a batch, ln π of it, and what the target critics' utilities say (`me_igm.md` §10).
// An invocation a row of an agent. Constants: ROWS (of agents, of a member), N, TAKEN and SOFT (words at which utilities and soft values
// begin in the batch, of each critic: arrays). After tick, rng and soft_value.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;     // [P, ROWS, N]
@group(0) @binding(2) var<storage, read_write> allowed: array<f32>;    // [P, ROWS, N]
@group(0) @binding(3) var<storage, read_write> q_1: array<f32>;        // [P, ROWS, N]
@group(0) @binding(4) var<storage, read_write> q_2: array<f32>;        // [P, ROWS, N]
@group(0) @binding(5) var<storage, read_write> next: array<u32>;       // [P, ROWS]
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;  // [P, ROWS]
@group(0) @binding(7) var<storage, read> keys: array<vec2<u32>>;       // [P]
@group(0) @binding(8) var<storage, read> temperature: array<f32>;      // [1]: α
@group(0) @binding(9) var<storage, read_write> batch: array<f32>;      // with [P, ROWS] at each of TAKEN and SOFT

@compute @workgroup_size(64)
fn fop_next(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    var first: array<f32, N>;
    var second: array<f32, N>;
    var p: array<f32, N>;
    var top = -3.4e38;
    for (var n = 0u; n < N; n++) {
        first[n] = q_1[row * N + n];
        second[n] = q_2[row * N + n];
        if (allowed[row * N + n] > 0.0) { top = max(top, logits[row * N + n]); }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) {
        p[n] = 0.0;
        if (allowed[row * N + n] > 0.0) { p[n] = exp(logits[row * N + n] - top); }
        total += p[n];
    }
    // A forbidden action adds exactly 0 to the sum, so the sum never passes the threshold there.
    let threshold = uniform01(threefry2x32(keys[id.y], vec2(tick.draw, id.x)).x) * total;
    var action = 0u;
    var sum = 0.0;
    for (var n = 0u; n < N; n++) {
        let before = sum;
        sum += p[n];
        if (before <= threshold && threshold < sum) { action = n; }
    }
    next[row] = action;
    log_probs[row] = logits[row * N + action] - top - log(total);
    batch[TAKEN[0] + row] = q_1[row * N + action];
    batch[TAKEN[1] + row] = q_2[row * N + action];
    batch[SOFT[0] + row] = soft_value(first, temperature[0]);
    batch[SOFT[1] + row] = soft_value(second, temperature[0]);
}
