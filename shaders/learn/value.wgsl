// The feed-forward critic over consecutive slots, from `tick.slot` on: a slot per workgroup in z. After tick, activation, mlp.
// FINAL: the input has one slot, what episodes ended with; the values go to step `tick.step`.
// A critic of the own actions has a value of each.

@group(0) @binding(3) var<storage, read_write> values: array<f32>; // [slots, P * RPM, OUT]

@compute @workgroup_size(WG)
fn value(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = member_of(group.y);
    let slot = select(tick.slot + group.z, 0u, FINAL);
    let out = select(slot, tick.step, FINAL);
    mlp(member, (slot * MEMBERS + member) * RPM, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        let at = ((out * MEMBERS + member) * RPM + row) * OUT;
        for (var o = 0u; o < OUT; o++) { values[at + o] = output(r, o); }
    }
}
