// Double Q: the best action by the online utilities, and what the target's say of it (`value_decomposition.md` §4).
// An invocation a row of an agent. Constants: ROWS (of agents, of a member), N, TAKEN and BEST (words at which they begin in the batch).

@group(0) @binding(0) var<storage, read_write> q: array<f32>;         // [P, ROWS, N]: online
@group(0) @binding(1) var<storage, read_write> target_q: array<f32>;  // [P, ROWS, N]
@group(0) @binding(2) var<storage, read_write> allowed: array<f32>;   // [P, ROWS, N]
@group(0) @binding(3) var<storage, read_write> next: array<u32>;      // [P, ROWS]: the action
@group(0) @binding(4) var<storage, read_write> batch: array<f32>;     // with [P, ROWS] at TAKEN and at BEST

@compute @workgroup_size(64)
fn greedy_next(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    var action = 0u;
    var top = -3.4e38;
    var best = -3.4e38;
    var none = true;
    for (var n = 0u; n < N; n++) {
        if (allowed[row * N + n] == 0.0) { continue; }
        let x = q[row * N + n];
        if (none || x > top) { top = x; action = n; none = false; }
        best = max(best, target_q[row * N + n]);
    }
    next[row] = action;
    batch[TAKEN + row] = target_q[row * N + action];
    batch[BEST + row] = best;
}
