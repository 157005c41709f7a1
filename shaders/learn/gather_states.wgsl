// A batch's world states, and behind them one-hot what the agents do, where a network sees that: what they did, or would.
// Constants: ROWS (of a member), INPUT (columns, with padding), STATE, N, JOINT (columns of the actions: A * N or 0), THREADS.
// After episodes and live.

@group(0) @binding(0) var<storage, read> world: array<f32>;        // [CAPACITY, P * E, STATE]
@group(0) @binding(1) var<storage, read> kept_state: array<f32>;   // [KEPT, P * E, STATE]
@group(0) @binding(2) var<storage, read_write> joint: array<u32>;  // [P, SLOTS, BATCH, A]
@group(0) @binding(3) var<storage, read_write> inputs: array<f32>; // [P, SLOTS, BATCH, INPUT]

@compute @workgroup_size(64)
fn gather_states(@builtin(global_invocation_id) id: vec3<u32>) {
    let member = id.y;
    let count = min(ROWS, live_rows()) * INPUT;
    for (var i = id.x; i < count; i += THREADS) {
        let row = i / INPUT;
        let c = i % INPUT;
        let d = drawn[member * BATCH + row % BATCH];
        let l = row / BATCH;
        var x = 0.0;
        if (seen(d, l)) {
            if (c < STATE) {
                if (behind(d, l)) { x = kept_state[kept(d) * STATE + c]; } else { x = world[place(d, l) * STATE + c]; }
            } else if (c < STATE + JOINT) {
                let k = c - STATE;
                x = select(0.0, 1.0, joint[(member * ROWS + row) * AGENTS + k / N] == k % N);
            }
        }
        inputs[member * ROWS * INPUT + i] = x;
    }
}
