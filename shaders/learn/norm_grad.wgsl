// Gradients of a layer normalisation's scales, Σ dy x̂, and shifts, Σ dy, over chunks of CHUNK rows, which `adam.wgsl` adds. An invocation a
// unit: a sum has a fixed order. Constants: MEMBERS, ROWS, UNITS, STRIDE, SCALE, SHIFT, CHUNK. After live.

@group(0) @binding(0) var<storage, read> x: array<f32>;              // [P, ROWS, UNITS]
@group(0) @binding(1) var<storage, read> moments: array<vec2<f32>>;  // [P, ROWS]
@group(0) @binding(2) var<storage, read> dy: array<f32>;             // [P, ROWS, UNITS]
@group(0) @binding(3) var<storage, read_write> partials: array<f32>; // [chunks, P, STRIDE]

@compute @workgroup_size(64)
fn norm_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let u = group.x * 64u + lane;
    if (u >= UNITS) { return; }
    let last = min((group.y + 1u) * CHUNK, min(ROWS, live_rows()));
    var scale = 0.0;
    var shift = 0.0;
    for (var r = group.y * CHUNK; r < last; r++) {
        let row = group.z * ROWS + r;
        let d = dy[row * UNITS + u];
        shift += d;
        scale += d * (x[row * UNITS + u] - moments[row].x) * moments[row].y;
    }
    let out = (group.y * MEMBERS + group.z) * STRIDE;
    partials[out + SCALE + u] = scale;
    partials[out + SHIFT + u] = shift;
}
