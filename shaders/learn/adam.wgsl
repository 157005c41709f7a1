// Global-norm clipping and Adam, per member and optimiser, in place: three passes.
// Constants: MEMBERS, STRIDE, CHUNKS, GROUPS (optimisers), FIRST and LENGTH (words of each, arrays), BETA_1, BETA_2, EPSILON,
// MAX_NORM (of each, an array), FROM, UNTIL and FROM_GROUP (the words and the first optimiser that a dispatch is for), RMSPROP (no moment and no correction: the gradient over the root of its mean square), RADAM (a second
// correction of 0: no variance). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> partials: array<f32>;       // [CHUNKS, P, STRIDE]
@group(0) @binding(2) var<storage, read> learning_rate: array<f32>;  // [P]
@group(0) @binding(3) var<storage, read_write> grads: array<f32>;    // [P, STRIDE]
@group(0) @binding(4) var<storage, read_write> norms: array<f32>;    // [P, GROUPS]
@group(0) @binding(5) var<storage, read_write> params: array<f32>;   // [P, STRIDE]
@group(0) @binding(6) var<storage, read_write> m: array<f32>;        // [P, STRIDE]
@group(0) @binding(7) var<storage, read_write> v: array<f32>;        // [P, STRIDE]

// Adds the chunks of the weight gradients in the order of the rows.
@compute @workgroup_size(64)
fn sum_chunks(@builtin(global_invocation_id) id: vec3<u32>) {
    if (FROM + id.x >= UNTIL) { return; }
    let i = id.y * STRIDE + FROM + id.x;
    var sum = 0.0;
    for (var c = 0u; c < CHUNKS; c++) { sum += partials[c * MEMBERS * STRIDE + i]; }
    grads[i] = sum;
}

var<workgroup> partial: array<f32, 256>;

@compute @workgroup_size(256)
fn global_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let optimiser = FROM_GROUP + group.x;
    var first = FIRST;
    var length = LENGTH;
    let begin = member * STRIDE + first[optimiser];
    var sum = 0.0;
    for (var i = lane; i < length[optimiser]; i += 256u) {
        let g = grads[begin + i];
        sum += g * g;
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { norms[member * GROUPS + optimiser] = sqrt(partial[0]); }
}

@compute @workgroup_size(64)
fn adam(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = FROM + id.x;
    if (word >= UNTIL) { return; }
    let member = id.y;
    var optimiser = 0u;
    var first = FIRST;
    for (var o = 1u; o < GROUPS; o++) { if (word >= first[o]) { optimiser = o; } }
    let i = member * STRIDE + word;
    let norm = norms[member * GROUPS + optimiser];
    var g = grads[i];
    var bounds = MAX_NORM;
    let most = bounds[optimiser];
    if (norm >= most) { g = g / norm * most; }
    if (RMSPROP) {
        let square = BETA_2 * v[i] + (1.0 - BETA_2) * g * g;
        v[i] = square;
        params[i] -= learning_rate[member] * tick.anneal * g / (sqrt(square) + EPSILON);
        return;
    }
    let m_new = BETA_1 * m[i] + (1.0 - BETA_1) * g;
    let v_new = BETA_2 * v[i] + (1.0 - BETA_2) * g * g;
    m[i] = m_new;
    v[i] = v_new;
    var step = m_new * tick.correction_1;
    // RAdam's first steps go without the variance.
    if (!RADAM || tick.correction_2 > 0.0) { step /= sqrt(v_new * tick.correction_2) + EPSILON; }
    params[i] -= learning_rate[member] * tick.anneal * step;
}
