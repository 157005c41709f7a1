// Layout "tile": a workgroup holds ENVS_PER_GROUP environments in workgroup memory, one invocation a unit.
// For GPUs: pairs of units are spread over invocations, and what is written lies side by side in memory.

const UNIT_STRIDE: u32 = N;
const ENVS_PER_GROUP: u32 = WORKGROUP / N;
const CAP: u32 = ENVS_PER_GROUP * N;
const SEEN_WORDS: u32 = (N + 31u) / 32u;

var<private> lane_: u32;
var<private> group_first: u32;  // first environment of the workgroup
var<private> local_env: u32;
var<private> unit_begin: u32;
var<private> leader: bool;

var<workgroup> px: array<f32, CAP>;
var<workgroup> py: array<f32, CAP>;
var<workgroup> nx: array<f32, CAP>;
var<workgroup> ny: array<f32, CAP>;
var<workgroup> hp: array<f32, CAP>;
var<workgroup> hp_before: array<f32, CAP>;
var<workgroup> cd: array<f32, CAP>;
var<workgroup> cd_seen: array<f32, CAP>;
var<workgroup> reach: array<f32, CAP>;
var<workgroup> damage: array<f32, CAP>;
var<workgroup> aim: array<u32, CAP>;
var<workgroup> act: array<u32, CAP>;
var<workgroup> mx: array<f32, CAP>; // continuous actions: the last move
var<workgroup> my: array<f32, CAP>;
var<workgroup> kind: array<u32, CAP>;
var<workgroup> seen: array<u32, CAP * SEEN_WORDS>; // which units a unit sees, a bit each
var<workgroup> listed: array<u32, ENVS_PER_GROUP * A * LISTED_WORDS>; // conic: whom each agent sees
// Only their own invocation reads these: registers, although they look like arrays below.
var<private> last: array<u32, 1>;
var<private> goal_x: array<f32, 1>;
var<private> goal_y: array<f32, 1>;
var<private> jitter: array<vec2<u32>, 1>;

var<workgroup> e_step: array<u32, ENVS_PER_GROUP>;
var<workgroup> e_episode: array<u32, ENVS_PER_GROUP>;
var<workgroup> e_ended: array<u32, ENVS_PER_GROUP>;
var<workgroup> e_reward: array<vec2<f32>, ENVS_PER_GROUP>;
var<workgroup> group_ended: u32;

fn at(i: u32) -> u32 { return local_env * N + i; }
fn le() -> u32 { return local_env; }
fn barrier() { workgroupBarrier(); }

fn any_ended() -> bool {
    if (lane_ == 0u) {
        var any = 0u;
        for (var k = 0u; k < ENVS_PER_GROUP; k++) { any |= e_ended[k]; }
        group_ended = any;
    }
    return workgroupUniformLoad(&group_ended) != 0u;
}

fn enter(group: u32, lane: u32) {
    lane_ = lane;
    group_first = group * ENVS_PER_GROUP;
    local_env = min(lane / N, ENVS_PER_GROUP - 1u);
    g = group_first + local_env;
    let used = lane < CAP && g < G;
    unit_begin = select(N, lane % N, used);
    leader = used && lane % N == 0u;
    // Environments beyond the last one never end; their slots are read by any_ended and the observation.
    if (lane < ENVS_PER_GROUP) { e_ended[lane] = 0u; }
}

fn own(i: u32) -> u32 { return 0u; }

// An environment's words lie together, the units of a field side by side: neighbouring invocations read neighbours.
fn unit_word(field: u32, i: u32) -> u32 { return g * STATE_WORDS + field * N + i; }
fn memory_word(field: u32, i: u32) -> u32 {
    return g * STATE_WORDS + UNIT_FIELDS * N + field * MEMORY_UNITS + i - MEMORY_FIRST;
}
fn env_word(field: u32) -> u32 { return g * STATE_WORDS + UNIT_FIELDS * N + MEMORY_FIELDS * MEMORY_UNITS + field; }
