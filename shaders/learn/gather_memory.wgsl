// What recurrent networks need besides a batch's samples: where they forget, and what they remembered when the rollout began.
// Once per network with a memory of its own. After tick and minibatch, or piece. Constants: HIDDEN, STEPS (of the batch's sequences).

@group(0) @binding(2) var<storage, read> reset_in: array<f32>;            // [slots, P * RPM]
@group(0) @binding(3) var<storage, read> start: array<f32>;               // [rollouts, P * RPM, HIDDEN]
@group(0) @binding(4) var<storage, read_write> batch_reset: array<f32>;   // [P, STEPS, SEQUENCES]
@group(0) @binding(5) var<storage, read_write> batch_start: array<f32>;   // [P, SEQUENCES, HIDDEN]

@compute @workgroup_size(64)
fn gather_memory(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let sequence = group.x;
    let member = group.y;
    const ALL = MEMBERS * RPM;
    // The place of its step 0.
    let first = position(member, tick.minibatch, sequence);
    let row = first / ((T + 1u) * ALL) * ALL + first % ALL;
    for (var t = lane; t < STEPS; t += 64u) {
        batch_reset[(member * STEPS + t) * SEQUENCES + sequence] = reset_in[t * ALL + first];
    }
    for (var i = lane; i < HIDDEN; i += 64u) {
        batch_start[(member * SEQUENCES + sequence) * HIDDEN + i] = start[row * HIDDEN + i];
    }
}
