// The policy of a minibatch: independent normal numbers around the network's means, with deviations exp(log_std) that are
// parameters of their own (`ppo_family.md` §1.5). An invocation a sample.
// Constants: MEMBERS, RPM, ITEMS, ROWS, SEQUENCES of minibatch.wgsl, N (numbers of an action), STRIDE and LOG_STD (words of a
// member's parameters, and the first of log_std among them), CHUNK (rows of one partial sum of the gradients, as in
// dense_grad.wgsl), and the places LOG_PROB, ENTROPY in the batch. After tick, minibatch and gaussian_density.

@group(0) @binding(2) var<storage, read> params: array<f32>;   // [P, STRIDE]
@group(0) @binding(3) var<storage, read> actions: array<f32>;  // [slots, P * RPM, N]
// [P, ROWS, N]: the network's means; behind `log_prob`, the standardised actions z = (a − μ) / σ.
@group(0) @binding(4) var<storage, read_write> means: array<f32>;
@group(0) @binding(5) var<storage, read_write> batch: array<f32>;
@group(0) @binding(6) var<storage, read_write> log_prob_grad: array<f32>; // [P, ROWS]: of the loss, as the two below
@group(0) @binding(7) var<storage, read_write> entropy_grad: array<f32>;  // [P, ROWS]
@group(0) @binding(8) var<storage, read_write> values_grad: array<f32>;   // [P, ROWS]
@group(0) @binding(9) var<storage, read_write> means_grad: array<f32>;    // [P, ROWS, N]
@group(0) @binding(10) var<storage, read_write> critic_grad: array<f32>;  // [P, ROWS]
@group(0) @binding(11) var<storage, read_write> partials: array<f32>;     // [chunks, P, STRIDE]

// Log-probability of the action that was taken, and the entropy: sums over its numbers.
@compute @workgroup_size(64)
fn gaussian(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let source = position(id.y, tick.minibatch, id.x);
    let row = id.y * ROWS + id.x;
    var log_prob = 0.0;
    var entropy = 0.0;
    for (var k = 0u; k < N; k++) {
        let log_std = params[id.y * STRIDE + LOG_STD + k];
        let z = standardised(actions[source * N + k], means[row * N + k], log_std);
        means[row * N + k] = z;
        log_prob += log_density(z, log_std);
        entropy += normal_entropy(log_std);
    }
    batch[LOG_PROB + row] = log_prob;
    batch[ENTROPY + row] = entropy;
}

// From the loss's derivatives by log-probability l to those by the means, ∂l/∂μ = z / σ. The values' derivatives only move to
// where the critic's kernels read.
@compute @workgroup_size(64)
fn gaussian_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    let by_log_prob = log_prob_grad[row];
    for (var k = 0u; k < N; k++) {
        means_grad[row * N + k] = by_log_prob * means[row * N + k] * exp(-params[id.y * STRIDE + LOG_STD + k]);
    }
    critic_grad[row] = values_grad[row];
}

var<workgroup> partial: array<f32, 64>;

// … and to those by log_std, ∂l/∂ ln σ = z² − 1 and ∂H/∂ ln σ = 1, summed over a chunk of rows in a fixed order: a workgroup per
// chunk, member and number.
@compute @workgroup_size(64)
fn log_std_gradient(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let last = min((group.x + 1u) * CHUNK, ROWS);
    var sum = 0.0;
    for (var r = group.x * CHUNK + lane; r < last; r += 64u) {
        let row = group.y * ROWS + r;
        let z = means[row * N + group.z];
        sum += log_prob_grad[row] * (z * z - 1.0) + entropy_grad[row];
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { partials[(group.x * MEMBERS + group.y) * STRIDE + LOG_STD + group.z] = partial[0]; }
}
