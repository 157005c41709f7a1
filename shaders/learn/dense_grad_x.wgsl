// The inputs of dense_grad_row.wgsl where a chunk's are too many for a uniform block. Constants: IN.

@group(0) @binding(1) var<storage, read> x: array<f32>; // [CHUNK, IN]

fn input(r: u32, k: u32) -> f32 { return x[r * IN + min(k, IN - 1u)]; }

fn four_inputs(r: u32, k: u32) -> vec4<f32> {
    return vec4(input(r, k), input(r, k + 1u), input(r, k + 2u), input(r, k + 3u));
}
