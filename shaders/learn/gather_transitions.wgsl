// What the critics of a batch of transitions read and are taught: the state and behind it what the agents did, the state behind the window (the
// policies' actions come later), n-step return and discount (`me_igm.md` §11), and who was alive. An invocation a transition.
// Constants: MEMBERS, GROUPS (P * E), AGENTS, BATCH, CAPACITY, LIMIT, KEPT, STATE, JOINT (columns, with padding), N, CONTINUOUS (actions are N numbers, else
// one of N), REWARD_SCALE, BOOTSTRAP_CUT. After transitions.

@group(0) @binding(0) var<storage, read> world: array<f32>;        // [CAPACITY, P * E, STATE]
@group(0) @binding(1) var<storage, read> kept_state: array<f32>;   // [KEPT, P * E, STATE]
@group(0) @binding(2) var<storage, read> actions: array<u32>;      // [CAPACITY, P * E, A], or [CAPACITY, P * E, A, N] bits of f32
@group(0) @binding(3) var<storage, read> reward: array<f32>;       // [CAPACITY, P * E, A]
@group(0) @binding(4) var<storage, read> terminated: array<f32>;   // [CAPACITY, P * E]
@group(0) @binding(5) var<storage, read> truncated: array<f32>;    // [CAPACITY, P * E]
@group(0) @binding(6) var<storage, read> agent_done: array<f32>;   // [CAPACITY, P * E, A]
@group(0) @binding(7) var<storage, read> drawn: array<vec4<u32>>;  // [P, BATCH]
@group(0) @binding(8) var<storage, read> gamma: array<f32>;        // [P]
@group(0) @binding(9) var<storage, read_write> joint: array<f32>;  // [2, P, BATCH, JOINT]: now, next
@group(0) @binding(10) var<storage, read_write> outcomes: array<vec2<f32>>; // [P, BATCH]: R, and the factor of what comes next
@group(0) @binding(11) var<storage, read_write> valid: array<f32>; // [A, P, BATCH]: 1 where the agent lived

fn place(d: vec4<u32>, l: u32) -> u32 { return (d.y + l) % CAPACITY * GROUPS + d.x; }

fn action_column(at: u32, k: u32) -> f32 {
    if (CONTINUOUS) { return bitcast<f32>(actions[at * AGENTS * N + k]); }
    return select(0.0, 1.0, actions[at * AGENTS + k / N] == k % N);
}

@compute @workgroup_size(64)
fn gather_transitions(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let member = id.y;
    let row = member * BATCH + id.x;
    let next_row = MEMBERS * BATCH + row;
    let d = drawn[row];
    let now = place(d, 0u);
    let next = place(d, d.z);
    let kept = (d.y + d.z - 1u) / LIMIT % KEPT * GROUPS + d.x;
    for (var c = 0u; c < STATE; c++) {
        joint[row * JOINT + c] = world[now * STATE + c];
        var x = world[next * STATE + c];
        if (d.w == WAS_CUT) { x = kept_state[kept * STATE + c]; }
        joint[next_row * JOINT + c] = x;
    }
    for (var k = 0u; k < JOINT - STATE; k++) {
        var x = 0.0;
        if (k < AGENTS * N) { x = action_column(now, k); }
        joint[row * JOINT + STATE + k] = x;
        joint[next_row * JOINT + STATE + k] = 0.0;
    }
    // R = Σ_{k < n'} γ^k r_{t+k}, from the last to the first; γ^n' of what comes next.
    var sum = 0.0;
    var discount = 1.0;
    for (var l = d.z; l > 0u; l--) {
        var team = 0.0;
        for (var a = 0u; a < AGENTS; a++) { team += reward[place(d, l - 1u) * AGENTS + a]; }
        sum = team / f32(AGENTS) * REWARD_SCALE + gamma[member] * sum;
        discount *= gamma[member];
    }
    if (d.w == IS_OVER || (d.w == WAS_CUT && !BOOTSTRAP_CUT)) { discount = 0.0; }
    outcomes[row] = vec2(sum, discount);
    // Who was dead after the step before, in the same episode, has nothing to decide. That step is in the ring: only its observation may not be.
    let before = place(d, CAPACITY - 1u);
    let first = d.y == 0u || max(terminated[before], truncated[before]) > 0.0;
    for (var a = 0u; a < AGENTS; a++) {
        valid[(a * MEMBERS + member) * BATCH + id.x] = select(1.0 - agent_done[before * AGENTS + a], 1.0, first);
    }
}
