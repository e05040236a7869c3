//! The statistics of a file that DataFusion gets without reading it.

use arrow::datatypes::{DataType, Field};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics as ColumnStatisticsOfPlan, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use footfall_lake::{ColumnStatistics, DataFile, StatValue};
use footfall_model::table::TableSpec;

/// Statistics of a file's first columns, up to the last one that it is sorted by: a plan holds these for every file
/// that it reads.
pub(super) fn of_file(spec: &TableSpec, file: &DataFile) -> Statistics {
    let exact = |number: u64| Precision::Exact(usize::try_from(number).unwrap_or(usize::MAX));
    let columns = spec.sort_indices().iter().max().map_or(0, |last| last + 1);
    let columns = spec.file_schema().fields().iter().take(columns).enumerate();
    let columns = columns.map(|(index, field)| {
        let sorted = spec.sort_indices().contains(&index);
        column(field, sorted.then(|| file.column(spec, field.name())).flatten())
    });
    Statistics {
        num_rows: file.rows.map_or(Precision::Absent, exact),
        total_byte_size: Precision::Inexact(usize::try_from(file.size).unwrap_or(usize::MAX)),
        column_statistics: columns.collect(),
    }
}

/// Statistics of all the table's columns, over all `files`; these carry [`of_file`] and their date.
pub(super) fn of_files(spec: &TableSpec, files: &[PartitionedFile]) -> Result<Statistics> {
    let table = spec.table_schema();
    let each = files.iter().filter_map(|file| file.statistics.as_deref());
    let mut all = Statistics::try_merge_iter(each, table)?;
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

fn unknown(nullable: bool) -> ColumnStatisticsOfPlan {
    let mut column = ColumnStatisticsOfPlan::new_unknown();
    if !nullable {
        column.null_count = Precision::Exact(0);
    }
    column
}

fn column(field: &Field, known: Option<&ColumnStatistics>) -> ColumnStatisticsOfPlan {
    let mut column = unknown(field.is_nullable());
    if let Some(known) = known {
        let precision = |value: &Option<StatValue>| match value.as_ref().and_then(|value| scalar(value, field)) {
            Some(value) if known.is_exact => Precision::Exact(value),
            Some(value) => Precision::Inexact(value),
            None => Precision::Absent,
        };
        column.min_value = precision(&known.min);
        column.max_value = precision(&known.max);
    }
    column
}

fn scalar(value: &StatValue, field: &Field) -> Option<ScalarValue> {
    Some(match (value, field.data_type()) {
        (StatValue::Boolean(value), _) => ScalarValue::Boolean(Some(*value)),
        (StatValue::Int32(number), _) => ScalarValue::Int32(Some(*number)),
        (StatValue::Int64(number), _) => ScalarValue::Int64(Some(*number)),
        (StatValue::Date32(day), _) => ScalarValue::Date32(Some(*day)),
        (StatValue::Timestamp(at), DataType::Timestamp(_, zone)) => {
            ScalarValue::TimestampMicrosecond(Some(*at), zone.clone())
        }
        (StatValue::Decimal128(number), DataType::Decimal128(precision, scale)) => {
            ScalarValue::Decimal128(Some(**number), *precision, *scale)
        }
        (StatValue::Utf8(text), _) => ScalarValue::Utf8(Some(text.to_string())),
        // NaN has no position in an order.
        (StatValue::Float64(_), _) | (StatValue::Timestamp(_) | StatValue::Decimal128(_), _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use footfall_lake::Origin;
    use footfall_model::{schema, table};
    use object_store::path::Path;

    use super::super::scan::partitioned;
    use super::*;

    fn file(partition_date: i32) -> DataFile {
        DataFile {
            path: Path::from("x.parquet"),
            size: 1_000,
            rows: Some(10),
            written_at: 0,
            partition_date,
            statistics: Box::new([
                ColumnStatistics::exact(StatValue::text("a"), StatValue::text("b"), 0),
                ColumnStatistics::exact(StatValue::Int64(-1), StatValue::Int64(1), 0),
                ColumnStatistics::exact(StatValue::Timestamp(0), StatValue::Timestamp(5), 0),
            ]),
            origin: Origin::Wal,
            tags: Vec::new(),
        }
    }

    #[test]
    fn file_statistics_cover_sort_columns() {
        let file_schema = schema::event_file();
        let columns = of_file(table::events(), &file(1)).column_statistics;
        assert_eq!(columns.len(), schema::SORT_COLUMNS.len());
        for (field, column) in file_schema.fields().iter().zip(columns) {
            let (min, max) = (column.min_value.get_value(), column.max_value.get_value());
            for value in [min, max] {
                assert_eq!(value.map(ScalarValue::data_type).as_ref(), Some(field.data_type()));
            }
        }
    }

    #[test]
    fn table_statistics_cover_every_column() {
        let files = [3, 1, 2].map(|date| partitioned(table::events(), &file(date)));
        let all = of_files(table::events(), &files).unwrap();
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
