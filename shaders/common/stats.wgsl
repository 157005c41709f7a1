// Sums the per-environment statistics of each member in a fixed order and clears them.
// One workgroup a (member, word): a strided sum per invocation, then a tree.

struct Shape { envs: u32, per_member: u32, words: u32, pad: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;   // [words, envs]
@group(0) @binding(2) var<storage, read_write> totals: array<f32>; // [members, words]

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn reduce(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let word = group.x;
    let member = group.y;
    let first = word * shape.envs + member * shape.per_member;
    var sum = 0.0;
    for (var e = lane; e < shape.per_member; e += 64u) {
        sum += sums[first + e];
        sums[first + e] = 0.0;
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { totals[member * shape.words + word] = partial[0]; }
}
