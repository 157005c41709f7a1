// What QTRAN's networks see of an agent: what its own network remembers, one-hot what it does (`value_decomposition.md` §8).
// Constants: ROWS (of agents, of a member), INPUT (columns, with padding), HIDDEN, N, THREADS, LIVE (a binding). After live.

@group(0) @binding(0) var<storage, read_write> hidden: array<f32>;  // [P, ROWS, HIDDEN]
@group(0) @binding(1) var<storage, read_write> actions: array<u32>; // [P, ROWS]
@group(0) @binding(2) var<storage, read_write> inputs: array<f32>;  // [P, ROWS, INPUT]

@compute @workgroup_size(64)
fn qtran_see(@builtin(global_invocation_id) id: vec3<u32>) {
    let first = id.y * ROWS;
    let count = min(ROWS, live_rows()) * INPUT;
    for (var i = id.x; i < count; i += THREADS) {
        let row = first + i / INPUT;
        let c = i % INPUT;
        var x = 0.0;
        if (c < HIDDEN) {
            x = hidden[row * HIDDEN + c];
        } else if (c - HIDDEN < N) {
            x = select(0.0, 1.0, actions[row] == c - HIDDEN);
        }
        inputs[row * INPUT + c] = x;
    }
}
