// Outputs of a network of the state over a batch, as columns FIRST to FIRST + OUT of the transforms' words.
// Constants: ROWS (P * SLOTS * BATCH), OUT, WORDS (columns of all), FIRST, THREADS.

@group(0) @binding(0) var<storage, read_write> outputs: array<f32>; // [ROWS, OUT]
@group(0) @binding(1) var<storage, read_write> words: array<f32>;   // [ROWS, WORDS]

@compute @workgroup_size(64)
fn pack_words(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < ROWS * OUT; i += THREADS) { words[i / OUT * WORDS + FIRST + i % OUT] = outputs[i]; }
}
