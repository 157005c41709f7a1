// Of the numbers of all actions that of what was done, and the way back. An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), N.

@group(0) @binding(0) var<storage, read_write> all: array<f32>;     // [P, ROWS, N], or their derivatives
@group(0) @binding(1) var<storage, read_write> actions: array<u32>; // [P, ROWS]
@group(0) @binding(2) var<storage, read_write> taken: array<f32>;   // [P, ROWS], or its derivative

@compute @workgroup_size(64)
fn select_taken(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    taken[row] = all[row * N + actions[row]];
}

@compute @workgroup_size(64)
fn select_taken_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    for (var n = 0u; n < N; n++) { all[row * N + n] = select(0.0, taken[row], n == actions[row]); }
}
