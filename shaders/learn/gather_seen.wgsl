// What the agents see and may do where a batch's transitions begin and behind their windows, the rows of an agent together. An invocation a row.
// Behind a window that was cut is what its episode ended with, where that is allowed which was in its last step (the environments do not say what
// would be next). NORM: every row less its mean, over its deviation.
// Constants: MEMBERS, GROUPS (P * E), AGENTS, BATCH, CAPACITY, LIMIT, KEPT, OBS, INPUT (columns, with padding), N (0: nothing is masked),
// NORM. After transitions.

@group(0) @binding(0) var<storage, read> obs: array<f32>;            // [CAPACITY, P * E, A, OBS]
@group(0) @binding(1) var<storage, read> kept_obs: array<f32>;       // [KEPT, P * E, A, OBS]
@group(0) @binding(2) var<storage, read> avail: array<f32>;          // [CAPACITY, P * E, A, N]
@group(0) @binding(3) var<storage, read> drawn: array<vec4<u32>>;    // [P, BATCH]
@group(0) @binding(4) var<storage, read_write> inputs: array<f32>;   // [2, A, P, BATCH, INPUT]: now, next
@group(0) @binding(5) var<storage, read_write> allowed: array<f32>;  // [2, A, P, BATCH, N]

@compute @workgroup_size(64)
fn gather_seen(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let member = id.y;
    let agent = id.z % AGENTS;
    let next = id.z >= AGENTS;
    let row = (id.z * MEMBERS + member) * BATCH + id.x;
    let d = drawn[member * BATCH + id.x];
    let cut = next && d.w == WAS_CUT;
    let step = d.y + select(0u, d.z, next);
    let in_ring = (step % CAPACITY * GROUPS + d.x) * AGENTS + agent;
    // Two cut episodes of an environment end at least LIMIT apart.
    let in_kept = ((step - 1u) / LIMIT % KEPT * GROUPS + d.x) * AGENTS + agent;
    for (var c = 0u; c < INPUT; c++) {
        var x = 0.0;
        if (c < OBS) {
            if (cut) { x = kept_obs[in_kept * OBS + c]; } else { x = obs[in_ring * OBS + c]; }
        }
        inputs[row * INPUT + c] = x;
    }
    if (NORM) {
        var sum = 0.0;
        for (var c = 0u; c < OBS; c++) { sum += inputs[row * INPUT + c]; }
        let mean = sum / f32(OBS);
        var square = 0.0;
        for (var c = 0u; c < OBS; c++) {
            let x = inputs[row * INPUT + c] - mean;
            square += x * x;
        }
        let scale = inverseSqrt(square / f32(OBS) + 1e-5);
        for (var c = 0u; c < OBS; c++) { inputs[row * INPUT + c] = (inputs[row * INPUT + c] - mean) * scale; }
    }
    let last = ((step - select(0u, 1u, cut)) % CAPACITY * GROUPS + d.x) * AGENTS + agent;
    for (var n = 0u; n < N; n++) { allowed[row * N + n] = avail[last * N + n]; }
}
