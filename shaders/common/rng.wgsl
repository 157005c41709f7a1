// Counter-based random numbers: Threefry-2x32 with 20 rounds (Salmon et al. 2011), the block function that JAX uses.
// A draw is a function of a key and a counter, so it does not depend on the batch, the workgroup or the order of threads.

fn threefry_mix(x: vec2<u32>, r: u32) -> vec2<u32> {
    let a = x.x + x.y;
    return vec2(a, ((x.y << r) | (x.y >> (32u - r))) ^ a);
}

fn threefry2x32(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let k2 = key.x ^ key.y ^ 0x1BD11BDAu;
    var x = counter + key;
    x = threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, 13u), 15u), 26u), 6u) + vec2(key.y, k2 + 1u);
    x = threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, 17u), 29u), 16u), 24u) + vec2(k2, key.x + 2u);
    x = threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, 13u), 15u), 26u), 6u) + vec2(key.x, key.y + 3u);
    x = threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, 17u), 29u), 16u), 24u) + vec2(key.y, k2 + 4u);
    x = threefry_mix(threefry_mix(threefry_mix(threefry_mix(x, 13u), 15u), 26u), 6u) + vec2(k2, key.x + 5u);
    return x;
}

/// Uniform in [0, 1): the 24 high bits, so that every value is exact and 1 cannot come out.
fn uniform01(bits: u32) -> f32 { return f32(bits >> 8u) * 0x1p-24; }
