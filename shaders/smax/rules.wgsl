// The rules of SMAX (JaxMARL 0.2.0). Section numbers are those of docs/environments/smax.md.
// What a phase reads of other units was written before the barrier in front of it; both layouts run the same phases.

struct UnitType {
    health: f32, attack: f32, attack_range: f32, sight_range: f32,
    radius: f32, velocity: f32, cooldown: f32, pad: f32,
}
@group(0) @binding(14) var<uniform> unit_types: array<UnitType, TYPES>;
@group(0) @binding(15) var<storage, read> replay: array<f32>;     // [G, WORLD_STEPS * N + N]: recorded noise, chased slots

// UNIT_FIELDS: x, y, health, cooldown, packed; with continuous actions the last move's x, y
const MEMORY_FIELDS: u32 = 2u; // goal x, y of a heuristic unit
const ENV_FIELDS: u32 = 3u;    // step, episode, return
const STATE_WORDS: u32 = UNIT_FIELDS * N + MEMORY_FIELDS * MEMORY_UNITS + ENV_FIELDS;

const STOP: u32 = 4u;
const FIRST_ATTACK: u32 = 5u;
const TARGETS: u32 = max(ACTIONS, FIRST_ATTACK) - FIRST_ATTACK; // of the mask; continuous actions have none
// The reference rotates a diagonal vector of components 0x3F3504F3; in binary32 its length rounds to this, not to 1.
const STRIDE: f32 = 0.99999994;
// Far below any radius: a dead unit's overlap with anyone is then negative, hence 0.
const NO_REACH: f32 = -1e9;

// Purposes of random draws; with the unit's index in the low 8 bits and the step above, no two draws share a counter.
const DRAW_POSITION: u32 = 0u;
const DRAW_TYPE: u32 = 1u;
const DRAW_FORMATION: u32 = 2u;
const DRAW_GROUP: u32 = 3u;
const DRAW_DECISION: u32 = 4u;
const DRAW_COOLDOWN: u32 = 5u;
const DRAW_ANOMALY: u32 = 6u;
const DRAW_NUMBERS: u32 = 7u; // and 8

fn draw(purpose: u32, i: u32) -> vec2<u32> {
    return threefry2x32(env_keys[g], vec2(e_episode[le()], (e_step[le()] << 12u) | (purpose << 8u) | i));
}

fn is_ally(i: u32) -> bool { return i < NA; }
fn driver(i: u32) -> u32 { return select(ENEMY_DRIVER, DRIVER, is_ally(i)); }
fn has_memory(i: u32) -> bool { return MEMORY_UNITS > 0u && i >= MEMORY_FIRST && i < MEMORY_FIRST + MEMORY_UNITS; }
fn opponents(i: u32) -> u32 { return select(NA, NE, is_ally(i)); }
fn type_of(i: u32) -> UnitType { return unit_types[kind[at(i)]]; }
fn alive(i: u32) -> bool { return hp[at(i)] > 0.0; }

/// The unit in opponent slot `k` of unit `i`: enemies count the allies from the last one down (5.1).
fn slot_unit(i: u32, k: u32) -> u32 { return select(NA - 1u - k, NA + k, is_ally(i)); }

fn direction(action: u32) -> vec2<f32> {
    switch action {
        case 0u: { return vec2(0.0, STRIDE); }
        case 1u: { return vec2(STRIDE, 0.0); }
        case 2u: { return vec2(0.0, -STRIDE); }
        case 3u: { return vec2(-STRIDE, 0.0); }
        default: { return vec2(0.0, 0.0); }
    }
}

fn between(i: u32, j: u32) -> f32 {
    let dx = px[at(j)] - px[at(i)];
    let dy = py[at(j)] - py[at(i)];
    return sqrt(dx * dx + dy * dy);
}

// ---- 10.2: who acts how --------------------------------------------------------------------------------------------

/// What unit `i` sees of the opponent in slot `k`: relative position and distance, as they come back from the observation
/// (divided by the sight range and multiplied again: both roundings decide ties at the attack range), and whether at all.
struct Sighting { x: f32, y: f32, distance: f32, visible: bool, in_range: bool }

