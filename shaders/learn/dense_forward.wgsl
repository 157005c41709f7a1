// y = act(x · kernel + bias) for ROWS rows of each member. An invocation computes TM rows by TN columns.
// Constants: ROWS, X_STRIDE (words of a row of x), IN, OUT, STRIDE, KERNEL, BIAS, ACT, TM, TN, COLS = ⌈OUT / TN⌉. After activation.

@group(0) @binding(0) var<storage, read> params: array<f32>; // [P, STRIDE]
@group(0) @binding(1) var<storage, read> x: array<f32>;      // [P, ROWS, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [P, ROWS, OUT]

@compute @workgroup_size(64)
fn dense_forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    let c = (id.x % COLS) * TN;
    let r = (id.x / COLS) * TM;
    if (r >= min(ROWS, live_rows())) { return; }
    let base = member * STRIDE;
    var acc: array<f32, TM * TN>;
    var at: array<u32, TM>;
    var column: array<u32, TN>;
    // A ragged edge repeats its last row or column: the same number is written twice.
    for (var i = 0u; i < TM; i++) { at[i] = member * ROWS + min(r + i, ROWS - 1u); }
    for (var j = 0u; j < TN; j++) {
        column[j] = min(c + j, OUT - 1u);
        let b = params[base + BIAS + column[j]];
        for (var i = 0u; i < TM; i++) { acc[i * TN + j] = b; }
    }
    for (var k = 0u; k < IN; k++) {
        var w: array<f32, TN>;
        for (var j = 0u; j < TN; j++) { w[j] = params[base + KERNEL + k * OUT + column[j]]; }
        for (var i = 0u; i < TM; i++) {
            let v = x[at[i] * X_STRIDE + k];
            for (var j = 0u; j < TN; j++) { acc[i * TN + j] += v * w[j]; }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { y[at[i] * OUT + column[j]] = activate(ACT, acc[i * TN + j]); }
    }
}
