// Layer normalisation (Ba et al. 2016): every row to mean 0 and variance 1, then a scale and a shift for each unit.
// Constants: ROWS (of a member), UNITS, STRIDE (words of a member's parameters), SCALE and SHIFT (first words of each). After norm_row and
// live.

@group(0) @binding(0) var<storage, read> params: array<f32>;   // [P, STRIDE]
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [P, ROWS, UNITS]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [P, ROWS, UNITS]
@group(0) @binding(3) var<storage, read_write> moments: array<vec2<f32>>; // [P, ROWS]: mean, 1 / deviation

@compute @workgroup_size(64)
fn norm_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    // Spare rows go along to the barriers.
    let spare = r >= min(ROWS, live_rows());
    let row = group.y * ROWS + min(r, ROWS - 1u);
    var sum = 0.0;
    for (var u = lane % 8u; u < UNITS; u += 8u) { sum += x[row * UNITS + u]; }
    let mean = sum_of_row(lane, sum) / f32(UNITS);
    sum = 0.0;
    for (var u = lane % 8u; u < UNITS; u += 8u) {
        let d = x[row * UNITS + u] - mean;
        sum += d * d;
    }
    let scale = 1.0 / sqrt(sum_of_row(lane, sum) / f32(UNITS) + 1e-5);
    if (spare) { return; }
    if (lane % 8u == 0u) { moments[row] = vec2(mean, scale); }
    let base = group.y * STRIDE;
    for (var u = lane % 8u; u < UNITS; u += 8u) {
        let standard = (x[row * UNITS + u] - mean) * scale;
        y[row * UNITS + u] = standard * params[base + SCALE + u] + params[base + SHIFT + u];
    }
}
