// As mlp.wgsl, an invocation a row: for devices whose invocations are the SIMD lanes of a CPU (dense_forward_row.wgsl says
// why). The weights are one member's; a dispatch per member.
//
// Constants as in mlp.wgsl, but ROWS = WG, no STRIDE, TM and TN, and: WEIGHTS (words bound at 1: the network's, or those after its first
// kernel, where that is bound in blocks), WHO (a binding after the others). K1 .. B3 count from the first word bound; HIDDEN and K1, B1,
// K2, B2 are multiples of 4; DENSE: inputs but those of others.wgsl. Around mlp_row_block.wgsl, once per block of the first kernel.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<uniform> weights: array<vec4<f32>, WEIGHTS / 4u>;
@group(0) @binding(2) var<storage, read> inputs: array<f32>; // [slots, P * RPM / SHARE, IN]
@group(0) @binding(WHO) var<uniform> who: vec4<u32>;         // the member; HIDDEN / 4

const H4: u32 = HIDDEN / 4u;

var<private> outputs: array<f32, OUT>;

fn output(r: u32, o: u32) -> f32 { return outputs[o]; }
fn member_of(group: u32) -> u32 { return who.x; }

fn activate_4(x: vec4<f32>) -> vec4<f32> {
    return vec4(activate(ACT, x.x), activate(ACT, x.y), activate(ACT, x.z), activate(ACT, x.w));
}

/// A head's width need not be a multiple of 4.
fn weight(i: u32) -> f32 { return weights[i / 4u][i % 4u]; }
fn parameter(member: u32, word: u32) -> f32 { return weight(word); }

// Input `k` of the first layer.
fn input(row: u32, k: u32) -> f32 {
    let x = inputs[row / SHARE * IN + min(k, IN - 1u)];
    if (!ONE_HOT) { return x; }
    return select(x, select(0.0, 1.0, row % SHARE == k - IN), k >= IN);
}

// `first`: row of the inputs at which the member's rows begin; `row_0`: the workgroup's first row within the member.
fn mlp(member: u32, first: u32, row_0: u32, lane: u32) {
    let row = first + min(row_0 + lane, RPM - 1u);
    var acc: array<vec4<f32>, H4>;
    var hidden: array<vec4<f32>, H4>;
    for (var j = 0u; j < H4; j++) { acc[j] = weights[B1 / 4u + j]; }
    first_layer(row, &acc);
    for (var j = 0u; j < H4; j++) {
        hidden[j] = activate_4(acc[j]);
        acc[j] = weights[B2 / 4u + j];
    }
    // A bound that the compiler does not know: it would unroll the loop, and take minutes over thousands of products.
    for (var k = 0u; k < who.y; k++) {
        let x = hidden[k];
        for (var j = 0u; j < H4; j++) {
            let w = K2 / 4u + 4u * k * H4 + j;
            acc[j] += x.x * weights[w];
            acc[j] += x.y * weights[w + H4];
            acc[j] += x.z * weights[w + 2u * H4];
            acc[j] += x.w * weights[w + 3u * H4];
        }
    }
    for (var j = 0u; j < H4; j++) { hidden[j] = activate_4(acc[j]); }
    for (var o = 0u; o < OUT; o++) {
        var sum = weight(B3 + o);
        for (var k = 0u; k < who.y; k++) {
            let x = hidden[k];
            let w = K3 + 4u * k * OUT + o;
            sum += x.x * weight(w) + x.y * weight(w + OUT) + x.z * weight(w + 2u * OUT) + x.w * weight(w + 3u * OUT);
        }
        outputs[o] = sum;
    }
}
