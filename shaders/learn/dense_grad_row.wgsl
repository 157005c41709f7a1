// Gradients of a dense layer's kernel, xᵀ · dy, and bias, Σ dy, over one chunk of CHUNK rows of one member; see dense_forward_row.wgsl
// for what this suits. An invocation takes four rows of the kernel and COLUMNS4 times four columns; the workgroups after the last that
// have rows of the kernel take the bias.
// A dispatch is for the chunk of several members, one after the other: what a uniform block holds is little work, and a dispatch of
// it takes a tenth of its time to begin and to end. This text is repeated for each with NTH replaced by its number (dense.rs).
// Constants: IN, OUT, KERNEL, STRIDE, BIAS_FROM (first column with a bias), CHUNK (a multiple of 4), COLUMNS4. The buffers begin where
// they are bound. After dense_grad_x_block.wgsl, dense_grad_x4.wgsl or dense_grad_x.wgsl, which have x and `four_inputs`.

@group(0) @binding(1u + 2u * NTHu) var<uniform> dy_NTH: array<vec4<f32>, (CHUNK * OUT + 3u) / 4u>; // [CHUNK, OUT]

fn derivative_NTH(r: u32, c: u32) -> f32 {
    let at = r * OUT + min(c, OUT - 1u);
    return dy_NTH[at / 4u][at % 4u];
}

// A ragged edge repeats the last column.
fn four_derivatives_NTH(r: u32, c: u32) -> vec4<f32> {
    if (OUT % 4u == 0u) { return dy_NTH[(r * OUT + c) / 4u]; }
    return vec4(derivative_NTH(r, c), derivative_NTH(r, c + 1u), derivative_NTH(r, c + 2u), derivative_NTH(r, c + 3u));
}

fn gradients_NTH(group: vec2<u32>, lane: u32) {
    let k = 32u * group.x + 4u * lane;
    let first = 4u * COLUMNS4 * group.y;
    // All of a chunk or nothing of it.
    let rows = min(CHUNK, live_rows());
    if (32u * group.x >= IN) {
        for (var c = first + lane; c < min(first + 4u * COLUMNS4, OUT); c += 8u) {
            var sum = 0.0;
            for (var r = 0u; r < rows; r++) { sum += derivative_NTH(r, c); }
            if (c >= BIAS_FROM) { partials[NTHu * STRIDE + KERNEL + IN * OUT + c - BIAS_FROM] = sum; }
        }
        return;
    }
    var acc: array<mat4x4<f32>, COLUMNS4>;
    for (var r = 0u; r < rows; r += 4u) {
        let x0 = four_inputs_NTH(r, k);
        let x1 = four_inputs_NTH(r + 1u, k);
        let x2 = four_inputs_NTH(r + 2u, k);
        let x3 = four_inputs_NTH(r + 3u, k);
        for (var j = 0u; j < COLUMNS4; j++) {
            let c = first + 4u * j;
            acc[j] += outer(four_derivatives_NTH(r, c), x0);
            acc[j] += outer(four_derivatives_NTH(r + 1u, c), x1);
            acc[j] += outer(four_derivatives_NTH(r + 2u, c), x2);
            acc[j] += outer(four_derivatives_NTH(r + 3u, c), x3);
        }
    }
    for (var j = 0u; j < COLUMNS4; j++) {
        for (var i = 0u; i < 4u; i++) {
            for (var c = 0u; c < 4u; c++) {
                let column = first + 4u * j + c;
                if (k + i < IN && column < OUT) { partials[NTHu * STRIDE + KERNEL + (k + i) * OUT + column] = acc[j][i][c]; }
            }
        }
    }
}
