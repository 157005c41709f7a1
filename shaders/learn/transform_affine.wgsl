// |w_i(s)| x + b_i(s) (`me_igm.md` §2.1). Words: w [A], b [A].
fn transform(first: u32, agent: u32, q: array<f32, N>) -> array<f32, N> {
    let w = abs(transform_words[first + agent]);
    let b = transform_words[first + AGENTS + agent];
    var x = q;
    for (var n = 0u; n < N; n++) { x[n] = w * x[n] + b; }
    return x;
}
