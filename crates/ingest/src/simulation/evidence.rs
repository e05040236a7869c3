//! What there is after a history: every Delta version, every row, the newest snapshot, the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use footfall_lake::{DataFile, LakeError, Origin, Table, read_columns};
use footfall_model::clock::{Clock, Micros};
use footfall_model::table;
use futures::TryStreamExt;
use futures::executor::block_on;
use object_store::ObjectStore;
use object_store::path::Path;
use serde_json::Value;

use super::model::Known;
use super::process::World;
use crate::wal::Position;

/// A row of the lake, as far as it tells which event it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tracking_id: String,
    pub(super) event_id: String,
    pub(super) event_timestamp: Micros,
}

/// A file that a version added.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) path: String,
    /// As the commit says.
    pub(super) rows: u64,
    /// What is in it, or why it can't be read.
    pub(super) found: Result<Vec<Row>, String>,
}

/// One Delta version.
#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) positions: Vec<(String, i64)>,
    pub(super) added: Vec<Added>,
}

#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) known: Known,
    pub(super) versions: Vec<Version>,
    /// The newest snapshot as a fresh reader sees it: its version, and the files with their rows.
    pub(super) snapshot: (u64, BTreeMap<String, u64>),
    /// The writer's name in the Delta log, how far it has come, and where the log ends.
    pub(super) app_id: String,
    pub(super) committed: Option<i64>,
    pub(super) last: Position,
    /// What the store saw.
    pub(super) wrong: Vec<String>,
}

impl Evidence {
    /// `log`: the log's id and last position.
    pub(super) fn gather(world: &World, log: (u128, Position)) -> Self {
        let store = world.store.truth();
        let clock: Arc<dyn Clock> = Arc::new(world.time.clone());
        let app_id = format!("footfall-log-{:032x}", log.0);
        let opened = block_on(async {
            let table = Table::open(Arc::clone(&store), Arc::clone(table::events()), clock).await?;
            let committed = table.transaction(&app_id).await?;
            Ok::<_, LakeError>((table.snapshot(), committed))
        });
        let (snapshot, committed) = opened.expect("the table can be opened with a calm fault profile");
        let files: BTreeMap<_, _> = snapshot
            .files()
            .map(|file| (file.path.to_string(), file.rows.unwrap_or_default()))
            .collect();
        let mut wrong = world.store.wrong();
        if files.len() != snapshot.len() {
            wrong.push("the snapshot holds a file twice".to_owned());
        }
        let versions = world.store.versions();
        Self {
            known: std::mem::take(&mut *world.model.lock()),
            versions: versions
                .iter()
                .map(|(number, text)| version(&store, *number, text))
                .collect(),
            snapshot: (snapshot.version(), files),
            app_id,
            committed,
            last: log.1,
            wrong,
        }
    }

    /// How often each row is in the lake.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        let files = self.versions.iter().flat_map(|version| &version.added);
        files.filter_map(|added| added.found.as_ref().ok()).flatten()
    }
}

fn version(store: &Arc<dyn ObjectStore>, number: u64, text: &[u8]) -> Version {
    let mut version = Version {
        number,
        ..Version::default()
    };
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let action: Value = serde_json::from_slice(line).expect("a commit is lines of JSON");
        if let Some(txn) = action.get("txn") {
            let app_id = txn["appId"].as_str().unwrap().to_owned();
            if !app_id.ends_with("/fingerprint") {
                version.positions.push((app_id, txn["version"].as_i64().unwrap()));
            }
        }
        if let Some(add) = action.get("add") {
            let path = format!("events/{}", add["path"].as_str().unwrap());
            let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
            let rows = stats["numRecords"].as_u64().unwrap();
            let found = block_on(rows_of(store, &path, add["size"].as_u64().unwrap()));
            version.added.push(Added { path, rows, found });
        }
    }
    version
}

async fn rows_of(store: &Arc<dyn ObjectStore>, path: &str, size: u64) -> Result<Vec<Row>, String> {
    let file = DataFile {
        path: Path::parse(path).map_err(|e| e.to_string())?,
        size,
        rows: None,
        written_at: 0,
        partition_date: 0,
        statistics: Box::default(),
        origin: Origin::Foreign,
        tags: Vec::new(),
    };
    let columns = ["tracking_id", "event_id", "event_timestamp"];
    let batches = read_columns(store, &file, &columns).await.map_err(|e| e.to_string())?;
    let batches: Vec<_> = batches.try_collect().await.map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>();
        let times = batch.column_by_name("event_timestamp").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>();
        for at in 0..batch.num_rows() {
            rows.push(Row {
                tracking_id: text("tracking_id").value(at).to_owned(),
                event_id: text("event_id").value(at).to_owned(),
                event_timestamp: times.value(at),
            });
        }
    }
    Ok(rows)
}
