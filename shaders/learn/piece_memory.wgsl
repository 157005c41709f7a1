// What a recurrent network remembers in front of the last slot of the newest rollout, for the next one to start with. An invocation a unit.
// Constants: those of piece.wgsl, HIDDEN. After tick and piece.

@group(0) @binding(2) var<storage, read> states: array<f32>;       // [P, T + 1, SEQUENCES, HIDDEN]
@group(0) @binding(3) var<storage, read_write> memory: array<f32>; // [P * RPM, HIDDEN]

@compute @workgroup_size(64)
fn piece_memory(@builtin(global_invocation_id) id: vec3<u32>) {
    let sequence = id.x / HIDDEN;
    let row = piece_row(sequence);
    // The last slot is valued, but it is the next rollout's first.
    if (sequence >= SEQUENCES || row >= RPM || piece_slot() != tick.step) { return; }
    let unit = id.x % HIDDEN;
    let state = (id.y * (T + 1u) + T - 1u) * SEQUENCES + sequence;
    memory[(id.y * RPM + row) * HIDDEN + unit] = states[state * HIDDEN + unit];
}
