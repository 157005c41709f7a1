// The feed-forward policy's step: observations of slot `tick.slot` in, actions and log-probabilities of `tick.step` out.
// After tick, activation, mlp, rng and a file that samples, which has bindings 3 to 5; N = OUT.

@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;  // [T, P * RPM]

@compute @workgroup_size(WG)
fn policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = member_of(group.y);
    let first = (tick.slot * MEMBERS + member) * RPM;
    mlp(member, first, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        let out = (tick.step * MEMBERS + member) * RPM + row;
        log_probs[out] = act(member, r, row, first + row, out);
    }
}
