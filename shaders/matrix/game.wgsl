// A finite team game from tables (docs/environments/matrix.md): in a state of the game every joint action has two payoffs,
// paid with probability 1/2 each, and leads to a state. Constants: STATES; JOINT; COUNTS and STRIDES, actions of each
// agent and what one more of them adds to the joint action; FEATURES of a state and STATE_COPIES of them for the critic;
// START; LAST_ACTION and AGENT_ID, what agents see; STOCHASTIC.

/// Three words for every state and joint action: payoffs as bits of f32, what follows. Then FEATURES words a state.
@group(0) @binding(14) var<storage, read> game: array<u32>;

// Bits of what follows, above the number of the state.
const ENDS: u32 = 0x80000000u;     // the episode ends
const OPTIMAL: u32 = 0x40000000u;  // the joint action is a best one
const NUMBER: u32 = 0x0fffffffu;

// Purposes of random draws.
const PAYOFF: u32 = 0u;
const ACTION: u32 = 1u;

var<private> e_state: u32;
var<private> e_ended: bool;
var<private> e_optimal: bool;  // every joint action of the episode was a best one
var<private> e_last: u32;      // the last joint action plus 1, 0 before the first; kept over a reset, for pictures

fn load() {
    let packed = state[word(0u)];
    e_state = min(packed & NUMBER, STATES - 1u);
    e_ended = (packed & ENDS) != 0u;
    e_optimal = (packed & OPTIMAL) != 0u;
    e_last = min(state[word(1u)], JOINT);
}

fn store() {
    state[word(0u)] = e_state | select(0u, ENDS, e_ended) | select(0u, OPTIMAL, e_optimal);
    state[word(1u)] = e_last;
}

fn restart() {
    e_state = START;
    e_ended = false;
    e_optimal = true;
}

/// The number of agent `i`'s action in joint action `u`.
fn action_in(u: u32, i: u32) -> u32 { return u / STRIDES[i] % COUNTS[i]; }

fn following(u: u32) -> u32 { return game[3u * (e_state * JOINT + u) + 2u]; }

/// The first of the best joint actions.
fn best() -> u32 {
    for (var u = 0u; u < JOINT; u++) {
        if ((following(u) & OPTIMAL) != 0u) { return u; }
    }
    return 0u;
}

fn joint_action() -> u32 {
    if (DRIVER == HEURISTIC) { return best(); }
    var u = 0u;
    var bits = vec2(0u);
    for (var i = 0u; i < A; i++) {
        var a = 0u;
        if (DRIVER == RANDOM) {
            if (i % 2u == 0u) { bits = draw(ACTION, i / 2u); }
            a = below(select(bits.y, bits.x, i % 2u == 0u), COUNTS[i]);
        } else {
            a = min(told(i), COUNTS[i] - 1u);
        }
        u += a * STRIDES[i];
    }
    return u;
}

fn advance() -> Outcome {
    if (e_ended) {
        for (var i = 0u; i < A; i++) { pay(i, 0.0); mark_done(i, true); }
        return Outcome(true, false, e_optimal, e_return, e_step, vec2(0.0));
    }
    let u = joint_action();
    var paid = bitcast<f32>(game[3u * (e_state * JOINT + u)]);
    if (STOCHASTIC && (draw(PAYOFF, 0u).x >> 31u) == 1u) {
        paid = bitcast<f32>(game[3u * (e_state * JOINT + u) + 1u]);
    }
    let next = following(u);
    e_state = next & NUMBER;
    e_ended = (next & ENDS) != 0u;
    e_optimal = e_optimal && (next & OPTIMAL) != 0u;
    e_last = u + 1u;
    let length = e_step + 1u;
    let cut = length >= MAX_STEPS;
    for (var i = 0u; i < A; i++) { pay(i, paid); mark_done(i, e_ended || cut); }
    return Outcome(e_ended, cut, e_optimal, e_return + paid, length, vec2(0.0));
}

/// What there is to see, feature `k`: of the state, or the last actions one-hot, agent after agent.
fn feature(k: u32) -> f32 {
    if (!LAST_ACTION) { return bitcast<f32>(game[3u * STATES * JOINT + e_state * FEATURES + k]); }
    if (e_step == 0u) { return -1.0; }
    var i = 0u;
    var a = k;
    while (a >= COUNTS[i]) { a -= COUNTS[i]; i++; }
    return select(0.0, 1.0, action_in(e_last - 1u, i) == a);
}

fn observe(to_final: bool) {
    for (var k = 0u; k < FEATURES; k++) {
        let x = feature(k);
        for (var i = 0u; i < A; i++) { show(i, k, x, to_final); }
        for (var copy = 0u; copy < STATE_COPIES; copy++) { show_state(copy * FEATURES + k, x, to_final); }
    }
    for (var i = 0u; i < A; i++) {
        if (AGENT_ID) {
            for (var j = 0u; j < A; j++) { show(i, FEATURES + j, select(0.0, 1.0, i == j), to_final); }
        }
        if (!to_final) {
            for (var a = 0u; a < ACTIONS; a++) { allow(i, a, a < COUNTS[i]); }
        }
    }
}
