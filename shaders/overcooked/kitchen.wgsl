// Overcooked, the rules of JaxMARL's version 1; section numbers are those of docs/environments/overcooked.md. All state is
// whole numbers, packed; observations change by what changed.
//
// Constants besides those of env.wgsl and thread.wgsl: W (columns), CELLS, POTS, COUNTERS, FLOORS, POT_WORDS,
// COUNTER_WORDS, TABLE (rows of the kitchen's table), START0, START1, SLOTS, RANDOM_RESET, PLATE_REWARD.

const CHANNELS: u32 = 26u;

// What a cell is. Directions and moves: 0 north (-y), 1 south, 2 east, 3 west.
const FLOOR: u32 = 0u;
const POT: u32 = 1u;
const COUNTER: u32 = 2u;
const ONION_PILE: u32 = 3u;
const PLATE_PILE: u32 = 4u;
const DELIVERY: u32 = 5u;

const MOVES: u32 = 4u;  // actions below are moves
const INTERACT: u32 = 5u;

// What is held, or lies on a counter.
const NOTHING: u32 = 0u;
const ONION: u32 = 1u;
const PLATE: u32 = 2u;
const DISH: u32 = 3u;

// Status of a pot: 23 empty, 22 and 21 one and two onions, 20 full, 19 .. 1 cooking, 0 ready.
const EMPTY: u32 = 23u;
const FULL: u32 = 20u;
const READY: u32 = 0u;

const DELIVERY_REWARD: f32 = 20.0;
const ONION_POINTS: u32 = 3u;
const PLATE_POINTS: u32 = 3u;
const SOUP_POINTS: u32 = 5u;

/// The last steps of an episode that plane 25 announces.
const URGENT_STEPS: u32 = 40u;

struct Kitchen {
    shaping: f32,  // weight of the shaped part of the reward
    pad0: u32,
    pad1: u32,
    pad2: u32,
    // Per cell its kind and, for pots and counters, its number among them (kind | number << 3); then the cells of the pots,
    // of the counters, and of the floor.
    table: array<vec4<u32>, TABLE>,
}

/// What each slot of the observations shows, the last one being final_obs: [SLOTS + 1, SHOWN_WORDS, G], the words being
/// the cooks with flags, the pots, the counters.
@group(0) @binding(14) var<storage, read_write> shown: array<u32>;
@group(0) @binding(15) var<uniform> kitchen: Kitchen;

fn entry(i: u32) -> u32 { return kitchen.table[i >> 2u][i & 3u]; }
fn kind(cell: u32) -> u32 { return entry(cell) & 7u; }
fn pot_cell(p: u32) -> u32 { return entry(CELLS + p); }
fn counter_cell(c: u32) -> u32 { return entry(CELLS + POTS + c); }
fn floor_cell(f: u32) -> u32 { return entry(CELLS + POTS + COUNTERS + f); }

// A cook is 15 bits: cell (11), facing (2), held (2). Two of them share word 0 of the state.
const COOK_BITS: u32 = 15u;
const COOK: u32 = 0x7fffu;
const NOBODY: u32 = COOK;  // of a slot that shows no cooks; no kitchen has so many cells

fn place(cook: u32) -> u32 { return min(cook & 0x7ffu, CELLS - 1u); }
fn facing(cook: u32) -> u32 { return (cook >> 11u) & 3u; }
fn held(cook: u32) -> u32 { return cook >> 13u; }
fn as_cook(cell: u32, dir: u32, item: u32) -> u32 { return cell | (dir << 11u) | (item << 13u); }

/// The neighbour of `cell` in direction `dir`. Kitchens are closed: nobody looks off the grid.
fn ahead(cell: u32, dir: u32) -> u32 {
    let step = select(1u, W, dir < 2u);
    return min(select(cell + step, cell - step, dir == 0u || dir == 3u), CELLS - 1u);
}

// The state's words: cooks, shaped points of the episode, pots (a byte each), counters (two bits each). Pots and counters
// are worked on in place.
const POTS_AT: u32 = 2u;
const COUNTERS_AT: u32 = POTS_AT + POT_WORDS;

var<private> cook: array<u32, 2>;
var<private> points: u32;      // shaped points of both agents in this episode
var<private> delivered: u32;   // soups delivered in this step
var<private> stepping: bool;   // is this a step, so that slots may be trusted to show what `shown` says?

fn load() {
    let packed = state[word(0u)];
    cook[0] = packed & COOK;
    cook[1] = (packed >> COOK_BITS) & COOK;
    points = state[word(1u)];
}

fn store() {
    state[word(0u)] = cook[0] | (cook[1] << COOK_BITS);
    state[word(1u)] = points;
}

