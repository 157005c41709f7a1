// Copies a minibatch's samples to where the networks and the loss read them, advantages normalised. After tick and minibatch.
// Constants: OBS, STATE, CRITIC (columns of the critic's own input, 0 if it sees the observation), AGENTS, and the places of
// OLD_LOG_PROB, ADVANTAGE, GOAL, OLD_VALUE in the batch.
// Eight invocations a row: 32 bytes at a time, and few enough workgroups for a device with few cores.

@group(0) @binding(2) var<storage, read> advantage: array<f32>; // [T, P * RPM]
@group(0) @binding(3) var<storage, read> moments: array<vec2<f32>>; // [minibatches, P]
@group(0) @binding(4) var<storage, read> obs: array<f32>;       // [T + 1, P * RPM, OBS]
@group(0) @binding(5) var<storage, read> world: array<f32>;     // [T + 1, P * RPM / AGENTS, STATE]
@group(0) @binding(6) var<storage, read> log_probs: array<f32>; // [T, P * RPM]
@group(0) @binding(7) var<storage, read> values: array<f32>;    // [T + 1, P * RPM]
@group(0) @binding(8) var<storage, read> goal: array<f32>;      // [T, P * RPM]
@group(0) @binding(9) var<storage, read_write> actor_input: array<f32>;   // [P, ROWS, OBS]
@group(0) @binding(10) var<storage, read_write> critic_input: array<f32>; // [P, ROWS, CRITIC]
@group(0) @binding(11) var<storage, read_write> batch: array<f32>;

@compute @workgroup_size(64)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let r = group.x * 8u + lane / 8u;
    let column = lane % 8u;
    if (r >= ROWS) { return; }
    let source = position(member, tick.minibatch, r);
    let row = member * ROWS + r;
    for (var c = column; c < OBS; c += 8u) { actor_input[row * OBS + c] = obs[source * OBS + c]; }
    if (CRITIC > 0u) {
        let env = source / AGENTS;
        for (var c = column; c < STATE; c += 8u) { critic_input[row * CRITIC + c] = world[env * STATE + c]; }
        for (var c = STATE + column; c < CRITIC; c += 8u) {
            critic_input[row * CRITIC + c] = select(0.0, 1.0, c - STATE == source % AGENTS);
        }
    }
    if (column == 0u) {
        let moment = moments[tick.minibatch * MEMBERS + member];
        batch[OLD_LOG_PROB + row] = log_probs[source];
        batch[ADVANTAGE + row] = (advantage[source] - moment.x) * moment.y;
        batch[GOAL + row] = goal[source];
        batch[OLD_VALUE + row] = values[source];
    }
}
