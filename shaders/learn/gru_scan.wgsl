// The recurrent half of a GRU over whole sequences, forward and backward, one dispatch each.
//
// The input half (x W_i + b for all steps) is one matrix product before, the gradients of the weights are matrix products
// after; only what must go step by step is here. A workgroup owns ROWS sequences of one member and walks through time, and a step
// costs what its longest chain of loads does: so the products of a step are split, an invocation sums H / PARTS of them for four
// neighbouring columns of all sequences, four weights of each column on their way at once, and the sums meet in the workgroup's memory.
// What a step needs beside the weights is asked for before its products, and used behind them.
//
//   r = sigmoid(x_r + h W_r)      z = sigmoid(x_z + h W_z)      n = tanh(x_n + r * (h W_n + c_n))
//   h' = (1 - z) * n + z * h      with h the previous state, or 0 where the memory was reset in front of this step
//
// Constants from outside: H (hidden units, a multiple of 4 PARTS), ROWS (2 or 4, at most 3 PARTS), PARTS; STRIDE (words of a member's
// parameters), WEIGHTS and BIAS_N (where W and c_n lie among them); TRANSPOSED (words of a member's transpose). After activation and live
// or all_live.

struct Shape { members: u32, steps: u32, rows: u32, pad: u32 }

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> weights: array<vec4<f32>>;  // forward [P, STRIDE], backward W's transpose [P, TRANSPOSED]: [3H, H]
@group(0) @binding(2) var<storage, read_write> start: array<vec4<f32>>;    // [P, R, H]: state before the first step
@group(0) @binding(3) var<storage, read_write> reset_in: array<f32>;       // [P, T, R]: 1 = forget in front of this step
@group(0) @binding(4) var<storage, read_write> inputs: array<vec4<f32>>;   // forward x [P, T, R, 3H]; backward dL/dh' [P, T, R, H]
@group(0) @binding(5) var<storage, read_write> previous: array<vec4<f32>>; // [P, T, R, H]: h, after the reset
@group(0) @binding(6) var<storage, read_write> gates: array<vec4<f32>>;    // [P, T, R, 4H]: r, z, n, h W_n + c_n
@group(0) @binding(7) var<storage, read_write> outputs: array<vec4<f32>>;  // forward h' [P, T, R, H]; backward dL/dx [P, T, R, 3H]
@group(0) @binding(8) var<storage, read_write> hidden_grad: array<vec4<f32>>; // backward [P, T, R, 3H]: dL/d(h W + c) of r, z, n

const H4 = H / 4u;
// Factors of one invocation's sums.
const PART = H / PARTS;
const WG = 3u * H4 * PARTS;

var<workgroup> factors: array<vec4<f32>, 3u * ROWS * H4>;         // forward [ROWS, H]: h; backward [ROWS, 3H]: the gates' gradients
var<workgroup> partials: array<vec4<f32>, 3u * PARTS * ROWS * H4>; // forward [PARTS, ROWS, 3H], backward [3 PARTS, ROWS, H]

fn sigmoid(x: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-x)); }

fn tanh_4(x: vec4<f32>) -> vec4<f32> {
    return vec4(activate(2u, x.x), activate(2u, x.y), activate(2u, x.z), activate(2u, x.w));
}

// Steps whose rows are worth computing.
fn live_steps() -> u32 { return min(shape.steps, live_rows() / shape.rows); }

// Four factors times four rows of the weights.
fn product(f: vec4<f32>, w_0: vec4<f32>, w_1: vec4<f32>, w_2: vec4<f32>, w_3: vec4<f32>) -> vec4<f32> {
    return f.x * w_0 + f.y * w_1 + f.z * w_2 + f.w * w_3;
}

// The PART factors from 4 `k4` on of each sequence, a row of `factors` being `width` fours, times the rows of the weights that begin at
// `w`, `stride` fours apart; to four columns of the partial sums, from `to` on, a sequence every `columns` fours.
fn multiply(k4: u32, width: u32, w: u32, stride: u32, to: u32, columns: u32) {
    // Nothing here is indexed by a variable: sums stay in registers.
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    for (var k = 0u; k < PART / 4u; k++) {
        let at = w + 4u * k * stride;
        let w_0 = weights[at];
        let w_1 = weights[at + stride];
        let w_2 = weights[at + 2u * stride];
        let w_3 = weights[at + 3u * stride];
        sum_0 += product(factors[k4 + k], w_0, w_1, w_2, w_3);
        sum_1 += product(factors[width + k4 + k], w_0, w_1, w_2, w_3);
        if (ROWS > 2u) {
            sum_2 += product(factors[2u * width + k4 + k], w_0, w_1, w_2, w_3);
            sum_3 += product(factors[3u * width + k4 + k], w_0, w_1, w_2, w_3);
        }
    }
    partials[to] = sum_0;
    partials[to + columns] = sum_1;
    if (ROWS > 2u) {
        partials[to + 2u * columns] = sum_2;
        partials[to + 3u * columns] = sum_3;
    }
}

