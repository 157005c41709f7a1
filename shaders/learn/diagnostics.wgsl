// What an update was like, per member: sums over its minibatches, read at the next report.
// Constants: MEMBERS, ROWS, SAMPLES (of the rollout, per member), RPM, GROUPS (of actor and critic), NORMS (those and the models'), LOG_PROB and OLD_LOG_PROB (places in the
// batch), CENTRED and CENTER (whether and where the batch has what ratios are clipped about), WORDS; of a Gaussian policy, NUMBERS (of an action; 0 for others), and STRIDE and LOG_STD as in gaussian.wgsl.
// After tick and reduce.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> batch: array<f32>;
@group(0) @binding(2) var<storage, read> losses: array<f32>;      // [P, 3]: actor, value, entropy
@group(0) @binding(3) var<storage, read> clip: array<f32>;        // [P]
@group(0) @binding(4) var<storage, read> norms: array<f32>;       // [P, NORMS]
@group(0) @binding(5) var<storage, read> values: array<f32>;      // [slots, P * RPM]
@group(0) @binding(6) var<storage, read> goal: array<f32>;        // [slots, P * RPM]
@group(0) @binding(7) var<storage, read_write> sums: array<f32>;  // [P, WORDS]
@group(0) @binding(8) var<storage, read> params: array<f32>;      // [P, STRIDE]

// After the loss of a minibatch and the norms of its gradients.
@compute @workgroup_size(256)
fn minibatch_diagnostics(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.x;
    var sum = vec4(0.0);
    var furthest = 0.0;
    for (var r = lane; r < ROWS; r += 256u) {
        let i = member * ROWS + r;
        let difference = batch[LOG_PROB + i] - batch[OLD_LOG_PROB + i];
        let ratio = exp(difference);
        // κ = π_k / μ, π_k being the policy when the update began: where older rollouts are clipped about it, else that policy has collected.
        var center = 1.0;
        if (CENTRED) { center = batch[CENTER + i]; }
        // κ ((π/π_k − 1) − ln π/π_k): the estimate of the divergence from π_k that is never negative and has little variance.
        let change = (ratio - center) - center * (difference - log(max(center, 1e-30)));
        sum += vec4(ratio, change, select(0.0, 1.0, abs(ratio - center) > clip[member]), 0.0);
        furthest = max(furthest, abs(ratio - 1.0));
    }
    let mean = reduce(lane, sum) / f32(ROWS);
    workgroupBarrier();
    partial[lane] = vec4(furthest);
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
        workgroupBarrier();
    }
    if (lane != 0u) { return; }
    let o = member * WORDS;
    if (tick.first == 1u) {
        for (var w = 0u; w < 8u; w++) { sums[o + w] = 0.0; }
        sums[o + 8u] = mean.x;
        sums[o + 9u] = partial[0].x;
    }
    for (var w = 0u; w < 3u; w++) { sums[o + w] += losses[member * 3u + w]; }
    sums[o + 3u] += mean.y;
    sums[o + 4u] += mean.z;
    sums[o + 5u] += norms[member * NORMS];
    if (GROUPS > 1u) { sums[o + 6u] += norms[member * NORMS + 1u]; }
    for (var k = 0u; k < NUMBERS; k++) { sums[o + 7u] += exp(params[member * STRIDE + LOG_STD + k]) / f32(NUMBERS); }
}

// 1 − Var(target − value) / Var(target) over the whole newest rollout.
@compute @workgroup_size(256)
fn explained_variance(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.x;
    var sum = vec4(0.0);
    for (var s = lane; s < SAMPLES; s += 256u) {
        let i = ((tick.step + s / RPM) * MEMBERS + member) * RPM + s % RPM;
        sum += vec4(goal[i], goal[i] - values[i], 0.0, 0.0);
    }
    let mean = reduce(lane, sum) / f32(SAMPLES);
    sum = vec4(0.0);
    for (var s = lane; s < SAMPLES; s += 256u) {
        let i = ((tick.step + s / RPM) * MEMBERS + member) * RPM + s % RPM;
        let a = goal[i] - mean.x;
        let b = goal[i] - values[i] - mean.y;
        sum += vec4(a * a, b * b, 0.0, 0.0);
    }
    let square = reduce(lane, sum);
    if (lane == 0u) { sums[member * WORDS + 10u] = 1.0 - square.y / max(square.x, 1e-12); }
}
