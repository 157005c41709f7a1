// What an agent network is told of its own row behind the observation (`value_decomposition.md` §2): one-hot the last action, if there is
// one, and which agent it is. With the interface of others.wgsl.
// Constants: AGENTS_HERE, ROWS_HERE (P * E * A), FIRST_OTHER (column of the first), BLOCK_WIDTH (actions), LAST_ACTION, AGENT_ID, TOLD (a binding).

@group(0) @binding(TOLD) var<storage, read> told: array<u32>; // [P * E * A]: the last action, BLOCK_WIDTH for none

struct Other { column: u32, x: f32 }

const OTHERS: u32 = select(0u, 1u, LAST_ACTION) + select(0u, 1u, AGENT_ID);
const FIRST_ID: u32 = FIRST_OTHER + select(0u, BLOCK_WIDTH, LAST_ACTION);

fn other(row: u32, q: u32) -> Other {
    if (LAST_ACTION && q == 0u) {
        let action = told[row % ROWS_HERE];
        return Other(FIRST_OTHER + min(action, BLOCK_WIDTH - 1u), select(0.0, 1.0, action < BLOCK_WIDTH));
    }
    return Other(FIRST_ID + row % AGENTS_HERE, 1.0);
}
