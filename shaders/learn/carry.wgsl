// The last slot becomes the first: what the next rollout begins with. Constants: LAST_OBS, LAST_STATE, LAST_AVAIL (place of
// the last slot in each), OBS_WORDS, STATE_WORDS, AVAIL_WORDS (words of a slot).

@group(0) @binding(0) var<storage, read_write> obs: array<f32>;
@group(0) @binding(1) var<storage, read_write> world: array<f32>;
@group(0) @binding(2) var<storage, read_write> avail: array<f32>;

@compute @workgroup_size(64)
fn carry(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let step = groups.x * 64u;
    for (var i = id.x; i < OBS_WORDS; i += step) { obs[i] = obs[LAST_OBS + i]; }
    for (var i = id.x; i < STATE_WORDS; i += step) { world[i] = world[LAST_STATE + i]; }
    for (var i = id.x; i < AVAIL_WORDS; i += step) { avail[i] = avail[LAST_AVAIL + i]; }
}
