// Entry points. One dispatch is one environment step of every environment, its reset and its observation included.

const UNIT_FEATURES: u32 = 7u + TYPES;
const OWN_FEATURES: u32 = 4u + TYPES;
// What the world state's positions and type numbers are divided by: nothing, as in the reference, or their ranges.
const STATE_W: f32 = select(MAP_W, 1.0, RAW_STATE);
const STATE_H: f32 = select(MAP_H, 1.0, RAW_STATE);
const STATE_TYPES: f32 = select(f32(TYPES), 1.0, RAW_STATE);

/// Words for whom the rows of a conic observation show, a byte each: the unit's index + 1, 0 for none.
const LISTED_WORDS: u32 = (SECTIONS * PER_SECTION + 3u) / 4u;

/// Whom a row of an observation shows, if anyone.
struct Row { unit: u32, shown: bool }

@compute @workgroup_size(WORKGROUP)
fn env_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group.x + group.y * GROUPS_X, lane);
    barrier();
    load();
    decide();
    barrier();
    for (var w = 0u; w < WORLD_STEPS; w++) {
        act_all(w);
        barrier();
        settle();
        barrier();
        push_all();
        barrier();
    }
    outcome();
    barrier();
    tell_agents();
    if (AUTO_RESET && any_ended()) {
        features();
        observe_final();
        barrier();
        reset_ended();
    }
    store();
    features();
    observe_next();
}

/// Starts a fresh episode everywhere.
@compute @workgroup_size(WORKGROUP)
fn env_reset(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group.x + group.y * GROUPS_X, lane);
    barrier();
    load();
    if (leader) {
        e_ended[le()] = 1u;
        state[env_word(2u)] = 0u;
    }
    barrier();
    reset_ended();
    store();
    features();
    observe_next();
}

/// Shows the state as it is, after it was put in from outside.
@compute @workgroup_size(WORKGROUP)
fn env_observe(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group.x + group.y * GROUPS_X, lane);
    barrier();
    load();
    features();
    observe_next();
}
