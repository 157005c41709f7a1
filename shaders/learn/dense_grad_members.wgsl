// What the members of a dispatch of dense_grad_row.wgsl share; dense.rs adds `all_gradients`, which calls `gradients_0` and so on.

@group(0) @binding(0) var<storage, read_write> partials: array<f32>; // [members of the dispatch, STRIDE]

// A column per row of the kernel.
fn outer(dy: vec4<f32>, x: vec4<f32>) -> mat4x4<f32> { return mat4x4(x.x * dy, x.y * dy, x.z * dy, x.w * dy); }

@compute @workgroup_size(8)
fn dense_grad_row(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    all_gradients(group.xy, lane);
}
