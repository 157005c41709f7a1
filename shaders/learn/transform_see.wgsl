// What the network in the transform's place sees of a batch: all utilities of an agent, and the state. Constants: ROWS (of agents, of a
// member), AGENTS, N, STATE, STATE_STRIDE, INPUT (columns, with padding), THREADS, LIVE (a binding). After live.

@group(0) @binding(0) var<storage, read_write> q: array<f32>;      // [P, ROWS, N]
@group(0) @binding(1) var<storage, read_write> states: array<f32>; // [P, ROWS / AGENTS, STATE_STRIDE]
@group(0) @binding(2) var<storage, read_write> inputs: array<f32>; // [P, ROWS, INPUT]

@compute @workgroup_size(64)
fn transform_see(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.y * ROWS;
    let count = min(ROWS, live_rows()) * INPUT;
    for (var i = id.x; i < count; i += THREADS) {
        let row = first + i / INPUT;
        let c = i % INPUT;
        var x = 0.0;
        if (c < N) {
            x = q[row * N + c];
        } else if (c - N < STATE) {
            x = states[row / AGENTS * STATE_STRIDE + c - N];
        }
        inputs[row * INPUT + c] = x;
    }
}
