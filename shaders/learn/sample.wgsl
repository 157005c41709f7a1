// An action from the masked logits of one row, and its log-probability.
// After a file that defines `output` and binds `avail`; N is the number of actions.

struct Choice { action: u32, log_prob: f32 }

// Inverse of the cumulative distribution at `u`; the most probable action if `greedy`, the first of several.
fn choose(row: u32, avail_row: u32, u: f32, greedy: bool) -> Choice {
    var logits: array<f32, N>;
    for (var n = 0u; n < N; n++) { logits[n] = output(row, n) - 1e10 * (1.0 - avail[avail_row * N + n]); }
    var best = 0u;
    var top = logits[0];
    for (var n = 1u; n < N; n++) {
        if (logits[n] > top) { top = logits[n]; best = n; }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(logits[n] - top); }
    var action = best;
    if (!greedy) {
        // An unavailable action adds exactly 0 to the sum, so the sum never passes the threshold there.
        let threshold = u * total;
        var sum = 0.0;
        for (var n = 0u; n < N; n++) {
            let before = sum;
            sum += exp(logits[n] - top);
            if (before <= threshold && threshold < sum) { action = n; }
        }
    }
    return Choice(action, logits[action] - top - log(total));
}
