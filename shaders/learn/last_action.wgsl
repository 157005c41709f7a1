// What every agent did last: in the step `tick.before`, and nothing (N) where that ended the episode or nothing came before.
// Constants: ROWS_OF_ALL (P * E * A), AGENTS, N. After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> actions: array<u32>;     // [T, P * E * A]
@group(0) @binding(2) var<storage, read> terminated: array<f32>;  // [T, P * E]
@group(0) @binding(3) var<storage, read> truncated: array<f32>;   // [T, P * E]
@group(0) @binding(4) var<storage, read_write> last: array<u32>;  // [P * E * A]

@compute @workgroup_size(64)
fn last_action(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= ROWS_OF_ALL) { return; }
    var action = N;
    if (tick.before != 0xffffffffu) {
        let at = tick.before * ROWS_OF_ALL + row;
        if (max(terminated[at / AGENTS], truncated[at / AGENTS]) == 0.0) { action = actions[at]; }
    }
    last[row] = action;
}
