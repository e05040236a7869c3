//! What DataFusion is told about a file without reading it.

use std::sync::Arc;

use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use footfall_lake::{DataFile, Range};
use footfall_model::clock::Micros;
use footfall_model::schema;

/// Longer texts may be truncated in the Delta log's statistics.
const TRUNCATED_AT: usize = 32;

/// Whether a text in the statistics is the value itself, not cut.
pub(super) fn is_exact_text(text: &str) -> bool {
    text.chars().count() < TRUNCATED_AT
}

/// Statistics of a file's first columns, by which it is sorted: the Delta log's statistics tell nothing of the others,
/// and a plan holds these for every file that it reads.
pub(super) fn of_file(file: &DataFile) -> Statistics {
    let zone: Arc<str> = Arc::from("UTC");
    let time = |at: &Micros| ScalarValue::TimestampMicrosecond(Some(*at), Some(Arc::clone(&zone)));
    Statistics {
        num_rows: Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX)),
        total_byte_size: Precision::Inexact(usize::try_from(file.size).unwrap_or(usize::MAX)),
        column_statistics: vec![
            column(file.tracking_id.as_ref(), exact_texts, |text| {
                ScalarValue::Utf8(Some(text.clone()))
            }),
            column(
                file.client_hash.as_ref(),
                |_| true,
                |hash| ScalarValue::Int64(Some(*hash)),
            ),
            column(file.event_timestamp.as_ref(), exact_times, time),
        ],
    }
}

/// Statistics of all the table's columns, over all `files`; those bear [`of_file`] and their date.
pub(super) fn of_files(files: &[PartitionedFile]) -> Result<Statistics> {
    let table = schema::events();
    let each = files.iter().filter_map(|file| file.statistics.as_deref());
    let mut all = Statistics::try_merge_iter(each, &table)?;
    let others = table.fields().iter().skip(all.column_statistics.len());
    let others: Vec<_> = others.map(|field| unknown(field.is_nullable())).collect();
    all.column_statistics.extend(others);
    if let Some(date) = all.column_statistics.last_mut() {
        let dates = || {
            files
                .iter()
                .flat_map(|file| &file.partition_values)
                .cloned()
                .map(Precision::Exact)
        };
        date.min_value = dates().reduce(|a, b| a.min(&b)).unwrap_or_default();
        date.max_value = dates().reduce(|a, b| a.max(&b)).unwrap_or_default();
    }
    Ok(all)
}

fn unknown(nullable: bool) -> ColumnStatistics {
    let mut column = ColumnStatistics::new_unknown();
    if !nullable {
        column.null_count = Precision::Exact(0);
    }
    column
}

/// Of a column without nulls.
fn column<T>(
    range: Option<&Range<T>>,
    is_exact: impl Fn(&Range<T>) -> bool,
    value: impl Fn(&T) -> ScalarValue,
) -> ColumnStatistics {
    let mut column = unknown(false);
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

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::super::scan::partitioned;
    use super::*;

    fn file(event_date: i32) -> DataFile {
        DataFile {
            path: Path::from("x.parquet"),
            size: 1_000,
            rows: 10,
            written_at: 0,
            event_date,
            tracking_id: Some(Range {
                min: "a".to_owned(),
                max: "b".to_owned(),
            }),
            client_hash: Some(Range { min: -1, max: 1 }),
            event_timestamp: Some(Range { min: 0, max: 5 }),
        }
    }

    #[test]
    fn a_files_statistics_are_of_the_columns_that_it_is_sorted_by() {
        let file_schema = schema::event_file();
        let columns = of_file(&file(1)).column_statistics;
        assert_eq!(columns.len(), schema::SORT_COLUMNS.len());
        for (field, column) in file_schema.fields().iter().zip(columns) {
            let (min, max) = (column.min_value.get_value(), column.max_value.get_value());
            for value in [min, max] {
                assert_eq!(value.map(ScalarValue::data_type).as_ref(), Some(field.data_type()));
            }
        }
    }

    #[test]
    fn statistics_of_files_are_of_every_column_of_the_table() {
        let files = [3, 1, 2].map(|date| partitioned(&file(date)));
        let all = of_files(&files).unwrap();
        let table = schema::events();
        assert_eq!(all.num_rows, Precision::Exact(30));
        assert_eq!(all.column_statistics.len(), table.fields().len());
        for (field, column) in table.fields().iter().zip(&all.column_statistics) {
            let nulls = if field.is_nullable() {
                Precision::Absent
            } else {
                Precision::Exact(0)
            };
            assert_eq!(column.null_count, nulls, "{field}");
        }
        let dates = all.column_statistics.last().unwrap();
        assert_eq!(dates.min_value, Precision::Exact(ScalarValue::Date32(Some(1))));
        assert_eq!(dates.max_value, Precision::Exact(ScalarValue::Date32(Some(3))));
    }
}
