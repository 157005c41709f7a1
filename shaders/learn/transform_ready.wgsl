// Logits that a network has put out already. Words: [A, N].
fn transform(first: u32, agent: u32, q: array<f32, N>) -> array<f32, N> {
    var x = q;
    for (var n = 0u; n < N; n++) { x[n] = transform_words[first + agent * N + n]; }
    return x;
}
