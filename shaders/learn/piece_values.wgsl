// What a network says of a piece, to where values of rollouts lie. An invocation a sample. Constants: those of piece.wgsl, OUT, and with
// EXPECTED (then OUT is 1) SAMPLES: the mean of as many is taken, one after the other. After tick and piece.

@group(0) @binding(2) var<storage, read> output: array<f32>;       // [P, ROWS, OUT]
@group(0) @binding(3) var<storage, read_write> values: array<f32>; // [slots, P * RPM, OUT]

@compute @workgroup_size(64)
fn piece_values(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS || piece_row(id.x) >= RPM) { return; }
    let source = id.y * ROWS + id.x;
    let out = position(id.y, 0u, id.x);
    if (EXPECTED) {
        let before = select(values[out], 0.0, which[1] == 0u);
        values[out] = before + output[source] / f32(SAMPLES);
    } else {
        for (var o = 0u; o < OUT; o++) { values[out * OUT + o] = output[source * OUT + o]; }
    }
}
