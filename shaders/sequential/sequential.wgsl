// The sequential matrix game (docs/environments/sequential.md): in transition k = 1, 2, ... only agent k mod A matters, and the
// greatest action is right for it where k is even, the smallest where k is odd. Constant: MIDDLE, (ACTIONS - 1) / 2.

// The purpose of the random draw.
const ACTION: u32 = 0u;

var<private> e_last: f32;    // what the last transition paid; kept over the reset, for pictures
var<private> e_ended: bool;

fn load() {
    e_last = bitcast<f32>(state[word(0u)]);
    e_ended = state[word(1u)] != 0u;
}

fn store() {
    state[word(0u)] = bitcast<u32>(e_last);
    state[word(1u)] = select(0u, 1u, e_ended);
}

fn restart() { e_ended = false; }

/// The action of the agent that matters.
fn chosen(k: u32) -> u32 {
    let i = k % A;
    switch DRIVER {
        case RANDOM: { return below(draw(ACTION, i).x, ACTIONS); }
        case HEURISTIC: { return select(0u, ACTIONS - 1u, k % 2u == 0u); }
        default: { return min(told(i), ACTIONS - 1u); }
    }
}

fn advance() -> Outcome {
    let k = e_step + select(1u, 0u, e_ended);
    e_last = select((f32(chosen(k)) - MIDDLE) * select(-1.0, 1.0, k % 2u == 0u), 0.0, e_ended);
    let over = k >= MAX_STEPS;
    for (var i = 0u; i < A; i++) { pay(i, e_last); mark_done(i, over); }
    e_ended = over;
    let total = e_return + e_last;
    return Outcome(over, false, over && total >= MIDDLE * f32(MAX_STEPS), total, k, vec2(0.0));
}

/// All see how many transitions there were, one-hot; the critic sees what all see, one after the other.
fn observe(to_final: bool) {
    for (var i = 0u; i < A; i++) {
        for (var s = 0u; s < D; s++) {
            let x = select(0.0, 1.0, s == e_step);
            show(i, s, x, to_final);
            show_state(i * D + s, x, to_final);
        }
        if (!to_final) { for (var a = 0u; a < ACTIONS; a++) { allow(i, a, true); } }
    }
}
