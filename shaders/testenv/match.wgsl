// A game for tests: every agent is shown a number and should answer with it. The team is paid the share of right answers.
// Episodes last MAX_STEPS steps; those of even environments then terminate, those of odd ones are truncated.
// An agent that is shown 0 has action 3 forbidden, and counts as done. Constant: FRAGILE (1: an episode terminates where nobody is
// right; 2: seldom then).

const WORDS: u32 = 1u + A;

var<private> draws: u32;
var<private> shown: array<u32, A>;

fn load() {
    draws = state[word(0u)];
    for (var i = 0u; i < A; i++) { shown[i] = state[word(1u + i)]; }
}

fn store() {
    state[word(0u)] = draws;
    for (var i = 0u; i < A; i++) { state[word(1u + i)] = shown[i]; }
}

fn restart() {
    for (var i = 0u; i < A; i++) { shown[i] = threefry2x32(env_keys[g], vec2(draws * A + i, 0u)).x % ACTIONS; }
    draws += 1u;
}

fn advance() -> Outcome {
    var right = 0u;
    for (var i = 0u; i < A; i++) {
        if (told(i) == shown[i]) { right += 1u; }
        mark_done(i, shown[i] == 0u);
    }
    let broken = right == 0u && (FRAGILE == 1u || (FRAGILE == 2u && shown[0] == 1u && shown[1] < 2u));
    let paid = f32(right) / f32(A);
    for (var i = 0u; i < A; i++) { pay(i, paid); }
    restart();
    let length = e_step + 1u;
    let ended = length == MAX_STEPS;
    let even = g % 2u == 0u;
    return Outcome(broken || (ended && even), ended && !even && !broken, false, e_return + paid, length, vec2(0.0));
}

fn observe(to_final: bool) {
    for (var i = 0u; i < A; i++) {
        for (var k = 0u; k < ACTIONS; k++) {
            let on = select(0.0, 1.0, k == shown[i]);
            show(i, k, on, to_final);
            show_state(i * ACTIONS + k, on, to_final);
            if (!to_final) { allow(i, k, !(shown[i] == 0u && k == 3u)); }
        }
    }
}
