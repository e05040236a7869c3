use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, LargeStringArray, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow_flight::SchemaResult;
use arrow_flight::sql::CommandGetTables;

use super::*;

/// As ADBC names them: "0", "1"…
fn parameters(columns: Vec<ArrayRef>) -> RecordBatch {
    let named = columns.into_iter().enumerate();
    RecordBatch::try_from_iter_with_nullable(named.map(|(index, column)| (index.to_string(), column, true))).unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn number(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

async fn run(client: &mut Client, sql: &str, bound: Vec<ArrayRef>) -> Result<Vec<String>, Status> {
    let mut statement = client.prepare(sql.to_owned(), None).await.map_err(Status::from)?;
    if !bound.is_empty() {
        statement.set_parameters(parameters(bound)).unwrap();
    }
    let info = statement.execute().await.map_err(Status::from)?;
    Ok(lines(&fetch(client, info).await?))
}

#[tokio::test]
async fn prepared_statement_describes_columns_and_parameters() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT client_id FROM events WHERE event_type = ? AND event_timestamp > ?";
    let statement = client.prepare(sql.into(), None).await.unwrap();
    assert_eq!(statement.dataset_schema().unwrap().field(0).name(), "client_id");
    let parameters = statement.parameter_schema().unwrap();
    assert_eq!(parameters.fields().len(), 2);
    assert_eq!(parameters.field(0).data_type(), &DataType::Utf8);

    let statement = client.prepare("SELECT $1".into(), None).await.unwrap();
    assert_eq!(
        statement.parameter_schema().unwrap().field(0).data_type(),
        &DataType::Utf8
    );
}

#[tokio::test]
async fn announced_parameter_types_suit_jdbc() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql =
        "SELECT 1 FROM events WHERE event_timestamp > ? AND revenue > ? AND ? IS NULL AND CAST(? AS TIME) IS NULL";
    let statement = client.prepare(sql.into(), None).await.unwrap();
    let parameters = statement.parameter_schema().unwrap();
    let types: Vec<_> = parameters.fields().iter().map(|field| field.data_type()).collect();
    let millis = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    assert_eq!(
        types,
        [
            &millis,
            &DataType::Float64,
            &DataType::Utf8,
            &DataType::Time32(TimeUnit::Millisecond)
        ]
    );
    // Values of the announced type can be bound, and so can values of the column's own type.
    let day = 1_793_577_600_000_000;
    let sql = "SELECT count(*) FROM events WHERE event_timestamp > ?";
    let millis = TimestampMillisecondArray::from(vec![day / 1000 + 90_000]).with_timezone("UTC");
    assert_eq!(run(&mut client, sql, vec![Arc::new(millis)]).await.unwrap(), ["2"]);
    let micros = TimestampMicrosecondArray::from(vec![day + 90_000_000]).with_timezone("UTC");
    assert_eq!(run(&mut client, sql, vec![Arc::new(micros)]).await.unwrap(), ["2"]);
}

#[tokio::test]
async fn java_timestamps_have_no_zone() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    client.set_header("user-agent", "grpc-java-netty/1.71.0");
    let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
    let sql = "SELECT event_timestamp FROM events ORDER BY 1";
    let mut statement = client.prepare(sql.into(), None).await.unwrap();
    assert_eq!(statement.dataset_schema().unwrap().field(0).data_type(), &plain);
    let info = statement.execute().await.unwrap();
    let rows = fetch(&mut client, info).await.unwrap();
    assert_eq!(rows[0].schema().field(0).data_type(), &plain);
    assert_eq!(lines(&rows)[0], "2026-11-02T00:01:00");
    let query = CommandGetTables {
        include_schema: true,
        ..CommandGetTables::default()
    };
    let info = client.get_tables(query).await.unwrap();
    let tables = fetch(&mut client, info).await.unwrap();
    let schema = tables[0].column(4).as_binary::<i32>().value(0).to_vec();
    let columns = Schema::try_from(SchemaResult { schema: schema.into() }).unwrap();
    let column = columns.field_with_name("event_timestamp").unwrap();
    assert_eq!(column.data_type(), &plain);
}

#[tokio::test]
async fn parameters_bind_by_position() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT client_id FROM events WHERE event_type = ? AND client_id <> ?";
    let bound = vec![text(&["pageview"]), text(&["ann"])];
    assert_eq!(run(&mut client, sql, bound).await.unwrap(), ["bob"]);
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["click"]));
    let sql = "SELECT client_id FROM events WHERE event_type = $1";
    assert_eq!(run(&mut client, sql, vec![large]).await.unwrap(), ["ann"]);
}

#[tokio::test]
async fn twelve_parameters_keep_their_order() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let marks = (1..=12)
        .map(|n| format!("CAST(${n} AS BIGINT) AS c{n}"))
        .collect::<Vec<_>>();
    let sql = format!("SELECT {}", marks.join(", "));
    let bound = (1..=12).map(number).collect();
    assert_eq!(
        run(&mut client, &sql, bound).await.unwrap(),
        ["1 2 3 4 5 6 7 8 9 10 11 12"]
    );
}

#[tokio::test]
async fn bound_value_sets_column_type() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    assert_eq!(run(&mut client, "SELECT ? AS x", vec![number(7)]).await.unwrap(), ["7"]);
    assert_eq!(
        run(&mut client, "SELECT ? AS x", vec![text(&["seven"])]).await.unwrap(),
        ["seven"]
    );
}

#[tokio::test]
async fn parameter_rows_run_statement_once_each() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT event_type, count(*) FROM events WHERE client_id = ? GROUP BY 1 ORDER BY 1";
    let rows = run(&mut client, sql, vec![text(&["bob", "nobody", "ann"])])
        .await
        .unwrap();
    assert_eq!(rows, ["pageview 1", "click 1", "pageview 1"]);
}

#[tokio::test]
async fn mismatched_parameters_are_refused() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT client_id FROM events WHERE event_type = ? AND client_id = ?";
    let refused = run(&mut client, sql, vec![]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("2 parameters"), "{refused}");
    let refused = run(&mut client, sql, vec![text(&["a"])]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let wrong: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let refused = run(&mut client, "SELECT 1 WHERE CAST(1 AS BIGINT) = $1", vec![wrong])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn statement_is_rerun_with_other_parameters() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT count(*) FROM events WHERE client_id = ?";
    let mut statement = client.prepare(sql.into(), None).await.unwrap();
    for (client_id, count) in [("ann", "2"), ("bob", "1")] {
        statement.set_parameters(parameters(vec![text(&[client_id])])).unwrap();
        let info = statement.execute().await.unwrap();
        assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), [count]);
    }
}

#[tokio::test]
async fn fetch_after_close_succeeds() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let mut statement = client
        .prepare("SELECT count(*) FROM events".into(), None)
        .await
        .unwrap();
    let info = statement.execute().await.unwrap();
    statement.close().await.unwrap();
    assert_eq!(lines(&fetch(&mut client, info).await.unwrap()), ["3"]);
}

#[tokio::test]
async fn handle_grants_no_access() {
    let server = Server::start().await;
    let mut admin = server.client(&server.admin);
    let mut statement = admin
        .prepare("SELECT count(*) FROM events WHERE 1 = ?".into(), None)
        .await
        .unwrap();
    let one: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    statement.set_parameters(parameters(vec![one])).unwrap();
    let info = statement.execute().await.unwrap();
    assert_eq!(lines(&fetch(&mut admin, info.clone()).await.unwrap()), ["5"]);
    assert_eq!(
        lines(&fetch(&mut server.client(&server.acme), info).await.unwrap()),
        ["3"]
    );
}
