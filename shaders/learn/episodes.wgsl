// Episodes that were drawn from the replay, a batch of each member. Constants: DRAWN (a binding), BATCH, CAPACITY (steps of the ring),
// GROUPS (P * E), AGENTS, LIMIT (steps after which an episode is cut at the earliest), KEPT (ends of cut episodes that are kept of each environment), ROLLOUTS (they are rollouts: what comes behind
// their last step is in the ring as they are, and episodes begin and end within).

/// An environment, the step that its episode began in, its steps, and whether the step limit cut it. No steps: nothing was drawn.
struct Drawn { env: u32, start: u32, length: u32, cut: u32 }

@group(0) @binding(DRAWN) var<storage, read> drawn: array<Drawn>; // [P, BATCH]

/// Step `l` of it, as an environment's index into the ring's arrays.
fn place(d: Drawn, l: u32) -> u32 { return (d.start + l) % CAPACITY * GROUPS + d.env; }

/// What it ended with, as an environment's index into the kept ends. Two cut episodes of an environment end at least LIMIT apart.
fn kept(d: Drawn) -> u32 { return (d.start + d.length - 1u) / LIMIT % KEPT * GROUPS + d.env; }

/// Whether there is something to see in slot `l`: a step, or behind a cut episode's last one what it ended with.
fn seen(d: Drawn, l: u32) -> bool { return l < d.length || (l == d.length && d.cut == 1u && d.length > 0u); }

/// Whether what slot `l` holds is not in the ring but among the kept ends.
fn behind(d: Drawn, l: u32) -> bool { return !ROLLOUTS && l == d.length; }
