// Dense, GRU cell, dense and head over a tile of ROWS rows, a step at a time; what is remembered stays in the workgroup.
// An invocation holds a patch of TM rows by TN units, and loads the weights of UNROLL inputs at a time: loads that do not wait for each
// other, where each takes a GPU hundreds of cycles and a step of few environments has no other work meanwhile.
//
// Constants: MEMBERS, RPM (rows per member and slot), SHARE (rows that share an input row), ONE_HOT (append the row's number
// among those), STRIDE (words of a member's parameters), IN, HIDDEN, OUT, KE BE (embedding), KI BI (input half), KR BR (recurrent
// half; BR: the bias of n alone), K1 B1 (dense; not with PLAIN_HEAD), K2 B2 (head), ACT, ROWS, TM, TN, UNROLL (divides HIDDEN), WG = (HIDDEN / TN) (ROWS / TM).
// After tick and activation; with others or no_others.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> params: array<f32>; // [P, STRIDE]
@group(0) @binding(2) var<storage, read> inputs: array<f32>; // [slots, P * RPM / SHARE, IN]

const COLS = HIDDEN / TN;

var<workgroup> remembered: array<f32, ROWS * HIDDEN>;
var<workgroup> work: array<f32, ROWS * HIDDEN>;
var<workgroup> outputs: array<f32, ROWS * OUT>;

fn output(r: u32, o: u32) -> f32 { return outputs[r * OUT + o]; }
fn parameter(member: u32, word: u32) -> f32 { return params[member * STRIDE + word]; }

fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }

// One step from `remembered` (zeroed where it is to be forgotten) to `remembered`. `first`: row of the inputs at which the
// member's rows begin; `row_0`: the tile's first row within the member. Begins and ends with a barrier.
fn advance(member: u32, first: u32, row_0: u32, lane: u32) {
    let base = member * STRIDE;
    let c = (lane % COLS) * TN;
    let r = (lane / COLS) * TM;

    var acc: array<f32, TM * TN>;
    var at: array<u32, TM>;
    for (var i = 0u; i < TM; i++) {
        // The last tile may be ragged: its spare rows repeat the last one and are never written out.
        let row = first + min(row_0 + r + i, RPM - 1u);
        at[i] = (row / SHARE) * IN;
        for (var j = 0u; j < TN; j++) {
            acc[i * TN + j] = params[base + BE + c + j];
            if (ONE_HOT) { acc[i * TN + j] += params[base + KE + (IN + row % SHARE) * HIDDEN + c + j]; }
        }
        for (var q = 0u; q < OTHERS; q++) {
            let o = other(row, q);
            for (var j = 0u; j < TN; j++) { acc[i * TN + j] += o.x * params[base + KE + o.column * HIDDEN + c + j]; }
        }
    }
    for (var first_k = 0u; first_k < IN; first_k += UNROLL) {
        var w: array<f32, UNROLL * TN>;
        var x: array<f32, UNROLL * TM>;
        for (var u = 0u; u < UNROLL; u++) {
            let k = min(first_k + u, IN - 1u);
            for (var j = 0u; j < TN; j++) { w[u * TN + j] = params[base + KE + k * HIDDEN + c + j]; }
            for (var i = 0u; i < TM; i++) { x[u * TM + i] = select(0.0, inputs[at[i] + k], first_k + u < IN); }
        }
        for (var u = 0u; u < UNROLL; u++) {
            for (var i = 0u; i < TM; i++) {
                for (var j = 0u; j < TN; j++) { acc[i * TN + j] += x[u * TM + i] * w[u * TN + j]; }
            }
        }
    }
    // The head of the step before may still be reading.
    workgroupBarrier();
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { work[(r + i) * HIDDEN + c + j] = activate(ACT, acc[i * TN + j]); }
    }
    workgroupBarrier();

    // r and z may add up both halves; n must keep them apart, for the reset gate multiplies the recurrent one.
    var gate_r: array<f32, TM * TN>;
    var gate_z: array<f32, TM * TN>;
    var half_x: array<f32, TM * TN>;
    var half_h: array<f32, TM * TN>;
    for (var j = 0u; j < TN; j++) {
        for (var i = 0u; i < TM; i++) {
            gate_r[i * TN + j] = params[base + BI + c + j];
            gate_z[i * TN + j] = params[base + BI + HIDDEN + c + j];
            half_x[i * TN + j] = params[base + BI + 2u * HIDDEN + c + j];
            half_h[i * TN + j] = params[base + BR + c + j];
        }
    }
    for (var first_k = 0u; first_k < HIDDEN; first_k += UNROLL) {
        var x_w: array<f32, 3u * UNROLL * TN>;
        var h_w: array<f32, 3u * UNROLL * TN>;
        for (var u = 0u; u < UNROLL; u++) {
            for (var gate = 0u; gate < 3u; gate++) {
                let word = base + ((first_k + u) * 3u + gate) * HIDDEN + c;
                for (var j = 0u; j < TN; j++) {
                    x_w[(3u * u + gate) * TN + j] = params[KI + word + j];
                    h_w[(3u * u + gate) * TN + j] = params[KR + word + j];
                }
            }
        }
        for (var u = 0u; u < UNROLL; u++) {
            for (var i = 0u; i < TM; i++) {
                let x = work[(r + i) * HIDDEN + first_k + u];
                let h = remembered[(r + i) * HIDDEN + first_k + u];
                for (var j = 0u; j < TN; j++) {
                    let g = 3u * u * TN + j;
                    gate_r[i * TN + j] += x * x_w[g] + h * h_w[g];
                    gate_z[i * TN + j] += x * x_w[g + TN] + h * h_w[g + TN];
                    half_x[i * TN + j] += x * x_w[g + 2u * TN];
                    half_h[i * TN + j] += h * h_w[g + 2u * TN];
                }
            }
        }
    }
    workgroupBarrier();
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) {
            let z = sigmoid(gate_z[i * TN + j]);
            let n = activate(2u, half_x[i * TN + j] + sigmoid(gate_r[i * TN + j]) * half_h[i * TN + j]);
            let o = (r + i) * HIDDEN + c + j;
            remembered[o] = (1.0 - z) * n + z * remembered[o];
        }
    }
    workgroupBarrier();
}

