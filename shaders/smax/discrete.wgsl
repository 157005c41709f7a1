// 5.1, 5.2: discrete actions. What a unit did last, its last move included, is one number.

/// The last move of the unit at `b` of the arrays.
fn movement(b: u32) -> vec2<f32> { return direction(act[b]); }

fn note_move(i: u32, d: vec2<f32>) {}
fn load_move(i: u32) {}
fn store_move(i: u32) {}

fn told_action(i: u32) -> u32 { return actions[(slots.t * G + g) * A + i]; }

/// A uniform choice among the allowed actions.
fn random_action(i: u32) -> u32 {
    if (!alive(i)) { return STOP; }
    let reach_i = type_of(i).attack_range;
    var targets = 0u;
    for (var k = 0u; k < opponents(i); k++) {
        let j = slot_unit(i, k);
        targets += select(0u, 1u, alive(j) && between(i, j) < reach_i);
    }
    let rank = min(u32(uniform01(draw(DRAW_DECISION, i).x) * f32(FIRST_ATTACK + targets)), FIRST_ATTACK + targets - 1u);
    if (rank < FIRST_ATTACK) { return rank; }
    var left = rank - FIRST_ATTACK;
    for (var k = 0u; k < opponents(i); k++) {
        let j = slot_unit(i, k);
        let allowed = alive(j) && between(i, j) < reach_i;
        if (allowed && left == 0u) { return FIRST_ATTACK + k; }
        left -= select(0u, 1u, allowed);
    }
    return STOP; // not reached: rank counts the same targets
}
