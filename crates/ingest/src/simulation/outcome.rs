//! What a history leaves: every Delta version, every row, the snapshots of readers, the WAL.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::row::{RowConverter, SortField};
use footfall_lake::{ColumnStatistics, DataFile, LakeError, Origin, Snapshot, StatValue, Table, read_columns};
use footfall_model::clock::{Clock, Micros};
use footfall_model::table::events;
use futures::TryStreamExt;
use futures::executor::block_on;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;

use super::compactor::LEASE;
use super::model::Expected;
use super::process::World;
use super::segments::SegmentVersion;
use crate::wal::Position;

/// The folder of the events.
pub(super) const EVENTS: &str = "events";

/// A row of the lake: its event, and a digest of all its columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) tracking_id: String,
    pub(super) event_id: String,
    pub(super) event_timestamp: Micros,
    pub(super) digest: u64,
}

/// The content of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) rows: Vec<Row>,
    /// What the statistics of each column should be, in their order.
    pub(super) statistics: Vec<ColumnStatistics>,
}

/// A file that a version added.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) path: String,
    /// How far a compactor has brought it; `None` for the files of others. Segments cover the compactor's.
    pub(super) stage: Option<String>,
    /// As stated by the commit.
    pub(super) rows: u64,
    /// Its content, or why it can't be read.
    pub(super) contents: Result<Contents, String>,
}

impl Added {
    /// Empty: its events are over, its rollups are not.
    pub(super) fn is_retired(&self) -> bool {
        self.stage.as_deref() == Some("retired")
    }

    /// None if it can't be read.
    pub(super) fn rows(&self) -> &[Row] {
        self.contents.as_ref().map_or(&[], |contents| &contents.rows)
    }
}

/// What a version states that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum VersionKind {
    #[default]
    Append,
    /// The same rows in other files.
    Merge,
    /// Rows are removed.
    Delete,
}

/// One Delta version.
#[derive(Debug, Clone, Default)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) kind: VersionKind,
    /// The commit's id, and when it was made.
    pub(super) commit: String,
    pub(super) at: Micros,
    pub(super) positions: Vec<(String, i64)>,
    /// The epoch of the compactors' lease.
    pub(super) epoch: Option<i64>,
    pub(super) removed: Vec<String>,
    pub(super) added: Vec<Added>,
}

/// A snapshot of a reader.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) files: BTreeMap<String, DataFile>,
}

#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) expected: Expected,
    pub(super) versions: Vec<Version>,
    /// The versions of the tables of segments.
    pub(super) segments: Vec<SegmentVersion>,
    /// The newest snapshot as a fresh reader sees it.
    pub(super) newest: Seen,
    /// Those of processes that followed the table until they ended.
    pub(super) followed: Vec<Seen>,
    /// The writer's name in the Delta log, its position there, and the end of the WAL.
    pub(super) app_id: String,
    pub(super) committed: Option<i64>,
    pub(super) last: Position,
    /// Violations that the store observed, and files that are missing in it.
    pub(super) violations: Vec<String>,
}

impl Outcome {
    /// `log`: the WAL's id and last position.
    pub(super) fn of(world: &World, log: (u128, Position), followed: &[Snapshot]) -> Self {
        let store = world.store.truth();
        let clock: Arc<dyn Clock> = Arc::new(world.time.clone());
        let app_id = format!("footfall-log-{:032x}", log.0);
        let opened = block_on(async {
            let table = Table::open(Arc::clone(&store), Arc::clone(events()), clock).await?;
            let committed = table.transaction(&app_id).await?;
            Ok::<_, LakeError>((table.snapshot(), committed))
        });
        let (snapshot, committed) = opened.expect("the table can be opened with a calm fault profile");
        let mut violations = world.store.violations();
        let newest = seen(&snapshot, &mut violations);
        for path in newest.files.values().map(|file| &file.path) {
            if block_on(store.head(path)).is_err() {
                violations.push(format!("{path} is in the newest version, but not in the store"));
            }
        }
        let archive = world.store.archive();
        let made = world.store.versions();
        let mut reader = Reader::new(Arc::clone(&archive));
        let (mut versions, mut segments) = (Vec::new(), Vec::new());
        for version in &made {
            match version.folder.as_str() {
                EVENTS => versions.push(reader.version(version.number, &version.text)),
                _ => segments.push(SegmentVersion::of(version, versions.len(), &archive)),
            }
        }
        Self {
            expected: std::mem::take(&mut *world.model.lock()),
            versions,
            segments,
            newest,
            followed: followed
                .iter()
                .map(|snapshot| seen(snapshot, &mut violations))
                .collect(),
            app_id,
            committed,
            last: log.1,
            violations,
        }
    }
}

fn seen(snapshot: &Snapshot, violations: &mut Vec<String>) -> Seen {
    let files = snapshot
        .files()
        .map(|file| (file.path.to_string(), file.as_ref().clone()));
    let files: BTreeMap<_, _> = files.collect();
    if files.len() != snapshot.len() {
        violations.push(format!(
            "the snapshot of version {} has a file twice",
            snapshot.version()
        ));
    }
    Seen {
        version: snapshot.version(),
        files,
    }
}

