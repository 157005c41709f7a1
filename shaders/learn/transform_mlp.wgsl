// Dense layers of all utilities of an agent and of the state, of any sign, in the transform's place (`me_igm.md` §8): no order is kept.
// Words: what the first layer makes of the state [MLP_WIDTH]. Constants: MLP_WIDTH, ENVS_OF_MEMBER, MEMBER_WORDS; MLP_W1, MLP_W2, MLP_B2, MLP_W3 and MLP_B3 (where
// kernels and biases lie among a member's).

@group(0) @binding(SOFT + 2u) var<storage, read> transform_weights: array<f32>; // [P, MEMBER_WORDS]

fn transform(first: u32, agent: u32, q: array<f32, N>) -> array<f32, N> {
    let base = first / TRANSFORM_WORDS / ENVS_OF_MEMBER * MEMBER_WORDS;
    var x = q;
    var below: array<f32, MLP_WIDTH>;
    var above: array<f32, MLP_WIDTH>;
    for (var j = 0u; j < MLP_WIDTH; j++) {
        var sum = transform_words[first + j];
        for (var n = 0u; n < N; n++) { sum += x[n] * transform_weights[base + MLP_W1 + n * MLP_WIDTH + j]; }
        below[j] = max(sum, 0.0);
    }
    for (var j = 0u; j < MLP_WIDTH; j++) {
        var sum = transform_weights[base + MLP_B2 + j];
        for (var k = 0u; k < MLP_WIDTH; k++) { sum += below[k] * transform_weights[base + MLP_W2 + k * MLP_WIDTH + j]; }
        above[j] = max(sum, 0.0);
    }
    for (var n = 0u; n < N; n++) {
        var sum = transform_weights[base + MLP_B3 + n];
        for (var k = 0u; k < MLP_WIDTH; k++) { sum += above[k] * transform_weights[base + MLP_W3 + k * N + n]; }
        x[n] = sum;
    }
    return x;
}