fn pot_status(p: u32) -> u32 { return (state[word(POTS_AT + p / 4u)] >> (8u * (p % 4u))) & 255u; }

// Purposes of random draws.
const DRAW_ACTIONS: u32 = 0u;
const DRAW_COOKS: u32 = 1u;
const DRAW_PLACES: u32 = 2u;
const DRAW_POTS: u32 = 3u;

/// A fresh episode (§7).
fn restart() {
    points = 0u;
    let bits = draw(DRAW_COOKS, 0u);
    var cells = vec2(START0, START1);
    var items = vec2(NOTHING);
    if (RANDOM_RESET) {
        // Two cells of the floor: the second draw passes over the first one's.
        let places = draw(DRAW_PLACES, 0u);
        let first = below(places.x, FLOORS);
        let other = below(places.y, FLOORS - 1u);
        cells = vec2(floor_cell(first), floor_cell(select(other, other + 1u, other >= first)));
        items = (bits >> vec2(28u)) & vec2(3u);
    }
    cook[0] = as_cook(cells.x, bits.x >> 30u, items.x);
    cook[1] = as_cook(cells.y, bits.y >> 30u, items.y);
    for (var w = 0u; w < POT_WORDS; w++) {
        var packed = EMPTY * 0x01010101u;
        if (RANDOM_RESET) {
            for (var k = 0u; k < min(4u, POTS - 4u * w); k++) {
                let status = below(draw(DRAW_POTS, 4u * w + k).x, EMPTY + 1u);
                packed = (packed & ~(255u << (8u * k))) | (status << (8u * k));
            }
        }
        state[word(POTS_AT + w)] = packed;
    }
    for (var w = 0u; w < COUNTER_WORDS; w++) { state[word(COUNTERS_AT + w)] = 0u; }
}

/// Whether to take a plate from the pile earns points: no plate lies about, and fewer are carried than pots wait for one.
fn plate_is_useful() -> bool {
    var lying = 0u;
    for (var w = 0u; w < COUNTER_WORDS; w++) {
        let packed = state[word(COUNTERS_AT + w)];
        lying |= (packed >> 1u) & ~packed & 0x55555555u;
    }
    var carried = 0u;
    for (var i = 0u; i < 2u; i++) { carried += select(0u, 1u, held(cook[i]) == PLATE); }
    var filled = 0u;
    for (var p = 0u; p < POTS; p++) { filled += select(0u, 1u, pot_status(p) != EMPTY); }
    return lying == 0u && carried < filled;
}

/// Agent `i` uses what it faces (§5.2); returns the shaped points that it earns.
fn interact(i: u32) -> u32 {
    let item = held(cook[i]);
    let what = entry(ahead(place(cook[i]), facing(cook[i])));
    let number = what >> 3u;
    var now = item;
    var earned = 0u;
    switch what & 7u {
        case POT: {
            let at = word(POTS_AT + number / 4u);
            let shift = 8u * (number % 4u);
            let status = (state[at] >> shift) & 255u;
            if (item == ONION && status > FULL) {
                state[at] -= 1u << shift;
                now = NOTHING;
                earned = ONION_POINTS;
            } else if (item == PLATE && status == READY) {
                state[at] |= EMPTY << shift;
                now = DISH;
                earned = SOUP_POINTS;
            }
        }
        case COUNTER: {
            let at = word(COUNTERS_AT + number / 16u);
            let shift = 2u * (number % 16u);
            let lies = (state[at] >> shift) & 3u;
            // One of the two is nothing: put down or pick up.
            if ((item == NOTHING) != (lies == NOTHING)) {
                state[at] ^= (item ^ lies) << shift;
                now = lies;
            }
        }
        case ONION_PILE: {
            if (item == NOTHING) { now = ONION; }
        }
        case PLATE_PILE: {
            if (item == NOTHING) {
                if (PLATE_REWARD && plate_is_useful()) { earned = PLATE_POINTS; }
                now = PLATE;
            }
        }
        case DELIVERY: {
            if (item == DISH) {
                now = NOTHING;
                delivered += 1u;
            }
        }
        default: {}
    }
    cook[i] = as_cook(place(cook[i]), facing(cook[i]), now);
    return earned;
}

