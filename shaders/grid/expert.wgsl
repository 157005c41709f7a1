// The expert (docs/environments/grid.md, §9): with full knowledge of the level, the next action on a shortest way to do the mission's
// next clause. It looks ahead as far as one thing to be fetched first, and puts down what is in its hand before that.
//
// Poses (cell and direction) are searched backwards from the goal, one bit a cell, a row in a word, so that a wave of the search is a
// few shifts a row. A plan has up to three stages, the last one first: `aims` 0 is what must be faced at the end, `aims` 1 what is
// fetched on the way; where the hand is full, a last stage of the search puts the thing down on the way there (`aims` 2). Where things are
// in the way, the plan is to carry off one of those that lie on a way with the fewest (`aims` 3), to where it is in no such way.

const NOTHING: u32 = 255u;
/// Longest way that is searched.
const WAVES: u32 = 8u * (W + H) + 64u;

// The bounds of the searches' loops, which the compiler must not know: it would unroll them, for minutes.
var<private> width: u32;
var<private> height: u32;

var<private> ground: array<u32, H>;      // cells to stand on: empty, floor, doors that are not locked
var<private> loose: array<u32, H>;       // things that can be carried away
var<private> locks: array<u32, H>;
var<private> aims: array<array<u32, H>, 4>;
/// Cells that the agent can walk to, and those that it could if it first carried things away.
var<private> in_walk: array<array<u32, H>, 2>;
var<private> spot: u32;                  // cell of the only thing to be fetched, CELLS if there are several
var<private> lock: u32;                  // cell of a locked door to be opened without its key in the hand, CELLS for none
var<private> last_act: u32;              // what to do at the end: PICKUP, DROP, TOGGLE, FORWARD or NOTHING
var<private> breaking: bool;             // the way is cleared by breaking boxes, not by carrying things off
var<private> laying: bool;               // the end is to put down what the mission is about, out of the way
var<private> fetching: bool;             // there is something to fetch first

fn bit_of(i: u32) -> vec2<u32> { return vec2(i / STRIDE, 1u << (i % STRIDE)); }

/// Things put down by lot in this episode, kept in the advice's highest byte.
var<private> lots: u32;

fn survey() {
    lots = select(word_at(ADVICE_0) >> 24u, 0u, e_step == 0u);
    width = W + slots.pad0;
    height = H + slots.pad0;
    breaking = false;
    laying = false;
    guarded = false;
    for (var y = 0u; y < height; y++) {
        ground[y] = 0u;
        loose[y] = 0u;
        locks[y] = 0u;
        for (var x = 0u; x < width; x++) {
            let cell = cell_at(y * STRIDE + x);
            ground[y] |= u32(has(IS_EMPTY | (1u << 3u) | (1u << OPEN) | (1u << GOAL) | (1u << CLOSED), cell)) << x;
            loose[y] |= u32(has(IS_PORTABLE, cell)) << x;
            locks[y] |= u32((cell & 15u) == LOCKED) << x;
        }
    }
}

/// What a cell must be to be aimed at.
const FITTING: u32 = 0u;
const REMEMBERED: u32 = 1u;     // fitting, or where it was when goto clauses last looked
const SHUT_DOORS: u32 = 2u;     // fitting, and one toggle opens it
const LOCKED_DOORS: u32 = 3u;   // fitting, but locked
const BESIDE: u32 = 4u;         // empty, beside something fitting
const BARE: u32 = 5u;           // empty
const CARRIABLE: u32 = 6u;      // fitting, and no wall or door
const CROWD: u32 = 7u;          // something that can be carried off, beside something fitting

/// The key that opens a locked door.
fn key_of(door: u32) -> u32 { return thing(KEY, (door >> 4u) & 7u); }