// Beyond the workgroup's sequences nothing is read or written, and the factors of those stay 0.
fn clear(lane: u32) {
    for (var i = lane; i < 3u * ROWS * H4; i += WG) { factors[i] = vec4<f32>(); }
    workgroupBarrier();
}

@compute @workgroup_size(WG)
fn forward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let q = lane / H4;
    let j = lane % H4;
    let row = group.x * ROWS + q;
    // Of the invocations that bring the sums together, one for four units of a sequence.
    let brings = q < ROWS && row < shape.rows;
    let part = lane / (3u * H4);
    let column = lane % (3u * H4);
    let w = (member * STRIDE + WEIGHTS) / 4u + part * PART * 3u * H4 + column;
    let steps = live_steps();
    var c = vec4<f32>();
    var h = vec4<f32>();
    clear(lane);
    if (brings && steps > 0u) {
        c = weights[(member * STRIDE + BIAS_N) / 4u + j];
        h = start[(member * shape.rows + row) * H4 + j] * (1.0 - reset_in[member * shape.steps * shape.rows + row]);
    }
    for (var t = 0u; t < steps; t++) {
        let cell = (member * shape.steps + t) * shape.rows + row;
        var x_r = vec4<f32>();
        var x_z = vec4<f32>();
        var x_n = vec4<f32>();
        var kept = 1.0;
        if (brings) {
            factors[q * H4 + j] = h;
            previous[cell * H4 + j] = h;
            x_r = inputs[cell * 3u * H4 + j];
            x_z = inputs[cell * 3u * H4 + H4 + j];
            x_n = inputs[cell * 3u * H4 + 2u * H4 + j];
            if (t + 1u < steps) { kept = 1.0 - reset_in[cell + shape.rows]; }
        }
        workgroupBarrier();
        multiply(part * PART / 4u, H4, w, 3u * H4, part * ROWS * 3u * H4 + column, 3u * H4);
        workgroupBarrier();
        if (brings) {
            var hn = c;
            for (var p = 0u; p < PARTS; p++) {
                let at = (p * ROWS + q) * 3u * H4 + j;
                x_r += partials[at];
                x_z += partials[at + H4];
                hn += partials[at + 2u * H4];
            }
            let r = sigmoid(x_r);
            let z = sigmoid(x_z);
            let n = tanh_4(x_n + r * hn);
            h = (1.0 - z) * n + z * h;
            outputs[cell * H4 + j] = h;
            h *= kept;
            let g = cell * 4u * H4 + j;
            gates[g] = r;
            gates[g + H4] = z;
            gates[g + 2u * H4] = n;
            gates[g + 3u * H4] = hn;
        }
    }
}

// What the backward pass needs of a step for four units of a sequence.
struct Of { r: vec4<f32>, z: vec4<f32>, n: vec4<f32>, hn: vec4<f32>, h: vec4<f32>, dh: vec4<f32>, kept: f32 }

fn of_step(cell: u32, j: u32) -> Of {
    let g = cell * 4u * H4 + j;
    return Of(gates[g], gates[g + H4], gates[g + 2u * H4], gates[g + 3u * H4], previous[cell * H4 + j], inputs[cell * H4 + j], 1.0 - reset_in[cell]);
}

@compute @workgroup_size(WG)
fn backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let q = lane / H4;
    let j = lane % H4;
    let row = group.x * ROWS + q;
    let brings = q < ROWS && row < shape.rows;
    // Thrice as many parts as forward, of a third of the columns: the factors are thrice as many.
    let w = member * TRANSPOSED / 4u + q * PART * H4 + j;
    let steps = live_steps();
    let first = member * shape.steps * shape.rows + row;
    var next: Of;
    var carried = vec4<f32>();
    clear(lane);
    if (brings && steps > 0u) { next = of_step(first + (steps - 1u) * shape.rows, j); }
    for (var back = 0u; back < steps; back++) {
        let t = steps - 1u - back;
        let cell = first + t * shape.rows;
        let now = next;
        if (brings) {
            let dh = now.dh + carried;
            let dn = dh * (1.0 - now.z) * (1.0 - now.n * now.n);
            let dz = dh * (now.h - now.n) * now.z * (1.0 - now.z);
            let dr = dn * now.hn * now.r * (1.0 - now.r);
            let x = cell * 3u * H4 + j;
            outputs[x] = dr;
            outputs[x + H4] = dz;
            outputs[x + 2u * H4] = dn;
            hidden_grad[x] = dr;
            hidden_grad[x + H4] = dz;
            hidden_grad[x + 2u * H4] = dn * now.r;
            factors[q * 3u * H4 + j] = dr;
            factors[(q * 3u + 1u) * H4 + j] = dz;
            factors[(q * 3u + 2u) * H4 + j] = dn * now.r;
            carried = dh * now.z;
            if (t > 0u) { next = of_step(cell - shape.rows, j); }
        }
        workgroupBarrier();
        multiply(q * PART / 4u, 3u * H4, w, H4, q * ROWS * H4 + j, H4);
        workgroupBarrier();
        if (brings) {
            for (var p = 0u; p < 3u * PARTS; p++) { carried += partials[(p * ROWS + q) * H4 + j]; }
            carried *= now.kept;
        }
    }
}
