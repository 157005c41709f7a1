// The recurrent policy's step: observations of slot `tick.slot` and what is remembered in, actions and log-probabilities of
// `tick.step` and what is remembered then out. After tick, activation, gru_net, rng, sample and resets; N = OUT.

@group(0) @binding(3) var<storage, read> avail: array<f32>;            // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;       // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;    // [T, P * RPM]
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;  // [T, P * RPM]
@group(0) @binding(7) var<storage, read_write> memory: array<f32>;     // [P * RPM, HIDDEN]

@compute @workgroup_size(WG)
fn policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let row_0 = group.x * ROWS;
    let first = (tick.slot * MEMBERS + member) * RPM;
    for (var i = lane; i < ROWS * HIDDEN; i += WG) {
        let row = member * RPM + min(row_0 + i / HIDDEN, RPM - 1u);
        remembered[i] = memory[row * HIDDEN + i % HIDDEN] * (1.0 - reset_before(row));
    }
    advance(member, first, row_0, lane);
    for (var i = lane; i < ROWS * HIDDEN; i += WG) {
        let row = row_0 + i / HIDDEN;
        if (row < RPM) { memory[(member * RPM + row) * HIDDEN + i % HIDDEN] = remembered[i]; }
    }
    head(member, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = row_0 + r;
        if (row >= RPM) { return; }
        let u = uniform01(threefry2x32(keys[member], vec2(tick.draw, row)).x);
        let choice = choose(r, first + row, u, tick.greedy == 1u);
        let out = (tick.step * MEMBERS + member) * RPM + row;
        actions[out] = choice.action;
        log_probs[out] = choice.log_prob;
    }
}
