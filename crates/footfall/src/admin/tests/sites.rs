//! Sites: created and listed.

use serde_json::json;

use super::server::*;

#[tokio::test]
async fn site_is_created_and_listed() {
    let server = Server::start().await;
    let asked = json!({
        "tracking_id": "UA-1", "name": "The shop", "url": "https://example.com", "timezone": "Europe/Berlin",
        "currency": "EUR", "writer_token_required": true,
    });
    let made = server.post("/api/v1/sites", asked).await;
    let expected = json!({
        "tracking_id": "UA-1", "tenant": "default", "name": "The shop", "url": "https://example.com",
        "timezone": "Europe/Berlin", "currency": "EUR", "writer_token_required": true,
        "created_at": "2026-02-02T10:30:00Z",
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
        "currency": "USD", "writer_token_required": false, "created_at": "2026-02-02T10:30:00Z",
    });
    assert_eq!((made.status, made.json()), (201, expected));
}

#[tokio::test]
async fn new_site_replaces_cached_absence() {
    let server = Server::start().await;
    assert_eq!(server.directory.site("shop").await.unwrap(), None);
    server.post("/api/v1/sites", json!({ "tracking_id": "shop" })).await;
    assert!(server.directory.site("shop").await.unwrap().is_some());
}
