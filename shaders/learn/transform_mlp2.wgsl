// W₂ elu(W₁ x + b₁) + b₂ with non-negative weights, of every action alike; RESIDUAL: and x (`me_igm.md` §2.1).
// Words: W₁, b₁ and W₂ [A, WIDTH] each, b₂ [A].
fn transform(first: u32, agent: u32, q: array<f32, N>) -> array<f32, N> {
    var x = q;
    let at = first + agent * WIDTH;
    for (var n = 0u; n < N; n++) {
        var sum = transform_words[first + 3u * AGENTS * WIDTH + agent];
        for (var d = 0u; d < WIDTH; d++) {
            let h = abs(transform_words[at + d]) * x[n] + transform_words[at + AGENTS * WIDTH + d];
            // e^x - 1 of what is above 0 would overflow.
            let elu = max(h, 0.0) + exp(min(h, 0.0)) - 1.0;
            sum += abs(transform_words[at + 2u * AGENTS * WIDTH + d]) * elu;
        }
        x[n] = select(sum, q[n] + sum, RESIDUAL);
    }
    return x;
}
