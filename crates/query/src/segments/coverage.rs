//! Which segments stand for which files of events, and how many rows they save on each day.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use footfall_lake::{DataFile, Snapshot, covered_name};
use footfall_model::rollup::Days;
use object_store::path::Path;

/// Which segments stand for which files of events.
#[derive(Debug, Clone)]
pub(crate) struct Coverage {
    pub(crate) segments: Snapshot,
    /// Of these, those that have all events of their day, and the others. Known once a view asks.
    by_days: Arc<OnceLock<(Snapshot, Snapshot)>>,
    pub(crate) uncovered: Snapshot,
    /// Without those of files whose events are retired: what is left says the same as the covered events.
    pub(crate) backed_segments: Snapshot,
    pub(crate) covered: Snapshot,
    pub(crate) days: Arc<CoveredDays>,
    /// Versions of the events and the segments.
    versions: (u64, u64),
}

/// How much of each day's events segments stand for.
pub(crate) type CoveredDays = BTreeMap<i32, CoveredDay>;

/// Rows of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CoveredDay {
    /// Of files with a segment.
    pub(crate) events: u64,
    pub(crate) segment_rows: u64,
    /// Events of files without one.
    pub(crate) uncovered: u64,
}

impl Coverage {
    /// That of one version of the events by one of a table of segments.
    pub(super) fn of(events: &Snapshot, segments: &Snapshot) -> Self {
        // The rows of each file of events; a retired one has none.
        let files: HashMap<&str, Option<u64>> = events.files().map(|file| (file.stem(), file.rows)).collect();
        // Two compactors may have covered a file that was merged before the rollup was made: one of theirs is used.
        let mut covering: HashMap<&str, &Path> = HashMap::new();
        for file in segments.files() {
            let name = covered_name(file.stem());
            if files.contains_key(name) {
                let used = covering.entry(name).or_insert(&file.path);
                *used = (*used).min(&file.path);
            }
        }
        let is_covered = |file: &DataFile| covering.contains_key(file.stem());
        let of_retired = |file: &DataFile| files.get(covered_name(file.stem())) == Some(&Some(0));
        let used = segments.filter(|file| covering.get(covered_name(file.stem())) == Some(&&file.path));
        let backed_segments = if used.files().any(|file| of_retired(file)) {
            used.filter(|file| !of_retired(file))
        } else {
            used.clone()
        };
        let (covered, uncovered) = (events.filter(is_covered), events.filter(|file| !is_covered(file)));
        Self {
            days: Arc::new(covered_days(&covered, &uncovered, &backed_segments)),
            segments: used,
            by_days: Arc::default(),
            uncovered,
            backed_segments,
            covered,
            versions: (events.version(), segments.version()),
        }
    }

    /// Whether it is that of these versions.
    pub(super) fn is_of(&self, events: &Snapshot, segments: &Snapshot) -> bool {
        self.versions == (events.version(), segments.version())
    }

    /// The segments that a view reads of these days.
    pub(super) fn segments_of(&self, days: Days) -> Snapshot {
        let by_days = || self.by_days.get_or_init(|| self.by_days());
        match days {
            Days::All => self.segments.clone(),
            Days::Whole => by_days().0.clone(),
            Days::Rest => by_days().1.clone(),
        }
    }

    /// The segments that are the only ones of their day, where nothing is uncovered, and the others.
    fn by_days(&self) -> (Snapshot, Snapshot) {
        let mut parts: HashMap<i32, usize> = HashMap::new();
        for file in self.segments.files().chain(self.uncovered.files()) {
            *parts.entry(file.partition_date).or_default() += 1;
        }
        let is_whole = |file: &DataFile| parts.get(&file.partition_date) == Some(&1);
        (
            self.segments.filter(is_whole),
            self.segments.filter(|file| !is_whole(file)),
        )
    }
}

fn covered_days(covered: &Snapshot, uncovered: &Snapshot, segments: &Snapshot) -> CoveredDays {
    let mut days = CoveredDays::new();
    let mut add = |files: &Snapshot, count: fn(&mut CoveredDay) -> &mut u64| {
        for file in files.files() {
            *count(days.entry(file.partition_date).or_default()) += file.rows.unwrap_or_default();
        }
    };
    add(covered, |day| &mut day.events);
    add(uncovered, |day| &mut day.uncovered);
    add(segments, |day| &mut day.segment_rows);
    days
}
