// How many rows are worth computing: the rest of the batch is padding. Constant: LIVE (a binding).

@group(0) @binding(LIVE) var<storage, read> live: array<u32>;

fn live_rows() -> u32 { return live[0]; }
