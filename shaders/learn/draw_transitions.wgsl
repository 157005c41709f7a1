// Draws BATCH transitions of each member uniformly and without replacement from the ring of steps, and how far each one's window reaches: WINDOW
// steps, or fewer where its episode ends before or the newest step comes (`me_igm.md` §11). An invocation a transition. `tick.items` counts an
// environment's steps so far. Constants: ENVS (of a member), GROUPS (P * E), BATCH, CAPACITY, WINDOW. After tick, rng and feistel.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> terminated: array<f32>;        // [CAPACITY, P * E]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;         // [CAPACITY, P * E]
@group(0) @binding(3) var<storage, read> keys: array<vec2<u32>>;        // [P]
@group(0) @binding(4) var<storage, read_write> drawn: array<vec4<u32>>; // [P, BATCH]: environment, step, steps of the window, how it ended

@compute @workgroup_size(64)
fn draw_transitions(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    if (id.x >= BATCH) { return; }
    // What comes next is seen already, in the place of step tick.items - CAPACITY.
    let there = min(tick.items, CAPACITY - 1u);
    let all = there * ENVS;
    // A Feistel half of no bits would leave the order as it is.
    let bits = max(32u - countLeadingZeros(max(all, 1u) - 1u), 2u);
    // Numbers beyond the transitions are sent on until one falls within: still a bijection.
    var x = scatter(keys[member], tick.draw, id.x, bits);
    while (x >= all) { x = scatter(keys[member], tick.draw, x, bits); }
    let env = member * ENVS + x % ENVS;
    let start = tick.items - there + x / ENVS;
    var length = 0u;
    var ended = GOES_ON;
    while (length < WINDOW && start + length < tick.items && ended == GOES_ON) {
        let at = (start + length) % CAPACITY * GROUPS + env;
        length += 1u;
        if (truncated[at] > 0.0) { ended = WAS_CUT; }
        if (terminated[at] > 0.0) { ended = IS_OVER; }
    }
    drawn[member * BATCH + id.x] = vec4(env, start, length, ended);
}
