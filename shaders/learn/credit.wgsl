// Whom the advantages of the newest rollout credit: a workgroup per member and agent.
// Constants: T, MEMBERS, ENVS, AGENTS, EVENTS (the environment marks whose action it replaced). After tick and reduce.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> advantage: array<f32>;  // [slots, P, E, A]
@group(0) @binding(2) var<storage, read> goal: array<f32>;       // [slots, P, E, A]
@group(0) @binding(3) var<storage, read> values: array<f32>;     // [slots, P, E, A]
@group(0) @binding(4) var<storage, read> replaced: array<f32>;   // [slots, P, E, A], only if EVENTS
@group(0) @binding(5) var<storage, read_write> credit: array<f32>; // [P, A, 5]: variance of the advantages, of the targets, of the
                                                                   // targets less the values; gap of the events, their number

const SAMPLES: u32 = T * ENVS;

fn place(member: u32, agent: u32, s: u32) -> u32 {
    return ((tick.step + s / ENVS) * MEMBERS + member) * ENVS * AGENTS + s % ENVS * AGENTS + agent;
}

@compute @workgroup_size(256)
fn credit_of(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let agent = group.x;
    let member = group.y;
    var sum = vec4(0.0);
    for (var s = lane; s < SAMPLES; s += 256u) {
        let i = place(member, agent, s);
        sum += vec4(advantage[i], goal[i], goal[i] - values[i], 0.0);
    }
    let mean = reduce(lane, sum) / f32(SAMPLES);
    sum = vec4(0.0);
    for (var s = lane; s < SAMPLES; s += 256u) {
        let i = place(member, agent, s);
        let d = vec4(advantage[i], goal[i], goal[i] - values[i], 0.0) - mean;
        sum += d * d;
    }
    let variance = reduce(lane, sum) / f32(SAMPLES);
    // ΔA = mean over the others of Aʲ, less Aⁱ, where agent i's action was replaced (`ppo_family.md` §8.9).
    var events = vec4(0.0);
    if (EVENTS && AGENTS > 1u) {
        for (var s = lane; s < SAMPLES; s += 256u) {
            let i = place(member, agent, s);
            if (replaced[i] != 1.0) { continue; }
            var all = 0.0;
            for (var j = 0u; j < AGENTS; j++) { all += advantage[i - agent + j]; }
            let others = (all - advantage[i]) / f32(max(AGENTS - 1u, 1u));
            events += vec4(others - advantage[i], 1.0, 0.0, 0.0);
        }
    }
    let gap = reduce(lane, events);
    if (lane != 0u) { return; }
    let o = (member * AGENTS + agent) * 5u;
    credit[o] = variance.x;
    credit[o + 1u] = variance.y;
    credit[o + 2u] = variance.z;
    credit[o + 3u] = gap.x;
    credit[o + 4u] = gap.y;
}
