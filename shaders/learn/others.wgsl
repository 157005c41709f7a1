// What the other agents did, as inputs of a critic that sees (s, a⁻ⁱ) (`ppo_family.md` §8.5): behind the state and the agent's number a
// block per agent, one-hot or as numbers, the own one blank unless OWN. Few of a one-hot's columns are not 0: while values are taken, each other
// agent adds one row of weights.
// Constants: OWN, SHARE (agents), FIRST_OTHER (column of the first block), BLOCK_WIDTH (columns of a block), CONTINUOUS, TOLD (a binding).

@group(0) @binding(TOLD) var<storage, read> told: array<u32>; // [slots, P * RPM], or [slots, P * RPM, BLOCK_WIDTH] bits of f32

/// A column that is not 0, and what it holds.
struct Other { column: u32, x: f32 }

const OTHERS: u32 = select(SHARE, SHARE * BLOCK_WIDTH, CONTINUOUS);

// Number `q` of them, for a row of [slots, P * RPM].
fn other(row: u32, q: u32) -> Other {
    let own = row % SHARE;
    if (CONTINUOUS) {
        let x = bitcast<f32>(told[(row - own) * BLOCK_WIDTH + q]);
        return Other(FIRST_OTHER + q, select(x, 0.0, !OWN && q / BLOCK_WIDTH == own));
    }
    return Other(FIRST_OTHER + q * BLOCK_WIDTH + told[row - own + q], select(1.0, 0.0, !OWN && q == own));
}

// The same as a column of its own, `c` from FIRST_OTHER on.
fn other_column(row: u32, c: u32) -> f32 {
    let own = row % SHARE;
    let q = c - FIRST_OTHER;
    if (!OWN && q / BLOCK_WIDTH == own) { return 0.0; }
    if (CONTINUOUS) { return bitcast<f32>(told[(row - own) * BLOCK_WIDTH + q]); }
    return select(0.0, 1.0, told[row - own + q / BLOCK_WIDTH] == q % BLOCK_WIDTH);
}
