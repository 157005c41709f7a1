// Entry points of an environment that one invocation steps alone. One dispatch is one environment step of every
// environment, its reset and its observation included. Constants as in env.wgsl, and WORKGROUP, GROUPS_X, AUTO_RESET.
//
// The environment's file defines
//   load(), store()        its state from and to `state`, at word(0), word(1), ...
//   advance() -> Outcome   acts; writes the rewards with pay() and who is done with mark_done()
//   restart()              a fresh episode, e_step being 0 and e_episode its number
//   observe(to_final)      all that agents and critic see, with show(), show_state() and, where not to_final, allow()

const ENV_WORDS: u32 = 3u;

/// Where word `i` of the environment's own state lies: environments run fastest, so that neighbours read neighbours.
fn word(i: u32) -> u32 { return (ENV_WORDS + i) * G + g; }

fn enter(group: vec3<u32>, lane: u32) -> bool {
    g = (group.x + group.y * GROUPS_X) * WORKGROUP + lane;
    if (g >= G) { return false; }
    e_step = state[g];
    e_episode = state[G + g];
    e_return = bitcast<f32>(state[2u * G + g]);
    load();
    return true;
}

fn leave() {
    state[g] = e_step;
    state[G + g] = e_episode;
    state[2u * G + g] = bitcast<u32>(e_return);
    store();
}

fn next_episode() {
    e_step = 0u;
    e_episode += 1u;
    e_return = 0.0;
    restart();
}

@compute @workgroup_size(WORKGROUP)
fn env_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    let o = advance();
    tell(o);
    e_return = o.total;
    e_step = o.length;
    if (AUTO_RESET && (o.over || o.cut)) {
        observe(true);
        next_episode();
    }
    leave();
    observe(false);
}

/// Starts a fresh episode everywhere.
@compute @workgroup_size(WORKGROUP)
fn env_reset(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    next_episode();
    leave();
    observe(false);
}

/// Shows the state as it is, after it was put in from outside.
@compute @workgroup_size(WORKGROUP)
fn env_observe(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    observe(false);
}
