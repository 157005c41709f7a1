// What the agent sees (docs/environments/grid.md, §5): 7 by 7 cells, the agent at the middle of the near edge.
// Constants: ONE_HOT, SEE_THROUGH, GRID_STATE, TWO_DESCS, PLACES, PARTS (of a mission).

const VIEW: u32 = 7u;
// Features go out one after the other, by fours.
var<private> pending: vec4<f32>;
var<private> shown: u32;
var<private> to_end: bool;   // the view goes to `final_obs`

fn put(x: u32) {
    pending = vec4(pending.yzw, f32(x));
    shown += 1u;
    if ((shown & 3u) == 0u) { show_four(shown / 4u - 1u, pending, to_end); }
}

/// A number, or `n` features of which number `x` is 1.
fn put_category(x: u32, n: u32) {
    if (!ONE_HOT) {
        put(x);
        return;
    }
    for (var i = 0u; i < n; i++) { put(u32(i == x)); }
}

/// Object, colour and state of a cell; 20 features where they are one-hot.
fn put_cell_view(cell: u32) {
    if (!ONE_HOT) {
        put(type_of(cell));
        put(colour_of(cell));
        put(state_of(cell));
        return;
    }
    let ones = (1u << type_of(cell)) | (1u << (11u + colour_of(cell))) | (1u << (17u + state_of(cell)));
    for (var k = 0u; k < 5u; k++) {
        let bits = (vec4(ones) >> (vec4(0u, 1u, 2u, 3u) + vec4(4u * k))) & vec4(1u);
        show_four(shown / 4u, vec4<f32>(bits), to_end);
        shown += 4u;
    }
}

/// An object id as the mission's code numbers it where categories are one-hot: any, door, key, ball, box, goal.
fn category(id: u32) -> u32 { return select(id, select(0u, min(id, 8u) - 3u, id >= 4u), ONE_HOT); }

fn put_desc(desc: u32) {
    put_category(category(desc & 15u), 6u);
    put_category((desc >> 4u) & 7u, 7u);
    if (PLACES) { put_category(place_of(desc), 5u); }
}

/// Cells left and right of `lit` ones that light reaches through the cells of `clear`.
fn spread(lit: u32, clear: u32) -> u32 {
    var l = lit & clear;
    var r = l;
    var pl = clear;
    var pr = clear;
    l |= pl & (l << 1u); pl &= pl << 1u;
    r |= pr & (r >> 1u); pr &= pr >> 1u;
    l |= pl & (l << 2u); pl &= pl << 2u;
    r |= pr & (r >> 2u); pr &= pr >> 2u;
    l |= pl & (l << 4u);
    r |= pr & (r >> 4u);
    return l | r;
}

/// Eight rows of eight bits, row 0 and column 0 lowest, exchanged with their columns (Warren, Hacker's Delight, 7-3).
fn transposed(rows: vec2<u32>) -> vec2<u32> {
    var x = rows;
    var t = (x ^ (x >> vec2(7u))) & vec2(0x00aa00aau);
    x ^= t ^ (t << vec2(7u));
    t = (x ^ (x >> vec2(14u))) & vec2(0x0000ccccu);
    x ^= t ^ (t << vec2(14u));
    let swapped = ((x.x >> 4u) ^ x.y) & 0x0f0f0f0fu;
    return vec2(x.x ^ (swapped << 4u), x.y ^ swapped);
}

const BEYOND: u32 = select(0x52525252u, 0x00520052u, CELL_BITS == 16u);

/// The level's cells as they lie in a word (four, or two wide ones) of row y. Beyond the level everything is wall.
fn row_word(y: i32, x: i32) -> u32 {
    let inside = u32(y) < H && u32(x) < ROW_WORDS;
    return select(BEYOND, word_at(GRID_0 + select(0u, u32(y) * ROW_WORDS + u32(x), inside)), inside);
}

/// Seven cells of row y from column x on, as bytes.
fn seven(y: i32, x: i32) -> vec2<u32> {
    let first = x >> CELL_SHIFT;
    let shift = (u32(x) & ((1u << CELL_SHIFT) - 1u)) * CELL_BITS;
    // A shift by 32 is none.
    let over = (32u - shift) & 31u;
    let keep = select(0xffffffffu, 0u, shift == 0u);
    let a = row_word(y, first);
    let b = row_word(y, first + 1);
    let c = row_word(y, first + 2);
    if (CELL_BITS == 8u) {
        return vec2((a >> shift) | ((b << over) & keep), (b >> shift) | ((c << over) & keep));
    }
    let d = row_word(y, first + 3);
    let pairs = vec4((a >> shift) | ((b << over) & keep), (b >> shift) | ((c << over) & keep),
        (c >> shift) | ((d << over) & keep), d >> shift);
    let bytes = (pairs & vec4(0xffu)) | ((pairs >> vec4(8u)) & vec4(0xff00u));
    return vec2(bytes.x | (bytes.y << 16u), bytes.z | (bytes.w << 16u));
}