fn sight(i: u32, k: u32, unit_type: UnitType) -> Sighting {
    let j = slot_unit(i, k);
    let dx = px[at(j)] - px[at(i)];
    let dy = py[at(j)] - py[at(i)];
    var s: Sighting;
    s.visible = alive(i) && alive(j) && sqrt(dx * dx + dy * dy) < unit_type.sight_range;
    s.x = dx / unit_type.sight_range * unit_type.sight_range;
    s.y = dy / unit_type.sight_range * unit_type.sight_range;
    s.distance = sqrt(s.x * s.x + s.y * s.y);
    s.in_range = s.visible && s.distance < unit_type.attack_range;
    return s;
}

fn heuristic_action(i: u32) -> u32 {
    let unit_type = type_of(i);
    let n = opponents(i);
    let o = own(i);
    var seen_count = 0u;
    var range_count = 0u;
    var closest = 0u;
    var closest_distance = sqrt(MAP_W * MAP_W + MAP_H * MAP_H);
    var keep = false; // is the previous victim still in range?
    for (var k = 0u; k < n; k++) {
        let s = sight(i, k, unit_type);
        seen_count += select(0u, 1u, s.visible);
        range_count += select(0u, 1u, s.in_range);
        let nearer = s.in_range && s.distance < closest_distance;
        closest = select(closest, k, nearer);
        closest_distance = select(closest_distance, s.distance, nearer);
        keep = keep || (s.in_range && k + 1u == last[o]);
    }
    let r = draw(DRAW_DECISION, i);
    let chase_rank = min(u32(uniform01(r.x) * f32(seen_count)), max(seen_count, 1u) - 1u);
    let shot_rank = min(u32(uniform01(r.y) * f32(range_count)), max(range_count, 1u) - 1u);
    // The rank-th visible opponent, and the rank-th in range.
    var chased = vec2(0.0, 0.0);
    var shot = 0u;
    var nth_seen = 0u;
    var nth_range = 0u;
    for (var k = 0u; k < n; k++) {
        let s = sight(i, k, unit_type);
        var pick = s.visible && nth_seen == chase_rank;
        if (REPLAY) { pick = f32(k) == replay[g * (WORLD_STEPS + 1u) * N + WORLD_STEPS * N + i]; }
        chased = select(chased, vec2(s.x, s.y), pick);
        nth_seen += select(0u, 1u, s.visible);
        shot = select(shot, k, s.in_range && nth_range == shot_rank);
        nth_range += select(0u, 1u, s.in_range);
    }
    let initial = goal_x[o] == 0.0 && goal_y[o] == 0.0 && last[o] == 0u;
    // Both options are the enemies'.
    let candidate = select(closest, shot, ATTACK_RANDOM && !is_ally(i));
    let victim = select(candidate, last[o] - 1u, keep);
    last[o] = select(0u, victim + 1u, range_count > 0u);
    // A dead unit observes only zeros, its own position included.
    let me = select(vec2(0.0, 0.0), vec2(px[at(i)] / MAP_W * MAP_W, py[at(i)] / MAP_H * MAP_H), alive(i));
    let center = vec2(MAP_W, MAP_H) / 2.0;
    if (initial) {
        // The point opposite the spawn.
        let opposite = -(me - center) + center;
        goal_x[o] = opposite.x;
        goal_y[o] = opposite.y;
    }
    let goal = select(vec2(goal_x[o], goal_y[o]), chased + me, seen_count > 0u);
    let v = goal - me;
    // The largest of (v.y, v.x, -v.y, -v.x), the first on ties: north, east, south, west.
    var action = 0u;
    var most = v.y;
    if (v.x > most) { action = 1u; most = v.x; }
    if (-v.y > most) { action = 2u; most = -v.y; }
    if (-v.x > most) { action = 3u; }
    return select(action, FIRST_ATTACK + victim, range_count > 0u && (ENEMY_SHOOTS || is_ally(i)));
}

