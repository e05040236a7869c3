//! Which funnels' steps the segments of an events file hold.
//!
//! A segment holds the steps of the funnels of one catalog whose revision lies in a range. A merge writes a segment from
//! 0 on; a funnel that is made later gets a further segment for the same file. Together they cover all funnels up to the
//! end of the last range that continues the one before.

use std::fmt;
use std::str::FromStr;

/// The tag of a segment's file.
pub const TAG: &str = "funnels";

/// The funnels of `catalog` with `after < revision <= up_to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub catalog: String,
    pub after: u64,
    pub up_to: u64,
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.catalog, self.after, self.up_to)
    }
}

impl FromStr for Coverage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let catalog = parts.next().map(str::to_owned);
        let mut number = || parts.next().and_then(|number| number.parse().ok());
        match (catalog, number(), number()) {
            (Some(catalog), Some(after), Some(up_to)) => Ok(Self { catalog, after, up_to }),
            _ => Err(format!("{text:?} is not a range of funnels")),
        }
    }
}

impl Coverage {
    /// Among a file's tags. What is damaged covers nothing.
    pub fn of_tags(tags: &[(String, String)]) -> Option<Self> {
        let tag = tags.iter().find(|(name, _)| name == TAG);
        tag.and_then(|(_, value)| value.parse().ok())
    }

    /// As a file's tag.
    pub fn tag(&self) -> (String, String) {
        (TAG.to_owned(), self.to_string())
    }
}

/// Of the segments of one events file: those whose ranges continue each other from 0 on, and the revision that they
/// reach. No funnel is in two of them.
pub fn chain<'a, T>(catalog: &str, segments: &'a [(Coverage, T)]) -> (u64, Vec<&'a T>) {
    let (mut reached, mut used) = (0, Vec::new());
    loop {
        let next = segments
            .iter()
            .filter(|(of, _)| of.catalog == catalog && of.after == reached && of.up_to > reached)
            // Of equal ones the first.
            .reduce(|best, other| if other.0.up_to > best.0.up_to { other } else { best });
        let Some((of, segment)) = next else {
            return (reached, used);
        };
        reached = of.up_to;
        used.push(segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(after: u64, up_to: u64) -> Coverage {
        Coverage {
            catalog: "c1".into(),
            after,
            up_to,
        }
    }

    #[test]
    fn tag_round_trips() {
        let tags = [of(3, 17).tag()];
        assert_eq!(tags[0].1, "c1:3:17");
        assert_eq!(Coverage::of_tags(&tags), Some(of(3, 17)));
        for damaged in ["", "c1", "c1:3", "c1:x:5", "c1:3:5:7"] {
            assert_eq!(Coverage::of_tags(&[(TAG.into(), damaged.into())]), None, "{damaged}");
        }
    }

    #[test]
    fn ranges_that_continue_each_other_are_used() {
        let segments = [
            (of(5, 9), "b"),
            (of(0, 5), "a"),
            (of(5, 9), "twin"),
            (of(12, 14), "far"),
            (of(9, 9), "empty"),
        ];
        assert_eq!(chain("c1", &segments), (9, vec![&"a", &"b"]));
        assert_eq!(chain("other", &segments), (0, vec![]));
        assert_eq!(chain::<&str>("c1", &[]), (0, vec![]));
        let overlapping = [(of(0, 5), "a"), (of(0, 7), "longer"), (of(5, 9), "b")];
        assert_eq!(chain("c1", &overlapping), (7, vec![&"longer"]));
    }
}
