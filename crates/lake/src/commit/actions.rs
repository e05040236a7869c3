//! A commit as Delta actions, and what the actions of any writer change.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::kernel::{Action, Add, CommitInfo, Metadata, Protocol, Remove, Transaction};
use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use object_store::path::Path;
use serde_json::Value;

use super::{Commit, Operation, fingerprint_of, text_of};
use crate::layout::{partition_value, shard_path, table_path};
use crate::snapshot::Origin;
use crate::{DataFile, statistics};

/// The key in `commitInfo` by which we recognize our own commit after a lost reply.
const COMMIT_ID: &str = "footfallCommit";

const ENGINE: &str = concat!("footfall/", env!("CARGO_PKG_VERSION"));

/// The prefix of our tags' names.
const TAG: &str = "footfall.";

/// The tag of [`Origin`], after [`TAG`].
const ORIGIN: &str = "origin";

type Tags = HashMap<String, Option<String>>;

/// The bytes of a commit that removes these files.
pub(crate) fn encode(
    spec: &TableSpec,
    commit: &Commit,
    removed: &[Arc<DataFile>],
    now: Micros,
) -> Result<Bytes, String> {
    let millis = now.div_euclid(1_000);
    let mut actions = vec![Action::CommitInfo(commit_info(commit, millis))];
    let txn = |app_id: &str, version| Action::Txn(Transaction::new_with_last_update(app_id, version, Some(millis)));
    if let Some(ours) = &commit.txn {
        actions.push(txn(&ours.app_id, ours.upto));
        if let Some(fingerprint) = ours.fingerprint {
            actions.push(txn(&fingerprint_of(&ours.app_id), fingerprint));
        }
    }
    if let Some(fence) = &commit.fence {
        actions.push(txn(&fence.app_id, fence.epoch));
    }
    for file in removed {
        actions.push(Action::Remove(remove(spec, file, commit.operation, millis)?));
    }
    for file in &commit.add {
        actions.push(Action::Add(add(spec, file, commit.operation)?));
    }
    lines(&actions)
}

/// A change of the table itself.
#[derive(Debug)]
pub(crate) struct TableChange {
    /// As other readers see it.
    pub operation: &'static str,
    pub protocol: Option<Protocol>,
    pub metadata: Option<Metadata>,
}

/// The bytes of a commit that changes the table itself.
pub(crate) fn encode_change(change: TableChange, now: Micros) -> Result<Bytes, String> {
    let info = CommitInfo {
        timestamp: Some(now.div_euclid(1_000)),
        operation: Some(change.operation.into()),
        operation_parameters: Some(HashMap::new()),
        is_blind_append: Some(false),
        engine_info: Some(ENGINE.into()),
        ..CommitInfo::default()
    };
    let mut actions = vec![Action::CommitInfo(info)];
    actions.extend(change.protocol.map(Action::Protocol));
    actions.extend(change.metadata.map(Action::Metadata));
    lines(&actions)
}

fn lines(actions: &[Action]) -> Result<Bytes, String> {
    let mut lines = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut lines, action).map_err(|e| e.to_string())?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

fn commit_info(commit: &Commit, millis: i64) -> CommitInfo {
    let (operation, parameters) = match commit.operation {
        Operation::Append => ("WRITE", HashMap::from([("mode".to_owned(), Value::from("Append"))])),
        Operation::Merge => ("OPTIMIZE", HashMap::new()),
        Operation::Delete => ("DELETE", HashMap::new()),
    };
    CommitInfo {
        timestamp: Some(millis),
        operation: Some(operation.into()),
        operation_parameters: Some(parameters),
        is_blind_append: Some(commit.operation == Operation::Append && commit.remove.is_empty()),
        engine_info: Some(ENGINE.into()),
        info: HashMap::from([(COMMIT_ID.into(), text_of(commit.id).into())]),
        ..CommitInfo::default()
    }
}

fn partition_values(spec: &TableSpec, file: &DataFile) -> HashMap<String, Option<String>> {
    HashMap::from([(
        spec.partition().name().clone(),
        Some(partition_value(file.partition_date)),
    )])
}

fn size(file: &DataFile) -> i64 {
    i64::try_from(file.size).unwrap_or(i64::MAX)
}

