// 6.2: landmarks that keep their distance: Bridson's Poisson-disc sampling (SIGGRAPH 2007) with five candidates a point,
// then as many of its points as there are landmarks. MAX_POINTS is more than fit into the square.

const EXCLUSION: f32 = 0.675;
const CANDIDATES: u32 = 5u;
const TURN: f32 = 6.2831853;

var<private> spots: array<vec2<f32>, MAX_POINTS>;
var<private> active_spots: array<u32, MAX_POINTS>;
var<private> layout_key: vec2<u32>;
var<private> layout_draws: u32;

/// A layout needs any number of draws: they have a stream of their own.
fn layout_bits() -> vec2<u32> {
    layout_draws += 1u;
    return threefry2x32(layout_key, vec2(layout_draws, 0u));
}

/// Fills the square [0, side)² until no candidate is accepted; returns how many points fit.
fn fill_square(side: f32) -> u32 {
    let start = layout_bits();
    spots[0] = vec2(uniform01(start.x), uniform01(start.y)) * side;
    active_spots[0] = 0u;
    var count = 1u;
    var waiting = 1u;
    var around = vec2(0.0);
    var candidate = 0u;
    // Ends with the last candidate of the last point that waits for its turn.
    while (waiting > 0u || candidate > 0u) {
        if (candidate == 0u) {
            let pick = below(layout_bits().x, waiting);
            around = spots[active_spots[pick]];
            waiting -= 1u;
            active_spots[pick] = active_spots[waiting];
        }
        candidate = (candidate + 1u) % CANDIDATES;
        let bits = layout_bits();
        let angle = TURN * uniform01(bits.x);
        // Uniform by area in the ring of radii EXCLUSION to 2 EXCLUSION.
        let distance = EXCLUSION * sqrt(3.0 * uniform01(bits.y) + 1.0);
        let spot = around + distance * vec2(cos(angle), sin(angle));
        var fits = all(spot >= vec2(0.0)) && all(spot < vec2(side)) && count < MAX_POINTS;
        for (var k = 0u; k < count && fits; k++) {
            fits = squared(spot - spots[k]) > EXCLUSION * EXCLUSION;
        }
        if (fits) {
            spots[count] = spot;
            active_spots[waiting] = count;
            count += 1u;
            waiting += 1u;
        }
    }
    return count;
}

fn place_landmarks() {
    let side = 2.0 * LANDMARK_BOX;
    layout_key = draw(DRAW_LAYOUT, 0u);
    layout_draws = 0u;
    var count = 0u;
    while (count < L) { count = fill_square(side); }
    for (var l = 0u; l < up_to(L); l++) {
        let pick = l + below(layout_bits().x, count - l);
        let chosen = spots[pick];
        spots[pick] = spots[l];
        px[N + l] = chosen.x - LANDMARK_BOX;
        py[N + l] = chosen.y - LANDMARK_BOX;
    }
}
