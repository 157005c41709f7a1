// What an update of COMA was like: a workgroup per member. Constants: MEMBERS, RPM, ROWS (T * RPM). After reduce.

@group(0) @binding(0) var<storage, read> values: array<f32>;        // [T + 1, P * RPM]: Q(s, a), before its step
@group(0) @binding(1) var<storage, read> goal: array<f32>;          // [T + 1, P * RPM]
@group(0) @binding(2) var<storage, read> losses: array<vec2<f32>>;  // [P, ROWS]: −Â ln π(a), entropy
@group(0) @binding(3) var<storage, read> actor_norm: array<f32>;    // [P]
@group(0) @binding(4) var<storage, read> critic_norm: array<f32>;   // [P]: of the last step
@group(0) @binding(5) var<storage, read_write> report: array<f32>;  // [P, 7]

@compute @workgroup_size(256)
fn coma_report(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.x;
    var sum = vec4(0.0);
    var means = vec4(0.0);
    for (var r = lane; r < ROWS; r += 256u) {
        let i = (r / RPM * MEMBERS + member) * RPM + r % RPM;
        let error = goal[i] - values[i];
        sum += vec4(losses[member * ROWS + r], error * error, 0.0);
        means += vec4(goal[i], error, 0.0, 0.0);
    }
    sum = reduce(lane, sum) / f32(ROWS);
    means = reduce(lane, means) / f32(ROWS);
    var squares = vec4(0.0);
    for (var r = lane; r < ROWS; r += 256u) {
        let i = (r / RPM * MEMBERS + member) * RPM + r % RPM;
        let d = vec4(goal[i], goal[i] - values[i], 0.0, 0.0) - means;
        squares += d * d;
    }
    squares = reduce(lane, squares);
    if (lane != 0u) { return; }
    let o = member * 7u;
    report[o] = sum.x;
    report[o + 1u] = sum.z;
    report[o + 2u] = sum.y;
    report[o + 3u] = actor_norm[member];
    report[o + 4u] = critic_norm[member];
    report[o + 5u] = squares.x;
    report[o + 6u] = squares.y;
}
