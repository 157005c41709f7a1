// From the critics' utilities of all actions to what their mixers take, and back (`me_igm.md` §10). An invocation a row of an agent.
// Constants: ROWS (of agents, of a member), N, TAKEN and SOFT (words at which utilities and soft values begin in the batch, of each critic:
// arrays). After soft_value.

@group(0) @binding(0) var<storage, read_write> q_1: array<f32>;          // [P, ROWS, N]
@group(0) @binding(1) var<storage, read_write> q_2: array<f32>;          // [P, ROWS, N]
@group(0) @binding(2) var<storage, read_write> actions: array<u32>;      // [P, ROWS]
@group(0) @binding(3) var<storage, read> temperature: array<f32>;        // [1]: α
@group(0) @binding(4) var<storage, read_write> batch: array<f32>;        // with [P, ROWS] at each of TAKEN and SOFT
@group(0) @binding(5) var<storage, read_write> taken_grad_1: array<f32>; // [P, ROWS]
@group(0) @binding(6) var<storage, read_write> taken_grad_2: array<f32>; // [P, ROWS]
@group(0) @binding(7) var<storage, read_write> q_grad_1: array<f32>;     // [P, ROWS, N]
@group(0) @binding(8) var<storage, read_write> q_grad_2: array<f32>;     // [P, ROWS, N]

@compute @workgroup_size(64)
fn fop_utilities(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    var first: array<f32, N>;
    var second: array<f32, N>;
    for (var n = 0u; n < N; n++) {
        first[n] = q_1[row * N + n];
        second[n] = q_2[row * N + n];
    }
    let at = row * N + actions[row];
    batch[TAKEN[0] + row] = q_1[at];
    batch[TAKEN[1] + row] = q_2[at];
    batch[SOFT[0] + row] = soft_value(first, temperature[0]);
    batch[SOFT[1] + row] = soft_value(second, temperature[0]);
}

// Nothing goes back through the soft values.
@compute @workgroup_size(64)
fn fop_utilities_backward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    for (var n = 0u; n < N; n++) {
        let was = n == actions[row];
        q_grad_1[row * N + n] = select(0.0, taken_grad_1[row], was);
        q_grad_2[row * N + n] = select(0.0, taken_grad_2[row], was);
    }
}
