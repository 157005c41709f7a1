// Discrete policies of HASAC: what they draw, and the derivative of their loss by the logits (`me_igm.md` §11). The largest of logits with Gumbel
// noise is a draw from their softmax; the softmax of the same sums stands in for it on the way back (straight through, temperature 1).
// An invocation a row; agents from `who.agent` on in z. Constants: COLUMNS (of the critics' input), JOINT (with padding), STATE. After hasac.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> who: array<Who>;                  // [1]
@group(0) @binding(2) var<storage, read> keys: array<vec2<u32>>;           // [P]
@group(0) @binding(3) var<storage, read_write> logits: array<f32>;         // [2, A, P, BATCH, N]: now, next
@group(0) @binding(4) var<storage, read> allowed: array<f32>;              // [2, A, P, BATCH, N]
@group(0) @binding(5) var<storage, read_write> joint: array<f32>;          // [2, P, BATCH, JOINT]
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;      // [draws, A, P, BATCH]
@group(0) @binding(7) var<storage, read_write> chosen: array<u32>;         // [draws, A, P, BATCH]
@group(0) @binding(8) var<storage, read> input_grad: array<f32>;           // [P, BATCH, COLUMNS]: of the loss by the critics' input
@group(0) @binding(9) var<storage, read> temperature: array<f32>;          // [P, A + 1, 5]: α first
@group(0) @binding(10) var<storage, read> share: array<f32>;               // [A, P, BATCH]: of a row in the mean
@group(0) @binding(11) var<storage, read_write> logits_grad: array<f32>;   // [A, P, BATCH, N]

/// Logits with noise, -3.4e38 where forbidden, and ln Σ exp of the plain ones.
var<private> noisy: array<f32, N>;
var<private> normaliser: f32;
var<private> action: u32;

// 23 bits and a half: the inner logarithm is not of 0, and the largest is -2⁻²⁴. Drivers may miss it by 2⁻²¹, beyond which the outer one would be
// infinite or no number.
fn gumbel(bits: u32) -> f32 { return -log(max(-log((f32(bits >> 9u) + 0.5) * 0x1p-23), 0x1p-24)); }

fn draw(at: u32, key: vec2<u32>, agent: u32, b: u32) {
    var top = -3.4e38;
    var best = -3.4e38;
    action = 0u;
    for (var n = 0u; n < N; n++) {
        noisy[n] = -3.4e38;
        if (allowed[at * N + n] == 0.0) { continue; }
        let logit = logits[at * N + n];
        noisy[n] = logit + gumbel(bits_for(key, tick.draw, who[0].draw, agent, b, n).x);
        top = max(top, logit);
        if (noisy[n] > best) { best = noisy[n]; action = n; }
    }
    var total = 0.0;
    for (var n = 0u; n < N; n++) {
        if (allowed[at * N + n] > 0.0) { total += exp(logits[at * N + n] - top); }
    }
    normaliser = top + log(total);
}

@compute @workgroup_size(64)
fn hasac_draw(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let agent = who[0].agent + id.z;
    let next = who[0].draw == NEXT;
    let at = agent_row(agent + select(0u, AGENTS, next), id.y, id.x);
    draw(at, keys[id.y], agent, id.x);
    let out = agent_row(who[0].draw * AGENTS + agent, id.y, id.x);
    log_probs[out] = logits[at * N + action] - normaliser;
    chosen[out] = action;
    let row = select(0u, MEMBERS * BATCH, next) + id.y * BATCH + id.x;
    for (var n = 0u; n < N; n++) { joint[row * JOINT + STATE + agent * N + n] = select(0.0, 1.0, n == action); }
}

// The loss of a row is its share of α ln π(a) - min Q(s, a); a is the one-hot action, ln π(a) = Σ a ln softmax.
@compute @workgroup_size(64)
fn hasac_policy_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let agent = who[0].agent;
    let at = agent_row(agent, id.y, id.x);
    draw(at, keys[id.y], agent, id.x);
    action = chosen[agent_row(who[0].draw * AGENTS + agent, id.y, id.x)];
    let weight = share[at] * temperature[(id.y * (AGENTS + 1u) + agent) * 5u];
    let column = (id.y * BATCH + id.x) * COLUMNS + STATE + agent * N;
    let best = noisy[action];
    var total = 0.0;
    var mean = 0.0;
    for (var n = 0u; n < N; n++) {
        if (allowed[at * N + n] == 0.0) { continue; }
        let s = exp(noisy[n] - best);
        total += s;
        mean += s * (weight * (logits[at * N + n] - normaliser) + input_grad[column + n]);
    }
    mean /= total;
    for (var n = 0u; n < N; n++) {
        var g = 0.0;
        if (allowed[at * N + n] > 0.0) {
            let log_p = logits[at * N + n] - normaliser;
            // By the action, straight through, and by ln softmax.
            g = exp(noisy[n] - best) / total * (weight * log_p + input_grad[column + n] - mean)
                + weight * (select(0.0, 1.0, n == action) - exp(log_p));
        }
        logits_grad[at * N + n] = g;
    }
}
