//! The file of a sweep: which configurations, under which seeds.

use std::fmt::Display;
use std::path::Path;

use merit_learn::config::{Config, ConfigError, Layer, parse_count, parse_toml};
use toml::{Table, Value};

use crate::draws::{Draws, hash};
use crate::failure::BadInput;
use crate::naming;

/// Members of a sweep at most: a mistake in a grid is more likely than a sweep of more.
const MEMBERS: usize = 100_000;

/// Tries at a random point that is not there yet.
const REDRAWS: usize = 1000;

/// The configurations of a sweep's members, one seed each: the settings in the order of the file, and under each the seeds.
///
/// # Errors
/// [`BadInput`] and [`ConfigError`] name the table and the key.
pub fn members(file: &Path, definition: &Table) -> anyhow::Result<Vec<Config>> {
    let parser = Parser { file };
    for key in definition.keys() {
        let known = ["seeds", "config", "grid", "list", "random"];
        if !known.contains(&key.as_str()) {
            let near = merit_sim::registry::nearest(key, known);
            let near = near.map_or_else(
                || format!("a sweep has {}", known.join(", ")),
                |n| format!("did you mean `{n}`?"),
            );
            return parser.refuse(format!("unknown key `{key}`; {near}"));
        }
    }
    let base = parser.table(definition, "config")?;
    let seeds = parser.seeds(definition.get("seeds"))?;
    let grid = parser.grid(parser.table(definition, "grid")?)?;
    let list = parser.list(definition.get("list"))?;
    let random = parser.random(parser.table(definition, "random")?)?;
    let count = [grid.len(), list.len(), random.len(), seeds.len()]
        .iter()
        .try_fold(1usize, |n, &m| n.checked_mul(m))
        .filter(|&n| n <= MEMBERS);
    if count.is_none() {
        return parser.refuse(format!("it has more than {MEMBERS} members"));
    }
    let mut members = Vec::new();
    for cell in &grid {
        for item in &list {
            for point in &random {
                let layers = [
                    parser.layer("config", &base),
                    parser.layer("grid", cell),
                    parser.layer("list", item),
                    parser.layer("random", point),
                ];
                let setting = Config::resolve(&layers)?;
                members.extend(seeds.iter().map(|&seed| Config {
                    seed,
                    seeds: 1,
                    ..setting.clone()
                }));
            }
        }
    }
    parser.distinct(&members)?;
    Ok(members)
}

/// Reads the file as a table.
///
/// # Errors
/// [`ConfigError`].
pub fn read(file: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
        path: file.to_owned(),
        source,
    })?;
    parse_toml(file, &text)
}

struct Parser<'a> {
    file: &'a Path,
}

