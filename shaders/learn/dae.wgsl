// Difference advantage estimation (`ppo_family.md` §7.1): an invocation per row, backwards over the rollout.
// Constants: T, MEMBERS, RPM, AGENTS, N, MODELS, MODEL_WORDS (of each), BOOTSTRAP (value the final state where the step limit cut),
// SHAPED_TARGET, SAMPLED (models say what they expect of the policy, and N is 1).

@group(0) @binding(0) var<storage, read> reward: array<f32>;      // [slots, P * RPM]
@group(0) @binding(1) var<storage, read> terminated: array<f32>;  // [slots, P * RPM / AGENTS]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;   // [slots, P * RPM / AGENTS]
@group(0) @binding(3) var<storage, read> values: array<f32>;      // [slots, P * RPM]
@group(0) @binding(4) var<storage, read> final_values: array<f32>; // [slots, P * RPM], only if BOOTSTRAP
@group(0) @binding(5) var<storage, read> policy: array<f32>;      // [slots, P * RPM, N]: πⁱ(· | oⁱ), unless SAMPLED
@group(0) @binding(6) var<storage, read> models: array<f32>;      // [MODELS, slots, P * RPM, N]: R(s, (·, a⁻ⁱ)), or what is expected of it
@group(0) @binding(7) var<storage, read> discount: array<vec4<f32>>; // [P]: γ, λ, β
@group(0) @binding(8) var<storage, read_write> advantage: array<f32>; // [slots, P * RPM]
@group(0) @binding(9) var<storage, read_write> goal: array<f32>;      // [slots, P * RPM]: the critic's target

// bⁱ: the reward that is expected of the policy with the others' actions as they were.
fn expected_reward(i: u32) -> f32 {
    var sum = 0.0;
    for (var m = 0u; m < MODELS; m++) {
        for (var n = 0u; n < N; n++) {
            let weight = select(policy[i * N + n], 1.0, SAMPLED);
            sum += weight * models[m * MODEL_WORDS + i * N + n];
        }
    }
    return sum / f32(MODELS);
}

@compute @workgroup_size(64)
fn dae(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= RPM) { return; }
    let rows = MEMBERS * RPM;
    let row = id.y * RPM + id.x;
    let gamma = discount[id.y].x;
    let lambda = discount[id.y].y;
    let beta = discount[id.y].z;
    var trace = 0.0;    // GAE's
    var expected = 0.0; // Σ (γλ)ˡ β^(l+1) b
    for (var back = 0u; back < T; back++) {
        let i = (T - 1u - back) * rows + row;
        let e = i / AGENTS;
        var next = values[i + rows];
        if (terminated[e] + truncated[e] > 0.5) {
            next = 0.0;
            if (BOOTSTRAP && truncated[e] > 0.5) { next = final_values[i]; }
            trace = 0.0;
            expected = 0.0;
        }
        trace = reward[i] + gamma * next - values[i] + gamma * lambda * trace;
        expected = beta * expected_reward(i) + gamma * lambda * beta * expected;
        advantage[i] = trace - expected;
        goal[i] = values[i] + select(trace, trace - expected, SHAPED_TARGET);
    }
}
