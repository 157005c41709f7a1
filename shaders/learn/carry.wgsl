// The last slot of the newest rollout becomes the first of the next. Constants: T, REUSE (rollouts that are kept), OBS_WORDS, STATE_WORDS,
// AVAIL_WORDS, ACTION_WORDS, LOG_PROB_WORDS (words of a slot; 0 where it is not carried). After tick.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read_write> obs: array<f32>;
@group(0) @binding(2) var<storage, read_write> world: array<f32>;
@group(0) @binding(3) var<storage, read_write> avail: array<f32>;
@group(0) @binding(4) var<storage, read_write> actions: array<u32>;
@group(0) @binding(5) var<storage, read_write> log_probs: array<f32>;

@compute @workgroup_size(64)
fn carry(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let step = groups.x * 64u;
    let last = tick.step + T;
    let next = (tick.step + T + 1u) % (REUSE * (T + 1u));
    for (var i = id.x; i < OBS_WORDS; i += step) { obs[next * OBS_WORDS + i] = obs[last * OBS_WORDS + i]; }
    for (var i = id.x; i < STATE_WORDS; i += step) { world[next * STATE_WORDS + i] = world[last * STATE_WORDS + i]; }
    for (var i = id.x; i < AVAIL_WORDS; i += step) { avail[next * AVAIL_WORDS + i] = avail[last * AVAIL_WORDS + i]; }
    for (var i = id.x; i < ACTION_WORDS; i += step) { actions[next * ACTION_WORDS + i] = actions[last * ACTION_WORDS + i]; }
    for (var i = id.x; i < LOG_PROB_WORDS; i += step) {
        log_probs[next * LOG_PROB_WORDS + i] = log_probs[last * LOG_PROB_WORDS + i];
    }
}
