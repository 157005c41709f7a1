// dx = (dy · kernelᵀ) ⊙ act'(x), where x is the activated output of the layer below.
// Constants as in dense_forward, TILES = ⌈IN / BN⌉; ADD: to what another layer on the same input has written. With A_BY_ROWS and B_BY_ROWS
// false. After activation and dense_tile.

@group(0) @binding(0) var<storage, read> params: array<f32>;   // [P, STRIDE]
@group(0) @binding(1) var<storage, read> dy: array<f32>;       // [P, ROWS, OUT]
@group(0) @binding(2) var<storage, read> x: array<f32>;        // [P, ROWS, IN]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [P, ROWS, IN]

// The member's first words of its kernel, of dy and x.
var<private> weights: u32;
var<private> derivatives: u32;
var<private> inputs: u32;

fn derivative(m: u32, k: u32) -> f32 {
    if (m >= ROWS) { return 0.0; }
    return dy[derivatives + m * OUT + k];
}
fn tile_a(m: u32, k: u32) -> vec4<f32> {
    return vec4(derivative(m, k), derivative(m + 1u, k), derivative(m + 2u, k), derivative(m + 3u, k));
}

fn weight(k: u32, n: u32) -> f32 {
    if (n >= IN) { return 0.0; }
    return params[weights + n * OUT + k];
}
fn tile_b(k: u32, n: u32) -> vec4<f32> { return vec4(weight(k, n), weight(k, n + 1u), weight(k, n + 2u), weight(k, n + 3u)); }

fn put(m: u32, n: u32, sum: f32) {
    if (m >= ROWS || n >= IN) { return; }
    let at = inputs + m * IN + n;
    let d = sum * activation_derivative(ACT, x[at]);
    if (ADD) { dx[at] += d; } else { dx[at] = d; }
}

@compute @workgroup_size(WG)
fn dense_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.x / TILES * BM;
    let n = group.x % TILES * BN;
    if (m >= min(ROWS, live_rows())) { return; }
    weights = group.y * STRIDE + KERNEL;
    derivatives = group.y * ROWS * OUT;
    inputs = group.y * ROWS * IN;
    var part: Part;
    multiply(m, n, 0u, OUT, lane, &part);
    put_part(m, n, lane, part);
}