/// Sets `aims[stage]`; returns how many cells there are.
fn aim(stage: u32, how: u32, d: u32, slot: u32) -> u32 {
    var count = 0u;
    for (var y = 0u; y < height; y++) {
        aims[stage][y] = 0u;
        for (var x = 0u; x < width; x++) {
            let i = y * STRIDE + x;
            let cell = cell_at(i);
            var good = false;
            if (how == CROWD) {
                good = has(IS_PORTABLE, cell) && near(i, d, slot);
            } else if (how == BARE || how == BESIDE) {
                // The only thing that is fetched leaves its cell.
                good = has(IS_EMPTY, cell) || (fetching && i == spot);
                if (good && how == BESIDE) { good = near(i, d, slot); }
            } else {
                var looked_at = cell;
                if (how == REMEMBERED) { looked_at = remembered(cell); }
                good = fits(looked_at, d, slot);
                let locked = (cell & 15u) == LOCKED;
                if (how == SHUT_DOORS) { good = good && (cell & 15u) == CLOSED; }
                if (how == LOCKED_DOORS) { good = good && locked; }
                if (how == CARRIABLE) { good = good && has(IS_PORTABLE, cell); }
            }
            if (!good) { continue; }
            aims[stage][y] |= 1u << x;
            count += 1u;
            if (stage == 1u) { spot = i; }
            if (how == LOCKED_DOORS) { lock = i; }
        }
    }
    if (stage == 1u && count != 1u) { spot = CELLS; }
    return count;
}

/// The first clause of a part that is not fulfilled, CLAUSES if there is none.
fn open_clause_of(part: u32) -> u32 {
    for (var n = 0u; n < PER_PART; n++) {
        let k = part * PER_PART + n;
        if ((clause(k) & 7u) != 0u && (mission & (2u << k)) == 0u) { return k; }
    }
    return CLAUSES;
}

/// Where picking up anything else fails, the way is cleared by breaking boxes only.
fn carry_nothing_else(d: u32, slot: u32) {
    breaking = true;
    for (var y = 0u; y < height; y++) {
        loose[y] = 0u;
        for (var x = 0u; x < width; x++) {
            let cell = cell_at(y * STRIDE + x);
            loose[y] |= u32((cell & 15u) == BOX && !fits(cell, d, slot)) << x;
        }
    }
}

/// What the mission asks for next. False if it cannot be done.
fn choose_goal() -> bool {
    let turn = mission & 1u;
    let k = open_clause_of(part_in_turn(turn));
    if (k == CLAUSES) { return false; }
    let c = clause(k);
    let kind = c & 7u;
    let first = first_desc(c);
    let held = hand != 0u && fits(hand, first, 2u * k);
    var how = FITTING;
    var d = first;
    var slot = 2u * k;
    last_act = NOTHING;
    fetching = false;
    spot = CELLS;
    lock = CELLS;
    if (kind == REACH) { last_act = FORWARD; }
    if (kind == GOTO) { how = REMEMBERED; }
    if (kind == OPEN_DOOR) {
        how = SHUT_DOORS;
        last_act = TOGGLE;
    }
    if (kind == PICK) {
        how = CARRIABLE;
        last_act = PICKUP;
        if ((c & (1u << 25u)) != 0u) { carry_nothing_else(first, 2u * k); }
        if (PARTS > 1u && turn == 0u && order() != 0u && !held && !more_to_do(part_in_turn(0u), k)) {
            // Where it is picked up on the way to the next part's goal, the way goes by there.
            let next = open_clause_of(part_in_turn(1u));
            if (next < CLAUSES && (clause(next) & 7u) == GOTO) {
                fetching = true;
                how = REMEMBERED;
                last_act = NOTHING;
                d = first_desc(clause(next));
                slot = 2u * next;
            }
        }
    }
    if (kind == PUT_NEXT) {
        fetching = !held;
        how = BESIDE;
        last_act = DROP;
        d = second_desc(c);
        slot = 2u * k + 1u;
    }
    // What is fetched; the end; and where there is no such end, another one.
    for (var n = select(1u, 0u, fetching); n < 4u; n++) {
        let end = n > 0u;
        let found = aim(select(1u, 0u, end), select(CARRIABLE, how, end), select(first, d, end), select(2u * k, slot, end));
        if (n == 0u && found == 0u) { return false; }
        if (n > 0u && found > 0u) {
            if (how == CROWD) {
                // Makes a place to put it.
                fetching = false;
                last_act = PICKUP;
            }
            return true;
        }
        if (n == 1u && how == SHUT_DOORS) {
            how = LOCKED_DOORS;
        } else if (n == 2u && how == LOCKED_DOORS) {
            // Open already: it must be shut to be opened.
            how = FITTING;
        } else if (n == 1u && how == BESIDE) {
            how = CROWD;
        } else if (n == 1u || how == CROWD) {
            // What is asked for is in the hand itself.
            if (hand == 0u || !fits(hand, d, slot)) { return false; }
            if (fetching) {
                // It is put down on the way to what belongs beside it.
                fetching = false;
                spot = CELLS;
                last_act = PICKUP;
                aims[0] = aims[1];
                return true;
            }
            laying = true;
            last_act = DROP;
            how = BARE;
        }
    }
    return false;
}

