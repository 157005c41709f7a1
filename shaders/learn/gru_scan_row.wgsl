// As gru_scan.wgsl, an invocation a sequence: for devices whose invocations are the SIMD lanes of a CPU (dense_forward_row.wgsl says
// why weights come from a uniform block). A dispatch per member.
//
// Constants from outside: H (hidden units, a multiple of 4), WORDS4 (of the block, in fours). After activation and live or all_live.

struct Shape { member: u32, steps: u32, rows: u32, h4: u32 } // h4: H / 4, which the compiler does not know: it would unroll

@group(0) @binding(0) var<uniform> shape: Shape;
// Forward the member's W [H, 3H] and c_n [H], backward W's transpose [3H, H].
@group(0) @binding(1) var<uniform> weights: array<vec4<f32>, WORDS4>;
@group(0) @binding(2) var<storage, read_write> start: array<f32>;    // as in gru_scan.wgsl, all members
@group(0) @binding(3) var<storage, read_write> reset_in: array<f32>;
@group(0) @binding(4) var<storage, read_write> inputs: array<f32>;
@group(0) @binding(5) var<storage, read_write> previous: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(8) var<storage, read_write> hidden_grad: array<f32>;

const H4: u32 = H / 4u;

var<private> carried: array<vec4<f32>, H4>;       // state, or gradient of the state
var<private> factors: array<vec4<f32>, 3u * H4>;  // forward the state, backward the gates' gradients
var<private> products: array<vec4<f32>, 3u * H4>;

// Factors 0 to 4 count - 1 times so many rows of the weights, from column 4 first on, to products 4 to + 0, ….
fn multiply(count: u32, stride: u32, first: u32, to: u32) {
    var sum: array<vec4<f32>, H4>;
    for (var k = 0u; k < count; k++) {
        let x = factors[k];
        let w = 4u * k * stride + first;
        for (var j = 0u; j < H4; j++) {
            sum[j] += x.x * weights[w + j];
            sum[j] += x.y * weights[w + stride + j];
            sum[j] += x.z * weights[w + 2u * stride + j];
            sum[j] += x.w * weights[w + 3u * stride + j];
        }
    }
    for (var j = 0u; j < H4; j++) { products[to + j] = sum[j]; }
}

fn sigmoid(x: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-x)); }

fn tanh_4(x: vec4<f32>) -> vec4<f32> {
    return vec4(activate(2u, x.x), activate(2u, x.y), activate(2u, x.z), activate(2u, x.w));
}

fn input(at: u32) -> vec4<f32> { return vec4(inputs[at], inputs[at + 1u], inputs[at + 2u], inputs[at + 3u]); }
fn gate(at: u32) -> vec4<f32> { return vec4(gates[at], gates[at + 1u], gates[at + 2u], gates[at + 3u]); }
fn keep_gate(at: u32, x: vec4<f32>) { for (var c = 0u; c < 4u; c++) { gates[at + c] = x[c]; } }
fn put(at: u32, x: vec4<f32>) { for (var c = 0u; c < 4u; c++) { outputs[at + c] = x[c]; } }
fn put_hidden(at: u32, x: vec4<f32>) { for (var c = 0u; c < 4u; c++) { hidden_grad[at + c] = x[c]; } }

// Steps whose rows are worth computing.
fn live_steps() -> u32 { return min(shape.steps, live_rows() / shape.rows); }

@compute @workgroup_size(8)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    // Spare invocations repeat the last sequence: the same numbers are written twice.
    let row = min(id.x, shape.rows - 1u);
    for (var j = 0u; j < shape.h4; j++) {
        let at = (shape.member * shape.rows + row) * H + 4u * j;
        carried[j] = vec4(start[at], start[at + 1u], start[at + 2u], start[at + 3u]);
    }
    let steps = live_steps();
    for (var t = 0u; t < steps; t++) {
        let cell = (shape.member * shape.steps + t) * shape.rows + row;
        let kept = 1.0 - reset_in[cell];
        for (var j = 0u; j < shape.h4; j++) {
            let h = carried[j] * kept;
            factors[j] = h;
            for (var c = 0u; c < 4u; c++) { previous[cell * H + 4u * j + c] = h[c]; }
        }
        for (var g = 0u; g < 3u * shape.h4; g += shape.h4) { multiply(shape.h4, 3u * H4, g, g); }
        for (var j = 0u; j < shape.h4; j++) {
            let x = cell * 3u * H + 4u * j;
            let r = sigmoid(input(x) + products[j]);
            let z = sigmoid(input(x + H) + products[H4 + j]);
            let hn = products[2u * H4 + j] + weights[3u * H * H4 + j];
            let n = tanh_4(input(x + 2u * H) + r * hn);
            let h = (1.0 - z) * n + z * factors[j];
            carried[j] = h;
            put(cell * H + 4u * j, h);
            let g = cell * 4u * H + 4u * j;
            keep_gate(g, r);
            keep_gate(g + H, z);
            keep_gate(g + 2u * H, n);
            keep_gate(g + 3u * H, hn);
        }
    }
}

@compute @workgroup_size(8)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = min(id.x, shape.rows - 1u);
    for (var j = 0u; j < shape.h4; j++) { carried[j] = vec4(0.0); }
    let steps = live_steps();
    for (var back = 0u; back < steps; back++) {
        let t = steps - 1u - back;
        let cell = (shape.member * shape.steps + t) * shape.rows + row;
        for (var j = 0u; j < shape.h4; j++) {
            let g = cell * 4u * H + 4u * j;
            let r = gate(g);
            let z = gate(g + H);
            let n = gate(g + 2u * H);
            let hn = gate(g + 3u * H);
            let at = cell * H + 4u * j;
            let h = vec4(previous[at], previous[at + 1u], previous[at + 2u], previous[at + 3u]);
            let dh = input(at) + carried[j];
            let dn = dh * (1.0 - z) * (1.0 - n * n);
            let dz = dh * (h - n) * z * (1.0 - z);
            let dr = dn * hn * r * (1.0 - r);
            let x = cell * 3u * H + 4u * j;
            put(x, dr);
            put(x + H, dz);
            put(x + 2u * H, dn);
            put_hidden(x, dr);
            put_hidden(x + H, dz);
            put_hidden(x + 2u * H, dn * r);
            factors[j] = dr;
            factors[H4 + j] = dz;
            factors[2u * H4 + j] = dn * r;
            carried[j] = dh * z;
        }
        multiply(3u * shape.h4, H4, 0u, 0u);
        let kept = 1.0 - reset_in[cell];
        for (var j = 0u; j < shape.h4; j++) { carried[j] = (carried[j] + products[j]) * kept; }
    }
}
