// TD(λ) targets of what was done, from the target critic (`ppo_family.md` §6.2, `value_decomposition.md` §4.2): an invocation per row,
// backwards. Constants: T, MEMBERS, RPM, AGENTS, N.

@group(0) @binding(0) var<storage, read> reward: array<f32>;      // [T + 1, P * RPM]
@group(0) @binding(1) var<storage, read> terminated: array<f32>;  // [T + 1, P * RPM / AGENTS]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;   // [T + 1, P * RPM / AGENTS]
@group(0) @binding(3) var<storage, read> actions: array<u32>;     // [T + 1, P * RPM]
@group(0) @binding(4) var<storage, read> q: array<f32>;           // [T + 1, P * RPM, N]: the target critic's
@group(0) @binding(5) var<storage, read> discount: array<vec2<f32>>; // [P]: γ, λ
@group(0) @binding(6) var<storage, read_write> goal: array<f32>;  // [T + 1, P * RPM]

fn taken(i: u32) -> f32 { return q[i * N + actions[i]]; }

@compute @workgroup_size(64)
fn td_lambda(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= RPM) { return; }
    let rows = MEMBERS * RPM;
    let row = id.y * RPM + id.x;
    let d = discount[id.y];
    var g = taken(T * rows + row);
    for (var back = 0u; back < T; back++) {
        let i = (T - 1u - back) * rows + row;
        let on = select(d.x, 0.0, terminated[i / AGENTS] + truncated[i / AGENTS] > 0.5);
        g = reward[i] + on * ((1.0 - d.y) * taken(i + rows) + d.y * g);
        goal[i] = g;
    }
}
