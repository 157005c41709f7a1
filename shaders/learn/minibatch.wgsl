// Minibatches of the samples of one or several rollouts. Constants: MEMBERS, T, RPM (rows per member and step, E * A), ITEMS (what is
// permuted per member, at most), ROWS (samples of a minibatch), SEQUENCES (0: samples are permuted; else whole sequences, that many
// in a minibatch). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> order: array<u32>; // [P, ITEMS]

// Where sample `r` of the minibatch lies: an index into [slots, P * RPM].
fn position(member: u32, minibatch: u32, r: u32) -> u32 {
    var slot: u32;
    var row: u32;
    if (SEQUENCES > 0u) {
        let item = order[member * ITEMS + minibatch * SEQUENCES + r % max(SEQUENCES, 1u)];
        slot = item / RPM * (T + 1u) + r / max(SEQUENCES, 1u);
        row = item % RPM;
    } else {
        let item = order[member * ITEMS + minibatch * ROWS + r];
        let t = item / RPM;
        // Every rollout has a slot more than steps.
        slot = t + t / T;
        row = item % RPM;
    }
    return (slot * MEMBERS + member) * RPM + row;
}
