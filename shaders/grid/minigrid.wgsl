// MiniGrid's usual layouts (docs/environments/grid.md, §11).

const NO_CELL: vec2<i32> = vec2<i32>(-1, -1);
const INNER: vec2<i32> = vec2<i32>(i32(W) - 2, i32(H) - 2);

fn goal_mission() { single(REACH, desc(GOAL, 1u), 0u); }

fn put_goal(p: vec2<i32>) { put_cell(index(p), thing(GOAL, 1u)); }

/// The agent on a uniform empty cell from `low` to `high`, with any direction.
fn place_agent_between(low: vec2<i32>, high: vec2<i32>) -> bool {
    let i = free_cell(low, high, NO_CELL, false);
    if (i == CELLS) { return false; }
    at = point(i);
    facing = roll(4u);
    return true;
}

fn start_in_corner() {
    at = vec2(1);
    facing = 0u;
}

fn empty(random_start: bool) -> bool {
    goal_mission();
    put_goal(INNER);
    start_in_corner();
    return !random_start || place_agent_between(vec2(1), INNER);
}

/// A wall with a locked door; the agent and the key on its left, the goal on its right.
fn door_key() -> bool {
    goal_mission();
    put_goal(INNER);
    let x = between(2, i32(W) - 2);
    for (var y = 0; y < i32(H); y++) { put_cell(index(vec2(x, y)), GREY_WALL); }
    let left = vec2(x - 1, INNER.y);
    if (!place_agent_between(vec2(1), left)) { return false; }
    put_cell(index(vec2(x, between(1, i32(H) - 2))), thing(LOCKED, 4u));
    let key = free_cell(vec2(1), left, at, false);
    if (key == CELLS) { return false; }
    put_cell(key, thing(KEY, 4u));
    return true;
}

fn four_rooms() -> bool {
    goal_mission();
    let half = i32(W) / 2;
    for (var n = 1; n < i32(W) - 1; n++) {
        put_cell(index(vec2(half, n)), GREY_WALL);
        put_cell(index(vec2(n, half)), GREY_WALL);
    }
    for (var n = 0; n < 2; n++) {
        put_cell(index(vec2(half, n * half + between(1, half))), EMPTY);
        put_cell(index(vec2(n * half + between(1, half), half)), EMPTY);
    }
    if (!place_agent_between(vec2(1), INNER)) { return false; }
    let goal = free_cell(vec2(1), INNER, at, false);
    if (goal == CELLS) { return false; }
    put_goal(point(goal));
    return true;
}

/// Position of the river of rank `n` among those of `rivers` (bit k is the line 2k + 2); the wall beyond the last one.
fn river(rivers: u32, n: u32) -> i32 {
    var rest = rivers;
    for (var k = 0u; k < n; k++) { rest &= rest - 1u; }
    return select(2 * i32(countTrailingZeros(rest)) + 2, i32(W) - 1, rest == 0u);
}

/// `n` rivers of lava, or walls, each with one gap, such that the goal can be reached.
fn crossing(n: u32, obstacle: u32) -> bool {
    goal_mission();
    start_in_corner();
    put_goal(INNER);
    let lines = (W - 3u) / 2u;
    // Lines of either direction, drawn without replacement: bits 0 .. lines are vertical.
    var drawn_lines = 0u;
    for (var k = 0u; k < n; k++) {
        var pick = roll(2u * lines - k);
        for (var bit = 0u; bit < 2u * lines; bit++) {
            if (((drawn_lines >> bit) & 1u) != 0u) { continue; }
            if (pick == 0u) {
                drawn_lines |= 1u << bit;
                break;
            }
            pick -= 1u;
        }
    }
    let vertical = drawn_lines & ((1u << lines) - 1u);
    let horizontal = drawn_lines >> lines;
    let right = countOneBits(vertical);
    let down = countOneBits(horizontal);
    for (var k = 0u; k < right; k++) {
        for (var y = 1; y <= INNER.y; y++) { put_cell(index(vec2(river(vertical, k), y)), obstacle); }
    }
    for (var k = 0u; k < down; k++) {
        for (var x = 1; x <= INNER.x; x++) { put_cell(index(vec2(x, river(horizontal, k))), obstacle); }
    }
    // A random way through the compartments: each river is crossed once.
    var column = 0u;
    var row = 0u;
    while (column < right || row < down) {
        // Limits of the compartment.
        let x0 = select(river(vertical, max(column, 1u) - 1u), 0, column == 0u);
        let y0 = select(river(horizontal, max(row, 1u) - 1u), 0, row == 0u);
        let x1 = river(vertical, column);
        let y1 = river(horizontal, row);
        if (roll(right - column + down - row) < right - column) {
            put_cell(index(vec2(x1, between(y0 + 1, y1))), EMPTY);
            column += 1u;
        } else {
            put_cell(index(vec2(between(x0 + 1, x1), y1)), EMPTY);
            row += 1u;
        }
    }
    return true;
}

