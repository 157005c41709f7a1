//! The host's side of the random numbers: the same Threefry-2x32 with 20 rounds as `shaders/common/rng.wgsl`.
//!
//! Counter-based: a draw is a function of a key and a counter, so it depends neither on the number of environments nor
//! on the order in which anything runs. (Salmon et al. 2011; JAX uses the same function.)

/// One block: two words of output for a key and a counter.
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let ks = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = [
        counter[0].wrapping_add(ks[0]),
        counter[1].wrapping_add(ks[1]),
    ];
    for group in 0..5 {
        for r in ROTATIONS[group % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(r) ^ x[0];
        }
        x[0] = x[0].wrapping_add(ks[(group + 1) % 3]);
        x[1] = x[1]
            .wrapping_add(ks[(group + 2) % 3])
            .wrapping_add(group as u32 + 1);
    }
    x
}

/// The key of environment `env` of a member with seed `seed`: all its randomness comes from here.
pub fn env_key(seed: u64, env: u32) -> [u32; 2] {
    // The second word keeps these blocks apart from what a learner draws under the same seed.
    const ENVIRONMENT: u32 = 0x656e_7600;
    threefry2x32([(seed >> 32) as u32, seed as u32], [env, ENVIRONMENT])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block function's vectors of Random123 and of JAX (`specs/smax.md` §17.1).
    #[test]
    fn threefry_matches_its_published_vectors() {
        assert_eq!(
            threefry2x32([0, 0], [0, 0]),
            [0x6b20_0159, 0x99ba_4efe],
            "Random123"
        );
        let ones = u32::MAX;
        assert_eq!(
            threefry2x32([ones, ones], [ones, ones]),
            [0x1cb9_96fc, 0xbb00_2be7],
            "Random123"
        );
        // JAX: split(PRNGKey(0)) gives the blocks of counters (0, 0) and (0, 1).
        assert_eq!(threefry2x32([0, 0], [0, 0]), [1_797_259_609, 2_579_123_966]);
        assert_eq!(threefry2x32([0, 0], [0, 1]), [928_981_903, 3_453_687_069]);
        // 32 bits of an array are both words combined.
        let [a, b] = threefry2x32([0, 0], [0, 3]);
        assert_eq!(a ^ b, 2_012_915_765);
    }
}
