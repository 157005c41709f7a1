// Minibatches of a rollout's samples. Constants: MEMBERS, RPM (rows per member and step, E * A), ITEMS (what is permuted per
// member), ROWS (samples of a minibatch), SEQUENCES (0: samples are permuted; else whole sequences, that many in a minibatch).
// After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> order: array<u32>; // [P, ITEMS]

// Where sample `r` of the minibatch lies in the rollout: an index into [T, P * RPM].
fn position(member: u32, minibatch: u32, r: u32) -> u32 {
    var t: u32;
    var row: u32;
    if (SEQUENCES > 0u) {
        t = r / max(SEQUENCES, 1u);
        row = order[member * ITEMS + minibatch * SEQUENCES + r % max(SEQUENCES, 1u)];
    } else {
        let item = order[member * ITEMS + minibatch * ROWS + r];
        t = item / RPM;
        row = item % RPM;
    }
    return (t * MEMBERS + member) * RPM + row;
}
