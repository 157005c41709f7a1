// Entry points: one invocation an environment, as in thread.wgsl, but that episodes begin apart from the steps (restart.wgsl).

fn step() {
    load();
    let o = advance();
    tell(o);
    store();
    // How an episode ended is shown in front of the next one.
    if (!RESTARTS || !over) { observe(false); }
}

fn enter(group: vec3<u32>, lane: u32) -> bool {
    g = (group.x + group.y * GROUPS_X) * WORKGROUP + lane;
    return g < G;
}

@compute @workgroup_size(WORKGROUP)
fn env_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    step();
}

/// Marks everything as ended.
@compute @workgroup_size(WORKGROUP)
fn env_reset(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    load();
    next_episode();
    over = true;
    store();
}

/// Shows the state as it is, after it was put in from outside.
@compute @workgroup_size(WORKGROUP)
fn env_observe(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    load();
    observe(false);
}
