// Units of a hidden layer that were 0 for every sample of a minibatch. Constants: ROWS, HIDDEN, BLOCK (rows of a workgroup).

@group(0) @binding(0) var<storage, read> activations: array<f32>;          // [P, ROWS, HIDDEN]
@group(0) @binding(1) var<storage, read_write> alive: array<atomic<u32>>;  // [P, HIDDEN]: 0 before and after
@group(0) @binding(2) var<storage, read_write> share: array<f32>;          // [P]

// A block of rows of a member; a unit is looked at until it moves.
@compute @workgroup_size(64)
fn find_alive(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let end = min((group.x + 1u) * BLOCK, ROWS);
    for (var unit = lane; unit < HIDDEN; unit += 64u) {
        for (var r = group.x * BLOCK; r < end; r++) {
            if (activations[(member * ROWS + r) * HIDDEN + unit] != 0.0) {
                atomicStore(&alive[member * HIDDEN + unit], 1u);
                break;
            }
        }
    }
}

var<workgroup> partial: array<u32, 64>;

// A workgroup per member.
@compute @workgroup_size(64)
fn dead_units(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var dead = 0u;
    for (var unit = lane; unit < HIDDEN; unit += 64u) {
        dead += 1u - atomicExchange(&alive[group.x * HIDDEN + unit], 0u);
    }
    partial[lane] = dead;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    if (lane == 0u) { share[group.x] = f32(partial[0]) / f32(HIDDEN); }
}
