// y = act(x · kernel + bias) for ROWS rows of each member.
// Constants: ROWS, X_STRIDE (words of a row of x), IN, OUT, STRIDE, KERNEL, BIAS, ACT, TILES = ⌈OUT / BN⌉. With A_BY_ROWS false, B_BY_ROWS true.
// After activation and dense_tile.

@group(0) @binding(0) var<storage, read> params: array<f32>; // [P, STRIDE]
@group(0) @binding(1) var<storage, read> x: array<f32>;      // [P, ROWS, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [P, ROWS, OUT]

// The member's first words of params, x and y.
var<private> weights: u32;
var<private> inputs: u32;
var<private> outputs: u32;

fn input(m: u32, k: u32) -> f32 {
    if (m >= ROWS) { return 0.0; }
    return x[inputs + m * X_STRIDE + k];
}
fn tile_a(m: u32, k: u32) -> vec4<f32> { return vec4(input(m, k), input(m + 1u, k), input(m + 2u, k), input(m + 3u, k)); }

fn weight(k: u32, n: u32) -> f32 {
    if (n >= OUT) { return 0.0; }
    return params[weights + KERNEL + k * OUT + n];
}
fn tile_b(k: u32, n: u32) -> vec4<f32> { return vec4(weight(k, n), weight(k, n + 1u), weight(k, n + 2u), weight(k, n + 3u)); }

fn put(m: u32, n: u32, sum: f32) {
    if (m < ROWS && n < OUT) { y[outputs + m * OUT + n] = activate(ACT, sum + params[weights + BIAS + n]); }
}

@compute @workgroup_size(WG)
fn dense_forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let m = group.x / TILES * BM;
    let n = group.x % TILES * BN;
    if (m >= min(ROWS, live_rows())) { return; }
    weights = group.y * STRIDE;
    inputs = group.y * ROWS * X_STRIDE;
    outputs = group.y * ROWS * OUT;
    var part: Part;
    multiply(m, n, 0u, IN, lane, &part);
    put_part(m, n, lane, part);
}
