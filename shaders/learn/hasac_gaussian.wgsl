// Continuous policies of HASAC: what they draw, and the derivative of their loss by means and logarithms of deviations (`me_igm.md` §11): a = tanh(u),
// u = mean + deviation · z with the same z on the way back. With the interface of hasac_categorical.wgsl; a row has 2 N outputs, means first.
// Constants: COLUMNS (of the critics' input), JOINT (with padding), STATE. After hasac and squashed.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> who: array<Who>;                  // [1]
@group(0) @binding(2) var<storage, read> keys: array<vec2<u32>>;           // [P]
@group(0) @binding(3) var<storage, read_write> outputs: array<f32>;        // [2, A, P, BATCH, 2 N]: now, next
@group(0) @binding(5) var<storage, read_write> joint: array<f32>;          // [2, P, BATCH, JOINT]
@group(0) @binding(6) var<storage, read_write> log_probs: array<f32>;      // [draws, A, P, BATCH]
@group(0) @binding(8) var<storage, read> input_grad: array<f32>;           // [P, BATCH, COLUMNS]: of the loss by the critics' input
@group(0) @binding(9) var<storage, read> temperature: array<f32>;          // [P, A + 1, 5]: α first
@group(0) @binding(10) var<storage, read> share: array<f32>;               // [A, P, BATCH]: of a row in the mean
@group(0) @binding(11) var<storage, read_write> outputs_grad: array<f32>;  // [A, P, BATCH, 2 N]

fn log_std_of(at: u32, k: u32) -> f32 { return clamp(outputs[at * 2u * N + N + k], LEAST_LOG_STD, MOST_LOG_STD); }

fn noise(member: u32, agent: u32, b: u32, k: u32) -> f32 {
    return normal_of(bits_for(keys[member], tick.draw, who[0].draw, agent, b, k));
}

@compute @workgroup_size(64)
fn hasac_draw(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let agent = who[0].agent + id.z;
    let next = who[0].draw == NEXT;
    let at = agent_row(agent + select(0u, AGENTS, next), id.y, id.x);
    let row = select(0u, MEMBERS * BATCH, next) + id.y * BATCH + id.x;
    var log_prob = 0.0;
    for (var k = 0u; k < N; k++) {
        let z = noise(id.y, agent, id.x, k);
        let log_std = log_std_of(at, k);
        let u = outputs[at * 2u * N + k] + exp(log_std) * z;
        log_prob += squashed_log_density(u, z, log_std);
        joint[row * JOINT + STATE + agent * N + k] = squash(u);
    }
    log_probs[agent_row(who[0].draw * AGENTS + agent, id.y, id.x)] = log_prob;
}

// The loss of a row is its share of α ln π(a) - min Q(s, a). By u: ln π has 2 tanh(u), a has 1 - tanh²(u).
@compute @workgroup_size(64)
fn hasac_policy_gradient(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= BATCH) { return; }
    let agent = who[0].agent;
    let at = agent_row(agent, id.y, id.x);
    let weight = share[at] * temperature[(id.y * (AGENTS + 1u) + agent) * 5u];
    let column = (id.y * BATCH + id.x) * COLUMNS + STATE + agent * N;
    for (var k = 0u; k < N; k++) {
        let z = noise(id.y, agent, id.x, k);
        let raw = outputs[at * 2u * N + N + k];
        let log_std = log_std_of(at, k);
        let spread = exp(log_std) * z;
        let a = squash(outputs[at * 2u * N + k] + spread);
        let by_u = weight * 2.0 * a + input_grad[column + k] * (1.0 - a * a);
        outputs_grad[at * 2u * N + k] = by_u;
        // Beyond its bounds a deviation does not move.
        outputs_grad[at * 2u * N + N + k] = select(0.0, by_u * spread - weight, raw >= LEAST_LOG_STD && raw <= MOST_LOG_STD);
    }
}