fn decide() {
    pick_stopped();
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        let which = driver(i);
        var a = STOP;
        if (which == EXTERNAL) { a = told_action(i); }
        if (DRIVER == RANDOM || ENEMY_DRIVER == RANDOM) {
            if (which == RANDOM) { a = random_action(i); }
        }
        if (MEMORY_UNITS > 0u) {
            if (which == HEURISTIC) {
                a = heuristic_action(i);
                note_move(i, direction(a));
            }
        }
        if (is_stopped(i)) {
            a = STOP;
            note_move(i, vec2(0.0));
        }
        let k = a - FIRST_ATTACK;
        act[at(i)] = a;
        aim[at(i)] = N;
        if (a >= FIRST_ATTACK && k < opponents(i)) { aim[at(i)] = slot_unit(i, k); }
        hp_before[at(i)] = hp[at(i)];
        if (!REPLAY) { jitter[own(i)] = draw(DRAW_COOLDOWN, i); }
    }
}

// ---- 6.1: one world step -----------------------------------------------------------------------------------------

/// The random part of a cooldown, uniform in [-dt, 2 dt). A weapon that is ready again within the same decision takes
/// the second word; the options' check keeps cooldowns long enough that there is no third shot.
fn deviation(i: u32, world_step: u32) -> f32 {
    if (REPLAY) { return replay[g * (WORLD_STEPS + 1u) * N + world_step * N + i]; }
    let words = jitter[own(i)];
    jitter[own(i)] = vec2(words.y, words.x);
    return uniform01(words.x) * (3.0 * DT) - DT;
}

/// (a)-(c), (e): everyone moves, and everyone shoots by what was before this world step.
fn act_all(world_step: u32) {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        let unit_type = type_of(i);
        let here = alive(i);
        let d = movement(at(i)) * unit_type.velocity * DT;
        let x = max(min(px[at(i)] + d.x, MAP_W), 0.0);
        let y = max(min(py[at(i)] + d.y, MAP_H), 0.0);
        nx[at(i)] = select(px[at(i)], x, here);
        ny[at(i)] = select(py[at(i)], y, here);
        let t = min(aim[at(i)], N - 1u);
        let hit = aim[at(i)] < N && here && alive(t) && cd[at(i)] <= 0.0 && between(t, i) < unit_type.attack_range;
        damage[at(i)] = select(0.0, unit_type.attack, hit);
        let old = cd[at(i)];
        var change = -DT;
        if (hit) { change = (unit_type.cooldown + deviation(i, world_step)) - old; }
        cd[at(i)] = old + change;
    }
}

/// (d), (f), (g): damage adds up, walls kill, deaths are settled.
fn settle() {
    for (var j = unit_begin; j < N; j += UNIT_STRIDE) {
        let first = select(0u, NA, is_ally(j));
        let end = select(NA, N, is_ally(j));
        var lost = 0.0;
        for (var i = first; i < end; i++) {
            lost += select(0.0, damage[at(i)], aim[at(i)] == j);
        }
        var h = max(hp[at(j)] - lost, 0.0);
        let x = nx[at(j)];
        let y = ny[at(j)];
        if (WALLS_KILL && (x <= 0.0 || y <= 0.0 || x >= MAP_W || y >= MAP_H)) { h = 0.0; }
        hp[at(j)] = h;
        reach[at(j)] = select(NO_REACH, type_of(j).radius, h > 0.0);
    }
}

/// 6.4: one pass that pushes overlapping living units apart, from (nx, ny) to (px, py).
fn push(i: u32) {
    let x = nx[at(i)];
    let y = ny[at(i)];
    let r = reach[at(i)];
    var sx = 0.0;
    var sy = 0.0;
    for (var j = 0u; j < N; j++) {
        let dx = x - nx[at(j)];
        let dy = y - ny[at(j)];
        // For j = i the difference is 0, whatever the overlap.
        let distance = sqrt(dx * dx + dy * dy) + 1e-6;
        let overlap = max((r + reach[at(j)]) / distance - 1.0, 0.0);
        sx += dx * overlap;
        sy += dy * overlap;
    }
    px[at(i)] = x + sx / 2.0;
    py[at(i)] = y + sy / 2.0;
}

fn push_all() {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) { push(i); }
}

// ---- 6.2, 9: outcome ---------------------------------------------------------------------------------------------

fn living(first: u32, end: u32) -> u32 {
    var n = 0u;
    for (var i = first; i < end; i++) { n += select(0u, 1u, alive(i)); }
    return n;
}

