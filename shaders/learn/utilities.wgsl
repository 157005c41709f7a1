// From the utilities of all actions to what a mixer takes, and back. An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), N, TAKEN and BEST (words at which they begin in the batch).

@group(0) @binding(0) var<storage, read_write> q: array<f32>;        // [P, ROWS, N]
@group(0) @binding(1) var<storage, read_write> actions: array<u32>;  // [P, ROWS]
@group(0) @binding(2) var<storage, read_write> allowed: array<f32>;  // [P, ROWS, N]
@group(0) @binding(3) var<storage, read_write> batch: array<f32>;    // with [P, ROWS] at TAKEN and at BEST
@group(0) @binding(4) var<storage, read_write> taken_grad: array<f32>; // [P, ROWS]
@group(0) @binding(5) var<storage, read_write> q_grad: array<f32>;   // [P, ROWS, N]

// The utility of the action, and the largest allowed one.
@compute @workgroup_size(64)
fn utilities(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    var best = -3.4e38;
    for (var n = 0u; n < N; n++) {
        if (allowed[row * N + n] > 0.0) { best = max(best, q[row * N + n]); }
    }
    batch[TAKEN + row] = q[row * N + actions[row]];
    batch[BEST + row] = best;
}

@compute @workgroup_size(64)
fn utilities_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    for (var n = 0u; n < N; n++) { q_grad[row * N + n] = select(0.0, taken_grad[row], n == actions[row]); }
}
