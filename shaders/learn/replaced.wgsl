// Where the environment replaced what an agent was told by its own choice, that is taken for the agent's: what it learns from must be
// what happened. Over the newest rollout, an invocation a step of an agent. Constants: ROWS_OF_ALL (P * E * A), REPLACEMENT. After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> replaced: array<f32>;          // [slots, P * E * A]
@group(0) @binding(2) var<storage, read> said: array<f32>;              // [slots, P * E * A]: ln π of the actions as they are then
@group(0) @binding(3) var<storage, read_write> actions: array<u32>;     // [slots, P * E * A]
@group(0) @binding(4) var<storage, read_write> log_probs: array<f32>;   // [slots, P * E * A]

@compute @workgroup_size(64)
fn replace_actions(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = (tick.step + id.y) * ROWS_OF_ALL + id.x;
    if (id.x < ROWS_OF_ALL && replaced[i] == 1.0) { actions[i] = REPLACEMENT; }
}

@compute @workgroup_size(64)
fn replace_log_probs(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = (tick.step + id.y) * ROWS_OF_ALL + id.x;
    if (id.x < ROWS_OF_ALL && replaced[i] == 1.0) { log_probs[i] = said[i]; }
}
