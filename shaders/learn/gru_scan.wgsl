// The recurrent half of a GRU over whole sequences, forward and backward, one dispatch each.
//
// The input half (x W_i + b for all steps) is one matrix product before, the gradients of the weights are matrix products
// after; only what must go step by step is here. A workgroup owns ROWS sequences of one member and walks through time;
// invocation j owns hidden unit j of all of them, so that a weight is loaded once for ROWS products. Consecutive
// invocations read consecutive weights.
//
//   r = sigmoid(x_r + h W_r)      z = sigmoid(x_z + h W_z)      n = tanh(x_n + r * (h W_n + c_n))
//   h' = (1 - z) * n + z * h      with h the previous state, or 0 where the memory was reset in front of this step
//
// Constants from outside: H (hidden units = workgroup size), ROWS; STRIDE (words of a member's parameters), WEIGHTS and BIAS_N
// (where W and c_n lie among them); TRANSPOSED (words of a member's transpose). After activation and live or all_live.

struct Shape { members: u32, steps: u32, rows: u32, pad: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;  // forward [P, STRIDE], backward W's transpose [P, TRANSPOSED]: [3H, H]
@group(0) @binding(2) var<storage, read_write> start: array<f32>;    // [P, R, H]: state before the first step
@group(0) @binding(3) var<storage, read_write> reset_in: array<f32>; // [P, T, R]: 1 = forget in front of this step
@group(0) @binding(4) var<storage, read_write> inputs: array<f32>;   // forward x [P, T, R, 3H]; backward dL/dh' [P, T, R, H]
@group(0) @binding(5) var<storage, read_write> previous: array<f32>; // [P, T, R, H]: h, after the reset
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;    // [P, T, R, 4H]: r, z, n, h W_n + c_n
@group(0) @binding(7) var<storage, read_write> outputs: array<f32>;  // forward h' [P, T, R, H]; backward dL/dx [P, T, R, 3H]
@group(0) @binding(8) var<storage, read_write> hidden_grad: array<f32>; // backward [P, T, R, 3H]: dL/d(h W + c) of r, z, n

var<workgroup> carried: array<f32, ROWS * H>;     // state, or gradient of the state
var<workgroup> gate_grad: array<f32, ROWS * 3u * H>;

fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-x)); }

// Steps whose rows are worth computing.
fn live_steps() -> u32 { return min(shape.steps, live_rows() / shape.rows); }

@compute @workgroup_size(H)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) j: u32) {
    let member = group.y;
    let first = group.x * ROWS;
    let count = min(ROWS, shape.rows - first);
    let w = member * STRIDE + WEIGHTS;
    let c = weights[member * STRIDE + BIAS_N + j];
    for (var q = 0u; q < ROWS; q++) {
        let row = min(first + q, shape.rows - 1u);
        carried[q * H + j] = start[(member * shape.rows + row) * H + j];
    }
    let steps = live_steps();
    for (var t = 0u; t < steps; t++) {
        let at = (member * shape.steps + t) * shape.rows + first;
        for (var q = 0u; q < count; q++) {
            let h = carried[q * H + j] * (1.0 - reset_in[at + q]);
            carried[q * H + j] = h;
            previous[(at + q) * H + j] = h;
        }
        workgroupBarrier();
        var r = array<f32, ROWS>();
        var z = array<f32, ROWS>();
        var n = array<f32, ROWS>();
        for (var k = 0u; k < H; k++) {
            let wr = weights[w + k * 3u * H + j];
            let wz = weights[w + k * 3u * H + H + j];
            let wn = weights[w + k * 3u * H + 2u * H + j];
            for (var q = 0u; q < ROWS; q++) {
                let h = carried[q * H + k];
                r[q] += h * wr;
                z[q] += h * wz;
                n[q] += h * wn;
            }
        }
        workgroupBarrier();
        for (var q = 0u; q < count; q++) {
            let x = (at + q) * 3u * H + j;
            let rq = sigmoid(inputs[x] + r[q]);
            let zq = sigmoid(inputs[x + H] + z[q]);
            let hn = n[q] + c;
            let nq = activate(2u, inputs[x + 2u * H] + rq * hn);
            let h = (1.0 - zq) * nq + zq * carried[q * H + j];
            carried[q * H + j] = h;
            outputs[(at + q) * H + j] = h;
            let g = (at + q) * 4u * H + j;
            gates[g] = rq;
            gates[g + H] = zq;
            gates[g + 2u * H] = nq;
            gates[g + 3u * H] = hn;
        }
    }
}

@compute @workgroup_size(H)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) j: u32) {
    let member = group.y;
    let first = group.x * ROWS;
    let count = min(ROWS, shape.rows - first);
    let w = member * TRANSPOSED;
    // Rows beyond the last one keep zero gradients; nothing of theirs is written.
    for (var q = 0u; q < ROWS; q++) {
        carried[q * H + j] = 0.0;
        for (var g = 0u; g < 3u; g++) { gate_grad[(q * 3u + g) * H + j] = 0.0; }
    }
    let steps = live_steps();
    for (var back = 0u; back < steps; back++) {
        let t = steps - 1u - back;
        let at = (member * shape.steps + t) * shape.rows + first;
        for (var q = 0u; q < count; q++) {
            let g = (at + q) * 4u * H + j;
            let r = gates[g];
            let z = gates[g + H];
            let n = gates[g + 2u * H];
            let hn = gates[g + 3u * H];
            let h = previous[(at + q) * H + j];
            let dh = inputs[(at + q) * H + j] + carried[q * H + j];
            let dn = dh * (1.0 - z) * (1.0 - n * n);
            let dz = dh * (h - n) * z * (1.0 - z);
            let dr = dn * hn * r * (1.0 - r);
            let x = (at + q) * 3u * H + j;
            outputs[x] = dr;
            outputs[x + H] = dz;
            outputs[x + 2u * H] = dn;
            hidden_grad[x] = dr;
            hidden_grad[x + H] = dz;
            hidden_grad[x + 2u * H] = dn * r;
            gate_grad[q * 3u * H + j] = dr;
            gate_grad[(q * 3u + 1u) * H + j] = dz;
            gate_grad[(q * 3u + 2u) * H + j] = dn * r;
            carried[q * H + j] = dh * z;
        }
        workgroupBarrier();
        var d = array<f32, ROWS>();
        for (var k = 0u; k < 3u * H; k++) {
            let wk = weights[w + k * H + j];
            for (var q = 0u; q < ROWS; q++) { d[q] += gate_grad[q * 3u * H + k] * wk; }
        }
        for (var q = 0u; q < count; q++) {
            carried[q * H + j] = (carried[q * H + j] + d[q]) * (1.0 - reset_in[at + q]);
        }
        workgroupBarrier();
    }
}

// W [H, 3H] -> [3H, H], for the backward pass: its weights too must lie side by side for neighbouring invocations.
@compute @workgroup_size(64)
fn transpose(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = id.x;
    if (word >= 3u * H * H) { return; }
    let member = id.y;
    // `previous` is the transpose here, `weights` the original.
    previous[member * TRANSPOSED + word] = weights[member * STRIDE + WEIGHTS + (word % H) * 3u * H + word / H];
}
