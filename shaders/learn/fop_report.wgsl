// Of the last batch, a workgroup a member: the policies' loss, a mean over steps and agents, and the joint policy's entropy, a mean over
// the steps. Constants: ROWS (of agents, of a member). After episodes.

@group(0) @binding(0) var<storage, read_write> said: array<vec2<f32>>;   // [P, ROWS]
@group(0) @binding(1) var<storage, read_write> report: array<vec2<f32>>; // [P]

var<workgroup> sums: array<vec3<f32>, 64>;

@compute @workgroup_size(64)
fn fop_report(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = vec3(0.0);
    for (var i = lane; i < ROWS; i += 64u) { sum += vec3(said[group.x * ROWS + i], 0.0); }
    for (var b = lane; b < BATCH; b += 64u) { sum.z += f32(drawn[group.x * BATCH + b].length); }
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { sums[lane] += sums[lane + half]; }
        workgroupBarrier();
    }
    if (lane > 0u) { return; }
    let steps = max(sums[0].z, 1.0);
    report[group.x] = vec2(sums[0].x / (steps * f32(AGENTS)), sums[0].y / steps);
}
