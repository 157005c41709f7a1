// COMA's counterfactual advantages (`ppo_family.md` §6.3): an invocation per row and step.
// Constants: MEMBERS, RPM, AGENTS, N, SAMPLED (q is of the joint action, N is 1, and the policy's mean of it is known). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> reward: array<f32>;      // [slots, P * RPM]
@group(0) @binding(2) var<storage, read> terminated: array<f32>;  // [slots, P * RPM / AGENTS]
@group(0) @binding(3) var<storage, read> truncated: array<f32>;   // [slots, P * RPM / AGENTS]
@group(0) @binding(4) var<storage, read> actions: array<u32>;     // [slots, P * RPM]
@group(0) @binding(5) var<storage, read> q: array<f32>;           // [slots, P * RPM, N]: Q(s, (·, a⁻ⁱ)), or Q(s, a)
@group(0) @binding(6) var<storage, read> policy: array<f32>;      // [slots, P * RPM, N]: πⁱ(· | oⁱ), or E Q(s, (·, a⁻ⁱ))
@group(0) @binding(7) var<storage, read> discount: array<f32>;    // [P]: γ
@group(0) @binding(8) var<storage, read_write> values: array<f32>;    // [slots, P * RPM]: Q(s, a), unless SAMPLED
@group(0) @binding(9) var<storage, read_write> advantage: array<f32>; // [slots, P * RPM]
@group(0) @binding(10) var<storage, read_write> goal: array<f32>;     // [slots, P * RPM]: the critic's target, TD(0)

@compute @workgroup_size(64)
fn coma(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= RPM) { return; }
    let rows = MEMBERS * RPM;
    let i = (tick.step + id.z) * rows + id.y * RPM + id.x;
    // What the policy would have got on average with the others' actions as they were.
    var baseline = 0.0;
    var taken = q[i * N];
    var then = (i + rows) * N;
    if (SAMPLED) {
        baseline = policy[i];
    } else {
        for (var n = 0u; n < N; n++) { baseline += policy[i * N + n] * q[i * N + n]; }
        taken = q[i * N + actions[i]];
        then += actions[i + rows];
        values[i] = taken;
    }
    let on = select(1.0, 0.0, terminated[i / AGENTS] + truncated[i / AGENTS] > 0.5);
    advantage[i] = taken - baseline;
    goal[i] = reward[i] + discount[id.y] * on * q[then];
}
