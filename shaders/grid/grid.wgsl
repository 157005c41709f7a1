// MiniGrid's world: cells, the agent, what an action does (docs/environments/grid.md, §2 to §4). One invocation an environment.
// Constants: W, H, CELL_BITS, CELL_SHIFT (log2 of the cells of a word), CLAUSES, PER_PART, BALLS, ADVICE, NAV_STEPS, REWARD_ROW,
// TEMPLATE (where the empty level lies in `tables`), TRACKED (goto clauses may occur).

@group(0) @binding(14) var<storage, read> tables: array<u32>;  // rewards as bits of f32 [navigations, step], then the empty level

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

// The state's words: pose, hand, mission, clauses, balls that move, the expert's advice, the grid.
const CLAUSE_0: u32 = 3u;
const BALL_0: u32 = CLAUSE_0 + CLAUSES;
const ADVICE_0: u32 = BALL_0 + BALLS;
const GRID_0: u32 = ADVICE_0 + ADVICE;
// A row begins with a word; what is left of its last word is wall.
const ROW_WORDS: u32 = (W + (1u << CELL_SHIFT) - 1u) >> CELL_SHIFT;
const STRIDE: u32 = ROW_WORDS << CELL_SHIFT;
const CELLS: u32 = STRIDE * H;
const GRID_WORDS: u32 = ROW_WORDS * H;

var<private> at: vec2<i32>;     // x to the right, y down
var<private> facing: u32;       // 0 right, 1 down, 2 left, 3 up
var<private> ghosts: bool;      // there may be ghost cells
var<private> gave_up: bool;     // the generator found no valid level
var<private> over: bool;        // the episode has ended, or none has begun: restart.wgsl begins the next one
var<private> hand: u32;         // the carried object as a cell, 0 for none
var<private> contents: u32;     // what the box with contents holds, as a cell
var<private> mission: u32;      // progress and form of the mission (verify.wgsl)

fn load() {
    let pose = state[word(0u)];
    at = vec2(i32(pose & 0xffu), i32((pose >> 8u) & 0xffu));
    facing = (pose >> 16u) & 3u;
    ghosts = ((pose >> 18u) & 1u) != 0u;
    gave_up = ((pose >> 19u) & 1u) != 0u;
    over = ((pose >> 20u) & 1u) != 0u;
    let held = state[word(1u)];
    hand = held & 0xffffu;
    contents = held >> 16u;
    mission = state[word(2u)];
}

fn store() {
    state[word(0u)] = u32(at.x) | (u32(at.y) << 8u) | (facing << 16u) | (u32(ghosts) << 18u) | (u32(gave_up) << 19u)
        | (u32(over) << 20u);
    state[word(1u)] = hand | (contents << 16u);
    state[word(2u)] = mission;
}

fn cell_at(i: u32) -> u32 {
    let shift = (i & ((1u << CELL_SHIFT) - 1u)) * CELL_BITS;
    return (state[word(GRID_0 + (i >> CELL_SHIFT))] >> shift) & ((1u << CELL_BITS) - 1u);
}

fn put_cell(i: u32, cell: u32) {
    let shift = (i & ((1u << CELL_SHIFT) - 1u)) * CELL_BITS;
    let place = word(GRID_0 + (i >> CELL_SHIFT));
    state[place] = (state[place] & ~(((1u << CELL_BITS) - 1u) << shift)) | (cell << shift);
}

fn index(p: vec2<i32>) -> u32 { return u32(p.y) * STRIDE + u32(p.x); }
fn point(i: u32) -> vec2<i32> { return vec2(i32(i % STRIDE), i32(i / STRIDE)); }
fn forward_of(d: u32) -> vec2<i32> { return vec2((1 - i32(d)) * i32(1u - (d & 1u)), (2 - i32(d)) * i32(d & 1u)); }
fn ahead() -> u32 { return index(at + forward_of(facing)); }

/// Goto clauses look again: what is no longer there is forgotten.
fn forget_ghosts() {
    if (!ghosts) { return; }
    for (var i = 0u; i < CELLS; i++) {
        if (has(IS_GHOST, cell_at(i))) { put_cell(i, EMPTY); }
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
    if (action == FORWARD && has(IS_WALKABLE, cell)) {
        at += forward_of(facing);
        effect.reached = kind == GOAL;
        effect.burnt = kind == LAVA;
    } else if (action == PICKUP && hand == 0u && has(IS_PORTABLE, cell)) {
        hand = cell;
        put_cell(i, emptied(cell));
    } else if (action == DROP && hand != 0u && has(IS_EMPTY, cell)) {
        put_cell(i, hand);
        hand = 0u;
        effect.dropped = true;
    } else if (action == TOGGLE) {
        let colour = cell & 0x70u;
        if (kind == LOCKED && (hand & 0x7fu) == (KEY | colour)) { put_cell(i, (cell & ~15u) | OPEN); }
        if (kind == CLOSED) { put_cell(i, (cell & ~15u) | OPEN); }
        if (kind == OPEN) { put_cell(i, (cell & ~15u) | CLOSED); }
        if (kind == BOX) { put_cell(i, emptied(cell)); }
        if (kind == FULL_BOX) { put_cell(i, contents); }
    }
    return effect;
}

/// Steps that this mission allows.
fn limit() -> u32 { return select(navigations() * NAV_STEPS, MAX_STEPS, NAV_STEPS == 0u); }

fn reward_at(step: u32) -> f32 {
    return bitcast<f32>(tables[select(navigations() - 1u, 0u, NAV_STEPS == 0u) * REWARD_ROW + step]);
}

fn advance() -> Outcome {
    var action = 0u;
    if (DRIVER == EXTERNAL) { action = told(0u); }
    if (DRIVER == RANDOM) { action = choose(draw(0u, 0u).x, ACTIONS); }
    if (DRIVER == HEURISTIC) { action = state[word(ADVICE_0)] & 0xffu; }
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
    let length = e_step + 1u;
    let won = (effect.reached || status == SUCCESS) && !struck;
    var paid = select(0.0, reward_at(length), won);
    if (struck) { paid = -1.0; }
    pay(0u, paid);
    let decided = won || struck || effect.burnt || status == FAILURE;
    let cut = length >= limit();
    over = decided || cut;
    mark_done(0u, over);
    return Outcome(decided, cut, won, e_return + paid, length, vec2(0.0));
}

/// The dispatch behind this one (restart.wgsl) draws the level.
fn restart() { over = true; }

/// Uniform among 0 .. n - 1, n below 65,536: the high word of bits * n, in whole numbers, so the same on every adapter.
fn choose(bits: u32, n: u32) -> u32 { return ((bits >> 16u) * n + (((bits & 0xffffu) * n) >> 16u)) >> 16u; }
