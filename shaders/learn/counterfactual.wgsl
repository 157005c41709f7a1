// In place of what an agent did, what its policy might have done: one sample of the Gaussian policy for every row of a piece
// (`ppo_family.md` §6.3 and 7.4). A row's draw depends on the member's seed, the environment step, the row and the sample alone.
// Constants: those of piece.wgsl, AGENTS, N (numbers of an action), STRIDE and LOG_STD (words of a member's parameters, and the first of
// log_std among them), SAMPLES, WIDTH (words of a row of the inputs), FIRST (column of the first agent's action). After tick, piece, rng
// and normals.

@group(0) @binding(2) var<storage, read> params: array<f32>;      // [P, STRIDE]
@group(0) @binding(3) var<storage, read> means: array<f32>;       // [slots, P * RPM, N]
@group(0) @binding(4) var<storage, read> keys: array<vec2<u32>>;  // [P]
@group(0) @binding(5) var<storage, read_write> input: array<f32>; // [P, ROWS, WIDTH]

const PAIRS: u32 = (N + 1u) / 2u;

@compute @workgroup_size(64)
fn counterfactual(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS) { return; }
    let member = id.y;
    let source = position(member, 0u, id.x);
    let row = source % RPM;
    let draw = tick.draw + source / (MEMBERS * RPM) - tick.slot;
    let own = (member * ROWS + id.x) * WIDTH + FIRST + row % AGENTS * N;
    for (var pair = 0u; pair < PAIRS; pair++) {
        let number = (row * SAMPLES + which[1]) * PAIRS + pair;
        let noise = two_normals(threefry2x32(keys[member], vec2(draw, number)));
        for (var k = 2u * pair; k < min(2u * pair + 2u, N); k++) {
            let deviation = exp(params[member * STRIDE + LOG_STD + k]);
            input[own + k] = means[source * N + k] + deviation * select(noise.y, noise.x, k == 2u * pair);
        }
    }
}
