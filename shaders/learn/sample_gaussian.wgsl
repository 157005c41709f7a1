// An action of N normal numbers around the means of one row, and its log-probability: not squashed, not clipped
// (`ppo_family.md` §1.5). Constant: LOG_STD, for `parameter`. After a file that defines `output` and `parameter`, and tick, rng,
// normals and gaussian_density. There is no mask: nothing is at binding 3 that is looked at.

@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;     // [P]
@group(0) @binding(5) var<storage, read_write> actions: array<f32>;  // [T, P * RPM, N]

// Draws of two words for a row's numbers.
const PAIRS: u32 = (N + 1u) / 2u;

// As in sample_categorical.wgsl. The most probable action is the mean.
fn act(member: u32, r: u32, row: u32, seen: u32, out: u32) -> f32 {
    var log_prob = 0.0;
    for (var pair = 0u; pair < PAIRS; pair++) {
        let noise = two_normals(threefry2x32(keys[member], vec2(tick.draw, row * PAIRS + pair)));
        for (var k = 2u * pair; k < min(2u * pair + 2u, N); k++) {
            let mean = output(r, k);
            let log_std = parameter(member, LOG_STD + k);
            let drawn = mean + exp(log_std) * select(noise.y, noise.x, k == 2u * pair);
            let action = select(drawn, mean, tick.greedy == 1u);
            actions[out * N + k] = action;
            log_prob += log_density(standardised(action, mean, log_std), log_std);
        }
    }
    return log_prob;
}
