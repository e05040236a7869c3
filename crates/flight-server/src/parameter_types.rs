//! The parameter types announced to clients, chosen so that JDBC's driver fills them correctly.
//!
//! The driver (18 and 19) writes the same number into a vector of any unit: milliseconds for `setTimestamp` and
//! `setTime`, days for `setDate`. `setBigDecimal` fails unless the scale is exactly the vector's, and a vector without
//! a type takes no value at all. A bound value is cast to the type that the statement expects, exactly or not at all,
//! so other clients may bind other types.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

pub(crate) fn announced(inferred: Vec<Field>) -> Schema {
    let fields = inferred
        .into_iter()
        .map(|field| Field::new(field.name(), fillable(field.data_type()), true));
    Schema::new(fields.collect::<Vec<_>>())
}

fn fillable(inferred: &DataType) -> DataType {
    match inferred {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Date64 => DataType::Date32,
        // Every numeric setter fills it. A double that does not hold all digits is refused when it is bound.
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..)
        | DataType::Float16
        | DataType::Float32 => DataType::Float64,
        // The type is unknown, or the driver has none: text is read as any type.
        DataType::Null | DataType::Interval(_) | DataType::Duration(_) => DataType::Utf8,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_types_suit_jdbc() {
        let utc = || Some("UTC".into());
        for (inferred, told) in [
            (
                DataType::Timestamp(TimeUnit::Microsecond, utc()),
                DataType::Timestamp(TimeUnit::Millisecond, utc()),
            ),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                DataType::Timestamp(TimeUnit::Millisecond, None),
            ),
            (
                DataType::Time64(TimeUnit::Nanosecond),
                DataType::Time32(TimeUnit::Millisecond),
            ),
            (DataType::Date64, DataType::Date32),
            (DataType::Decimal128(18, 4), DataType::Float64),
            (DataType::Null, DataType::Utf8),
            (DataType::Int64, DataType::Int64),
            (DataType::Boolean, DataType::Boolean),
        ] {
            let schema = announced(vec![Field::new("1", inferred.clone(), true)]);
            assert_eq!(schema.field(0), &Field::new("1", told, true), "{inferred}");
        }
    }
}
