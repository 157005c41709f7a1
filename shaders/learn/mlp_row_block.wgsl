// Inputs FROM to TO of the first layer of mlp_row.wgsl, whose weights are BLOCK's vectors from BASE on. Text that is filled in, once
// per block: nothing that is compiled as it stands.

fn first_layer_FROM(row: u32, acc: ptr<function, array<vec4<f32>, H4>>) {
    for (var k = FROMu; k < TOu; k++) {
        let x = input(row, k);
        for (var j = 0u; j < H4; j++) { (*acc)[j] += x * BLOCK[BASE + (k - FROMu) * H4 + j]; }
    }
}
