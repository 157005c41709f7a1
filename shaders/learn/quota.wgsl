// Evaluation: keeps the first `quota` episodes of every environment and drops the rest, so that short episodes do not count
// more often than long ones. Runs after every step; an environment ends one episode a step at most.
// Constants: ENVS, WORDS (statistics per environment; the first counts episodes).

@group(0) @binding(0) var<storage, read> quota: array<u32>;       // [ENVS]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;  // [WORDS, ENVS]
@group(0) @binding(2) var<storage, read_write> kept: array<f32>;  // [WORDS, ENVS]

@compute @workgroup_size(64)
fn keep_first(@builtin(global_invocation_id) id: vec3<u32>) {
    let env = id.x;
    if (env >= ENVS || sums[env] == 0.0) { return; }
    let wanted = kept[env] < f32(quota[env]);
    for (var w = 0u; w < WORDS; w++) {
        if (wanted) { kept[w * ENVS + env] += sums[w * ENVS + env]; }
        sums[w * ENVS + env] = 0.0;
    }
}
