// What HASAC's kernels share. Constants: MEMBERS, AGENTS, BATCH, N. After tick and rng.

/// Whose turn it is, and what is drawn: the numbers of hasac.rs's `Draw`.
struct Who { agent: u32, draw: u32, pad0: u32, pad1: u32 }

/// What the policies do behind the window; all others are about where it begins.
const NEXT: u32 = 0u;

/// Row `b` of an agent's, among [A, P, BATCH].
fn agent_row(agent: u32, member: u32, b: u32) -> u32 { return (agent * MEMBERS + member) * BATCH + b; }

/// Two words for number `n` of row `b` of an agent's, another for every draw of a gradient step.
fn bits_for(key: vec2<u32>, step: u32, draw: u32, agent: u32, b: u32, n: u32) -> vec2<u32> {
    return threefry2x32(key, vec2(step, ((draw * AGENTS + agent) * BATCH + b) * N + n));
}
