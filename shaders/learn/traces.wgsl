// Weights of the traces over what older policies collected (`ppo_family.md` §8.3).
// Constants: AGENTS, TRACE (which), OFF_POLICY (false: nothing is old, every ratio is 1), SAID and STORED (bindings).

@group(0) @binding(SAID) var<storage, read> said: array<f32>;      // [slots, P * RPM]: ln π of what was done, by the policy now
@group(0) @binding(STORED) var<storage, read> stored: array<f32>;  // [slots, P * RPM]: ln μ, when it was done

const DT = 0u;
const ST = 1u;
const IT = 2u;
const NONE = 3u;
const FULL = 4u;

/// ln ρⁱ, bounded so that its exponential is a number.
fn log_ratio(i: u32) -> f32 {
    if (!OFF_POLICY) { return 0.0; }
    return clamp(said[i] - stored[i], -20.0, 20.0);
}

/// ln ρ: of all agents of that environment.
fn log_team_ratio(i: u32) -> f32 {
    if (!OFF_POLICY) { return 0.0; }
    var sum = 0.0;
    for (var j = 0u; j < AGENTS; j++) { sum += log_ratio(i - i % AGENTS + j); }
    return sum;
}

/// cⁱ.
fn trace_weight(i: u32, lambda: f32, eta: f32) -> f32 {
    let own = log_ratio(i);
    let team = log_team_ratio(i);
    switch TRACE {
        case DT: { return lambda * min(1.0, exp(own) * min(eta, exp(team - own))); }
        case ST: { return lambda * min(1.0, exp(team)); }
        case IT: { return lambda * min(1.0, exp(own)); }
        case FULL: { return exp(clamp(team, -20.0, 20.0)); }
        default: { return lambda; }
    }
}

/// ρ̄ⁱ, of the critic's target.
fn target_weight(i: u32) -> f32 {
    return select(min(1.0, exp(log_ratio(i))), 1.0, TRACE == NONE);
}
