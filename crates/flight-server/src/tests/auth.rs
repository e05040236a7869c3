use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, HandshakeRequest};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use futures::{TryStreamExt, stream};
use prost::Message;

use super::*;

async fn handshake(raw: &mut Raw, authorization: &str, messages: usize) -> Result<(String, Vec<u8>), Status> {
    let mut request = Request::new(stream::iter(vec![HandshakeRequest::default(); messages]));
    request
        .metadata_mut()
        .insert("authorization", authorization.parse().unwrap());
    let response = raw.handshake(request).await?;
    let header = response
        .metadata()
        .get("authorization")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let replies: Vec<_> = response.into_inner().try_collect().await?;
    assert_eq!(replies.len(), 1);
    Ok((header, replies[0].payload.to_vec()))
}

#[tokio::test]
async fn handshake_returns_bearer() {
    let server = Server::start().await;
    let token = &server.acme;
    let pair = format!("token:{token}");
    let ways = [
        format!("Basic {}", BASE64_STANDARD.encode(&pair)),
        format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(&pair)),
        format!("Bearer {token}"),
    ];
    for way in ways {
        for messages in [0, 1] {
            let (header, payload) = handshake(&mut server.raw(), &way, messages).await.unwrap();
            assert_eq!(header, format!("Bearer {token}"));
            assert_eq!(payload, token.as_bytes());
        }
    }
}

#[tokio::test]
async fn client_queries_after_handshake() {
    let server = Server::start().await;
    let mut client = server.anonymous();
    client.handshake("anybody", &server.acme).await.unwrap();
    assert_eq!(table(&mut client, "SELECT count(*) FROM events").await, ["3"]);
}

#[tokio::test]
async fn basic_on_every_call_needs_no_handshake() {
    let server = Server::start().await;
    let mut client = server.anonymous();
    let pair = BASE64_STANDARD.encode(format!("u:{}", server.acme));
    client.set_header("authorization", format!("Basic {pair}"));
    assert_eq!(table(&mut client, "SELECT count(*) FROM events").await, ["3"]);
}

#[tokio::test]
async fn calls_without_valid_token_are_refused() {
    let server = Server::start().await;
    for authorization in ["Bearer nobodys", "Basic !!!", "Basic dTo=", "BearerToken x"] {
        let status = handshake(&mut server.raw(), authorization, 1).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{authorization}");
        assert!(!status.message().contains("nobodys"), "{}", status.message());
    }
    let command = CommandStatementQuery::default().as_any().encode_to_vec();
    let status = server
        .raw()
        .get_flight_info(FlightDescriptor::new_cmd(command))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(
        status.message().contains("authorization: Bearer"),
        "{}",
        status.message()
    );
    let status = server.raw().list_actions(arrow_flight::Empty {}).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn writer_may_handshake_but_not_query() {
    let server = Server::start().await;
    let mut client = server.anonymous();
    client.handshake("w", &server.writer).await.unwrap();
    let status = query(&mut client, "SELECT 1").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("may not query"), "{}", status.message());
}

#[tokio::test]
async fn ticket_grants_no_access() {
    let server = Server::start().await;
    let mut admin = server.client(&server.admin);
    let sql = "SELECT DISTINCT tracking_id FROM events ORDER BY 1";
    let info = admin.execute(sql.into(), None).await.unwrap();
    assert_eq!(
        lines(&fetch(&mut admin, info.clone()).await.unwrap()),
        ["acme", "globex"]
    );
    let mut acme = server.client(&server.acme);
    assert_eq!(lines(&fetch(&mut acme, info).await.unwrap()), ["acme"]);
}

#[tokio::test]
async fn session_headers_are_checked_in_every_call() {
    let server = Server::start().await;
    for (name, value) in [
        ("database", "other"),
        ("catalog", "other"),
        ("schema", "other"),
        ("timezone", "Asia/Kathmandu"),
    ] {
        let mut client = server.client(&server.acme);
        client.set_header(name, value);
        let refused = query(&mut client, "SELECT 1").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused}");
        assert!(refused.message().contains("there is only"), "{refused}");
        let refused = client.get_catalogs().await.map_err(Status::from).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused}");

        let mut request = with_token(stream::iter([HandshakeRequest::default()]), &server.acme);
        request.metadata_mut().insert(name, value.parse().unwrap());
        let refused = server.raw().handshake(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused}");
    }
    let mut client = server.client(&server.acme);
    for (name, value) in [("database", "footfall"), ("schema", "public"), ("timezone", "UTC")] {
        client.set_header(name, value);
    }
    assert_eq!(table(&mut client, "SELECT 1").await, ["1"]);
}
