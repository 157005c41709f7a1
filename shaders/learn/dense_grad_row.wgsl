// Gradients of a dense layer's kernel, xᵀ · dy, and bias, Σ dy, over one chunk of CHUNK rows; see dense_forward_row.wgsl for what
// this suits. An invocation takes four rows of the kernel and COLUMNS4 times four columns; the workgroups after the last that have
// rows of the kernel take the bias.
// Constants: IN, OUT, KERNEL, BIAS_FROM (first column with a bias), CHUNK (a multiple of 4), COLUMNS4. One member and chunk: the buffers begin where they are bound.
// After dense_grad_x_block.wgsl or dense_grad_x.wgsl, which have binding 1 and `input`.

@group(0) @binding(0) var<uniform> dy: array<vec4<f32>, (CHUNK * OUT + 3u) / 4u>; // [CHUNK, OUT]
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;              // [STRIDE]

fn derivative(r: u32, c: u32) -> f32 {
    let at = r * OUT + min(c, OUT - 1u);
    return dy[at / 4u][at % 4u];
}

// A ragged edge repeats the last column.
fn four_derivatives(r: u32, c: u32) -> vec4<f32> {
    if (OUT % 4u == 0u) { return dy[(r * OUT + c) / 4u]; }
    return vec4(derivative(r, c), derivative(r, c + 1u), derivative(r, c + 2u), derivative(r, c + 3u));
}

// A column per row of the kernel.
fn outer(dy: vec4<f32>, x: vec4<f32>) -> mat4x4<f32> { return mat4x4(x.x * dy, x.y * dy, x.z * dy, x.w * dy); }

@compute @workgroup_size(8)
fn dense_grad_row(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let k = 32u * group.x + 4u * lane;
    let first = 4u * COLUMNS4 * group.y;
    // All of a chunk or nothing of it.
    let rows = min(CHUNK, live_rows());
    if (32u * group.x >= IN) {
        for (var c = first + lane; c < min(first + 4u * COLUMNS4, OUT); c += 8u) {
            var sum = 0.0;
            for (var r = 0u; r < rows; r++) { sum += derivative(r, c); }
            if (c >= BIAS_FROM) { partials[KERNEL + IN * OUT + c - BIAS_FROM] = sum; }
        }
        return;
    }
    var acc: array<mat4x4<f32>, COLUMNS4>;
    for (var r = 0u; r < rows; r += 4u) {
        let x0 = four_inputs(r, k);
        let x1 = four_inputs(r + 1u, k);
        let x2 = four_inputs(r + 2u, k);
        let x3 = four_inputs(r + 3u, k);
        for (var j = 0u; j < COLUMNS4; j++) {
            let c = first + 4u * j;
            acc[j] += outer(four_derivatives(r, c), x0);
            acc[j] += outer(four_derivatives(r + 1u, c), x1);
            acc[j] += outer(four_derivatives(r + 2u, c), x2);
            acc[j] += outer(four_derivatives(r + 3u, c), x3);
        }
    }
    for (var j = 0u; j < COLUMNS4; j++) {
        for (var i = 0u; i < 4u; i++) {
            for (var c = 0u; c < 4u; c++) {
                let column = first + 4u * j + c;
                if (k + i < IN && column < OUT) { partials[KERNEL + (k + i) * OUT + column] = acc[j][i][c]; }
            }
        }
    }
}
