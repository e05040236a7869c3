//! Completes statistics that a file's writer left out of the Delta log: they are read from the file's footer.

use std::sync::Arc;

use footfall_model::table::TableSpec;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::read::read_footer;
use crate::statistics::from_footer;
use crate::{DataFile, LakeError};

/// Footers that are read at the same time.
const PARALLEL: usize = 16;

/// The files, with statistics from their footers where the log has none.
///
/// # Errors
/// The store did not answer. Statistics of a file that is missing or not Parquet stay unknown: if it is still in the
/// newest version, the queries that read it fail with that error.
pub(super) async fn complete(
    store: &Arc<dyn ObjectStore>,
    spec: &TableSpec,
    files: Vec<DataFile>,
) -> Result<Vec<DataFile>, LakeError> {
    if !files.iter().any(lacks_statistics) {
        return Ok(files);
    }
    let completed = stream::iter(files).map(async |mut file: DataFile| {
        if lacks_statistics(&file) {
            match read_footer(store, &file).await {
                Ok(footer) => {
                    let (rows, statistics) = from_footer(spec, &footer);
                    (file.rows, file.statistics) = (Some(rows), statistics);
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(file)
    });
    completed.buffered(PARALLEL).try_collect().await
}

fn lacks_statistics(file: &DataFile) -> bool {
    file.rows
        .is_none_or(|rows| rows > 0 && file.statistics.iter().all(|column| column.min.is_none()))
}
