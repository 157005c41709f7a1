// Balls that move before the agent does (docs/environments/grid.md, §11).

/// Each ball goes to a uniform empty cell of the three by three around it, or stays where there is none.
fn move_balls() {
    for (var k = 0u; k < BALLS; k++) {
        let here = word_at(BALL_0 + k);
        var free = 0u;
        for (var n = 0u; n < 9u; n++) {
            let i = here + (n / 3u) * STRIDE + n % 3u - STRIDE - 1u;
            free |= u32(has(IS_EMPTY, cell_at(i)) && i != index(at)) << n;
        }
        if (free == 0u) { continue; }
        var left = choose(draw(0u, 1u + k).x, countOneBits(free));
        while (left > 0u) {
            free &= free - 1u;
            left -= 1u;
        }
        let n = countTrailingZeros(free);
        let there = here + (n / 3u) * STRIDE + n % 3u - STRIDE - 1u;
        put_cell(there, cell_at(here));
        put_cell(here, EMPTY);
        set_word(BALL_0 + k, there);
    }
}
