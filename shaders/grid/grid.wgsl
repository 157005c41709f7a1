// MiniGrid's world: cells, the agent, what an action does (docs/environments/grid.md, §2 to §4). One invocation an environment.
// Constants: W, H, CELL_BITS, CELL_SHIFT (log2 of the cells of a word), ROW_WORDS, SMALL (the level fits eight rows of eight bytes),
// CLAUSES, PER_PART, BALLS, ADVICE, GRID_0 (first word of the level), NAV_STEPS, REWARD_ROW, TEMPLATE (where the empty level lies in
// `tables`, in fours), TRACKED (goto clauses may occur), TWO_DESCS (put-next clauses may), RESTARTS (restart.wgsl follows the step).

@group(0) @binding(14) var<storage, read> tables: array<vec4<u32>>;  // rewards as bits of f32 [navigations, step], then the empty level

// A cell's low byte: kind, colour << 4. Wide cells (CELL_BITS = 16) have a bit for each description of the mission in the high
// byte: set where the object was meant by it at the start of the episode.
const EMPTY: u32 = 1u;
const WALL: u32 = 2u;
const OPEN: u32 = 4u;
const KEY: u32 = 5u;
const BALL: u32 = 6u;
const BOX: u32 = 7u;
const GOAL: u32 = 8u;
const LAVA: u32 = 9u;
const CLOSED: u32 = 10u;
const LOCKED: u32 = 11u;
// 12 to 14: an empty cell in which a key, a ball or a box lay when goto clauses last looked (§7.3); 15: a box with contents.
const GHOST: u32 = 7u;
const FULL_BOX: u32 = 15u;

const GREY_WALL: u32 = 0x52u;
// A bit a kind.
const IS_EMPTY: u32 = 0x7002u;
const IS_WALKABLE: u32 = 0x731au;
const IS_PORTABLE: u32 = 0x80e0u;
const IS_OPAQUE: u32 = 0x0c04u;
const IS_GHOST: u32 = 0x7000u;
const IS_DOOR: u32 = 0x0c10u;

fn has(table: u32, cell: u32) -> bool { return ((table >> (cell & 15u)) & 1u) != 0u; }

/// MiniGrid's object id.
fn type_of(cell: u32) -> u32 {
    return (select(0x76543210u, 0x71114498u, (cell & 8u) != 0u) >> ((cell & 7u) * 4u)) & 15u;
}
fn colour_of(cell: u32) -> u32 { return select((cell >> 4u) & 7u, 0u, has(IS_EMPTY, cell)); }
/// Doors: 0 open, 1 closed, 2 locked.
fn state_of(cell: u32) -> u32 { return select(0u, (cell & 15u) - 9u, has(0x0c00u, cell)); }

const LEFT: u32 = 0u;
const RIGHT: u32 = 1u;
const FORWARD: u32 = 2u;
const PICKUP: u32 = 3u;
const DROP: u32 = 4u;
const TOGGLE: u32 = 5u;

// The state's words: step, episode, return, pose; hand, mission, two clauses; further clauses, balls that move, the expert's advice,
// filled up to a four; the grid, filled up to a four.
const CLAUSE_0: u32 = 6u;
const CLAUSE_WORDS: u32 = max(CLAUSES, 2u);
const BALL_0: u32 = CLAUSE_0 + CLAUSE_WORDS;
const ADVICE_0: u32 = BALL_0 + BALLS;
// A row begins with a word; what is left of it is wall.
const STRIDE: u32 = ROW_WORDS << CELL_SHIFT;
const CELLS: u32 = STRIDE * H;
const GRID_FOURS: u32 = (ROW_WORDS * H + 3u) / 4u;
const ALL_FOURS: u32 = (1u << min(GRID_FOURS, 4u)) - 1u;   // a bit for each of a small level's

var<private> at: vec2<i32>;     // x to the right, y down
var<private> facing: u32;       // 0 right, 1 down, 2 left, 3 up
var<private> ghosts: bool;      // there may be ghost cells
var<private> gave_up: bool;     // the generator found no valid level
var<private> over: bool;        // the episode has ended, or none has begun: restart.wgsl begins the next one
var<private> won: bool;         // how it ended
var<private> cut: bool;
var<private> hand: u32;         // the carried object as a cell, 0 for none
var<private> contents: u32;     // what the box with contents holds, as a cell
var<private> mission: u32;      // progress and form of the mission (verify.wgsl)

var<private> clauses: array<u32, CLAUSE_WORDS>;
var<private> second: vec4<u32>;            // the second four, as it lies in memory
// A small level's rows, two a four, and which of them differ from memory. Searching four values for a word takes a software device a
// tenth of the time of loading it.
var<private> rows: array<vec4<u32>, 4>;
var<private> changed: u32;

