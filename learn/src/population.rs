//! What the members of a population may have each of their own: the seed, and the numbers that the kernels read per member.

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// A member's own values, where members differ in more than their seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub seed: u64,
    pub learning_rate: f64,
    pub gamma: f64,
    pub gae_lambda: f64,
    pub clip_eps: f64,
    pub ent_coef: f64,
    pub vf_coef: f64,
    pub eta: f64,
    pub dae_beta: f64,
}

impl Member {
    fn new(config: &Config) -> Self {
        Self {
            seed: config.seed,
            learning_rate: config.learning_rate,
            gamma: config.gamma,
            gae_lambda: config.gae_lambda,
            clip_eps: config.clip_eps,
            ent_coef: config.ent_coef,
            vf_coef: config.vf_coef,
            eta: config.eta,
            dae_beta: config.dae_beta,
        }
    }

    fn put(&self, config: &mut Config) {
        config.seed = self.seed;
        config.learning_rate = self.learning_rate;
        config.gamma = self.gamma;
        config.gae_lambda = self.gae_lambda;
        config.clip_eps = self.clip_eps;
        config.ent_coef = self.ent_coef;
        config.vf_coef = self.vf_coef;
        config.eta = self.eta;
        config.dae_beta = self.dae_beta;
    }

    /// The values by their keys, without the seed.
    fn values(&self) -> [(&'static str, f64); 8] {
        [
            ("learning_rate", self.learning_rate),
            ("gamma", self.gamma),
            ("gae_lambda", self.gae_lambda),
            ("clip_eps", self.clip_eps),
            ("ent_coef", self.ent_coef),
            ("vf_coef", self.vf_coef),
            ("eta", self.eta),
            ("dae_beta", self.dae_beta),
        ]
    }
}

impl Config {
    /// The configuration that trains member `p` by itself.
    pub fn alone(&self, p: usize) -> Self {
        let mut config = Self {
            seed: self.seed.wrapping_add(p as u64),
            seeds: 1,
            members: Vec::new(),
            ..self.clone()
        };
        if let Some(member) = self.members.get(p) {
            member.put(&mut config);
        }
        config
    }

    /// What tells this configuration from others of the same batch taken out: equal for two that one batch can train.
    pub fn batch_key(&self) -> Self {
        let mut key = Self {
            seed: 0,
            seeds: 1,
            members: Vec::new(),
            ..self.clone()
        };
        // Any will do, as long as it is always the same.
        Member::new(&Self::default()).put(&mut key);
        key
    }

    /// Configurations of one member each, with the same [`Config::batch_key`], as one batch; nothing for none of them.
    pub fn batch(alone: &[Self]) -> Option<Self> {
        let first = alone.first()?;
        let mut config = Self {
            seeds: alone.len(),
            members: Vec::new(),
            ..first.clone()
        };
        let members: Vec<_> = alone.iter().map(Member::new).collect();
        let plain = (0..alone.len()).all(|p| Member::new(&config.alone(p)) == members[p]);
        if !plain {
            config.members = members;
        }
        Some(config)
    }

    pub fn member(&self, p: usize) -> Member {
        Member::new(&self.alone(p))
    }

    /// What `value` is for every member.
    pub fn each<T>(&self, value: impl Fn(&Member) -> T) -> Vec<T> {
        (0..self.seeds).map(|p| value(&self.member(p))).collect()
    }

    /// Seeds of the members, were the first one's `first`.
    pub fn seeds_from(&self, first: u64) -> Vec<u64> {
        (0..self.seeds)
            .map(|p| first.wrapping_add(self.member(p).seed.wrapping_sub(self.seed)))
            .collect()
    }

    /// What member `p` has that not all members of the population have, the seed apart: nothing, or ` learning_rate=0.002`
    /// to be put behind another word.
    pub fn own_values(&self, p: usize) -> String {
        let own = self.member(p).values().into_iter().enumerate();
        let differs = |i: usize, value: f64| self.members.iter().any(|m| m.values()[i].1 != value);
        own.filter(|(i, (_, value))| differs(*i, *value))
            .map(|(_, (key, value))| format!(" {key}={value}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(seed: u64, learning_rate: f64) -> Config {
        Config {
            seed,
            learning_rate,
            ..Config::default()
        }
    }

    #[test]
    fn consecutive_seeds_need_no_list() {
        let alone = [config(5, 1e-3), config(6, 1e-3), config(7, 1e-3)];
        let batch = Config::batch(&alone).expect("some");
        assert_eq!((batch.seed, batch.seeds, batch.members.len()), (5, 3, 0));
        assert_eq!(batch.seeds_from(5), [5, 6, 7]);
        assert_eq!(batch.own_values(1), "");
        assert_eq!(batch.alone(2), alone[2]);
    }

    #[test]
    fn other_values_are_listed_and_come_back() {
        let alone = [config(0, 1e-3), config(4, 1e-3), config(0, 2e-3)];
        let batch = Config::batch(&alone).expect("some");
        assert_eq!(batch.seeds_from(100), [100, 104, 100]);
        assert_eq!(batch.each(|m| m.learning_rate), [1e-3, 1e-3, 2e-3]);
        assert_eq!(batch.own_values(2), " learning_rate=0.002");
        for (p, alone) in alone.iter().enumerate() {
            assert_eq!(batch.alone(p), *alone);
        }
        let text = toml::to_string(&batch).expect("TOML");
        assert_eq!(toml::from_str::<Config>(&text).expect("read"), batch);
    }

    #[test]
    fn only_what_kernels_read_per_member_shares_a_batch() {
        let key = config(0, 1e-3).batch_key();
        assert_eq!(config(9, 7e-3).batch_key(), key);
        let wider = Config {
            hidden: 128,
            ..config(0, 1e-3)
        };
        assert_ne!(wider.batch_key(), key);
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let mut batch = Config::batch(&[config(0, 1e-3), config(0, 2e-3)]).expect("some");
        batch.check().expect("fits");
        batch.members[1].gamma = 2.0;
        assert!(
            batch
                .check()
                .expect_err("gamma")
                .to_string()
                .contains("`gamma` is 2")
        );
        batch.members.pop();
        let e = batch.check().expect_err("one is missing").to_string();
        assert!(e.starts_with("`members` is 1"), "{e}");
    }
}
