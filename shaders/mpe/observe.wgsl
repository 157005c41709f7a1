// 5: what agents see: own velocity and position, then landmarks, other agents and other prey relative to the own position.

// Where features go.
const TO_NEXT: u32 = 0u;    // the next slot's observation and state
const TO_FINAL: u32 = 1u;   // what the episode ended with
const TO_PREY: u32 = 2u;    // `sensed`, the input of the pretrained prey

var<private> sensed: array<f32, max(PREY_SIZE, 1u)>;
var<private> obs_at: u32;
var<private> state_at: u32;
var<private> rank_x: array<f32, BODIES>;
var<private> rank_y: array<f32, BODIES>;
var<private> listed: array<u32, BODIES>;

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

/// 5.2: what bodies `first` to `last` are ranked by, least first; `i` itself comes last.
fn rank(i: u32, first: u32, last: u32, order: u32) {
    for (var j = first; j < last; j++) {
        var d = apart(j, i);
        // The reference subtracts the observer's position from a position that is already relative.
        if (order == DISPLACED) { d -= vec2(px[i], py[i]); }
        rank_x[j] = select(select(squared(d), d.x, order == LEXICOGRAPHIC), LARGEST, j == i);
        rank_y[j] = d.y;
    }
}

/// The body that ranks first among those not listed yet, the lower number where two rank alike.
fn take_first(first: u32, last: u32, order: u32) -> u32 {
    var best = first;
    for (var j = first + 1u; j < last; j++) {
        let tied = order == LEXICOGRAPHIC && rank_x[j] == rank_x[best] && rank_y[j] < rank_y[best];
        if (rank_x[j] < rank_x[best] || tied) { best = j; }
    }
    rank_x[best] = LARGEST;
    return best;
}

/// The relative positions of `count` of the bodies `first` to `last`, without `i`.
fn emit_list(i: u32, first: u32, last: u32, count: u32, order: u32, sink: u32) {
    if (order != BY_INDEX) { rank(i, first, last, order); }
    var index = first;
    for (var k = 0u; k < count; k++) {
        var j: u32;
        if (order == BY_INDEX) {
            if (index == i) { index += 1u; }
            j = index;
            index += 1u;
        } else {
            j = take_first(first, last, order);
        }
        listed[k] = j;
        emit(px[j] - px[i], sink);
        emit(py[j] - py[i], sink);
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
            for (var k = 0u; k < prey; k++) {
                emit(vx[listed[k]], sink);
                emit(vy[listed[k]], sink);
            }
        } else if (!is_prey(i)) {
            emit(vx[N - 1u], sink);
            emit(vy[N - 1u], sink);
        }
    }
    if (MESSAGES) {
        for (var k = 0u; k < 2u * (N - 1u); k++) { emit(0.0, sink); }
    }
    if (AGENT_ID) {
        for (var k = 0u; k < A; k++) { emit(select(0.0, 1.0, k == i), sink); }
    }
}

fn observe_to(sink: u32) {
    let env = select(slots.next * G, 0u, sink == TO_FINAL) + g;
    state_at = env * S;
    for (var i = 0u; i < NP; i++) {
        obs_at = (env * A + i) * D;
        sense(i, SEEN_LANDMARKS, SEEN_AGENTS, SEEN_PREY, sink);
        for (var k = AGENT_SIZE; k < D; k++) { put_obs((env * A + i) * D + k, 0.0, sink == TO_FINAL); }
    }
    for (var i = NP; i < A; i++) {
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
        for (var k = 0u; k < A * ACTIONS; k++) { avail[(slots.next * G + g) * A * ACTIONS + k] = 1.0; }
    }
}