/// Does the part have an open clause other than `k`?
fn more_to_do(part: u32, k: u32) -> bool {
    for (var n = 0u; n < PER_PART; n++) {
        let other = part * PER_PART + n;
        if (other != k && (clause(other) & 7u) != 0u && (mission & (2u << other)) == 0u) { return true; }
    }
    return false;
}

/// Cells beside those of a set, in row y: what someone who stands on one of them can face.
fn beside(above: u32, here: u32, below: u32) -> u32 { return (here << 1u) | (here >> 1u) | above | below; }

/// Cells within reach of the hand of one who walks (`far` 0), or walks and carries things away (1).
fn reach(far: u32, y: u32) -> u32 {
    return beside(in_walk[far][max(y, 1u) - 1u], in_walk[far][y], in_walk[far][min(y + 1u, H - 1u)]);
}

/// Ground of row y, to which the cell of the only thing that is fetched counts.
fn free_ground(y: u32) -> u32 {
    if (fetching && spot < CELLS && bit_of(spot).x == y) { return ground[y] | bit_of(spot).y; }
    return ground[y];
}

/// Fills `in_walk`.
fn walk_about() {
    for (var far = 0u; far < 2u + slots.pad0; far++) {
        for (var y = 0u; y < height; y++) { in_walk[far][y] = select(0u, 1u << u32(at.x), y == u32(at.y)); }
        var grew = true;
        for (var n = 0u; n < CELLS && grew; n++) {
            grew = false;
            for (var y = 0u; y < height; y++) {
                let open_to = free_ground(y) | select(0u, loose[y], far == 1u);
                let old = in_walk[far][y];
                let more = old | (reach(far, y) & open_to);
                grew = grew || more != old;
                in_walk[far][y] = more;
            }
        }
    }
}

fn in_reach(far: u32, stage: u32) -> bool {
    var found = false;
    for (var y = 0u; y < height; y++) { found = found || (reach(far, y) & aims[stage][y]) != 0u; }
    return found;
}

/// Turns a goal behind a locked door, or that door, into the goal of unlocking a door. False if that cannot be done either.
fn unlock_the_way(stage: u32) -> bool {
    // Backwards from there to the first lock that the agent can reach.
    var front = aims[stage];
    var i = lock;
    lock = CELLS;
    for (var n = 0u; n < CELLS && i == CELLS; n++) {
        for (var y = 0u; y < height; y++) {
            let met = front[y] & locks[y] & reach(1u, y);
            if (met != 0u && i == CELLS) { i = y * STRIDE + countTrailingZeros(met); }
        }
        var grew = false;
        // One step further, so that the nearest is met first: the row above as it was.
        var above = 0u;
        for (var y = 0u; y < height; y++) {
            let old = front[y];
            let more = old | (beside(above, old, front[min(y + 1u, H - 1u)]) & (ground[y] | loose[y] | locks[y]));
            grew = grew || more != old;
            above = old;
            front[y] = more;
        }
        if (!grew) { break; }
    }
    if (i == CELLS) { return false; }
    let key = key_of(cell_at(i));
    let unlock = (hand & 0x7fu) != key;
    fetching = false;
    laying = false;
    spot = CELLS;
    var keys = 0u;
    var box = CELLS;
    for (var y = 0u; y < height; y++) {
        aims[0][y] = 0u;
        aims[1][y] = 0u;
        for (var x = 0u; x < width; x++) {
            let place = y * STRIDE + x;
            let cell = cell_at(place);
            if ((cell & 15u) == FULL_BOX) { box = place; }
            if (!unlock || (cell & 0x7fu) != key) { continue; }
            aims[1][y] |= 1u << x;
            keys += 1u;
            spot = place;
        }
    }
    if (keys != 1u) { spot = CELLS; }
    fetching = keys > 0u;
    last_act = TOGGLE;
    if (unlock && !fetching) {
        // The key is in the box with contents.
        if (box == CELLS) {
            if ((hand & 15u) != FULL_BOX) { return false; }
            laying = true;
            last_act = DROP;
            for (var y = 0u; y < height; y++) {
                for (var x = 0u; x < width; x++) { aims[0][y] |= u32(has(IS_EMPTY, cell_at(y * STRIDE + x))) << x; }
            }
            return true;
        }
        i = box;
    }
    aims[0][bit_of(i).x] = bit_of(i).y;
    return true;
}

