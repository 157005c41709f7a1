// The loss of COMA's critic at one time step, the mean of (Q(s, a) − G)²: its derivative by the critic's outputs; the outputs are kept for
// the policy. An invocation a row. Constants: MEMBERS, RPM, N. After tick: `tick.slot` is the time step.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> actions: array<u32>;           // [T + 1, P * RPM]
@group(0) @binding(2) var<storage, read> goal: array<f32>;              // [T + 1, P * RPM]
@group(0) @binding(3) var<storage, read> output: array<f32>;            // [P * RPM, N]
@group(0) @binding(4) var<storage, read_write> output_grad: array<f32>; // [P * RPM, N]
@group(0) @binding(5) var<storage, read_write> q: array<f32>;           // [T, P * RPM, N]

@compute @workgroup_size(64)
fn coma_error(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= MEMBERS * RPM) { return; }
    let i = tick.slot * MEMBERS * RPM + row;
    let action = actions[i];
    let error = 2.0 * (output[row * N + action] - goal[i]) / f32(RPM);
    for (var n = 0u; n < N; n++) {
        output_grad[row * N + n] = select(0.0, error, n == action);
        q[i * N + n] = output[row * N + n];
    }
}
