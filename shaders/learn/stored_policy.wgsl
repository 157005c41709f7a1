// The feed-forward policy over stored steps: one per workgroup in z. Those of the rollout at `tick.slot`, or with OTHERS_ONLY those of the
// other rollouts than the newest, at `tick.step`, and at last the newest's first, which an older policy may have chosen. After tick,
// activation, mlp and a file that defines `say`, which has bindings 3 to 5. Constant: T.

fn stored_slot(z: u32, groups: u32) -> u32 {
    if (!OTHERS_ONLY) { return tick.slot + z; }
    if (z + 1u == groups) { return tick.step; }
    let rollout = z / T;
    return (rollout + select(0u, 1u, rollout >= tick.step / (T + 1u))) * (T + 1u) + z % T;
}

@compute @workgroup_size(WG)
fn stored_policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) groups: vec3<u32>) {
    let member = member_of(group.y);
    let first = (stored_slot(group.z, groups.z) * MEMBERS + member) * RPM;
    mlp(member, first, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        say(member, r, first + row);
    }
}
