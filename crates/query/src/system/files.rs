//! `system.files`: the live files of every table.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::Result;
use footfall_lake::{DataFile, Origin, Snapshot};

use crate::segments::ScopedLake;

pub(super) fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            Field::new("table_name", DataType::Utf8, false),
            Field::new("path", DataType::Utf8, false),
            Field::new("event_date", DataType::Date32, false),
            Field::new("rows", DataType::UInt64, true),
            Field::new("bytes", DataType::Int64, false),
            Field::new("written_at", utc, false),
            Field::new("written_by", DataType::Utf8, false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

pub(super) fn rows(lake: &ScopedLake) -> Result<RecordBatch> {
    let tables: Vec<&Snapshot> = lake.snapshots().collect();
    let files: Vec<(&str, &DataFile)> = tables
        .iter()
        .flat_map(|table| table.files().map(|file| (table.spec().name(), file.as_ref())))
        .collect();
    let of = |file: fn(&DataFile) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            files.iter().map(|(_, found)| file(found)),
        ))
    };
    let written_at = files.iter().map(|(_, file)| file.written_at);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(files.iter().map(|(table, _)| *table))),
        of(|file| file.path.as_ref()),
        Arc::new(Date32Array::from_iter_values(
            files.iter().map(|(_, file)| file.partition_date),
        )),
        Arc::new(files.iter().map(|(_, file)| file.rows).collect::<UInt64Array>()),
        Arc::new(Int64Array::from_iter_values(
            files
                .iter()
                .map(|(_, file)| i64::try_from(file.size).unwrap_or(i64::MAX)),
        )),
        Arc::new(TimestampMicrosecondArray::from_iter_values(written_at).with_timezone("UTC")),
        of(|file| match file.origin {
            Origin::Wal => "writer",
            Origin::Import => "import",
            Origin::Compaction => "compactor",
            Origin::Foreign => "another program",
        }),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}
