//! Rows are neither lost nor doubled from one version to the next.

use std::collections::BTreeSet;

use super::{Live, replay};
use crate::simulation::outcome::{Added, Outcome, Row, Version, VersionKind};

/// A merge has the rows of its inputs, one of each id; an append removes none; only a delete deletes, as another program
/// wants it or because the rows need not be kept any more.
pub(in crate::simulation) fn rows_are_conserved(outcome: &Outcome) -> Result<(), String> {
    let mut before = Live::new();
    replay(outcome, |version, live| {
        let input: Vec<&Row> = version
            .removed
            .iter()
            .filter_map(|path| before.get(path.as_str()))
            .flat_map(|added| added.rows())
            .collect();
        before.clone_from(live);
        let output = version.added.iter().flat_map(Added::rows);
        let violation = match version.kind {
            VersionKind::Append => (!version.removed.is_empty()).then(|| "an append removes files".to_owned()),
            VersionKind::Merge => merge_violation(&input, output),
            VersionKind::Delete => {
                let input: BTreeSet<_> = input.into_iter().collect();
                deletion_violation(outcome, version, &input, &output.collect())
            }
        };
        violation.map_or(Ok(()), |violation| {
            Err(format!("version {}: {violation}", version.number))
        })
    })
}

fn deletion_violation(
    outcome: &Outcome,
    version: &Version,
    input: &BTreeSet<&Row>,
    output: &BTreeSet<&Row>,
) -> Option<String> {
    if let Some(row) = output.difference(input).next() {
        return Some(format!("a deletion brings {row:?}"));
    }
    let expected = &outcome.expected;
    let is_expired = |row: &Row| expected.is_expired(&row.tracking_id, row.event_timestamp, version.at);
    let mut deleted = input.difference(output);
    match deleted.find(|row| !is_expired(row)) {
        Some(row) if !expected.deletions.contains(&version.commit) => Some(format!("nobody wanted to delete {row:?}")),
        _ => None,
    }
}

fn merge_violation<'a>(input: &[&Row], output: impl Iterator<Item = &'a Row>) -> Option<String> {
    let all: BTreeSet<_> = input.iter().copied().collect();
    let mut missing: BTreeSet<_> = input.iter().map(|row| id_of(row)).collect();
    for row in output {
        if !all.contains(row) {
            return Some(format!("a merge brings {row:?}"));
        }
        if !missing.remove(&id_of(row)) {
            return Some(format!("a merge brings {row:?} twice"));
        }
    }
    missing.first().map(|id| format!("a merge loses {id:?}"))
}

pub(super) fn id_of(row: &Row) -> (&str, &str) {
    (&row.tracking_id, &row.event_id)
}
