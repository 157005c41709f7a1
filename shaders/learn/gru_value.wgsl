// The recurrent critic over consecutive rollouts from the one at slot `tick.slot` on, one per workgroup in z: its T + 1 slots, one after
// the other within the workgroup.
// After tick, activation and gru_net. Constant: T.

@group(0) @binding(3) var<storage, read> reset_in: array<f32>;      // [slots, P * RPM]
@group(0) @binding(4) var<storage, read> start: array<f32>;         // [rollouts, P * RPM, HIDDEN]
@group(0) @binding(5) var<storage, read_write> memory: array<f32>;  // [P * RPM, HIDDEN]: what the next rollout starts with
@group(0) @binding(6) var<storage, read_write> values: array<f32>;  // [slots, P * RPM, OUT]

@compute @workgroup_size(WG)
fn value(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let row_0 = group.x * ROWS;
    for (var i = lane; i < ROWS * HIDDEN; i += WG) {
        let row = member * RPM + min(row_0 + i / HIDDEN, RPM - 1u);
        remembered[i] = start[((tick.slot / (T + 1u) + group.z) * MEMBERS * RPM + row) * HIDDEN + i % HIDDEN];
    }
    let slot_0 = tick.slot + group.z * (T + 1u);
    for (var t = 0u; t <= T; t++) {
        let first = ((slot_0 + t) * MEMBERS + member) * RPM;
        workgroupBarrier();
        for (var i = lane; i < ROWS * HIDDEN; i += WG) {
            let row = first + min(row_0 + i / HIDDEN, RPM - 1u);
            // The last slot is valued, but it is the next rollout's first.
            if (t == T && slot_0 == tick.step && row_0 + i / HIDDEN < RPM) {
                memory[(member * RPM + row_0 + i / HIDDEN) * HIDDEN + i % HIDDEN] = remembered[i];
            }
            remembered[i] *= 1.0 - reset_in[row];
        }
        advance(member, first, row_0, lane);
        head(member, lane);
        for (var r = lane; r < ROWS; r += WG) {
            if (row_0 + r >= RPM) { break; }
            for (var o = 0u; o < OUT; o++) { values[(first + row_0 + r) * OUT + o] = output(r, o); }
        }
    }
}
