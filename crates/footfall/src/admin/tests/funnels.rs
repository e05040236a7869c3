//! Funnels: created, shown, listed and deleted.

use footfall_catalog::Catalog;
use footfall_funnels::FunnelScope;
use http::Method;
use serde_json::{Value, json};

use super::server::*;
use crate::admin::client::{Admin, AdminError};
use crate::admin::parse_funnel;

/// The specification's example.
fn purchase() -> Value {
    json!({
        "tracking_id": "UA-123456-1",
        "name": "Purchase Funnel",
        "steps": [
            {"name": "View Product", "event_type": "pageview", "filters": {"page_path": "/products/*"}},
            {"name": "Add to Cart", "event_type": "click", "filters": {"element_id": "add-to-cart"}},
            {"name": "Checkout", "event_type": "pageview", "filters": {"page_path": "/checkout"}},
            {"name": "Purchase", "event_type": "purchase"}
        ],
        "window": "7d"
    })
}

async fn with_site() -> Server {
    let server = Server::start().await;
    server.catalog.create_site(site("UA-123456-1")).await.unwrap();
    server
}

#[tokio::test]
async fn specified_funnel_is_created_shown_and_deleted() {
    let server = with_site().await;
    let made = server.post("/api/v1/funnels", purchase()).await;
    let body = made.json();
    let mut expected = purchase();
    expected["funnel_id"] = body["funnel_id"].clone();
    expected["revision"] = body["revision"].clone();
    expected["created_at"] = json!("2026-02-02T10:30:00Z");
    assert_eq!((made.status, &body), (201, &expected));
    assert_eq!(server.funnels.current().funnels.len(), 1, "queries know it at once");

    let path = format!("/api/v1/funnels/{}", body["funnel_id"].as_str().unwrap());
    let shown = server.get(&path).await;
    assert_eq!((shown.status, shown.json()), (200, expected.clone()));
    let listed = server.get("/api/v1/funnels").await;
    assert_eq!((listed.status, listed.json()), (200, json!({ "funnels": [expected] })));

    let secret = Some(server.admin.expose());
    let deleted = server.send(Method::DELETE, &path, secret, "").await;
    assert_eq!((deleted.status, deleted.json()), (200, expected));
    assert_eq!(server.funnels.current().funnels, []);
    let again = server.send(Method::DELETE, &path, secret, "").await;
    assert_eq!(again.refusal(), (404, "not_found".into(), None));
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn bad_funnel_is_refused_with_reason() {
    let server = with_site().await;
    let refused = async |key: &str, value: Value| {
        let mut body = purchase();
        body[key] = value;
        let reply = server.post("/api/v1/funnels", body).await;
        (reply.refusal(), reply.text)
    };
    let cases = [
        (
            "tracking_id",
            json!("nowhere"),
            "invalid",
            Some("tracking_id"),
            "create the site first",
        ),
        ("steps", json!([]), "invalid", Some("steps"), "expected 2 to 20"),
        ("name", json!(""), "invalid", Some("name"), "1 to 200"),
        (
            "window",
            json!("soon"),
            "invalid_json",
            Some("window"),
            "such as 7d, 12h",
        ),
        (
            "scope",
            json!("visit"),
            "invalid_json",
            Some("scope"),
            r#""allowed":["visitor","session"]"#,
        ),
        (
            "strict_once",
            json!(true),
            "invalid_json",
            Some("strict_once"),
            "unknown field `strict_once`",
        ),
    ];
    for (key, value, code, field, expected) in cases {
        let (refusal, text) = refused(key, value).await;
        assert_eq!(refusal, (400, code.to_owned(), field.map(str::to_owned)), "{key}");
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(server.catalog.funnels().await.unwrap().funnels, []);
}

#[tokio::test]
async fn command_line_does_the_same_in_both_ways() {
    let server = with_site().await;
    for admin in [server.remote(), Admin::Local(server.catalog.clone())] {
        let mut purchase = purchase();
        purchase["step_window"] = json!("1h");
        purchase["strict_order"] = json!(true);
        purchase["scope"] = json!("session");
        let new = parse_funnel(purchase.to_string().as_bytes()).unwrap();
        assert!(new.definition.strict_order && new.definition.step_window.is_some());
        assert_eq!(new.definition.scope, FunnelScope::Session);
        let made = admin.create_funnel(new.clone()).await.unwrap();
        assert_eq!(made.definition, new.definition);
        assert_eq!(admin.funnel(&made.id).await.unwrap(), made);
        assert_eq!(admin.list_funnels().await.unwrap(), std::slice::from_ref(&made));
        let mut other = new.clone();
        other.definition.steps.truncate(2);
        let changed = admin.change_funnel(&made.id, other.clone()).await.unwrap();
        assert_eq!((&changed.id, &changed.definition), (&made.id, &other.definition));
        assert!(changed.revision > made.revision && changed.created_at == made.created_at);
        other.tracking_id = "elsewhere".into();
        let refused = admin.change_funnel(&made.id, other).await.unwrap_err();
        assert!(refused.to_string().contains("stays with its site"), "{refused}");
        assert_eq!(admin.delete_funnel(&made.id).await.unwrap(), changed);
        let gone: AdminError = admin.funnel(&made.id).await.unwrap_err();
        assert!(gone.to_string().contains("there is no funnel"), "{gone}");
    }
}
