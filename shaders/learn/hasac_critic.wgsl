// The critics of HASAC between their outputs and the losses (`me_igm.md` §11). An invocation a row.
// Constants: CRITICS (1 or 2), HUBER (δ; 0: the square). After hasac.

@group(0) @binding(0) var<storage, read> who: array<Who>;                   // [1]
@group(0) @binding(1) var<storage, read_write> q: array<f32>;               // [CRITICS, P, BATCH]
@group(0) @binding(2) var<storage, read_write> target_q: array<f32>;        // [CRITICS, P, BATCH]: of what the policies do next
@group(0) @binding(3) var<storage, read> outcomes: array<vec2<f32>>;        // [P, BATCH]: R, factor of what comes next
@group(0) @binding(4) var<storage, read> log_probs: array<f32>;             // [draws, A, P, BATCH]
@group(0) @binding(5) var<storage, read> temperature: array<f32>;           // [P, A + 1, 5]: α first, the team's last
@group(0) @binding(6) var<storage, read> valid: array<f32>;                 // [A, P, BATCH]
@group(0) @binding(7) var<storage, read_write> q_grad: array<f32>;          // [CRITICS, P, BATCH]
@group(0) @binding(8) var<storage, read_write> said: array<vec4<f32>>;      // [P, BATCH]: loss, |error|, value, target; means of the critics
@group(0) @binding(9) var<storage, read_write> share: array<f32>;           // [A, P, BATCH]: of a row in the policy's mean
@group(0) @binding(10) var<storage, read_write> policy_loss: array<f32>;    // [A, P, BATCH]: α ln π - min Q of a row times its share

fn q_row(k: u32, row: u32) -> u32 { return k * MEMBERS * BATCH + row; }

// y = R + γ^n' (min Q⁻(s', a') - α Σ_i ln π_i(a'_i)), nothing behind the end; and the derivative of each critic's mean loss.
@compute @workgroup_size(64)
fn hasac_target(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let row = id.y * BATCH + id.x;
    var next = target_q[q_row(0u, row)];
    if (CRITICS == 2u) { next = min(next, target_q[q_row(CRITICS - 1u, row)]); }
    var log_prob = 0.0;
    for (var a = 0u; a < AGENTS; a++) { log_prob += log_probs[agent_row(NEXT * AGENTS + a, id.y, id.x)]; }
    let alpha = temperature[(id.y * (AGENTS + 1u) + AGENTS) * 5u];
    let y = outcomes[row].x + outcomes[row].y * (next - alpha * log_prob);
    var sums = vec4(0.0);
    for (var k = 0u; k < CRITICS; k++) {
        let value = q[q_row(k, row)];
        let error = value - y;
        var loss = error * error;
        var slope = 2.0 * error;
        if (HUBER > 0.0) {
            slope = clamp(error, -HUBER, HUBER);
            loss = slope * (error - 0.5 * slope);
        }
        q_grad[q_row(k, row)] = slope / f32(BATCH);
        sums += vec4(loss, abs(error), value, y) / f32(CRITICS);
    }
    said[row] = sums;
}

var<workgroup> alive: array<f32, 64>;

// Of agent `who.agent`'s loss, the mean over the rows in which it lived of α ln π - min Q: each row's share, and the derivative by the values, of
// which the smaller one counts.
@compute @workgroup_size(64)
fn hasac_value_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let agent = who[0].agent;
    var count = 0.0;
    for (var b = lane; b < BATCH; b += 64u) { count += valid[agent_row(agent, id.y, b)]; }
    alive[lane] = count;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) { alive[lane] += alive[lane + half]; }
        workgroupBarrier();
    }
    if (id.x >= BATCH) { return; }
    let row = id.y * BATCH + id.x;
    let at = agent_row(agent, id.y, id.x);
    let part = valid[at] / max(alive[0], 1.0);
    var value = q[q_row(0u, row)];
    var smaller = 0u;
    if (CRITICS == 2u && q[q_row(CRITICS - 1u, row)] < value) {
        smaller = CRITICS - 1u;
        value = q[q_row(smaller, row)];
    }
    for (var k = 0u; k < CRITICS; k++) { q_grad[q_row(k, row)] = select(0.0, -part, k == smaller); }
    share[at] = part;
    let alpha = temperature[(id.y * (AGENTS + 1u) + agent) * 5u];
    policy_loss[at] = part * (alpha * log_probs[agent_row(who[0].draw * AGENTS + agent, id.y, id.x)] - value);
}
