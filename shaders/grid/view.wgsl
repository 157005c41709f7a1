// What the agent sees (docs/environments/grid.md, §5): 7 by 7 cells, the agent at the middle of the near edge.
// Constants: ONE_HOT, SEE_THROUGH, GRID_STATE, TWO_DESCS, PLACES, PARTS (of a mission).

const VIEW: u32 = 7u;
const IMAGE: u32 = VIEW * VIEW * select(3u, 20u, ONE_HOT);

fn put(feature: u32, x: u32, to_final: bool) { show(0u, feature, f32(x), to_final); }

/// `n` features of which number `x` is 1, or the number itself. Returns the next free feature.
fn put_category(feature: u32, x: u32, n: u32, to_final: bool) -> u32 {
    if (!ONE_HOT) {
        put(feature, x, to_final);
        return feature + 1u;
    }
    for (var i = 0u; i < n; i++) { put(feature + i, u32(i == x), to_final); }
    return feature + n;
}

/// Column x from the left, row y from the far edge: object, colour, state.
fn put_cell_view(x: u32, y: u32, cell: u32, to_final: bool) {
    let first = (x * VIEW + y) * select(3u, 20u, ONE_HOT);
    if (ONE_HOT) {
        let ones = (1u << type_of(cell)) | (1u << (11u + colour_of(cell))) | (1u << (17u + state_of(cell)));
        for (var i = 0u; i < 20u; i++) { put(first + i, (ones >> i) & 1u, to_final); }
    } else {
        put(first, type_of(cell), to_final);
        put(first + 1u, colour_of(cell), to_final);
        put(first + 2u, state_of(cell), to_final);
    }
}

/// An object id as the mission's code numbers it where categories are one-hot: any, door, key, ball, box, goal.
fn category(id: u32) -> u32 { return select(id, select(0u, min(id, 8u) - 3u, id >= 4u), ONE_HOT); }

fn put_desc(first: u32, desc: u32, to_final: bool) -> u32 {
    var f = put_category(first, category(desc & 15u), 6u, to_final);
    f = put_category(f, (desc >> 4u) & 7u, 7u, to_final);
    if (PLACES) { f = put_category(f, place_of(desc), 5u, to_final); }
    return f;
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

/// Four cells of row y from the word of column `x` (in words) on, as bytes.
fn row_word(y: i32, x: i32) -> u32 {
    let inside = u32(y) < H && u32(x) < ROW_WORDS;
    return select(select(0x52525252u, 0x00520052u, CELL_BITS == 16u),
        state[word(GRID_0 + select(0u, u32(y) * ROW_WORDS + u32(x), inside))], inside);
}

/// Seven cells of row y from column x on, as bytes. Beyond the level everything is wall.
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

fn observe(to_final: bool) {
    // The seen square of the level as it lies there; only visibility and the order of writing depend on where the agent looks.
    let f = forward_of(facing);
    let corner = at + 3 * f - 3;
    var cells: array<vec2<u32>, VIEW>;
    var clear = vec2(0u);
    for (var r = 0u; r < VIEW; r++) {
        cells[r] = seven(corner.y + i32(r), corner.x);
        let row = ~(opaque_bits(cells[r].x) | (opaque_bits(cells[r].y) << 4u)) & 0x7fu;
        if (r < 4u) { clear.x |= row << (8u * r); } else { clear.y |= row << (8u * r - 32u); }
    }
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
    for (var r = 0u; r < VIEW; r++) {
        let row = select(seen.x, seen.y, r >= 4u) >> (8u * (r & 3u));
        for (var c = 0u; c < VIEW; c++) {
            let byte = (select(cells[r].x, cells[r].y, c >= 4u) >> (8u * (c & 3u))) & 0xffu;
            let cell = select(0u, byte, ((row >> c) & 1u) != 0u);
            // From the middle of the square: how far ahead, and how far to the right.
            let ahead = (i32(c) - 3) * f.x + (i32(r) - 3) * f.y;
            let right = (i32(r) - 3) * f.x - (i32(c) - 3) * f.y;
            put_cell_view(u32(right + 3), u32(3 - ahead), cell, to_final);
        }
    }
    // The agent's own cell shows what it carries.
    put_cell_view(3u, VIEW - 1u, select(hand, EMPTY, hand == 0u), to_final);
    var next = put_category(IMAGE, facing, 4u, to_final);
    for (var k = 0u; k < CLAUSES; k++) {
        let c = clause(k);
        next = put_category(next, c & 7u, 6u, to_final);
        next = put_desc(next, first_desc(c), to_final);
        if (TWO_DESCS) { next = put_desc(next, second_desc(c), to_final); }
    }
    if (PARTS > 1u) { next = put_category(next, order(), 3u, to_final); }
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
