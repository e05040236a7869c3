//! Configured rollups: created, listed and dropped.

use footfall_catalog::Catalog;
use http::Method;
use serde_json::{Value, json};

use super::server::*;
use crate::admin::client::Admin;

fn signups() -> Value {
    json!({
        "name": "signups", "sites": ["shop"], "grain": "hour", "dimensions": ["country", "channel"],
        "measures": [{"name": "signups", "function": "count", "column": "event_type", "equals": "signup"}]
    })
}

async fn with_site() -> Server {
    let server = Server::start().await;
    server.catalog.create_site(site("shop")).await.unwrap();
    server
}

#[tokio::test]
async fn rollup_is_created_listed_and_dropped() {
    let server = with_site().await;
    let made = server.post("/api/v1/rollups", signups()).await;
    let body = made.json();
    let mut expected = signups();
    expected["per_visitor"] = json!(false);
    expected["revision"] = body["revision"].clone();
    expected["created_at"] = json!("2026-02-02T10:30:00Z");
    expected["progress"] = json!({"files": 0, "covered_files": 0, "rows": 0, "covered_rows": 0});
    assert_eq!((made.status, &body), (201, &expected));
    assert_eq!(server.lake.rollups().len(), 1, "queries know it at once");
    let again = server.post("/api/v1/rollups", signups()).await;
    assert_eq!(again.status, 409, "{}", again.text);

    let listed = server.get("/api/v1/rollups").await;
    assert_eq!((listed.status, listed.json()), (200, json!({ "rollups": [expected] })));

    let secret = Some(server.admin.expose());
    let dropped = server.send(Method::DELETE, "/api/v1/rollups/signups", secret, "").await;
    assert_eq!((dropped.status, dropped.json()), (200, expected));
    assert!(server.lake.rollups().is_empty());
    let again = server.send(Method::DELETE, "/api/v1/rollups/signups", secret, "").await;
    assert_eq!(again.refusal(), (404, "not_found".into(), None));
}

#[tokio::test]
async fn bad_rollup_is_refused_with_what_is_allowed() {
    let server = with_site().await;
    let cases = [
        ("name", json!("events_daily"), "invalid", Some("name"), "choose another"),
        ("name", json!("Sign-ups"), "invalid", Some("name"), "lowercase letter"),
        (
            "sites",
            json!(["nowhere"]),
            "invalid",
            Some("sites"),
            "create the site first",
        ),
        (
            "dimensions",
            json!(["colour"]),
            "invalid",
            Some("dimensions"),
            "possible are event_type",
        ),
        (
            "dimensions",
            json!(vec!["os"; 17]),
            "invalid",
            Some("dimensions"),
            "at most 16",
        ),
        ("measures", json!([]), "invalid", Some("measures"), "expected 1 to 32"),
        ("grain", json!("week"), "invalid_json", Some("grain"), "quarter_hour"),
        ("colour", json!(1), "invalid_json", Some("colour"), "unknown field"),
    ];
    for (key, value, code, field, expected) in cases {
        let mut body = signups();
        body[key] = value;
        let reply = server.post("/api/v1/rollups", body).await;
        assert_eq!(
            reply.refusal(),
            (400, code.to_owned(), field.map(str::to_owned)),
            "{key}"
        );
        assert!(reply.text.contains(expected), "{}", reply.text);
    }
    assert!(server.catalog.rollups().await.unwrap().rollups.is_empty());
}

#[tokio::test]
async fn command_line_does_the_same_in_both_ways() {
    let server = with_site().await;
    for admin in [server.remote(), Admin::Local(server.catalog.clone())] {
        let definition: footfall_model::rollup::RollupDefinition = serde_json::from_value(signups()).unwrap();
        let made = admin.create_rollup(definition.clone()).await.unwrap();
        assert_eq!(made.rollup.definition, definition);
        assert_eq!(admin.list_rollups().await.unwrap(), std::slice::from_ref(&made));
        assert_eq!(admin.drop_rollup("signups").await.unwrap().rollup, made.rollup);
        assert!(
            admin
                .drop_rollup("signups")
                .await
                .unwrap_err()
                .to_string()
                .contains("no rollup")
        );
    }
}