fn load() {
    let first = four(0u);
    e_step = first.x;
    e_episode = first.y;
    e_return = bitcast<f32>(first.z);
    let pose = first.w;
    at = vec2(i32(pose & 0xffu), i32((pose >> 8u) & 0xffu));
    facing = (pose >> 16u) & 3u;
    ghosts = ((pose >> 18u) & 1u) != 0u;
    gave_up = ((pose >> 19u) & 1u) != 0u;
    over = ((pose >> 20u) & 1u) != 0u;
    won = ((pose >> 21u) & 1u) != 0u;
    cut = ((pose >> 22u) & 1u) != 0u;
    second = four(1u);
    hand = second.x & 0xffffu;
    contents = second.x >> 16u;
    mission = second.y;
    clauses[0] = second.z;
    clauses[1] = second.w;
    for (var k = 2u; k < CLAUSES; k++) { clauses[k] = word_at(CLAUSE_0 + k); }
    changed = 0u;
    if (SMALL) {
        rows = array<vec4<u32>, 4>(vec4(BEYOND), vec4(BEYOND), vec4(BEYOND), vec4(BEYOND));
        rows[0] = four(GRID_0 / 4u);
        if (GRID_FOURS > 1u) { rows[1] = four(GRID_0 / 4u + 1u); }
        if (GRID_FOURS > 2u) { rows[2] = four(GRID_0 / 4u + 2u); }
        if (GRID_FOURS > 3u) { rows[3] = four(GRID_0 / 4u + 3u); }
    }
}

fn store() {
    let pose = u32(at.x) | (u32(at.y) << 8u) | (facing << 16u) | (u32(ghosts) << 18u) | (u32(gave_up) << 19u) | (u32(over) << 20u)
        | (u32(won) << 21u) | (u32(cut) << 22u);
    set_four(0u, vec4(e_step, e_episode, bitcast<u32>(e_return), pose));
    let now = vec4(hand | (contents << 16u), mission, clauses[0], clauses[1]);
    if (any(now != second)) { set_four(1u, now); }
    if (SMALL && changed != 0u) {
        if ((changed & 1u) != 0u) { set_four(GRID_0 / 4u, rows[0]); }
        if ((changed & 2u) != 0u) { set_four(GRID_0 / 4u + 1u, rows[1]); }
        if ((changed & 4u) != 0u) { set_four(GRID_0 / 4u + 2u, rows[2]); }
        if ((changed & 8u) != 0u) { set_four(GRID_0 / 4u + 3u, rows[3]); }
    }
}

/// After a level was drawn: the clauses too that a step leaves as they are.
fn store_all() {
    store();
    for (var k = 2u; k < CLAUSES; k++) { set_word(CLAUSE_0 + k, clauses[k]); }
}

/// The level's words 4k to 4k + 3.
fn level_four(k: u32) -> vec4<u32> {
    if (SMALL) { return select(select(rows[0], rows[1], k == 1u), select(rows[2], rows[3], k == 3u), k >= 2u); }
    return four(GRID_0 / 4u + k);
}

fn level_word(i: u32) -> u32 {
    if (SMALL) {
        let words = level_four(i >> 2u);
        let pair = select(words.xy, words.zw, (i & 2u) != 0u);
        return select(pair.x, pair.y, (i & 1u) != 0u);
    }
    return word_at(GRID_0 + i);
}

fn cell_at(i: u32) -> u32 {
    let shift = (i & ((1u << CELL_SHIFT) - 1u)) * CELL_BITS;
    return (level_word(i >> CELL_SHIFT) >> shift) & ((1u << CELL_BITS) - 1u);
}

fn put_cell(i: u32, cell: u32) {
    let shift = (i & ((1u << CELL_SHIFT) - 1u)) * CELL_BITS;
    let w = i >> CELL_SHIFT;
    let word = (level_word(w) & ~(((1u << CELL_BITS) - 1u) << shift)) | (cell << shift);
    if (SMALL) {
        rows[0] = select(rows[0], vec4(word), vec4(w) == vec4(0u, 1u, 2u, 3u));
        rows[1] = select(rows[1], vec4(word), vec4(w) == vec4(4u, 5u, 6u, 7u));
        rows[2] = select(rows[2], vec4(word), vec4(w) == vec4(8u, 9u, 10u, 11u));
        rows[3] = select(rows[3], vec4(word), vec4(w) == vec4(12u, 13u, 14u, 15u));
        changed |= 1u << (w >> 2u);
    } else {
        set_word(GRID_0 + w, word);
    }
}

fn index(p: vec2<i32>) -> u32 { return u32(p.y) * STRIDE + u32(p.x); }
fn point(i: u32) -> vec2<i32> { return vec2(i32(i % STRIDE), i32(i / STRIDE)); }
fn forward_of(d: u32) -> vec2<i32> { return vec2((1 - i32(d)) * i32(1u - (d & 1u)), (2 - i32(d)) * i32(d & 1u)); }
fn ahead() -> u32 { return index(at + forward_of(facing)); }

