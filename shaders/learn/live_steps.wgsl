// How far the longest episode of a batch reaches, for live.wgsl: the slots up to what it ended with, in whole QUANTUMs, so that no chunk is
// live in part. One workgroup. Constants: DRAWS (P * BATCH), SLOTS, QUANTUM; ROWS (of a slot), CHUNK and CHUNKS of both sizes of
// batches, arrays; ENTRY (words between entries).

@group(0) @binding(0) var<storage, read> drawn: array<vec4<u32>>;       // [DRAWS]
@group(0) @binding(1) var<storage, read_write> of_agents: array<u32>;   // [1 + chunks, ENTRY]
@group(0) @binding(2) var<storage, read_write> of_states: array<u32>;   // [1 + chunks, ENTRY]

var<workgroup> longest: array<u32, 64>;

@compute @workgroup_size(64)
fn live_steps(@builtin(local_invocation_index) lane: u32) {
    var most = 0u;
    for (var i = lane; i < DRAWS; i += 64u) { most = max(most, drawn[i].z); }
    longest[lane] = most;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { longest[lane] = max(longest[lane], longest[lane + half]); }
        workgroupBarrier();
    }
    let slots = min((longest[0] + QUANTUM) / QUANTUM * QUANTUM, SLOTS);
    var rows = ROWS;
    var chunk = CHUNK;
    var chunks = CHUNKS;
    for (var c = lane; c <= chunks[0]; c += 64u) { of_agents[c * ENTRY] = rows_of(slots * rows[0], chunk[0], c); }
    for (var c = lane; c <= chunks[1]; c += 64u) { of_states[c * ENTRY] = rows_of(slots * rows[1], chunk[1], c); }
}

// Entry 0: all live rows; entry c: those of chunk c - 1.
fn rows_of(live: u32, chunk: u32, c: u32) -> u32 {
    if (c == 0u) { return live; }
    return select(0u, chunk, c * chunk <= live);
}
