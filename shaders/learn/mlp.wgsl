// Two hidden layers and a head over a tile of ROWS rows, all in one dispatch: between the layers nothing leaves the
// workgroup. An invocation holds a patch of TM rows by TN columns, so that each value it loads serves several products, and loads the weights
// of UNROLL inputs at a time: loads that do not wait for each other, where each takes a GPU hundreds of cycles and a small batch has no
// other work meanwhile.
//
// Constants: MEMBERS, RPM (rows per member and slot), APART (rows from one of them to the next: agents that have weights of their own are
// members of their own, every APARTth row), SHARE (rows that share an input row), ONE_HOT (append the row's number
// among those), STRIDE (words of a member's parameters), IN, HIDDEN, OUT, K1 B1 K2 B2 K3 B3 (kernels and biases), ACT,
// NORM (an input row is taken less its mean, over its deviation), ROWS, TM, TN, UNROLL, WG = (HIDDEN / TN) (ROWS / TM). With others or
// no_others.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> params: array<f32>; // [P, STRIDE]
@group(0) @binding(2) var<storage, read> inputs: array<f32>; // [slots, P * RPM / SHARE, IN]

const COLS = HIDDEN / TN;

var<workgroup> hidden_1: array<f32, ROWS * HIDDEN>;
var<workgroup> hidden_2: array<f32, ROWS * HIDDEN>;
var<workgroup> outputs: array<f32, ROWS * OUT>;

fn output(r: u32, o: u32) -> f32 { return outputs[r * OUT + o]; }
fn parameter(member: u32, word: u32) -> f32 { return params[member * STRIDE + word]; }
/// Groups in y are members.
fn member_of(group: u32) -> u32 { return group; }

/// What is taken off an input row and what it is multiplied by (gather_seen.wgsl has the same).
fn normal(first: u32) -> vec2<f32> {
    var sum = 0.0;
    for (var k = 0u; k < IN; k++) { sum += inputs[first + k]; }
    let mean = sum / f32(IN);
    var square = 0.0;
    for (var k = 0u; k < IN; k++) {
        let x = inputs[first + k] - mean;
        square += x * x;
    }
    return vec2(mean, inverseSqrt(square / f32(IN) + 1e-5));
}

// `first`: row of the inputs at which the member's rows begin; `row_0`: the tile's first row within the member.
fn mlp(member: u32, first: u32, row_0: u32, lane: u32) {
    let base = member * STRIDE;
    let c = (lane % COLS) * TN;
    let r = (lane / COLS) * TM;
    var acc: array<f32, TM * TN>;
    var at: array<u32, TM>;
    var norm: array<vec2<f32>, TM>;

    for (var i = 0u; i < TM; i++) {
        // The last tile may be ragged: its spare rows repeat the last one and are never written out.
        let row = first + min(row_0 + r + i, RPM - 1u) * APART;
        at[i] = (row / SHARE) * IN;
        if (NORM) { norm[i] = normal(at[i]); }
        for (var j = 0u; j < TN; j++) {
            acc[i * TN + j] = params[base + B1 + c + j];
            if (ONE_HOT) { acc[i * TN + j] += params[base + K1 + (IN + row % SHARE) * HIDDEN + c + j]; }
        }
        for (var q = 0u; q < OTHERS; q++) {
            let o = other(row, q);
            for (var j = 0u; j < TN; j++) { acc[i * TN + j] += o.x * params[base + K1 + o.column * HIDDEN + c + j]; }
        }
    }
    for (var first_k = 0u; first_k < IN; first_k += UNROLL) {
        var w: array<f32, UNROLL * TN>;
        var x: array<f32, UNROLL * TM>;
        for (var u = 0u; u < UNROLL; u++) {
            let k = min(first_k + u, IN - 1u);
            for (var j = 0u; j < TN; j++) { w[u * TN + j] = params[base + K1 + k * HIDDEN + c + j]; }
            for (var i = 0u; i < TM; i++) {
                var seen = inputs[at[i] + k];
                if (NORM) { seen = (seen - norm[i].x) * norm[i].y; }
                x[u * TM + i] = select(0.0, seen, first_k + u < IN);
            }
        }
        for (var u = 0u; u < UNROLL; u++) {
            for (var i = 0u; i < TM; i++) {
                for (var j = 0u; j < TN; j++) { acc[i * TN + j] += x[u * TM + i] * w[u * TN + j]; }
            }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { hidden_1[(r + i) * HIDDEN + c + j] = activate(ACT, acc[i * TN + j]); }
    }
    workgroupBarrier();

    for (var j = 0u; j < TN; j++) {
        let b = params[base + B2 + c + j];
        for (var i = 0u; i < TM; i++) { acc[i * TN + j] = b; }
    }
    for (var first_k = 0u; first_k < HIDDEN; first_k += UNROLL) {
        var w: array<f32, UNROLL * TN>;
        for (var u = 0u; u < UNROLL; u++) {
            let k = min(first_k + u, HIDDEN - 1u);
            for (var j = 0u; j < TN; j++) { w[u * TN + j] = params[base + K2 + k * HIDDEN + c + j]; }
        }
        for (var u = 0u; u < UNROLL; u++) {
            if (first_k + u >= HIDDEN) { break; }
            for (var i = 0u; i < TM; i++) {
                let x = hidden_1[(r + i) * HIDDEN + first_k + u];
                for (var j = 0u; j < TN; j++) { acc[i * TN + j] += x * w[u * TN + j]; }
            }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { hidden_2[(r + i) * HIDDEN + c + j] = activate(ACT, acc[i * TN + j]); }
    }
    workgroupBarrier();

    for (var item = lane; item < (ROWS / TM) * OUT; item += WG) {
        let o = item % OUT;
        let q = (item / OUT) * TM;
        var sum: array<f32, TM>;
        for (var i = 0u; i < TM; i++) { sum[i] = params[base + B3 + o]; }
        for (var first_k = 0u; first_k < HIDDEN; first_k += UNROLL) {
            var w: array<f32, UNROLL>;
            for (var u = 0u; u < UNROLL; u++) { w[u] = params[base + K3 + min(first_k + u, HIDDEN - 1u) * OUT + o]; }
            for (var u = 0u; u < UNROLL; u++) {
                if (first_k + u >= HIDDEN) { break; }
                for (var i = 0u; i < TM; i++) { sum[i] += hidden_2[(q + i) * HIDDEN + first_k + u] * w[u]; }
            }
        }
        for (var i = 0u; i < TM; i++) { outputs[(q + i) * OUT + o] = sum[i]; }
    }
    workgroupBarrier();
}