/// How many things must be carried off until `aims[0]`, and `aims[1]` where something is fetched (else 0), are within reach of one who
/// stands on `start` while a thing lies on `blocked` (CELLS: none does). `sides` says from where that thing could have been put
/// there: bit d if who faces it in direction d can walk to `start`.
fn burden(start: u32, blocked: u32) -> vec2<u32> {
    var front: array<u32, H>;
    for (var y = 0u; y < height; y++) { front[y] = select(0u, bit_of(start).y, y == bit_of(start).x); }
    var found = vec2(NOTHING, select(0u, NOTHING, fetching));
    var count = 0u;
    var carrying = false;
    sides = 0u;
    for (var n = 0u; n < 2u * CELLS; n++) {
        var grew = false;
        var above = 0u;
        for (var y = 0u; y < height; y++) {
            let thing = select(0u, bit_of(blocked).y, blocked < CELLS && bit_of(blocked).x == y);
            let old = front[y];
            let faced = beside(above, old, front[min(y + 1u, H - 1u)] & select(0u, ~0u, y + 1u < H));
            // Nothing more can be put where the thing is.
            let end = aims[0][y] & ~select(0u, thing, last_act == DROP);
            if (!carrying) {
                if (found.x == NOTHING && (faced & end) != 0u) { found.x = count; }
                if (found.y == NOTHING && (faced & aims[1][y]) != 0u) { found.y = count; }
            }
            let more = old | (faced & select(free_ground(y) & ~thing, loose[y] | thing, carrying));
            grew = grew || more != old;
            // Over ground a row may see what has just been reached, over things each step is one more to be carried off.
            above = select(more, old, carrying);
            front[y] = more;
        }
        if (carrying) {
            if (!grew) { break; }
            carrying = false;
        } else if (!grew) {
            if (count == 0u && blocked < CELLS) {
                for (var d = 0u; d < 4u + slots.pad0; d++) {
                    let p = bit_of(index(point(blocked) - forward_of(d)));
                    sides |= u32((front[p.x] & p.y) != 0u) << d;
                }
            }
            if (all(found != vec2(NOTHING))) { break; }
            carrying = true;
            count += 1u;
        }
    }
    return found;
}

/// A number that belongs to a cell and to a time: who goes in circles chooses otherwise after a while.
fn lot(time: u32, i: u32) -> u32 {
    var h = ((time + 1u) * 0x9e3779b1u) ^ ((i + 1u) * 0x85ebca6bu);
    h = (h ^ (h >> 15u)) * 0x2c1b3c6du;
    return h ^ (h >> 13u);
}

/// Sets `aims[3]` to what is carried off next: the things within reach that lie on ways with the fewest things to what the stage is
/// about, or what is to be fetched if it is at hand itself.
fn find_obstacles(stage: u32, at_hand: bool) {
    // Long enough to walk there.
    let time = e_step / (W + H);
    if (lots > 2u && (lot(time, CELLS) & 1u) == 0u) {
        // Anything, by lot: so it gets out of a circle.
        var best = 0u;
        for (var y = 0u; y < height; y++) {
            aims[3][y] = 0u;
            var left = loose[y] & reach(0u, y);
            while (left != 0u) {
                let bit = left & (~left + 1u);
                left &= left - 1u;
                let l = lot(time, y * STRIDE + countTrailingZeros(bit)) | 1u;
                if (l < best) { continue; }
                best = l;
                for (var r = 0u; r < y; r++) { aims[3][r] = 0u; }
                aims[3][y] = bit;
            }
        }
        if (best > 0u) { return; }
    }
    var front = aims[stage];
    if (stage == 1u && at_hand) {
        aims[3] = front;
        return;
    }
    var carrying = false;
    for (var n = 0u; n < 2u * CELLS; n++) {
        var grew = false;
        var met = false;
        var above = 0u;
        for (var y = 0u; y < height; y++) {
            let old = front[y];
            let next = beside(above, old, front[min(y + 1u, H - 1u)] & select(0u, ~0u, y + 1u < H));
            let more = old | (next & select(free_ground(y), loose[y], carrying));
            if (carrying) {
                aims[3][y] = next & loose[y] & reach(0u, y);
                met = met || aims[3][y] != 0u;
            }
            grew = grew || more != old;
            above = select(more, old, carrying);
            front[y] = more;
        }
        if (met || (carrying && !grew)) { return; }
        carrying = !carrying && !grew;
    }
}

