// The inputs of dense_grad_row.wgsl where a chunk's are too many for a uniform block. Constants: X_STRIDE (words of a row of x).

@group(0) @binding(2u + 2u * NTHu) var<storage, read> x_NTH: array<f32>; // [CHUNK, X_STRIDE]

fn input_NTH(r: u32, k: u32) -> f32 { return x_NTH[r * X_STRIDE + min(k, X_STRIDE - 1u)]; }

fn four_inputs_NTH(r: u32, k: u32) -> vec4<f32> {
    return vec4(input_NTH(r, k), input_NTH(r, k + 1u), input_NTH(r, k + 2u), input_NTH(r, k + 3u));
}
