// Level generation: random choices, placing things, reachability, missions. The level's own file defines `level() -> bool`, which
// fills the empty level of `tables` and says whether the result is valid; an invalid one is drawn again from the start, as the
// reference does. Constants: KEYS_MATTER, START_CARRYING (§8, §10).

/// Draws of a level generation: one purpose after the other from 1 on, 4,096 each.
const DRAWS: u32 = 15u * 4096u;
const ATTEMPTS: u32 = 4096u;
/// Tries to place one thing, after which the reference draws the whole level again.
const TRIES: u32 = 1000u;

var<private> drawn: u32;

fn random() -> u32 {
    let n = min(drawn, DRAWS - 1u);
    drawn += 1u;
    return draw(1u + (n >> 12u), n & 4095u).x;
}

fn roll(n: u32) -> u32 { return choose(random(), n); }
/// Uniform among low .. high - 1.
fn between(low: i32, high: i32) -> i32 { return low + i32(roll(u32(high - low))); }
fn coin() -> bool { return roll(2u) == 1u; }
/// Key, ball or box.
fn random_portable() -> u32 { return KEY + roll(3u); }
fn thing(kind: u32, colour: u32) -> u32 { return kind | (colour << 4u); }

fn set_clause(k: u32, kind: u32, first: u32, second: u32) {
    clauses[k] = kind | (first << 3u) | (second << 14u);
}

fn desc(id: u32, colour: u32) -> u32 { return id | (colour << 4u); }
/// The description of an object by kind and colour.
fn desc_of(cell: u32) -> u32 { return desc(type_of(cell), (cell >> 4u) & 7u); }

/// The mission is one clause.
fn single(kind: u32, first: u32, second: u32) {
    set_clause(0u, kind, first, second);
    mission = 0u;
}

/// Two parts, one clause each.
fn in_order(form: u32, strict: bool) { mission = (form << 13u) | (u32(strict) << 15u); }

fn navigations_of(clause: u32) -> u32 {
    return select(select(1u, 2u, (clause & 7u) == PUT_NEXT), 0u, (clause & 7u) == 0u);
}

/// The level before anything is placed.
fn clear_level() {
    if (SMALL) {
        rows[0] = tables[TEMPLATE];
        if (GRID_FOURS > 1u) { rows[1] = tables[TEMPLATE + 1u]; }
        if (GRID_FOURS > 2u) { rows[2] = tables[TEMPLATE + 2u]; }
        if (GRID_FOURS > 3u) { rows[3] = tables[TEMPLATE + 3u]; }
        changed = ALL_FOURS;
    } else {
        for (var k = 0u; k < GRID_FOURS; k++) { set_four(GRID_0 / 4u + k, tables[TEMPLATE + k]); }
    }
}

fn generate() {
    drawn = 0u;
    over = false;
    won = false;
    cut = false;
    for (var attempt = 0u; attempt < ATTEMPTS && drawn < DRAWS; attempt++) {
        clear_level();
        for (var k = 0u; k < CLAUSES; k++) { clauses[k] = 0u; }
        hand = 0u;
        contents = 0u;
        mission = 0u;
        ghosts = false;
        gave_up = false;
        if (level() && finish_mission() && drawn <= DRAWS) {
            if (START_CARRYING) { take_along(); }
            return;
        }
    }
    gave_up = true;
}

/// Uniform among the empty cells from `low` to `high`, both included, that are not within one step of `away_from` (if `apart`) nor
/// on it. Returns CELLS if none was found.
fn free_cell(low: vec2<i32>, high: vec2<i32>, away_from: vec2<i32>, apart: bool) -> u32 {
    let size = high - low + 1;
    for (var n = 0u; n < TRIES; n++) {
        let i = min(drawn, DRAWS - 1u);
        drawn += 1u;
        let bits = draw(1u + (i >> 12u), i & 4095u);
        let p = low + vec2(i32(choose(bits.x, u32(size.x))), i32(choose(bits.y, u32(size.y))));
        let d = abs(p - away_from);
        if (has(IS_EMPTY, cell_at(index(p))) && d.x + d.y >= select(1, 2, apart)) { return index(p); }
    }
    return CELLS;
}

/// Every object can be reached from the agent's cell through empty cells and doors, locked ones included.
fn all_reachable() -> bool {
    // Bounds that the compiler does not know: it would unroll the loops and take long over it.
    let width = W + slots.pad0;
    let height = H + slots.pad0;
    var passable: array<u32, H>;
    var things: array<u32, H>;
    for (var y = 0u; y < height; y++) {
        passable[y] = 0u;
        things[y] = 0u;
        for (var x = 0u; x < width; x++) {
            let cell = cell_at(y * STRIDE + x);
            passable[y] |= u32(has(IS_EMPTY | IS_DOOR, cell)) << x;
            things[y] |= u32(!has(IS_EMPTY | (1u << WALL), cell)) << x;
        }
    }
    var reached: array<u32, H>;
    for (var y = 0u; y < height; y++) { reached[y] = select(0u, 1u << u32(at.x), y == u32(at.y)); }
    var grew = true;
    // A snake through every cell is the longest way.
    for (var n = 0u; n < CELLS && grew; n++) {
        grew = false;
        for (var y = 1u; y < height - 1u; y++) {
            let here = reached[y] & passable[y];
            let round = here | (here << 1u) | (here >> 1u) | (reached[y - 1u] & passable[y - 1u])
                | (reached[y + 1u] & passable[y + 1u]);
            grew = grew || (round & ~reached[y]) != 0u;
            reached[y] |= round;
        }
    }
    for (var y = 0u; y < height; y++) {
        if ((things[y] & ~reached[y]) != 0u) { return false; }
    }
    return true;
}

