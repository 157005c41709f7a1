// What QTRAN's joint value sees of a step, Σ_i e_i and the state, and the way back to every e_i (`value_decomposition.md` §8).
// Constants: ROWS (of states, of a member), AGENTS, CODE (width of e), STATE, STATE_STRIDE, INPUT (columns, with padding), THREADS, LIVE
// (a binding). After live.

@group(0) @binding(0) var<storage, read_write> codes: array<f32>;     // [P, ROWS, AGENTS, CODE]: e, or its derivative
@group(0) @binding(1) var<storage, read_write> states: array<f32>;    // [P, ROWS, STATE_STRIDE]
@group(0) @binding(2) var<storage, read_write> inputs: array<f32>;    // [P, ROWS, INPUT]
@group(0) @binding(3) var<storage, read_write> team_grad: array<f32>; // [P, ROWS, CODE]: derivative of the sum

@compute @workgroup_size(64)
fn qtran_team(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.y * ROWS;
    let count = min(ROWS, live_rows()) * INPUT;
    for (var i = id.x; i < count; i += THREADS) {
        let row = first + i / INPUT;
        let c = i % INPUT;
        var x = 0.0;
        if (c < CODE) {
            for (var a = 0u; a < AGENTS; a++) { x += codes[(row * AGENTS + a) * CODE + c]; }
        } else if (c - CODE < STATE) {
            x = states[row * STATE_STRIDE + c - CODE];
        }
        inputs[row * INPUT + c] = x;
    }
}

@compute @workgroup_size(64)
fn qtran_agents(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.y * ROWS;
    let count = min(ROWS, live_rows()) * AGENTS * CODE;
    for (var i = id.x; i < count; i += THREADS) {
        let row = first + i / (AGENTS * CODE);
        codes[first * AGENTS * CODE + i] = team_grad[row * CODE + i % CODE];
    }
}