/// |lost share of the health of units first..end in this decision|, averaged over them.
fn damage_share(first: u32, end: u32) -> f32 {
    var sum = 0.0;
    for (var i = first; i < end; i++) { sum += (hp[at(i)] - hp_before[at(i)]) / type_of(i).health; }
    return abs(sum) / f32(end - first);
}

fn outcome() {
    if (!leader) { return; }
    let allies = living(0u, NA);
    let enemies = living(NA, N);
    let won = enemies == 0u && allies > 0u;
    let lost = allies == 0u && enemies > 0u;
    var r = vec2(damage_share(NA, N), damage_share(0u, NA));
    if (SELF_PLAY_REWARD) { r = vec2(-select(0.0, WIN_BONUS, lost), -select(0.0, WIN_BONUS, won)); }
    r += vec2(select(0.0, WIN_BONUS, won), select(0.0, WIN_BONUS, lost));
    let step = e_step[le()];
    let over = allies == 0u || enemies == 0u;
    // The limit is compared with the count before this step: an undecided episode ends with step MAX_STEPS + 1.
    let cut = !over && step >= MAX_STEPS;
    e_reward[le()] = r;
    e_ended[le()] = select(0u, 1u, over || cut);
    e_step[le()] = step + 1u;
    let total = bitcast<f32>(state[env_word(2u)]) + r.x;
    state[env_word(2u)] = bitcast<u32>(select(total, 0.0, over || cut));
    tell(Outcome(over, cut, won, total, step + 1u, vec2(f32(allies), f32(enemies))));
}

fn tell_agents() {
    for (var i = unit_begin; i < A; i += UNIT_STRIDE) {
        let word = (slots.t * G + g) * A + i;
        reward[word] = select(e_reward[le()].y, e_reward[le()].x, is_ally(i));
        agent_done[word] = select(1.0, 0.0, alive(i));
        mark_stopped(i, word);
    }
}

// ---- 4: reset ----------------------------------------------------------------------------------------------------

/// Uniform in [-2, 2)².
fn scatter(i: u32) -> vec2<f32> {
    let r = draw(DRAW_POSITION, i);
    return vec2(uniform01(r.x), uniform01(r.y)) * 4.0 - 2.0;
}

fn spawn_fixed(i: u32) -> vec2<f32> {
    return vec2(select(3.0 * MAP_W / 4.0, MAP_W / 4.0, is_ally(i)), MAP_H / 2.0) + scatter(i);
}

fn left_half(i: u32) -> vec2<f32> {
    let r = draw(DRAW_POSITION, i);
    return vec2(uniform01(r.x) * (MAP_W / 2.0), uniform01(r.y) * MAP_H);
}

/// 4.2: one team surrounds the other, or the enemies mirror the allies.
fn spawn_smacv2(i: u32) -> vec2<f32> {
    let formation = draw(DRAW_FORMATION, 0u);
    if (uniform01(formation.x) >= 0.5) {
        if (is_ally(i)) { return left_half(i); }
        let mirrored = i - NA < NA;
        let p = left_half(select(i, i - NA, mirrored));
        return select(vec2(MAP_W / 2.0 + p.x, p.y), vec2(MAP_W - p.x, p.y), mirrored);
    }
    let inside = is_ally(i) == ((formation.y >> 31u) == 1u);
    if (inside) { return vec2(MAP_W, MAP_H) / 2.0 + scatter(i); }
    let group = draw(DRAW_GROUP, i).x >> 30u;
    let corner = vec2(select(0.0, MAP_W, group >= 2u), select(0.0, MAP_H, (group & 1u) == 1u));
    let t = uniform01(draw(DRAW_FORMATION, 1u + group).x);
    return t * (vec2(MAP_W, MAP_H) / 2.0) + (1.0 - t) * corner + scatter(i);
}

/// 4.3: types are fixed, or drawn among DRAWN_TYPES with the enemies copying the allies in order.
fn spawn_type(i: u32) -> u32 {
    if (!DRAW_TYPES) { return FIXED_TYPES[i]; }
    let copied = i >= NA && i - NA < NA;
    // JaxMARL's extra enemies are always marines; the races draw theirs as the allies'.
    if (i >= 2u * NA && EXTRA_ENEMIES_ARE_MARINES) { return 0u; }
    let r = uniform01(draw(DRAW_TYPE, select(i, i - NA, copied)).x);
    return DRAWN_TYPES[min(u32(r * f32(DRAWN)), DRAWN - 1u)];
}

