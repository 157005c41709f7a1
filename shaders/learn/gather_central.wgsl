// A minibatch's inputs of a network that sees what critics see, eight invocations a row. After tick, minibatch and central, whose binding
// is 2.

@group(0) @binding(3) var<storage, read_write> input: array<vec4<f32>>; // [P, ROWS, CRITIC4]

const CRITIC4: u32 = (CRITIC + 3u) / 4u;

@compute @workgroup_size(64)
fn gather_central(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    if (r >= ROWS) { return; }
    let source = position(group.y, tick.minibatch, r);
    let row = group.y * ROWS + r;
    for (var c = lane % 8u; c < CRITIC4; c += 8u) {
        input[row * CRITIC4 + c] = vec4(central(source, 4u * c), central(source, 4u * c + 1u),
            central(source, 4u * c + 2u), central(source, 4u * c + 3u));
    }
}