impl Parser<'_> {
    fn refuse<T>(&self, what: impl Display) -> anyhow::Result<T> {
        Err(BadInput(format!("{}: {what}", self.file.display())).into())
    }

    fn layer(&self, table: &str, values: &Table) -> Layer {
        Layer {
            name: format!("{} [{table}]", self.file.display()),
            values: values.clone(),
        }
    }

    fn table(&self, definition: &Table, name: &str) -> anyhow::Result<Table> {
        match definition.get(name) {
            None => Ok(Table::new()),
            Some(Value::Table(table)) => {
                self.no_seeds(name, table)?;
                Ok(table.clone())
            }
            Some(other) => self.refuse(format!("`{name}` cannot be {other}; it takes a table")),
        }
    }

    fn no_seeds(&self, name: &str, table: &Table) -> anyhow::Result<()> {
        // The random points have a seed of their own.
        let seeds = ["seed", "seeds"].into_iter();
        match seeds
            .filter(|k| name != "random" || *k == "seeds")
            .find(|k| table.contains_key(*k))
        {
            Some(key) => self.refuse(format!(
                "[{name}] has `{key}`; write `seeds` at the top of the file: a number, or a list"
            )),
            None => Ok(()),
        }
    }

    /// A number of seeds from 0 on, or a list of them.
    fn seeds(&self, value: Option<&Value>) -> anyhow::Result<Vec<u64>> {
        let count = |value: &Value| match value {
            Value::Integer(n) => u64::try_from(*n).ok(),
            Value::String(text) => parse_count(text).ok(),
            _ => None,
        };
        let found = match value {
            None => Some(vec![0]),
            Some(Value::Array(list)) => list.iter().map(count).collect::<Option<Vec<_>>>(),
            Some(value) => count(value)
                .filter(|n| *n <= MEMBERS as u64)
                .map(|n| (0..n).collect()),
        };
        match (found, value) {
            (Some(seeds), _) if !seeds.is_empty() => Ok(seeds),
            (_, Some(value)) => self.refuse(format!(
                "`seeds` cannot be {value}; it takes a number from 1 on, to {MEMBERS}, or a list of seeds"
            )),
            (_, None) => self.refuse("`seeds` is missing"),
        }
    }

    /// Every combination of the lists; keys in the order of the alphabet, the last one changing fastest.
    fn grid(&self, table: Table) -> anyhow::Result<Vec<Table>> {
        let mut cells = vec![Table::new()];
        for (path, value) in leaves(&table, &|_| false) {
            let Value::Array(values) = value else {
                let key = path.join(".");
                return self.refuse(format!(
                    "[grid] `{key}` is {value}; it takes a list of values, like [{value}]"
                ));
            };
            if values.is_empty() {
                let key = path.join(".");
                return self.refuse(format!("[grid] `{key}` is empty; write at least one value"));
            }
            if cells.len().saturating_mul(values.len()) > MEMBERS {
                return self.refuse(format!("it has more than {MEMBERS} members"));
            }
            let with = |cell: &Table| {
                let cell = cell.clone();
                let path = path.clone();
                values.iter().map(move |value| {
                    let mut cell = cell.clone();
                    put(&mut cell, &path, value.clone());
                    cell
                })
            };
            cells = cells.iter().flat_map(with).collect();
        }
        Ok(cells)
    }

    /// Settings that are written out; one that adds nothing where there are none.
    fn list(&self, value: Option<&Value>) -> anyhow::Result<Vec<Table>> {
        let tables = match value {
            None => return Ok(vec![Table::new()]),
            Some(Value::Array(items)) => {
                let table = |v: &Value| v.as_table().cloned();
                items.iter().map(table).collect::<Option<Vec<_>>>()
            }
            Some(_) => None,
        };
        let Some(tables) = tables.filter(|t| !t.is_empty()) else {
            return self.refuse("`list` takes tables: write [[list]] above the values of each");
        };
        for table in &tables {
            self.no_seeds("list", table)?;
        }
        Ok(tables)
    }

    /// Points whose values are drawn; one that adds nothing where there are none.
    fn random(&self, mut table: Table) -> anyhow::Result<Vec<Table>> {
        if table.is_empty() {
            return Ok(vec![table]);
        }
        let count = |value: Option<Value>, name: &str, least: i64| match value {
            Some(Value::Integer(n)) if n >= least => Ok(n as u64),
            other => {
                let found = other.map_or_else(|| "missing".into(), |v| v.to_string());
                self.refuse(format!(
                    "[random] `{name}` is {found}; it takes a number from {least} on"
                ))
            }
        };
        let points = count(table.remove("points"), "points", 1)?;
        let seed = table.remove("seed").unwrap_or(Value::Integer(0));
        let seed = count(Some(seed), "seed", 0)?;
        let is_range = |t: &Table| t.contains_key("log") || t.contains_key("uniform");
        let leaves = leaves(&table, &is_range);
        if leaves.is_empty() {
            return self.refuse("[random] has no key to draw values for");
        }
        let mut ranges = Vec::new();
        for (path, value) in leaves {
            match Range::read(value) {
                Ok(range) => ranges.push((path, range)),
                Err(problem) => {
                    let key = path.join(".");
                    return self.refuse(format!("[random] `{key}` is {value}; {problem}"));
                }
            }
        }
        if points > MEMBERS as u64 {
            return self.refuse(format!("it has more than {MEMBERS} members"));
        }
        let mut all: Vec<Table> = Vec::new();
        for i in 0..points {
            // A stream for each value, so that further points and keys leave those that are there.
            let stream =
                |path: &[String]| Draws::new(hash(&format!("{seed} {i} {}", path.join("."))));
            let mut streams: Vec<_> = ranges.iter().map(|(path, _)| stream(path)).collect();
            let mut draw = || {
                let mut point = Table::new();
                for ((path, range), draws) in ranges.iter().zip(&mut streams) {
                    put(&mut point, path, range.at(draws.unit()));
                }
                point
            };
            // Rounded numbers come again now and then.
            match (0..REDRAWS).map(|_| draw()).find(|p| !all.contains(p)) {
                Some(point) => all.push(point),
                None => {
                    return self.refuse(format!(
                        "[random] `points` is {points}, but its ranges have hardly more than {i} different values"
                    ));
                }
            }
        }
        Ok(all)
    }

    /// A setting that comes twice would be trained twice and counted as more seeds.
    fn distinct(&self, members: &[Config]) -> anyhow::Result<()> {
        // What an algorithm does not look at makes no other member of it.
        let told = |c: &Config| (c.env.clone(), c.algo.name(), c.seed, naming::values(c));
        let mut all: Vec<_> = members.iter().map(|c| (told(c), c)).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        match all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => {
                let Config {
                    env, algo, seed, ..
                } = pair[0].1;
                let algo = algo.name();
                self.refuse(format!(
                    "it has the same member twice: {algo} on {env}, seed {seed}, with the same values of all that {algo} looks at"
                ))
            }
            None => Ok(()),
        }
    }
}