/// A bit for each of four bytes: the cell stops light (kinds 2, 10 and 11).
fn opaque_bits(cells: u32) -> u32 {
    let o = (cells >> 1u) & ~(cells >> 2u) & ((cells >> 3u) | ~cells) & 0x01010101u;
    return (o * 0x01020408u) >> 24u;
}

/// The seen square of the level as it lies there, [row] of seven bytes; 0 where nothing is seen.
var<private> square: array<vec2<u32>, VIEW>;

/// Cells of `square` that light passes, eight bits a row.
var<private> clear: vec2<u32>;

// Calls, not loops, wherever a row or a feature has its place: the compiler then knows it, and need not search.

fn take(r: u32, cells: vec2<u32>) {
    square[r] = cells;
    let row = ~(opaque_bits(cells.x) | (opaque_bits(cells.y) << 4u)) & 0x7fu;
    if (r < 4u) { clear.x |= row << (8u * r); } else { clear.y |= row << (8u * r - 32u); }
}

/// Fills `square` with the cells whose upper left one is `corner`.
fn cut_out(corner: vec2<i32>) {
    take(0u, seven(corner.y, corner.x));
    take(1u, seven(corner.y + 1, corner.x));
    take(2u, seven(corner.y + 2, corner.x));
    take(3u, seven(corner.y + 3, corner.x));
    take(4u, seven(corner.y + 4, corner.x));
    take(5u, seven(corner.y + 5, corner.x));
    take(6u, seven(corner.y + 6, corner.x));
}

/// Seven bytes of a small level's row from column x on, which is -5 to 6.
fn seven_of(row: vec2<u32>, x: i32) -> vec2<u32> {
    let first = x >> 2u;
    let shift = (u32(x) & 3u) * 8u;
    let over = (32u - shift) & 31u;
    let keep = select(0xffffffffu, 0u, shift == 0u);
    let a = select(select(BEYOND, row.x, first == 0), row.y, first == 1);
    let b = select(select(BEYOND, row.x, first == -1), row.y, first == 0);
    let c = select(select(BEYOND, row.x, first == -2), row.y, first == -1);
    return vec2((a >> shift) | ((b << over) & keep), (b >> shift) | ((c << over) & keep));
}

/// As `cut_out`, for a small level, out of `rows`.
fn cut_out_of_rows(corner: vec2<i32>) {
    let beyond = vec4(BEYOND);
    // Rows from corner.y on, which is -5 to 6: moved by 8 (from the eight rows above the level), 4, 2 and 1.
    let by = u32(corner.y + 8);
    let by_8 = (by & 8u) != 0u;
    let by_4 = (by & 4u) != 0u;
    let by_2 = (by & 2u) != 0u;
    let by_1 = (by & 1u) != 0u;
    let a0 = select(beyond, rows[0], by_8);
    let a1 = select(beyond, rows[1], by_8);
    let a2 = select(select(beyond, rows[2], by_8), select(rows[0], beyond, by_8), by_4);
    let a3 = select(select(beyond, rows[3], by_8), select(rows[1], beyond, by_8), by_4);
    let a4 = select(select(rows[0], beyond, by_8), select(rows[2], beyond, by_8), by_4);
    let b0 = select(a0, select(beyond, rows[2], by_8), by_4);
    let b1 = select(a1, select(beyond, rows[3], by_8), by_4);
    let c0 = select(b0, b1, by_2);
    let c1 = select(b1, a2, by_2);
    let c2 = select(a2, a3, by_2);
    let c3 = select(a3, a4, by_2);
    take(0u, seven_of(select(c0.xy, c0.zw, by_1), corner.x));
    take(1u, seven_of(select(c0.zw, c1.xy, by_1), corner.x));
    take(2u, seven_of(select(c1.xy, c1.zw, by_1), corner.x));
    take(3u, seven_of(select(c1.zw, c2.xy, by_1), corner.x));
    take(4u, seven_of(select(c2.xy, c2.zw, by_1), corner.x));
    take(5u, seven_of(select(c2.zw, c3.xy, by_1), corner.x));
    take(6u, seven_of(select(c3.xy, c3.zw, by_1), corner.x));
}

/// Only the cells of row r that are seen stay.
fn hide(r: u32, seen: vec2<u32>) {
    let row = (select(seen.x, seen.y, r >= 4u) >> (8u * (r & 3u))) & 0x7fu;
    // A bit to a byte.
    let bytes = (vec2(row & 15u, row >> 4u) * vec2(0x00204081u)) & vec2(0x01010101u);
    square[r] &= bytes * vec2(0xffu);
}

fn byte_of(row: u32, column: u32) -> u32 {
    return (select(square[row].x, square[row].y, column >= 4u) >> (8u * (column & 3u))) & 0xffu;
}