fn add(spec: &TableSpec, file: &DataFile, operation: Operation) -> Result<Add, String> {
    let stats = statistics::to_json(spec, file.rows, &file.statistics).map_err(|e| e.to_string())?;
    Ok(Add {
        path: table_path(spec, &file.path)?,
        partition_values: partition_values(spec, file),
        size: size(file),
        modification_time: file.written_at.div_euclid(1_000),
        data_change: operation.changes_data(),
        stats: Some(stats),
        tags: Some(tags_of(file)).filter(|tags| !tags.is_empty()),
        ..Add::default()
    })
}

fn remove(spec: &TableSpec, file: &DataFile, operation: Operation, millis: i64) -> Result<Remove, String> {
    Ok(Remove {
        path: table_path(spec, &file.path)?,
        data_change: operation.changes_data(),
        deletion_timestamp: Some(millis),
        extended_file_metadata: Some(true),
        partition_values: Some(partition_values(spec, file)),
        size: Some(size(file)),
        tags: Some(tags_of(file)),
        ..Remove::default()
    })
}

fn tags_of(file: &DataFile) -> Tags {
    let origin = file.origin.as_str().map(|origin| (ORIGIN, origin));
    let others = file.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = origin.into_iter().chain(others);
    all.map(|(name, value)| (format!("{TAG}{name}"), Some(value.to_owned())))
        .collect()
}

/// What a version changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub add: Vec<DataFile>,
    pub remove: Vec<Path>,
    /// Applications and their committed positions.
    pub txns: Vec<(String, i64)>,
    /// The id of a commit of ours.
    pub id: Option<String>,
    pub protocol: Option<Protocol>,
    pub metadata: Option<Metadata>,
}

/// What the actions of one version change.
pub(crate) fn changes_of(spec: &TableSpec, actions: Vec<Action>) -> Result<Changes, String> {
    let mut changes = Changes::default();
    for action in actions {
        match action {
            Action::Add(add) => changes.add.push(file_of(spec, &add)?),
            Action::Remove(remove) => changes.remove.push(shard_path(spec, &remove.path)?),
            Action::Protocol(protocol) => changes.protocol = Some(protocol),
            Action::Metadata(metadata) => changes.metadata = Some(metadata),
            Action::Txn(txn) => changes.txns.push((txn.app_id, txn.version)),
            Action::CommitInfo(info) => {
                changes.id = info.info.get(COMMIT_ID).and_then(Value::as_str).map(str::to_owned);
            }
            // The rows of a change feed are in the files too, and domain metadata belongs to other writers.
            Action::Cdc(_) | Action::DomainMetadata(_) => {}
        }
    }
    Ok(changes)
}

/// The file that an `add` action names.
pub(crate) fn file_of(spec: &TableSpec, add: &Add) -> Result<DataFile, String> {
    let path = &add.path;
    if let Some(vector) = &add.deletion_vector
        && vector.cardinality != 0
    {
        let rows = vector.cardinality;
        return Err(format!(
            "{path} has a deletion vector that hides {rows} rows, which Footfall does not read; rewrite the file: REORG \
             TABLE … APPLY (PURGE)"
        ));
    }
    let partition = spec.partition().name();
    let date = add.partition_values.get(partition).and_then(Option::as_deref);
    let date = date.and_then(|text| statistics::days_of(text.parse().ok()?));
    let stats = add.stats.as_deref().and_then(|json| statistics::from_json(spec, json));
    let (rows, statistics) = stats.unwrap_or_default();
    let (origin, tags) = read_tags(add.tags.as_ref());
    Ok(DataFile {
        path: shard_path(spec, path)?,
        size: u64::try_from(add.size).map_err(|_| format!("{path} has a negative size"))?,
        rows,
        written_at: add.modification_time.saturating_mul(1_000),
        partition_date: date.ok_or_else(|| format!("{path} has no {partition} that is a date"))?,
        statistics,
        origin,
        tags,
    })
}

fn read_tags(tags: Option<&Tags>) -> (Origin, Vec<(String, String)>) {
    let ours = tags
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.strip_prefix(TAG)?, value.as_deref()?)));
    let mut ours: Vec<_> = ours.collect();
    ours.sort_unstable();
    let origin = ours.iter().find(|(name, _)| *name == ORIGIN).map(|(_, value)| *value);
    let others = ours.iter().filter(|(name, _)| *name != ORIGIN);
    let others = others.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (Origin::parse(origin), others.collect())
}