/// Descriptions with a place hold for what lies there as the agent starts, in its room.
fn in_place(i: u32, place: u32) -> bool {
    let p = point(i);
    let room = at / i32(ROOM - 1u);
    let low = room * i32(ROOM - 1u);
    if (any(p < low) || any(p >= low + i32(ROOM))) { return false; }
    let v = p - at;
    let f = forward_of(facing);
    let side = v.x * -f.y + v.y * f.x;
    let depth = v.x * f.x + v.y * f.y;
    return (place == 1u && side < 0) || (place == 2u && side > 0) || (place == 3u && depth > 0) || (place == 4u && depth < 0);
}

/// Narrow cells of that type, and of that colour unless it is any, four to a word.
fn count_alike(d: u32) -> u32 {
    let id = d & 15u;
    let colour = (d >> 4u) & 7u;
    // Doors and boxes have other kinds too.
    let other = select(select(id, FULL_BOX, id == BOX), CLOSED, id == OPEN);
    let third = select(id, LOCKED, id == OPEN);
    var count = 0u;
    for (var k = 0u; k < GRID_FOURS; k++) {
        let cells = level_four(k);
        let kinds = cells & vec4(0x0f0f0f0fu);
        var alike = alike_bytes(kinds, id) | alike_bytes(kinds, other) | alike_bytes(kinds, third);
        if (colour != ANY_COLOUR) { alike &= alike_bytes((cells >> vec4(4u)) & vec4(0x07070707u), colour); }
        let bits = countOneBits(alike);
        count += bits.x + bits.y + bits.z + bits.w;
    }
    return count;
}

/// Bit 7 of each byte, which are below 128, that is `x`.
fn alike_bytes(bytes: vec4<u32>, x: u32) -> vec4<u32> {
    return ~((bytes ^ vec4(x * 0x01010101u)) + vec4(0x7f7f7f7fu)) & vec4(0x80808080u);
}

/// Objects that a description means now; with `mark`, wide cells note it in bit `slot`.
fn matches(d: u32, slot: u32, mark: bool) -> u32 {
    if (!PLACES && (d & 15u) != 0u) { return count_alike(d); }
    var count = 0u;
    for (var w = 0u; w < ROW_WORDS * H; w++) {
        let word = level_word(w);
        // A description without type also means walls of its colour: the reference's article counts them.
        if ((d & 15u) != 0u && (word & 0x0c0c0c0cu) == 0u) { continue; }
        for (var n = 0u; n < (1u << CELL_SHIFT); n++) {
            let i = (w << CELL_SHIFT) + n;
            let cell = (word >> (n * CELL_BITS)) & ((1u << CELL_BITS) - 1u);
            if (!fits(cell, d & 0x7fu, slot) || (place_of(d) != 0u && !in_place(i, place_of(d)))) { continue; }
            count += 1u;
            if (mark) { put_cell(i, cell | (1u << (8u + slot))); }
        }
    }
    return count;
}

/// What an object put down next to another needs: they differ, and are not side by side already.
fn valid_put_next(k: u32) -> bool {
    let c = clause(k);
    for (var i = 0u; i < CELLS; i++) {
        let cell = cell_at(i);
        if (!fits(cell, first_desc(c), 2u * k)) { continue; }
        if (fits(cell, second_desc(c), 2u * k + 1u) || near(i, second_desc(c), 2u * k + 1u)) { return false; }
    }
    return true;
}

/// A key that opens a locked door must not be part of the task itself.
fn opens_a_door(d: u32) -> bool {
    let colour = (d >> 4u) & 7u;
    if ((d & 15u) != KEY || colour == ANY_COLOUR) { return false; }
    for (var i = 0u; i < CELLS; i++) {
        if ((cell_at(i) & 0x7fu) == thing(LOCKED, colour)) { return true; }
    }
    return false;
}

/// Marks what the descriptions mean, counts it, and checks that the mission makes sense.
fn finish_mission() -> bool {
    var count = 0u;
    for (var k = 0u; k < CLAUSES; k++) {
        var c = clause(k);
        count += navigations_of(c);
        let kind = c & 7u;
        if (kind == 0u || kind == REACH) { continue; }
        let descs = select(1u, 2u, kind == PUT_NEXT);
        for (var n = 0u; n < descs; n++) {
            let d = select(first_desc(c), second_desc(c), n == 1u);
            let found = matches(d, 2u * k + n, place_of(d) != 0u);
            if (found == 0u || (KEYS_MATTER && opens_a_door(d))) { return false; }
            if (found > 1u) { c |= SEVERAL << (3u + 11u * n); }
        }
        clauses[k] = c;
        if (kind == PUT_NEXT && !valid_put_next(k)) { return false; }
    }
    mission |= count << 9u;
    return true;
}

/// Puts what is to be moved into the agent's hand.
fn take_along() {
    for (var i = 0u; i < CELLS; i++) {
        let cell = cell_at(i);
        if (!fits(cell, first_desc(clause(0u)), 0u)) { continue; }
        hand = cell;
        put_cell(i, EMPTY);
        return;
    }
}