/// Reads versions and files, each file once.
struct Reader {
    store: Arc<dyn ObjectStore>,
    contents: BTreeMap<String, Result<Contents, String>>,
}

impl Reader {
    fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            contents: BTreeMap::new(),
        }
    }

    fn version(&mut self, number: u64, text: &[u8]) -> Version {
        let mut version = Version {
            number,
            ..Version::default()
        };
        for action in actions(text) {
            if let Some(info) = action.get("commitInfo") {
                version.commit = info["footfallCommit"].as_str().unwrap_or_default().to_owned();
                version.at = info["timestamp"].as_i64().unwrap_or_default() * 1_000;
                version.kind = match info["operation"].as_str() {
                    Some("OPTIMIZE") => VersionKind::Merge,
                    Some("DELETE") => VersionKind::Delete,
                    _ => VersionKind::Append,
                };
            }
            if let Some(txn) = action.get("txn") {
                let (app_id, upto) = (txn["appId"].as_str().unwrap(), txn["version"].as_i64().unwrap());
                if app_id == LEASE {
                    version.epoch = Some(upto);
                } else if !app_id.ends_with("/fingerprint") {
                    version.positions.push((app_id.to_owned(), upto));
                }
            }
            version
                .removed
                .extend(action.get("remove").map(|remove| path_of(EVENTS, remove)));
            if let Some(add) = action.get("add") {
                let path = path_of(EVENTS, add);
                let stage = add["tags"]["footfall.stage"].as_str().map(str::to_owned);
                let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
                let rows = stats["numRecords"].as_u64().unwrap();
                let contents = self.contents(&path, add["size"].as_u64().unwrap());
                version.added.push(Added {
                    path,
                    stage,
                    rows,
                    contents,
                });
            }
        }
        version
    }

    fn contents(&mut self, path: &str, size: u64) -> Result<Contents, String> {
        let contents = self.contents.entry(path.to_owned());
        contents
            .or_insert_with(|| block_on(read(&self.store, path, size)))
            .clone()
    }
}

/// The actions of a version.
pub(super) fn actions(text: &[u8]) -> impl Iterator<Item = Value> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("a commit is lines of JSON"))
}

/// The path of an `add` or a `remove` in the table in `folder`, from the shard's root.
pub(super) fn path_of(folder: &str, action: &Value) -> String {
    format!("{folder}/{}", action["path"].as_str().unwrap())
}

async fn read(store: &Arc<dyn ObjectStore>, path: &str, size: u64) -> Result<Contents, String> {
    let schema = events().file_schema();
    let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let batches = read_file(store, path, size, &columns).await?;
    let rows = concat_batches(schema, &batches).map_err(|e| e.to_string())?;
    Ok(contents(&rows))
}

/// Columns of the file with this path.
pub(super) async fn read_file(
    store: &Arc<dyn ObjectStore>,
    path: &str,
    size: u64,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, String> {
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
    let batches = read_columns(store, &file, columns).await.map_err(|e| e.to_string())?;
    batches.try_collect().await.map_err(|e| e.to_string())
}

fn contents(batch: &RecordBatch) -> Contents {
    let fields = batch
        .columns()
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).expect("all types can be rows");
    let whole = converter
        .convert_columns(batch.columns())
        .expect("they are of these types");
    let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>();
    let times = batch.column_by_name("event_timestamp").unwrap();
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let rows = (0..batch.num_rows()).map(|at| Row {
        tracking_id: text("tracking_id").value(at).to_owned(),
        event_id: text("event_id").value(at).to_owned(),
        event_timestamp: times.value(at),
        digest: {
            let mut hasher = DefaultHasher::new();
            whole.row(at).hash(&mut hasher);
            hasher.finish()
        },
    });
    Contents {
        rows: rows.collect(),
        statistics: events()
            .statistics_columns()
            .map(|name| statistics(batch, name))
            .collect(),
    }
}

fn statistics(batch: &RecordBatch, name: &str) -> ColumnStatistics {
    let column = batch.column_by_name(name).unwrap();
    let nulls = column.null_count() as u64;
    let mut values: Vec<StatValue> = if let Some(texts) = column.as_string_opt::<i32>() {
        texts.iter().flatten().map(StatValue::text).collect()
    } else if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        times.iter().flatten().map(StatValue::Timestamp).collect()
    } else {
        let numbers = column.as_primitive::<Int64Type>();
        numbers.iter().flatten().map(StatValue::Int64).collect()
    };
    values.sort_by(|a, b| a.partial_cmp(b).expect("they are of one type"));
    match (values.first(), values.last()) {
        (Some(min), Some(max)) => ColumnStatistics::exact(min.clone(), max.clone(), nulls),
        _ => ColumnStatistics {
            null_count: Some(nulls),
            ..ColumnStatistics::default()
        },
    }
}
