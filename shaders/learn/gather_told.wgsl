// A batch's inputs of a layer that reads nothing but what agents did, eight invocations a row. After tick, minibatch (or piece) and others,
// whose binding is 2 and whose first column is 0. Constant: COLUMNS.

@group(0) @binding(3) var<storage, read_write> input: array<vec4<f32>>; // [P, ROWS, COLUMNS4]

const COLUMNS4: u32 = (COLUMNS + 3u) / 4u;

fn told_column(source: u32, c: u32) -> f32 {
    if (c >= COLUMNS) { return 0.0; }
    return other_column(source, c);
}

@compute @workgroup_size(64)
fn gather_told(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    if (r >= ROWS) { return; }
    let source = position(group.y, tick.minibatch, r);
    let row = group.y * ROWS + r;
    for (var c = lane % 8u; c < COLUMNS4; c += 8u) {
        input[row * COLUMNS4 + c] = vec4(told_column(source, 4u * c), told_column(source, 4u * c + 1u),
            told_column(source, 4u * c + 2u), told_column(source, 4u * c + 3u));
    }
}
