// Observation for the layout "thread": an invocation writes all that its environment shows.

fn see() {}

/// `base` is 0: the arrays hold one environment.
fn visible(i: u32, j: u32, base: u32) -> bool { return sees(i, j); }
fn note_visible(i: u32) {}
fn listed_row(i: u32, base: u32) -> u32 { return 0u; }

fn observe_agent(i: u32, base: u32, to_final: bool) {
    let sight_range = type_of(i).sight_range;
    var at_word = base;
    prepare_rows(i);
    for (var s = 0u; s < ROWS; s++) {
        let shown = row(i, s, 0u);
        let j = shown.unit;
        let visible = shown.shown;
        let shows = visible && (SEE_ENEMY_ACTIONS || is_ally(i) == is_ally(j));
        let d = movement(at(j));
        let k = kind[at(j)];
        put_obs(at_word, select(0.0, hp_before[at(j)], visible), to_final);
        put_obs(at_word + 1u, select(0.0, (px[at(j)] - px[at(i)]) / sight_range, visible), to_final);
        put_obs(at_word + 2u, select(0.0, (py[at(j)] - py[at(i)]) / sight_range, visible), to_final);
        put_obs(at_word + 3u, select(0.0, d.x, shows), to_final);
        put_obs(at_word + 4u, select(0.0, d.y, shows), to_final);
        put_obs(at_word + 5u, select(0.0, attack_feature(j), shows), to_final);
        put_obs(at_word + 6u, select(0.0, cd_seen[at(j)], visible), to_final);
        for (var t = 0u; t < TYPES; t++) {
            put_obs(at_word + 7u + t, select(0.0, 1.0, visible && t == k), to_final);
        }
        at_word += UNIT_FEATURES;
    }
    let here = alive(i);
    put_obs(at_word, select(0.0, hp_before[at(i)], here), to_final);
    put_obs(at_word + 1u, select(0.0, px[at(i)] / MAP_W, here), to_final);
    put_obs(at_word + 2u, select(0.0, py[at(i)] / MAP_H, here), to_final);
    put_obs(at_word + 3u, select(0.0, cd_seen[at(i)], here), to_final);
    for (var t = 0u; t < TYPES; t++) {
        put_obs(at_word + 4u + t, select(0.0, 1.0, here && t == kind[at(i)]), to_final);
    }
}

fn observe_state(base: u32, to_final: bool) {
    for (var i = 0u; i < N; i++) {
        let here = alive(i);
        let word = base + i * OWN_FEATURES;
        put_state(word, select(0.0, hp_before[at(i)], here), to_final);
        put_state(word + 1u, select(0.0, px[at(i)] / STATE_W, here), to_final);
        put_state(word + 2u, select(0.0, py[at(i)] / STATE_H, here), to_final);
        put_state(word + 3u, select(0.0, select(cd_seen[at(i)], cd[at(i)], RAW_STATE), here), to_final);
        for (var t = 0u; t < TYPES; t++) {
            put_state(word + 4u + t, select(0.0, 1.0, here && t == kind[at(i)]), to_final);
        }
        put_state(base + OWN_FEATURES * N + i, select(1.0, 0.0, is_ally(i)), to_final);
        put_state(base + (OWN_FEATURES + 1u) * N + i, f32(kind[at(i)]) / STATE_TYPES, to_final);
    }
}

fn observe_final() {
    if (e_ended[0] == 0u || unit_begin > 0u) { return; }
    for (var i = 0u; i < A; i++) { observe_agent(i, (g * A + i) * D, true); }
    observe_state(g * S, true);
}

fn observe_next() {
    if (unit_begin > 0u) { return; }
    let env = slots.next * G + g;
    for (var i = 0u; i < A; i++) {
        observe_agent(i, (env * A + i) * D, false);
        let mask = (env * A + i) * ACTIONS;
        let here = alive(i);
        let attack_range = type_of(i).attack_range;
        for (var a = 0u; a < min(ACTIONS, FIRST_ATTACK); a++) { avail[mask + a] = select(0.0, 1.0, here || a == STOP); }
        for (var k = 0u; k < TARGETS; k++) {
            let exists = k < opponents(i);
            let j = slot_unit(i, min(k, opponents(i) - 1u));
            let allowed = exists && here && alive(j) && between(i, j) < attack_range;
            avail[mask + FIRST_ATTACK + k] = select(0.0, 1.0, allowed);
        }
    }
    observe_state(env * S, false);
}
