//! Reads some columns of one file in batches, for the few callers that read files without SQL.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::{DataFile, LakeError};

/// The named columns of `file`, fetched from the store one row group at a time.
pub async fn read_columns(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    columns: &[&str],
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let reader = FileReader {
        store: Arc::clone(store),
        path: file.path.clone(),
        size: file.size,
    };
    let path = file.path.clone();
    let unreadable = move |source: ParquetError| LakeError::Unreadable {
        path: path.clone(),
        source,
    };
    // Other writers may embed their own Arrow types for the same columns.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(&unreadable)?;
    let wanted = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let batches = builder.with_projection(wanted).build().map_err(&unreadable)?;
    Ok(batches.map_err(unreadable).boxed())
}

/// The file's own metadata.
pub(crate) async fn read_footer(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
) -> Result<Arc<ParquetMetaData>, LakeError> {
    let mut reader = FileReader {
        store: Arc::clone(store),
        path: file.path.clone(),
        size: file.size,
    };
    reader.get_metadata(None).await.map_err(|source| LakeError::Unreadable {
        path: file.path.clone(),
        source,
    })
}

struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.store.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let metadata = ParquetMetaDataReader::new().load_and_finish(self, size).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}
