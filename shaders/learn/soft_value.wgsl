// α ln Σ e^(Q(a)/α) over all actions, allowed or not (`me_igm.md` §10).
fn soft_value(q: array<f32, N>, alpha: f32) -> f32 {
    var most = q[0];
    for (var n = 1u; n < N; n++) { most = max(most, q[n]); }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp((q[n] - most) / alpha); }
    return most + alpha * log(total);
}
