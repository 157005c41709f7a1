// A target network follows: θ⁻ ← (1 − τ) θ⁻ + τ θ, over a range of every member's words; in the first update it is θ.
// Constants: STRIDE (words of a member), FIRST and LENGTH (of the range), TAU. After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> params: array<f32>;       // [P, STRIDE]
@group(0) @binding(2) var<storage, read_write> words: array<f32>;  // [P, STRIDE]

@compute @workgroup_size(64)
fn polyak(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= LENGTH) { return; }
    let i = id.y * STRIDE + FIRST + id.x;
    words[i] = select(words[i] + TAU * (params[i] - words[i]), params[i], tick.first == 1u);
}
