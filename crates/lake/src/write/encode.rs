//! How a file of `events` is laid out as Parquet.

use std::io::Write;
use std::sync::LazyLock;

use arrow::array::RecordBatch;
use bytes::Bytes;
use footfall_model::schema::{self, SORT_COLUMNS};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::LakeError;

/// Rows of a row group: small enough that one visitor's or one site's rows are found without reading much, large
/// enough for compression.
const ROW_GROUP_ROWS: usize = 256 * 1_024;

/// Rows of a page: what a look-up of one visitor reads.
const PAGE_ROWS: usize = 8 * 1_024;

/// Writes a file of `events` into `file`.
pub(super) fn writer<W: Write + Send>(file: W) -> Result<ArrowWriter<W>, LakeError> {
    ArrowWriter::try_new(file, schema::event_file(), Some(properties())).map_err(encode)
}

pub(super) fn to_parquet(rows: &RecordBatch) -> Result<Bytes, LakeError> {
    let mut file = Vec::with_capacity(rows.num_rows() * 48);
    let mut writer = writer(&mut file)?;
    writer.write(rows).map_err(encode)?;
    writer.close().map_err(encode)?;
    Ok(file.into())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn encode(error: ParquetError) -> LakeError {
    LakeError::Encode(error.to_string())
}

fn properties() -> WriterProperties {
    static PROPERTIES: LazyLock<WriterProperties> = LazyLock::new(|| {
        let sorted = (0..).take(SORT_COLUMNS.len()).map(|place| SortingColumn {
            column_idx: place,
            descending: false,
            nulls_first: false,
        });
        let mut properties = WriterProperties::builder()
            // 2.0 lets columns without a dictionary use the delta encodings that every reader has known for years.
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_sorting_columns(Some(sorted.collect()))
            .set_created_by(concat!("footfall ", env!("CARGO_PKG_VERSION")).into());
        // A dictionary of values that hardly repeat costs time and is thrown away.
        for (column, encoding) in [
            ("event_timestamp", Encoding::DELTA_BINARY_PACKED),
            ("created_at", Encoding::DELTA_BINARY_PACKED),
            ("event_id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
        ] {
            properties = properties
                .set_column_dictionary_enabled(ColumnPath::from(column), false)
                .set_column_encoding(ColumnPath::from(column), encoding);
        }
        properties.build()
    });
    PROPERTIES.clone()
}
