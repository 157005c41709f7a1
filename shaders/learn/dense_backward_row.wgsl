// dx = (dy · kernelᵀ) ⊙ act'(x), an invocation four rows; see dense_forward_row.wgsl.
// Constants: ROWS, IN, OUT, ACT, ADD as in dense_backward.wgsl, COLUMNS4, X_FIRST and X_STRIDE as in dense_forward_row.wgsl. After activation and dense_weights.

@group(0) @binding(1) var<storage, read> dy: array<f32>;       // [ROWS, OUT]
@group(0) @binding(2) var<storage, read> x: array<f32>;        // [ROWS, X_STRIDE]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [ROWS, X_STRIDE]

// Columns beyond the last are 0: their repeated weights count for nothing.
fn derivative(row: u32, c: u32) -> f32 {
    if (c >= OUT) { return 0.0; }
    return dy[row * OUT + c];
}

@compute @workgroup_size(8)
fn dense_backward_row(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = 4u * id.x;
    if (row >= live_rows()) { return; }
    for (var first = 0u; first < OUT4; first += COLUMNS4) {
        // A column per row.
        var d: array<mat4x4<f32>, COLUMNS4>;
        for (var j = 0u; j < COLUMNS4; j++) {
            for (var r = 0u; r < 4u; r++) {
                let c = 4u * (first + j);
                d[j][r] = vec4(derivative(row + r, c), derivative(row + r, c + 1u), derivative(row + r, c + 2u), derivative(row + r, c + 3u));
            }
        }
        for (var k = 0u; k < IN; k++) {
            var sum = vec4<f32>();
            for (var j = 0u; j < COLUMNS4; j++) { sum += four_weights(k, first + j) * d[j]; }
            for (var r = 0u; r < 4u; r++) {
                let at = (row + r) * X_STRIDE + X_FIRST + k;
                let here = sum[r] * activation_derivative(ACT, x[at]);
                if (ADD || first > 0u) { dx[at] += here; } else { dx[at] = here; }
            }
        }
    }
}
