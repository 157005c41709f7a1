// θ⁻ ← (1 - τ) θ⁻ + τ θ. Constants: WORDS, TAU.

@group(0) @binding(0) var<storage, read> params: array<f32>;
@group(0) @binding(1) var<storage, read_write> held: array<f32>; // the target's

@compute @workgroup_size(64)
fn polyak_update(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= WORDS) { return; }
    held[id.x] = (1.0 - TAU) * held[id.x] + TAU * params[id.x];
}
