// What a soft policy would do in every slot of a batch, ln π of it and the policy's entropy, and what the target's utilities say of it
// (`me_igm.md` §3.1 and 3.3). An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), N, AGENTS, TAKEN and BEST (words at which they begin in the batch), STORED_NEXT (take what
// was done, where there is a step), STORED_ENTROPY (-ln π of what was done in place of the entropy), MASK (word at which the mask begins
// among the batch's). After tick, rng and a file that defines `transform`.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;         // [P, ROWS, N]: online
@group(0) @binding(2) var<storage, read_write> target_q: array<f32>;  // [P, ROWS, N]
@group(0) @binding(3) var<storage, read_write> allowed: array<f32>;   // [P, ROWS, N]
@group(0) @binding(4) var<storage, read_write> done: array<u32>;      // [P, ROWS]
@group(0) @binding(5) var<storage, read_write> next: array<u32>;      // [P, ROWS]
@group(0) @binding(6) var<storage, read_write> batch: array<f32>;     // with [P, ROWS] at TAKEN and at BEST
@group(0) @binding(7) var<storage, read_write> log_probs: array<f32>; // [P, ROWS]: ln π of what would be done
@group(0) @binding(8) var<storage, read_write> entropies: array<f32>; // [P, ROWS]
@group(0) @binding(9) var<storage, read> keys: array<vec2<u32>>;      // [P]
@group(0) @binding(10) var<storage, read> transform_words: array<f32>; // [P, ROWS / AGENTS, TRANSFORM_WORDS]
@group(0) @binding(11) var<storage, read> temperature: array<f32>;     // [P, TEMPERATURE_STRIDE]
@group(0) @binding(12) var<storage, read_write> losses: array<f32>;    // with [P, ROWS / AGENTS] at MASK

@compute @workgroup_size(64)
fn soft_next(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    let alpha = temperature[id.y * TEMPERATURE_STRIDE];
    var x: array<f32, N>;
    for (var n = 0u; n < N; n++) { x[n] = q[row * N + n]; }
    let logits = transform(row / AGENTS * TRANSFORM_WORDS, id.x % AGENTS, x);
    var most = -3.4e38;
    var best = -3.4e38;
    for (var n = 0u; n < N; n++) {
        if (allowed[row * N + n] == 0.0) { continue; }
        most = max(most, logits[n]);
        best = max(best, target_q[row * N + n]);
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) {
        x[n] = 0.0;
        if (allowed[row * N + n] > 0.0) { x[n] = exp((logits[n] - most) / alpha); }
        total += x[n];
    }
    // Σ π ln π with ln π = (logit - most) / α - ln total.
    let log_total = log(total);
    var entropy = log_total;
    for (var n = 0u; n < N; n++) {
        if (x[n] > 0.0) { entropy -= x[n] / total * (logits[n] - most) / alpha; }
    }
    let threshold = uniform01(threefry2x32(keys[id.y], vec2(tick.draw, id.x)).x) * total;
    var action = 0u;
    var sum = 0.0;
    for (var n = 0u; n < N; n++) {
        let before = sum;
        sum += x[n];
        if (before <= threshold && threshold < sum) { action = n; }
    }
    let is_step = losses[MASK + row / AGENTS] > 0.0;
    let was = done[row];
    if (STORED_NEXT && is_step) { action = was; }
    next[row] = action;
    log_probs[row] = (logits[action] - most) / alpha - log_total;
    entropies[row] = entropy;
    if (STORED_ENTROPY) { entropies[row] = log_total - (logits[was] - most) / alpha; }
    batch[TAKEN + row] = target_q[row * N + action];
    batch[BEST + row] = best;
}
