// Draws BATCH episodes of each member uniformly and without replacement, all of them where there are fewer. A workgroup a member.
// Constants: ENVS (of a member), GROUPS (P * E), BATCH, CAPACITY; ROLLOUTS (they are rollouts, of T steps, the last of which is what they are followed
// by). After tick, rng and feistel.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> ends: array<u32>;            // [CAPACITY, P * E]
@group(0) @binding(2) var<storage, read> counts: array<vec2<u32>>;    // [P * E]
@group(0) @binding(3) var<storage, read> keys: array<vec2<u32>>;      // [P]
@group(0) @binding(4) var<storage, read_write> before: array<u32>;    // [P, ENVS + 1]: episodes of the environments in front
@group(0) @binding(5) var<storage, read_write> drawn: array<vec4<u32>>; // [P, BATCH]: environment, first step, length, whether it was cut

@compute @workgroup_size(64)
fn draw_episodes(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.x;
    let sums = member * (ENVS + 1u);
    if (lane == 0u) {
        var sum = 0u;
        for (var e = 0u; e < ENVS; e++) {
            before[sums + e] = sum;
            let c = counts[member * ENVS + e];
            sum += c.x - c.y;
        }
        before[sums + ENVS] = sum;
    }
    storageBarrier();
    workgroupBarrier();
    let all = before[sums + ENVS];
    // A Feistel half of no bits would leave the order as it is.
    let bits = max(32u - countLeadingZeros(max(all, 1u) - 1u), 2u);
    for (var i = lane; i < BATCH; i += 64u) {
        var chosen = vec4(member * ENVS, 0u, 0u, 0u);
        if (i < all) {
            // Numbers beyond the episodes are sent on until one falls within: still a bijection.
            var x = scatter(keys[member], tick.draw, i, bits);
            while (x >= all) { x = scatter(keys[member], tick.draw, x, bits); }
            var e = 0u;
            while (before[sums + e + 1u] <= x) { e += 1u; }
            let env = member * ENVS + e;
            let number = counts[env].y + x - before[sums + e];
            if (ROLLOUTS) {
                drawn[member * BATCH + i] = vec4(env, number * T, T - 1u, 1u);
                continue;
            }
            let end = ends[number % CAPACITY * GROUPS + env];
            var start = 0u;
            if (number > 0u) { start = (ends[(number - 1u) % CAPACITY * GROUPS + env] & 0x7fffffffu) + 1u; }
            chosen = vec4(env, start, (end & 0x7fffffffu) + 1u - start, end >> 31u);
        }
        drawn[member * BATCH + i] = chosen;
    }
}
