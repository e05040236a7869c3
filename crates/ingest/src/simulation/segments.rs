//! The tables of segments, as a history leaves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use footfall_lake::covered_name;
use footfall_model::clock::Micros;
use footfall_model::rollup::Grain;
use futures::executor::block_on;
use object_store::ObjectStore;

use super::compactor;
use super::outcome::{Row, actions, path_of, read_file};
use super::store::TableVersion;

/// Numbers of events by site and time bucket.
pub(super) type Counts = BTreeMap<(String, Micros), i64>;

/// A file of a table of segments.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) path: String,
    /// The name of the file of events.
    pub(super) covers: String,
    /// What it counts; `None` if it counts no events.
    pub(super) counts: Option<(Grain, Result<Counts, String>)>,
}

/// One version of a table of segments.
#[derive(Debug, Clone)]
pub(super) struct SegmentVersion {
    pub(super) folder: String,
    pub(super) number: u64,
    /// How many versions of `events` were made before it.
    pub(super) after: usize,
    pub(super) removed: Vec<String>,
    pub(super) added: Vec<Segment>,
}

impl SegmentVersion {
    /// `store`: every file that ever existed.
    pub(super) fn of(version: &TableVersion, after: usize, store: &Arc<dyn ObjectStore>) -> Self {
        let TableVersion { folder, number, text } = version;
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let mut rollups = compactor::rollups().into_iter();
        let grain = rollups
            .find(|rollup| rollup.folder() == *folder)
            .map(|found| found.grain);
        for action in actions(text) {
            removed.extend(action.get("remove").map(|remove| path_of(folder, remove)));
            let Some(add) = action.get("add") else { continue };
            let path = path_of(folder, add);
            let size = add["size"].as_u64().unwrap();
            added.push(Segment {
                covers: covered_name(stem(&path)).to_owned(),
                counts: grain.map(|grain| (grain, block_on(read(store, &path, size, grain)))),
                path,
            });
        }
        Self {
            folder: folder.clone(),
            number: *number,
            after,
            removed,
            added,
        }
    }
}

/// A file's name without folders and extension.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    name.strip_suffix(".parquet").unwrap_or(name)
}

async fn read(store: &Arc<dyn ObjectStore>, path: &str, size: u64, grain: Grain) -> Result<Counts, String> {
    let time = grain.column().ok_or("a day's column is not in the file")?;
    let mut counts = Counts::new();
    for batch in read_file(store, path, size, &["tracking_id", time, "event_count"]).await? {
        let column = |name| batch.column_by_name(name).unwrap();
        let sites = column("tracking_id").as_string::<i32>();
        let buckets = column(time).as_primitive::<TimestampMicrosecondType>();
        let numbers = column("event_count").as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let key = (sites.value(row).to_owned(), buckets.value(row));
            *counts.entry(key).or_default() += numbers.value(row);
        }
    }
    Ok(counts)
}

/// The same, of events.
pub(super) fn count(rows: &[Row], grain: Grain) -> Counts {
    let mut counts = Counts::new();
    for row in rows {
        let bucket = row.event_timestamp - row.event_timestamp.rem_euclid(grain.micros());
        *counts.entry((row.tracking_id.clone(), bucket)).or_default() += 1;
    }
    counts
}
