// Angles in turns. The built-in functions may be off by 2^-11 (sin, cos) or 4096 units in the last place (atan), which is
// far enough to put a unit into another sector; these are series, exact at the eight principal directions.

const TAU: f32 = 6.2831853;

/// (cos, sin) of `turn` in [0, 1], counter-clockwise from east.
fn on_circle(turn: f32) -> vec2<f32> {
    let quarter = round(4.0 * turn);
    let x = TAU * (turn - 0.25 * quarter); // within [-pi/4, pi/4]
    let z = x * x;
    let s = x * (1.0 - z / 6.0 * (1.0 - z / 20.0 * (1.0 - z / 42.0 * (1.0 - z / 72.0))));
    let c = 1.0 - z / 2.0 * (1.0 - z / 12.0 * (1.0 - z / 30.0 * (1.0 - z / 56.0)));
    switch u32(quarter) & 3u {
        case 0u: { return vec2(c, s); }
        case 1u: { return vec2(-s, c); }
        case 2u: { return vec2(-c, -s); }
        default: { return vec2(s, -c); }
    }
}

/// The direction of `d` in [0, 1], counter-clockwise from west: west itself is 1, and so is no direction at all.
fn turn_from_west(d: vec2<f32>) -> f32 {
    let size = abs(d);
    if (size.x + size.y == 0.0) { return 1.0; }
    // The angle to the nearer axis, by the series of the arc tangent up to tan(pi/8), and from the diagonal beyond that.
    let t = min(size.x, size.y) / max(size.x, size.y);
    let steep = t > 0.41421356;
    let u = select(t, (t - 1.0) / (t + 1.0), steep);
    let z = u * u;
    var sum = 1.0 / 15.0;
    for (var k = 13; k > 0; k -= 2) { sum = 1.0 / f32(k) - z * sum; }
    var turn = select(0.0, 0.125, steep) + u * sum / TAU;
    turn = select(turn, 0.25 - turn, size.y > size.x);
    turn = select(turn, 0.5 - turn, d.x < 0.0);
    return 0.5 + select(turn, -turn, d.y < 0.0);
}
