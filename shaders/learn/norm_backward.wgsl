// Back through norm_forward.wgsl: with g = dy ⊙ scale and x̂ the standardised row, dx = (g − mean g − x̂ mean(g x̂)) / deviation, times the
// derivative of what x ended with. Constants: as there, and ACT. After activation, norm_row and live.

@group(0) @binding(0) var<storage, read> params: array<f32>;        // [P, STRIDE]
@group(0) @binding(1) var<storage, read> x: array<f32>;             // [P, ROWS, UNITS]
@group(0) @binding(2) var<storage, read> moments: array<vec2<f32>>; // [P, ROWS]
@group(0) @binding(3) var<storage, read> dy: array<f32>;            // [P, ROWS, UNITS]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;      // [P, ROWS, UNITS]

@compute @workgroup_size(64)
fn norm_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    let spare = r >= min(ROWS, live_rows());
    let row = group.y * ROWS + min(r, ROWS - 1u);
    let scale = group.y * STRIDE + SCALE;
    let moment = moments[row];
    var sum = 0.0;
    var along = 0.0;
    for (var u = lane % 8u; u < UNITS; u += 8u) {
        let g = dy[row * UNITS + u] * params[scale + u];
        sum += g;
        along += g * (x[row * UNITS + u] - moment.x) * moment.y;
    }
    let mean = sum_of_row(lane, sum) / f32(UNITS);
    let mean_along = sum_of_row(lane, along) / f32(UNITS);
    if (spare) { return; }
    for (var u = lane % 8u; u < UNITS; u += 8u) {
        let value = x[row * UNITS + u];
        let g = dy[row * UNITS + u] * params[scale + u];
        let d = moment.y * (g - mean - (value - moment.x) * moment.y * mean_along);
        dx[row * UNITS + u] = d * activation_derivative(ACT, value);
    }
}
