// The recurrent policy's step: observations of slot `tick.slot` and what is remembered in, actions and log-probabilities of
// `tick.step` and what is remembered then out. After tick, activation, gru_net, rng, a file that samples, which has bindings 3 to 5,
// and resets; N = OUT.

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
        let out = (tick.step * MEMBERS + member) * RPM + row;
        log_probs[out] = act(member, r, row, first + row, out);
    }
}
