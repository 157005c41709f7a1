// Inputs FROM to TO of the first layer of mlp_row.wgsl, whose weights are BLOCK's vectors from BASE on. Text that is filled in, once
// per block: nothing that is compiled as it stands.

fn first_layer_FROM(row: vec4<u32>, acc: ptr<function, array<mat4x4<f32>, H4>>) {
    const END = min(TOu, DENSE);
    // Every pass stores all of acc under the mask of living lanes: hence four inputs in one pass.
    for (var k = FROMu; k < END; k += 4u) {
        let a = inputs_4(row, k, END);
        let b = inputs_4(row, k + 1u, END);
        let c = inputs_4(row, k + 2u, END);
        let d = inputs_4(row, k + 3u, END);
        // An input beyond the last is 0 and may come with any weight.
        let at = (vec4(k, k + 1u, k + 2u, k + 3u) - FROMu) * H4;
        let w = BASE + min(at, vec4((TOu - FROMu - 1u) * H4));
        for (var j = 0u; j < H4; j++) {
            (*acc)[j] += outer(BLOCK[w.x + j], a);
            (*acc)[j] += outer(BLOCK[w.y + j], b);
            (*acc)[j] += outer(BLOCK[w.z + j], c);
            (*acc)[j] += outer(BLOCK[w.w + j], d);
        }
    }
    if (TOu <= DENSE) { return; }
    for (var q = 0u; q < OTHERS; q++) {
        // Each row has another column.
        let a = other(row.x, q);
        let b = other(row.y, q);
        let c = other(row.z, q);
        let d = other(row.w, q);
        let column = vec4(a.column, b.column, c.column, d.column);
        let there = column >= vec4(FROMu) & column < vec4(TOu);
        let x = select(vec4(0.0), vec4(a.x, b.x, c.x, d.x), there);
        let w = BASE + (clamp(column, vec4(FROMu), vec4(TOu - 1u)) - FROMu) * H4;
        for (var j = 0u; j < H4; j++) {
            (*acc)[j] += mat4x4(x.x * BLOCK[w.x + j], x.y * BLOCK[w.y + j], x.z * BLOCK[w.z + j], x.w * BLOCK[w.w + j]);
        }
    }
}
