// The next episode of the environments that ended, in a dispatch of its own behind the step: a level takes far more work than a step,
// and invocations that run together all wait for one that generates. Each workgroup gathers those of CHUNK environments that ended.
// Constants: CHUNK, RESTART_GROUPS_X.

var<workgroup> ended: array<u32, CHUNK>;
var<workgroup> ended_count: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn env_restart(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) { atomicStore(&ended_count, 0u); }
    workgroupBarrier();
    let first = (group.x + group.y * RESTART_GROUPS_X) * CHUNK;
    let last = min(first + CHUNK, G);
    for (var e = first + lane; e < last; e += WORKGROUP) {
        g = e;
        // In any order: environments know nothing of each other.
        if ((state[word(0u)] & (1u << 20u)) != 0u) { ended[atomicAdd(&ended_count, 1u)] = e; }
    }
    workgroupBarrier();
    let count = atomicLoad(&ended_count);
    for (var n = lane; n < count; n += WORKGROUP) {
        g = ended[n];
        // The step has shown how the episode ended.
        for (var i = 0u; i < D; i++) { final_obs[g * D + i] = obs[(slots.next * G + g) * D + i]; }
        for (var i = 0u; i < S; i++) { final_state[g * S + i] = world_state[(slots.next * G + g) * S + i]; }
        e_step = state[g];
        e_episode = state[G + g];
        e_return = bitcast<f32>(state[2u * G + g]);
        // A reset has begun the episode already.
        if (e_step > 0u) { next_episode(); }
        generate();
        leave();
        observe(false);
    }
}
