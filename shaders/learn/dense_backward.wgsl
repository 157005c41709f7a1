// dx = (dy · kernelᵀ) ⊙ act'(x), where x is the activated output of the layer below.
// Constants as in dense_forward, COLS = ⌈IN / TN⌉; ADD: to what another layer on the same input has written. After activation.

@group(0) @binding(0) var<storage, read> params: array<f32>;   // [P, STRIDE]
@group(0) @binding(1) var<storage, read> dy: array<f32>;       // [P, ROWS, OUT]
@group(0) @binding(2) var<storage, read> x: array<f32>;        // [P, ROWS, IN]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [P, ROWS, IN]

@compute @workgroup_size(64)
fn dense_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    let c = (id.x % COLS) * TN;
    let r = (id.x / COLS) * TM;
    if (r >= min(ROWS, live_rows())) { return; }
    let base = member * STRIDE + KERNEL;
    var acc: array<f32, TM * TN>;
    var at: array<u32, TM>;
    var column: array<u32, TN>;
    for (var i = 0u; i < TM; i++) { at[i] = member * ROWS + min(r + i, ROWS - 1u); }
    for (var j = 0u; j < TN; j++) {
        column[j] = min(c + j, IN - 1u);
        for (var i = 0u; i < TM; i++) { acc[i * TN + j] = 0.0; }
    }
    for (var k = 0u; k < OUT; k++) {
        var w: array<f32, TN>;
        for (var j = 0u; j < TN; j++) { w[j] = params[base + column[j] * OUT + k]; }
        for (var i = 0u; i < TM; i++) {
            let d = dy[at[i] * OUT + k];
            for (var j = 0u; j < TN; j++) { acc[i * TN + j] += d * w[j]; }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) {
            // Not the repeats of a ragged edge: they would add twice.
            if (r + i >= ROWS || c + j >= IN) { continue; }
            let o = at[i] * IN + column[j];
            let d = acc[i * TN + j] * activation_derivative(ACT, x[o]);
            if (ADD) { dx[o] += d; } else { dx[o] = d; }
        }
    }
}
