use std::collections::BTreeSet;

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{Action, Empty};
use bytes::Bytes;
use futures::TryStreamExt;
use prost::Message;

use super::*;
use crate::session::{CloseStatus, Closed, OptionErrorCode, Options, SetOptionsResult};

async fn act(server: &Server, name: &str, body: Vec<u8>) -> Result<Vec<Bytes>, Status> {
    let action = with_token(Action::new(name, body), &server.acme);
    let results = server.raw().do_action(action).await?.into_inner();
    results.map_ok(|result| result.body).try_collect().await
}

#[tokio::test]
async fn session_options_and_close_are_answered() {
    let server = Server::start().await;
    let got = act(&server, "GetSessionOptions", vec![]).await.unwrap();
    let mut options = Options::decode(got[0].clone()).unwrap();
    assert_eq!(options.options.keys().collect::<BTreeSet<_>>().len(), 2);
    let set = act(&server, "SetSessionOptions", options.encode_to_vec())
        .await
        .unwrap();
    assert_eq!(
        SetOptionsResult::decode(set[0].clone()).unwrap(),
        SetOptionsResult::default()
    );

    let value = options.options.remove("catalog").unwrap();
    options.options.insert("no such option".into(), value);
    let set = act(&server, "SetSessionOptions", options.encode_to_vec())
        .await
        .unwrap();
    let refusals = SetOptionsResult::decode(set[0].clone()).unwrap();
    assert_eq!(refusals.errors["no such option"].value(), OptionErrorCode::InvalidName);

    let closed = act(&server, "CloseSession", vec![]).await.unwrap();
    assert_eq!(Closed::decode(closed[0].clone()).unwrap().status(), CloseStatus::Closed);
}

#[tokio::test]
async fn listed_actions_are_implemented() {
    let server = Server::start().await;
    let listed = server
        .raw()
        .list_actions(with_token(Empty {}, &server.acme))
        .await
        .unwrap();
    let listed: Vec<_> = listed.into_inner().try_collect().await.unwrap();
    assert_eq!(listed.len(), 7);
    for action in listed {
        if let Err(refused) = act(&server, &action.r#type, vec![]).await {
            assert_ne!(refused.code(), Code::Unimplemented, "{}", action.r#type);
        }
    }
}

#[tokio::test]
async fn legacy_cancel_action_works() {
    let server = Server::start().await;
    let mut client = server.client(&server.acme);
    let info = client.execute("SELECT 1".into(), None).await.unwrap();
    let request = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let results = act(&server, "CancelQuery", request.as_any().encode_to_vec())
        .await
        .unwrap();
    let result: ActionCancelQueryResult = Any::decode(results[0].clone()).unwrap().unpack().unwrap().unwrap();
    assert_eq!(result.result, 3, "nothing flows, so there is nothing to cancel");
}
