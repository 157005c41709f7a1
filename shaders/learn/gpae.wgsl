// Generalised per-agent advantage estimation (`ppo_family.md` §8.2 to 8.4): an invocation per row and rollout, backwards.
// Constants: T, MEMBERS, RPM (rows per member, E * A), and those of traces.wgsl, which comes before.

@group(0) @binding(0) var<storage, read> reward: array<f32>;      // [slots, P * RPM]
@group(0) @binding(1) var<storage, read> terminated: array<f32>;  // [slots, P * RPM / AGENTS]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;   // [slots, P * RPM / AGENTS]
@group(0) @binding(3) var<storage, read> values: array<f32>;      // [slots, P * RPM]: EQⁱ(s, a⁻ⁱ)
@group(0) @binding(4) var<storage, read> discount: array<vec4<f32>>; // [P]: γ, λ, η
@group(0) @binding(5) var<storage, read_write> advantage: array<f32>; // [slots, P * RPM]
@group(0) @binding(6) var<storage, read_write> goal: array<f32>;      // [slots, P * RPM]: the critic's target

@compute @workgroup_size(64)
fn gpae(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= RPM) { return; }
    let rows = MEMBERS * RPM;
    let row = id.y * RPM + id.x;
    let first = id.z * (T + 1u);
    let d = discount[id.y];
    var trace = 0.0;
    // Of the step after: c of step T is not looked at, for nothing is traced from beyond.
    var weight = 0.0;
    for (var back = 0u; back < T; back++) {
        let i = (first + T - 1u - back) * rows + row;
        let ended = terminated[i / AGENTS] + truncated[i / AGENTS] > 0.5;
        let on = select(1.0, 0.0, ended);
        trace = reward[i] + d.x * on * values[i + rows] - values[i] + d.x * on * weight * trace;
        weight = trace_weight(i, d.y, d.z);
        advantage[i] = trace;
        goal[i] = values[i] + target_weight(i) * trace;
    }
}
