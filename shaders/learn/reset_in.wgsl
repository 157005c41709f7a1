// The flags of a whole rollout, for the critic and for training. Constant: T. After tick and resets.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> reset_in: array<f32>; // [T + 1, P * E * A]

@compute @workgroup_size(64)
fn resets(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= ROWS_OF_ALL) { return; }
    reset_in[row] = carried[row];
    for (var t = 0u; t < T; t++) { reset_in[(t + 1u) * ROWS_OF_ALL + row] = reset_after(t, row); }
}
