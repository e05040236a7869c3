//! How programs other than the writer read files of the table, write new ones and commit.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use footfall_lake::{
    Commit, DataFile, LakeError, NewFile, Origin, Table, file_name, partitions, read_columns, write_file,
};
use footfall_model::clock::Clock;
use futures::TryStreamExt;

use super::executor::Time;
use super::process::{World, open_table};

/// Attempts while the lake does not answer.
const TRIES: u32 = 8;

/// Milliseconds between two of them.
const PAUSE: u64 = 400;

pub(super) struct TableClient {
    pub(super) world: World,
    pub(super) table: Arc<Table>,
    name: String,
}

impl TableClient {
    /// `None` if the table can't be opened, which is a violation.
    pub(super) async fn open(world: &World, name: String) -> Option<Self> {
        let table = open_table(world, None).await?;
        let world = world.clone();
        Some(Self { world, table, name })
    }

    pub(super) fn note(&self, what: &str) {
        let now = self.world.time.micros();
        self.world.trace.note(format_args!("{now} {}: {what}", self.name));
    }

    pub(super) fn violation(&self, what: &LakeError) {
        let violation = format!("{} was refused: {what}", self.name);
        self.world.model.lock().violations.push(violation);
    }

    /// All rows of a file.
    pub(super) async fn read(&self, file: &DataFile) -> Result<RecordBatch, LakeError> {
        retry(&self.world.time, || async {
            let schema = self.table.spec().file_schema();
            let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let batches = read_columns(self.table.store(), file, &columns).await?;
            let batches: Vec<_> = batches.try_collect().await?;
            Ok(concat_batches(schema, &batches).expect("the file has the table's schema"))
        })
        .await
    }

    /// Writes these rows, sorted, into as many files as requested, or more if they are of several days.
    pub(super) async fn write(
        &self,
        rows: &RecordBatch,
        files: usize,
        origin: Origin,
        commit: u128,
    ) -> Result<Vec<DataFile>, LakeError> {
        let mut written = Vec::new();
        for day in partitions(rows)? {
            let rows_each = day.rows.num_rows().div_ceil(files).max(1);
            for first in (0..day.rows.num_rows()).step_by(rows_each) {
                let rows = day.rows.slice(first, rows_each.min(day.rows.num_rows() - first));
                let name = file_name(commit, written.len());
                let now = Clock::now(&self.world.time);
                let new = NewFile::new(self.table.spec(), day.event_date, name, origin, now);
                let write = || write_file(self.table.store(), new.clone(), rows.clone());
                written.push(retry(&self.world.time, write).await?);
            }
        }
        Ok(written)
    }

    /// Commits, and retries the same commit after a transient error.
    pub(super) async fn commit(&self, commit: &Commit) -> Result<u64, LakeError> {
        let version = retry(&self.world.time, || self.table.commit(commit)).await?;
        self.note(&format!("version {version}"));
        Ok(version)
    }
}

pub(super) async fn retry<T, F: Future<Output = Result<T, LakeError>>>(
    time: &Time,
    attempt: impl Fn() -> F,
) -> Result<T, LakeError> {
    let mut tries = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && tries < TRIES => tries += 1,
            other => return other,
        }
        time.sleep_millis(PAUSE).await;
    }
}