struct Chamber { corner: vec2<i32>, size: vec2<i32>, entry: vec2<i32> }

const MOST_CHAMBERS: u32 = 6u;

/// Do a chamber there and an earlier one overlap? (Sharing a wall is no overlap only on one side, as in the reference.)
fn overlaps(corner: vec2<i32>, size: vec2<i32>, c: Chamber) -> bool {
    return !(corner.x + size.x < c.corner.x || c.corner.x + c.size.x <= corner.x
        || corner.y + size.y < c.corner.y || c.corner.y + c.size.y <= corner.y);
}

/// `n` chambers of side 4 to `most`, each joined to the one before by a closed door; from the first to the goal in the last.
fn multi_room(n: u32, most: u32) -> bool {
    goal_mission();
    var chambers: array<Chamber, MOST_CHAMBERS>;
    var placed = 0u;
    // A chain that comes to an end too early is begun again from the start.
    while (placed < n) {
        if (drawn >= DRAWS) { return false; }
        var entry = vec2(between(0, i32(W) - 2), between(0, i32(W) - 2));
        var wall = 2u;  // of the new chamber, where its entry is: 0 right, 1 down, 2 left, 3 up
        var tries = 1u;
        placed = 0u;
        while (placed < n && tries > 0u) {
            tries -= 1u;
            if (placed > 0u) {
                // Out through another wall than the one that was come in by.
                let before = chambers[placed - 1u];
                let out = (wall + 1u + roll(3u)) % 4u;
                entry = before.corner;
                if (out == 0u) { entry += vec2(before.size.x - 1, between(1, before.size.y - 1)); }
                if (out == 1u) { entry += vec2(between(1, before.size.x - 1), before.size.y - 1); }
                if (out == 2u) { entry += vec2(0, between(1, before.size.y - 1)); }
                if (out == 3u) { entry += vec2(between(1, before.size.x - 1), 0); }
                if (attach(&chambers, placed, entry, out ^ 2u, most)) {
                    wall = out ^ 2u;
                    placed += 1u;
                    tries = 8u;
                }
            } else if (attach(&chambers, placed, entry, wall, most)) {
                placed = 1u;
                tries = 8u;
            }
        }
    }
    var last_colour = ANY_COLOUR;
    for (var k = 0u; k < n; k++) {
        let c = chambers[k];
        let far = c.corner + c.size - 1;
        for (var x = c.corner.x; x <= far.x; x++) {
            put_cell(index(vec2(x, c.corner.y)), GREY_WALL);
            put_cell(index(vec2(x, far.y)), GREY_WALL);
        }
        for (var y = c.corner.y; y <= far.y; y++) {
            put_cell(index(vec2(c.corner.x, y)), GREY_WALL);
            put_cell(index(vec2(far.x, y)), GREY_WALL);
        }
        if (k == 0u) { continue; }
        // Never the colour of the door before.
        var colour = roll(select(5u, 6u, last_colour == ANY_COLOUR));
        if (colour >= last_colour) { colour += 1u; }
        put_cell(index(c.entry), thing(CLOSED, colour));
        last_colour = colour;
    }
    let first = chambers[0];
    if (!place_agent_between(first.corner, first.corner + first.size - 1)) { return false; }
    let end = chambers[n - 1u];
    let goal = free_cell(end.corner, end.corner + end.size - 1, at, false);
    if (goal == CELLS) { return false; }
    put_goal(point(goal));
    return true;
}

/// Draws chamber number `k` with its entry in that wall; false if there is no room for it.
fn attach(chambers: ptr<function, array<Chamber, MOST_CHAMBERS>>, k: u32, entry: vec2<i32>, wall: u32, most: u32) -> bool {
    let size = vec2(between(4, i32(most) + 1), between(4, i32(most) + 1));
    var corner = entry;
    if (k > 0u) {
        // The door is not at a corner.
        if ((wall & 1u) == 0u) {
            corner.y = between(entry.y - size.y + 2, entry.y);
            if (wall == 0u) { corner.x = entry.x - size.x + 1; }
        } else {
            corner.x = between(entry.x - size.x + 2, entry.x);
            if (wall == 1u) { corner.y = entry.y - size.y + 1; }
        }
    }
    if (any(corner < vec2(0)) || corner.x + size.x > i32(W) || corner.y + size.y >= i32(H)) { return false; }
    for (var n = 0u; n + 1u < k; n++) {
        if (overlaps(corner, size, (*chambers)[n])) { return false; }
    }
    (*chambers)[k] = Chamber(corner, size, entry);
    return true;
}

fn dynamic_obstacles(random_start: bool) -> bool {
    if (!empty(random_start)) { return false; }
    for (var k = 0u; k < BALLS; k++) {
        let i = free_cell(vec2(1), INNER, at, false);
        if (i == CELLS) { return false; }
        put_cell(i, thing(BALL, 2u));
        set_word(BALL_0 + k, i);
    }
    return true;
}
