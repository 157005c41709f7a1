// Generalised advantage estimation: an invocation per row, backwards over the rollout.
// Constants: T, MEMBERS, RPM (rows per member, E * A), AGENTS, BOOTSTRAP (value the final state where the step limit cut).

@group(0) @binding(0) var<storage, read> reward: array<f32>;      // [T, P * RPM]
@group(0) @binding(1) var<storage, read> terminated: array<f32>;  // [T, P * RPM / AGENTS]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;   // [T, P * RPM / AGENTS]
@group(0) @binding(3) var<storage, read> values: array<f32>;      // [T + 1, P * RPM]
@group(0) @binding(4) var<storage, read> final_values: array<f32>; // [T, P * RPM], only if BOOTSTRAP
@group(0) @binding(5) var<storage, read> discount: array<vec2<f32>>; // [P]: γ, λ
@group(0) @binding(6) var<storage, read_write> advantage: array<f32>; // [T, P * RPM]
@group(0) @binding(7) var<storage, read_write> goal: array<f32>;      // [T, P * RPM]: the critic's target

@compute @workgroup_size(64)
fn gae(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= RPM) { return; }
    let rows = MEMBERS * RPM;
    let row = id.y * RPM + id.x;
    let gamma = discount[id.y].x;
    let lambda = discount[id.y].y;
    var trace = 0.0;
    for (var back = 0u; back < T; back++) {
        let t = T - 1u - back;
        let i = t * rows + row;
        let e = t * (rows / AGENTS) + row / AGENTS;
        let ended = terminated[e] + truncated[e] > 0.5;
        var next = values[i + rows];
        if (ended) {
            next = 0.0;
            if (BOOTSTRAP && truncated[e] > 0.5) { next = final_values[i]; }
            trace = 0.0;
        }
        trace = reward[i] + gamma * next - values[i] + gamma * lambda * trace;
        advantage[i] = trace;
        goal[i] = trace + values[i];
    }
}