/// One step (§5): moves, facing, interactions in the order of the agents, pots.
fn advance() -> Outcome {
    stepping = true;
    var act: array<u32, 2>;
    if (DRIVER == RANDOM) {
        let bits = draw(DRAW_ACTIONS, 0u);
        act[0] = below(bits.x, ACTIONS);
        act[1] = below(bits.y, ACTIONS);
    } else {
        act[0] = told(0u);
        act[1] = told(1u);
    }
    let start = vec2(place(cook[0]), place(cook[1]));
    var to = start;
    for (var i = 0u; i < 2u; i++) {
        if (act[i] < MOVES) {
            let next = ahead(start[i], act[i]);
            if (kind(next) == FLOOR) { to[i] = next; }
        }
    }
    // Neither moves if both want one cell or each other's.
    let blocked = to.x == to.y || (to.x == start.y && to.y == start.x);
    for (var i = 0u; i < 2u; i++) {
        let dir = select(facing(cook[i]), act[i], act[i] < MOVES);
        cook[i] = as_cook(select(to[i], start[i], blocked), dir, held(cook[i]));
    }
    // Who interacts has neither moved nor turned; agent 1 finds what agent 0 left.
    delivered = 0u;
    var earned = vec2(0u);
    for (var i = 0u; i < 2u; i++) {
        if (act[i] == INTERACT) { earned[i] = interact(i); }
    }
    for (var w = 0u; w < POT_WORDS; w++) {
        let packed = state[word(POTS_AT + w)];
        let status = (vec4(packed) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u);
        let cooks = (status != vec4(READY)) & (status <= vec4(FULL));
        let ticked = packed - dot(select(vec4(0u), vec4(1u, 0x100u, 0x10000u, 0x1000000u), cooks), vec4(1u));
        if (ticked != packed) { state[word(POTS_AT + w)] = ticked; }
    }
    points += earned.x + earned.y;
    let paid = DELIVERY_REWARD * f32(delivered);
    let length = e_step + 1u;
    let ended = length >= MAX_STEPS;
    for (var i = 0u; i < 2u; i++) {
        pay(i, paid + kitchen.shaping * f32(earned[i]));
        mark_done(i, ended);
    }
    let total = e_return + paid;
    return Outcome(false, ended, false, total, length, vec2(total / DELIVERY_REWARD, f32(points)));
}

// Observations (§6): [2 agents, rows, columns, 26] numbers, of which a step changes a few dozen. `shown` remembers what a
// slot shows, and only the difference is written.

const KNOWN: u32 = 0x80000000u;   // flag of the first word: the slot shows what is remembered
const URGENT: u32 = 0x40000000u;  // plane 25 is on

/// Writes `x` to a channel of a cell in the observations of both agents.
fn put_both(row: u32, cell: u32, channel: u32, x: f32, to_final: bool) {
    let at = row + cell * CHANNELS + channel;
    put_obs(at, x, to_final);
    put_obs(at + D, x, to_final);
}

/// The kitchen without cooks, all pots empty and all counters bare, with time left.
fn observe_empty(row: u32, to_final: bool) {
    // One loop, too long to be unrolled: stores are many, compilers slow.
    for (var f = 0u; f < D; f++) {
        let cell = f / CHANNELS;
        let k = kind(cell);
        // Channel 10 pots, 11 bare counters, 12 onion piles, 14 plate piles, 15 delivery.
        let on = select(9u + k, 10u + k, k >= PLATE_PILE);
        put_both(row, cell, f % CHANNELS, select(0.0, 1.0, k != FLOOR && f % CHANNELS == on), to_final);
    }
    if (to_final) { return; }
    for (var i = 0u; i < 2u; i++) {
        for (var a = 0u; a < ACTIONS; a++) { allow(i, a, true); }
    }
}

/// An item in hand or on a counter appears (`on` = 1) or disappears (0).
fn observe_item(row: u32, cell: u32, item: u32, on: f32, to_final: bool) {
    if (item == ONION) { put_both(row, cell, 23u, on, to_final); }
    if (item == PLATE) { put_both(row, cell, 22u, on, to_final); }
    if (item == DISH) {
        put_both(row, cell, 18u, 3.0 * on, to_final);
        put_both(row, cell, 21u, on, to_final);
    }
}

/// Agent `i` appears as `cook` says (`on` = 1) or disappears (0): its cell, its facing there and what it holds there, as
/// far as they changed. Each agent sees itself in channels 0 and 2 to 5, the other one in 1 and 6 to 9.
fn observe_cook(row: u32, i: u32, cook: u32, changed: vec3<bool>, on: f32, to_final: bool) {
    let cell = place(cook);
    let own = row + cell * CHANNELS + select(0u, D, i == 1u);
    let others = row + cell * CHANNELS + select(D, 0u, i == 1u);
    if (changed.x) {
        put_obs(own, on, to_final);
        put_obs(others + 1u, on, to_final);
    }
    if (changed.y) {
        put_obs(own + 2u + facing(cook), on, to_final);
        put_obs(others + 6u + facing(cook), on, to_final);
    }
    if (changed.z) { observe_item(row, cell, held(cook), on, to_final); }
}

