// What an episode ended with that the step limit cut: its value is needed for as long as the episode is, while the environment's own
// memory of it lasts until the next end. Runs behind step `tick.step`; `tick.draw` counts the steps.
// A workgroup an environment, numbered over x and y. Constants: GROUPS (P * E), OBS_WORDS and STATE_WORDS (of an environment), LIMIT, KEPT. After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> truncated: array<f32>;         // [CAPACITY, P * E]
@group(0) @binding(2) var<storage, read> final_obs: array<f32>;         // [P * E, OBS_WORDS]
@group(0) @binding(3) var<storage, read> final_state: array<f32>;       // [P * E, STATE_WORDS]
@group(0) @binding(4) var<storage, read_write> kept_obs: array<f32>;    // [KEPT, P * E, OBS_WORDS]
@group(0) @binding(5) var<storage, read_write> kept_state: array<f32>;  // [KEPT, P * E, STATE_WORDS]

@compute @workgroup_size(64)
fn keep_ends(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) lane: u32) {
    let env = group.y * groups.x + group.x;
    if (env >= GROUPS || truncated[tick.step * GROUPS + env] == 0.0) { return; }
    let to = tick.draw / LIMIT % KEPT * GROUPS + env;
    for (var i = lane; i < OBS_WORDS; i += 64u) { kept_obs[to * OBS_WORDS + i] = final_obs[env * OBS_WORDS + i]; }
    for (var i = lane; i < STATE_WORDS; i += 64u) { kept_state[to * STATE_WORDS + i] = final_state[env * STATE_WORDS + i]; }
}
