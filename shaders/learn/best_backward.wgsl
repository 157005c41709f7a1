// Adds the derivative of the best action's utility to those of all, where losses teach it too. An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), N.

@group(0) @binding(0) var<storage, read_write> best: array<u32>;      // [P, ROWS]: the action
@group(0) @binding(1) var<storage, read_write> best_grad: array<f32>; // [P, ROWS]
@group(0) @binding(2) var<storage, read_write> q_grad: array<f32>;    // [P, ROWS, N]

@compute @workgroup_size(64)
fn best_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    q_grad[row * N + best[row]] += best_grad[row];
}