/// Onions in a pot that is not cooking; 3 where there is soup or will be; steps left to cook; ready.
fn pot_channels(status: u32) -> vec4<f32> {
    let filling = status >= FULL;
    return vec4(
        select(0.0, f32(min(EMPTY - min(status, EMPTY), 3u)), filling),
        select(3.0, 0.0, filling),
        select(f32(status), 0.0, filling),
        select(0.0, 1.0, status == READY),
    );
}

fn observe_pots(row: u32, w: u32, before: u32, now: u32, to_final: bool) {
    for (var k = 0u; k < min(4u, POTS - 4u * w); k++) {
        let was = (before >> (8u * k)) & 255u;
        let is = (now >> (8u * k)) & 255u;
        if (was != is) {
            let cell = pot_cell(4u * w + k);
            let a = pot_channels(was);
            let b = pot_channels(is);
            if (a.x != b.x) { put_both(row, cell, 16u, b.x, to_final); }
            if (a.y != b.y) { put_both(row, cell, 18u, b.y, to_final); }
            if (a.z != b.z) { put_both(row, cell, 20u, b.z, to_final); }
            if (a.w != b.w) { put_both(row, cell, 21u, b.w, to_final); }
        }
    }
}

fn observe_counters(row: u32, w: u32, before: u32, now: u32, to_final: bool) {
    var differ = before ^ now;
    while (differ != 0u) {
        let shift = firstTrailingBit(differ) & ~1u;
        differ &= ~(3u << shift);
        let was = (before >> shift) & 3u;
        let is = (now >> shift) & 3u;
        let cell = counter_cell(min(16u * w + shift / 2u, max(COUNTERS, 1u) - 1u));
        observe_item(row, cell, was, 0.0, to_final);
        observe_item(row, cell, is, 1.0, to_final);
        if (was == NOTHING || is == NOTHING) { put_both(row, cell, 11u, select(0.0, 1.0, is == NOTHING), to_final); }
    }
}

fn observe(to_final: bool) {
    let slot = select(slots.next, SLOTS, to_final);
    let memory = slot * (1u + POT_WORDS + COUNTER_WORDS) * G + g;
    let row = (select(slots.next * G, 0u, to_final) + g) * A * D;
    var before = shown[memory];
    if (!stepping || (before & KNOWN) == 0u) {
        observe_empty(row, to_final);
        before = NOBODY | (NOBODY << COOK_BITS);
        for (var w = 0u; w < POT_WORDS; w++) { shown[memory + (1u + w) * G] = EMPTY * 0x01010101u; }
        for (var w = 0u; w < COUNTER_WORDS; w++) { shown[memory + (1u + POT_WORDS + w) * G] = 0u; }
    }
    let urgent = e_step + URGENT_STEPS > MAX_STEPS;
    let now = cook[0] | (cook[1] << COOK_BITS) | select(0u, URGENT, urgent) | KNOWN;
    if (before != now) {
        shown[memory] = now;
        if (((before ^ now) & URGENT) != 0u) {
            for (var cell = 0u; cell < CELLS; cell++) { put_both(row, cell, 25u, select(0.0, 1.0, urgent), to_final); }
        }
        // All disappear before any appears: one may stand where the other stood.
        for (var appear = 0u; appear < 2u; appear++) {
            for (var i = 0u; i < 2u; i++) {
                let was = (before >> (COOK_BITS * i)) & COOK;
                let unseen = was == NOBODY;
                let moved = unseen || place(was) != place(cook[i]);
                let turned = moved || facing(was) != facing(cook[i]);
                let swapped = moved || held(was) != held(cook[i]);
                if (appear == 0u && unseen) { continue; }
                let shows = select(was, cook[i], appear == 1u);
                observe_cook(row, i, shows, vec3(moved, turned, swapped), f32(appear), to_final);
            }
        }
    }
    for (var w = 0u; w < POT_WORDS; w++) {
        let at = memory + (1u + w) * G;
        let is = state[word(POTS_AT + w)];
        let was = shown[at];
        if (was != is) {
            shown[at] = is;
            observe_pots(row, w, was, is, to_final);
        }
    }
    for (var w = 0u; w < COUNTER_WORDS; w++) {
        let at = memory + (1u + POT_WORDS + w) * G;
        let is = state[word(COUNTERS_AT + w)];
        let was = shown[at];
        if (was != is) {
            shown[at] = is;
            observe_counters(row, w, was, is, to_final);
        }
    }
}
