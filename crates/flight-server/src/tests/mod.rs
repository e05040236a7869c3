//! The server as clients see it: a real catalog, a real engine over a small lake, a real connection.

mod auth;
mod metadata;
mod prepared;
mod protocol;
mod queries;
mod refusals;
mod server;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::FlightInfo;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use server::Server;

type Client = FlightSqlServiceClient<Channel>;

/// `message` with a Bearer token.
fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// The rows that a `FlightInfo` promises; its schema has to be the stream's.
async fn fetch(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, Status> {
    let [endpoint] = info.endpoint.as_slice() else {
        panic!("{} endpoints, but clients read one", info.endpoint.len());
    };
    assert!(endpoint.location.is_empty(), "the endpoint is this server");
    assert_eq!(info.total_records, -1);
    let ticket = endpoint.ticket.clone().unwrap();
    let promised = info.try_decode_schema().unwrap();
    let mut rows = client.do_get(ticket).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        batches.push(batch);
    }
    assert_eq!(rows.schema().map(|schema| (**schema).clone()), Some(promised));
    Ok(batches)
}

async fn query(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, Status> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, info).await
}

/// Rows as a table of text.
async fn table(client: &mut Client, sql: &str) -> Vec<String> {
    lines(&query(client, sql).await.unwrap())
}

fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let rows = text.lines().filter(|line| !line.starts_with('+')).skip(1);
    let bare = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ")
    };
    rows.map(bare).collect()
}

type Raw = FlightServiceClient<Channel>;
