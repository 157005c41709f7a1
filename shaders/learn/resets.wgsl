// Where a recurrent network forgets in front of a step: from what the step before said, and in front of the first step of a
// rollout from what was carried over. Constants: ROWS_OF_ALL (P * E * A), AGENTS, ENDS (the first binding), FORGET_AGENT (the agent's own end
// counts, and every step while it is dead), FORGET_EPISODE (the end of the episode does).

@group(0) @binding(ENDS) var<storage, read> terminated: array<f32>;  // [T, P * E]
@group(0) @binding(ENDS + 1) var<storage, read> truncated: array<f32>;   // [T, P * E]
@group(0) @binding(ENDS + 2) var<storage, read> agent_done: array<f32>; // [T, P * E * A]
@group(0) @binding(ENDS + 3) var<storage, read> carried: array<f32>;    // [P * E * A]

fn reset_after(step: u32, row: u32) -> f32 {
    var forget = 0.0;
    if (FORGET_AGENT) { forget = agent_done[step * ROWS_OF_ALL + row]; }
    if (FORGET_EPISODE) {
        let env = (step * ROWS_OF_ALL + row) / AGENTS;
        forget = max(forget, max(terminated[env], truncated[env]));
    }
    return forget;
}

// `tick.before`: the step whose ends are in front, or 0xffffffff for what was carried over.
fn reset_before(row: u32) -> f32 {
    if (tick.before == 0xffffffffu) { return carried[row]; }
    return reset_after(tick.before, row);
}
