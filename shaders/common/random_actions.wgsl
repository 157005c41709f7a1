// Uniform random allowed actions through the action buffer: what a policy outside the step shader costs at least.
// One invocation an agent; each keeps its own draw counter.

struct Shape { rows: u32, actions: u32, groups_x: u32, pad: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> avail: array<f32>;             // [rows, actions]
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;      // [rows]
@group(0) @binding(3) var<storage, read_write> counters: array<u32>;    // [rows]

@compute @workgroup_size(64)
fn choose(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (group.x + group.y * shape.groups_x) * 64u + lane;
    if (row >= shape.rows) { return; }
    var allowed = 0u;
    for (var a = 0u; a < shape.actions; a++) { allowed += u32(avail[row * shape.actions + a]); }
    let bits = threefry2x32(vec2(row, 0x62756666u), vec2(counters[row], 0u)).x;
    counters[row] += 1u;
    var left = min(u32(uniform01(bits) * f32(allowed)), allowed - 1u);
    for (var a = 0u; a < shape.actions; a++) {
        if (avail[row * shape.actions + a] == 0.0) { continue; }
        if (left == 0u) { chosen[row] = a; return; }
        left -= 1u;
    }
}
