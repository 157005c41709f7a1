// Gradients of a dense layer's kernel, xᵀ · dy, and bias, Σ dy, over chunks of CHUNK rows: a workgroup row per chunk, so that
// the sum over many rows runs in parallel. `adam.wgsl` adds the chunks in a fixed order.
// Constants: MEMBERS, ROWS, X_STRIDE (words of a row of x), IN, OUT, STRIDE, KERNEL, BIAS, BIAS_FROM (first column with a bias), CHUNK, TM (rows of the kernel), TN, COLS = ⌈OUT / TN⌉.

@group(0) @binding(0) var<storage, read> x: array<f32>;              // [P, ROWS, X_STRIDE]
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [P, ROWS, OUT]
@group(0) @binding(2) var<storage, read_write> partials: array<f32>; // [chunks, P, STRIDE]

@compute @workgroup_size(64)
fn dense_grad(@builtin(global_invocation_id) id: vec3<u32>) {
    let chunk = id.y;
    let member = id.z;
    let c = (id.x % COLS) * TN;
    let k = (id.x / COLS) * TM;
    if (k >= IN) { return; }
    var acc: array<f32, TM * TN>;
    var bias: array<f32, TN>;
    var row: array<u32, TM>;
    var column: array<u32, TN>;
    for (var i = 0u; i < TM; i++) { row[i] = min(k + i, IN - 1u); }
    for (var j = 0u; j < TN; j++) {
        column[j] = min(c + j, OUT - 1u);
        bias[j] = 0.0;
        for (var i = 0u; i < TM; i++) { acc[i * TN + j] = 0.0; }
    }
    let last = min((chunk + 1u) * CHUNK, min(ROWS, live_rows()));
    for (var r = chunk * CHUNK; r < last; r++) {
        let x_at = (member * ROWS + r) * X_STRIDE;
        let dy_at = (member * ROWS + r) * OUT;
        var d: array<f32, TN>;
        for (var j = 0u; j < TN; j++) {
            d[j] = dy[dy_at + column[j]];
            bias[j] += d[j];
        }
        for (var i = 0u; i < TM; i++) {
            let v = x[x_at + row[i]];
            for (var j = 0u; j < TN; j++) { acc[i * TN + j] += v * d[j]; }
        }
    }
    let out = (chunk * MEMBERS + member) * STRIDE;
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { partials[out + KERNEL + row[i] * OUT + column[j]] = acc[i * TN + j]; }
    }
    if (k == 0u) {
        for (var j = 0u; j < TN; j++) {
            if (column[j] >= BIAS_FROM) { partials[out + BIAS + column[j] - BIAS_FROM] = bias[j]; }
        }
    }
}
