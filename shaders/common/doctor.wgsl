// What `merit doctor` runs to see that the driver compiles and computes.

@group(0) @binding(0) var<storage, read_write> numbers: array<u32>;

@compute @workgroup_size(64)
fn triple(@builtin(global_invocation_id) id: vec3<u32>) {
    numbers[id.x] *= 3u;
}
