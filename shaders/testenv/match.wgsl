// A game for tests: every agent is shown a number and should answer with it. The team is paid the share of right answers.
// Episodes last EPISODE steps; those of even environments then terminate, those of odd ones are truncated.
// An agent that is shown 0 has action 3 forbidden, and counts as done. Constants: ENVS, PER_MEMBER, AGENTS, SHOWN, EPISODE,
// STEPS, SLOTS. After tick and rng.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> keys: array<vec2<u32>>;        // [members]
@group(0) @binding(2) var<storage, read_write> memory: array<u32>;      // [ENVS, 3 + AGENTS]: draws, age, return, shown
@group(0) @binding(3) var<storage, read> actions: array<u32>;           // [STEPS, ENVS, AGENTS]
@group(0) @binding(4) var<storage, read_write> obs: array<f32>;         // [SLOTS, ENVS, AGENTS, SHOWN]
@group(0) @binding(5) var<storage, read_write> world: array<f32>;       // [SLOTS, ENVS, AGENTS * SHOWN]
@group(0) @binding(6) var<storage, read_write> avail: array<f32>;       // [SLOTS, ENVS, AGENTS, SHOWN]
@group(0) @binding(7) var<storage, read_write> reward: array<f32>;      // [STEPS, ENVS, AGENTS]
@group(0) @binding(8) var<storage, read_write> terminated: array<f32>;  // [STEPS, ENVS]
@group(0) @binding(9) var<storage, read_write> truncated: array<f32>;   // [STEPS, ENVS]
@group(0) @binding(10) var<storage, read_write> agent_done: array<f32>; // [STEPS, ENVS, AGENTS]
@group(0) @binding(11) var<storage, read_write> final_obs: array<f32>;  // [ENVS, AGENTS, SHOWN]
@group(0) @binding(12) var<storage, read_write> final_state: array<f32>; // [ENVS, AGENTS * SHOWN]
@group(0) @binding(13) var<storage, read_write> sums: array<f32>;       // [9, ENVS]

const WORDS = 3u + AGENTS;

fn show(env: u32, slot: u32) {
    let m = env * WORDS;
    for (var a = 0u; a < AGENTS; a++) {
        let bits = threefry2x32(keys[env / PER_MEMBER], vec2(env % PER_MEMBER, memory[m] * AGENTS + a)).x;
        let shown = bits % SHOWN;
        memory[m + 3u + a] = shown;
        for (var k = 0u; k < SHOWN; k++) {
            let i = ((slot * ENVS + env) * AGENTS + a) * SHOWN + k;
            let on = select(0.0, 1.0, k == shown);
            obs[i] = on;
            world[i] = on;
            avail[i] = select(1.0, 0.0, shown == 0u && k == 3u);
        }
    }
    memory[m] += 1u;
}

@compute @workgroup_size(64)
fn reset(@builtin(global_invocation_id) id: vec3<u32>) {
    let env = id.x;
    if (env >= ENVS) { return; }
    memory[env * WORDS + 1u] = 0u;
    memory[env * WORDS + 2u] = 0u;
    show(env, 0u);
}

@compute @workgroup_size(64)
fn step(@builtin(global_invocation_id) id: vec3<u32>) {
    let env = id.x;
    if (env >= ENVS) { return; }
    let m = env * WORDS;
    var right = 0u;
    for (var a = 0u; a < AGENTS; a++) {
        let i = (tick.step * ENVS + env) * AGENTS + a;
        if (actions[i] == memory[m + 3u + a]) { right += 1u; }
        agent_done[i] = select(0.0, 1.0, memory[m + 3u + a] == 0u);
    }
    for (var a = 0u; a < AGENTS; a++) {
        reward[(tick.step * ENVS + env) * AGENTS + a] = f32(right) / f32(AGENTS);
    }
    memory[m + 1u] += 1u;
    memory[m + 2u] += right;
    let age = memory[m + 1u];
    let over = age == EPISODE;
    let even = env % 2u == 0u;
    terminated[tick.step * ENVS + env] = select(0.0, 1.0, over && even);
    truncated[tick.step * ENVS + env] = select(0.0, 1.0, over && !even);
    let slot = (tick.slot + 1u) % SLOTS;
    show(env, slot);
    if (!over) { return; }
    // What would have been seen next ends the episode; the new one shows numbers of its own.
    for (var i = 0u; i < AGENTS * SHOWN; i++) {
        final_obs[env * AGENTS * SHOWN + i] = obs[(slot * ENVS + env) * AGENTS * SHOWN + i];
        final_state[env * AGENTS * SHOWN + i] = world[(slot * ENVS + env) * AGENTS * SHOWN + i];
    }
    show(env, slot);
    let sum = f32(memory[m + 2u]) / f32(AGENTS);
    sums[env] += 1.0;
    sums[ENVS + env] += sum;
    sums[2u * ENVS + env] += sum * sum;
    sums[3u * ENVS + env] += f32(age);
    sums[4u * ENVS + env] += f32(age * age);
    if (!even) { sums[6u * ENVS + env] += 1.0; }
    memory[m + 1u] = 0u;
    memory[m + 2u] = 0u;
}
