//! From rows to Parquet files of `events`.
//!
//! ```text
//! RecordBatch (any order, any days) -> partitions: a day each, sorted -> encode -> put -> DataFile, to be committed
//! ```

mod encode;
mod sort;

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::{max, min};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use footfall_model::clock::Micros;
use footfall_model::schema::SORT_COLUMNS;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::commit::partition_folder;
use crate::{DataFile, LakeError, Range, blocking};

pub use sort::{Partition, partitions};

/// What the names of imported files begin with: their rows did not come through a log.
pub const IMPORTED: &str = "import-";

/// Writes `partition` as a file named `name` and returns what a commit says of it. Writing it again under the same
/// name changes nothing.
///
/// The caller sees to it that names are unique: `name` bears a commit's id.
pub async fn write_file(
    store: &Arc<dyn ObjectStore>,
    partition: Partition,
    name: &str,
    now: Micros,
) -> Result<DataFile, LakeError> {
    let path = Path::from(format!("{}/{name}.parquet", partition_folder(partition.event_date)));
    let (mut file, bytes) = blocking({
        let path = path.clone();
        move || {
            let bytes = encode::to_parquet(&partition.rows)?;
            Ok::<_, LakeError>((describe(path, &partition, now), bytes))
        }
    })
    .await
    .map_err(|e| LakeError::Encode(e.to_string()))??;
    file.size = bytes.len() as u64;
    store.put(&path, bytes.into()).await.map_err(LakeError::store(&path))?;
    Ok(file)
}

fn describe(path: Path, partition: &Partition, now: Micros) -> DataFile {
    let [site, hash, time] = SORT_COLUMNS.map(|name| partition.rows.column_by_name(name));
    let sites = site.and_then(|column| column.as_string_opt::<i32>());
    let hashes = hash.and_then(|column| column.as_primitive_opt::<Int64Type>());
    let times = time.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let range = |min: Option<i64>, max: Option<i64>| Some(Range { min: min?, max: max? });
    DataFile {
        path,
        size: 0,
        rows: partition.rows.num_rows() as u64,
        written_at: now,
        event_date: partition.event_date,
        // Sorted by it: the first is the smallest.
        tracking_id: sites.filter(|sites| !sites.is_empty()).map(|sites| Range {
            min: sites.value(0).into(),
            max: sites.value(sites.len() - 1).into(),
        }),
        client_hash: hashes.and_then(|hashes| range(min(hashes), max(hashes))),
        event_timestamp: times.and_then(|times| range(min(times), max(times))),
    }
}
