// Permutations without a sort, for shuffle.wgsl and draw_episodes.wgsl. After rng.

// A keyed bijection of 0 … 2^bits - 1: an unbalanced Feistel network, whose every round can be undone.
fn scatter(key: vec2<u32>, draw: u32, x: u32, bits: u32) -> u32 {
    let low_bits = (bits + 1u) / 2u;
    let high_bits = bits - low_bits;
    var low = x & ((1u << low_bits) - 1u);
    var high = x >> low_bits;
    for (var round = 0u; round < 4u; round++) {
        let k = threefry2x32(key, vec2(draw, round));
        low ^= mix_bits(high ^ k.x) & ((1u << low_bits) - 1u);
        high ^= mix_bits(low ^ k.y) & ((1u << high_bits) - 1u);
    }
    return (high << low_bits) | low;
}

fn mix_bits(bits: u32) -> u32 {
    var x = bits * 0x9E3779B1u;
    x = (x ^ (x >> 15u)) * 0x85EBCA77u;
    x = (x ^ (x >> 13u)) * 0xC2B2AE3Du;
    return x ^ (x >> 16u);
}
