// 5.3: continuous actions, four numbers in [0, 1] an agent. What comes of them is an attack action, or STOP and a move.

/// The last move of the unit at `b` of the arrays.
fn movement(b: u32) -> vec2<f32> { return vec2(mx[b], my[b]); }

fn note_move(i: u32, d: vec2<f32>) {
    mx[at(i)] = d.x;
    my[at(i)] = d.y;
}

fn load_move(i: u32) {
    mx[at(i)] = bitcast<f32>(state[unit_word(5u, i)]);
    my[at(i)] = bitcast<f32>(state[unit_word(6u, i)]);
}

fn store_move(i: u32) {
    state[unit_word(5u, i)] = bitcast<u32>(mx[at(i)]);
    state[unit_word(6u, i)] = bitcast<u32>(my[at(i)]);
}

/// Samples what unit `i` does. `told`: shoot_last_enemy, do_shoot, coordinate_1 (a radius), coordinate_2 (an angle).
fn decode(i: u32, told: vec4<f32>) -> u32 {
    let a = clamp(told, vec4(0.0), vec4(1.0));
    let r = draw(DRAW_DECISION, i);
    let step = a.z * on_circle(a.w);
    // The reference's do_shoot is the probability of moving (13).
    if (uniform01(r.x) < a.y) {
        note_move(i, step);
        return STOP;
    }
    note_move(i, vec2(0.0));
    // With probability 1 - shoot_last_enemy the last attack again: none, if the last decision was none.
    if (uniform01(r.y) >= a.x) { return select(STOP, act[at(i)], is_attack(act[at(i)])); }
    // Otherwise whichever opponent, alive or not, is closest to the point that a move would have aimed at.
    let x = px[at(i)] + step.x;
    let y = py[at(i)] + step.y;
    let first = select(0u, NA, is_ally(i));
    var closest = first;
    var closest_distance = 1e30;
    for (var j = first; j < first + opponents(i); j++) {
        let dx = px[at(j)] - x;
        let dy = py[at(j)] - y;
        let distance = sqrt(dx * dx + dy * dy);
        closest = select(closest, j, distance < closest_distance);
        closest_distance = min(closest_distance, distance);
    }
    return FIRST_ATTACK + select(NA - 1u - closest, closest - NA, is_ally(i));
}

fn told_action(i: u32) -> u32 {
    let word = ((slots.t * G + g) * A + i) * 4u;
    return decode(i, bitcast<vec4<f32>>(vec4(actions[word], actions[word + 1u], actions[word + 2u], actions[word + 3u])));
}

/// Four uniform numbers.
fn random_action(i: u32) -> u32 {
    let p = draw(DRAW_NUMBERS, i);
    let q = draw(DRAW_NUMBERS + 1u, i);
    return decode(i, vec4(uniform01(p.x), uniform01(p.y), uniform01(q.x), uniform01(q.y)));
}
