// TD(λ) targets backwards over whole episodes, an invocation an episode (and agent, where each regresses by itself): `value_decomposition.md`
// §4.2 in its general form, and with the policies' entropies behind (`me_igm.md` §3.1)
//   y_t = r_t + γ (1 - d_t) ((1 - λ) (Q_{t+1} + h_{t+1}) + λ (y_{t+1} + h_{t+1})),  y_L = Q_L where the limit cut the episode.
// Constants: SLOTS, UNITS (values of a step: 1, or A), GOAL (word at which the targets begin in the batch), SOFT, Q_LAMBDA (to r_t comes what
// the target's value of u*_t is above that of u_t, §4.3). After episodes.

@group(0) @binding(0) var<storage, read> discount: array<vec2<f32>>;   // [P]: γ, λ
@group(0) @binding(1) var<storage, read_write> rewards: array<f32>;    // [P, SLOTS, BATCH]
@group(0) @binding(2) var<storage, read_write> values: array<f32>;     // [P, SLOTS, BATCH, UNITS]: the target's, of what comes next
@group(0) @binding(3) var<storage, read_write> batch: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_probs: array<f32>;  // [P, SLOTS, BATCH, A]: of what comes next
@group(0) @binding(5) var<storage, read> temperature: array<f32>;      // [P, TEMPERATURE_STRIDE]
@group(0) @binding(7) var<storage, read_write> ended: array<f32>;      // [P, SLOTS, BATCH]: d
@group(0) @binding(8) var<storage, read_write> done_values: array<f32>; // [P, SLOTS, BATCH, UNITS]: the target's, of what was done; Q_LAMBDA

// -α ln π of the joint action, where policies are soft.
fn entropy_term(member: u32, row: u32) -> f32 {
    if (!SOFT) { return 0.0; }
    var sum = 0.0;
    for (var i = 0u; i < AGENTS; i++) { sum += log_probs[row * AGENTS + i]; }
    return -temperature[member * TEMPERATURE_STRIDE] * sum;
}

@compute @workgroup_size(64)
fn episode_td_lambda(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH * UNITS) { return; }
    let member = id.y;
    let b = id.x / UNITS;
    let unit = id.x % UNITS;
    let d = drawn[member * BATCH + b];
    let gamma = discount[member].x;
    let lambda = discount[member].y;
    for (var l = d.length; l < SLOTS; l++) { batch[GOAL + ((member * SLOTS + l) * BATCH + b) * UNITS + unit] = 0.0; }
    if (d.length == 0u) { return; }
    var y = 0.0;
    if (d.cut == 1u) { y = values[((member * SLOTS + d.length) * BATCH + b) * UNITS + unit]; }
    for (var back = 1u; back <= d.length; back++) {
        let l = d.length - back;
        let row = (member * SLOTS + l) * BATCH + b;
        let terminated = ended[row] > 0.0;
        var next = 0.0;
        if (!terminated) {
            let after = row + BATCH;
            next = (1.0 - lambda) * values[after * UNITS + unit] + lambda * y + entropy_term(member, after);
        }
        y = rewards[row] + gamma * next;
        if (Q_LAMBDA) { y += values[row * UNITS + unit] - done_values[row * UNITS + unit]; }
        batch[GOAL + row * UNITS + unit] = y;
    }
}
