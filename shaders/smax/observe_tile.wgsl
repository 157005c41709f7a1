// Observation for the layout "tile": the workgroup writes the rows of its environments as one run of words, so that
// neighbouring invocations write neighbouring words.

fn see() {
    barrier();
    for (var i = unit_begin; i < A; i += UNIT_STRIDE) { prepare_rows(i); }
}

fn note_visible(i: u32) {
    for (var w = 0u; w < SEEN_WORDS; w++) {
        var bits = 0u;
        for (var j = w * 32u; j < min(N, w * 32u + 32u); j++) {
            bits |= select(0u, 1u << (j & 31u), sees(i, j));
        }
        seen[at(i) * SEEN_WORDS + w] = bits;
    }
}

fn visible(i: u32, j: u32, base: u32) -> bool {
    return ((seen[(base + i) * SEEN_WORDS + (j >> 5u)] >> (j & 31u)) & 1u) == 1u;
}

fn listed_row(i: u32, base: u32) -> u32 { return (base / N * A + i) * LISTED_WORDS; }

/// Word `f` of row `s` of what agent `i` observes. `base`: where its environment begins in the tile's arrays.
fn unit_feature(i: u32, s: u32, f: u32, base: u32) -> f32 {
    let shown = row(i, s, base);
    if (!shown.shown) { return 0.0; }
    let j = shown.unit;
    let bi = base + i;
    let bj = base + j;
    let shows = SEE_ENEMY_ACTIONS || is_ally(i) == is_ally(j);
    switch f {
        case 0u: { return hp_before[bj]; }
        case 1u: { return (px[bj] - px[bi]) / unit_types[kind[bi]].sight_range; }
        case 2u: { return (py[bj] - py[bi]) / unit_types[kind[bi]].sight_range; }
        case 3u: { return select(0.0, movement(bj).x, shows); }
        case 4u: { return select(0.0, movement(bj).y, shows); }
        case 5u: {
            let a = act[bj];
            return select(0.0, select(0.0, f32(a), is_attack(a)) / f32(STOP + opponents(j)), shows);
        }
        case 6u: { return cd_seen[bj]; }
        default: { return select(0.0, 1.0, f - 7u == kind[bj]); }
    }
}

/// `w`, `h`: what positions are divided by; `raw`: the cooldown in seconds instead of the observed share.
fn own_feature(b: u32, f: u32, w: f32, h: f32, raw: bool) -> f32 {
    if (hp[b] <= 0.0) { return 0.0; }
    switch f {
        case 0u: { return hp_before[b]; }
        case 1u: { return px[b] / w; }
        case 2u: { return py[b] / h; }
        case 3u: { return select(cd_seen[b], cd[b], raw); }
        default: { return select(0.0, 1.0, f - 4u == kind[b]); }
    }
}

fn observe(to_final: bool) {
    let envs = min(ENVS_PER_GROUP, max(G, group_first) - group_first);
    let first = select(slots.next * G, 0u, to_final) + group_first;
    for (var w = lane_; w < envs * A * D; w += WORKGROUP) {
        let env = w / (A * D);
        if (to_final && e_ended[env] == 0u) { continue; }
        let rest = w % (A * D);
        let i = rest / D;
        let d = rest % D;
        var x: f32;
        if (d < UNIT_FEATURES * ROWS) {
            x = unit_feature(i, d / UNIT_FEATURES, d % UNIT_FEATURES, env * N);
        } else {
            x = own_feature(env * N + i, d - UNIT_FEATURES * ROWS, MAP_W, MAP_H, false);
        }
        put_obs(first * A * D + w, x, to_final);
    }
    for (var w = lane_; w < envs * S; w += WORKGROUP) {
        let env = w / S;
        if (to_final && e_ended[env] == 0u) { continue; }
        let s = w % S;
        var x: f32;
        if (s < OWN_FEATURES * N) {
            x = own_feature(env * N + s / OWN_FEATURES, s % OWN_FEATURES, STATE_W, STATE_H, RAW_STATE);
        } else if (s < (OWN_FEATURES + 1u) * N) {
            x = select(1.0, 0.0, is_ally(s - OWN_FEATURES * N));
        } else {
            x = f32(kind[env * N + s - (OWN_FEATURES + 1u) * N]) / STATE_TYPES;
        }
        put_state(first * S + w, x, to_final);
    }
}

fn observe_final() { observe(true); }

// Continuous actions have no mask: the loop over it is empty, but its divisors may not be 0.
const MASK: u32 = max(ACTIONS, 1u);

fn observe_next() {
    observe(false);
    let envs = min(ENVS_PER_GROUP, max(G, group_first) - group_first);
    let first = slots.next * G + group_first;
    for (var w = lane_; w < envs * A * ACTIONS; w += WORKGROUP) {
        let env = w / (A * MASK);
        let rest = w % (A * MASK);
        let i = rest / MASK;
        let a = rest % MASK;
        let bi = env * N + i;
        let here = hp[bi] > 0.0;
        var allowed = here || a == STOP;
        if (is_attack(a)) {
            let k = a - FIRST_ATTACK;
            let bj = env * N + slot_unit(i, min(k, opponents(i) - 1u));
            let dx = px[bj] - px[bi];
            let dy = py[bj] - py[bi];
            let near = sqrt(dx * dx + dy * dy) < unit_types[kind[bi]].attack_range;
            allowed = k < opponents(i) && here && hp[bj] > 0.0 && near;
        }
        avail[first * A * ACTIONS + w] = select(0.0, 1.0, allowed);
    }
}
