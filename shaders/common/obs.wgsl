// State and observations, number by number.

@group(0) @binding(1) var<storage, read_write> state: array<u32>;         // [G, words], in the environment's own order
@group(0) @binding(4) var<storage, read_write> obs: array<f32>;           // [slots, G, A, D]
@group(0) @binding(11) var<storage, read_write> final_obs: array<f32>;    // [G, A, D]

fn put_obs(word: u32, x: f32, to_final: bool) {
    if (to_final) { final_obs[word] = x; } else { obs[word] = x; }
}

/// Feature of agent `i` of this environment.
fn show(i: u32, feature: u32, x: f32, to_final: bool) {
    put_obs((select(slots.next * G, 0u, to_final) + g) * A * D + i * D + feature, x, to_final);
}
