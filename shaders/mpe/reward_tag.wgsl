// 7.2: rewards of Predator-Prey, from the state after the step.

/// What prey pay for a coordinate `x` outside the arena.
fn boundary(x: f32) -> f32 {
    let beyond = abs(x);
    if (beyond < 0.9) { return 0.0; }
    if (beyond < 1.0) { return (beyond - 0.9) * 10.0; }
    return min(exp(2.0 * beyond - 2.0), 10.0);
}

/// Returns whether any prey is captured.
fn reward_all() -> bool {
    var near: array<f32, NP>;          // squared distance to the nearest prey
    var captures: array<f32, NP>;      // prey that this predator touches
    var captured_by: array<f32, NG>;   // predators that touch this prey
    for (var i = 0u; i < inner(NP); i++) {
        near[i] = LARGEST;
        captures[i] = 0.0;
    }
    var pairs = 0.0;
    for (var j = 0u; j < up_to(NG); j++) {
        captured_by[j] = 0.0;
        for (var i = 0u; i < inner(NP); i++) {
            let d = squared(apart(i, NP + j));
            let reach = AGENT_RADIUS + PREY_RADIUS;
            let hit = select(0.0, 1.0, d < reach * reach);
            near[i] = min(near[i], d);
            captures[i] += hit;
            captured_by[j] += hit;
            pairs += hit;
        }
    }
    touches += pairs;
    var distances = 0.0;
    var nearest = LARGEST;
    for (var i = 0u; i < inner(NP); i++) {
        near[i] = sqrt(near[i]);
        distances += near[i];
        nearest = min(nearest, near[i]);
    }
    for (var i = 0u; i < inner(NP); i++) {
        switch REWARD {
            case CAPTURES: { earned[i] = 10.0 * pairs; }
            case SUMMED: { earned[i] = f32(NP) * (-0.1 * distances + 10.0 * pairs); }
            case TEAM: { earned[i] = -0.1 * distances + 10.0 * pairs; }
            case NEAREST_ONLY: { earned[i] = -nearest + select(0.0, 10.0, pairs > 0.0); }
            default: { earned[i] = -0.1 * near[i] + 10.0 * captures[i]; }
        }
    }
    for (var i = NP; i < up_to(A); i++) {
        // JaxMARL looks the prey up by its number among all agents, and indexing stops at the last row.
        let row = select(i - NP, min(i, NG - 1u), LAST_PREY_ONLY);
        earned[i] = -10.0 * captured_by[row];
        if (BOUNDARY_PENALTY) { earned[i] -= boundary(px[i]) + boundary(py[i]); }
    }
    return pairs > 0.0;
}
