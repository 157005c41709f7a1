// 6: how an episode begins.

fn restart() {
    for (var i = 0u; i < up_to(N); i++) {
        place(i, AGENT_BOX);
        vx[i] = 0.0;
        vy[i] = 0.0;
    }
    place_landmarks();
    team_sum = 0.0;
    prey_sum = 0.0;
    touches = 0.0;
}

/// 6.1: uniform in the square of half side `box`.
fn place(e: u32, box: f32) {
    let bits = draw(DRAW_POSITION, e);
    px[e] = (2.0 * uniform01(bits.x) - 1.0) * box;
    py[e] = (2.0 * uniform01(bits.y) - 1.0) * box;
}
