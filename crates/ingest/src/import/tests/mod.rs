//! Files into a lake in memory.

mod formats;
mod hostile;
mod once;
mod rejected;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use footfall_lake::read_columns;
use footfall_model::clock::{Micros, RandomIds};
use footfall_model::field::EventField;
use footfall_model::table;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::*;
use crate::enrich::EnrichOptions;

/// 2026-11-01T00:00:00Z.
const NOW: Micros = 1_793_491_200_000_000;

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Micros {
        NOW
    }
}

struct Lake {
    folder: TempDir,
    store: Arc<dyn ObjectStore>,
    parts: ImportParts,
}

/// A table in this store.
async fn table_in(store: &Arc<dyn ObjectStore>) -> Arc<Table> {
    let table = Table::open(Arc::clone(store), Arc::clone(table::events()), Arc::new(FixedClock)).await;
    Arc::new(table.unwrap())
}

impl Lake {
    async fn new() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self {
            folder: tempfile::tempdir().unwrap(),
            parts: ImportParts {
                table: table_in(&store).await,
                enricher: Arc::new(Enricher::new(EnrichOptions::default()).unwrap()),
                clock: Arc::new(FixedClock),
                ids: Arc::new(RandomIds),
                sites: Arc::new(Sites::from([("a".into(), None), ("b".into(), None)])),
            },
            store,
        }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    async fn import(&self, path: &Path) -> Result<Report, ImportError> {
        self.import_with(path, ImportOptions::default()).await
    }

    async fn import_with(&self, path: &Path, options: ImportOptions) -> Result<Report, ImportError> {
        import_file(&self.parts, &options, path.to_path_buf(), Arc::default()).await
    }

    async fn skip_rejected(&self, path: &Path) -> Report {
        let options = ImportOptions {
            skip_rejected: true,
            ..ImportOptions::default()
        };
        self.import_with(path, options).await.unwrap()
    }

    /// Imports a text, all of whose rows are events.
    async fn import_text(&self, name: &str, content: &str) -> Report {
        let report = self.import(&self.file(name, content)).await.unwrap();
        assert_eq!(report.rejected, BTreeMap::new(), "{content}");
        report
    }

    /// All rows, in the order of the files.
    async fn rows(&self, columns: &[&str]) -> RecordBatch {
        let table = &self.parts.table;
        let mut batches = Vec::new();
        for file in table.snapshot().files() {
            let stream = read_columns(table.store(), file, columns).await.unwrap();
            batches.extend(stream.try_collect::<Vec<_>>().await.unwrap());
        }
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    /// The values of a column, sorted.
    async fn values(&self, column: &str) -> Vec<Option<String>> {
        let rows = self.rows(&[column]).await;
        let options = FormatOptions::default().with_null("\0");
        let formatter = ArrayFormatter::try_new(rows.column(0), &options).unwrap();
        let values = (0..rows.num_rows()).map(|row| formatter.value(row).to_string());
        let mut values: Vec<_> = values.map(|value| (value != "\0").then_some(value)).collect();
        values.sort();
        values
    }

    /// The values of a column of text without nulls, sorted.
    async fn texts(&self, column: &str) -> Vec<String> {
        let values = self.values(column).await.into_iter();
        let mut texts: Vec<_> = values.map(|value| value.unwrap_or_else(|| "null".into())).collect();
        texts.sort();
        texts
    }

    fn count(&self) -> u64 {
        self.parts.table.snapshot().files().filter_map(|file| file.rows).sum()
    }

    /// Data files in the store, whether the table has them or not.
    async fn stored_files(&self) -> usize {
        let objects = self.store.list(None).try_collect::<Vec<_>>().await.unwrap();
        let is_data = |path: &object_store::path::Path| {
            path.as_ref().ends_with(".parquet") && !path.as_ref().contains("_delta_log")
        };
        objects.iter().filter(|object| is_data(&object.location)).count()
    }
}

fn rejected(report: &Report) -> BTreeMap<&str, Vec<u64>> {
    let reasons = report.rejected.iter();
    reasons
        .map(|(reason, rows)| (reason.as_str(), rows.examples.iter().map(|(row, _)| *row).collect()))
        .collect()
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A line of NDJSON of client 1 at site a, with more members: `,"a":1`.
fn line(more: &str) -> String {
    format!(r#"{{"tracking_id":"a","client_id":"1","event_type":"x","event_timestamp":"2026-10-31T10:00:00Z"{more}}}"#)
}

/// Lines with these event ids, one each second of a day of October 2026.
fn lines(day: u32, ids: impl Iterator<Item = u32>) -> String {
    let lines = ids.map(|id| {
        let (minute, second) = (id / 60 % 60, id % 60);
        format!(
            r#"{{"tracking_id":"a","client_id":"{}","event_type":"x","event_timestamp":"2026-10-{day:02}T10:{minute:02}:{second:02}Z","event_id":"{id}"}}"#,
            id % 7
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}
