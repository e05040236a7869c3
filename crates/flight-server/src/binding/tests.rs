use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Int32Type};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::SchemaAsIpc;
use arrow_flight::utils::batches_to_flight_data;
use proptest::prelude::*;

use super::*;

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let named = columns.into_iter().enumerate();
    RecordBatch::try_from_iter_with_nullable(named.map(|(index, column)| (index.to_string(), column, true))).unwrap()
}

fn messages(batch: &RecordBatch) -> Vec<FlightData> {
    batches_to_flight_data(&batch.schema(), vec![batch.clone()]).unwrap()
}

fn bind(messages: &[FlightData]) -> Result<Vec<Vec<ScalarValue>>, Malformed> {
    let mut binding = Binding::default();
    for message in messages {
        binding.push(message)?;
    }
    binding.finish()
}

fn refusal(messages: &[FlightData]) -> String {
    bind(messages).unwrap_err().0
}

fn all_kinds() -> RecordBatch {
    batch(vec![
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
        Arc::new(StringViewArray::from(vec![
            "short",
            "a text that is too long to be inlined",
            "",
        ])),
        Arc::new(LargeStringArray::from(vec!["x", "y", "z"])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC")),
        Arc::new(NullArray::new(3)),
    ])
}

#[test]
fn rows_keep_column_order() {
    let rows = bind(&messages(&all_kinds())).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][0], ScalarValue::Int64(Some(1)));
    assert_eq!(rows[1][0], ScalarValue::Int64(None));
    assert_eq!(
        rows[1][2],
        ScalarValue::Utf8View(Some("a text that is too long to be inlined".into()))
    );
    assert_eq!(
        rows[2][5],
        ScalarValue::TimestampMicrosecond(Some(3), Some("UTC".into()))
    );
    assert_eq!(rows[0][6], ScalarValue::Null);
}

#[test]
fn batches_are_appended_in_order() {
    let mut twice = messages(&all_kinds());
    twice.push(twice[1].clone());
    assert_eq!(bind(&twice).unwrap().len(), 6);
}

#[test]
fn unbound_parameters_have_no_rows() {
    assert_eq!(bind(&[]), Ok(vec![]));
    assert_eq!(bind(&[FlightData::new()]), Ok(vec![]));
    let no_columns = messages(&RecordBatch::new_empty(Arc::new(Schema::empty())));
    assert_eq!(bind(&no_columns), Ok(vec![]));
}

#[test]
fn columns_without_rows_are_refused() {
    let empty = batch(vec![Arc::new(Int64Array::from(Vec::<i64>::new()))]);
    assert!(refusal(&messages(&empty)).contains("no row of values"));
}

#[test]
fn unsupported_parameter_is_refused_by_index() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)])]);
    let text = refusal(&messages(&batch(vec![
        Arc::new(Int64Array::from(vec![1])),
        Arc::new(list),
    ])));
    assert!(text.starts_with("parameter 2 is of type List"), "{text}");

    let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let schema = Schema::new(vec![Field::new("0", dictionary, true)]);
    let encoded = SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).into();
    assert!(refusal(&[encoded]).starts_with("parameter 1"));
}

#[test]
fn too_many_rows_are_refused() {
    let many = batch(vec![Arc::new(Int64Array::from(vec![0; MAX_ROWS + 1]))]);
    assert!(refusal(&messages(&many)).contains("1000 are allowed"));
    let mut twice = messages(&batch(vec![Arc::new(Int64Array::from(vec![0; MAX_ROWS]))]));
    twice.push(twice[1].clone());
    assert!(refusal(&twice).contains("more than 1000 rows"));
}

#[test]
fn too_many_null_values_are_refused() {
    let columns: Vec<ArrayRef> = std::iter::repeat_n(
        Arc::new(NullArray::new(MAX_ROWS)) as ArrayRef,
        MAX_VALUES / MAX_ROWS + 1,
    )
    .collect();
    assert_eq!(bind(&messages(&batch(columns))), Err(too_many_values()));
}

#[test]
fn too_many_bytes_are_refused() {
    let long = batch(vec![Arc::new(StringArray::from(vec!["x".repeat(MAX_HANDLE_BYTES)]))]);
    assert!(refusal(&messages(&long)).contains("more than 1048576 bytes"));
}

#[test]
fn messages_out_of_order_are_refused() {
    let given = messages(&all_kinds());
    assert!(refusal(&given[1..]).contains("no schema"));
    assert!(refusal(&[given[0].clone(), given[0].clone()]).contains("two schemas"));
}

#[test]
fn truncated_body_is_refused() {
    let mut given = messages(&all_kinds());
    given[1].data_body = given[1].data_body.slice(..8);
    assert!(refusal(&given).contains("outside of the body"));
}

#[test]
fn compressed_parameters_are_refused_before_decompression() {
    let plain = batch(vec![Arc::new(Int64Array::from(vec![1; 100]))]);
    let options = IpcWriteOptions::default()
        .try_with_compression(Some(CompressionType::ZSTD))
        .unwrap();
    let encoded = IpcDataGenerator::default().encode(
        &plain,
        &mut DictionaryTracker::new(false),
        &options,
        &mut IpcWriteContext::default(),
    );
    // Without the codec, Arrow can't write it; then there is nothing to decompress either.
    if let Ok((_, encoded)) = encoded {
        let compressed = [messages(&plain)[0].clone(), encoded.into()];
        assert!(refusal(&compressed).contains("compressed"));
    }
}

proptest! {
    #[test]
    fn damaged_messages_never_panic(
        which in 0..2_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_body in any::<bool>(),
    ) {
        let mut given = messages(&all_kinds());
        let message = &mut given[which];
        let part = if in_body { &mut message.data_body } else { &mut message.data_header };
        let mut bytes = part.to_vec();
        if !bytes.is_empty() {
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        *part = bytes.into();
        let _ = bind(&given);
    }
}
