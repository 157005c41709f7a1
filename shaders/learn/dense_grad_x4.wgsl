// As dense_grad_x.wgsl where X_STRIDE is a multiple of 4: four numbers in one load.

@group(0) @binding(2u + 2u * NTHu) var<storage, read> x_NTH: array<vec4<f32>>; // [CHUNK, X_STRIDE]

fn four_inputs_NTH(r: u32, k: u32) -> vec4<f32> { return x_NTH[(r * X_STRIDE + min(k, X_STRIDE - 4u)) / 4u]; }
