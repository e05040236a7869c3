use arrow_flight::sql::{
    ActionBeginTransactionRequest, Command, CommandStatementIngest, CommandStatementQuery,
    CommandStatementSubstraitPlan, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use futures::stream;
use prost::Message;

use super::*;

const CHANGES: [&str; 8] = [
    "CREATE TABLE t (a INT)",
    "DROP TABLE events",
    "INSERT INTO events VALUES (1)",
    "DELETE FROM events",
    "UPDATE events SET event_type = 'x'",
    "COPY events TO '/tmp/x.parquet'",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "SET datafusion.execution.batch_size = 1",
];

async fn put(server: &Server, command: Command) -> Status {
    let descriptor = FlightDescriptor::new_cmd(command.into_any().encode_to_vec());
    let message = FlightData::new().with_descriptor(descriptor);
    let request = with_token(stream::iter([message]), &server.admin);
    server.raw().do_put(request).await.unwrap_err()
}

#[tokio::test]
async fn ddl_and_dml_are_refused_everywhere() {
    let server = Server::start().await;
    let mut client = server.client(&server.admin);
    for sql in CHANGES {
        let prepared = client
            .prepare(sql.into(), None)
            .await
            .map_err(Status::from)
            .unwrap_err();
        assert_eq!(prepared.code(), Code::PermissionDenied, "{sql}: {prepared}");
        let asked = client
            .execute(sql.into(), None)
            .await
            .map_err(Status::from)
            .unwrap_err();
        assert_eq!(asked.code(), Code::PermissionDenied, "{sql}: {asked}");
        let update = CommandStatementUpdate {
            query: sql.into(),
            transaction_id: None,
        };
        let refused = put(&server, Command::CommandStatementUpdate(update)).await;
        assert_eq!(refused.code(), Code::PermissionDenied, "{sql}: {refused}");
        assert!(refused.message().contains("read-only"), "{refused}");
    }
}

#[tokio::test]
async fn query_is_refused_as_update() {
    let server = Server::start().await;
    let update = CommandStatementUpdate {
        query: "SELECT 1".into(),
        transaction_id: None,
    };
    let refused = put(&server, Command::CommandStatementUpdate(update)).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    let mut client = server.client(&server.admin);
    let mut statement = client.prepare("SELECT 1".into(), None).await.unwrap();
    let refused = statement.execute_update().await.map_err(Status::from).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn unsupported_calls_are_unimplemented_with_hint() {
    let server = Server::start().await;
    let ingest = put(
        &server,
        Command::CommandStatementIngest(CommandStatementIngest::default()),
    )
    .await;
    assert_eq!(ingest.code(), Code::Unimplemented);
    assert!(ingest.message().contains("POST /api/v1/events"), "{ingest}");
    let plan = CommandStatementSubstraitPlan::default();
    let substrait = put(&server, Command::CommandStatementSubstraitPlan(plan.clone())).await;
    assert_eq!(substrait.code(), Code::Unimplemented);
    let asked = with_token(FlightDescriptor::new_cmd(plan.as_any().encode_to_vec()), &server.admin);
    assert_eq!(
        server.raw().get_flight_info(asked).await.unwrap_err().code(),
        Code::Unimplemented
    );

    let transaction = server
        .client(&server.admin)
        .begin_transaction()
        .await
        .map_err(Status::from)
        .unwrap_err();
    assert_eq!(transaction.code(), Code::Unimplemented);
    assert!(transaction.message().contains("no transactions"), "{transaction}");
    let body = ActionBeginTransactionRequest {}.as_any().encode_to_vec();
    for name in ["EndTransaction", "BeginSavepoint", "RenewFlightEndpoint", "Dance"] {
        let action = with_token(Action::new(name, body.clone()), &server.admin);
        let refused = server.raw().do_action(action).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{name}");
    }
}

#[tokio::test]
async fn statement_in_transaction_is_refused() {
    let server = Server::start().await;
    let command = CommandStatementQuery {
        query: "SELECT 1".into(),
        transaction_id: Some("t".into()),
    };
    let asked = with_token(
        FlightDescriptor::new_cmd(command.as_any().encode_to_vec()),
        &server.admin,
    );
    let refused = server.raw().get_flight_info(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("no transactions"), "{refused}");
}

#[tokio::test]
async fn damaged_commands_are_invalid_argument() {
    let server = Server::start().await;
    let mut raw = server.raw();
    let token = &server.admin;
    for bytes in [
        &b""[..],
        b"garbage",
        &[0xff; 100],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let descriptor = FlightDescriptor::new_cmd(bytes.to_vec());
        let put = FlightData::new().with_descriptor(descriptor.clone());
        let replies = [
            raw.get_flight_info(with_token(descriptor.clone(), token))
                .await
                .map(drop),
            raw.get_schema(with_token(descriptor.clone(), token)).await.map(drop),
            raw.poll_flight_info(with_token(descriptor, token)).await.map(drop),
            raw.do_get(with_token(Ticket::new(bytes.to_vec()), token))
                .await
                .map(drop),
            raw.do_put(with_token(stream::iter([put]), token)).await.map(drop),
            raw.do_action(with_token(
                Action::new("CreatePreparedStatement", bytes.to_vec()),
                token,
            ))
            .await
            .map(drop),
            raw.do_action(with_token(Action::new("CancelFlightInfo", bytes.to_vec()), token))
                .await
                .map(drop),
        ];
        for (index, reply) in replies.into_iter().enumerate() {
            let code = reply.unwrap_err().code();
            assert_eq!(code, Code::InvalidArgument, "call {index} with {bytes:?}");
        }
    }
    let nothing = with_token(stream::iter(Vec::<FlightData>::new()), token);
    assert_eq!(raw.do_put(nothing).await.unwrap_err().code(), Code::InvalidArgument);
    let path = FlightDescriptor::new_path(vec!["events".into()]);
    let refused = raw.get_flight_info(with_token(path, token)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(table(&mut server.client(token), "SELECT 1").await, ["1"]);
}
