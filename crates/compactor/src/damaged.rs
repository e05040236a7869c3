//! Files that can't be read. Merges leave them out for a while, so that one of them does not keep its day, or the shard,
//! from being merged, and is not read again and again.

use std::collections::HashMap;

use footfall_model::clock::{HOUR, Micros};
use object_store::path::Path;
use parking_lot::Mutex;

/// How long a file is left out. It may have been repaired then, or the disk has recovered.
const PAUSE: Micros = HOUR;

/// Paths, each with the time until which it is left out.
#[derive(Debug, Default)]
pub(crate) struct Damaged(Mutex<HashMap<Path, Micros>>);

impl Damaged {
    pub(crate) fn remember(&self, path: Path, now: Micros) {
        self.0.lock().insert(path, now.saturating_add(PAUSE));
    }

    /// The files that are left out now.
    pub(crate) fn at(&self, now: Micros) -> Vec<Path> {
        let mut files = self.0.lock();
        files.retain(|_, until| *until > now);
        files.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_file_is_left_out_for_a_while() {
        let damaged = Damaged::default();
        damaged.remember(Path::from("x"), HOUR);
        assert_eq!(damaged.at(HOUR + PAUSE - 1), [Path::from("x")]);
        assert!(damaged.at(HOUR + PAUSE).is_empty());
        assert!(damaged.at(0).is_empty(), "it is forgotten");
    }
}
