// The inputs of dense_grad_row.wgsl where a chunk's are at most 64 KiB. Constants: X_STRIDE, CHUNK.

@group(0) @binding(2u + 2u * NTHu) var<uniform> x_NTH: array<vec4<f32>, (CHUNK * X_STRIDE + 3u) / 4u>; // [CHUNK, X_STRIDE]

fn input_NTH(r: u32, k: u32) -> f32 {
    let at = r * X_STRIDE + min(k, X_STRIDE - 1u);
    return x_NTH[at / 4u][at % 4u];
}

fn four_inputs_NTH(r: u32, k: u32) -> vec4<f32> {
    if (X_STRIDE % 4u == 0u) { return x_NTH[(r * X_STRIDE + min(k, X_STRIDE - 4u)) / 4u]; }
    return vec4(input_NTH(r, k), input_NTH(r, k + 1u), input_NTH(r, k + 2u), input_NTH(r, k + 3u));
}
