// Which episodes the ring of steps holds, per environment: the steps they ended in, in order. The next one begins where the last one
// ended. Runs behind T steps, the last of which is number `tick.draw`; those whose first observation is gone are dropped.
// Constants: GROUPS (P * E), T, CAPACITY, ROLLOUTS (it is rollouts that are counted). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> terminated: array<f32>;    // [CAPACITY, P * E]
@group(0) @binding(2) var<storage, read> truncated: array<f32>;     // [CAPACITY, P * E]
@group(0) @binding(3) var<storage, read_write> ends: array<u32>;    // [CAPACITY, P * E]: step, and in the highest bit whether it was cut
@group(0) @binding(4) var<storage, read_write> counts: array<vec2<u32>>; // [P * E]: episodes so far, and the first that is there

fn start_of(env: u32, number: u32) -> u32 {
    if (number == 0u) { return 0u; }
    return (ends[(number - 1u) % CAPACITY * GROUPS + env] & 0x7fffffffu) + 1u;
}

@compute @workgroup_size(64)
fn index_episodes(@builtin(global_invocation_id) id: vec3<u32>) {
    let env = id.x;
    if (env >= GROUPS) { return; }
    if (ROLLOUTS) {
        // Rollout i has steps i T to i T + T - 1; what comes next is seen in the place of step tick.draw + 1 - CAPACITY.
        let all = (tick.draw + 1u) / T;
        counts[env] = vec2(all, all - min(all, (CAPACITY - 1u) / T));
        return;
    }
    var count = counts[env].x;
    var first = counts[env].y;
    for (var i = 0u; i < T; i++) {
        let step = tick.draw + 1u - T + i;
        let at = step % CAPACITY * GROUPS + env;
        let cut = truncated[at] > 0.0;
        if (cut || terminated[at] > 0.0) {
            ends[count % CAPACITY * GROUPS + env] = step | select(0u, 0x80000000u, cut);
            count += 1u;
        }
    }
    // At most CAPACITY - 1 episodes are there, of one step each; the end in front of any before those is overwritten.
    first = max(first, count - min(count, CAPACITY - 1u));
    // What comes next is seen already, where step tick.draw + 1 - CAPACITY was.
    while (first < count && start_of(env, first) + CAPACITY <= tick.draw + 1u) { first += 1u; }
    counts[env] = vec2(count, first);
}
