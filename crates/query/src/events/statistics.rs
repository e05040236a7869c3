//! What DataFusion is told about a file without reading it.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use footfall_lake::{DataFile, Range};
use footfall_model::clock::Micros;
use footfall_model::schema;

/// Longer texts may be truncated in the Delta log's statistics.
const TRUNCATED_AT: usize = 32;

/// Whether a text in the statistics is the value itself, not cut.
pub(super) fn is_exact_text(text: &str) -> bool {
    text.chars().count() < TRUNCATED_AT
}

/// Statistics of a file's own columns; the partition column's follow from its value.
pub(super) fn of_file(file: &DataFile) -> Statistics {
    let fields = schema::event_file();
    let columns = fields.fields().iter().map(|field| {
        let mut column = match field.name().as_str() {
            "tracking_id" => column(file.tracking_id.as_ref(), exact_texts, |text| {
                ScalarValue::Utf8(Some(text.clone()))
            }),
            "client_hash" => column(
                file.client_hash.as_ref(),
                |_| true,
                |hash| ScalarValue::Int64(Some(*hash)),
            ),
            "event_timestamp" => column(file.event_timestamp.as_ref(), exact_times, |at| {
                ScalarValue::TimestampMicrosecond(Some(*at), Some(Arc::from("UTC")))
            }),
            _ => ColumnStatistics::new_unknown(),
        };
        if !field.is_nullable() {
            column.null_count = Precision::Exact(0);
        }
        column
    });
    Statistics {
        num_rows: Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(file.size).unwrap_or(usize::MAX)),
        column_statistics: columns.collect(),
    }
}

fn column<T>(
    range: Option<&Range<T>>,
    is_exact: impl Fn(&Range<T>) -> bool,
    value: impl Fn(&T) -> ScalarValue,
) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    if let Some(range) = range {
        let precision = if is_exact(range) {
            Precision::Exact
        } else {
            Precision::Inexact
        };
        column.min_value = precision(value(&range.min));
        column.max_value = precision(value(&range.max));
    }
    column
}

fn exact_texts(range: &Range<String>) -> bool {
    is_exact_text(&range.min) && is_exact_text(&range.max)
}

/// The lake widens a maximum that was cut to milliseconds to the last microsecond of it, and the minimum beside it
/// was cut then too.
fn exact_times(range: &Range<Micros>) -> bool {
    range.max.rem_euclid(1_000) != 999
}
