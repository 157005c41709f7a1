// 4.4: prey that act by a network of two hidden layers, the same for all: softmax of its logits and Gumbel noise.
// Constants: HIDDEN, PREY_NOISE. The network sees what prey observe (5) before the step.

/// W1 [HIDDEN, PREY_SIZE], b1, W2 [HIDDEN, HIDDEN], b2, W3 [5, HIDDEN], b3, row by row.
@group(0) @binding(14) var<storage, read> prey_net: array<f32>;

const AT_B1: u32 = HIDDEN * PREY_SIZE;
const AT_W2: u32 = AT_B1 + HIDDEN;
const AT_B2: u32 = AT_W2 + HIDDEN * HIDDEN;
const AT_W3: u32 = AT_B2 + HIDDEN;
const AT_B3: u32 = AT_W3 + 5u * HIDDEN;

var<private> hidden_1: array<f32, HIDDEN>;
var<private> hidden_2: array<f32, HIDDEN>;

/// -log(-log(u)), u uniform in (0, 1). 23 bits and a half: with 24 a u of 1 - 2^-25 is 1 in f32, and the noise infinite; the largest inner logarithm
/// is -2^-24, which drivers may miss by 2^-21.
fn gumbel(bits: u32) -> f32 { return -log(max(-log((f32(bits >> 9u) + 0.5) * 0x1p-23), 0x1p-24)); }

fn prey_direction(i: u32) -> vec2<f32> {
    obs_at = 0u;
    sense(i, PREY_SEEN_LANDMARKS, PREY_SEEN_AGENTS, PREY_SEEN_PREY, TO_PREY);
    for (var h = 0u; h < HIDDEN; h++) {
        var x = prey_net[AT_B1 + h];
        for (var k = 0u; k < PREY_SIZE; k++) { x += prey_net[h * PREY_SIZE + k] * sensed[k]; }
        hidden_1[h] = max(x, 0.0);
    }
    for (var h = 0u; h < HIDDEN; h++) {
        var x = prey_net[AT_B2 + h];
        for (var k = 0u; k < HIDDEN; k++) { x += prey_net[AT_W2 + h * HIDDEN + k] * hidden_1[k]; }
        hidden_2[h] = max(x, 0.0);
    }
    var logits: array<f32, 5>;
    var largest = -LARGEST;
    for (var a = 0u; a < 5u; a++) {
        var x = prey_net[AT_B3 + a];
        for (var k = 0u; k < HIDDEN; k++) { x += prey_net[AT_W3 + a * HIDDEN + k] * hidden_2[k]; }
        if (PREY_NOISE) {
            let bits = draw(DRAW_PREY, 3u * i + (a >> 1u));
            x += gumbel(select(bits.y, bits.x, (a & 1u) == 0u));
        }
        logits[a] = x;
        largest = max(largest, x);
    }
    var sum = 0.0;
    for (var a = 0u; a < 5u; a++) {
        logits[a] = exp(logits[a] - largest);
        sum += logits[a];
    }
    // The network was trained with action 1 to the right and 3 up, whatever the agents' actions mean.
    return vec2(logits[1] - logits[2], logits[3] - logits[4]) / sum;
}
