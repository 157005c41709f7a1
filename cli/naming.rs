//! What configurations are called beside others: the algorithm, and what tells them apart.

use std::collections::{BTreeMap, BTreeSet};

use merit_learn::config::{Algo, Config};
use toml::{Table, Value};

/// The keys of a configuration that its algorithm looks at, tables entered, and their values as people write them; without the seeds.
pub fn values(config: &Config) -> BTreeMap<String, String> {
    fn enter(prefix: &str, table: &Table, to: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                Value::Table(inner) => enter(&format!("{key}."), inner, to),
                Value::String(text) => drop(to.insert(key, text.clone())),
                other => drop(to.insert(key, other.to_string())),
            }
        }
    }
    let mut all = BTreeMap::new();
    // What was read from TOML can be written as such.
    if let Ok(table) = Table::try_from(config) {
        enter("", &table, &mut all);
    }
    for key in ["seed", "seeds", "members"] {
        all.remove(key);
    }
    all.retain(|key, _| config.looks_at(key));
    all
}

/// Keys whose values differ among configurations of the same environment and algorithm. Shipped defaults make others
/// differ between algorithms, which says nothing that the algorithm does not.
pub fn varied(configs: &[&Config]) -> BTreeSet<String> {
    type Found = BTreeMap<String, BTreeSet<Option<String>>>;
    let mut groups: Vec<((&str, Algo), Vec<_>)> = Vec::new();
    for config in configs {
        let kind = (config.env.as_str(), config.algo);
        let member = (config, values(config));
        match groups.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, group)) => group.push(member),
            None => groups.push((kind, vec![member])),
        }
    }
    let mut keys = BTreeSet::new();
    for (_, group) in groups {
        let all: BTreeSet<&String> = group.iter().flat_map(|(_, v)| v.keys()).collect();
        let mut found = Found::new();
        for (config, values) in &group {
            // An option that is not set is another value of it; a key that another one switches off has none.
            for key in all.iter().filter(|key| config.looks_at(key)) {
                let value = values.get(*key).cloned();
                found.entry((*key).clone()).or_default().insert(value);
            }
        }
        keys.extend(
            found
                .into_iter()
                .filter(|(_, v)| v.len() > 1)
                .map(|(k, _)| k),
        );
    }
    keys
}

/// `mappo learning_rate=0.001`: the same name for the same values in every environment.
pub fn names(configs: &[&Config]) -> Vec<String> {
    let keys = varied(configs);
    let name = |config: &&Config| {
        let values = values(config);
        let mut name = config.algo.name().to_owned();
        for key in &keys {
            if let Some(value) = values.get(key) {
                name += &format!(" {key}={value}");
            }
        }
        name
    };
    configs.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use merit_learn::config::Trace;

    #[test]
    fn a_name_says_what_differs_within_an_algorithm() {
        let config = |algo, learning_rate, hidden| Config {
            algo,
            learning_rate,
            hidden,
            ..Config::default()
        };
        let all = [
            config(Algo::Ippo, 1e-3, 64),
            config(Algo::Ippo, 2e-3, 64),
            config(Algo::Mappo, 2e-3, 128),
        ];
        let names = names(&all.iter().collect::<Vec<_>>());
        assert_eq!(
            names,
            [
                "ippo learning_rate=0.001",
                "ippo learning_rate=0.002",
                "mappo learning_rate=0.002",
            ]
        );
    }

    #[test]
    fn a_name_says_nothing_that_its_algorithm_does_not_look_at() {
        let config = |algo, reuse| Config {
            algo,
            reuse,
            ..Config::default()
        };
        let all = [
            config(Algo::Gpae, 1),
            config(Algo::Gpae, 4),
            config(Algo::Dae, 4),
        ];
        let names = names(&all.iter().collect::<Vec<_>>());
        assert_eq!(names, ["gpae reuse=1", "gpae reuse=4", "dae"]);
    }

    #[test]
    fn what_another_key_switches_off_is_no_difference() {
        let config = |reuse, trace, eta, options: &str| Config {
            algo: Algo::Gpae,
            reuse,
            trace,
            eta,
            env_options: options.parse().expect("TOML"),
            ..Config::default()
        };
        let all = [
            config(1, Trace::Dt, 1.05, ""),
            config(4, Trace::Dt, 1.05, ""),
            config(4, Trace::Dt, 1.2, "max_steps = 60"),
            config(4, Trace::It, 1.2, ""),
        ];
        let names = names(&all.iter().collect::<Vec<_>>());
        assert_eq!(
            names,
            [
                "gpae reuse=1",
                "gpae eta=1.05 reuse=4 trace=dt",
                "gpae env_options.max_steps=60 eta=1.2 reuse=4 trace=dt",
                "gpae reuse=4 trace=it",
            ]
        );
        let alike = [config(1, Trace::It, 1.2, ""), all[0].clone()];
        assert_eq!(values(&alike[0]), values(&alike[1]));
    }
}
