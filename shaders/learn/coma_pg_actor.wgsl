// COMA's policy gradient over a whole rollout (`ppo_family.md` §6.1 and 6.2). An invocation a sample.
// Constants: MEMBERS, T, RPM, ROWS (T * RPM), OBS, N. After tick: `tick.epsilon` is that of the rollout.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> obs: array<f32>;            // [T + 1, P * RPM, OBS]
@group(0) @binding(2) var<storage, read> avail: array<f32>;          // [T + 1, P * RPM, N]
@group(0) @binding(3) var<storage, read> actions: array<u32>;        // [T + 1, P * RPM]
@group(0) @binding(4) var<storage, read> q: array<f32>;              // [T, P * RPM, N]: Q(s, (·, a⁻ⁱ))
@group(0) @binding(5) var<storage, read> entropy_weight: array<f32>; // [P]
@group(0) @binding(6) var<storage, read_write> input: array<f32>;    // [P, ROWS, OBS4]
@group(0) @binding(7) var<storage, read_write> logits: array<f32>;   // [P, ROWS, N]
@group(0) @binding(8) var<storage, read_write> logits_grad: array<f32>; // [P, ROWS, N]
@group(0) @binding(9) var<storage, read_write> values: array<f32>;   // [T + 1, P * RPM]: Q(s, a)
@group(0) @binding(10) var<storage, read_write> advantage: array<f32>; // [T + 1, P * RPM]
@group(0) @binding(11) var<storage, read_write> losses: array<vec2<f32>>; // [P, ROWS]: −Â ln π(a), entropy

const OBS4: u32 = (OBS + 3u) / 4u * 4u;

// Where sample `r` lies: in [T, P * RPM].
fn place(member: u32, r: u32) -> u32 { return (r / RPM * MEMBERS + member) * RPM + r % RPM; }

// The actor's input, in the order of the samples. Eight invocations a row.
@compute @workgroup_size(64)
fn coma_gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let r = group.x * 8u + lane / 8u;
    if (r >= ROWS) { return; }
    let i = place(group.y, r);
    for (var c = lane % 8u; c < OBS4; c += 8u) {
        input[(group.y * ROWS + r) * OBS4 + c] = select(obs[i * OBS + min(c, OBS - 1u)], 0.0, c >= OBS);
    }
}

// π = (1 − ε) softmax + ε / number of actions, among the available ones.
@compute @workgroup_size(64)
fn coma_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let row = id.y * ROWS + id.x;
    let i = place(id.y, id.x);
    var p: array<f32, N>;
    var top = -3.4e38;
    var there = 0.0;
    for (var n = 0u; n < N; n++) {
        p[n] = logits[row * N + n] - select(1e10, 0.0, avail[i * N + n] > 0.0);
        top = max(top, p[n]);
        there += avail[i * N + n];
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) { total += exp(p[n] - top); }
    let kept = 1.0 - tick.epsilon;
    let floor_ = tick.epsilon / there;
    var baseline = 0.0;
    var entropy = 0.0;
    // −(ln π + 1), the derivative of the entropy by π; its mean under the softmax.
    var by_pi: array<f32, N>;
    var mean = 0.0;
    for (var n = 0u; n < N; n++) {
        p[n] = exp(p[n] - top) / total;
        let pi = avail[i * N + n] * (kept * p[n] + floor_);
        let log_pi = log(max(pi, 1e-30));
        baseline += pi * q[i * N + n];
        entropy -= pi * log_pi;
        by_pi[n] = -(log_pi + 1.0);
        mean += p[n] * by_pi[n];
    }
    let action = actions[i];
    let counterfactual = q[i * N + action] - baseline;
    // An action that the environment put in an agent's place may be one that it could not take: nothing is to be learned of it.
    let pi = avail[i * N + action] * (kept * p[action] + floor_);
    let by_log = select(0.0, kept * p[action] / max(pi, 1e-30), pi > 0.0);
    let weight = entropy_weight[id.y];
    for (var n = 0u; n < N; n++) {
        let of_policy = counterfactual * by_log * (select(0.0, 1.0, n == action) - p[n]);
        let of_entropy = weight * kept * p[n] * (by_pi[n] - mean);
        logits_grad[row * N + n] = -(of_policy + of_entropy) / f32(ROWS);
    }
    values[i] = q[i * N + action];
    advantage[i] = counterfactual;
    losses[row] = vec2(-counterfactual * log(max(pi, 1e-30)), entropy);
}
