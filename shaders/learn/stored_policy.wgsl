// The feed-forward policy over stored slots, from `tick.slot` on: a slot per workgroup in z. After tick, activation, mlp and a file that
// defines `say`, which has bindings 3 to 5.

@compute @workgroup_size(WG)
fn stored_policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = member_of(group.y);
    let first = ((tick.slot + group.z) * MEMBERS + member) * RPM;
    mlp(member, first, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        say(member, r, first + row);
    }
}
