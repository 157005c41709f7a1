// Gradients of a dense layer's kernel, xᵀ · dy, and bias, Σ dy, over one chunk of CHUNK rows, an invocation a row of the kernel;
// see dense_forward_row.wgsl for what this suits. Here dy is what all lanes share. The bias lies behind the kernel, as if it
// were the row of one more input that is always 1.
// Constants: IN, OUT (a multiple of 4), KERNEL, CHUNK. One member and chunk: the buffers begin where they are bound.

const OUT4: u32 = OUT / 4u;

@group(0) @binding(0) var<uniform> dy: array<vec4<f32>, CHUNK * OUT4>; // [CHUNK, OUT]
@group(0) @binding(1) var<storage, read> x: array<f32>;              // [CHUNK, IN]
@group(0) @binding(2) var<storage, read_write> partials: array<f32>; // [STRIDE]

@compute @workgroup_size(8)
fn dense_grad_row(@builtin(global_invocation_id) id: vec3<u32>) {
    // Spare invocations repeat the last row: the same numbers are written twice.
    let k = min(id.x, IN);
    let column = min(k, IN - 1u);
    var acc: array<vec4<f32>, OUT4>;
    for (var r = 0u; r < CHUNK; r++) {
        let v = select(x[r * IN + column], 1.0, k == IN);
        for (var j = 0u; j < OUT4; j++) { acc[j] += v * dy[r * OUT4 + j]; }
    }
    for (var j = 0u; j < OUT4; j++) {
        for (var c = 0u; c < 4u; c++) { partials[KERNEL + k * OUT + 4u * j + c] = acc[j][c]; }
    }
}
