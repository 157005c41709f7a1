// A step of Adam on the temperature α = e^ω, whose loss α (Ĥ - H̄) falls with α where the policies' entropy is above its aim
// (`me_igm.md` §3.3). A workgroup a member; Ĥ is the mean over the batch's steps of the sum over the agents.
// Constants: ROWS (SLOTS * BATCH), AGENTS, MASK (word at which the mask begins), TARGET (H̄ of all agents), RATE, BETA_1, BETA_2, EPSILON,
// LEAST and MOST (bounds of ω), STRIDE. After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> losses: array<f32>;      // with [P, ROWS] at MASK
@group(0) @binding(2) var<storage, read_write> entropies: array<f32>;   // [P, ROWS, AGENTS]
@group(0) @binding(3) var<storage, read_write> temperature: array<f32>; // [P, STRIDE]: α, ω, Adam's m and v, Ĥ of the last batch

var<workgroup> sums: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn temperature_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * ROWS;
    var sum = vec2(0.0);
    for (var i = lane; i < ROWS; i += 64u) {
        // Nothing is known of the entropies where there is no step.
        if (losses[MASK + first + i] == 0.0) { continue; }
        for (var a = 0u; a < AGENTS; a++) { sum.x += entropies[(first + i) * AGENTS + a]; }
        sum.y += 1.0;
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { sums[lane] += sums[lane + half]; }
        workgroupBarrier();
    }
    if (lane > 0u) { return; }
    // No step, as before the first episode has ended: nothing is known.
    if (sums[0].y == 0.0) { return; }
    let entropy = sums[0].x / sums[0].y;
    let at = group.x * STRIDE;
    let g = temperature[at] * (entropy - TARGET);
    let m = BETA_1 * temperature[at + 2u] + (1.0 - BETA_1) * g;
    let v = BETA_2 * temperature[at + 3u] + (1.0 - BETA_2) * g * g;
    let step = m * tick.correction_1 / (sqrt(v * tick.correction_2) + EPSILON);
    if (RATE > 0.0) {
        let omega = clamp(temperature[at + 1u] - RATE * step, LEAST, MOST);
        temperature[at] = exp(omega);
        temperature[at + 1u] = omega;
    }
    temperature[at + 2u] = m;
    temperature[at + 3u] = v;
    temperature[at + 4u] = entropy;
}
