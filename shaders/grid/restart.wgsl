// The next episode of the environments that ended, apart from the step: a level takes far more work than a step, and invocations that
// run together all wait for one that generates. Each workgroup gathers those of CHUNK environments that ended.
// Constants: CHUNK, RESTART_GROUP (invocations of a workgroup), RESTART_GROUPS_X.

var<workgroup> ended: array<u32, CHUNK>;
var<workgroup> ended_count: atomic<u32>;

fn next_episode() {
    e_step = 0u;
    e_episode += 1u;
    e_return = 0.0;
}

/// In any order: environments know nothing of each other.
fn gather() { ended[atomicAdd(&ended_count, 1u)] = g; }

fn begin_episodes(lane: u32) {
    let gathered = atomicLoad(&ended_count);
    for (var n = lane; n < gathered; n += RESTART_GROUP) {
        g = ended[n];
        load();
        // A reset has begun the episode already; a step has not shown how it ended.
        if (e_step > 0u) {
            observe(true);
            next_episode();
        }
        generate();
        store_all();
        observe(false);
    }
}

/// Behind a reset or a step.
@compute @workgroup_size(RESTART_GROUP)
fn env_restart(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) { atomicStore(&ended_count, 0u); }
    workgroupBarrier();
    let first = (group.x + group.y * RESTART_GROUPS_X) * CHUNK;
    for (g = first + lane; g < min(first + CHUNK, G); g += RESTART_GROUP) {
        if ((word_at(3u) & (1u << 20u)) != 0u) { gather(); }
    }
    workgroupBarrier();
    begin_episodes(lane);
}

/// Step and next episodes in one dispatch: each costs a software device some tens of microseconds.
@compute @workgroup_size(RESTART_GROUP)
fn env_turn(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) { atomicStore(&ended_count, 0u); }
    workgroupBarrier();
    let first = (group.x + group.y * RESTART_GROUPS_X) * CHUNK;
    for (g = first + lane; g < min(first + CHUNK, G); g += RESTART_GROUP) {
        step();
        if (over) { gather(); }
    }
    workgroupBarrier();
    begin_episodes(lane);
}