// From `remembered` to `work`: the dense layer in front of the head.
fn before_head(member: u32, lane: u32) {
    let base = member * STRIDE;
    let c = (lane % COLS) * TN;
    let r = (lane / COLS) * TM;
    var acc: array<f32, TM * TN>;
    for (var j = 0u; j < TN; j++) {
        for (var i = 0u; i < TM; i++) { acc[i * TN + j] = params[base + B1 + c + j]; }
    }
    for (var first_k = 0u; first_k < HIDDEN; first_k += UNROLL) {
        var w: array<f32, UNROLL * TN>;
        for (var u = 0u; u < UNROLL; u++) {
            for (var j = 0u; j < TN; j++) { w[u * TN + j] = params[base + K1 + (first_k + u) * HIDDEN + c + j]; }
        }
        for (var u = 0u; u < UNROLL; u++) {
            for (var i = 0u; i < TM; i++) {
                let x = remembered[(r + i) * HIDDEN + first_k + u];
                for (var j = 0u; j < TN; j++) { acc[i * TN + j] += x * w[u * TN + j]; }
            }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) { work[(r + i) * HIDDEN + c + j] = activate(ACT, acc[i * TN + j]); }
    }
}

// From `remembered` to `outputs`. Ends with a barrier.
fn head(member: u32, lane: u32) {
    let base = member * STRIDE;
    if (PLAIN_HEAD) {
        for (var i = lane; i < ROWS * HIDDEN; i += WG) { work[i] = remembered[i]; }
    } else {
        before_head(member, lane);
    }
    workgroupBarrier();
    for (var item = lane; item < (ROWS / TM) * OUT; item += WG) {
        let o = item % OUT;
        let q = (item / OUT) * TM;
        var sum: array<f32, TM>;
        for (var i = 0u; i < TM; i++) { sum[i] = params[base + B2 + o]; }
        for (var first_k = 0u; first_k < HIDDEN; first_k += UNROLL) {
            var w: array<f32, UNROLL>;
            for (var u = 0u; u < UNROLL; u++) { w[u] = params[base + K2 + (first_k + u) * OUT + o]; }
            for (var u = 0u; u < UNROLL; u++) {
                for (var i = 0u; i < TM; i++) { sum[i] += work[(q + i) * HIDDEN + first_k + u] * w[u]; }
            }
        }
        for (var i = 0u; i < TM; i++) { outputs[(q + i) * OUT + o] = sum[i]; }
    }
    workgroupBarrier();
}
