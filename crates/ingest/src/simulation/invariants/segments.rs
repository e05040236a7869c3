//! What must hold of segments: so that every view over them counts each event once, at every moment.

use std::collections::{BTreeMap, BTreeSet};

use super::Live;
use crate::simulation::compactor;
use crate::simulation::outcome::{Outcome, Version};
use crate::simulation::segments::{Segment, SegmentVersion, count, stem};

/// What is live at a moment.
#[derive(Default)]
struct Moment<'a> {
    events: Live<'a>,
    /// By folder and path.
    segments: BTreeMap<&'a str, BTreeMap<&'a str, &'a Segment>>,
}

enum Change<'a> {
    Events(&'a Version),
    /// With the segments that it removes; `None` for one that was not live.
    Segments(&'a SegmentVersion, Vec<Option<&'a Segment>>),
}

/// All tables after each version of any of them, in the order in which they were made.
fn replay_all<'a>(
    outcome: &'a Outcome,
    mut at: impl FnMut(&Change<'a>, &Moment<'a>) -> Result<(), String>,
) -> Result<(), String> {
    let mut moment = Moment::default();
    let mut segments = outcome.segments.iter().peekable();
    for made in 0..=outcome.versions.len() {
        while let Some(version) = segments.next_if(|version| version.after == made) {
            let live = moment.segments.entry(&version.folder).or_default();
            let removed = version.removed.iter().map(|path| live.remove(path.as_str()));
            let removed = removed.collect();
            live.extend(version.added.iter().map(|added| (added.path.as_str(), added)));
            at(&Change::Segments(version, removed), &moment)?;
        }
        if let Some(version) = outcome.versions.get(made) {
            super::apply(version, &mut moment.events);
            at(&Change::Events(version), &moment)?;
        }
    }
    Ok(())
}

/// When a merge makes its file of events visible, it has a segment in every table.
pub(in crate::simulation) fn segments_are_there_before_their_events(outcome: &Outcome) -> Result<(), String> {
    let tables = compactor::segment_tables();
    replay_all(outcome, |change, moment| {
        let Change::Events(version) = change else { return Ok(()) };
        for added in version.added.iter().filter(|added| added.stage.is_some()) {
            for table in &tables {
                let mut segments = moment
                    .segments
                    .get(table.folder())
                    .into_iter()
                    .flat_map(BTreeMap::values);
                if !segments.any(|segment| segment.covers == stem(&added.path)) {
                    let (number, path, folder) = (version.number, &added.path, table.folder());
                    return Err(format!(
                        "version {number} adds {path}, which has no segment in {folder}"
                    ));
                }
            }
        }
        Ok(())
    })
}

/// The names of the files of events whose segments in a table are of use: of retired ones, only rollups are.
fn of_use<'a>(events: &Live<'a>, folder: &str) -> BTreeSet<&'a str> {
    let is_rollup = compactor::rollups().iter().any(|rollup| rollup.folder() == folder);
    let files = events.iter().filter(|(_, added)| is_rollup || !added.is_retired());
    files.map(|(path, _)| stem(path)).collect()
}

/// A segment is removed once, and not while its file of events is visible.
pub(in crate::simulation) fn segments_go_after_their_events(outcome: &Outcome) -> Result<(), String> {
    replay_all(outcome, |change, moment| {
        let Change::Segments(version, removed) = change else {
            return Ok(());
        };
        let SegmentVersion { folder, number, .. } = version;
        for segment in removed {
            let Some(segment) = segment else {
                return Err(format!(
                    "version {number} of {folder} removes a segment that is not in the table"
                ));
            };
            if of_use(&moment.events, folder).contains(segment.covers.as_str()) {
                let path = &segment.path;
                return Err(format!(
                    "version {number} of {folder} removes {path}, whose events are live"
                ));
            }
        }
        Ok(())
    })
}

/// At every moment, of each table the view counts every event of the lake once: of a covered file what its segment says,
/// of the others their rows. Of a retired file, those that it had.
pub(in crate::simulation) fn views_count_every_event_once(outcome: &Outcome) -> Result<(), String> {
    let added = outcome.versions.iter().flat_map(|version| &version.added);
    let rows: BTreeMap<_, _> = added
        .filter(|added| !added.rows().is_empty())
        .map(|added| (stem(&added.path), added.rows()))
        .collect();
    let mut known = BTreeMap::new();
    replay_all(outcome, |_, moment| {
        for path in moment.events.keys() {
            for (folder, segments) in &moment.segments {
                // Of several, a view reads the first.
                let Some(segment) = segments.values().find(|segment| segment.covers == stem(path)) else {
                    continue;
                };
                let Some((grain, counts)) = &segment.counts else {
                    continue;
                };
                let counts = counts
                    .as_ref()
                    .map_err(|reason| format!("{}: {reason}", segment.path))?;
                let rows = known
                    .entry((*path, *folder))
                    .or_insert_with(|| count(rows.get(stem(path)).copied().unwrap_or_default(), *grain));
                if counts != rows {
                    return Err(format!("{} counts {counts:?}, and {path} has {rows:?}", segment.path));
                }
            }
        }
        Ok(())
    })
}

/// After all is done, nothing is left of compactors that were killed.
pub(in crate::simulation) fn no_segment_is_left_over(outcome: &Outcome) -> Result<(), String> {
    let mut left = BTreeSet::new();
    replay_all(outcome, |_, moment| {
        left.clear();
        for (folder, segments) in &moment.segments {
            let of_use = of_use(&moment.events, folder);
            let orphans = segments
                .values()
                .filter(|segment| !of_use.contains(segment.covers.as_str()));
            left.extend(orphans.map(|segment| segment.path.as_str()));
        }
        Ok(())
    })?;
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("left over: {left:?}")),
    }
}
