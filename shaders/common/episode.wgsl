// What an environment knows of its episode, its random draws, and what it is told and tells, number by number.

var<private> e_step: u32;     // steps of this episode
var<private> e_episode: u32;  // episodes before this one
var<private> e_return: f32;   // the team's return of this episode

/// A draw for `purpose` (below 16) and index `i` (below 4,096) in this step of this episode. Two words of random bits.
fn draw(purpose: u32, i: u32) -> vec2<u32> {
    return threefry2x32(env_keys[g], vec2(e_episode, (e_step << 16u) | (purpose << 12u) | i));
}

/// Uniform among 0 .. n - 1.
fn below(bits: u32, n: u32) -> u32 { return min(u32(uniform01(bits) * f32(n)), n - 1u); }

/// What agent `i` was told to do, as a whole number.
fn told(i: u32) -> u32 { return actions[(slots.t * G + g) * A + i]; }

/// Number `k` of `count` that agent `i` was told.
fn told_number(i: u32, k: u32, count: u32) -> f32 {
    return bitcast<f32>(actions[((slots.t * G + g) * A + i) * count + k]);
}

fn pay(i: u32, x: f32) { reward[(slots.t * G + g) * A + i] = x; }
fn mark_done(i: u32, done: bool) { agent_done[(slots.t * G + g) * A + i] = select(0.0, 1.0, done); }

fn show_state(feature: u32, x: f32, to_final: bool) {
    put_state((select(slots.next * G, 0u, to_final) + g) * S + feature, x, to_final);
}

fn allow(i: u32, action: u32, allowed: bool) {
    avail[((slots.next * G + g) * A + i) * ACTIONS + action] = select(0.0, 1.0, allowed);
}
