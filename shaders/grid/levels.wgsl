// BabyAI's other levels, by rooms (docs/environments/grid.md, §10). Each says whether what it drew is valid.

const MIDDLE: u32 = (ROWS / 2u) * COLS + COLS / 2u;
const ANYWHERE: u32 = ROOMS;

fn begin() {
    rooms();
    thing_count = 0u;
}

/// Two different numbers below n.
fn two_of(n: u32) -> vec2<u32> {
    let a = roll(n);
    let b = roll(n - 1u);
    return vec2(a, b + u32(b >= a));
}

/// The mission is about one of the first `n` things of the level.
fn about_one(kind: u32, n: u32) { single(kind, desc_of(things[roll(n)]), 0u); }

// One room.

fn go_to_obj() -> bool {
    begin();
    if (!place_agent(0u) || !add_distractors(0u, 1u, true)) { return false; }
    about_one(GOTO, 1u);
    return true;
}

fn go_to_red_ball(n: u32, grey: bool) -> bool {
    begin();
    if (!place_agent(0u) || !add_object(0u, thing(BALL, 0u))) { return false; }
    for (var k = 0u; k < n; k++) {
        let kind = random_portable();
        if (!add_object(0u, thing(kind, select(roll(6u), 5u, grey)))) { return false; }
    }
    single(GOTO, desc(BALL, 0u), 0u);
    return all_reachable();
}

fn go_to_red_blue_ball(n: u32) -> bool {
    begin();
    if (!place_agent(0u) || !add_distractors(0u, n, false)) { return false; }
    if (is_noted(thing(BALL, 0u)) || is_noted(thing(BALL, 2u))) { return false; }
    let colour = 2u * roll(2u);
    single(GOTO, desc(BALL, colour), 0u);
    return add_object(0u, thing(BALL, colour)) && all_reachable();
}

fn go_to_local(n: u32) -> bool {
    begin();
    if (!place_agent(0u) || !add_distractors(0u, n, false)) { return false; }
    about_one(GOTO, n);
    return all_reachable();
}

fn put_next_local(n: u32) -> bool {
    begin();
    if (!place_agent(0u) || !add_distractors(0u, n, true)) { return false; }
    let pair = two_of(n);
    single(PUT_NEXT, desc_of(things[pair.x]), desc_of(things[pair.y]));
    return all_reachable();
}

/// By type, by colour or by both.
fn pickup_dist(strict: bool) -> bool {
    begin();
    if (!add_distractors(0u, 5u, true) || !place_agent(0u)) { return false; }
    let chosen = things[roll(5u)];
    let by = roll(3u);
    single(PICK, desc(select(type_of(chosen), 0u, by == 1u), select(colour_of(chosen), ANY_COLOUR, by == 0u)), 0u);
    if (strict) { clauses[0] |= 1u << 25u; }
    return true;
}

fn one_room() -> bool {
    begin();
    if (!add_object(0u, thing(BALL, roll(6u)))) { return false; }
    single(PICK, desc(BALL, ANY_COLOUR), 0u);
    return place_agent(0u);
}

// Doors.

/// The first of a random order of the colours, and the others after it.
fn shuffled_colours() -> array<u32, 6> {
    var colours = array<u32, 6>(0u, 1u, 2u, 3u, 4u, 5u);
    for (var k = 0u; k < 5u; k++) {
        let other = k + roll(6u - k);
        let swapped = colours[k];
        colours[k] = colours[other];
        colours[other] = swapped;
    }
    return colours;
}

fn open_clause(k: u32, door: u32, strict: bool) {
    set_clause(k, OPEN_DOOR, door, 0u);
    if (strict) { clauses[k] |= 1u << 25u; }
}

fn open_red_door() -> bool {
    begin();
    _ = add_door(0u, 0u, 0u, false);
    single(OPEN_DOOR, desc(OPEN, 0u), 0u);
    return place_agent(0u);
}

/// Four doors round the middle room; the one to open is named by colour (1), by place (2), or by either (0).
fn open_door(by: u32, strict: bool) -> bool {
    begin();
    let colours = shuffled_colours();
    for (var s = 0u; s < 4u; s++) { _ = add_door(MIDDLE, s, colours[s], false); }
    var door = desc(OPEN, colours[0]);
    if (by == 2u || (by == 0u && coin())) { door = desc(OPEN, ANY_COLOUR) | ((1u + roll(4u)) << 7u); }
    mission = 0u;
    open_clause(0u, door, strict);
    return place_agent(MIDDLE);
}

