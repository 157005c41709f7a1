// 5: what agents see: own velocity and position, then landmarks, other agents and other prey relative to the own position.

// Where features go.
const TO_NEXT: u32 = 0u;    // the next slot's observation and state
const TO_FINAL: u32 = 1u;   // what the episode ended with
const TO_PREY: u32 = 2u;    // `sensed`, the input of the pretrained prey

var<private> sensed: array<f32, PREY_SIZE>;
var<private> obs_at: u32;
var<private> state_at: u32;
// A list in the making.
var<private> near_key: array<f32, MOST_SEEN>;
var<private> near: array<vec2<f32>, MOST_SEEN>;
var<private> listed: array<u32, MOST_SEEN>;

fn emit(x: f32, sink: u32) {
    if (sink == TO_PREY) {
        sensed[obs_at] = x;
    } else {
        put_obs(obs_at, x, sink == TO_FINAL);
        put_state(state_at, x, sink == TO_FINAL);
        state_at += 1u;
    }
    obs_at += 1u;
}

/// The relative positions of `count` of the bodies `first` to `last`, without `i`; their numbers in `listed`.
fn emit_list(i: u32, first: u32, last: u32, count: u32, order: u32, sink: u32) {
    if (order == BY_INDEX) {
        var j = first;
        for (var k = 0u; k < inner(count); k++) {
            if (j == i) { j += 1u; }
            listed[k] = j;
            emit(px[j] - px[i], sink);
            emit(py[j] - py[i], sink);
            j += 1u;
        }
        return;
    }
    // 5.2: an insertion sort that keeps the first `count`; of two that rank alike, the lower number comes first.
    for (var k = 0u; k < inner(count); k++) { near_key[k] = LARGEST; }
    for (var j = first; j < up_to(last); j++) {
        var d = apart(j, i);
        var who = j;
        // The displaced key subtracts the observer's position from a position that is already relative, as STAS does.
        let ranked_by = select(d, d - vec2(px[i], py[i]), order == DISPLACED);
        var key = select(select(squared(ranked_by), d.x, order == LEXICOGRAPHIC), LARGEST, j == i);
        for (var k = 0u; k < inner(count); k++) {
            let tied = order == LEXICOGRAPHIC && key == near_key[k] && d.y < near[k].y;
            let sooner = key < near_key[k] || (tied && key < LARGEST);
            let next_key = select(key, near_key[k], sooner);
            let next_d = select(d, near[k], sooner);
            let next_who = select(who, listed[k], sooner);
            near_key[k] = select(near_key[k], key, sooner);
            near[k] = select(near[k], d, sooner);
            listed[k] = select(listed[k], who, sooner);
            key = next_key;
            d = next_d;
            who = next_who;
        }
    }
    for (var k = 0u; k < inner(count); k++) {
        emit(near[k].x, sink);
        emit(near[k].y, sink);
    }
}

/// 5.1: the features of body `i`, which sees so many landmarks, agents and prey.
fn sense(i: u32, landmarks: u32, agents: u32, prey: u32, sink: u32) {
    emit(vx[i], sink);
    emit(vy[i], sink);
    emit(px[i], sink);
    emit(py[i], sink);
    emit_list(i, N, BODIES, landmarks, LANDMARK_ORDER, sink);
    emit_list(i, 0u, NP, agents, AGENT_ORDER, sink);
    if (NG > 0u) {
        emit_list(i, NP, N, prey, AGENT_ORDER, sink);
        if (!LAST_PREY_ONLY) {
            for (var k = 0u; k < inner(prey); k++) {
                emit(vx[listed[k]], sink);
                emit(vy[listed[k]], sink);
            }
        } else if (!is_prey(i)) {
            emit(vx[N - 1u], sink);
            emit(vy[N - 1u], sink);
        }
    }
    if (MESSAGES) {
        for (var k = 0u; k < inner(2u * (N - 1u)); k++) { emit(0.0, sink); }
    }
    if (AGENT_ID) {
        for (var k = 0u; k < A; k++) { emit(select(0.0, 1.0, k == i), sink); }
    }
}

fn observe_to(sink: u32) {
    let env = select(slots.next * G, 0u, sink == TO_FINAL) + g;
    state_at = env * S;
    for (var i = 0u; i < up_to(NP); i++) {
        obs_at = (env * A + i) * D;
        sense(i, SEEN_LANDMARKS, SEEN_AGENTS, SEEN_PREY, sink);
        for (var k = AGENT_SIZE; k < D; k++) { put_obs((env * A + i) * D + k, 0.0, sink == TO_FINAL); }
    }
    for (var i = NP; i < up_to(A); i++) {
        obs_at = (env * A + i) * D;
        sense(i, PREY_SEEN_LANDMARKS, PREY_SEEN_AGENTS, PREY_SEEN_PREY, sink);
        for (var k = PREY_SIZE; k < D; k++) { put_obs((env * A + i) * D + k, 0.0, sink == TO_FINAL); }
    }
}

fn observe(to_final: bool) {
    if (to_final) {
        observe_to(TO_FINAL);
        return;
    }
    observe_to(TO_NEXT);
    if (!CONTINUOUS) {
        for (var k = 0u; k < inner(A * ACTIONS); k++) { avail[(slots.next * G + g) * A * ACTIONS + k] = 1.0; }
    }
}
