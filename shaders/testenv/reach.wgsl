// A game for tests, match.wgsl for continuous actions: every agent is shown D numbers in [-1, 1) and should answer with them. The
// team loses the mean square of how far the answers are off. Episodes end as in match.wgsl; an agent whose first number is below
// -0.5 counts as done.

const WORDS: u32 = 1u + A * D;

var<private> draws: u32;
var<private> shown: array<f32, A * D>;

fn load() {
    draws = state[word(0u)];
    for (var i = 0u; i < A * D; i++) { shown[i] = bitcast<f32>(state[word(1u + i)]); }
}

fn store() {
    state[word(0u)] = draws;
    for (var i = 0u; i < A * D; i++) { state[word(1u + i)] = bitcast<u32>(shown[i]); }
}

fn restart() {
    for (var i = 0u; i < A * D; i++) {
        shown[i] = 2.0 * uniform01(threefry2x32(env_keys[g], vec2(draws * A * D + i, 0u)).x) - 1.0;
    }
    draws += 1u;
}

fn advance() -> Outcome {
    var off = 0.0;
    for (var i = 0u; i < A; i++) {
        for (var k = 0u; k < D; k++) {
            let d = told_number(i, k, D) - shown[i * D + k];
            off += d * d;
        }
        mark_done(i, shown[i * D] < -0.5);
    }
    let paid = -off / f32(A * D);
    for (var i = 0u; i < A; i++) { pay(i, paid); }
    restart();
    let length = e_step + 1u;
    let ended = length == MAX_STEPS;
    let even = g % 2u == 0u;
    return Outcome(ended && even, ended && !even, false, e_return + paid, length, vec2(0.0));
}

fn observe(to_final: bool) {
    for (var i = 0u; i < A; i++) {
        for (var k = 0u; k < D; k++) {
            show(i, k, shown[i * D + k], to_final);
            show_state(i * D + k, shown[i * D + k], to_final);
        }
    }
}
