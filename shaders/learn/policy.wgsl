// The feed-forward policy's step: observations of slot `tick.slot` in, actions and log-probabilities of `tick.step` out.
// After tick, activation, mlp, rng and a file that samples, which has bindings 3 to 5; N = OUT.

@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;  // [T, P * RPM]

@compute @workgroup_size(WG)
fn policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Where agents have weights of their own: whose, among the member's agents.
    let owner = member_of(group.y);
    let member = owner / APART;
    let agent = owner % APART;
    let slots = MEMBERS * RPM;
    let base = member * APART * RPM;
    mlp(owner, tick.slot * slots + base + agent, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        if (group.x * ROWS + r >= RPM) { return; }
        let row = (group.x * ROWS + r) * APART + agent;
        let out = tick.step * slots + base + row;
        log_probs[out] = act(member, r, row, tick.slot * slots + base + row, out);
    }
}
