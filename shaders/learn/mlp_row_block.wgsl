// Inputs FROM to TO of the first layer of mlp_row.wgsl, whose weights are BLOCK's vectors from BASE on. Text that is filled in, once
// per block: nothing that is compiled as it stands.

fn first_layer_FROM(row: u32, acc: ptr<function, array<vec4<f32>, H4>>) {
    for (var k = FROMu; k < min(TOu, DENSE); k++) {
        let x = input(row, k);
        for (var j = 0u; j < H4; j++) { (*acc)[j] += x * BLOCK[BASE + (k - FROMu) * H4 + j]; }
    }
    if (TOu <= DENSE) { return; }
    for (var q = 0u; q < OTHERS; q++) {
        let o = other(row, q);
        let x = select(0.0, o.x, o.column >= FROMu && o.column < TOu);
        let k = clamp(o.column, FROMu, TOu - 1u) - FROMu;
        for (var j = 0u; j < H4; j++) { (*acc)[j] += x * BLOCK[BASE + k * H4 + j]; }
    }
}
