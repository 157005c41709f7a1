// Back through join.wgsl: the derivatives by both to those by each, times the derivative of what each ended with. Constants: as there, and
// LEFT_ACT, RIGHT_ACT. After activation.

@group(0) @binding(0) var<storage, read> left: array<f32>;             // [P, ROWS, LEFT]
@group(0) @binding(1) var<storage, read> right: array<f32>;            // [P, ROWS, RIGHT]
@group(0) @binding(2) var<storage, read> both_grad: array<f32>;        // [P, ROWS, LEFT + RIGHT]
@group(0) @binding(3) var<storage, read_write> left_grad: array<f32>;  // [P, ROWS, LEFT]
@group(0) @binding(4) var<storage, read_write> right_grad: array<f32>; // [P, ROWS, RIGHT]

@compute @workgroup_size(64)
fn split(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    if (r >= ROWS) { return; }
    let row = group.y * ROWS + r;
    let source = row * (LEFT + RIGHT);
    for (var u = lane % 8u; u < LEFT; u += 8u) {
        let i = row * LEFT + u;
        left_grad[i] = both_grad[source + u] * activation_derivative(LEFT_ACT, left[i]);
    }
    for (var u = lane % 8u; u < RIGHT; u += 8u) {
        let i = row * RIGHT + u;
        right_grad[i] = both_grad[source + LEFT + u] * activation_derivative(RIGHT_ACT, right[i]);
    }
}
