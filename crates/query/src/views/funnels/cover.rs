//! Which segments of step rows stand for which files of events.

use std::collections::{HashMap, HashSet};

use footfall_funnels::FunnelSet;
use footfall_funnels::coverage::{Coverage, chain};
use footfall_lake::{Snapshot, covered_name};
use object_store::path::Path;
use parking_lot::Mutex;

/// What the last statement chose, which most statements share.
#[derive(Debug, Default)]
pub(in crate::views) struct CoverCache(Mutex<Option<(Key, (Snapshot, Snapshot))>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    events: u64,
    segments: u64,
    catalog: String,
    needed: u64,
}

impl CoverCache {
    /// As [`cover`].
    pub(super) fn cover(
        &self,
        events: &Snapshot,
        segments: &Snapshot,
        catalog: &str,
        needed: u64,
    ) -> (Snapshot, Snapshot) {
        let key = Key {
            events: events.version(),
            segments: segments.version(),
            catalog: catalog.to_owned(),
            needed,
        };
        let mut last = self.0.lock();
        if let Some((_, known)) = last.as_ref().filter(|(known, _)| *known == key) {
            return known.clone();
        }
        let new = cover(events, segments, catalog, needed);
        *last = Some((key, new.clone()));
        new
    }
}

/// The files of events that have no segments with the steps of all funnels.
pub(crate) fn uncovered(events: &Snapshot, segments: &Snapshot, funnels: &FunnelSet) -> Snapshot {
    cover(events, segments, &funnels.catalog, funnels.needed()).1
}

/// The segments that hold the steps of all funnels of `catalog` up to the revision `needed`, and the files of events
/// that have none such. No step row is in two of those segments.
fn cover(events: &Snapshot, segments: &Snapshot, catalog: &str, needed: u64) -> (Snapshot, Snapshot) {
    let mut by_name: HashMap<&str, Vec<(Coverage, &Path)>> = HashMap::new();
    for file in segments.files() {
        if let Some(coverage) = Coverage::of_tags(&file.tags) {
            by_name
                .entry(covered_name(file.stem()))
                .or_default()
                .push((coverage, &file.path));
        }
    }
    let (mut used, mut covered) = (HashSet::new(), HashSet::new());
    for file in events.files() {
        let Some(segments) = by_name.get_mut(file.stem()) else {
            continue;
        };
        segments.sort_by(|a, b| a.1.cmp(b.1));
        let (reached, chained) = chain(catalog, segments);
        if reached >= needed {
            covered.insert(&file.path);
            used.extend(chained.into_iter().copied());
        }
    }
    (
        segments.filter(|file| used.contains(&file.path)),
        events.filter(|file| !covered.contains(&file.path)),
    )
}
