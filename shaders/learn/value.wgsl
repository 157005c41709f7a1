// The feed-forward critic over consecutive slots, from `tick.step` on: a slot per workgroup in z. After tick, activation, mlp.
// FINAL: the input has one slot, what episodes ended with; the values go to step `tick.step`.

@group(0) @binding(3) var<storage, read_write> values: array<f32>; // [slots, P * RPM]

@compute @workgroup_size(WG)
fn value(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = member_of(group.y);
    let out = tick.step + group.z;
    let slot = select(out, 0u, FINAL);
    mlp(member, (slot * MEMBERS + member) * RPM, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        values[(out * MEMBERS + member) * RPM + row] = output(r, 0u);
    }
}