/// Where things may be put down so that they are not in the way: with `care` not beside a door, with 2 or 3 only where the cells around
/// stay joined, and with 3 not beside a thing either.
fn put_down_cells(care: u32) {
    for (var y = 1u; y < height - 1u; y++) {
        aims[2][y] = 0u;
        for (var x = 1u; x < width - 1u; x++) {
            let i = y * STRIDE + x;
            if (!has(IS_EMPTY, cell_at(i))) { continue; }
            var ring = 0u;
            var beside = false;
            // Around the cell, from the upper left on.
            for (var n = 0u; n < 8u + slots.pad0; n++) {
                let dx = select(select(0, 1, n >= 2u && n <= 4u), -1, n == 0u || n >= 6u);
                let dy = select(select(0, 1, n >= 4u && n <= 6u), -1, n <= 2u);
                let cell = cell_at(index(vec2(i32(x) + dx, i32(y) + dy)));
                let free = has(IS_WALKABLE | (1u << CLOSED) | (1u << LOCKED), cell) && (cell & 15u) != LAVA;
                ring |= u32(!free) << n;
                beside = beside || ((n & 1u) != 0u && (has(IS_DOOR, cell) || (care == 3u && has(IS_PORTABLE, cell))));
            }
            let changes = countOneBits(ring ^ (((ring << 1u) | (ring >> 7u)) & 0xffu));
            if (care == 0u || (!beside && (care == 1u || changes <= 2u))) { aims[2][y] |= 1u << x; }
        }
    }
    aims[2][0] = 0u;
    aims[2][H - 1u] = 0u;
}

/// By direction: cells from which a thing may be put down in that direction.
var<private> away: array<array<u32, H>, 4>;
var<private> guarded: bool;              // things are put down only as `away` says
var<private> sides: u32;                 // what `burden` found beside its number
/// Places that are tried, the nearest first, and of which so many suffice.
const PLACES_TRIED: u32 = 640u / H;
const PLACES_FOUND: u32 = 4u;

/// Leaves of `aims[2]` the nearest cells on which a thing leaves the burden at `most`, or one of them by lot, and notes in `away` from
/// where it is put there: from where one still gets on.
fn keep_good_places(most: u32, by_lot: bool) {
    for (var d = 0u; d < 4u + slots.pad0; d++) {
        for (var y = 0u; y < height; y++) { away[d][y] = 0u; }
    }
    let own = index(at);
    var left = aims[2];
    var front: array<u32, H>;
    for (var y = 0u; y < height; y++) {
        aims[2][y] = 0u;
        front[y] = select(0u, bit_of(own).y, y == bit_of(own).x);
    }
    var tried = 0u;
    var good = 0u;
    var best = 0u;
    var grew = true;
    for (var n = 0u; n < CELLS && grew && tried < PLACES_TRIED && (by_lot || good < PLACES_FOUND); n++) {
        grew = false;
        var above = 0u;
        for (var y = 0u; y < height; y++) {
            let old = front[y];
            let faced = beside(above, old, front[min(y + 1u, H - 1u)] & select(0u, ~0u, y + 1u < H));
            let more = old | (faced & ground[y]);
            grew = grew || more != old;
            above = old;
            front[y] = more;
            var now = faced & left[y];
            left[y] &= ~now;
            while (now != 0u && tried < PLACES_TRIED) {
                let x = countTrailingZeros(now);
                now &= now - 1u;
                let i = y * STRIDE + x;
                tried += 1u;
                // Behind itself after a step in any direction, elsewhere from where it stands.
                var from_where = 0u;
                for (var d = 0u; d < select(1u, 4u, i == own); d++) {
                    var start = own;
                    if (i == own) { start = index(at - forward_of(d)); }
                    if (i == own && (ground[bit_of(start).x] & bit_of(start).y) == 0u) { continue; }
                    let found = burden(start, i);
                    if (found.x + found.y <= most) { from_where |= select(sides, 1u << d, i == own); }
                }
                if (from_where == 0u) { continue; }
                good += 1u;
                if (by_lot) {
                    if (good > 1u && lot(e_step >> 3u, i) < best) { continue; }
                    best = lot(e_step >> 3u, i);
                    for (var r = 0u; r < height; r++) { aims[2][r] = 0u; }
                }
                aims[2][y] |= 1u << x;
                for (var d = 0u; d < 4u + slots.pad0; d++) {
                    let p = bit_of(index(vec2(i32(x), i32(y)) - forward_of(d)));
                    away[d][p.x] |= select(0u, p.y, ((from_where >> d) & 1u) != 0u);
                }
            }
        }
    }
}

