// Gradients of a dense layer's kernel, xᵀ · dy, and bias, Σ dy, over chunks of CHUNK rows, so that the sum over many rows runs in
// parallel. `adam.wgsl` adds the chunks in a fixed order.
// Constants: MEMBERS, ROWS, X_STRIDE (words of a row of x), IN, OUT, STRIDE, KERNEL, BIAS, BIAS_FROM (first column with a bias), CHUNK,
// TILES = ⌈OUT / BN⌉. With A_BY_ROWS and B_BY_ROWS true. After dense_tile.

@group(0) @binding(0) var<storage, read> x: array<f32>;              // [P, ROWS, X_STRIDE]
@group(0) @binding(1) var<storage, read> dy: array<f32>;             // [P, ROWS, OUT]
@group(0) @binding(2) var<storage, read_write> partials: array<f32>; // [chunks, P, STRIDE]

// The member's first words of x and dy, and of the chunk's sums.
var<private> inputs: u32;
var<private> derivatives: u32;
var<private> out: u32;
// Of dy, over the rows that this invocation has put into the tile.
var<private> sums: vec4<f32>;

fn input(m: u32, k: u32) -> f32 {
    if (m >= IN) { return 0.0; }
    return x[inputs + k * X_STRIDE + m];
}
fn tile_a(m: u32, k: u32) -> vec4<f32> { return vec4(input(m, k), input(m + 1u, k), input(m + 2u, k), input(m + 3u, k)); }

fn derivative(k: u32, n: u32) -> f32 {
    if (n >= OUT) { return 0.0; }
    return dy[derivatives + k * OUT + n];
}
fn tile_b(k: u32, n: u32) -> vec4<f32> {
    let four = vec4(derivative(k, n), derivative(k, n + 1u), derivative(k, n + 2u), derivative(k, n + 3u));
    sums += four;
    return four;
}

fn put(m: u32, n: u32, sum: f32) {
    if (m < IN && n < OUT) { partials[out + KERNEL + m * OUT + n] = sum; }
}

fn put_bias(n: u32, sum: f32) {
    if (n >= BIAS_FROM && n < OUT) { partials[out + BIAS + n - BIAS_FROM] = sum; }
}

@compute @workgroup_size(WG)
fn dense_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let chunk = group.y;
    let member = group.z;
    let m = group.x / TILES * BM;
    let n = group.x % TILES * BN;
    inputs = member * ROWS * X_STRIDE;
    derivatives = member * ROWS * OUT;
    out = (chunk * MEMBERS + member) * STRIDE;
    sums = vec4<f32>();
    var part: Part;
    multiply(m, n, chunk * CHUNK, min((chunk + 1u) * CHUNK, min(ROWS, live_rows())), lane, &part);
    put_part(m, n, lane, part);
    if (m > 0u) { return; }
    // Invocations that are a whole number of rows of the tile apart have put the same columns into it: COLS divides WG.
    tile_of_b[lane] = sums;
    workgroupBarrier();
    if (lane >= COLS) { return; }
    for (var other = lane + COLS; other < WG; other += COLS) { sums += tile_of_b[other]; }
    let c = n + lane * 4u;
    put_bias(c, sums.x);
    put_bias(c + 1u, sums.y);
    put_bias(c + 2u, sums.z);
    put_bias(c + 3u, sums.w);
}
