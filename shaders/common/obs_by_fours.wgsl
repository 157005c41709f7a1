// State and observations of one agent by fours: the words of a state and D are multiples of 4. A software device takes as long for four
// numbers as for one and a half, and a GPU moves 16 bytes at once.

@group(0) @binding(1) var<storage, read_write> state: array<vec4<u32>>;         // [words / 4, G]
@group(0) @binding(4) var<storage, read_write> obs: array<vec4<f32>>;           // [slots, G, D / 4]
@group(0) @binding(11) var<storage, read_write> final_obs: array<vec4<f32>>;    // [G, D / 4]

/// Features 4k to 4k + 3.
fn show_four(k: u32, x: vec4<f32>, to_final: bool) {
    if (to_final) { final_obs[g * (D / 4u) + k] = x; } else { obs[(slots.next * G + g) * (D / 4u) + k] = x; }
}

/// Words 4k to 4k + 3 of this environment's state; environments run fastest, so that neighbours read neighbours.
fn four(k: u32) -> vec4<u32> { return state[k * G + g]; }
fn set_four(k: u32, x: vec4<u32>) { state[k * G + g] = x; }
/// Word i of it.
fn word_at(i: u32) -> u32 { return state[(i >> 2u) * G + g][i & 3u]; }
fn set_word(i: u32, x: u32) { state[(i >> 2u) * G + g][i & 3u] = x; }