/// Poses of direction `d` in row y that face what the stage is about.
fn facing_aim(what: u32, d: u32, y: u32) -> u32 {
    if (guarded && what == 2u) { return facing_any(what, d, y) & away[d][y]; }
    return facing_any(what, d, y);
}

fn facing_any(what: u32, d: u32, y: u32) -> u32 {
    if (d == 0u) { return aims[what][y] >> 1u; }
    if (d == 2u) { return aims[what][y] << 1u; }
    if (d == 1u) { return select(0u, aims[what][min(y + 1u, H - 1u)], y + 1u < H); }
    return select(0u, aims[what][max(y, 1u) - 1u], y > 0u);
}

const STAGES: u32 = 3u;

/// The first action of a shortest way, and its length, as `advice` has them; 0 if there is no way.
fn shortest(stages: vec3<u32>, count: u32) -> u32 {
    // stages: which of `aims` each stage of the search is about, from the end; [stage][direction][row].
    var poses: array<array<array<u32, H>, 4>, STAGES>;
    var floor_of: array<array<u32, H>, STAGES>;
    for (var s = 0u; s < count; s++) {
        for (var y = 0u; y < height; y++) { floor_of[s][y] = ground[y]; }
        // After it is fetched, its cell is free.
        if (s == 0u && fetching && spot < CELLS) { floor_of[s][bit_of(spot).x] |= bit_of(spot).y; }
        for (var d = 0u; d < 4u + slots.pad0; d++) {
            for (var y = 0u; y < height; y++) {
                poses[s][d][y] = select(0u, facing_aim(stages[s], d, y) & floor_of[s][y], s == 0u);
            }
        }
    }
    // The agent stands where it stands.
    let x = u32(at.x);
    let y0 = u32(at.y);
    let top = count - 1u;
    let act = select(select(PICKUP, DROP, stages[top] == 2u), last_act, top == 0u);
    let final_step = u32(last_act != NOTHING);
    let front_cell = ahead();
    let front = bit_of(front_cell);
    let apart = !guarded || stages[top] != 2u || ((away[facing][y0] >> x) & 1u) != 0u;
    let faced = (aims[stages[top]][front.x] & front.y) != 0u && apart;
    if (top == 0u && faced) {
        // Facing it is enough for a goto clause, and picking up never turns the agent or makes it forget.
        return select(last_act, PICKUP, last_act == NOTHING) | ((final_step + 1u) << 8u);
    }
    for (var n = 0u; n < WAVES; n++) {
        let length = (n + 1u + final_step + 1u) << 8u;
        if (((poses[top][(facing + 3u) & 3u][y0] >> x) & 1u) != 0u) { return LEFT | length; }
        if (((poses[top][(facing + 1u) & 3u][y0] >> x) & 1u) != 0u) { return RIGHT | length; }
        if ((poses[top][facing][front.x] & front.y) != 0u) {
            return select(FORWARD, TOGGLE, (cell_at(front_cell) & 15u) == CLOSED) | length;
        }
        if (top > 0u && faced && ((poses[top - 1u][facing][y0] >> x) & 1u) != 0u) { return act | length; }
        var grew = false;
        for (var k = 0u; k < count; k++) {
            // From the first stage on, so that each sees the later one as it was.
            let s = top - k;
            var above = 0u;
            for (var y = 0u; y < height; y++) {
                let can = floor_of[s][y];
                let old = vec4(poses[s][0][y], poses[s][1][y], poses[s][2][y], poses[s][3][y]);
                let below = select(0u, poses[s][1][min(y + 1u, H - 1u)], y + 1u < H);
                var more = old | old.yzwx | old.wxyz;
                more |= vec4(old.x >> 1u, below, old.z << 1u, above);
                if (s > 0u) {
                    more |= vec4(facing_aim(stages[s], 0u, y) & poses[s - 1u][0][y], facing_aim(stages[s], 1u, y) & poses[s - 1u][1][y],
                        facing_aim(stages[s], 2u, y) & poses[s - 1u][2][y], facing_aim(stages[s], 3u, y) & poses[s - 1u][3][y]);
                }
                more &= vec4(can);
                grew = grew || any(more != old);
                above = old.w;
                for (var d = 0u; d < 4u; d++) { poses[s][d][y] = more[d]; }
            }
        }
        if (!grew) { break; }
    }
    return 0u;
}

