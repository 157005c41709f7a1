// A step of Adam on each temperature α = e^ω, of every agent and of the team, whose loss is the mean of -ω (ln π + H̄) (`me_igm.md` §11): it falls
// where the policies' entropy is above its aim. A workgroup a temperature. Constants: TRIAL (the draw whose probabilities they are), SHARE and TARGET (H̄ of an
// agent: SHARE of the entropy of a uniform policy over what it is allowed, and TARGET), RATE, BETA_1, BETA_2, EPSILON. After hasac.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(1) var<storage, read> log_probs: array<f32>;            // [draws, A, P, BATCH]
@group(0) @binding(2) var<storage, read> allowed: array<f32>;              // [2, A, P, BATCH, N]
@group(0) @binding(3) var<storage, read_write> temperature: array<f32>;    // [P, A + 1, 5]: α, ω, Adam's m and v, entropy of the last batch

var<workgroup> sums: array<f32, 64>;
var<workgroup> aims: array<f32, 64>;

fn aim(row: u32) -> f32 {
    var target_entropy = TARGET;
    if (SHARE > 0.0) {
        var count = 0.0;
        for (var n = 0u; n < N; n++) { count += select(0.0, 1.0, allowed[row * N + n] > 0.0); }
        target_entropy += SHARE * log(max(count, 1.0));
    }
    return target_entropy;
}

@compute @workgroup_size(64)
fn hasac_temperature(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = group.x == AGENTS;
    let first = select(group.x, 0u, team);
    let end = select(group.x + 1u, AGENTS, team);
    var sum = 0.0;
    var aimed = 0.0;
    for (var a = first; a < end; a++) {
        for (var b = lane; b < BATCH; b += 64u) {
            sum += log_probs[agent_row(TRIAL * AGENTS + a, group.y, b)];
            aimed += aim(agent_row(a, group.y, b));
        }
    }
    sums[lane] = sum;
    aims[lane] = aimed;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) {
            sums[lane] += sums[lane + half];
            aims[lane] += aims[lane + half];
        }
        workgroupBarrier();
    }
    if (lane > 0u) { return; }
    let entropy = -sums[0] / f32(BATCH);
    let at = (group.y * (AGENTS + 1u) + group.x) * 5u;
    temperature[at + 4u] = entropy;
    if (RATE == 0.0) { return; }
    let g = entropy - aims[0] / f32(BATCH);
    let m = BETA_1 * temperature[at + 2u] + (1.0 - BETA_1) * g;
    let v = BETA_2 * temperature[at + 3u] + (1.0 - BETA_2) * g * g;
    let omega = temperature[at + 1u] - RATE * m * tick.correction_1 / (sqrt(v * tick.correction_2) + EPSILON);
    temperature[at] = exp(omega);
    temperature[at + 1u] = omega;
    temperature[at + 2u] = m;
    temperature[at + 3u] = v;
}
