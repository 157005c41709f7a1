// Copies a minibatch's samples to where the networks and the loss read them, advantages normalised. After tick and minibatch.
// Constants: OBS, CRITIC (columns of the critic's own input, 0 if it sees the observation), and the places of OLD_LOG_PROB, ADVANTAGE,
// GOAL, OLD_VALUE in the batch. With central, whose binding is 5, and a file that
// says what PPO's ratio is.
// The inputs' rows are filled up with zeros to a multiple of four columns (`Rows` in dense.rs). Eight invocations a row: few enough
// workgroups for a device with few cores.

@group(0) @binding(2) var<storage, read> advantage: array<f32>; // [slots, P * RPM]
@group(0) @binding(3) var<storage, read> moments: array<vec2<f32>>; // [minibatches, P]
@group(0) @binding(4) var<storage, read> obs: array<f32>;       // [slots, P * RPM, OBS]
@group(0) @binding(6) var<storage, read> log_probs: array<f32>; // [slots, P * RPM]
@group(0) @binding(7) var<storage, read> values: array<f32>;    // [slots, P * RPM]
@group(0) @binding(8) var<storage, read> goal: array<f32>;      // [slots, P * RPM]
@group(0) @binding(9) var<storage, read_write> actor_input: array<vec4<f32>>;   // [P, ROWS, OBS4]
@group(0) @binding(10) var<storage, read_write> critic_input: array<vec4<f32>>; // [P, ROWS, CRITIC4]
@group(0) @binding(11) var<storage, read_write> batch: array<f32>;

const OBS4: u32 = (OBS + 3u) / 4u;
const CRITIC4: u32 = (CRITIC + 3u) / 4u;

fn observed(source: u32, c: u32) -> f32 {
    if (c >= OBS) { return 0.0; }
    return obs[source * OBS + c];
}

@compute @workgroup_size(64)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.y;
    let r = group.x * 8u + lane / 8u;
    let column = lane % 8u;
    if (r >= ROWS) { return; }
    let source = position(member, tick.minibatch, r);
    let row = member * ROWS + r;
    for (var c = column; c < OBS4; c += 8u) {
        actor_input[row * OBS4 + c] = vec4(observed(source, 4u * c), observed(source, 4u * c + 1u),
            observed(source, 4u * c + 2u), observed(source, 4u * c + 3u));
    }
    if (CRITIC > 0u) {
        for (var c = column; c < CRITIC4; c += 8u) {
            critic_input[row * CRITIC4 + c] = vec4(central(source, 4u * c), central(source, 4u * c + 1u),
                central(source, 4u * c + 2u), central(source, 4u * c + 3u));
        }
    }
    if (column == 0u) {
        let moment = moments[tick.minibatch * MEMBERS + member];
        let ratio = ratio_of(source);
        batch[OLD_LOG_PROB + row] = ratio.log_prob;
        batch[ADVANTAGE + row] = (advantage[source] - moment.x) * moment.y * ratio.weight;
        tell_center(row, ratio.center);
        batch[GOAL + row] = goal[source];
        batch[OLD_VALUE + row] = values[source];
    }
}
