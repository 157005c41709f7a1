// y = act(x · kernel + bias), an invocation a row. For devices whose invocations are the SIMD lanes of a CPU: a load from a
// storage buffer is a loop over the lanes there, one from a uniform block at an address that all lanes share a single
// instruction. So the weights come from a uniform block, and every x is loaded once.
// Constants: ROWS, IN, OUT (a multiple of 4), ACT. After activation. One member: its buffers begin where they are bound.

const OUT4: u32 = OUT / 4u;

@group(0) @binding(0) var<uniform> weights: array<vec4<f32>, (IN + 1u) * OUT4>; // kernel [IN, OUT], then bias
@group(0) @binding(1) var<storage, read> x: array<f32>;       // [ROWS, IN]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [ROWS, OUT]

@compute @workgroup_size(64)
fn dense_forward_row(@builtin(global_invocation_id) id: vec3<u32>) {
    // ROWS is a multiple of the workgroup: no invocation is without a row.
    let r = id.x;
    var acc: array<vec4<f32>, OUT4>;
    for (var j = 0u; j < OUT4; j++) { acc[j] = weights[IN * OUT4 + j]; }
    for (var k = 0u; k < IN; k++) {
        let v = x[r * IN + k];
        for (var j = 0u; j < OUT4; j++) { acc[j] += v * weights[k * OUT4 + j]; }
    }
    for (var j = 0u; j < OUT4; j++) {
        for (var c = 0u; c < 4u; c++) { y[r * OUT + 4u * j + c] = activate(ACT, acc[j][c]); }
    }
}
