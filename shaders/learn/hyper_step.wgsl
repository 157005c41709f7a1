// A network of the state while collecting: of one slot, for the transforms that make logits of utilities. A workgroup an environment,
// numbered over x and y.
// Constants: ENVS (of a member), GROUPS (P * E), STATE, HIDDEN (0: one layer), OUT, STRIDE (words of a member's parameters), K1, B1, K2, B2
// (kernels and biases; of one layer K2, B2), WORDS (of an environment, of all networks), FIRST (of this one's). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> params: array<f32>;       // [P, STRIDE]
@group(0) @binding(2) var<storage, read> world: array<f32>;        // [CAPACITY, P * E, STATE]
@group(0) @binding(3) var<storage, read_write> words: array<f32>;  // [P * E, WORDS]

var<workgroup> hidden: array<f32, HIDDEN + 1u>;

@compute @workgroup_size(64)
fn hyper_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) lane: u32) {
    let env = group.y * groups.x + group.x;
    if (env >= GROUPS) { return; }
    let base = env / ENVS * STRIDE;
    let state = (tick.slot * GROUPS + env) * STATE;
    for (var j = lane; j < HIDDEN; j += 64u) {
        var sum = params[base + B1 + j];
        for (var k = 0u; k < STATE; k++) { sum += world[state + k] * params[base + K1 + k * HIDDEN + j]; }
        hidden[j] = max(sum, 0.0);
    }
    workgroupBarrier();
    for (var o = lane; o < OUT; o += 64u) {
        var sum = params[base + B2 + o];
        if (HIDDEN == 0u) {
            for (var k = 0u; k < STATE; k++) { sum += world[state + k] * params[base + K2 + k * OUT + o]; }
        }
        for (var j = 0u; j < HIDDEN; j++) { sum += hidden[j] * params[base + K2 + j * OUT + o]; }
        words[env * WORDS + FIRST + o] = sum;
    }
}
