// What COMA's critic sees of every slot (`ppo_family.md` §6.2): the world state, the agent's observation, which agent it is, what the others
// do now (a block per agent, the own one blank) and what all did before (blank in an episode's first step). Eight invocations a row.
// Constants: T, MEMBERS, RPM (rows per member and slot), AGENTS, STATE, OBS, N (actions), COLUMNS (a multiple of 4: zeros at the end).

@group(0) @binding(0) var<storage, read> world: array<f32>;       // [T + 1, P * RPM / AGENTS, STATE]
@group(0) @binding(1) var<storage, read> obs: array<f32>;         // [T + 1, P * RPM, OBS]
@group(0) @binding(2) var<storage, read> actions: array<u32>;     // [T + 1, P * RPM]
@group(0) @binding(3) var<storage, read> terminated: array<f32>;  // [T + 1, P * RPM / AGENTS]
@group(0) @binding(4) var<storage, read> truncated: array<f32>;   // [T + 1, P * RPM / AGENTS]
@group(0) @binding(5) var<storage, read_write> carried: array<u32>; // [P * RPM]: what was done before slot 0; N: nothing
@group(0) @binding(6) var<storage, read_write> seen: array<f32>;  // [T + 1, P * RPM, COLUMNS]

const ALL: u32 = MEMBERS * RPM;

// What was done before `slot`; N where an episode begins with it.
fn before(slot: u32, row: u32) -> u32 {
    if (slot == 0u) { return carried[row]; }
    let i = (slot - 1u) * ALL + row;
    if (terminated[i / AGENTS] + truncated[i / AGENTS] > 0.5) { return N; }
    return actions[i];
}

fn column(slot: u32, row: u32, number: u32) -> f32 {
    let agent = row % AGENTS;
    let i = slot * ALL + row;
    var c = number;
    if (c < STATE) { return world[i / AGENTS * STATE + c]; }
    c -= STATE;
    if (c < OBS) { return obs[i * OBS + c]; }
    c -= OBS;
    if (c < AGENTS) { return select(0.0, 1.0, c == agent); }
    c -= AGENTS;
    if (c < AGENTS * N) {
        return select(0.0, 1.0, c / N != agent && actions[i - agent + c / N] == c % N);
    }
    c -= AGENTS * N;
    if (c < AGENTS * N) { return select(0.0, 1.0, before(slot, row - agent + c / N) == c % N); }
    return 0.0;
}

@compute @workgroup_size(64)
fn coma_see(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.x * 8u + lane / 8u;
    if (row >= ALL) { return; }
    for (var c = lane % 8u; c < COLUMNS; c += 8u) {
        seen[(group.y * ALL + row) * COLUMNS + c] = column(group.y, row, c);
    }
}

// For the next rollout.
@compute @workgroup_size(64)
fn coma_carry(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < ALL) { carried[id.x] = before(T, id.x); }
}
