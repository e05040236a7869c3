//! Columns of any Arrow type as the rules read them.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::field::{EventField, FieldType};

/// Bytes of a UUID.
const UUID: i32 = 16;

const SAFE: CastOptions<'static> = CastOptions {
    safe: true,
    format_options: arrow::util::display::FormatOptions::new(),
};

/// The values of a field; null where one can't be read, `None` if that are all.
pub(super) fn read(field: EventField, given: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    if let DataType::Dictionary(_, plain) = given.data_type() {
        return read(field, &cast(given, plain)?);
    }
    if let DataType::RunEndEncoded(_, plain) = given.data_type() {
        return read(field, &cast(given, plain.data_type())?);
    }
    match field.spec().field_type {
        FieldType::Text => text(given),
        FieldType::Json if given.data_type().is_nested() => Ok(json(given)),
        FieldType::Json => text(given),
        FieldType::Time => time(given),
        FieldType::Amount => amount(field, given),
        FieldType::Flag => flag(given),
        FieldType::Hash | FieldType::Day => Ok(None),
    }
}

/// What a value should have been, in words.
pub(super) fn kind(field: EventField) -> &'static str {
    match field.spec().field_type {
        FieldType::Time => "time (a timestamp, a date, or milliseconds since 1970: divide nanoseconds by 1,000,000)",
        FieldType::Amount => "decimal number",
        FieldType::Hash => "whole number",
        FieldType::Flag => "boolean",
        FieldType::Json => "JSON object, struct or map",
        FieldType::Text | FieldType::Day => "text",
    }
}

fn text(given: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    match given.data_type() {
        DataType::Utf8 => Ok(Some(Arc::clone(given))),
        DataType::FixedSizeBinary(UUID) => Ok(given.as_fixed_size_binary_opt().map(uuids)),
        nested if nested.is_nested() => Ok(None),
        other if can_cast_types(other, &DataType::Utf8) => cast_with_options(given, &DataType::Utf8, &SAFE).map(Some),
        _ => Ok(None),
    }
}

fn uuids(given: &FixedSizeBinaryArray) -> ArrayRef {
    let mut texts = StringBuilder::new();
    for value in given {
        texts.append_option(value.map(|bytes| {
            let mut text = String::with_capacity(36);
            for (index, byte) in bytes.iter().enumerate() {
                let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
                // Writing into a text can't fail.
                let _ = write!(text, "{hyphen}{byte:02x}");
            }
            text
        }));
    }
    Arc::new(texts.finish())
}

/// Structs, maps and lists; `None` if they can't be JSON. Members that are null are left out.
fn json(given: &ArrayRef) -> Option<ArrayRef> {
    let options = EncoderOptions::default();
    let field = Arc::new(Field::new("", given.data_type().clone(), true));
    let mut encoder = make_encoder(&field, given.as_ref(), &options).ok()?;
    let mut texts = StringBuilder::new();
    let mut bytes = Vec::new();
    for row in 0..given.len() {
        bytes.clear();
        if given.is_valid(row) {
            encoder.encode(row, &mut bytes);
        }
        texts.append_option(std::str::from_utf8(&bytes).ok().filter(|text| !text.is_empty()));
    }
    Some(Arc::new(texts.finish()))
}

fn time(given: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    let millis = |time: Micros| time.checked_mul(1_000);
    match given.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => micros(given, |time| time.checked_mul(SECOND)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => micros(given, Some),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => micros(given, |time| Some(time.div_euclid(1_000))),
        DataType::Date32 => micros(given, |days| days.checked_mul(DAY)),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => micros(given, millis),
        integer if integer.is_integer() => micros(given, millis),
        // With a fraction, as the rules read it.
        number if number.is_numeric() => text(given),
        _ if is_text(given) => text(given),
        _ => Ok(None),
    }
}

fn micros(given: &ArrayRef, to_micros: impl Fn(i64) -> Option<Micros>) -> Result<Option<ArrayRef>, ArrowError> {
    // `Date32` has no cast of its own to 64 bits.
    let given = match given.data_type() {
        DataType::Date32 => &cast(given, &DataType::Int32)?,
        _ => given,
    };
    let numbers = cast_with_options(given, &DataType::Int64, &SAFE)?;
    let numbers: &Int64Array = numbers.as_primitive::<Int64Type>();
    let times: TimestampMicrosecondArray = numbers.unary_opt::<_, TimestampMicrosecondType>(to_micros);
    Ok(Some(Arc::new(times.with_timezone("UTC"))))
}

/// Other numbers as text, for the rules to round and to check. What a float calls no number is absent: so does software
/// that knows no null.
fn amount(field: EventField, given: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    let own = field.spec().field_type.arrow();
    match given.data_type() {
        same if *same == own => Ok(Some(Arc::clone(given))),
        float if float.is_floating() => {
            // Through text, so that a float of 32 bits keeps its few digits.
            let numbers = cast(given, &DataType::Float64)?;
            let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
            let texts = text(given)?;
            let texts = texts.as_ref().and_then(|texts| texts.as_string_opt::<i32>());
            let texts = texts.map(|texts| {
                let kept = texts.iter().zip(numbers);
                let kept = kept.map(|(text, number)| {
                    if number.is_some_and(f64::is_nan) {
                        Some("")
                    } else {
                        text
                    }
                });
                Arc::new(kept.collect::<StringArray>()) as ArrayRef
            });
            Ok(texts)
        }
        number if number.is_numeric() => text(given),
        _ if is_text(given) => text(given),
        _ => Ok(None),
    }
}

