// Rows of a member's kernel as a uniform block, for dense_forward_row.wgsl and dense_backward_row.wgsl. Constants: IN (rows of the
// kernel that are bound), OUT, COLUMNS4.

const OUT4: u32 = (OUT + 3u) / 4u;

@group(0) @binding(0) var<uniform> weights: array<vec4<f32>, ((IN + 1u) * OUT + 3u) / 4u>; // [IN, OUT], then the bias or another row

fn weight(k: u32, c: u32) -> f32 {
    let at = k * OUT + min(c, OUT - 1u);
    return weights[at / 4u][at % 4u];
}

// Row `k` of those bound, or what follows them for k = IN: columns 4 j to 4 j + 3. A ragged edge repeats the last columns.
fn four_weights(k: u32, j: u32) -> vec4<f32> {
    if (OUT % 4u == 0u && OUT4 % COLUMNS4 == 0u) { return weights[k * OUT4 + j]; }
    if (OUT % 4u == 0u) { return weights[k * OUT4 + min(j, OUT4 - 1u)]; }
    return vec4(weight(k, 4u * j), weight(k, 4u * j + 1u), weight(k, 4u * j + 2u), weight(k, 4u * j + 3u));
}
