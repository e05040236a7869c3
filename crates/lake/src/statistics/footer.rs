//! Statistics from a Parquet footer, for files whose writer put none into the Delta log.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use footfall_model::table::TableSpec;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

use super::collect::bounds;
use super::json::CUT_TEXT;
use super::{ColumnStatistics, StatValue};

/// The number of rows, and the statistics of the table's columns as far as the footer has them.
pub(crate) fn from_footer(spec: &TableSpec, footer: &ParquetMetaData) -> (u64, Box<[ColumnStatistics]>) {
    let groups = footer.row_groups();
    let rows = groups
        .iter()
        .map(|group| u64::try_from(group.num_rows()).unwrap_or_default())
        .sum();
    let columns = spec
        .statistics_columns()
        .map(|name| column(spec, footer, name).unwrap_or_default());
    (rows, columns.collect())
}

fn column(spec: &TableSpec, footer: &ParquetMetaData, name: &str) -> Option<ColumnStatistics> {
    let schema = footer.file_metadata().schema_descr();
    let converter = StatisticsConverter::try_new(name, spec.file_schema(), schema).ok()?;
    // A column of another unit or type would be misread as ours.
    let written = parquet_to_arrow_schema(schema, None).ok()?;
    if written.field_with_name(name).ok()?.data_type() != converter.arrow_field().data_type() {
        return None;
    }
    let converter = converter.with_missing_null_counts_as_zero(false);
    let groups = || footer.row_groups().iter();
    let nulls = converter.row_group_null_counts(groups()).ok()?;
    let data_type = converter.arrow_field().data_type();
    let (mins, maxes) = (
        converter.row_group_mins(groups()).ok()?,
        converter.row_group_maxes(groups()).ok()?,
    );
    let whole = |values: &ArrayRef| values.null_count() == 0 && !values.is_empty() && values.data_type() == data_type;
    let known = whole(&mins) && whole(&maxes);
    let (min, max) = known
        .then(|| Some((bounds(&mins, data_type)?.0, bounds(&maxes, data_type)?.1)))
        .flatten()
        .unzip();
    Some(ColumnStatistics {
        is_exact: is_exact(min.as_ref()) && is_exact(max.as_ref()) && *data_type != DataType::Float64,
        min,
        max,
        null_count: (nulls.null_count() == 0).then(|| nulls.values().iter().sum()),
    })
}

fn is_exact(bound: Option<&StatValue>) -> bool {
    match bound {
        Some(StatValue::Utf8(text)) => text.chars().count() < CUT_TEXT,
        Some(_) => true,
        None => false,
    }
}