/// The advice word: action, and from bit 8 on the length of the way plus 1, or 0 where there is no way.
fn advise() -> u32 {
    survey();
    if (!choose_goal()) { return LEFT; }
    // Locked doors first, then what lies in the way: `things` for fetching and for the end, then for the end alone if nothing is fetched.
    var open = false;
    var things = vec2(0u);
    var fetched = false;
    var stage = 0u;
    for (var n = 0u; n < 8u + slots.pad0; n++) {
        walk_about();
        if (!open) {
            var locked = NOTHING;
            if (fetching && !in_reach(1u, 1u)) { locked = 1u; }
            if (lock != CELLS || !in_reach(1u, 0u)) { locked = 0u; }
            if (locked != NOTHING) {
                if (!unlock_the_way(locked)) { break; }
                continue;
            }
        }
        let found = burden(index(at), CELLS);
        if (open) {
            // What is fetched may itself be in the way.
            stage = select(0u, 1u, found.x > things.x || things.x == 0u);
            break;
        }
        open = true;
        things = found;
        fetched = fetching;
        if (all(things == vec2(0u))) { break; }
        fetching = false;
    }
    let most = things.x + things.y;
    let blocked = most > 0u;
    if (!open || (blocked && BALLS > 0u)) { return LEFT; }
    if (blocked) { find_obstacles(stage, things.y == 0u); }
    fetching = fetched;
    let full = hand != 0u && (fetching || last_act == PICKUP || (blocked && !breaking));
    let stages = vec3(select(0u, 3u, blocked), select(2u, 1u, fetching && !blocked), 2u);
    let count = 1u + u32(fetching && !blocked) + u32(full);
    let end = last_act;
    // A place for what is in the hand: neat and good, good, any by lot from which it gets on, any.
    for (var n = 0u; n < 5u + slots.pad0; n++) {
        guarded = full && n < 4u;
        if (full || laying) { put_down_cells(select(0u, 3u - n, n < 2u)); }
        // The burden is that of the task, the way leads to the thing that is carried off.
        last_act = end;
        fetching = fetched;
        if (guarded) {
            // At first not where what is fetched is to be put.
            for (var y = 0u; y < height; y++) { aims[2][y] &= ~select(0u, aims[0][y], n < 2u && fetching && last_act == DROP); }
            keep_good_places(select(most, 4u * NOTHING, n == 3u), n == 3u);
        }
        if (laying) { aims[0] = aims[2]; }
        if (blocked) {
            last_act = select(PICKUP, TOGGLE, breaking);
            fetching = false;
        }
        let word = shortest(stages, count);
        lots = min(lots + u32(n == 3u && (word & 0xffu) == DROP), 255u);
        if (word != 0u || !(full || laying)) { return select(LEFT, word, word != 0u); }
    }
    return LEFT;
}

/// Notes what the expert would do now.
@compute @workgroup_size(WORKGROUP)
fn env_expert(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    load();
    let word = advise();
    set_word(ADVICE_0, word | (lots << 24u));
}
