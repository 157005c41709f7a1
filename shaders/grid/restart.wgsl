// The next episode of the environments that ended, in a dispatch of its own behind the step: a level takes far more work than a step,
// and invocations that run together all wait for one that generates. Each workgroup gathers those of CHUNK environments that ended.
// Constants: CHUNK, RESTART_GROUP (invocations of a workgroup), RESTART_GROUPS_X.

var<workgroup> ended: array<u32, CHUNK>;
var<workgroup> ended_count: atomic<u32>;

@compute @workgroup_size(RESTART_GROUP)
fn env_restart(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) { atomicStore(&ended_count, 0u); }
    workgroupBarrier();
    let first = (group.x + group.y * RESTART_GROUPS_X) * CHUNK;
    let last = min(first + CHUNK, G);
    for (var e = first + lane; e < last; e += RESTART_GROUP) {
        g = e;
        // In any order: environments know nothing of each other.
        if ((state[word(0u)] & (1u << 20u)) != 0u) { ended[atomicAdd(&ended_count, 1u)] = e; }
    }
    workgroupBarrier();
    let count = atomicLoad(&ended_count);
    for (var n = lane; n < count; n += RESTART_GROUP) {
        g = ended[n];
        e_step = state[g];
        e_episode = state[G + g];
        e_return = bitcast<f32>(state[2u * G + g]);
        // A reset has begun the episode already.
        if (e_step > 0u) {
            // The step has shown how the episode ended.
            for (var k = 0u; k < D / 4u; k++) { final_obs[g * (D / 4u) + k] = obs[(slots.next * G + g) * (D / 4u) + k]; }
            for (var k = 0u; k < S; k++) { final_state[g * S + k] = world_state[(slots.next * G + g) * S + k]; }
            next_episode();
        }
        generate();
        leave();
        observe(false);
    }
}
