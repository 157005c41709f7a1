// Missions: what they are made of and when they are fulfilled (docs/environments/grid.md, §7).
//
// `mission`: progress of the current episode, and the form of the instruction.
//   bit 0       the part that is being done (0 first, 1 second, in the order of doing)
//   bits 1-4    clauses fulfilled; bits 5-8 clauses that have been tested before
//   bits 9-12   navigations, of which the step limit is a multiple
//   bits 13-14  0 one part, 1 first part before the second, 2 first part after the second
//   bit 15      doing a later part first fails
// A clause: kind (bits 0-2), first and second description (11 bits each from 3 and 14), strict (25).
// A description: object id (4 bits, 0 any), colour (3 bits, 6 any), place (3 bits), whether several match (1 bit).

const GOTO: u32 = 1u;
const PICK: u32 = 2u;
const OPEN_DOOR: u32 = 3u;
const PUT_NEXT: u32 = 4u;
const REACH: u32 = 5u;     // stand on the goal; the move itself ends the episode

const CONTINUE: u32 = 0u;
const SUCCESS: u32 = 1u;
const FAILURE: u32 = 2u;

const BEFORE: u32 = 1u;
const AFTER: u32 = 2u;

const ANY_COLOUR: u32 = 6u;
const SEVERAL: u32 = 1u << 10u;

fn clause(k: u32) -> u32 { return clauses[k]; }
fn first_desc(clause: u32) -> u32 { return (clause >> 3u) & 0x7ffu; }
fn second_desc(clause: u32) -> u32 { return (clause >> 14u) & 0x7ffu; }
fn place_of(desc: u32) -> u32 { return (desc >> 7u) & 7u; }
fn navigations() -> u32 { return (mission >> 9u) & 15u; }
fn order() -> u32 { return (mission >> 13u) & 3u; }

/// Does the object in `cell` fit the description? `slot` is the description's bit in wide cells.
fn fits(cell: u32, desc: u32, slot: u32) -> bool {
    let id = desc & 15u;
    let colour = (desc >> 4u) & 7u;
    let known = place_of(desc) == 0u || ((cell >> (8u + slot)) & 1u) != 0u;
    return !has(IS_EMPTY, cell) && (id == 0u || type_of(cell) == id)
        && (colour == ANY_COLOUR || ((cell >> 4u) & 7u) == colour) && known;
}

/// As goto clauses see a cell: with what lay there when they last looked.
fn remembered(cell: u32) -> u32 { return select(cell, cell - GHOST, has(IS_GHOST, cell)); }

fn near(i: u32, desc: u32, slot: u32) -> bool {
    // The outermost ring is wall, so that an object has four neighbours.
    return fits(cell_at(i - 1u), desc, slot) || fits(cell_at(i + 1u), desc, slot)
        || fits(cell_at(i - STRIDE), desc, slot) || fits(cell_at(i + STRIDE), desc, slot);
}

/// `before` is what was carried when this clause was last tested: nothing, if it never was.
fn test(k: u32, action: u32, before: u32, dropped: bool) -> u32 {
    let c = clause(k);
    let kind = c & 7u;
    let strict = (c & (1u << 25u)) != 0u;
    let desc = first_desc(c);
    let front = ahead();
    if (TRACKED && kind == GOTO) {
        if (fits(remembered(cell_at(front)), desc, 2u * k)) { return SUCCESS; }
    } else if (kind == PICK && action == PICKUP) {
        if (before == 0u && hand != 0u && fits(hand, desc, 2u * k)) { return SUCCESS; }
        if (strict && hand != 0u) { return FAILURE; }
    } else if (kind == OPEN_DOOR && action == TOGGLE) {
        let cell = cell_at(front);
        if ((cell & 15u) == OPEN && fits(cell, desc, 2u * k)) { return SUCCESS; }
        if (strict && has(IS_DOOR, cell)) { return FAILURE; }
    } else if (TWO_DESCS && kind == PUT_NEXT) {
        if (strict && action == PICKUP && hand != 0u) { return FAILURE; }
        if (dropped && before != 0u && fits(before, desc, 2u * k) && near(front, second_desc(c), 2u * k + 1u)) {
            return SUCCESS;
        }
    }
    return CONTINUE;
}

/// Tests clause `k` and notes that it was.
fn probe(k: u32, action: u32, before: u32, dropped: bool) -> u32 {
    let tested = (mission & (32u << k)) != 0u;
    mission |= 32u << k;
    return test(k, action, select(0u, before, tested), dropped);
}

/// The textual part that is done in turn `turn`.
fn part_in_turn(turn: u32) -> u32 { return select(turn, 1u - turn, order() == AFTER); }

/// Tests what is open of a part. A failure counts unless two clauses are joined by `and`.
fn probe_part(part: u32, action: u32, before: u32, dropped: bool) -> u32 {
    var fulfilled = true;
    var failed = false;
    var count = 0u;
    for (var n = 0u; n < PER_PART; n++) {
        let k = part * PER_PART + n;
        if ((clause(k) & 7u) == 0u) { continue; }
        count += 1u;
        if ((mission & (2u << k)) != 0u) { continue; }
        let status = probe(k, action, before, dropped);
        if (status == SUCCESS) { mission |= 2u << k; } else { fulfilled = false; }
        failed = failed || status == FAILURE;
    }
    if (failed && count == 1u) { return FAILURE; }
    return select(CONTINUE, SUCCESS, fulfilled && count > 0u);
}

fn verify(action: u32, before: u32, dropped: bool) -> u32 {
    let turns = select(2u, 1u, order() == 0u);
    for (var turn = mission & 1u; turn < turns; turn++) {
        let status = probe_part(part_in_turn(turn), action, before, dropped);
        if (status == FAILURE) { return FAILURE; }
        if (status != SUCCESS) {
            if (turn == 0u && turns == 2u && (mission & (1u << 15u)) != 0u) {
                let early = probe_part(part_in_turn(1u), action, before, dropped);
                if (early == SUCCESS) { return FAILURE; }
            }
            return CONTINUE;
        }
        // The next part is tested in the same step.
        mission |= 1u;
    }
    return SUCCESS;
}
