// y = act(x · kernel + bias), an invocation four rows. For devices whose invocations are the SIMD lanes of a CPU: a load from a
// storage buffer is a loop over the lanes there (150 cycles for eight), one from a uniform block a gather without a loop (20).
// So the weights come from a uniform block, each is used for four rows, and every x is loaded once.
// Constants: ROWS, IN, OUT, ACT, UNROLL (inputs at a time, at most 4; divides IN, or the columns of x after the
// last are 0), COLUMNS4 (fours of columns of a workgroup: with
// more than 16 the compiler takes several times as long). Where a kernel is more than a uniform block holds, a dispatch takes IN of
// the X_STRIDE inputs, from X_FIRST on: all but the first ADD to y, only the LAST has the bias. After activation and
// dense_weights. One member: its buffers begin where they are bound.

@group(0) @binding(1) var<storage, read> x: array<f32>;       // [ROWS, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [ROWS, OUT]

// Input `k` of four rows.
fn four_inputs(row: u32, k: u32) -> vec4<f32> {
    let at = row * X_STRIDE + X_FIRST + k;
    return vec4(x[at], x[at + X_STRIDE], x[at + 2u * X_STRIDE], x[at + 3u * X_STRIDE]);
}

// An input that is 0 may come with any weight.
fn at_most_in(k: u32) -> u32 {
    if (IN % UNROLL == 0u) { return k; }
    return min(k, IN);
}

// A column per row.
fn outer(w: vec4<f32>, x: vec4<f32>) -> mat4x4<f32> { return mat4x4(x.x * w, x.y * w, x.z * w, x.w * w); }

@compute @workgroup_size(8)
fn dense_forward_row(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = COLUMNS4 * id.y;
    // ROWS is a multiple of the workgroup's 32: no invocation is without rows.
    let row = 4u * id.x;
    if (row >= live_rows()) { return; }
    var acc: array<mat4x4<f32>, COLUMNS4>;
    for (var j = 0u; j < COLUMNS4; j++) {
        let b = select(vec4<f32>(), four_weights(IN, first + j), LAST);
        acc[j] = mat4x4(b, b, b, b);
    }
    // Every pass of this loop stores all of acc under the mask of living lanes: hence several inputs in one pass.
    for (var k = 0u; k < IN; k += UNROLL) {
        let a = four_inputs(row, k);
        var b: vec4<f32>;
        var c: vec4<f32>;
        var d: vec4<f32>;
        if (UNROLL > 1u) { b = four_inputs(row, k + 1u); }
        if (UNROLL > 2u) { c = four_inputs(row, k + 2u); }
        if (UNROLL > 3u) { d = four_inputs(row, k + 3u); }
        for (var j = 0u; j < COLUMNS4; j++) {
            acc[j] += outer(four_weights(k, first + j), a);
            if (UNROLL > 1u) { acc[j] += outer(four_weights(at_most_in(k + 1u), first + j), b); }
            if (UNROLL > 2u) { acc[j] += outer(four_weights(at_most_in(k + 2u), first + j), c); }
            if (UNROLL > 3u) { acc[j] += outer(four_weights(at_most_in(k + 3u), first + j), d); }
        }
    }
    for (var j = 0u; j < COLUMNS4; j++) {
        for (var r = 0u; r < 4u; r++) {
            for (var c = 0u; c < 4u; c++) {
                let column = 4u * (first + j) + c;
                if (column >= OUT) { continue; }
                let at = (row + r) * OUT + column;
                if (ADD) { y[at] = activate(ACT, y[at] + acc[j][r][c]); } else { y[at] = activate(ACT, acc[j][r][c]); }
            }
        }
    }
}
