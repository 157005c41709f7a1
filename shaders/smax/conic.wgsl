// 7.2: the directions around an agent are SECTIONS sectors, each with PER_SECTION rows for the units within.

const ROWS: u32 = SECTIONS * PER_SECTION;

/// The sector in which `d` points, or SECTIONS on a border.
fn sector(d: vec2<f32>) -> u32 {
    let s = f32(SECTIONS) * turn_from_west(d);
    if (CORRECTED_CONIC) { return min(u32(s), SECTIONS - 1u); }
    return select(u32(s), SECTIONS, fract(s) == 0.0);
}

/// Lists whom agent `i` sees: in each sector those of the lowest indices. The reference lists the dead, never unit 0, and
/// nobody whose direction is the border of two sectors.
fn prepare_rows(i: u32) {
    let first = listed_row(i, at(0u));
    for (var w = 0u; w < LISTED_WORDS; w++) { listed[first + w] = 0u; }
    if (!alive(i)) { return; }
    let sight_range = type_of(i).sight_range;
    for (var j = select(1u, 0u, CORRECTED_CONIC); j < N; j++) {
        let d = vec2(px[at(j)] - px[at(i)], py[at(j)] - py[at(i)]) / sight_range;
        let k = sector(d);
        let near = sqrt(d.x * d.x + d.y * d.y) < 1.0;
        if (j == i || !near || k == SECTIONS || (CORRECTED_CONIC && !alive(j))) { continue; }
        for (var s = k * PER_SECTION; s < (k + 1u) * PER_SECTION; s++) {
            let word = first + s / 4u;
            let shift = 8u * (s & 3u);
            if (((listed[word] >> shift) & 0xffu) == 0u) {
                listed[word] |= (j + 1u) << shift;
                break;
            }
        }
    }
}

/// `base`: where the environment begins in the layout's arrays.
fn row(i: u32, s: u32, base: u32) -> Row {
    let unit = (listed[listed_row(i, base) + s / 4u] >> (8u * (s & 3u))) & 0xffu;
    return Row(max(unit, 1u) - 1u, unit > 0u);
}
