// The recurrent policy over stored rollouts from the one at slot `tick.slot` on, one per workgroup in z: its T steps, one after the other
// within the workgroup. After tick, activation, gru_net and a file that defines `say`, which has bindings 3 to 5. Constant: T.

@group(0) @binding(6) var<storage, read> reset_in: array<f32>;  // [slots, P * RPM]
@group(0) @binding(7) var<storage, read> start: array<f32>;     // [rollouts, P * RPM, HIDDEN]

@compute @workgroup_size(WG)
fn stored_policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let row_0 = group.x * ROWS;
    let rollout = tick.slot / (T + 1u) + group.z;
    for (var i = lane; i < ROWS * HIDDEN; i += WG) {
        let row = member * RPM + min(row_0 + i / HIDDEN, RPM - 1u);
        remembered[i] = start[(rollout * MEMBERS * RPM + row) * HIDDEN + i % HIDDEN];
    }
    for (var t = 0u; t < T; t++) {
        let first = ((rollout * (T + 1u) + t) * MEMBERS + member) * RPM;
        workgroupBarrier();
        for (var i = lane; i < ROWS * HIDDEN; i += WG) {
            remembered[i] *= 1.0 - reset_in[first + min(row_0 + i / HIDDEN, RPM - 1u)];
        }
        advance(member, first, row_0, lane);
        head(member, lane);
        for (var r = lane; r < ROWS; r += WG) {
            if (row_0 + r < RPM) { say(member, r, first + row_0 + r); }
        }
    }
}
