// The inputs of dense_grad_row.wgsl where a chunk's are at most 64 KiB. Constants: X_STRIDE, CHUNK.

@group(0) @binding(1) var<uniform> x: array<vec4<f32>, (CHUNK * X_STRIDE + 3u) / 4u>; // [CHUNK, X_STRIDE]

fn input(r: u32, k: u32) -> f32 {
    let at = r * X_STRIDE + min(k, X_STRIDE - 1u);
    return x[at / 4u][at % 4u];
}

fn four_inputs(r: u32, k: u32) -> vec4<f32> {
    if (X_STRIDE % 4u == 0u) { return x[(r * X_STRIDE + min(k, X_STRIDE - 4u)) / 4u]; }
    return vec4(input(r, k), input(r, k + 1u), input(r, k + 2u), input(r, k + 3u));
}