/// The left and the right door of the middle room, one after the other.
fn open_two_doors(first: u32, second: u32, strict: bool) -> bool {
    begin();
    let colours = shuffled_colours();
    let a = select(first, colours[0], first == ANY_COLOUR);
    let b = select(second, colours[1], second == ANY_COLOUR);
    _ = add_door(MIDDLE, 2u, a, false);
    _ = add_door(MIDDLE, 0u, b, false);
    open_clause(0u, desc(OPEN, a), strict);
    open_clause(1u, desc(OPEN, b), false);
    in_order(BEFORE, false);
    return place_agent(MIDDLE);
}

fn open_doors_order(n: u32, strict: bool) -> bool {
    begin();
    let colours = shuffled_colours();
    for (var k = 0u; k < n; k++) { _ = add_door_anywhere(MIDDLE, colours[k], false); }
    let pair = two_of(n);
    let form = roll(3u);
    open_clause(0u, desc(OPEN, colours[pair.x]), strict);
    if (form > 0u) { open_clause(1u, desc(OPEN, colours[pair.y]), strict); }
    in_order(form, false);
    return place_agent(MIDDLE);
}

/// Four doors of the middle room, as noted things. `may_lock`: locked or not at random.
fn four_doors(may_lock: bool) {
    for (var k = 0u; k < 4u; k++) {
        let colour = roll(6u);
        var locked = false;
        if (may_lock) { locked = coin(); }
        note(thing(OPEN, colour));
        _ = add_door_anywhere(MIDDLE, colour, locked);
    }
}

fn go_to_door() -> bool {
    begin();
    four_doors(true);
    about_one(GOTO, 4u);
    return place_agent(MIDDLE);
}

fn go_to_obj_door() -> bool {
    begin();
    if (!place_agent(MIDDLE) || !add_distractors(MIDDLE, 8u, false)) { return false; }
    four_doors(true);
    about_one(GOTO, 12u);
    return all_reachable();
}

fn action_obj_door() -> bool {
    begin();
    if (!add_distractors(MIDDLE, 5u, true)) { return false; }
    four_doors(false);
    let chosen = things[roll(9u)];
    let other = select(PICK, OPEN_DOOR, has(IS_DOOR, chosen));
    single(select(other, GOTO, coin()), desc_of(chosen), 0u);
    return place_agent(MIDDLE);
}

// Locked doors.

fn unlock_local(n: u32) -> bool {
    begin();
    let colour = roll(6u);
    _ = add_door_anywhere(MIDDLE, colour, true);
    if (!add_object(MIDDLE, thing(KEY, colour)) || !add_distractors(MIDDLE, n, true)) { return false; }
    single(OPEN_DOOR, desc(OPEN, ANY_COLOUR), 0u);
    return place_agent(MIDDLE);
}

fn key_in_box() -> bool {
    begin();
    let colour = roll(6u);
    _ = add_door_anywhere(MIDDLE, colour, true);
    contents = thing(KEY, colour);
    single(OPEN_DOOR, desc(OPEN, ANY_COLOUR), 0u);
    return add_object(MIDDLE, thing(FULL_BOX, roll(6u))) && place_agent(MIDDLE);
}

fn unlock_pickup(n: u32) -> bool {
    begin();
    let box = roll(6u);
    let colour = roll(6u);
    if (!add_object(1u, thing(BOX, box))) { return false; }
    _ = add_door(0u, 0u, colour, true);
    if (!add_object(0u, thing(KEY, colour)) || !add_distractors(ANYWHERE, n, true)) { return false; }
    single(PICK, desc(BOX, box), 0u);
    return place_agent(0u);
}

/// MiniGrid's Unlock.
fn unlock_two_rooms() -> bool {
    begin();
    let colour = roll(6u);
    _ = add_door(0u, 0u, colour, true);
    single(OPEN_DOOR, desc(OPEN, ANY_COLOUR), 0u);
    return add_object(0u, thing(KEY, colour)) && place_agent(0u);
}

fn blocked_unlock_pickup() -> bool {
    begin();
    if (!add_object(1u, thing(BOX, roll(6u)))) { return false; }
    let colour = roll(6u);
    let door = add_door(0u, 0u, colour, true);
    put_cell(door - 1u, thing(BALL, roll(6u)));
    single(PICK, desc(BOX, ANY_COLOUR), 0u);
    return add_object(0u, thing(KEY, colour)) && place_agent(0u);
}

fn unlock_to_unlock() -> bool {
    begin();
    let colours = shuffled_colours();
    _ = add_door(0u, 0u, colours[0], true);
    if (!add_object(2u, thing(KEY, colours[0]))) { return false; }
    _ = add_door(1u, 0u, colours[1], true);
    if (!add_object(1u, thing(KEY, colours[1])) || !add_object(0u, thing(BALL, roll(6u)))) { return false; }
    single(PICK, desc(BALL, ANY_COLOUR), 0u);
    return place_agent(1u);
}