/// The values of a table and the tables in it, by their path; `whole` tables are not entered.
fn leaves<'a>(table: &'a Table, whole: &dyn Fn(&Table) -> bool) -> Vec<(Vec<String>, &'a Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !whole(inner) => {
                found.extend(leaves(inner, whole).into_iter().map(|(mut path, value)| {
                    path.insert(0, key.clone());
                    (path, value)
                }));
            }
            _ => found.push((vec![key.clone()], value)),
        }
    }
    found
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => drop(table.insert(key.clone(), value)),
        [key, rest @ ..] => {
            let inner = table.entry(key.clone());
            let inner = inner.or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// What a random value is drawn from.
struct Range {
    log: bool,
    low: f64,
    high: f64,
    whole: bool,
}

impl Range {
    fn read(value: &Value) -> Result<Self, &'static str> {
        const FORM: &str = "it takes { log = [low, high] } or { uniform = [low, high] }";
        let table = value.as_table().filter(|t| t.len() == 1).ok_or(FORM)?;
        let (kind, ends) = table.iter().next().ok_or(FORM)?;
        let log = match kind.as_str() {
            "log" => true,
            "uniform" => false,
            _ => return Err(FORM),
        };
        let Some([low, high]) = ends.as_array().map(Vec::as_slice) else {
            return Err(FORM);
        };
        let whole = low.is_integer() && high.is_integer();
        let number = |v: &Value| v.as_float().or_else(|| Some(v.as_integer()? as f64));
        let (low, high) = (number(low).ok_or(FORM)?, number(high).ok_or(FORM)?);
        if !(low < high && low.is_finite() && high.is_finite()) {
            return Err("the first number must be below the second");
        }
        if log && low <= 0.0 {
            return Err("a logarithmic range begins above 0");
        }
        Ok(Self {
            log,
            low,
            high,
            whole,
        })
    }

    /// At `u` from 0 to 1: a whole number where both ends are, else of four digits, which is what people can compare.
    fn at(&self, u: f64) -> Value {
        // Whole numbers are rounded down, so that the last has as wide a share as the others.
        let (low, high) = (self.low, self.high + f64::from(u8::from(self.whole)));
        let x = if self.log {
            (low.ln() + u * (high.ln() - low.ln())).exp()
        } else {
            low + u * (high - low)
        };
        if self.whole {
            return Value::Integer(x.min(self.high) as i64);
        }
        let rounded = format!("{x:.3e}").parse().unwrap_or(x);
        Value::Float(f64::clamp(rounded, low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Vec<Config>> {
        members(Path::new("s.toml"), &text.parse().expect("TOML"))
    }

    #[track_caller]
    fn refused(text: &str, words: &[&str]) {
        let e = parse(text).expect_err("must be refused").to_string();
        for word in ["s.toml"].iter().chain(words) {
            assert!(e.contains(word), "`{word}` is not in: {e}");
        }
    }

    #[test]
    fn grids_lists_points_and_seeds_are_multiplied() {
        let all = parse(
            "seeds = 2\n\
             [config]\ntotal_steps = '2M'\n\
             [grid]\nalgo = ['ippo', 'mappo']\n[grid.env_options]\nmax_steps = [60, 100]\n\
             [[list]]\ngamma = 0.9\n[[list]]\ngamma = 0.99\nent_coef = 0.05\n\
             [random]\npoints = 3\nlearning_rate = { log = [1e-4, 1e-2] }\nhidden = { log = [16, 256] }\n",
        )
        .expect("a sweep");
        assert_eq!(all.len(), 2 * 2 * 2 * 3 * 2);
        assert!(
            all.iter()
                .all(|c| c.total_steps == 2_000_000 && c.seeds == 1)
        );
        assert_eq!((all[0].seed, all[1].seed), (0, 1));
        let set = |c: &Config| (c.gamma, c.ent_coef == 0.05);
        assert_eq!((set(&all[0]), set(&all[6])), ((0.9, false), (0.99, true)));
        let steps = |c: &Config| c.env_options["max_steps"].as_integer();
        assert_eq!((steps(&all[0]), steps(&all[12])), (Some(60), Some(100)));
        for c in &all {
            assert!((1e-4..=1e-2).contains(&c.learning_rate));
            assert!((16..=256).contains(&c.hidden));
        }
        // The same points in every cell.
        assert_eq!(all[0].learning_rate, all[6].learning_rate);
        assert_ne!(all[0].learning_rate, all[2].learning_rate);
        let whole = Range::read(&"{ log = [1, 3] }".parse().expect("TOML")).expect("a range");
        // Evenly in the logarithm from 1 to 4: 2 begins at a half, 3 at log 3 / log 4.
        let at = [0.0, 0.49, 0.51, 0.79, 0.80, 0.999].map(|u| whole.at(u).as_integer());
        assert_eq!(at, [1, 1, 2, 2, 3, 3].map(Some));
    }

    #[test]
    fn more_points_keep_those_that_are_there() {
        let rates = |points: usize| -> Vec<f64> {
            let text =
                format!("[random]\npoints = {points}\nlearning_rate = {{ log = [1e-5, 1e-1] }}");
            let all = parse(&text).expect("a sweep");
            all.iter().map(|c| c.learning_rate).collect()
        };
        let (few, many) = (rates(5), rates(200));
        assert_eq!(few, many[..5]);
        // Even in the logarithm: half of them below the geometric middle, within five standard deviations.
        let below = many.iter().filter(|r| **r < 1e-3).count();
        assert!((65..=135).contains(&below), "{below}");
    }

    #[test]
    fn seeds_are_a_number_or_a_list() {
        let seeds = |text: &str| -> Vec<u64> {
            parse(text)
                .expect("a sweep")
                .iter()
                .map(|c| c.seed)
                .collect()
        };
        assert_eq!(seeds("seeds = 3"), [0, 1, 2]);
        assert_eq!(seeds("seeds = [7, 3]"), [7, 3]);
        assert_eq!(seeds(""), [0]);
        refused("seeds = 0", &["`seeds` cannot be 0", "from 1 on"]);
        refused("seeds = []", &["`seeds` cannot be []"]);
        refused("seeds = [1, 1]", &["the same member twice", "seed 1"]);
        // IPPO keeps no rollouts: both settings of it are the same.
        refused(
            "[grid]\nalgo = [\"ippo\", \"gpae\"]\nreuse = [1, 4]",
            &["the same member twice: ippo", "all that ippo looks at"],
        );
        // On-policy GPAE has no traces of older policies.
        refused(
            "[config]\nalgo = \"gpae\"\n[grid]\nreuse = [1, 4]\ntrace = [\"dt\", \"it\"]",
            &["the same member twice: gpae", "all that gpae looks at"],
        );
        refused("[config]\nseed = 3", &["[config] has `seed`", "at the top"]);
        refused("[grid]\nseeds = [1, 2]", &["[grid] has `seeds`"]);
    }

    #[test]
    fn mistakes_are_named_with_their_table() {
        refused("gird = 1", &["unknown key `gird`", "did you mean `grid`?"]);
        refused(
            "[grid]\nlearning_rat = [1]",
            &["[grid]", "`learning_rat`", "did you mean `learning_rate`?"],
        );
        refused("[grid]\nlearning_rate = []", &["`learning_rate` is empty"]);
        refused("[grid]\ngamma = 0.9", &["`gamma` is 0.9", "[0.9]"]);
        refused("[grid]\nalgo = ['ppo']", &["[grid]", "`ppo`", "`ippo`"]);
        refused("list = 3", &["[[list]]"]);
        refused(
            "[random]\ngamma = { log = [0.1, 0.9] }",
            &["`points` is missing"],
        );
        refused("[random]\npoints = 2", &["no key to draw"]);
        refused(
            "[random]\npoints = 4\nepochs = { uniform = [1, 3] }",
            &["`points` is 4", "more than 3 different values"],
        );
        let random = |range: &str| format!("[random]\npoints = 2\ngamma = {range}");
        refused(&random("{ log = [0, 1] }"), &["`gamma`", "begins above 0"]);
        refused(&random("{ uniform = [1.0, 0.0] }"), &["below the second"]);
        refused(&random("{ normal = [0, 1] }"), &["{ log = [low, high] }"]);
        let axis = format!("{:?}", (0..400).collect::<Vec<_>>());
        refused(
            &format!("seeds = 1000\n[grid]\nenvs = {axis}"),
            &["more than 100000 members"],
        );
    }

    #[test]
    fn the_example_of_the_page_is_a_sweep() {
        let page = include_str!("../../docs/sweeps.md");
        let block = page.split("```toml\n").nth(1).expect("a block");
        let all = parse(block.split("```").next().expect("an end")).expect("a sweep");
        assert_eq!(all.len(), 2 * 2 * 2 * 2 * 8 * 5);
        assert!(all.iter().all(|c| (2..=8).contains(&c.epochs)));
    }
}
