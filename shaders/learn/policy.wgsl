// The feed-forward policy's step: observations of slot `tick.slot` in, actions and log-probabilities of `tick.step` out.
// After tick, activation, mlp, rng and sample; N = OUT.

@group(0) @binding(3) var<storage, read> avail: array<f32>;            // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;       // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<u32>;    // [T, P * RPM]
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;  // [T, P * RPM]

@compute @workgroup_size(WG)
fn policy(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = member_of(group.y);
    let first = (tick.slot * MEMBERS + member) * RPM;
    mlp(member, first, group.x * ROWS, lane);
    for (var r = lane; r < ROWS; r += WG) {
        let row = group.x * ROWS + r;
        if (row >= RPM) { return; }
        let u = uniform01(threefry2x32(keys[member], vec2(tick.draw, row)).x);
        let choice = choose(r, first + row, u, tick.greedy == 1u);
        let out = (tick.step * MEMBERS + member) * RPM + row;
        actions[out] = choice.action;
        log_probs[out] = choice.log_prob;
    }
}
