// The one-step traffic junction (docs/environments/junction.md): two agents wait or move, and are paid 1 if exactly one of
// them moves.

const WAIT: u32 = 0u;
const MOVE: u32 = 1u;
// The purpose of the random draw.
const ACTION: u32 = 0u;

var<private> e_moved: array<bool, 2>;  // in the last step; kept over the reset, for pictures
var<private> e_ended: bool;

fn load() {
    let packed = state[word(0u)];
    e_moved = array((packed & 1u) != 0u, (packed & 2u) != 0u);
    e_ended = (packed & 4u) != 0u;
}

fn store() {
    state[word(0u)] = select(0u, 1u, e_moved[0]) | select(0u, 2u, e_moved[1]) | select(0u, 4u, e_ended);
}

fn restart() { e_ended = false; }

fn advance() -> Outcome {
    if (!e_ended) {
        switch DRIVER {
            case RANDOM: {
                let bits = draw(ACTION, 0u);
                e_moved = array((bits.x >> 31u) == MOVE, (bits.y >> 31u) == MOVE);
            }
            case HEURISTIC: { e_moved = array(true, false); }
            default: { e_moved = array(told(0u) != WAIT, told(1u) != WAIT); }
        }
    }
    let passed = e_moved[0] != e_moved[1];
    let paid = select(0.0, 1.0, passed && !e_ended);
    for (var i = 0u; i < 2u; i++) { pay(i, paid); mark_done(i, true); }
    e_ended = true;
    return Outcome(true, false, passed, e_return + paid, 1u, vec2(0.0));
}

/// Each sees its number. There is no state: the critic's input is a constant.
fn observe(to_final: bool) {
    show_state(0u, 0.0, to_final);
    for (var i = 0u; i < 2u; i++) {
        show(i, 0u, f32(i), to_final);
        if (!to_final) { allow(i, WAIT, true); allow(i, MOVE, true); }
    }
}
