// FOP's policies (`me_igm.md` §10): the mean over the steps and agents of Σ_a π(a) (α ln π(a) - min(Q¹, Q²)(a)), and its derivative by the
// logits, π(a) (α ln π(a) - min(Q¹, Q²)(a) - the sum). An invocation a row of an agent; nothing where there is no step.
// Constants: ROWS (of agents, of a member), N. After episodes.

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;      // [P, ROWS, N]
@group(0) @binding(1) var<storage, read_write> allowed: array<f32>;     // [P, ROWS, N]
@group(0) @binding(2) var<storage, read_write> q_1: array<f32>;         // [P, ROWS, N]
@group(0) @binding(3) var<storage, read_write> q_2: array<f32>;         // [P, ROWS, N]
@group(0) @binding(4) var<storage, read> temperature: array<f32>;       // [1]: α
@group(0) @binding(5) var<storage, read_write> logits_grad: array<f32>; // [P, ROWS, N]
@group(0) @binding(6) var<storage, read_write> said: array<vec2<f32>>;  // [P, ROWS]: the sum, and the policy's entropy

var<workgroup> steps: array<u32, 64>;

@compute @workgroup_size(64)
fn fop_actor(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var count = 0u;
    for (var b = lane; b < BATCH; b += 64u) { count += drawn[id.y * BATCH + b].length; }
    steps[lane] = count;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { steps[lane] += steps[lane + half]; }
        workgroupBarrier();
    }
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    let b = id.x / AGENTS;
    if (b / BATCH >= drawn[id.y * BATCH + b % BATCH].length) {
        said[row] = vec2(0.0);
        for (var n = 0u; n < N; n++) { logits_grad[row * N + n] = 0.0; }
        return;
    }
    let alpha = temperature[0];
    var top = -3.4e38;
    for (var n = 0u; n < N; n++) {
        if (allowed[row * N + n] > 0.0) { top = max(top, logits[row * N + n]); }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) {
        if (allowed[row * N + n] > 0.0) { total += exp(logits[row * N + n] - top); }
    }
    let normaliser = top + log(total);
    var p: array<f32, N>;
    var x: array<f32, N>;
    var loss = 0.0;
    var entropy = 0.0;
    for (var n = 0u; n < N; n++) {
        p[n] = 0.0;
        x[n] = 0.0;
        if (allowed[row * N + n] == 0.0) { continue; }
        let log_p = logits[row * N + n] - normaliser;
        p[n] = exp(log_p);
        x[n] = alpha * log_p - min(q_1[row * N + n], q_2[row * N + n]);
        loss += p[n] * x[n];
        entropy -= p[n] * log_p;
    }
    let share = 1.0 / f32(steps[0] * AGENTS);
    for (var n = 0u; n < N; n++) { logits_grad[row * N + n] = share * p[n] * (x[n] - loss); }
    said[row] = vec2(loss, entropy);
}
