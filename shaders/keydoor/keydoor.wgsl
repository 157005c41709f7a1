// The 1D Key-Door corridor (docs/environments/keydoor.md): a key in the leftmost cell, a door in the rightmost, one agent.
// Constants: LENGTH, cells of the corridor; STARTS, how many of its states an episode may start in; FOLLOWS, whether the
// agent follows `policy`.

// Actions.
const LEFT: u32 = 0u;
const RIGHT: u32 = 1u;
const PICK_UP: u32 = 2u;
const UNLOCK: u32 = 3u;

// Purposes of random draws.
const PLACE: u32 = 0u;
const ACTION: u32 = 1u;

/// [2 * LENGTH, 4]: the probabilities of a state's actions up to and including each; one unused number where nobody follows.
@group(0) @binding(14) var<storage, read> policy: array<f32>;

var<private> e_cell: u32;
var<private> e_key: bool;
var<private> e_open: bool;
var<private> e_told: u32;  // an action that the next step takes whoever drives, plus 1; 0 for none

fn load() {
    let packed = state[word(0u)];
    e_cell = min(packed & 0xffffu, LENGTH - 1u);
    e_key = (packed & 0x10000u) != 0u;
    e_open = (packed & 0x20000u) != 0u;
    e_told = (packed >> 18u) & 7u;
}

fn store() {
    state[word(0u)] = e_cell | select(0u, 0x10000u, e_key) | select(0u, 0x20000u, e_open) | (e_told << 18u);
}

/// Number of the state: first those without the key.
fn place() -> u32 { return e_cell + select(0u, LENGTH, e_key); }

fn restart() {
    let s = below(draw(PLACE, 0u).x, STARTS);
    e_cell = s % LENGTH;
    e_key = s >= LENGTH;
    e_open = false;
    e_told = 0u;
}

/// The shortest way: to the key, pick it up, to the door, unlock it.
fn expert() -> u32 {
    if (!e_key) { return select(LEFT, PICK_UP, e_cell == 0u); }
    return select(RIGHT, UNLOCK, e_cell == LENGTH - 1u);
}

fn chosen() -> u32 {
    if (e_told > 0u) { return e_told - 1u; }
    if (FOLLOWS) {
        let u = uniform01(draw(ACTION, 0u).x);
        var a = LEFT;
        while (a < UNLOCK && u >= policy[4u * place() + a]) { a++; }
        return a;
    }
    switch DRIVER {
        case RANDOM: { return below(draw(ACTION, 0u).x, 4u); }
        case HEURISTIC: { return expert(); }
        default: { return told(0u); }
    }
}

fn advance() -> Outcome {
    // An open door is the end: nothing is paid and no step counts any more.
    var paid = 0.0;
    var length = e_step;
    if (!e_open) {
        let action = chosen();
        e_told = 0u;
        length += 1u;
        // What is not possible changes nothing.
        if (action == LEFT && e_cell > 0u) { e_cell -= 1u; }
        if (action == RIGHT && e_cell < LENGTH - 1u) { e_cell += 1u; }
        if (action == PICK_UP && e_cell == 0u) { e_key = true; }
        if (action == UNLOCK && e_cell == LENGTH - 1u && e_key) {
            e_open = true;
            paid = 1.0;
        }
    }
    let cut = length >= MAX_STEPS;
    pay(0u, paid);
    mark_done(0u, e_open || cut);
    return Outcome(e_open, cut, e_open, e_return + paid, length, vec2(0.0));
}

/// The state, one-hot; all zeros once the door is open.
fn observe(to_final: bool) {
    for (var s = 0u; s < 2u * LENGTH; s++) {
        let here = select(0.0, 1.0, s == place() && !e_open);
        show(0u, s, here, to_final);
        show_state(s, here, to_final);
    }
    if (!to_final) {
        for (var a = LEFT; a <= UNLOCK; a++) { allow(0u, a, true); }
    }
}