fn pickup_above() -> bool {
    begin();
    let object = thing(random_portable(), roll(6u));
    if (!add_object(room_at(1u, 0u), object)) { return false; }
    _ = add_door(MIDDLE, 3u, roll(6u), false);
    single(PICK, desc_of(object), 0u);
    return place_agent(MIDDLE) && connect_all(ANY_COLOUR);
}

fn find_obj() -> bool {
    begin();
    let kind = random_portable();
    if (!add_object(random_room(), thing(kind, roll(6u)))) { return false; }
    single(PICK, desc(kind, ANY_COLOUR), 0u);
    return place_agent(MIDDLE) && connect_all(ANY_COLOUR);
}

/// A corridor in the middle column; behind a locked door on the right lies the ball, its key somewhere on the left.
fn key_corridor(by_colour: bool) -> bool {
    begin();
    for (var r = 1u; r < ROWS; r++) { remove_wall(room_at(1u, r), 3u); }
    let row = roll(ROWS);
    let colour = roll(6u);
    let ball = roll(6u);
    _ = add_door(room_at(2u, row), 2u, colour, true);
    if (!add_object(room_at(2u, row), thing(BALL, ball))) { return false; }
    if (!add_object(room_at(0u, roll(ROWS)), thing(KEY, colour))) { return false; }
    single(PICK, desc(BALL, select(ANY_COLOUR, ball, by_colour)), 0u);
    return place_agent(room_at(1u, ROWS / 2u)) && connect_all(ANY_COLOUR);
}

// Two rooms that become one.

fn two_rooms_of_objects(n: u32) -> bool {
    begin();
    if (!place_agent(0u) || !add_distractors(0u, n, true) || !add_distractors(1u, n, true)) { return false; }
    remove_wall(0u, 0u);
    return true;
}

fn put_next(n: u32) -> bool {
    if (!two_rooms_of_objects(n)) { return false; }
    let a = desc_of(things[roll(n)]);
    let b = desc_of(things[n + roll(n)]);
    let swapped = coin();
    single(PUT_NEXT, select(a, b, swapped), select(b, a, swapped));
    return true;
}

fn move_two_across(n: u32) -> bool {
    if (!two_rooms_of_objects(n)) { return false; }
    let left = two_of(n);
    let right = two_of(n) + n;
    set_clause(0u, PUT_NEXT, desc_of(things[left.x]), desc_of(things[right.x]));
    set_clause(1u, PUT_NEXT, desc_of(things[right.y]), desc_of(things[left.y]));
    in_order(BEFORE, false);
    return true;
}

// Mazes.

/// Rooms joined by doors, `n` things anywhere.
fn maze(n: u32) -> bool {
    begin();
    return place_agent(random_room()) && connect_all(ANY_COLOUR) && add_distractors(ANYWHERE, n, false);
}

fn go_to(n: u32, doors_open: bool) -> bool {
    if (!maze(n) || !all_reachable()) { return false; }
    about_one(GOTO, n);
    if (doors_open) {
        for (var i = 0u; i < CELLS; i++) {
            let cell = cell_at(i);
            if (has(IS_DOOR, cell)) { put_cell(i, (cell & ~15u) | OPEN); }
        }
    }
    return true;
}

/// `blocked`: something must be in the way of something.
fn pickup(n: u32, blocked: bool) -> bool {
    if (!maze(n)) { return false; }
    about_one(PICK, n);
    return all_reachable() != blocked;
}

fn open() -> bool {
    if (!maze(18u) || !all_reachable()) { return false; }
    var doors = 0u;
    for (var i = 0u; i < CELLS; i++) { doors += u32(has(IS_DOOR, cell_at(i))); }
    var left = roll(doors);
    for (var i = 0u; i < CELLS; i++) {
        let cell = cell_at(i);
        if (!has(IS_DOOR, cell)) { continue; }
        if (left == 0u) {
            single(OPEN_DOOR, desc_of(cell), 0u);
            break;
        }
        left -= 1u;
    }
    return true;
}

/// Any room but that one.
fn other_room(room: u32) -> u32 {
    let r = roll(ROOMS - 1u);
    return r + u32(r >= room);
}

/// Locks a room; its key lies in another one. False if there is no place for the key.
fn lock_room(room: u32, side: u32, colour: u32) -> bool {
    _ = add_door(room, side, colour, true);
    return add_object(other_room(room), thing(KEY, colour));
}

fn distractors_except(room: u32, n: u32) -> bool {
    for (var r = 0u; r < ROOMS; r++) {
        if (r != room && !add_distractors(r, n, false)) { return false; }
    }
    return true;
}