/// Cells of kinds 12 to 14 are empty ones again.
fn without_ghosts(cells: vec4<u32>) -> vec4<u32> {
    let ones = vec4(select(0x01010101u, 0x00010001u, CELL_BITS == 16u));
    let found = (cells >> vec4(3u)) & (cells >> vec4(2u)) & ~((cells >> vec4(1u)) & cells) & ones;
    return (cells & ~(found * ((1u << CELL_BITS) - 1u))) | found * EMPTY;
}

/// Goto clauses look again: what is no longer there is forgotten.
fn forget_ghosts() {
    if (!ghosts) { return; }
    if (SMALL) {
        rows[0] = without_ghosts(rows[0]);
        rows[1] = without_ghosts(rows[1]);
        rows[2] = without_ghosts(rows[2]);
        rows[3] = without_ghosts(rows[3]);
        changed = ALL_FOURS;
    } else {
        for (var k = 0u; k < GRID_FOURS; k++) { set_four(GRID_0 / 4u + k, without_ghosts(four(GRID_0 / 4u + k))); }
    }
    ghosts = false;
}

/// The cell that stays behind when the object in `cell` goes.
fn emptied(cell: u32) -> u32 {
    if (!TRACKED || (cell & 15u) == FULL_BOX) { return EMPTY; }
    ghosts = true;
    return cell + GHOST;
}

/// What an action did by itself, before the mission is looked at.
struct Effect { reached: bool, burnt: bool, dropped: bool }

fn act(action: u32) -> Effect {
    var effect = Effect(false, false, false);
    if (action == LEFT) { facing = (facing + 3u) & 3u; }
    if (action == RIGHT) { facing = (facing + 1u) & 3u; }
    if (action < FORWARD || action > TOGGLE) { return effect; }
    let i = ahead();
    let cell = cell_at(i);
    let kind = cell & 15u;
    var then = cell;
    if (action == FORWARD && has(IS_WALKABLE, cell)) {
        at += forward_of(facing);
        effect.reached = kind == GOAL;
        effect.burnt = kind == LAVA;
    } else if (action == PICKUP && hand == 0u && has(IS_PORTABLE, cell)) {
        hand = cell;
        then = emptied(cell);
    } else if (action == DROP && hand != 0u && has(IS_EMPTY, cell)) {
        then = hand;
        hand = 0u;
        effect.dropped = true;
    } else if (action == TOGGLE) {
        let fitting = (hand & 0x7fu) == (KEY | (cell & 0x70u));
        if (kind == CLOSED || (kind == LOCKED && fitting)) { then = (cell & ~15u) | OPEN; }
        if (kind == OPEN) { then = (cell & ~15u) | CLOSED; }
        if (kind == BOX) { then = emptied(cell); }
        if (kind == FULL_BOX) { then = contents; }
    }
    if (then != cell) { put_cell(i, then); }
    return effect;
}

/// Steps that this mission allows.
fn limit() -> u32 { return select(navigations() * NAV_STEPS, MAX_STEPS, NAV_STEPS == 0u); }

fn reward_at(step: u32) -> f32 {
    let i = select(navigations() - 1u, 0u, NAV_STEPS == 0u) * REWARD_ROW + step;
    return bitcast<f32>(tables[i >> 2u][i & 3u]);
}

/// One step: acts, looks at the mission, pays.
fn advance() -> Outcome {
    var action = 0u;
    if (DRIVER == EXTERNAL) { action = told(0u); }
    if (DRIVER == RANDOM) { action = choose(draw(0u, 0u).x, ACTIONS); }
    if (DRIVER == HEURISTIC) { action = word_at(ADVICE_0) & 0xffu; }
    var struck = false;
    if (BALLS > 0u) {
        if (action > FORWARD) { action = LEFT; }
        let kind = cell_at(ahead()) & 15u;
        struck = action == FORWARD && kind != EMPTY && kind != GOAL;
        move_balls();
    }
    let before = hand;
    let effect = act(action);
    if (action == DROP) { forget_ghosts(); }
    let status = verify(action, before, effect.dropped);
    e_step += 1u;
    won = (effect.reached || status == SUCCESS) && !struck;
    var paid = 0.0;
    if (won) { paid = reward_at(e_step); }
    if (struck) { paid = -1.0; }
    pay(0u, paid);
    e_return += paid;
    let decided = won || struck || effect.burnt || status == FAILURE;
    cut = e_step >= limit() && !decided;
    over = decided || cut;
    mark_done(0u, over);
    return Outcome(decided, cut, won, e_return, e_step, vec2(0.0));
}

/// Uniform among 0 .. n - 1, n below 65,536: the high word of bits * n, in whole numbers, so the same on every adapter.
fn choose(bits: u32, n: u32) -> u32 { return ((bits >> 16u) * n + (((bits & 0xffffu) * n) >> 16u)) >> 16u; }
