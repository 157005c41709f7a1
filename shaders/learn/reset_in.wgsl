// The flags of the newest rollout, for the critic and for training. Constant: T. After tick and resets.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> reset_in: array<f32>; // [slots, P * E * A]

@compute @workgroup_size(64)
fn resets(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= ROWS_OF_ALL) { return; }
    reset_in[tick.step * ROWS_OF_ALL + row] = carried[row];
    for (var t = tick.step; t < tick.step + T; t++) { reset_in[(t + 1u) * ROWS_OF_ALL + row] = reset_after(t, row); }
}
