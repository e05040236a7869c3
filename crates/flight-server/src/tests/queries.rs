use arrow::datatypes::{DataType, Schema};
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor};
use futures::{StreamExt, TryStreamExt};
use prost::Message;

use super::*;

/// Many rows, a long time: no test reads to its end.
const ENDLESS: &str = "SELECT a.value FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";

fn descriptor(sql: &str) -> FlightDescriptor {
    let command = CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

#[tokio::test]
async fn rows_match_flight_info_schema() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT event_type, count(*) AS n FROM events GROUP BY 1 ORDER BY n DESC";
    assert_eq!(table(&mut client, sql).await, ["pageview 2", "click 1"]);
    // `fetch` compares the schemas; here are all columns of the table, and types that a planner derives.
    for sql in [
        "SELECT * FROM events",
        "SELECT 1, 'a', NULL, now(), DATE '2026-01-01', CAST(2 AS DECIMAL(10, 2)) AS d, [1, 2], X'00'",
        "SELECT sum(revenue), max(event_timestamp), count(DISTINCT client_id) FROM events",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
    ] {
        query(&mut client, sql).await.unwrap();
    }
}

#[tokio::test]
async fn empty_result_has_schema() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let batches = query(&mut client, "SELECT client_id FROM events WHERE false")
        .await
        .unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

#[tokio::test]
async fn columns_are_plain_types() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT arrow_cast('a', 'Utf8View') AS v, arrow_cast('a', 'Dictionary(Int32, Utf8)') AS d, \
               upper(event_type) AS u FROM events";
    let batches = query(&mut client, sql).await.unwrap();
    for field in batches[0].schema().fields() {
        assert_eq!(field.data_type(), &DataType::Utf8, "{}", field.name());
    }
}

#[tokio::test]
async fn messages_stay_below_size_limit() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT repeat('x', CASE WHEN value > 3000 THEN 4000 ELSE 1 END) FROM generate_series(1, 4000)";
    let info = client.execute(sql.into(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let messages = server
        .raw()
        .do_get(with_token(ticket, &server.acme))
        .await
        .unwrap()
        .into_inner();
    let sizes: Vec<usize> = messages
        .map_ok(|message| message.encoded_len())
        .try_collect()
        .await
        .unwrap();
    assert!(sizes.len() > 4);
    assert!(sizes.iter().all(|size| *size < (1 << 20) + 4096), "{sizes:?}");
}

#[tokio::test]
async fn dropped_stream_stops_statement() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    rows.next().await.unwrap().unwrap();
    assert_eq!(server.running.count(), 1);
    drop(rows);
    server.idle().await;
}

async fn cancel(server: &Server, token: &str, info: &FlightInfo) -> CancelStatus {
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let action = with_token(Action::new("CancelFlightInfo", body), token);
    let mut results = server.raw().do_action(action).await.unwrap().into_inner();
    let result = results.try_next().await.unwrap().unwrap();
    CancelFlightInfoResult::decode(result.body).unwrap().status()
}

#[tokio::test]
async fn cancel_ends_running_statement() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    assert_eq!(cancel(&server, &server.acme, &info).await, CancelStatus::NotCancellable);
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    rows.next().await.unwrap().unwrap();

    assert_eq!(cancel(&server, &server.acme, &info).await, CancelStatus::Cancelled);
    let end = loop {
        match rows.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Status::from(error),
            None => panic!("a cancelled statement ended as if it were whole"),
        }
    };
    assert_eq!(end.code(), Code::Cancelled);
    server.idle().await;
}

#[tokio::test]
async fn get_schema_and_poll_do_not_run_statement() {
    let server = Server::start().await;
    let mut raw = server.raw();
    let asked = descriptor("SELECT client_id, 1 AS one FROM events");
    let schema = raw.get_schema(with_token(asked.clone(), &server.acme)).await.unwrap();
    let schema = Schema::try_from(schema.into_inner()).unwrap();
    let poll = raw
        .poll_flight_info(with_token(asked, &server.acme))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((poll.progress, poll.flight_descriptor), (Some(1.0), None));
    let info = poll.info.unwrap();
    assert_eq!(info.clone().try_decode_schema().unwrap(), schema);
    let rows = fetch(&mut server.client(&server.acme), info).await.unwrap();
    assert_eq!(rows[0].num_rows(), 3);
}

#[tokio::test]
async fn query_errors_map_to_grpc_codes() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let cases = [
        ("SELEKT 1", Code::InvalidArgument),
        ("", Code::InvalidArgument),
        ("SELECT 1; SELECT 2", Code::InvalidArgument),
        ("SELECT * FROM nowhere", Code::NotFound),
        ("SELECT nothing FROM events", Code::NotFound),
    ];
    for (sql, code) in cases {
        let refused = client
            .execute(sql.into(), None)
            .await
            .map_err(Status::from)
            .unwrap_err();
        assert_eq!(refused.code(), code, "{sql}: {}", refused.message());
    }
}

#[tokio::test]
async fn mid_stream_error_keeps_code() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let sql = "SELECT CAST(client_id AS BIGINT) FROM events";
    let info = client.execute(sql.into(), None).await.unwrap();
    let refused = fetch(&mut client, info).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}
