// dx = (dy · kernelᵀ) ⊙ act'(x), an invocation a row; see dense_forward_row.wgsl.
// Constants: ROWS, IN, OUT (a multiple of 4), ACT, ADD as in dense_backward.wgsl. After activation.

const OUT4: u32 = OUT / 4u;

@group(0) @binding(0) var<uniform> weights: array<vec4<f32>, (IN + 1u) * OUT4>; // kernel [IN, OUT], then bias
@group(0) @binding(1) var<storage, read> dy: array<f32>;       // [ROWS, OUT]
@group(0) @binding(2) var<storage, read> x: array<f32>;        // [ROWS, IN]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [ROWS, IN]

@compute @workgroup_size(64)
fn dense_backward_row(@builtin(global_invocation_id) id: vec3<u32>) {
    let r = id.x;
    var d: array<vec4<f32>, OUT4>;
    for (var j = 0u; j < OUT4; j++) {
        let at = r * OUT + 4u * j;
        d[j] = vec4(dy[at], dy[at + 1u], dy[at + 2u], dy[at + 3u]);
    }
    for (var k = 0u; k < IN; k++) {
        var sum = vec4<f32>();
        for (var j = 0u; j < OUT4; j++) { sum += d[j] * weights[k * OUT4 + j]; }
        let at = r * IN + k;
        let here = (sum.x + sum.y + sum.z + sum.w) * activation_derivative(ACT, x[at]);
        if (ADD) { dx[at] += here; } else { dx[at] = here; }
    }
}
