// A reward model's loss ½ (r − R(s, a⁻ⁱ)[aⁱ])², or of one output ½ (r − R(s, a))², mean over a minibatch: its derivative by the model's outputs. An invocation a sample.
// Constants: MEMBERS, T, RPM, ITEMS, ROWS, SEQUENCES of minibatch.wgsl, OUT. After tick and minibatch.

@group(0) @binding(2) var<storage, read> actions: array<u32>;            // [slots, P * RPM]
@group(0) @binding(3) var<storage, read> reward: array<f32>;             // [slots, P * RPM]
@group(0) @binding(4) var<storage, read> output: array<f32>;             // [P, ROWS, OUT]
@group(0) @binding(5) var<storage, read_write> output_grad: array<f32>;  // [P, ROWS, OUT]

@compute @workgroup_size(64)
fn reward_error(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let source = position(id.y, tick.minibatch, id.x);
    let row = id.y * ROWS + id.x;
    let action = select(0u, actions[source], OUT > 1u);
    let error = (output[row * OUT + action] - reward[source]) / f32(ROWS);
    for (var n = 0u; n < OUT; n++) { output_grad[row * OUT + n] = select(0.0, error, n == action); }
}
