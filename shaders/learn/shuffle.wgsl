// One permutation per member and epoch, without a sort. Constant: ITEM_BITS. After tick, rng and minibatch.

@group(0) @binding(2) var<storage, read> keys: array<vec2<u32>>; // [P]

// A keyed bijection of 0 … 2^ITEM_BITS − 1: an unbalanced Feistel network, whose every round can be undone.
fn scatter(key: vec2<u32>, draw: u32, x: u32) -> u32 {
    const LOW = (ITEM_BITS + 1u) / 2u;
    const HIGH = ITEM_BITS - LOW;
    var low = x & ((1u << LOW) - 1u);
    var high = x >> LOW;
    for (var round = 0u; round < 4u; round++) {
        let k = threefry2x32(key, vec2(draw, round));
        low ^= mix_bits(high ^ k.x) & ((1u << LOW) - 1u);
        high ^= mix_bits(low ^ k.y) & ((1u << HIGH) - 1u);
    }
    return (high << LOW) | low;
}

fn mix_bits(bits: u32) -> u32 {
    var x = bits * 0x9E3779B1u;
    x = (x ^ (x >> 15u)) * 0x85EBCA77u;
    x = (x ^ (x >> 13u)) * 0xC2B2AE3Du;
    return x ^ (x >> 16u);
}

// One permutation per member and epoch. Numbers beyond the items are sent on until one falls within: still a bijection.
@compute @workgroup_size(64)
fn shuffle(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= tick.items) { return; }
    let key = keys[id.y];
    var x = scatter(key, tick.draw, id.x);
    while (x >= tick.items) { x = scatter(key, tick.draw, x); }
    order[id.y * ITEMS + id.x] = x;
}
