// The value of the action that was taken, from a critic of every own action, and back. An invocation a sample.
// Constants: MEMBERS, T, RPM, ITEMS, ROWS, SEQUENCES of minibatch.wgsl, N. After tick and minibatch.

@group(0) @binding(2) var<storage, read> actions: array<u32>;            // [slots, P * RPM]
@group(0) @binding(3) var<storage, read_write> of_actions: array<f32>;   // [P, ROWS, N]
@group(0) @binding(4) var<storage, read_write> values: array<f32>;       // [P, ROWS]
@group(0) @binding(5) var<storage, read_write> values_grad: array<f32>;  // [P, ROWS]
@group(0) @binding(6) var<storage, read_write> of_actions_grad: array<f32>; // [P, ROWS, N]

@compute @workgroup_size(64)
fn taken(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    values[row] = of_actions[row * N + actions[position(id.y, tick.minibatch, id.x)]];
}

@compute @workgroup_size(64)
fn taken_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    let action = actions[position(id.y, tick.minibatch, id.x)];
    for (var n = 0u; n < N; n++) { of_actions_grad[row * N + n] = select(0.0, values_grad[row], n == action); }
}
