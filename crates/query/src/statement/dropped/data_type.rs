//! Lengths, widths and zones of types.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, StructField, TimezoneInfo,
};

use super::{Checked, absent, refused};

/// VARCHAR(n) and TIMESTAMP WITH TIME ZONE occur here only where `rewrite` could not express them.
pub(super) fn data_type(of: &DataType) -> Checked {
    match of {
        DataType::Varchar(Some(CharacterLength::IntegerLength { length: _, unit: _ })) => {
            refused(of, "write VARCHAR, or left(…, n) for the first n characters")
        }
        DataType::Varchar(None | Some(CharacterLength::Max)) => Ok(()),
        DataType::Char(length) => absent(length.is_some(), of, "write VARCHAR(n); text is not padded with blanks"),
        DataType::String(length) => absent(length.is_some(), of, "write VARCHAR(n)"),
        DataType::TinyInt(width)
        | DataType::SmallInt(width)
        | DataType::Int2(width)
        | DataType::Int(width)
        | DataType::Integer(width)
        | DataType::Int4(width)
        | DataType::BigInt(width)
        | DataType::Int8(width)
        | DataType::TinyIntUnsigned(width)
        | DataType::SmallIntUnsigned(width)
        | DataType::Int2Unsigned(width)
        | DataType::IntUnsigned(width)
        | DataType::IntegerUnsigned(width)
        | DataType::Int4Unsigned(width)
        | DataType::BigIntUnsigned(width)
        | DataType::Int8Unsigned(width) => absent(width.is_some(), of, "write the type without a width"),
        DataType::Float(precision) => absent(
            *precision != ExactNumberInfo::None,
            of,
            "write REAL (24 bits) or DOUBLE (53 bits)",
        ),
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => refused(
            of,
            "write CAST(… AS TIMESTAMP WITH TIME ZONE), or TIMESTAMP and then AT TIME ZONE 'UTC'",
        ),
        DataType::Array(ArrayElemTypeDef::AngleBracket(item) | ArrayElemTypeDef::Parenthesis(item)) => data_type(item),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => data_type(item),
        DataType::Struct(fields, _) => fields.iter().try_for_each(|field| {
            let StructField {
                field_name: _,
                field_type,
                options,
            } = field;
            absent(options.is_some(), "OPTIONS of a struct's field", "leave it out")?;
            data_type(field_type)
        }),
        // The planner honours them completely, or refuses them by name.
        _ => Ok(()),
    }
}