fn unlock() -> bool {
    begin();
    let colour = roll(6u);
    let room = random_room();
    if (!lock_room(room, random_bit(bare_sides(room)), colour)) { return false; }
    // Half of the time no other door has the locked one's colour.
    if (!connect_all(select(ANY_COLOUR, colour, coin()))) { return false; }
    single(OPEN_DOOR, desc(OPEN, colour), 0u);
    return distractors_except(room, 3u) && place_agent(other_room(room)) && all_reachable();
}

fn go_to_imp_unlock() -> bool {
    begin();
    let room = random_room();
    if (!lock_room(room, random_bit(bare_sides(room)), roll(6u))) { return false; }
    if (!connect_all(ANY_COLOUR) || !distractors_except(room, 2u)) { return false; }
    if (!place_agent(other_room(room)) || !all_reachable()) { return false; }
    let chosen = thing(random_portable(), roll(6u));
    single(GOTO, desc_of(chosen), 0u);
    return add_object(room, chosen);
}

// Random instructions.

/// Objects that `d` means outside of `room`, its walls included.
fn matches_outside(d: u32, room: u32) -> bool {
    let low = corner(room);
    for (var i = 0u; i < CELLS; i++) {
        let p = point(i);
        if (all(p >= low) && all(p < low + i32(ROOM))) { continue; }
        if (fits(cell_at(i), d & 0x7fu, 0u) && (place_of(d) == 0u || in_place(i, place_of(d)))) { return true; }
    }
    return false;
}

/// A description of something that is there. `types`: 3 without doors, 4 with them, 1 doors only. With `barred` < ROOMS, not of
/// something that is only in that room. Returns 0 if none was found.
fn random_desc(types: u32, barred: u32) -> u32 {
    for (var n = 0u; n < 101u; n++) {
        let colour = roll(7u);
        let id = select(OPEN + (roll(types) + 1u) % 4u, OPEN, types == 1u);
        var d = desc(id, select(ANY_COLOUR, colour - 1u, colour > 0u));
        if (PLACES && coin()) { d |= (1u + roll(4u)) << 7u; }
        if (matches(d, 0u, false) == 0u || (barred < ROOMS && !matches_outside(d, barred))) { continue; }
        return d;
    }
    return 0u;
}

/// One clause. `only`: its kind, 0 for any. False if it found nothing to be about.
fn random_clause(k: u32, only: u32, barred: u32) -> bool {
    let kind = select(only, 1u + roll(4u), only == 0u);
    var descs = vec2(0u);
    for (var n = 0u; n < select(1u, 2u, kind == PUT_NEXT); n++) {
        // Things may be picked up or moved, doors opened, and everything gone to or put next to.
        let all = kind == GOTO || n == 1u;
        descs[n] = random_desc(select(select(3u, 1u, kind == OPEN_DOOR), 4u, all), barred);
        if (descs[n] == 0u) { return false; }
    }
    set_clause(k, kind, descs.x, descs.y);
    return true;
}

/// A locked room with probability `quarters` / 4, `n` things, and a random instruction: one clause, or (`any_form`) also two joined
/// by `and`, or a sequence of such. `unblocking`: things may be in the way. Without `implicit`, no task is only behind the locked
/// door. `only`: the kind of every clause, 0 for any.
fn synth(quarters: u32, n: u32, unblocking: bool, implicit: bool, only: u32, any_form: bool) -> bool {
    begin();
    var locked = ROOMS;
    if (roll(4u) < quarters) {
        // Uniform among the pairs of a room and a side, so that middle rooms are locked more often.
        var side = 4u;
        for (var n = 0u; n < TRIES && side == 4u; n++) {
            locked = random_room();
            side = roll(4u);
            if (!has_neighbour(locked, side)) { side = 4u; }
        }
        if (side == 4u || !lock_room(locked, side, roll(6u))) { return false; }
    }
    if (!connect_all(ANY_COLOUR) || !add_distractors(ANYWHERE, n, false)) { return false; }
    var room = random_room();
    if (locked < ROOMS) { room = other_room(locked); }
    if (!place_agent(room) || (!unblocking && !all_reachable())) { return false; }
    let barred = select(locked, ROOMS, implicit);
    // One clause, two joined, or a sequence of parts that are either.
    var form = 0u;
    if (any_form) { form = roll(3u); }
    let parts = select(1u, 2u, form == 2u);
    for (var p = 0u; p < parts; p++) {
        var clauses = select(1u, 2u, form == 1u);
        if (form == 2u) { clauses = 1u + roll(2u); }
        for (var c = 0u; c < clauses; c++) {
            if (!random_clause(p * PER_PART + c, only, barred)) { return false; }
        }
    }
    mission = 0u;
    if (form == 2u) { in_order(BEFORE + roll(2u), false); }
    return true;
}
