// The inputs of dense_grad_row.wgsl where a chunk's are at most 64 KiB. Constants: IN, CHUNK.

@group(0) @binding(1) var<uniform> x: array<vec4<f32>, (CHUNK * IN + 3u) / 4u>; // [CHUNK, IN]

fn input(r: u32, k: u32) -> f32 {
    let at = r * IN + min(k, IN - 1u);
    return x[at / 4u][at % 4u];
}

fn four_inputs(r: u32, k: u32) -> vec4<f32> {
    if (IN % 4u == 0u) { return x[(r * IN + min(k, IN - 4u)) / 4u]; }
    return vec4(input(r, k), input(r, k + 1u), input(r, k + 2u), input(r, k + 3u));
}
