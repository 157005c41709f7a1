// Where a recurrent network forgets within a batch of rollouts: behind the end of an episode, or of the agent, as while collecting
// (`reset_in.wgsl`). A rollout begins with nothing remembered. An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), FORGET_EPISODE. After episodes.

@group(0) @binding(0) var<storage, read> terminated: array<f32>;  // [CAPACITY, P * E]
@group(0) @binding(1) var<storage, read> truncated: array<f32>;   // [CAPACITY, P * E]
@group(0) @binding(2) var<storage, read> agent_done: array<f32>;  // [CAPACITY, P * E, A]
@group(0) @binding(3) var<storage, read_write> reset: array<f32>; // [P, SLOTS, BATCH, A]

@compute @workgroup_size(64)
fn gather_resets(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let b = id.x / AGENTS;
    let d = drawn[id.y * BATCH + b % BATCH];
    let l = b / BATCH;
    var forget = 0.0;
    if (l > 0u && seen(d, l)) {
        let at = place(d, l - 1u);
        forget = agent_done[at * AGENTS + id.x % AGENTS];
        if (FORGET_EPISODE) { forget = max(forget, max(terminated[at], truncated[at])); }
    }
    reset[id.y * ROWS + id.x] = forget;
}
