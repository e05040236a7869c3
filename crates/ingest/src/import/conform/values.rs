//! The rules, a column at a time. Columns that they leave as they are stay the same arrays.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use footfall_model::field::EventField;

use super::{Rejections, wrong_type};
use crate::collect::CollectOptions;
use crate::import::report::Rejection;
use crate::rules::{self, Changes};

fn strings(field: EventField, given: &ArrayRef) -> Result<&StringArray, ArrowError> {
    given.as_string_opt().ok_or_else(|| wrong_type(field))
}

/// Texts; null where they are absent.
pub(super) fn texts(field: EventField, given: &ArrayRef, changes: &mut Changes) -> Result<ArrayRef, ArrowError> {
    let texts = strings(field, given)?;
    if is_plain(field, texts) {
        return Ok(Arc::clone(given));
    }
    let ruled = texts.iter().map(|text| rules::text(field, text?, changes));
    Ok(Arc::new(ruled.collect::<StringArray>()))
}

/// Whether the rules change no text: each is short, begins with a visible ASCII character and has no NUL.
fn is_plain(field: EventField, texts: &StringArray) -> bool {
    if field == EventField::Country {
        return texts
            .iter()
            .flatten()
            .all(|code| matches!(code.as_bytes(), [b'A'..=b'Z', b'A'..=b'Z']));
    }
    let (offsets, bytes) = (texts.value_offsets(), texts.value_data());
    let used = match offsets {
        [first, .., last] => bytes.get(*first as usize..*last as usize).unwrap_or_default(),
        _ => &[],
    };
    let limit = field.spec().max_chars.unwrap_or(usize::MAX);
    let is_plain = |text: &str| text.len() <= limit && matches!(text.as_bytes().first(), Some(b'!'..=b'~'));
    memchr::memchr(0, used).is_none() && texts.iter().flatten().all(is_plain)
}

/// Times; null where they are absent.
pub(super) fn times(field: EventField, given: &ArrayRef, rejections: &mut Rejections) -> Result<ArrayRef, ArrowError> {
    if matches!(given.data_type(), DataType::Timestamp(..)) {
        return Ok(Arc::clone(given));
    }
    let times = strings(field, given)?.iter().enumerate().map(|(row, text)| {
        let time = rules::time(text?);
        time.unwrap_or_else(|problem| {
            rejections.problem(row, field, &problem);
            None
        })
    });
    let times: TimestampMicrosecondArray = times.collect();
    Ok(Arc::new(times.with_timezone("UTC")))
}

/// Amounts; null where they are absent.
pub(super) fn amounts(
    field: EventField,
    given: &ArrayRef,
    rejections: &mut Rejections,
) -> Result<ArrayRef, ArrowError> {
    let mut kept = |row: usize, amount: Result<Option<i64>, rules::Problem>| {
        amount.unwrap_or_else(|problem| {
            rejections.problem(row, field, &problem);
            None
        })
    };
    if let Some(decimals) = given.as_primitive_opt::<Decimal128Type>() {
        for (row, units) in decimals.iter().enumerate() {
            if let Some(units) = units {
                let units = i64::try_from(units).unwrap_or(i64::MAX);
                kept(row, rules::checked_amount(units).map(Some));
            }
        }
        return Ok(Arc::clone(given));
    }
    let texts = strings(field, given)?.iter().enumerate();
    let units = texts.map(|(row, text)| kept(row, rules::amount(text?)));
    decimals(units)
}

/// The given amounts, and where there is none the other.
pub(super) fn first_amounts(given: &ArrayRef, others: &[Option<i64>]) -> Result<ArrayRef, ArrowError> {
    let given = given
        .as_primitive_opt::<Decimal128Type>()
        .ok_or_else(|| wrong_type(EventField::Revenue))?;
    if given.null_count() == 0 {
        return Ok(Arc::new(given.clone()));
    }
    let both = given.iter().zip(others);
    let first = both.map(|(given, other)| given.or(other.map(i128::from)));
    let first: Decimal128Array = first.collect();
    Ok(Arc::new(
        first.with_data_type(EventField::Revenue.spec().field_type.arrow()),
    ))
}

fn decimals(units: impl Iterator<Item = Option<i64>>) -> Result<ArrayRef, ArrowError> {
    let units: Decimal128Array = units.map(|units| units.map(i128::from)).collect();
    Ok(Arc::new(
        units.with_data_type(EventField::Revenue.spec().field_type.arrow()),
    ))
}

/// Flags; null where they are absent.
pub(super) fn flags(field: EventField, given: &ArrayRef, rejections: &mut Rejections) -> Result<ArrayRef, ArrowError> {
    if given.data_type() == &DataType::Boolean {
        return Ok(Arc::clone(given));
    }
    let flags = strings(field, given)?.iter().enumerate().map(|(row, text)| {
        let text = text?.trim();
        let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        match text {
            "" => None,
            _ if is(["true", "t", "1"]) => Some(true),
            _ if is(["false", "f", "0"]) => Some(false),
            _ => {
                rejections.reject(row, || Rejection {
                    reason: format!("{} is neither true nor false", field.name()),
                    detail: format!("{} is {text:?}", field.name()),
                });
                None
            }
        }
    });
    Ok(Arc::new(flags.collect::<BooleanArray>()))
}

/// Amounts in units of 1/10,000, by row.
pub(super) type Amounts = Vec<Option<i64>>;

/// Properties in their normal form, and the amounts in them if there are any.
pub(super) fn properties(
    given: &ArrayRef,
    limits: &CollectOptions,
    rejections: &mut Rejections,
    changes: &mut Changes,
) -> Result<(ArrayRef, Option<Amounts>), ArrowError> {
    const FIELD: EventField = EventField::CustomProperties;
    let texts = strings(FIELD, given)?;
    let mut amounts = Vec::new();
    let mut is_same = true;
    let mut ruled = |row: usize, text| {
        let properties = match rules::properties(text, &limits.properties, changes) {
            Ok(properties) => properties,
            Err(problem) => {
                rejections.problem(row, FIELD, &problem);
                None
            }
        };
        let Some(properties) = properties else {
            is_same = false;
            return None;
        };
        let (json, revenue) = (properties.json, properties.revenue);
        if json.len() > limits.event_bytes {
            let reason = format!("{} is longer than {} bytes", FIELD.name(), limits.event_bytes);
            rejections.reject(row, || Rejection::new(reason));
            return None;
        }
        is_same &= matches!(json, Cow::Borrowed(same) if same.len() == text.len());
        if revenue.is_some() {
            amounts.resize(row, None);
            amounts.push(revenue);
        }
        Some(json)
    };
    let normal: StringArray = texts.iter().enumerate().map(|(row, text)| ruled(row, text?)).collect();
    let amounts = (!amounts.is_empty()).then(|| {
        amounts.resize(texts.len(), None);
        amounts
    });
    let texts: ArrayRef = if is_same { Arc::clone(given) } else { Arc::new(normal) };
    Ok((texts, amounts))
}
