// 7.3: rewards of Triangle Area, from the state after the step.

/// Span a large triangle without touching an obstacle.
fn reward_all() -> bool {
    let p = apart(1u, 0u);
    let q = apart(2u, 0u);
    let area = abs(p.x * q.y - p.y * q.x) / 2.0;
    var overlaps = 0.0;
    for (var i = 0u; i < N; i++) {
        var mine = 0.0;
        for (var l = N; l < BODIES; l++) {
            mine += select(0.0, 1.0, within(i, l, AGENT_RADIUS + LANDMARK_RADIUS));
        }
        overlaps += mine;
        earned[i] = 0.1 * area - mine;
    }
    touches += overlaps;
    if (REWARD == SUMMED) {
        for (var i = 0u; i < N; i++) { earned[i] = 0.1 * f32(N) * area - overlaps; }
    }
    return false;
}
