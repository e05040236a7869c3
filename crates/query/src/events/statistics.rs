//! What the Delta log knows of files, in the planner's words.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use footfall_lake::{DataFile, Range};
use footfall_model::schema;

/// Of one file, without the partition column. Row counts are exact; minima and maxima may be wider than the values.
pub(super) fn of_file(file: &DataFile) -> Statistics {
    let fields = schema::event_file();
    let columns = fields.fields().iter().map(|field| match field.name().as_str() {
        "tracking_id" => column(file.tracking_id.as_ref(), |text| ScalarValue::Utf8(Some(text.clone()))),
        "client_hash" => column(file.client_hash.as_ref(), |hash| ScalarValue::Int64(Some(*hash))),
        "event_timestamp" => column(file.event_timestamp.as_ref(), |at| {
            ScalarValue::TimestampMicrosecond(Some(*at), Some("UTC".into()))
        }),
        _ => ColumnStatistics::new_unknown(),
    });
    Statistics {
        num_rows: Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(file.size).unwrap_or(usize::MAX)),
        column_statistics: columns.collect(),
    }
}

/// Of the whole scan: exact row count, so that counting reads nothing.
pub(super) fn of_files(files: &[Arc<DataFile>]) -> Statistics {
    let sum = |value: fn(&DataFile) -> u64| {
        let sum: u64 = files.iter().map(|file| value(file)).sum();
        usize::try_from(sum).unwrap_or(usize::MAX)
    };
    let mut statistics = Statistics::new_unknown(&schema::events());
    statistics.num_rows = Precision::Exact(sum(|file| file.rows));
    statistics.total_byte_size = Precision::Inexact(sum(|file| file.size));
    statistics
}

pub(super) fn date(file: &DataFile) -> ScalarValue {
    debug_assert_eq!(
        schema::events().fields().last().map(|f| f.data_type().clone()),
        Some(DataType::Date32)
    );
    ScalarValue::Date32(Some(file.event_date))
}

fn column<T>(range: Option<&Range<T>>, scalar: impl Fn(&T) -> ScalarValue) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    column.null_count = Precision::Exact(0);
    if let Some(range) = range {
        column.min_value = Precision::Inexact(scalar(&range.min));
        column.max_value = Precision::Inexact(scalar(&range.max));
    }
    column
}
