// RoomGrid, the toolkit of levels made of rooms (docs/environments/grid.md, §10). Constants: ROOM (walls included), COLS, ROWS,
// MARGIN (0 where walls may be gone, so that things may lie where they were).

const ROOMS: u32 = COLS * ROWS;

// Sides: 0 right, 1 down, 2 left, 3 up.
var<private> joined: array<u32, ROOMS>;       // bit a side: there is a door, or no wall
var<private> shut: array<bool, ROOMS>;        // the last door added to the room is locked
var<private> gates: array<vec2<u32>, ROOMS>;  // offset of the door in the right and in the lower wall

fn room_of(p: vec2<i32>) -> u32 {
    let r = vec2<u32>(p) / (ROOM - 1u);
    return min(r.y, ROWS - 1u) * COLS + min(r.x, COLS - 1u);
}

fn corner(room: u32) -> vec2<i32> { return vec2(i32(room % COLS), i32(room / COLS)) * i32(ROOM - 1u); }
fn room_at(column: u32, row: u32) -> u32 { return row * COLS + column; }
fn random_room() -> u32 {
    let column = roll(COLS);
    return room_at(column, roll(ROWS));
}

fn has_neighbour(room: u32, side: u32) -> bool {
    let c = room % COLS;
    let r = room / COLS;
    return (side == 0u && c + 1u < COLS) || (side == 1u && r + 1u < ROWS) || (side == 2u && c > 0u) || (side == 3u && r > 0u);
}

fn neighbour(room: u32, side: u32) -> u32 {
    return select(select(room + 1u, room + COLS, side == 1u), select(room - 1u, room - COLS, side == 3u), side >= 2u);
}

/// The cell of the door between a room and its neighbour.
fn gate(room: u32, side: u32) -> u32 {
    let owner = select(room, neighbour(room, side), side >= 2u);
    let p = corner(owner);
    let far = i32(ROOM) - 1;
    let across = p + vec2(far, i32(gates[owner].x));
    let below = p + vec2(i32(gates[owner].y), far);
    return index(select(below, across, (side & 1u) == 0u));
}

/// Rooms without doors, the doors' places drawn, the placeholder of the agent in the middle room.
fn rooms() {
    for (var r = 0u; r < ROOMS; r++) {
        joined[r] = 0u;
        shut[r] = false;
        if (ROOMS > 1u) { gates[r] = vec2(1u + roll(ROOM - 2u), 1u + roll(ROOM - 2u)); }
    }
    at = vec2(i32(COLS / 2u), i32(ROWS / 2u)) * i32(ROOM - 1u) + i32(ROOM / 2u);
    facing = 0u;
}

/// Puts a thing into a room, two steps or more from the agent. False if there is no room for it.
fn place(room: u32, cell: u32) -> bool {
    let low = corner(room) + i32(MARGIN);
    let i = free_cell(low, corner(room) + i32(ROOM) - 1 - i32(MARGIN), at, true);
    if (i == CELLS) { return false; }
    put_cell(i, cell);
    return true;
}

/// The agent anywhere in the room and with any direction, but not facing a thing.
fn place_agent(room: u32) -> bool {
    let low = corner(room) + i32(MARGIN);
    let high = corner(room) + i32(ROOM) - 1 - i32(MARGIN);
    for (var n = 0u; n < TRIES; n++) {
        let i = free_cell(low, high, vec2(-1), false);
        if (i == CELLS) { return false; }
        at = point(i);
        facing = roll(4u);
        if (has(IS_EMPTY | (1u << WALL), cell_at(ahead()))) { return true; }
    }
    return false;
}

/// Sides of a room, one bit each, that could get a door.
fn bare_sides(room: u32) -> u32 {
    var sides = 0u;
    for (var s = 0u; s < 4u; s++) { sides |= u32(has_neighbour(room, s)) << s; }
    return sides & ~joined[room];
}

/// Uniform among the bits that are set; there must be one.
fn random_bit(bits: u32) -> u32 {
    var left = roll(countOneBits(bits));
    var rest = bits;
    while (left > 0u) {
        rest &= rest - 1u;
        left -= 1u;
    }
    return countTrailingZeros(rest);
}

fn join(room: u32, side: u32) {
    joined[room] |= 1u << side;
    joined[neighbour(room, side)] |= 1u << (side ^ 2u);
}

/// A door on a side of the room, closed or locked. Returns its cell.
fn add_door(room: u32, side: u32, colour: u32, locked: bool) -> u32 {
    let i = gate(room, side);
    put_cell(i, thing(select(CLOSED, LOCKED, locked), colour));
    join(room, side);
    // As in the reference, the last door decides whether its room (not the neighbour) counts as locked.
    shut[room] = locked;
    return i;
}

fn add_door_anywhere(room: u32, colour: u32, locked: bool) -> u32 {
    return add_door(room, random_bit(bare_sides(room)), colour, locked);
}

fn remove_wall(room: u32, side: u32) {
    let p = corner(room);
    let far = i32(ROOM) - 1;
    for (var n = 1; n < far; n++) {
        var q = p + vec2(far, n);
        if (side == 1u) { q = p + vec2(n, far); }
        if (side == 2u) { q = p + vec2(0, n); }
        if (side == 3u) { q = p + vec2(n, 0); }
        put_cell(index(q), EMPTY);
    }
    join(room, side);
}

/// Unlocked doors of random colour (never `barred`) at random, until every room can be reached from the agent's. False if that
/// never comes about.
fn connect_all(barred: u32) -> bool {
    for (var n = 0u; n < 5000u && drawn < DRAWS; n++) {
        var reached = 1u << room_of(at);
        for (var round = 0u; round < ROOMS; round++) {
            for (var r = 0u; r < ROOMS; r++) {
                if (((reached >> r) & 1u) == 0u) { continue; }
                for (var s = 0u; s < 4u; s++) {
                    if (((joined[r] >> s) & 1u) != 0u) { reached |= 1u << neighbour(r, s); }
                }
            }
        }
        if (reached == (1u << ROOMS) - 1u) { return true; }
        let room = random_room();
        let side = roll(4u);
        if (((bare_sides(room) >> side) & 1u) == 0u || shut[room] || shut[neighbour(room, side)]) { continue; }
        var colour = roll(select(5u, 6u, barred == ANY_COLOUR));
        if (colour >= barred) { colour += 1u; }
        _ = add_door(room, side, colour, false);
    }
    return false;
}

/// The things of the level so far, for choosing among them: their cells as first placed.
const MOST_THINGS: u32 = 24u;
var<private> things: array<u32, MOST_THINGS>;
var<private> thing_count: u32;

fn note(cell: u32) {
    things[min(thing_count, MOST_THINGS - 1u)] = cell;
    thing_count += 1u;
}

/// `n` keys, balls and boxes in `room`, or each in any room (`room` = ROOMS); `unique`: no two of the level alike.
fn add_distractors(room: u32, n: u32, unique: bool) -> bool {
    for (var added = 0u; added < n;) {
        if (drawn >= DRAWS) { return false; }
        let cell = thing(random_portable(), roll(6u));
        if (unique && is_noted(cell)) { continue; }
        var r = room;
        if (room == ROOMS) { r = random_room(); }
        if (!place(r, cell)) { return false; }
        note(cell);
        added += 1u;
    }
    return true;
}

fn is_noted(cell: u32) -> bool {
    for (var k = 0u; k < thing_count; k++) {
        if (things[k] == cell) { return true; }
    }
    return false;
}

/// A thing of that kind and colour in `room`, noted.
fn add_object(room: u32, cell: u32) -> bool {
    note(cell);
    return place(room, cell);
}
