// Normal numbers from random words. After rng.

/// Two independent normal numbers (Box and Muller 1958).
fn two_normals(bits: vec2<u32>) -> vec2<f32> {
    // In (0, 1], and an angle in [−π, π), where drivers must be most exact.
    let radius = sqrt(max(-2.0 * log(1.0 - uniform01(bits.x)), 0.0));
    let angle = 6.2831853 * (uniform01(bits.y) - 0.5);
    return radius * vec2(cos(angle), sin(angle));
}
