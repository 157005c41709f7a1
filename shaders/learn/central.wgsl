// What a critic with an input of its own sees. Constants: STATE, CRITIC (columns), FIRST_OTHER (those of them in front of what others did),
// AGENTS, WORLD (a binding). With others or no_others.

@group(0) @binding(WORLD) var<storage, read> world: array<f32>; // [slots, P * RPM / AGENTS, STATE]

// The world state, then which of the agents it is, then what the others did.
fn central(source: u32, c: u32) -> f32 {
    if (c < STATE) { return world[source / AGENTS * STATE + c]; }
    if (c >= CRITIC) { return 0.0; }
    if (c < FIRST_OTHER) { return select(0.0, 1.0, c - STATE == source % AGENTS); }
    return other_column(source, c);
}
