//! The examples of docs/sessions.md.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::Schema;
use footfall_model::hash::client_hash;
use footfall_model::schema::event_file;

use super::session_lake;
use crate::tests::documented::{assert_examples, block};

const PAGE: &str = include_str!("../../../../../docs/sessions.md");

/// The rows of the page's block of events.
fn documented_rows() -> RecordBatch {
    let file = event_file();
    let csv = block(PAGE, "csv");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let fields: Vec<_> = header
        .iter()
        .map(|name| file.field_with_name(name).unwrap().clone())
        .collect();
    let reader = ReaderBuilder::new(Arc::new(Schema::new(fields))).with_header(true);
    let known = reader.build(csv.as_bytes()).unwrap().next().unwrap().unwrap();
    let clients = known.column_by_name("client_id").unwrap().as_string::<i32>();
    let text = |of: &dyn Fn(usize, &str) -> String| -> ArrayRef {
        let rows = clients.iter().flatten().enumerate();
        Arc::new(StringArray::from_iter_values(rows.map(|(row, client)| of(row, client))))
    };
    let columns = file.fields().iter().map(|field| match field.name().as_str() {
        name if known.column_by_name(name).is_some() => known.column_by_name(name).unwrap().clone(),
        "tracking_id" => text(&|_, _| "shop".into()),
        "event_id" => text(&|row, _| row.to_string()),
        "client_hash" => {
            let hashes = clients
                .iter()
                .flatten()
                .map(|client| client_hash("shop", client).cast_signed());
            Arc::new(Int64Array::from_iter_values(hashes))
        }
        "created_at" => known.column_by_name("event_timestamp").unwrap().clone(),
        "is_bot" => Arc::new(BooleanArray::from(vec![false; known.num_rows()])),
        _ => new_null_array(field.data_type(), known.num_rows()),
    });
    RecordBatch::try_new(Arc::clone(&file), columns.collect()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_examples_give_the_results_shown() {
    let mut lake = session_lake(2).await;
    lake.write(&documented_rows()).await;
    lake.merge_day(20_757).await;
    assert_examples(PAGE, &lake.engine).await;
}
