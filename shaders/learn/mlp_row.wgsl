// As mlp.wgsl, four whole rows an invocation: for devices whose invocations are the SIMD lanes of a CPU (dense_forward_row.wgsl says
// why). The weights are one member's; a dispatch per member.
//
// Constants as in mlp.wgsl, but ROWS = 4 WG, no STRIDE, TM and TN, and: WEIGHTS (words bound at 1: the network's, or those after its first
// kernel, where that is bound in blocks), WHO (a binding after the others). K1 .. B3 count from the first word bound; HIDDEN and K1, B1,
// K2, B2 are multiples of 4; DENSE: inputs but those of others.wgsl. Around mlp_row_block.wgsl, once per block of the first kernel.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<uniform> weights: array<vec4<f32>, WEIGHTS / 4u>;
@group(0) @binding(2) var<storage, read> inputs: array<f32>; // [slots, P * RPM / SHARE, IN]
@group(0) @binding(WHO) var<uniform> who: vec4<u32>;         // the member; HIDDEN / 4

const H4: u32 = HIDDEN / 4u;

// A component per row of the invocation: it has the rows lane, lane + WG, lane + 2 WG, lane + 3 WG of the tile.
var<private> outputs: array<vec4<f32>, OUT>;

fn output(r: u32, o: u32) -> f32 { return outputs[o][r / WG]; }
fn member_of(group: u32) -> u32 { return who.x; }

fn activate_4(x: vec4<f32>) -> vec4<f32> {
    return vec4(activate(ACT, x.x), activate(ACT, x.y), activate(ACT, x.z), activate(ACT, x.w));
}
fn activate_rows(x: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4(activate_4(x[0]), activate_4(x[1]), activate_4(x[2]), activate_4(x[3]));
}

/// A head's width need not be a multiple of 4.
fn weight(i: u32) -> f32 { return weights[i / 4u][i % 4u]; }
fn parameter(member: u32, word: u32) -> f32 { return weight(word); }

// Four units: a column per row.
fn same(w: vec4<f32>) -> mat4x4<f32> { return mat4x4(w, w, w, w); }
fn outer(w: vec4<f32>, x: vec4<f32>) -> mat4x4<f32> { return mat4x4(x.x * w, x.y * w, x.z * w, x.w * w); }

// Input `k` of the first layer.
fn input(row: u32, k: u32) -> f32 {
    let x = inputs[row / SHARE * IN + min(k, IN - 1u)];
    if (!ONE_HOT) { return x; }
    return select(x, select(0.0, 1.0, row % SHARE == k - IN), k >= IN);
}
// The same of four rows; 0 from `end` on.
fn inputs_4(row: vec4<u32>, k: u32, end: u32) -> vec4<f32> {
    if (k >= end) { return vec4<f32>(); }
    let x = vec4(input(row.x, k), input(row.y, k), input(row.z, k), input(row.w, k));
    if (!NORM) { return x; }
    return (x - mean) * scale;
}

/// What is taken off the inputs of each row and what they are multiplied by, where NORM (gather_seen.wgsl has the same).
var<private> mean: vec4<f32>;
var<private> scale: vec4<f32>;

fn normal(row: vec4<u32>) {
    var sum = vec4<f32>();
    for (var k = 0u; k < IN; k++) { sum += vec4(input(row.x, k), input(row.y, k), input(row.z, k), input(row.w, k)); }
    mean = sum / f32(IN);
    var square = vec4<f32>();
    for (var k = 0u; k < IN; k++) {
        let x = vec4(input(row.x, k), input(row.y, k), input(row.z, k), input(row.w, k)) - mean;
        square += x * x;
    }
    scale = inverseSqrt(square / f32(IN) + 1e-5);
}

// `first`: row of the inputs at which the member's rows begin; `row_0`: the workgroup's first row within the member.
fn mlp(member: u32, first: u32, row_0: u32, lane: u32) {
    // Rows beyond the last repeat it and are never written out.
    let row = first + min(row_0 + lane + vec4(0u, WG, 2u * WG, 3u * WG), vec4(RPM - 1u)) * APART;
    var acc: array<mat4x4<f32>, H4>;
    var hidden: array<mat4x4<f32>, H4>;
    for (var j = 0u; j < H4; j++) { acc[j] = same(weights[B1 / 4u + j]); }
    if (NORM) { normal(row); }
    first_layer(row, &acc);
    for (var j = 0u; j < H4; j++) {
        hidden[j] = activate_rows(acc[j]);
        acc[j] = same(weights[B2 / 4u + j]);
    }
    // A bound that the compiler does not know: it would unroll the loop, and take minutes over thousands of products.
    for (var k = 0u; k < who.y; k++) {
        let x = transpose(hidden[k]);
        for (var j = 0u; j < H4; j++) {
            let w = K2 / 4u + 4u * k * H4 + j;
            acc[j] += outer(weights[w], x[0]);
            acc[j] += outer(weights[w + H4], x[1]);
            acc[j] += outer(weights[w + 2u * H4], x[2]);
            acc[j] += outer(weights[w + 3u * H4], x[3]);
        }
    }
    for (var j = 0u; j < H4; j++) { hidden[j] = activate_rows(acc[j]); }
    for (var o = 0u; o < OUT; o++) {
        var sum = vec4(weight(B3 + o));
        for (var k = 0u; k < who.y; k++) {
            let w = K3 + 4u * k * OUT + o;
            sum += vec4(weight(w), weight(w + OUT), weight(w + 2u * OUT), weight(w + 3u * OUT)) * hidden[k];
        }
        outputs[o] = sum;
    }
}
