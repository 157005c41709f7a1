// The policies' entropy in the critics' targets, on top of TD(λ) (`me_igm.md` §10): -α times the mean over the agents of ln π(u') in the
// slot behind, or the discounted sum if PRINCIPLED. Nothing behind a terminated step. An invocation a row of a state.
// Constants: ROWS (of states, of a member), GOAL (word at which the targets begin in the batch), PRINCIPLED. After episodes.

@group(0) @binding(0) var<storage, read> discount: array<vec2<f32>>;  // [P]: γ, λ
@group(0) @binding(1) var<storage, read> temperature: array<f32>;     // [1]: α
@group(0) @binding(2) var<storage, read_write> log_probs: array<f32>; // [P, SLOTS, BATCH, A]: of what would be done
@group(0) @binding(3) var<storage, read_write> batch: array<f32>;     // with [P, ROWS] at GOAL

@compute @workgroup_size(64)
fn fop_entropy(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let d = drawn[id.y * BATCH + id.x % BATCH];
    let l = id.x / BATCH;
    if (l >= d.length || (l + 1u == d.length && d.cut == 0u)) { return; }
    let row = id.y * ROWS + id.x;
    var sum = 0.0;
    for (var a = 0u; a < AGENTS; a++) { sum += log_probs[(row + BATCH) * AGENTS + a]; }
    let weight = select(1.0 / f32(AGENTS), discount[id.y].x, PRINCIPLED);
    batch[GOAL + row] -= temperature[0] * weight * sum;
}
