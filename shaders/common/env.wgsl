// What every environment's shader binds (sim/src/kernels.rs binds it in this order; an environment's own bindings follow
// from 14 on; 1, 4 and 11, state and observations, are in obs.wgsl or obs_by_fours.wgsl), and the writing of results. Constants: G, A, D,
// S, ACTIONS, QUOTA, DRIVER.

struct Slots { t: u32, next: u32, pad0: u32, pad1: u32 }

@group(0) @binding(0) var<uniform> slots: Slots;
@group(0) @binding(2) var<storage, read> env_keys: array<vec2<u32>>;      // [G]
@group(0) @binding(3) var<storage, read> actions: array<u32>;             // [T, G, A], or [T, G, A, K] bits of f32
@group(0) @binding(5) var<storage, read_write> world_state: array<f32>;   // [slots, G, S]
@group(0) @binding(6) var<storage, read_write> avail: array<f32>;         // [slots, G, A, ACTIONS]
@group(0) @binding(7) var<storage, read_write> reward: array<f32>;        // [T, G, A]
@group(0) @binding(8) var<storage, read_write> terminated: array<f32>;    // [T, G]
@group(0) @binding(9) var<storage, read_write> truncated: array<f32>;     // [T, G]
@group(0) @binding(10) var<storage, read_write> agent_done: array<f32>;   // [T, G, A]
@group(0) @binding(12) var<storage, read_write> final_state: array<f32>;  // [G, S]
@group(0) @binding(13) var<storage, read_write> sums: array<f32>;         // [EpisodeStats::WORDS, G]

// Who acts: whoever writes the action region, the shader at random, or the environment's own policy.
const EXTERNAL: u32 = 0u;
const RANDOM: u32 = 1u;
const HEURISTIC: u32 = 2u;

/// The environment of this invocation.
var<private> g: u32;

fn put_state(word: u32, x: f32, to_final: bool) {
    if (to_final) { final_state[word] = x; } else { world_state[word] = x; }
}

/// How a step ended for the environment as a whole.
struct Outcome {
    over: bool,          // by the rules of the game
    cut: bool,           // by the step limit
    won: bool,
    total: f32,          // the team's return of the episode so far, this step included
    length: u32,         // environment steps of the episode so far, this step included
    extra: vec2<f32>,    // EpisodeStats::extra
}

/// The sums are cleared when they are read; word 0 counts the episodes.
fn add(word: u32, x: f32) { sums[word * G + g] += x; }

fn tell(o: Outcome) {
    terminated[slots.t * G + g] = select(0.0, 1.0, o.over);
    truncated[slots.t * G + g] = select(0.0, 1.0, o.cut && !o.over);
    if (o.over || o.cut) { count(o); }
}

/// Adds an episode that ended to the sums.
fn count(o: Outcome) {
    if (QUOTA > 0u && sums[g] >= f32(QUOTA)) { return; }
    let length = f32(o.length);
    add(0u, 1.0);
    add(1u, o.total);
    add(2u, o.total * o.total);
    add(3u, length);
    add(4u, length * length);
    add(5u, select(0.0, 1.0, o.won));
    add(6u, select(0.0, 1.0, o.cut && !o.over));
    add(7u, o.extra.x);
    add(8u, o.extra.y);
}
