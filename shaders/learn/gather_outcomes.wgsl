// A batch's actions, masks of allowed ones and rewards, and which of its steps there are. An invocation a row of an agent. In the slot
// behind an episode everything is allowed; behind one that was cut, what was allowed in its last step (the environments do not say
// what would be next).
// Constants: ROWS (of agents, of a member), N, REWARD_SCALE, MASK (word at which it begins in the batch), DONE_BEFORE (of rollouts: what ends is the
// step behind an end, `value_decomposition.md` §9). After episodes.

@group(0) @binding(0) var<storage, read> actions: array<u32>;          // [CAPACITY, P * E, A]
@group(0) @binding(1) var<storage, read> avail: array<f32>;            // [CAPACITY, P * E, A, N]
@group(0) @binding(2) var<storage, read> reward: array<f32>;           // [CAPACITY, P * E, A]
@group(0) @binding(3) var<storage, read_write> done: array<u32>;       // [P, SLOTS, BATCH, A]: the actions
@group(0) @binding(4) var<storage, read_write> allowed: array<f32>;    // [P, SLOTS, BATCH, A, N]
@group(0) @binding(5) var<storage, read_write> batch: array<f32>;
@group(0) @binding(6) var<storage, read_write> rewards: array<f32>;    // [P, SLOTS, BATCH]

@group(0) @binding(8) var<storage, read_write> ended: array<f32>;      // [P, SLOTS, BATCH]: 1 where nothing comes behind the step
@group(0) @binding(9) var<storage, read> terminated: array<f32>;       // [CAPACITY, P * E]
@group(0) @binding(10) var<storage, read> truncated: array<f32>;       // [CAPACITY, P * E]

// Within a rollout the step limit ends an episode as anything else does: what came behind it is not kept.
fn ends(at: u32) -> bool { return max(terminated[at], truncated[at]) > 0.0; }

@compute @workgroup_size(64)
fn gather_outcomes(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    if (id.x >= ROWS) { return; }
    let agent = id.x % AGENTS;
    let b = id.x / AGENTS;
    let d = drawn[member * BATCH + b % BATCH];
    let l = b / BATCH;
    let row = member * ROWS + id.x;
    let is_step = l < d.length;
    done[row] = 0u;
    if (is_step) { done[row] = actions[place(d, l) * AGENTS + agent]; }
    for (var n = 0u; n < N; n++) {
        var may = 1.0;
        if (seen(d, l)) { may = avail[(place(d, select(l, d.length - 1u, behind(d, l))) * AGENTS + agent) * N + n]; }
        allowed[row * N + n] = may;
    }
    if (agent > 0u) { return; }
    var sum = 0.0;
    if (is_step) {
        for (var i = 0u; i < AGENTS; i++) { sum += reward[place(d, l) * AGENTS + i]; }
    }
    batch[MASK + row / AGENTS] = select(0.0, 1.0, is_step);
    rewards[row / AGENTS] = sum / f32(AGENTS) * REWARD_SCALE;
    var over = is_step && l + 1u == d.length && d.cut == 0u;
    if (ROLLOUTS) {
        // The step that ends an episode, or the one behind it.
        let before = DONE_BEFORE && l == 0u;
        over = is_step && !before && ends(place(d, select(l, l - 1u, DONE_BEFORE && l > 0u)));
    }
    ended[row / AGENTS] = select(0.0, 1.0, over);
}
