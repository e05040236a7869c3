//! Sites: created, listed and changed.

use footfall_catalog::{Catalog, SiteChange};
use footfall_model::hash::DedupeBy;
use http::Method;
use serde_json::json;

use super::server::*;
use crate::admin::client::Admin;

#[tokio::test]
async fn site_is_created_and_listed() {
    let server = Server::start().await;
    let asked = json!({
        "tracking_id": "UA-1", "name": "The shop", "url": "https://example.com", "timezone": "Europe/Berlin",
        "currency": "EUR", "writer_token_required": true, "dedupe_by": "key",
    });
    let made = server.post("/api/v1/sites", asked).await;
    let expected = json!({
        "tracking_id": "UA-1", "tenant": "default", "name": "The shop", "url": "https://example.com",
        "timezone": "Europe/Berlin", "currency": "EUR", "writer_token_required": true, "dedupe_by": "key",
        "retention_days": null, "created_at": "2026-02-02T10:30:00Z",
    });
    assert_eq!((made.status, made.json()), (201, expected.clone()));
    let listed = server.get("/api/v1/sites").await;
    assert_eq!((listed.status, listed.json()), (200, json!({ "sites": [expected] })));
}

#[tokio::test]
async fn omitted_site_fields_have_defaults() {
    let server = Server::start().await;
    let made = server.post("/api/v1/sites", json!({ "tracking_id": "bare" })).await;
    let expected = json!({
        "tracking_id": "bare", "tenant": "default", "name": "bare", "url": null, "timezone": "UTC",
        "currency": "USD", "writer_token_required": false, "dedupe_by": null, "retention_days": null,
        "created_at": "2026-02-02T10:30:00Z",
    });
    assert_eq!((made.status, made.json()), (201, expected));
}

#[tokio::test]
async fn settings_of_site_change() {
    let server = Server::start().await;
    server.post("/api/v1/sites", json!({ "tracking_id": "shop" })).await;
    assert_eq!(server.directory.site("shop").await.unwrap().unwrap().dedupe_by, None);
    let patch = async |path: &str, body: &str| {
        let secret = Some(server.admin.expose());
        server.send(Method::PATCH, path, secret, body.to_owned()).await
    };
    let changed = patch("/api/v1/sites/shop", r#"{"dedupe_by":"key"}"#).await;
    assert_eq!((changed.status, &changed.json()["dedupe_by"]), (200, &json!("key")));
    let known = server.directory.site("shop").await.unwrap().unwrap();
    assert_eq!(known.dedupe_by, Some(DedupeBy::Key), "known at once");
    assert_eq!(
        patch("/api/v1/sites/shop", r#"{"dedupe_by":null}"#).await.json()["dedupe_by"],
        json!(null)
    );
    for (path, body, status) in [
        ("/api/v1/sites/nobody", r#"{"dedupe_by":"key"}"#, 404),
        ("/api/v1/sites/shop", r#"{"dedupe_by":"time"}"#, 400),
        ("/api/v1/sites/shop", r#"{"name":"x"}"#, 400),
        ("/api/v1/sites/shop", r#"{"retention_days":0}"#, 400),
        ("/api/v1/sites/shop", r#"{"retention_days":-1}"#, 400),
        ("/api/v1/sites/shop", "{}", 400),
    ] {
        assert_eq!(patch(path, body).await.status, status, "{path} {body}");
    }
    assert_eq!(server.catalog.site("shop").await.unwrap().unwrap().dedupe_by, None);

    for admin in [server.remote(), Admin::Local(server.catalog.clone())] {
        for (dedupe_by, days) in [(Some(DedupeBy::Content), Some(90)), (None, None)] {
            let change = SiteChange {
                dedupe_by: Some(dedupe_by),
                retention_days: Some(days),
            };
            let changed = admin.change_site("shop", change).await.unwrap();
            assert_eq!((changed.dedupe_by, changed.retention_days), (dedupe_by, days));
        }
    }
}

#[tokio::test]
async fn new_site_replaces_cached_absence() {
    let server = Server::start().await;
    assert_eq!(server.directory.site("shop").await.unwrap(), None);
    server.post("/api/v1/sites", json!({ "tracking_id": "shop" })).await;
    assert!(server.directory.site("shop").await.unwrap().is_some());
}
