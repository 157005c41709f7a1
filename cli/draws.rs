//! Random numbers of the host: which runs a bootstrap draws, which settings a sweep tries.

/// SplitMix64 (Steele et al. 2014).
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`; `n` is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        // The high half of a product: uneven by n / 2^64.
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// FNV-1a: a number for a text, the same in every version.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_reference_and_even() {
        // The first outputs of the published generator for the seed 1234567.
        let mut draws = Draws::new(1_234_567);
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
        let mut counts = [0u32; 5];
        (0..50_000).for_each(|_| counts[draws.below(5)] += 1);
        // Five standard deviations of a count: sqrt(50000 * 0.2 * 0.8) = 89.
        assert!(
            counts.iter().all(|c| c.abs_diff(10_000) < 447),
            "{counts:?}"
        );
        let mean = (0..10_000).map(|_| draws.unit()).sum::<f64>() / 10_000.0;
        // Five standard errors: 5 / sqrt(12 * 10000).
        assert!((mean - 0.5).abs() < 0.0145, "{mean}");
    }

    #[test]
    fn hashes_are_those_of_the_reference() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