/// Cell of the view in column x from the left and row y from the far edge.
fn seen_cell(x: u32, y: u32) -> u32 {
    let far = VIEW - 1u;
    if (x == far / 2u && y == far) { return select(hand, EMPTY, hand == 0u); }
    let level = select(byte_of(x, far - y), byte_of(far - x, y), facing == 2u);
    let upright = select(byte_of(far - y, far - x), byte_of(y, x), facing == 3u);
    return select(level, upright, (facing & 1u) != 0u);
}

fn put_column(x: u32) {
    put_cell_view(seen_cell(x, 0u));
    put_cell_view(seen_cell(x, 1u));
    put_cell_view(seen_cell(x, 2u));
    put_cell_view(seen_cell(x, 3u));
    put_cell_view(seen_cell(x, 4u));
    put_cell_view(seen_cell(x, 5u));
    put_cell_view(seen_cell(x, 6u));
}

fn put_clause(k: u32) {
    let c = clause(k);
    put_category(c & 7u, 6u);
    put_desc(first_desc(c));
    if (TWO_DESCS) { put_desc(second_desc(c)); }
}

fn observe(to_final: bool) {
    // The seen square of the level as it lies there; only visibility and the order of writing depend on where the agent looks.
    let f = forward_of(facing);
    let corner = at + 3 * f - 3;
    clear = vec2(0u);
    if (SMALL) { cut_out_of_rows(corner); } else { cut_out(corner); }
    // Rows across the agent's line of sight, the nearest first.
    let sideways = (facing & 1u) == 0u;
    let backwards = facing >= 2u;
    let rows = select(clear, transposed(clear), sideways);
    var seen = vec2(0u);
    var lit = 8u;
    for (var k = 0u; k < VIEW; k++) {
        let r = select(k, VIEW - 1u - k, backwards);
        let s = spread(lit, (select(rows.x, rows.y, r >= 4u) >> (8u * (r & 3u))) & 0x7fu);
        let row = select(lit | (((s << 1u) | (s >> 1u)) & 0x7fu), 0x7fu, SEE_THROUGH) << (8u * (r & 3u));
        if (r < 4u) { seen.x |= row; } else { seen.y |= row; }
        lit = (s | (s << 1u) | (s >> 1u)) & 0x7fu;
    }
    seen = select(seen, transposed(seen), sideways);
    hide(0u, seen);
    hide(1u, seen);
    hide(2u, seen);
    hide(3u, seen);
    hide(4u, seen);
    hide(5u, seen);
    hide(6u, seen);
    to_end = to_final;
    shown = 0u;
    put_column(0u);
    put_column(1u);
    put_column(2u);
    put_column(3u);
    put_column(4u);
    put_column(5u);
    put_column(6u);
    put_category(facing, 4u);
    put_clause(0u);
    if (CLAUSES > 1u) { put_clause(1u); }
    if (CLAUSES > 2u) {
        put_clause(2u);
        put_clause(3u);
    }
    if (PARTS > 1u) { put_category(order(), 3u); }
    // To a multiple of four.
    if (shown < D) { put(0u); }
    if (shown < D) { put(0u); }
    if (shown < D) { put(0u); }
    if (GRID_STATE) { observe_grid(to_final); }
}

/// The whole level as MiniGrid's fully observable wrapper shows it (columns first), the agent as object 10 with its direction
/// as state; then the hand, the part of the mission that is being done, and the mission's code.
fn observe_grid(to_final: bool) {
    for (var i = 0u; i < W * H; i++) {
        let p = vec2(i32(i % W), i32(i / W));
        let cell = cell_at(index(p));
        let own = all(p == at);
        let first = (u32(p.x) * H + u32(p.y)) * 3u;
        show_state(first, f32(select(type_of(cell), 10u, own)), to_final);
        show_state(first + 1u, f32(select(colour_of(cell), 0u, own)), to_final);
        show_state(first + 2u, f32(select(state_of(cell), facing, own)), to_final);
    }
    let held = select(hand, EMPTY, hand == 0u);
    show_state(W * H * 3u, f32(type_of(held)), to_final);
    show_state(W * H * 3u + 1u, f32(colour_of(held)), to_final);
    show_state(W * H * 3u + 2u, f32(mission & 1u), to_final);
    for (var k = 0u; k < CLAUSES; k++) {
        let c = clause(k);
        let first = W * H * 3u + 3u + k * 7u;
        show_state(first, f32(c & 7u), to_final);
        for (var n = 0u; n < 2u; n++) {
            let desc = select(first_desc(c), second_desc(c), n == 1u);
            show_state(first + 1u + 3u * n, f32(desc & 15u), to_final);
            show_state(first + 2u + 3u * n, f32((desc >> 4u) & 7u), to_final);
            show_state(first + 3u + 3u * n, f32(place_of(desc)), to_final);
        }
    }
}