fn flag(given: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    match given.data_type() {
        DataType::Boolean => Ok(Some(Arc::clone(given))),
        integer if integer.is_integer() => cast(given, &DataType::Boolean).map(Some),
        _ if is_text(given) => text(given),
        _ => Ok(None),
    }
}

fn is_text(given: &ArrayRef) -> bool {
    matches!(
        given.data_type(),
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Int32Array,
        LargeStringArray, MapBuilder, StringViewArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "arrays are made for the call")]
    fn texts(field: EventField, given: ArrayRef) -> Option<Vec<Option<String>>> {
        let values = read(field, &given).unwrap()?;
        let values = values.as_string::<i32>();
        Some(values.iter().map(|text| text.map(str::to_owned)).collect())
    }

    #[expect(clippy::needless_pass_by_value, reason = "arrays are made for the call")]
    fn times(given: ArrayRef) -> Vec<Option<Micros>> {
        let values = read(EventField::EventTimestamp, &given).unwrap().unwrap();
        values.as_primitive::<TimestampMicrosecondType>().iter().collect()
    }

    #[test]
    fn text_is_read_from_every_type() {
        let id = |given: ArrayRef| texts(EventField::ClientId, given).unwrap();
        let some = |text: &str| vec![Some(text.to_owned()), None];
        let dictionary = DictionaryArray::<Int32Type>::from_iter([Some("x"), None]);
        let uuid =
            FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([0xab; 16]), None].into_iter(), 16).unwrap();
        for (given, expected) in [
            (Arc::new(LargeStringArray::from(vec![Some("x"), None])) as ArrayRef, "x"),
            (Arc::new(StringViewArray::from(vec![Some("x"), None])), "x"),
            (Arc::new(dictionary), "x"),
            (
                Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
                "18446744073709551615",
            ),
            (Arc::new(BooleanArray::from(vec![Some(true), None])), "true"),
            (Arc::new(uuid), "abababab-abab-abab-abab-abababababab"),
        ] {
            assert_eq!(id(given), some(expected));
        }
        let bytes = BinaryArray::from(vec![Some(&b"x"[..]), Some(&b"\xff"[..])]);
        assert_eq!(id(Arc::new(bytes)), some("x"), "what is no UTF-8 is lost");
    }

    #[test]
    fn times_of_any_unit_are_microseconds() {
        let second = 1_770_028_200;
        let micros = Some(second * 1_000_000);
        for given in [
            Arc::new(TimestampSecondArray::from(vec![second])) as ArrayRef,
            Arc::new(TimestampSecondArray::from(vec![second]).with_timezone("Europe/Berlin")),
            Arc::new(TimestampNanosecondArray::from(vec![second * 1_000_000_000 + 999])),
            Arc::new(Int64Array::from(vec![second * 1_000])),
        ] {
            let data_type = given.data_type().clone();
            assert_eq!(times(given), [micros], "{data_type}");
        }
        assert_eq!(times(Arc::new(Date32Array::from(vec![1, i32::MAX]))), [Some(DAY), None]);
        assert_eq!(times(Arc::new(Int32Array::from(vec![1]))), [Some(1_000)]);
        assert_eq!(
            times(Arc::new(UInt64Array::from(vec![u64::MAX, i64::MAX as u64]))),
            [None, None]
        );
        let fraction = texts(
            EventField::EventTimestamp,
            Arc::new(Float64Array::from(vec![1_770_028_200_123.5])),
        );
        assert_eq!(fraction.unwrap(), [Some("1770028200123.5".into())]);
    }

    #[test]
    fn amounts_keep_their_digits() {
        let amount = |given: ArrayRef| texts(EventField::Revenue, given).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            amount(Arc::new(Float64Array::from(vec![Some(9.99), Some(f64::NAN), None]))),
            [some("9.99"), some(""), None]
        );
        assert_eq!(amount(Arc::new(Float32Array::from(vec![0.1]))), [some("0.1")]);
        let decimals = Decimal128Array::from(vec![12_345])
            .with_precision_and_scale(20, 2)
            .unwrap();
        assert_eq!(amount(Arc::new(decimals)), [some("123.45")]);
        let own = Decimal128Array::from(vec![12_345])
            .with_precision_and_scale(18, 4)
            .unwrap();
        let own: ArrayRef = Arc::new(own);
        assert_eq!(read(EventField::Revenue, &own).unwrap().as_ref(), Some(&own));
    }

    #[test]
    fn nested_values_are_json() {
        let keys = StringBuilder::new();
        let mut map = MapBuilder::new(
            None,
            keys,
            arrow::array::Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 2)),
        );
        map.keys().append_value("a\"b");
        map.values()
            .append_value(12_345_678_901_234_567_890_123_456_789_012_345_678);
        map.append(true).unwrap();
        map.append(false).unwrap();
        let given: ArrayRef = Arc::new(map.finish());
        let expected = r#"{"a\"b":123456789012345678901234567890123456.78}"#;
        assert_eq!(
            texts(EventField::CustomProperties, Arc::clone(&given)).unwrap(),
            [Some(expected.to_owned()), None]
        );
        assert_eq!(read(EventField::ClientId, &given).unwrap(), None);
    }
}
