// Layout "thread": one invocation is one environment, its units lie in private arrays.
// For devices whose invocations are SIMD lanes of a CPU: no barriers, no shared memory, one pass over everything.

const UNIT_STRIDE: u32 = 1u;
const ENVS_PER_GROUP: u32 = WORKGROUP;

var<private> unit_begin: u32;   // first unit that this invocation works on
var<private> leader: bool;      // does this invocation settle what concerns the whole environment?

var<private> px: array<f32, N>;
var<private> py: array<f32, N>;
var<private> nx: array<f32, N>;        // position after the move, before the push
var<private> ny: array<f32, N>;
var<private> hp: array<f32, N>;
var<private> hp_before: array<f32, N>; // at the start of the decision; later the health feature
var<private> cd: array<f32, N>;
var<private> cd_seen: array<f32, N>;   // the cooldown feature
var<private> reach: array<f32, N>;     // radius; far below 0 for the dead, who neither push nor are pushed
var<private> damage: array<f32, N>;    // dealt in this world step
var<private> aim: array<u32, N>;       // unit that the decision attacks, N for none
var<private> act: array<u32, N>;
var<private> mx: array<f32, N>;        // continuous actions: the last move
var<private> my: array<f32, N>;
var<private> kind: array<u32, N>;
var<private> last: array<u32, N>;      // heuristic: slot of the previous victim + 1, 0 for none
var<private> goal_x: array<f32, N>;    // heuristic: where to walk while nobody is seen
var<private> goal_y: array<f32, N>;
var<private> jitter: array<vec2<u32>, N>;
var<private> listed: array<u32, LISTED_WORDS>; // conic: whom the agent at hand sees

var<private> e_step: array<u32, 1>;
var<private> e_episode: array<u32, 1>;
var<private> e_ended: array<u32, 1>;
var<private> e_reward: array<vec2<f32>, 1>;

fn at(i: u32) -> u32 { return i; }
fn le() -> u32 { return 0u; }
fn barrier() {}
fn any_ended() -> bool { return e_ended[0] != 0u; }

fn enter(group: u32, lane: u32) {
    g = group * WORKGROUP + lane;
    leader = g < G;
    // An invocation beyond the last environment has no units.
    unit_begin = select(N, 0u, leader);
}

/// Index of what only the unit's own invocation reads.
fn own(i: u32) -> u32 { return i; }

// The environment index runs fastest, so that neighbouring invocations read neighbouring words.
fn unit_word(field: u32, i: u32) -> u32 { return (field * N + i) * G + g; }
fn memory_word(field: u32, i: u32) -> u32 { return (UNIT_FIELDS * N + field * MEMORY_UNITS + i - MEMORY_FIRST) * G + g; }
fn env_word(field: u32) -> u32 { return (UNIT_FIELDS * N + MEMORY_FIELDS * MEMORY_UNITS + field) * G + g; }
