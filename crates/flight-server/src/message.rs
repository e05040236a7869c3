//! A statement and its values as protobuf messages: the content of a handle.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::datatypes::{Decimal128Type, DecimalType, validate_decimal_precision_and_scale};
use footfall_query::ScalarValue;
use prost::Message;

use crate::handle::Malformed;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatementMessage {
    #[prost(string, tag = "1")]
    pub(crate) sql: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) rows: Vec<RowMessage>,
    #[prost(uint64, tag = "3")]
    pub(crate) run: u64,
    #[prost(uint64, optional, tag = "4")]
    pub(crate) version: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RowMessage {
    #[prost(message, repeated, tag = "1")]
    values: Vec<ValueMessage>,
}

/// A value and its type. Numbers are little-endian and exactly as wide as their type.
#[derive(Clone, PartialEq, Message)]
struct ValueMessage {
    #[prost(enumeration = "ValueKind", tag = "1")]
    kind: i32,
    /// Absent: null.
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
    #[prost(string, optional, tag = "3")]
    timezone: Option<String>,
    #[prost(uint32, tag = "4")]
    precision: u32,
    #[prost(sint32, tag = "5")]
    scale: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum ValueKind {
    Null = 0,
    Boolean = 1,
    Int8 = 2,
    Int16 = 3,
    Int32 = 4,
    Int64 = 5,
    UInt8 = 6,
    UInt16 = 7,
    UInt32 = 8,
    UInt64 = 9,
    Float32 = 10,
    Float64 = 11,
    Decimal128 = 12,
    Text = 13,
    Binary = 14,
    Date32 = 15,
    Date64 = 16,
    Time32Second = 17,
    Time32Millisecond = 18,
    Time64Microsecond = 19,
    Time64Nanosecond = 20,
    TimestampSecond = 21,
    TimestampMillisecond = 22,
    TimestampMicrosecond = 23,
    TimestampNanosecond = 24,
}

impl RowMessage {
    pub(crate) fn encode_row(row: &[ScalarValue]) -> Result<Self, Malformed> {
        let values = row.iter().enumerate().map(|(index, value)| {
            ValueMessage::encode_value(value).ok_or_else(|| {
                Malformed(format!(
                    "parameter {} is a {}; parameters are booleans, numbers, text, binaries, dates and times",
                    index + 1,
                    value.data_type()
                ))
            })
        });
        Ok(Self {
            values: values.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn decode_row(self) -> Result<Vec<ScalarValue>, Malformed> {
        let values = self.values.into_iter().enumerate();
        values
            .map(|(index, value)| {
                value
                    .decode_value()
                    .map_err(|Malformed(reason)| Malformed(format!("parameter {}: {reason}", index + 1)))
            })
            .collect()
    }
}

impl ValueMessage {
    fn of(kind: ValueKind, value: Option<impl AsRef<[u8]>>) -> Self {
        Self {
            kind: kind.into(),
            value: value.map(|bytes| bytes.as_ref().to_vec()),
            ..Self::default()
        }
    }

    /// `None`: parameters can't have this type.
    fn encode_value(value: &ScalarValue) -> Option<Self> {
        use ScalarValue as S;
        let in_zone = |kind, value: &Option<i64>, zone: &Option<Arc<str>>| Self {
            timezone: zone.as_deref().map(str::to_owned),
            ..Self::of(kind, value.map(i64::to_le_bytes))
        };
        Some(match value {
            S::Null => Self::of(ValueKind::Null, None::<[u8; 0]>),
            S::Boolean(v) => Self::of(ValueKind::Boolean, v.map(|v| [u8::from(v)])),
            S::Int8(v) => Self::of(ValueKind::Int8, v.map(i8::to_le_bytes)),
            S::Int16(v) => Self::of(ValueKind::Int16, v.map(i16::to_le_bytes)),
            S::Int32(v) => Self::of(ValueKind::Int32, v.map(i32::to_le_bytes)),
            S::Int64(v) => Self::of(ValueKind::Int64, v.map(i64::to_le_bytes)),
            S::UInt8(v) => Self::of(ValueKind::UInt8, v.map(u8::to_le_bytes)),
            S::UInt16(v) => Self::of(ValueKind::UInt16, v.map(u16::to_le_bytes)),
            S::UInt32(v) => Self::of(ValueKind::UInt32, v.map(u32::to_le_bytes)),
            S::UInt64(v) => Self::of(ValueKind::UInt64, v.map(u64::to_le_bytes)),
            S::Float32(v) => Self::of(ValueKind::Float32, v.map(f32::to_le_bytes)),
            S::Float64(v) => Self::of(ValueKind::Float64, v.map(f64::to_le_bytes)),
            S::Decimal128(v, precision, scale) => Self {
                precision: u32::from(*precision),
                scale: i32::from(*scale),
                ..Self::of(ValueKind::Decimal128, v.map(i128::to_le_bytes))
            },
            S::Utf8(v) | S::LargeUtf8(v) | S::Utf8View(v) => Self::of(ValueKind::Text, v.as_ref()),
            S::Binary(v) | S::LargeBinary(v) | S::BinaryView(v) => Self::of(ValueKind::Binary, v.as_ref()),
            S::Date32(v) => Self::of(ValueKind::Date32, v.map(i32::to_le_bytes)),
            S::Date64(v) => Self::of(ValueKind::Date64, v.map(i64::to_le_bytes)),
            S::Time32Second(v) => Self::of(ValueKind::Time32Second, v.map(i32::to_le_bytes)),
            S::Time32Millisecond(v) => Self::of(ValueKind::Time32Millisecond, v.map(i32::to_le_bytes)),
            S::Time64Microsecond(v) => Self::of(ValueKind::Time64Microsecond, v.map(i64::to_le_bytes)),
            S::Time64Nanosecond(v) => Self::of(ValueKind::Time64Nanosecond, v.map(i64::to_le_bytes)),
            S::TimestampSecond(v, zone) => in_zone(ValueKind::TimestampSecond, v, zone),
            S::TimestampMillisecond(v, zone) => in_zone(ValueKind::TimestampMillisecond, v, zone),
            S::TimestampMicrosecond(v, zone) => in_zone(ValueKind::TimestampMicrosecond, v, zone),
            S::TimestampNanosecond(v, zone) => in_zone(ValueKind::TimestampNanosecond, v, zone),
            _ => return None,
        })
    }

    fn decode_value(self) -> Result<ScalarValue, Malformed> {
        use ScalarValue as S;
        let kind = ValueKind::try_from(self.kind).map_err(|_| Malformed(format!("unknown type {}", self.kind)))?;
        let value = self.value;
        Ok(match kind {
            ValueKind::Null => S::Null,
            ValueKind::Boolean => S::Boolean(fixed(value)?.map(|[byte]: [u8; 1]| byte != 0)),
            ValueKind::Int8 => S::Int8(fixed(value)?.map(i8::from_le_bytes)),
            ValueKind::Int16 => S::Int16(fixed(value)?.map(i16::from_le_bytes)),
            ValueKind::Int32 => S::Int32(fixed(value)?.map(i32::from_le_bytes)),
            ValueKind::Int64 => S::Int64(fixed(value)?.map(i64::from_le_bytes)),
            ValueKind::UInt8 => S::UInt8(fixed(value)?.map(u8::from_le_bytes)),
            ValueKind::UInt16 => S::UInt16(fixed(value)?.map(u16::from_le_bytes)),
            ValueKind::UInt32 => S::UInt32(fixed(value)?.map(u32::from_le_bytes)),
            ValueKind::UInt64 => S::UInt64(fixed(value)?.map(u64::from_le_bytes)),
            ValueKind::Float32 => S::Float32(fixed(value)?.map(f32::from_le_bytes)),
            ValueKind::Float64 => S::Float64(fixed(value)?.map(f64::from_le_bytes)),
            ValueKind::Decimal128 => decimal(fixed(value)?.map(i128::from_le_bytes), self.precision, self.scale)?,
            ValueKind::Text => S::Utf8(
                value
                    .map(String::from_utf8)
                    .transpose()
                    .map_err(|error| Malformed(format!("not UTF-8: {error}")))?,
            ),
            ValueKind::Binary => S::Binary(value),
            ValueKind::Date32 => S::Date32(fixed(value)?.map(i32::from_le_bytes)),
            ValueKind::Date64 => S::Date64(fixed(value)?.map(i64::from_le_bytes)),
            ValueKind::Time32Second => S::Time32Second(fixed(value)?.map(i32::from_le_bytes)),
            ValueKind::Time32Millisecond => S::Time32Millisecond(fixed(value)?.map(i32::from_le_bytes)),
            ValueKind::Time64Microsecond => S::Time64Microsecond(fixed(value)?.map(i64::from_le_bytes)),
            ValueKind::Time64Nanosecond => S::Time64Nanosecond(fixed(value)?.map(i64::from_le_bytes)),
            ValueKind::TimestampSecond => S::TimestampSecond(instant(value)?, zone(self.timezone)?),
            ValueKind::TimestampMillisecond => S::TimestampMillisecond(instant(value)?, zone(self.timezone)?),
            ValueKind::TimestampMicrosecond => S::TimestampMicrosecond(instant(value)?, zone(self.timezone)?),
            ValueKind::TimestampNanosecond => S::TimestampNanosecond(instant(value)?, zone(self.timezone)?),
        })
    }
}

fn fixed<const N: usize>(value: Option<Vec<u8>>) -> Result<Option<[u8; N]>, Malformed> {
    value
        .map(|bytes| {
            let length = bytes.len();
            <[u8; N]>::try_from(bytes).map_err(|_| Malformed(format!("{length} bytes instead of {N}")))
        })
        .transpose()
}

fn instant(value: Option<Vec<u8>>) -> Result<Option<i64>, Malformed> {
    Ok(fixed(value)?.map(i64::from_le_bytes))
}

fn zone(name: Option<String>) -> Result<Option<Arc<str>>, Malformed> {
    let Some(name) = name else { return Ok(None) };
    Tz::from_str(&name).map_err(|error| Malformed(format!("not a time zone: {error}")))?;
    Ok(Some(name.into()))
}

fn decimal(value: Option<i128>, precision: u32, scale: i32) -> Result<ScalarValue, Malformed> {
    let wrong = || {
        Malformed(format!(
            "there is no decimal type of {precision} digits and scale {scale}"
        ))
    };
    let (precision, scale) = (
        u8::try_from(precision).map_err(|_| wrong())?,
        i8::try_from(scale).map_err(|_| wrong())?,
    );
    validate_decimal_precision_and_scale::<Decimal128Type>(precision, scale).map_err(|_| wrong())?;
    if let Some(value) = value {
        Decimal128Type::validate_decimal_precision(value, precision, scale)
            .map_err(|error| Malformed(error.to_string()))?;
    }
    Ok(ScalarValue::Decimal128(value, precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_values_are_refused() {
        let cases = [
            (ValueKind::Int64, Some(vec![1]), "1 bytes instead of 8"),
            (ValueKind::Text, Some(vec![0xff]), "not UTF-8"),
            (ValueKind::Decimal128, None, "there is no decimal type of 0 digits"),
        ];
        for (kind, value, reason) in cases {
            let Malformed(text) = ValueMessage::of(kind, value).decode_value().unwrap_err();
            assert!(text.contains(reason), "{text}");
        }
        let too_large = ValueMessage {
            precision: 2,
            ..ValueMessage::of(ValueKind::Decimal128, Some(100_i128.to_le_bytes()))
        };
        assert!(too_large.decode_value().is_err());
        let nowhere = ValueMessage {
            timezone: Some("Mars/Olympus".into()),
            ..ValueMessage::of(ValueKind::TimestampSecond, Some([0; 8]))
        };
        assert!(nowhere.decode_value().is_err());
        let unknown = ValueMessage {
            kind: 99,
            ..ValueMessage::default()
        };
        assert!(unknown.decode_value().is_err());
    }
}
