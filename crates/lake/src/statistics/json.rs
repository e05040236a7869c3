//! Statistics as the Delta protocol writes them: JSON of counts, minima and maxima.

use std::collections::HashMap;
use std::fmt::Write;

use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta};
use footfall_model::clock::Micros;
use footfall_model::table::TableSpec;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ColumnStatistics, StatValue};

/// Writers truncate longer texts: a text of at least this length may be a bound rather than a value.
pub(super) const CUT_TEXT: usize = 32;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Parsed<'a> {
    #[serde(borrow)]
    num_records: Option<&'a RawValue>,
    #[serde(borrow)]
    min_values: HashMap<&'a str, &'a RawValue>,
    #[serde(borrow)]
    max_values: HashMap<&'a str, &'a RawValue>,
    #[serde(borrow)]
    null_count: HashMap<&'a str, &'a RawValue>,
}

/// The number of rows, if known, and the statistics of the table's columns.
pub(crate) type FileStatistics = (Option<u64>, Box<[ColumnStatistics]>);

pub(crate) fn to_json(
    spec: &TableSpec,
    rows: Option<u64>,
    columns: &[ColumnStatistics],
) -> Result<String, serde_json::Error> {
    let named = || {
        spec.statistics_indices()
            .iter()
            .map(|index| spec.file_schema().field(*index))
            .zip(columns)
    };
    let mut json = String::from("{");
    if let Some(rows) = rows {
        let _ = write!(json, "\"numRecords\":{rows},");
    }
    for (key, value) in [
        (
            "minValues",
            (|column| column.min.as_ref()) as fn(&ColumnStatistics) -> Option<&StatValue>,
        ),
        ("maxValues", |column| column.max.as_ref()),
    ] {
        let values =
            named().filter_map(|(field, column)| Some((field.name(), write_value(value(column)?, field.data_type())?)));
        object(&mut json, key, values)?;
        json.push(',');
    }
    let nulls = named().filter_map(|(field, column)| Some((field.name(), column.null_count?.to_string())));
    object(&mut json, "nullCount", nulls)?;
    json.push('}');
    Ok(json)
}

fn object<'a>(
    json: &mut String,
    key: &str,
    values: impl Iterator<Item = (&'a String, String)>,
) -> Result<(), serde_json::Error> {
    let _ = write!(json, "\"{key}\":{{");
    for (nth, (name, value)) in values.enumerate() {
        let comma = if nth > 0 { "," } else { "" };
        let _ = write!(json, "{comma}{}:{value}", serde_json::to_string(name)?);
    }
    json.push('}');
    Ok(())
}

/// JSON of a value; `None` if JSON can't represent it.
fn write_value(value: &StatValue, data_type: &DataType) -> Option<String> {
    Some(match value {
        StatValue::Boolean(value) => value.to_string(),
        StatValue::Int32(value) => value.to_string(),
        StatValue::Int64(value) => value.to_string(),
        StatValue::Float64(value) => serde_json::Number::from_f64(*value)?.to_string(),
        StatValue::Date32(days) => format!("\"{}\"", date(*days)?),
        StatValue::Timestamp(at) => {
            let at = DateTime::from_timestamp_micros(*at)?;
            format!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::Micros, true))
        }
        StatValue::Decimal128(number) => decimal(**number, data_type)?,
        StatValue::Utf8(text) => serde_json::to_string(text).ok()?,
    })
}

pub(crate) fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(days.into())?)
}

pub(crate) fn days_of(date: NaiveDate) -> Option<i32> {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

fn decimal(number: i128, data_type: &DataType) -> Option<String> {
    let DataType::Decimal128(_, scale) = data_type else {
        return None;
    };
    let scale = usize::try_from(*scale).ok()?;
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    Some(if rest.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    })
}

/// Parses statistics of any writer: values that are missing, or not of the declared type, are unknown. `None` if the
/// text is not JSON statistics.
pub(crate) fn from_json(spec: &TableSpec, json: &str) -> Option<FileStatistics> {
    let stats: Parsed<'_> = serde_json::from_str(json).ok()?;
    let columns = spec.statistics_indices().iter().map(|index| {
        let field = spec.file_schema().field(*index);
        let name = field.name().as_str();
        let read = |values: &HashMap<&str, &RawValue>, end| read_value(values.get(name)?.get(), field.data_type(), end);
        let (min, max) = (read(&stats.min_values, End::Min), read(&stats.max_values, End::Max));
        ColumnStatistics {
            is_exact: [&min, &max]
                .iter()
                .all(|bound| bound.as_ref().is_some_and(|(_, is_exact)| *is_exact)),
            min: min.map(|(value, _)| value),
            max: max.map(|(value, _)| value),
            null_count: stats.null_count.get(name).and_then(|count| count.get().parse().ok()),
        }
    });
    let columns = columns.collect();
    let rows = stats.num_records.and_then(|rows| rows.get().parse().ok());
    Some((rows, columns))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// A bound, and whether it is certainly an exact value.
fn read_value(json: &str, data_type: &DataType, end: End) -> Option<(StatValue, bool)> {
    let text = || serde_json::from_str::<String>(json).ok();
    let exact = |value| Some((value, true));
    match data_type {
        DataType::Boolean => exact(StatValue::Boolean(json.parse().ok()?)),
        DataType::Int32 => exact(StatValue::Int32(json.parse().ok()?)),
        DataType::Int64 => exact(StatValue::Int64(json.parse().ok()?)),
        DataType::Float64 => exact(StatValue::Float64(
            json.parse().ok().filter(|value: &f64| value.is_finite())?,
        )),
        DataType::Date32 => exact(StatValue::Date32(days_of(text()?.parse().ok()?)?)),
        DataType::Timestamp(..) => {
            let text = text()?;
            let at = DateTime::parse_from_rfc3339(&text).ok()?.timestamp_micros();
            let lost = lost_precision(&text);
            let at = if end == End::Max { at.saturating_add(lost) } else { at };
            Some((StatValue::Timestamp(at), lost == 0))
        }
        DataType::Decimal128(_, scale) => read_decimal(json, *scale, end),
        DataType::Utf8 => {
            let text = text()?;
            let is_exact = text.chars().count() < CUT_TEXT;
            Some((StatValue::Utf8(text.into()), is_exact))
        }
        _ => None,
    }
}

/// The digits as written: parsing through floating point would not be exact.
fn read_decimal(json: &str, scale: i8, end: End) -> Option<(StatValue, bool)> {
    let scale = usize::try_from(scale).ok()?;
    let (sign, digits) = json.strip_prefix('-').map_or((1, json), |digits| (-1, digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (kept, cut) = rest.split_at(rest.len().min(scale));
    let number: i128 = format!("{whole}{kept:0<scale$}").parse().ok()?;
    let number = sign * number;
    let is_exact = cut.bytes().all(|digit| digit == b'0');
    // Another writer's rounding through floating point shows in the seventeenth digit at the earliest.
    let surely = whole.len() + rest.len() <= 15;
    let slack = if surely {
        i128::from(!is_exact)
    } else {
        (number.abs() >> 50) + 1
    };
    let number = if end == End::Min {
        number.saturating_sub(slack)
    } else {
        number.saturating_add(slack)
    };
    Some((StatValue::Decimal128(Box::new(number)), slack == 0))
}

/// Other writers, and some checkpoints, truncate times to milliseconds: the true maximum may be later.
fn lost_precision(text: &str) -> Micros {
    let digits = text
        .split_once('.')
        .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    10_i64.pow(6_u32.saturating_sub(u32::try_from(digits).unwrap_or(6))) - 1
}
