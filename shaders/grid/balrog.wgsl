// The five tasks of BALROG (docs/environments/grid.md, §8), after its fork's mixed training level. Constant: DISTRACTORS.

/// Words that missions leave out, for tests of generalisation: yellow box, red key, red door, green ball, grey door.
fn excluded(cell: u32) -> bool {
    let kind = cell & 15u;
    let colour = cell >> 4u;
    return (kind == BOX && colour == 4u) || (kind == KEY && colour == 0u) || (kind == BALL && colour == 1u)
        || (has(IS_DOOR, cell) && (colour == 0u || colour == 5u));
}

/// One room: the agent, then `n` objects.
fn furnish(n: u32) -> bool {
    rooms();
    thing_count = 0u;
    if (!place_agent(0u) || !add_distractors(0u, n, false)) { return false; }
    return n == 1u || all_reachable();
}

fn one_object(kind: u32) -> bool {
    if (!furnish(DISTRACTORS + 1u)) { return false; }
    let chosen = things[roll(DISTRACTORS + 1u)];
    single(kind, desc_of(chosen), 0u);
    return !excluded(chosen);
}

fn goto_task() -> bool { return one_object(GOTO); }
fn pickup_task() -> bool { return one_object(PICK); }

/// Two objects; the second may be the first only if another one looks like it. Indices into `things`, CELLS for none.
fn two_objects() -> vec2<u32> {
    let n = DISTRACTORS + 2u;
    let a = roll(n);
    var alike = 0u;
    for (var k = 0u; k < n; k++) { alike += u32(things[k] == things[a]); }
    var b = roll(n);
    while (alike == 1u && b == a && drawn < DRAWS) { b = roll(n); }
    return vec2(a, b);
}

fn pick_up_seq_go_to_task() -> bool {
    if (!furnish(DISTRACTORS + 2u)) { return false; }
    let pair = two_objects();
    let a = things[pair.x];
    let b = things[pair.y];
    // Clauses stand in the order of the text: "go to B after you pick up A".
    if (coin()) {
        set_clause(0u, PICK, desc_of(a), 0u);
        set_clause(1u, GOTO, desc_of(b), 0u);
        in_order(BEFORE, false);
    } else {
        set_clause(0u, GOTO, desc_of(b), 0u);
        set_clause(1u, PICK, desc_of(a), 0u);
        in_order(AFTER, false);
    }
    return !excluded(a) && !excluded(b);
}

fn putnext_task() -> bool {
    if (!furnish(DISTRACTORS + 2u)) { return false; }
    let pair = two_objects();
    single(PUT_NEXT, desc_of(things[pair.x]), desc_of(things[pair.y]));
    return !excluded(things[pair.x]) && !excluded(things[pair.y]);
}

/// Two rooms, a locked door between them, its key and the agent on the same side.
fn open_task() -> bool {
    rooms();
    thing_count = 0u;
    // Blue, green, purple and yellow.
    let colour = 1u + roll(4u);
    let side = roll(2u);
    _ = add_door(0u, 0u, colour, true);
    if (!add_object(side, thing(KEY, colour)) || !add_distractors(side, DISTRACTORS, false) || !place_agent(side)) {
        return false;
    }
    single(OPEN_DOOR, desc(OPEN, select(ANY_COLOUR, colour, coin())), 0u);
    return all_reachable();
}
