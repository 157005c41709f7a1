// 4.3: prey that run: of the points a tenth away in the five directions, to the one that is farthest from its nearest
// predator, less what it costs to be outside the arena.

const LOOK: f32 = 0.1;

fn prey_direction(i: u32) -> vec2<f32> {
    var best = 0u;
    var best_score = -LARGEST;
    for (var action = 0u; action < 5u; action++) {
        let d = direction(action) * LOOK;
        var nearest = LARGEST;
        for (var p = 0u; p < inner(NP); p++) { nearest = min(nearest, squared(apart(i, p) + d)); }
        let score = sqrt(nearest) - boundary((px[i] + d.x) / ARENA) - boundary((py[i] + d.y) / ARENA);
        if (score > best_score) {
            best = action;
            best_score = score;
        }
    }
    return direction(best);
}
