//! The window of seen ids, rebuilt from what the lake got lately.

use std::sync::Arc;

use arrow::array::AsArray;
use footfall_lake::{DataFile, LakeError, Origin, Snapshot, read_columns};
use footfall_model::clock::Micros;
use futures::TryStreamExt;
use object_store::ObjectStore;

use super::dedupe::{DedupeOptions, EventKey};

/// The files whose ids belong into the window, the oldest first: as many of the newest as fit. Imported files are no
/// part of it: they are told apart by their content.
pub(super) fn files(snapshot: &Snapshot, options: &DedupeOptions, now: Micros) -> Vec<Arc<DataFile>> {
    let window = Micros::try_from(options.window.as_micros()).unwrap_or(Micros::MAX);
    let oldest = now.saturating_sub(window);
    let mut recent: Vec<_> = snapshot
        .files()
        .filter(|file| file.written_at >= oldest)
        .filter(|file| file.origin != Origin::Import)
        .cloned()
        .collect();
    recent.sort_by_key(|file| std::cmp::Reverse(file.written_at));
    let mut rows = 0;
    let fitting = recent.iter().take_while(|file| {
        rows += file.rows.unwrap_or_default();
        rows <= options.ids as u64
    });
    let fitting = fitting.count();
    recent.truncate(fitting);
    recent.reverse();
    recent
}

/// The keys of one file's events.
pub(super) async fn keys(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Vec<EventKey>, LakeError> {
    let mut batches = read_columns(store, file, &["tracking_id", "event_id"]).await?;
    let mut keys = Vec::with_capacity(usize::try_from(file.rows.unwrap_or_default()).unwrap_or_default());
    while let Some(batch) = batches.try_next().await? {
        let text = |name: &str| {
            let column = batch
                .column_by_name(name)
                .and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| LakeError::Malformed {
                path: file.path.clone(),
                reason: format!("it has no text column {name}"),
            })
        };
        let (sites, ids) = (text("tracking_id")?, text("event_id")?);
        keys.extend(
            sites.iter().zip(ids).map(|(site, id)| {
                EventKey::new(site.unwrap_or_default().as_bytes(), id.unwrap_or_default().as_bytes())
            }),
        );
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use footfall_model::table;
    use object_store::path::Path;

    use super::*;

    fn file(name: &str, origin: Origin, written_at: Micros, rows: u64) -> DataFile {
        DataFile {
            path: Path::from(format!("event_date=2026-11-01/{name}.parquet")),
            size: 1,
            rows: Some(rows),
            written_at,
            partition_date: 0,
            statistics: Box::default(),
            origin,
            tags: Vec::new(),
        }
    }

    #[test]
    fn the_newest_files_of_the_window_are_taken_as_far_as_their_ids_fit() {
        let all = [
            file("d", Origin::Wal, 99_000_000, 40),
            file("a", Origin::Wal, 1_000_000, 1),
            file("c", Origin::Foreign, 98_000_000, 60),
            file("x", Origin::Import, 97_500_000, 1_000_000),
            file("b", Origin::Wal, 97_000_000, 1),
        ];
        let snapshot = Snapshot::new(Arc::clone(table::events()), 1, all);
        let options = DedupeOptions {
            window: Duration::from_secs(10),
            ids: 100,
        };
        let taken: Vec<_> = files(&snapshot, &options, 100_000_000)
            .iter()
            .filter_map(|file| file.path.filename().map(str::to_owned))
            .collect();
        assert_eq!(taken, ["c.parquet", "d.parquet"]);
    }
}
