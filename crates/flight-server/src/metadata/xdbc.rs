//! The SQL types, for ODBC.

use arrow::array::RecordBatch;
use arrow_flight::error::Result;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// All types, or those of one code.
pub(super) fn answer(data_type: Option<i32>) -> Result<RecordBatch> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    types.append(of("BOOLEAN", XdbcDataType::XdbcBit, 1));
    types.append(whole("TINYINT", XdbcDataType::XdbcTinyint, 8, false));
    types.append(whole("SMALLINT", XdbcDataType::XdbcSmallint, 16, false));
    types.append(whole("INTEGER", XdbcDataType::XdbcInteger, 32, false));
    types.append(whole("BIGINT", XdbcDataType::XdbcBigint, 64, false));
    types.append(whole("BIGINT UNSIGNED", XdbcDataType::XdbcBigint, 64, true));
    types.append(binary_fraction("REAL", XdbcDataType::XdbcReal, 24));
    types.append(binary_fraction("DOUBLE", XdbcDataType::XdbcDouble, 53));
    types.append(XdbcTypeInfo {
        create_params: Some(vec!["precision".into(), "scale".into()]),
        fixed_prec_scale: true,
        unsigned_attribute: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(38),
        num_prec_radix: Some(10),
        ..of("DECIMAL", XdbcDataType::XdbcDecimal, 38)
    });
    types.append(XdbcTypeInfo {
        case_sensitive: true,
        ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, "'")
    });
    types.append(quoted("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX, "X'"));
    types.append(quoted("DATE", XdbcDataType::XdbcDate, 10, "DATE '"));
    types.append(quoted("TIME", XdbcDataType::XdbcTime, 18, "TIME '"));
    types.append(XdbcTypeInfo {
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        ..quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, 29, "TIMESTAMP '")
    });
    types.build()?.record_batch(data_type)
}

fn of(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        data_type,
        sql_data_type: data_type,
        column_size: Some(size),
        local_type_name: Some(name.into()),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        ..XdbcTypeInfo::default()
    }
}

fn whole(name: &str, data_type: XdbcDataType, bits: i32, unsigned: bool) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(unsigned),
        auto_increment: Some(false),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        num_prec_radix: Some(2),
        ..of(name, data_type, bits)
    }
}

fn binary_fraction(name: &str, data_type: XdbcDataType, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(2),
        ..of(name, data_type, bits)
    }
}

fn quoted(name: &str, data_type: XdbcDataType, size: i32, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(prefix.into()),
        literal_suffix: Some("'".into()),
        ..of(name, data_type, size)
    }
}
