// A plain copy, four words an invocation: what a device's memory gives to kernels. `size`: vectors in all, invocations of a row of workgroups.

@group(0) @binding(0) var<uniform> size: vec2<u32>;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> destination: array<vec4<f32>>;

@compute @workgroup_size(256)
fn copy_words(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.y * size.y + id.x;
    if (i < size.x) { destination[i] = source[i]; }
}
