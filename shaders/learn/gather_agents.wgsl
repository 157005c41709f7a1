// A batch's inputs of the agent network: observation, one-hot the last action, one-hot the agent (`value_decomposition.md` §2); zeros where
// there is nothing to see. Constants: ROWS (of a member), INPUT (columns, with padding), OBS, ACTION and ID (columns of each), THREADS.
// After episodes and live.

@group(0) @binding(0) var<storage, read> obs: array<f32>;        // [CAPACITY, P * E, A, OBS]
@group(0) @binding(1) var<storage, read> kept_obs: array<f32>;   // [KEPT, P * E, A, OBS]
@group(0) @binding(2) var<storage, read> actions: array<u32>;    // [CAPACITY, P * E, A]
@group(0) @binding(3) var<storage, read_write> inputs: array<f32>; // [P, SLOTS, BATCH, A, INPUT]
@group(0) @binding(5) var<storage, read> terminated: array<f32>; // [CAPACITY, P * E]
@group(0) @binding(6) var<storage, read> truncated: array<f32>;  // [CAPACITY, P * E]

fn input_of(d: Drawn, l: u32, agent: u32, c: u32) -> f32 {
    if (!seen(d, l)) { return 0.0; }
    if (c < OBS) {
        if (behind(d, l)) { return kept_obs[(kept(d) * AGENTS + agent) * OBS + c]; }
        return obs[(place(d, l) * AGENTS + agent) * OBS + c];
    }
    if (c < OBS + ACTION) {
        if (l == 0u) { return 0.0; }
        let before = place(d, l - 1u);
        if (ROLLOUTS && max(terminated[before], truncated[before]) > 0.0) { return 0.0; }
        return select(0.0, 1.0, actions[place(d, l - 1u) * AGENTS + agent] == c - OBS);
    }
    if (c >= OBS + ACTION + ID) { return 0.0; }
    return select(0.0, 1.0, agent == c - OBS - ACTION);
}

@compute @workgroup_size(64)
fn gather_agents(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    let count = min(ROWS, live_rows()) * INPUT;
    for (var i = id.x; i < count; i += THREADS) {
        let row = i / INPUT;
        let b = row / AGENTS;
        inputs[member * ROWS * INPUT + i] = input_of(drawn[member * BATCH + b % BATCH], b / BATCH, row % AGENTS, i % INPUT);
    }
}
