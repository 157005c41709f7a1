//! Which part of a sweep this process trains.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::BadInput;

/// Part `index` of `of`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let shard = parts.and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            Some(Self { index, of })
        });
        shard
            .filter(|s| (1..=s.of).contains(&s.index))
            .ok_or_else(|| "write 1/4 for the first of four shards, to 4/4 for the last".into())
    }
}

impl Shard {
    /// Places of this shard's members among all of them: neighbours, which share batches, stay together.
    pub fn range(self, members: usize) -> Range<usize> {
        let end = |index: usize| (members as u128 * index as u128 / self.of as u128) as usize;
        end(self.index - 1)..end(self.index)
    }

    /// From the variables that Slurm sets in the tasks of an array and Kubernetes in the pods of an indexed job. `of` is
    /// the number of shards if the caller has named it, `variable` looks one up.
    ///
    /// # Errors
    /// [`BadInput`] where the number of shards is not known or does not fit.
    pub fn from_environment(
        of: Option<usize>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<Self>> {
        let number = |name: &str| -> anyhow::Result<Option<usize>> {
            match variable(name).map(|text| text.parse()) {
                None => Ok(None),
                Some(Ok(number)) => Ok(Some(number)),
                Some(Err(_)) => refuse(format!("{name} is no number")),
            }
        };
        let (name, place, count) = if let Some(task) = number(SLURM)? {
            let least = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
            let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
            let place = task.saturating_sub(least) / step;
            (SLURM, place, number("SLURM_ARRAY_TASK_COUNT")?)
        } else if let Some(place) = number(KUBERNETES)? {
            (KUBERNETES, place, None)
        } else if of.is_some() {
            return refuse(format!(
                "--shards needs {SLURM} or {KUBERNETES} to know which shard is meant; write --shard 1/4 elsewhere"
            ));
        } else {
            return Ok(None);
        };
        let Some(of) = of.or(count) else {
            return refuse(format!(
                "{name} is set, but not how many there are; add --shards N, or --shard 1/1 to train the whole sweep"
            ));
        };
        if place >= of {
            return refuse(format!(
                "{name} makes this shard {} of {of}; array indices must follow one another, as many as there are shards",
                place + 1
            ));
        }
        let index = place + 1;
        Ok(Some(Self { index, of }))
    }
}

fn refuse<T>(what: String) -> anyhow::Result<T> {
    Err(BadInput(what).into())
}

const SLURM: &str = "SLURM_ARRAY_TASK_ID";
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(of: Option<usize>, set: &[(&str, &str)]) -> anyhow::Result<Option<Shard>> {
        Shard::from_environment(of, |name| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn shards_share_all_members_evenly() {
        for (members, of) in [(10, 4), (3, 5), (0, 2), (7, 1)] {
            let ranges = (1..=of).map(|index| Shard { index, of }.range(members));
            let mut next = 0;
            for range in ranges {
                assert_eq!(range.start, next);
                assert!(range.len() <= members.div_ceil(of));
                next = range.end;
            }
            assert_eq!(next, members);
        }
    }

    #[test]
    fn shards_are_written_from_one() {
        assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
        for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    #[test]
    fn clusters_say_which_shard_it_is() {
        let shard = |index, of| Some(Shard { index, of });
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", "6"),
            ("SLURM_ARRAY_TASK_MIN", "2"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
            ("SLURM_ARRAY_TASK_COUNT", "5"),
        ];
        assert_eq!(environment(None, &slurm).expect("a shard"), shard(3, 5));
        let kubernetes = [("JOB_COMPLETION_INDEX", "0")];
        assert_eq!(
            environment(Some(8), &kubernetes).expect("a shard"),
            shard(1, 8)
        );
        assert_eq!(environment(None, &[]).expect("none"), None);

        let refused = |of, set: &[_], word: &str| {
            let e = environment(of, set).expect_err("refused").to_string();
            assert!(e.contains(word), "{e}");
        };
        refused(None, &kubernetes, "--shards N");
        refused(Some(4), &[], "--shard 1/4");
        refused(Some(2), &[("JOB_COMPLETION_INDEX", "2")], "shard 3 of 2");
        refused(None, &[("SLURM_ARRAY_TASK_ID", "x")], "is no number");
    }
}
