//! A file that is uploaded while it is encoded: large outputs in bounded memory.
//!
//! ```text
//! rows -> encoder (a row group) -> parts -> at most two in flight -> the store, invisible until `finish`
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use bytes::Bytes;
use footfall_model::table::TableSpec;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, UploadPart};
use parquet::arrow::ArrowWriter;

use super::{NewFile, encode};
use crate::statistics::StatisticsCollector;
use crate::{DataFile, LakeError, blocking, layout};

/// Bytes of a part; S3 takes 10,000 of them for a file.
const PART: usize = 8 * 1_024 * 1_024;

/// Parts that are in flight at the same time.
const IN_FLIGHT: usize = 2;

/// Writes one file of a table, rows in the order of its sort columns. The file is invisible until
/// [`FileWriter::finish`]; after an error, or if it is dropped before, nothing of it remains.
pub struct FileWriter {
    new: NewFile,
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// `None` after an error.
    encoder: Option<ArrowWriter<EncodedParts>>,
    statistics: StatisticsCollector,
    upload: PartUpload,
    size: usize,
}

#[derive(Default)]
struct PartUpload {
    /// `None` before the first part: a small file is put at once.
    multipart: Option<Box<dyn MultipartUpload>>,
    in_flight: FuturesUnordered<UploadPart>,
}

/// Encoded bytes, in parts.
#[derive(Default)]
struct EncodedParts {
    full: VecDeque<Bytes>,
    last: Vec<u8>,
}

impl io::Write for EncodedParts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PART);
        }
        let some = bytes.len().min(PART - self.last.len());
        self.last.extend_from_slice(&bytes[..some]);
        if self.last.len() == PART {
            self.full.push_back(std::mem::take(&mut self.last).into());
        }
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl FileWriter {
    /// # Errors
    /// The table's schema can't be written as Parquet.
    pub fn new(store: &Arc<dyn ObjectStore>, new: NewFile) -> Result<Self, LakeError> {
        Ok(Self {
            encoder: Some(encode::writer(&new.spec, EncodedParts::default())?),
            statistics: StatisticsCollector::new(&new.spec),
            path: layout::data_path(&new.spec, new.partition_date, &new.name),
            store: Arc::clone(store),
            upload: PartUpload::default(),
            size: 0,
            new,
        })
    }

    /// Appends rows of the table's file schema, which continue the order of its sort columns. Returns when more can be
    /// buffered.
    ///
    /// # Errors
    /// They are not of the schema, or the store failed: the file can't be finished any more.
    pub async fn write(&mut self, rows: RecordBatch) -> Result<(), LakeError> {
        let outcome = self.try_write(rows).await;
        self.or_abort(outcome).await
    }

    /// Makes the file visible and returns its entry for a commit.
    ///
    /// # Errors
    /// The store's; nothing remains of the file.
    pub async fn finish(mut self) -> Result<DataFile, LakeError> {
        let outcome = self.try_finish().await;
        self.or_abort(outcome).await?;
        let statistics = std::mem::replace(&mut self.statistics, StatisticsCollector::new(&self.new.spec));
        Ok(self.new.describe(statistics, self.size))
    }

    /// Aborts the file.
    ///
    /// # Errors
    /// The store's: invisible parts may remain in it. A bucket's lifecycle rule removes them.
    pub async fn abort(mut self) -> Result<(), LakeError> {
        self.upload.abort().await.map_err(LakeError::store(&self.path))
    }

    /// Bytes that are encoded and not yet stored.
    pub fn buffered(&self) -> usize {
        let encoder = self.encoder.as_ref();
        let parts = encoder
            .map(ArrowWriter::inner)
            .map_or(0, |parts| parts.full.len() * PART + parts.last.capacity());
        encoder.map_or(0, ArrowWriter::memory_size) + parts + self.upload.in_flight.len() * PART
    }

    /// About the bytes that the file would have if it were finished now.
    pub fn size(&self) -> usize {
        self.size + self.buffered()
    }

    async fn or_abort<T>(&mut self, outcome: Result<T, LakeError>) -> Result<T, LakeError> {
        if outcome.is_err() {
            self.encoder = None;
            // Report the first error, not that of the abort.
            let _ = self.upload.abort().await;
        }
        outcome
    }

    async fn try_write(&mut self, rows: RecordBatch) -> Result<(), LakeError> {
        let mut encoder = self.encoder.take().ok_or_else(given_up)?;
        check(&self.new.spec, &rows)?;
        self.statistics.add(&rows);
        let encoding = blocking(move || {
            encoder.write(&rows).map_err(encode::encode)?;
            Ok::<_, LakeError>(encoder)
        });
        // Parts in flight progress meanwhile.
        let (encoded, stored) = futures::join!(encoding, self.upload.drain());
        stored.map_err(LakeError::store(&self.path))?;
        let mut encoder = encoded.map_err(|e| LakeError::Encode(e.to_string()))??;
        while let Some(part) = encoder.inner_mut().full.pop_front() {
            self.put(part).await?;
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    async fn try_finish(&mut self) -> Result<(), LakeError> {
        let encoder = self.encoder.take().ok_or_else(given_up)?;
        let encoding = blocking(move || encoder.into_inner().map_err(encode::encode));
        let (encoded, stored) = futures::join!(encoding, self.upload.drain());
        stored.map_err(LakeError::store(&self.path))?;
        let mut parts = encoded.map_err(|e| LakeError::Encode(e.to_string()))??;
        while let Some(part) = parts.full.pop_front() {
            self.put(part).await?;
        }
        let last = Bytes::from(parts.last);
        if self.upload.multipart.is_none() {
            self.size = last.len();
            let put = self.store.put(&self.path, last.into()).await;
            return put.map(drop).map_err(LakeError::store(&self.path));
        }
        if !last.is_empty() {
            self.put(last).await?;
        }
        self.upload.complete().await.map_err(LakeError::store(&self.path))
    }

    async fn put(&mut self, part: Bytes) -> Result<(), LakeError> {
        self.size += part.len();
        let put = self.upload.put(self.store.as_ref(), &self.path, part).await;
        put.map_err(LakeError::store(&self.path))
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let mut upload = std::mem::take(&mut self.upload);
        if upload.multipart.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { upload.abort().await });
        }
    }
}

