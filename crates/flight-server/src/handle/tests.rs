use arrow_flight::FlightEndpoint;
use arrow_flight::sql::CommandStatementQuery;
use proptest::prelude::*;

use super::*;

fn statement(row: Vec<ScalarValue>) -> Statement {
    Statement {
        rows: vec![row],
        ..Statement::new("SELECT $1")
    }
}

fn round_trip(value: ScalarValue) -> ScalarValue {
    let handle = statement(vec![value]).encode().unwrap();
    let mut decoded = Statement::decode(&handle).unwrap();
    decoded.rows.pop().and_then(|mut row| row.pop()).unwrap()
}

#[test]
fn values_and_nulls_round_trip() {
    use ScalarValue as S;
    let utc = Some("UTC".into());
    let values = [
        S::Null,
        S::Boolean(Some(true)),
        S::Boolean(None),
        S::Int8(Some(i8::MIN)),
        S::Int16(Some(i16::MIN)),
        S::Int32(Some(i32::MIN)),
        S::Int64(Some(i64::MIN)),
        S::Int64(None),
        S::UInt8(Some(u8::MAX)),
        S::UInt16(Some(u16::MAX)),
        S::UInt32(Some(u32::MAX)),
        S::UInt64(Some(u64::MAX)),
        S::Float32(Some(0.1)),
        S::Float64(Some(0.1)),
        S::Decimal128(Some(-12_345), 18, 4),
        S::Decimal128(None, 38, -2),
        S::Utf8(Some("é".into())),
        S::Utf8(Some(String::new())),
        S::Utf8(None),
        S::Binary(Some(vec![0, 255])),
        S::Date32(Some(-1)),
        S::Date64(Some(86_400_000)),
        S::Time32Second(Some(1)),
        S::Time32Millisecond(Some(1)),
        S::Time64Microsecond(Some(1)),
        S::Time64Nanosecond(Some(1)),
        S::TimestampSecond(Some(1), None),
        S::TimestampMillisecond(Some(1), Some("+05:45".into())),
        S::TimestampMicrosecond(Some(1), utc),
        S::TimestampNanosecond(None, Some("Asia/Kathmandu".into())),
    ];
    for value in values {
        assert_eq!(round_trip(value.clone()), value);
    }
}

#[test]
fn text_and_binary_variants_are_normalized() {
    use ScalarValue as S;
    for text in [S::LargeUtf8(Some("a".into())), S::Utf8View(Some("a".into()))] {
        assert_eq!(round_trip(text), S::Utf8(Some("a".into())));
    }
    for binary in [S::LargeBinary(Some(vec![1])), S::BinaryView(Some(vec![1]))] {
        assert_eq!(round_trip(binary), S::Binary(Some(vec![1])));
    }
}

#[test]
fn unsupported_value_is_refused_by_index() {
    let row = vec![ScalarValue::Null, ScalarValue::DurationSecond(Some(1))];
    let Malformed(text) = statement(row).encode().unwrap_err();
    assert!(text.starts_with("parameter 2 is a Duration"), "{text}");
}

#[test]
fn handle_size_is_bounded() {
    let long = Statement::new("x".repeat(MAX_HANDLE_BYTES + 1));
    assert!(long.encode().unwrap_err().0.contains("1048576 are allowed"));
    assert!(Statement::decode(&vec![0; MAX_HANDLE_BYTES + 1]).is_err());
    let many = Statement {
        rows: vec![vec![]; MAX_ROWS + 1],
        ..Statement::new("SELECT 1")
    };
    assert!(Statement::decode(&many.encode().unwrap()).is_err());
}

#[test]
fn values_are_counted_before_allocation() {
    let nulls = vec![ScalarValue::Null; MAX_VALUES];
    let row = |values: usize| Statement {
        rows: vec![nulls[..values].to_vec()],
        ..Statement::new("SELECT 1")
    };
    let decode = |values| Statement::decode(&row(values).encode().unwrap());
    assert_eq!(decode(MAX_VALUES - 1), Ok(row(MAX_VALUES - 1)));
    assert_eq!(decode(MAX_VALUES), Err(too_many_values()), "a row counts too");
    assert!(
        command(&vec![0; MAX_COMMAND_BYTES + 1])
            .unwrap_err()
            .0
            .contains("allowed")
    );
}

#[test]
fn flight_info_carries_statement() {
    let given = Statement {
        run: 42,
        ..Statement::new("SELECT 1")
    };
    let info = FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(given.ticket().unwrap()));
    assert_eq!(promised(&info), Ok(given));

    assert!(promised(&FlightInfo::new()).is_err());
    let other = CommandStatementQuery::default().as_any().encode_to_vec();
    let info = FlightInfo::new().with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(other)));
    assert!(promised(&info).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Statement::decode(&bytes);
        let _ = command(&bytes);
    }

    #[test]
    fn damaged_handle_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let row = vec![
            ScalarValue::Int64(Some(1)),
            ScalarValue::Decimal128(Some(1), 10, 2),
            ScalarValue::TimestampMicrosecond(Some(1), Some("UTC".into())),
        ];
        let mut handle = statement(row).encode().unwrap().to_vec();
        let at = at.index(handle.len());
        handle[at] = byte;
        let _ = Statement::decode(&handle);
    }
}