/// Fresh units for the next episode, still to be pushed apart.
fn spawn() {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        if (e_ended[le()] == 0u) { continue; }
        let t = spawn_type(i);
        var p: vec2<f32>;
        if (SMACV2_POSITIONS) { p = spawn_smacv2(i); } else { p = spawn_fixed(i); }
        kind[at(i)] = t;
        nx[at(i)] = p.x;
        ny[at(i)] = p.y;
        hp[at(i)] = unit_types[t].health;
        cd[at(i)] = 0.0;
        act[at(i)] = STOP;
        note_move(i, vec2(0.0));
        reach[at(i)] = unit_types[t].radius;
        last[own(i)] = 0u;
        goal_x[own(i)] = 0.0;
        goal_y[own(i)] = 0.0;
    }
}

/// Replaces the environments that ended. Within, the step counter is 0 and the episode counter the next one.
fn reset_ended() {
    if (leader && e_ended[le()] != 0u) {
        e_step[le()] = 0u;
        e_episode[le()] += 1u;
    }
    barrier();
    spawn();
    barrier();
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        if (e_ended[le()] != 0u) { push(i); }
    }
    barrier();
}

// ---- state in memory ---------------------------------------------------------------------------------------------

fn load() {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        px[at(i)] = bitcast<f32>(state[unit_word(0u, i)]);
        py[at(i)] = bitcast<f32>(state[unit_word(1u, i)]);
        hp[at(i)] = bitcast<f32>(state[unit_word(2u, i)]);
        cd[at(i)] = bitcast<f32>(state[unit_word(3u, i)]);
        let packed = state[unit_word(4u, i)];
        kind[at(i)] = packed & 0xffu;
        act[at(i)] = (packed >> 8u) & 0xffu;
        last[own(i)] = (packed >> 16u) & 0xffu;
        load_move(i);
        if (has_memory(i)) {
            goal_x[own(i)] = bitcast<f32>(state[memory_word(0u, i)]);
            goal_y[own(i)] = bitcast<f32>(state[memory_word(1u, i)]);
        }
    }
    if (leader) {
        e_step[le()] = state[env_word(0u)];
        e_episode[le()] = state[env_word(1u)];
    }
    barrier();
}

fn store() {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        state[unit_word(0u, i)] = bitcast<u32>(px[at(i)]);
        state[unit_word(1u, i)] = bitcast<u32>(py[at(i)]);
        state[unit_word(2u, i)] = bitcast<u32>(hp[at(i)]);
        state[unit_word(3u, i)] = bitcast<u32>(cd[at(i)]);
        state[unit_word(4u, i)] = kind[at(i)] | (act[at(i)] << 8u) | (last[own(i)] << 16u);
        store_move(i);
        if (has_memory(i)) {
            state[memory_word(0u, i)] = bitcast<u32>(goal_x[own(i)]);
            state[memory_word(1u, i)] = bitcast<u32>(goal_y[own(i)]);
        }
    }
    if (leader) {
        state[env_word(0u)] = e_step[le()];
        state[env_word(1u)] = e_episode[le()];
    }
}

// ---- 7.1 features that a unit shows to everyone --------------------------------------------------------------------

/// Health and cooldown as they are observed, computed once a unit: (hp_before, cd_seen) hold them from here on.
fn features() {
    for (var i = unit_begin; i < N; i += UNIT_STRIDE) {
        let unit_type = type_of(i);
        hp_before[at(i)] = hp[at(i)] / unit_type.health;
        cd_seen[at(i)] = clamp(cd[at(i)] / unit_type.cooldown, 0.0, 1.0);
    }
    see();
    barrier();
}

fn is_attack(a: u32) -> bool { return a >= FIRST_ATTACK; }

/// 7.1: feature 5, the last attack action over the unit's largest action number.
fn attack_feature(j: u32) -> f32 {
    let a = act[at(j)];
    return select(0.0, f32(a), is_attack(a)) / f32(STOP + opponents(j));
}

fn sees(i: u32, j: u32) -> bool {
    return alive(i) && alive(j) && between(i, j) < type_of(i).sight_range;
}
