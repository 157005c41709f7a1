// In place of minibatch.wgsl, for networks that are only evaluated, over whole rollouts: a piece has all T + 1 slots of SEQUENCES rows of
// one rollout. Constants: MEMBERS, T, RPM, ROWS = (T + 1) * SEQUENCES, SEQUENCES, PIECES (of a rollout). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> which: array<u32>; // [2]: which piece of which rollout, as one number; which sample

// The row of the rollout that sequence `r` of the piece is; beyond RPM there is none.
fn piece_row(r: u32) -> u32 { return which[0] % PIECES * SEQUENCES + r % SEQUENCES; }

// The first slot of its rollout.
fn piece_slot() -> u32 { return tick.slot + which[0] / PIECES * (T + 1u); }

// Where sample `r` of the piece lies: an index into [slots, P * RPM]. Rows that are none repeat the last one.
fn position(member: u32, minibatch: u32, r: u32) -> u32 {
    return ((piece_slot() + r / SEQUENCES) * MEMBERS + member) * RPM + min(piece_row(r), RPM - 1u);
}
