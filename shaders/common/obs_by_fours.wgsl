// Observations of one agent, written by fours: D is a multiple of 4. A software device takes as long for four numbers as for one and a
// half, and a GPU moves 16 bytes at once.

@group(0) @binding(4) var<storage, read_write> obs: array<vec4<f32>>;           // [slots, G, D / 4]
@group(0) @binding(11) var<storage, read_write> final_obs: array<vec4<f32>>;    // [G, D / 4]

/// Features 4k to 4k + 3.
fn show_four(k: u32, x: vec4<f32>, to_final: bool) {
    if (to_final) { final_obs[g * (D / 4u) + k] = x; } else { obs[(slots.next * G + g) * (D / 4u) + k] = x; }
}
