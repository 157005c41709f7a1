// An action from the masked logits of one row, and its log-probability.
// After a file that leaves the logits in `outputs` and binds `avail`; N is the number of actions.

struct Choice { action: u32, log_prob: f32 }

fn masked_logit(row: u32, avail_row: u32, n: u32) -> f32 {
    return outputs[row * N + n] - 1e10 * (1.0 - avail[avail_row * N + n]);
}

// Inverse of the cumulative distribution at `u`; the most probable action if `greedy`, the first of several.
fn choose(row: u32, avail_row: u32, u: f32, greedy: bool) -> Choice {
    var best = 0u;
    var top = masked_logit(row, avail_row, 0u);
    for (var n = 1u; n < N; n++) {
        let x = masked_logit(row, avail_row, n);
        if (x > top) { top = x; best = n; }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(masked_logit(row, avail_row, n) - top); }
    var action = best;
    if (!greedy) {
        // An unavailable action adds exactly 0 to the sum, so the sum never passes the threshold there.
        let threshold = u * total;
        var sum = 0.0;
        for (var n = 0u; n < N; n++) {
            let before = sum;
            sum += exp(masked_logit(row, avail_row, n) - top);
            if (before <= threshold && threshold < sum) { action = n; }
        }
    }
    return Choice(action, masked_logit(row, avail_row, action) - top - log(total));
}
