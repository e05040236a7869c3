//! Tokens: created, used, expired and revoked.

use std::sync::atomic::Ordering;

use footfall_catalog::Catalog;
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::DAY;
use http::Method;
use http::header::CACHE_CONTROL;
use serde_json::json;

use super::server::*;

#[tokio::test]
async fn token_secret_is_shown_once() {
    let server = Server::start().await;
    server.post("/api/v1/sites", json!({ "tracking_id": "shop" })).await;
    let asked = json!({ "role": "reader", "sites": ["shop"], "expires_at": "2026-05-03T12:30:00+02:00" });
    let made = server.post("/api/v1/tokens", asked).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers[CACHE_CONTROL], "no-store");
    let made = made.json();
    let expected = json!({
        "id": made["token"]["id"], "role": "reader", "sites": ["shop"], "created_at": "2026-02-02T10:30:00Z",
        "expires_at": "2026-05-03T10:30:00Z", "revoked_at": null,
    });
    assert_eq!(made["token"], expected);
    let secret = made["secret"].as_str().unwrap();
    let principal = server.directory.principal(secret).await.unwrap().unwrap();
    assert_eq!(
        (
            principal.role,
            principal.sites.allows("shop"),
            principal.sites.allows("other")
        ),
        (Role::Reader, true, false)
    );

    let listed = server.get("/api/v1/tokens").await;
    assert_eq!(listed.json()["tokens"][1], expected);
    assert!(!listed.text.contains("ffp_") && !listed.text.contains(&secret[4..]));
}

#[tokio::test]
async fn all_sites_is_written_as_all() {
    let server = Server::start().await;
    for asked in [json!({ "role": "writer", "sites": "all" }), json!({ "role": "admin" })] {
        let made = server.post("/api/v1/tokens", asked.clone()).await;
        assert_eq!(
            (made.status, &made.json()["token"]["sites"]),
            (201, &json!("all")),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn token_expires_after_duration() {
    let server = Server::start().await;
    let made = server
        .post("/api/v1/tokens", json!({ "role": "admin", "expires_in": "90d" }))
        .await;
    assert_eq!(made.json()["token"]["expires_at"], "2026-05-03T10:30:00Z");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    server.clock.0.store(START + 90 * DAY, Ordering::SeqCst);
    assert_eq!(
        server
            .send(Method::GET, "/api/v1/sites", Some(&secret), "")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn revoked_token_is_refused_at_once() {
    let server = Server::start().await;
    let (other, secret) = server
        .catalog
        .create_token(token(Role::Admin, SiteScope::All))
        .await
        .unwrap();
    let as_other = async || {
        server
            .send(Method::GET, "/api/v1/sites", Some(secret.expose()), "")
            .await
            .status
    };
    assert_eq!(as_other().await, 200);
    let path = format!("/api/v1/tokens/{}/revoke", other.id);
    let revoked = server.post(&path, json!(null)).await;
    assert_eq!(
        (revoked.status, &revoked.json()["revoked_at"]),
        (200, &json!("2026-02-02T10:30:00Z"))
    );
    assert_eq!(as_other().await, 401);
    assert_eq!(
        server.post(&path, json!(null)).await.json(),
        revoked.json(),
        "twice changes nothing"
    );
}
