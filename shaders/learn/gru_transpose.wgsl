// W [H, 3H] -> [3H, H], for the backward pass of the scan: its weights too must lie side by side for neighbouring invocations.
// Constants: H, STRIDE (words of a member's parameters), WEIGHTS (where W lies among them), TRANSPOSED (words of a member's transpose).

@group(0) @binding(0) var<storage, read> weights: array<f32>;          // [P, STRIDE]
@group(0) @binding(1) var<storage, read_write> transposed: array<f32>; // [P, TRANSPOSED]

@compute @workgroup_size(64)
fn transpose(@builtin(global_invocation_id) id: vec3<u32>) {
    let word = id.x;
    if (word >= 3u * H * H) { return; }
    let member = id.y;
    transposed[member * TRANSPOSED + word] = weights[member * STRIDE + WEIGHTS + (word % H) * 3u * H + word / H];
}
