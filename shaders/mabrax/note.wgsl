// What a substep computes on its way, for tests: compiled in where a test asks for it.

@group(0) @binding(15) var<storage, read_write> notes: array<vec4<f32>>;   // [STAGES, max(LINKS, contacts), 2, G]

fn note(stage: u32, at: u32, a: vec4<f32>, b: vec4<f32>) {
    let row = 2u * (stage * ROWS + at);
    notes[row * G + g] = a;
    notes[(row + 1u) * G + g] = b;
}
