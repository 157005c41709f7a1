// Units of a hidden layer that were 0 for every sample of a minibatch: a workgroup per member. Constants: ROWS, HIDDEN.

@group(0) @binding(0) var<storage, read> activations: array<f32>; // [P, ROWS, HIDDEN]
@group(0) @binding(1) var<storage, read_write> share: array<f32>; // [P]

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn dead_units(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = group.x * ROWS * HIDDEN;
    var dead = 0.0;
    for (var unit = lane; unit < HIDDEN; unit += 64u) {
        var most = 0.0;
        for (var r = 0u; r < ROWS; r++) { most = max(most, abs(activations[first + r * HIDDEN + unit])); }
        dead += select(0.0, 1.0, most == 0.0);
    }
    partial[lane] = dead;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { share[group.x] = partial[0] / f32(HIDDEN); }
}
