// Two layers' outputs side by side, eight invocations a row. Constants: ROWS (of a member), LEFT and RIGHT (their units).

@group(0) @binding(0) var<storage, read> left: array<f32>;        // [P, ROWS, LEFT]
@group(0) @binding(1) var<storage, read> right: array<f32>;       // [P, ROWS, RIGHT]
@group(0) @binding(2) var<storage, read_write> both: array<f32>;  // [P, ROWS, LEFT + RIGHT]

@compute @workgroup_size(64)
fn join(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    if (r >= ROWS) { return; }
    let row = group.y * ROWS + r;
    let out = row * (LEFT + RIGHT);
    for (var u = lane % 8u; u < LEFT; u += 8u) { both[out + u] = left[row * LEFT + u]; }
    for (var u = lane % 8u; u < RIGHT; u += 8u) { both[out + LEFT + u] = right[row * RIGHT + u]; }
}
