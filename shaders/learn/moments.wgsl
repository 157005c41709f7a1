// Mean and deviation of the advantages of every minibatch of an epoch. After tick and minibatch.

@group(0) @binding(2) var<storage, read> advantage: array<f32>;           // [slots, P * RPM]
@group(0) @binding(3) var<storage, read_write> moments: array<vec2<f32>>; // [minibatches, P]: mean, 1 / (deviation + 1e-8)

var<workgroup> partial: array<f32, 256>;

fn sum_over_workgroup(lane: u32, x: f32) -> f32 {
    workgroupBarrier();
    partial[lane] = x;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    return partial[0];
}

// The population's deviation, not the sample's.
@compute @workgroup_size(256)
fn advantage_moments(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let minibatch = group.x;
    let member = group.y;
    var sum = 0.0;
    for (var r = lane; r < ROWS; r += 256u) { sum += advantage[position(member, minibatch, r)]; }
    let mean = sum_over_workgroup(lane, sum) / f32(ROWS);
    sum = 0.0;
    for (var r = lane; r < ROWS; r += 256u) {
        let d = advantage[position(member, minibatch, r)] - mean;
        sum += d * d;
    }
    let variance = sum_over_workgroup(lane, sum) / f32(ROWS);
    if (lane == 0u) { moments[minibatch * MEMBERS + member] = vec2(mean, 1.0 / (sqrt(variance) + 1e-8)); }
}
