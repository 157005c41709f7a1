// The inputs of dense_grad_row.wgsl where a chunk's are too many for a uniform block. Constants: X_STRIDE (words of a row of x).

@group(0) @binding(1) var<storage, read> x: array<f32>; // [CHUNK, X_STRIDE]

fn input(r: u32, k: u32) -> f32 { return x[r * X_STRIDE + min(k, X_STRIDE - 1u)]; }

fn four_inputs(r: u32, k: u32) -> vec4<f32> {
    return vec4(input(r, k), input(r, k + 1u), input(r, k + 2u), input(r, k + 3u));
}
