// 7.1: rewards of Cooperative Navigation, from the state after the step.

/// Cover the landmarks, keep out of each other's way.
fn reward_all() -> bool {
    var hits: array<f32, N>;
    for (var i = 0u; i < inner(N); i++) { hits[i] = select(0.0, 1.0, SELF_COLLISIONS); }
    var pairs = 0.0;
    for (var a = 0u; a < up_to(N); a++) {
        for (var b = a + 1u; b < N; b++) {
            let hit = select(0.0, 1.0, within(a, b, 2.0 * AGENT_RADIUS));
            hits[a] += hit;
            hits[b] += hit;
            pairs += hit;
        }
    }
    touches += pairs;
    if (REWARD == INDIVIDUAL) {
        for (var i = 0u; i < up_to(N); i++) {
            var nearest = LARGEST;
            for (var l = N; l < up_to(BODIES); l++) { nearest = min(nearest, squared(apart(i, l))); }
            earned[i] = -sqrt(nearest) - hits[i];
        }
        return false;
    }
    var coverage = 0.0;
    for (var l = N; l < up_to(BODIES); l++) {
        var nearest = LARGEST;
        for (var i = 0u; i < inner(N); i++) { nearest = min(nearest, squared(apart(i, l))); }
        coverage -= sqrt(nearest);
    }
    let all_hits = 2.0 * pairs + select(0.0, f32(N), SELF_COLLISIONS);
    for (var i = 0u; i < inner(N); i++) {
        switch REWARD {
            case MIXED: { earned[i] = LOCAL_RATIO * -hits[i] + (1.0 - LOCAL_RATIO) * coverage; }
            case SUMMED: { earned[i] = f32(N) * coverage - all_hits; }
            default: { earned[i] = coverage - all_hits; }
        }
    }
    return false;
}