fn given_up() -> LakeError {
    LakeError::Encode("the file was aborted after an error".into())
}

/// The encoder takes batches column by column.
fn check(spec: &TableSpec, rows: &RecordBatch) -> Result<(), LakeError> {
    let (declared, given) = (spec.file_schema(), rows.schema_ref());
    let wrong = |reason: String| LakeError::Encode(format!("{reason}, which the table {} does not have", spec.name()));
    if given.fields().len() != declared.fields().len() {
        return Err(wrong(format!("there are {} columns", given.fields().len())));
    }
    for ((declared, given), values) in declared.fields().iter().zip(given.fields()).zip(rows.columns()) {
        if declared.name() != given.name() || declared.data_type() != given.data_type() {
            return Err(wrong(format!(
                "there is a column {} of type {}",
                given.name(),
                given.data_type()
            )));
        }
        if !declared.is_nullable() && values.null_count() > 0 {
            return Err(wrong(format!("there are nulls in {}", declared.name())));
        }
    }
    Ok(())
}

impl PartUpload {
    async fn put(&mut self, store: &dyn ObjectStore, path: &Path, part: Bytes) -> object_store::Result<()> {
        while self.in_flight.len() >= IN_FLIGHT {
            self.in_flight.try_next().await?;
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            None => self.multipart.insert(store.put_multipart(path).await?),
        };
        self.in_flight.push(multipart.put_part(part.into()));
        Ok(())
    }

    async fn drain(&mut self) -> object_store::Result<()> {
        while self.in_flight.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn complete(&mut self) -> object_store::Result<()> {
        self.drain().await?;
        if let Some(multipart) = &mut self.multipart {
            multipart.complete().await?;
        }
        self.multipart = None;
        Ok(())
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.in_flight.clear();
        match self.multipart.take() {
            Some(mut multipart) => multipart.abort().await,
            None => Ok(()),
        }
    }
}
