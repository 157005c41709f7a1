// The policy of a minibatch: a categorical distribution over the actions that were available (`ppo_family.md` §1.1: 1e10 is
// taken from the logits of the others). Not as -1e10 (1 - available): a compiler that may reassociate makes (x - 1e10) + 1e10 available of it, which leaves
// nothing of x. An invocation a sample.
// Constants: MEMBERS, RPM, ITEMS, ROWS, SEQUENCES of minibatch.wgsl, N, and the places LOG_PROB, ENTROPY in the batch.
// After tick and minibatch.

@group(0) @binding(2) var<storage, read> avail: array<f32>;    // [slots, P * RPM, N]
@group(0) @binding(3) var<storage, read> actions: array<u32>;  // [slots, P * RPM]
// [P, ROWS, N]: the network's logits; behind `log_prob`, the logarithms of the probabilities.
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;
@group(0) @binding(5) var<storage, read_write> batch: array<f32>;
@group(0) @binding(6) var<storage, read_write> log_prob_grad: array<f32>; // [P, ROWS]: of the loss, as the two below
@group(0) @binding(7) var<storage, read_write> entropy_grad: array<f32>;  // [P, ROWS]
@group(0) @binding(8) var<storage, read_write> values_grad: array<f32>;   // [P, ROWS]
@group(0) @binding(9) var<storage, read_write> logits_grad: array<f32>;   // [P, ROWS, N]
@group(0) @binding(10) var<storage, read_write> critic_grad: array<f32>;  // [P, ROWS]

// Log-probability of the action that was taken, and the entropy.
@compute @workgroup_size(64)
fn categorical(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let source = position(id.y, tick.minibatch, id.x);
    let row = id.y * ROWS + id.x;
    var top = -3.4e38;
    for (var n = 0u; n < N; n++) {
        let l = logits[row * N + n] - select(1e10, 0.0, avail[source * N + n] > 0.0);
        logits[row * N + n] = l;
        top = max(top, l);
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(logits[row * N + n] - top); }
    let normaliser = top + log(total);
    var entropy = 0.0;
    for (var n = 0u; n < N; n++) {
        let l = logits[row * N + n] - normaliser;
        logits[row * N + n] = l;
        // An unavailable action has probability 0 and log-probability −1e10: the product is 0, not a NaN.
        entropy -= exp(l) * l;
    }
    batch[LOG_PROB + row] = logits[row * N + actions[source]];
    batch[ENTROPY + row] = entropy;
}

// From the loss's derivatives by log-probability l and entropy H to those by the logits:
// ∂l/∂xₙ = 1[n = a] − pₙ and ∂H/∂xₙ = −pₙ (ln pₙ + H). The values' derivatives only move to where the critic's kernels read.
@compute @workgroup_size(64)
fn categorical_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let action = actions[position(id.y, tick.minibatch, id.x)];
    let row = id.y * ROWS + id.x;
    let by_log_prob = log_prob_grad[row];
    let by_entropy = entropy_grad[row];
    let entropy = batch[ENTROPY + row];
    for (var n = 0u; n < N; n++) {
        let l = logits[row * N + n];
        let p = exp(l);
        logits_grad[row * N + n] = by_log_prob * (select(0.0, 1.0, n == action) - p) - by_entropy * p * (l + entropy);
    }
    critic_grad[row] = values_grad[row];
}
