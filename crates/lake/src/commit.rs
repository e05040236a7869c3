//! One Delta commit as bytes, and what a commit that we meet means to ours.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate};
use deltalake_core::kernel::{Action, Add, CommitInfo, Transaction};
use footfall_model::clock::Micros;
use footfall_model::schema::PARTITION_COLUMN;
use object_store::path::Path;

use crate::{DataFile, stats};

/// The key in `commitInfo` by which a commit is known as ours after a reply that got lost.
const COMMIT_ID: &str = "footfallCommit";

/// What one commit changes.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Unique, and the same at every retry: by it a commit whose reply was lost is told from another's.
    pub id: u128,
    pub add: Vec<DataFile>,
    /// The stretch of an application's input that this brings; refused if another commit has brought any of it.
    pub txn: Option<Txn>,
}

/// A stretch of an application's input: what lies behind `after`, up to and including `upto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    pub app_id: String,
    pub after: i64,
    pub upto: i64,
    /// What the input is at `upto`: by it another input with the same positions is told from this one. Who gives one
    /// gives one with every commit, [`Txn::UNKNOWN`] if need be.
    pub fingerprint: Option<i64>,
}

impl Txn {
    /// The fingerprint that says nothing.
    pub const UNKNOWN: i64 = -1;
}

/// How far an application has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub upto: i64,
    /// What its input is there, if that is known.
    pub fingerprint: Option<i64>,
}

/// Under this name the fingerprint is a transaction of its own: so it is in checkpoints too, as `commitInfo` is not.
pub(crate) fn fingerprint_of(app_id: &str) -> String {
    format!("{app_id}/fingerprint")
}

/// How far an application has come, and by which commit.
#[derive(Debug, Clone)]
pub(crate) struct AppliedTxn {
    pub upto: i64,
    /// The Delta version.
    pub version: u64,
    pub commit: Option<String>,
}

pub(crate) fn path_of(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

/// The folder of a day, as Delta and Hive write it.
pub fn partition_folder(event_date: i32) -> String {
    format!("{PARTITION_COLUMN}={}", date_text(event_date))
}

fn date_text(event_date: i32) -> String {
    let epoch = NaiveDate::default();
    let days = Days::new(event_date.unsigned_abs().into());
    let date = if event_date < 0 {
        epoch.checked_sub_days(days)
    } else {
        epoch.checked_add_days(days)
    };
    date.unwrap_or(epoch).to_string()
}

pub(crate) fn encode(commit: &Commit, now: Micros) -> Result<Bytes, serde_json::Error> {
    let millis = now / 1_000;
    let mut lines = Vec::new();
    let mut put = |action: Action| -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut lines, &action)?;
        lines.push(b'\n');
        Ok(())
    };
    put(Action::CommitInfo(CommitInfo {
        timestamp: Some(millis),
        operation: Some("WRITE".into()),
        operation_parameters: Some(HashMap::from([("mode".into(), "Append".into())])),
        is_blind_append: Some(true),
        engine_info: Some(concat!("footfall/", env!("CARGO_PKG_VERSION")).into()),
        info: HashMap::from([(COMMIT_ID.into(), text_of(commit.id).into())]),
        ..CommitInfo::default()
    }))?;
    if let Some(txn) = &commit.txn {
        put(Action::Txn(Transaction::new_with_last_update(
            &txn.app_id,
            txn.upto,
            Some(millis),
        )))?;
        if let Some(fingerprint) = txn.fingerprint {
            let app_id = fingerprint_of(&txn.app_id);
            let action = Transaction::new_with_last_update(app_id, fingerprint, Some(millis));
            put(Action::Txn(action))?;
        }
    }
    for file in &commit.add {
        put(Action::Add(Add {
            path: file.path.to_string(),
            partition_values: HashMap::from([(PARTITION_COLUMN.into(), Some(date_text(file.event_date)))]),
            size: i64::try_from(file.size).unwrap_or(i64::MAX),
            modification_time: file.written_at / 1_000,
            data_change: true,
            stats: Some(stats::to_json(file)?),
            ..Add::default()
        }))?;
    }
    Ok(lines.into())
}

/// What it means to our commit how far its application has already come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TxnCheck {
    /// AlreadyCommitted is in the table, at this version: the reply was lost.
    AlreadyCommitted(u64),
    /// Another commit has brought some of it.
    Fenced(i64),
    /// Nothing of it is there.
    Free,
}

pub(crate) fn check_txn(reached: Option<&AppliedTxn>, ours: &Commit) -> TxnCheck {
    match (reached, &ours.txn) {
        (Some(reached), Some(_)) if reached.commit.as_deref() == Some(&text_of(ours.id)) => {
            TxnCheck::AlreadyCommitted(reached.version)
        }
        (Some(reached), Some(txn)) if reached.upto > txn.after => TxnCheck::Fenced(reached.upto),
        _ => TxnCheck::Free,
    }
}

/// The id that a commit of ours carries.
pub(crate) fn id_of(actions: &[Action]) -> Option<String> {
    actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.info.get(COMMIT_ID)?.as_str().map(str::to_owned),
        _ => None,
    })
}

/// An id as a commit carries it.
pub(crate) fn text_of(id: u128) -> String {
    format!("{id:032x}")
}

/// What an `add` action says, wherever it was read from.
pub(crate) struct AddView<'a> {
    pub path: &'a str,
    pub size: i64,
    pub modified_millis: i64,
    /// The value of the partition column.
    pub partition: Option<&'a str>,
    pub stats: Option<&'a str>,
}

/// The file that an `add` action names.
pub(crate) fn file_of(add: &AddView<'_>) -> Result<DataFile, String> {
    let path = add.path;
    let date = add
        .partition
        .and_then(|text| text.parse::<NaiveDate>().ok())
        .ok_or_else(|| format!("{path} has no {PARTITION_COLUMN}"))?;
    let days = date.signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days();
    let mut file = DataFile {
        path: Path::parse(path).map_err(|e| e.to_string())?,
        size: u64::try_from(add.size).map_err(|_| format!("{path} has a negative size"))?,
        rows: 0,
        written_at: add.modified_millis.saturating_mul(1_000),
        event_date: i32::try_from(days).map_err(|e| e.to_string())?,
        tracking_id: None,
        client_hash: None,
        event_timestamp: None,
    };
    let json = add.stats.ok_or_else(|| format!("{path} has no statistics"))?;
    stats::read_into(&mut file, json).map_err(|reason| format!("{path}: {reason}"))?;
    Ok(file)
}
