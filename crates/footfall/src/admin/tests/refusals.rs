//! What is refused, and how the error says so.

use footfall_catalog::Catalog;
use footfall_model::access::{Role, SiteScope};
use http::Method;
use http::header::{ALLOW, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::server::*;

const ENDPOINTS: [(Method, &str); 18] = [
    (Method::PATCH, "/api/v1/sites/shop"),
    (Method::GET, "/api/v1/sites"),
    (Method::POST, "/api/v1/sites"),
    (Method::GET, "/api/v1/tokens"),
    (Method::POST, "/api/v1/tokens"),
    (Method::POST, "/api/v1/tokens/tok_x/revoke"),
    (Method::GET, "/api/v1/funnels"),
    (Method::POST, "/api/v1/funnels"),
    (Method::GET, "/api/v1/funnels/funnel_x"),
    (Method::DELETE, "/api/v1/funnels/funnel_x"),
    (Method::GET, "/api/v1/segments"),
    (Method::POST, "/api/v1/segments"),
    (Method::GET, "/api/v1/segments/segment_x"),
    (Method::PUT, "/api/v1/segments/segment_x"),
    (Method::DELETE, "/api/v1/segments/segment_x"),
    (Method::GET, "/api/v1/dashboards"),
    (Method::POST, "/api/v1/dashboards"),
    (Method::PUT, "/api/v1/dashboards/dashboard_x"),
];

#[tokio::test]
async fn admin_token_is_required() {
    let server = Server::start().await;
    let secret_of = async |role| {
        server
            .catalog
            .create_token(token(role, SiteScope::All))
            .await
            .unwrap()
            .1
    };
    let (reader, writer) = (secret_of(Role::Reader).await, secret_of(Role::Writer).await);
    let before = server.catalog.tokens().await.unwrap();
    let cases = [
        (None, 401, "unauthorized", r#"Bearer realm="footfall""#),
        (
            Some("ffp_guess"),
            401,
            "unauthorized",
            r#"Bearer realm="footfall", error="invalid_token""#,
        ),
        (
            Some(reader.expose()),
            403,
            "forbidden",
            r#"Bearer realm="footfall", error="insufficient_scope""#,
        ),
        (
            Some(writer.expose()),
            403,
            "forbidden",
            r#"Bearer realm="footfall", error="insufficient_scope""#,
        ),
    ];
    for (method, path) in ENDPOINTS {
        for (secret, status, code, challenge) in cases {
            let body = r#"{"tracking_id": "shop", "role": "admin"}"#;
            let reply = server.send(method.clone(), path, secret, body).await;
            assert_eq!(reply.refusal(), (status, code.to_owned(), None), "{method} {path}");
            assert_eq!(reply.headers[WWW_AUTHENTICATE], challenge, "{method} {path}");
            assert_eq!(reply.headers[CONNECTION], "close", "its body is not read");
        }
    }
    assert_eq!(server.catalog.sites().await.unwrap(), []);
    assert_eq!(server.catalog.tokens().await.unwrap(), before);
}

#[tokio::test]
async fn authorization_header_is_one_bearer_token() {
    let server = Server::start().await;
    let secret = server.admin.expose();
    let cases = [
        (vec![format!("Bearer {secret}")], 200),
        (vec![format!("bearer  {secret}")], 200),
        (vec![format!("Basic {secret}")], 401),
        (vec![format!("Bearer{secret}")], 401),
        (vec![secret.to_owned()], 401),
        (vec!["Bearer".to_owned()], 401),
        (vec!["Bearer ".to_owned()], 401),
        (vec![format!("Bearer {secret}"), format!("Bearer {secret}")], 401),
    ];
    for (values, status) in cases {
        let request = server.client.get(format!("{}/api/v1/sites", server.url));
        let request = values
            .iter()
            .fold(request, |request, value| request.header(AUTHORIZATION, value));
        assert_eq!(reply(request).await.status, status, "{values:?}");
    }
}

#[tokio::test]
async fn bad_input_is_refused_with_reason() {
    let server = Server::start().await;
    server.catalog.create_site(site("taken")).await.unwrap();
    let cases = [
        ("sites", "", 400, "invalid_json", None),
        ("sites", "{", 400, "invalid_json", None),
        ("sites", "[]", 400, "invalid_json", None),
        ("sites", "{\"tracking_id\": \"\u{0}\"}", 400, "invalid_json", None),
        (
            "sites",
            r#"{"name": "no id"}"#,
            400,
            "invalid_json",
            Some("tracking_id"),
        ),
        (
            "sites",
            r#"{"tracking_id": 7}"#,
            400,
            "invalid_json",
            Some("tracking_id"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "timezon": "UTC"}"#,
            400,
            "invalid_json",
            Some("timezon"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a b"}"#,
            400,
            "invalid",
            Some("tracking_id"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "name": ""}"#,
            400,
            "invalid",
            Some("name"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "url": "example.com"}"#,
            400,
            "invalid",
            Some("url"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "timezone": "Mars"}"#,
            400,
            "invalid",
            Some("timezone"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "currency": "euro"}"#,
            400,
            "invalid",
            Some("currency"),
        ),
        (
            "sites",
            r#"{"tracking_id": "a", "tenant": "nobody"}"#,
            400,
            "invalid",
            Some("tenant"),
        ),
        ("sites", r#"{"tracking_id": "taken"}"#, 409, "already_exists", None),
        ("tokens", "{}", 400, "invalid_json", Some("role")),
        ("tokens", r#"{"role": "boss"}"#, 400, "invalid_json", Some("role")),
        (
            "tokens",
            r#"{"role": "reader", "sites": "taken"}"#,
            400,
            "invalid_json",
            Some("sites"),
        ),
        (
            "tokens",
            r#"{"role": "reader", "sites": [1]}"#,
            400,
            "invalid_json",
            Some("sites"),
        ),
        (
            "tokens",
            r#"{"role": "reader", "scope": []}"#,
            400,
            "invalid_json",
            Some("scope"),
        ),
        ("tokens", r#"{"role": "reader"}"#, 400, "invalid", Some("sites")),
        (
            "tokens",
            r#"{"role": "writer", "sites": []}"#,
            400,
            "invalid",
            Some("sites"),
        ),
        (
            "tokens",
            r#"{"role": "writer", "sites": ["nowhere"]}"#,
            400,
            "invalid",
            Some("sites"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "sites": ["taken"]}"#,
            400,
            "invalid",
            Some("sites"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_at": "tomorrow"}"#,
            400,
            "invalid",
            Some("expires_at"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_at": "2026-02-02T10:30:00Z"}"#,
            400,
            "invalid",
            Some("expires_at"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_in": "soon"}"#,
            400,
            "invalid",
            Some("expires_in"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_in": "0s"}"#,
            400,
            "invalid",
            Some("expires_at"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_in": "999999999999d"}"#,
            400,
            "invalid",
            Some("expires_in"),
        ),
        (
            "tokens",
            r#"{"role": "admin", "expires_in": "1d", "expires_at": "2027-01-01T00:00:00Z"}"#,
            400,
            "invalid",
            Some("expires_in"),
        ),
        ("tokens/tok_nobody/revoke", "", 404, "not_found", None),
        ("tokens/%ff/revoke", "", 400, "unreadable", None),
    ];
    for (path, body, status, code, field) in cases {
        let reply = server
            .send(
                Method::POST,
                &format!("/api/v1/{path}"),
                Some(server.admin.expose()),
                body,
            )
            .await;
        assert_eq!(
            reply.refusal(),
            (status, code.to_owned(), field.map(str::to_owned)),
            "{path} {body}"
        );
    }
    assert_eq!(server.catalog.sites().await.unwrap().len(), 1);
    assert_eq!(server.catalog.tokens().await.unwrap().len(), 1, "the admin's own");
}

#[tokio::test]
async fn problem_names_expected_value() {
    let server = Server::start().await;
    let cases = [
        (
            "sites",
            json!({ "tracking_id": "a", "timezone": "Mars" }),
            "Europe/Berlin",
            json!(null),
        ),
        ("sites", json!({ "name": "no id" }), "tracking_id", json!(null)),
        (
            "tokens",
            json!({ "role": "admin", "site": [] }),
            "did you mean `sites`? (line 1, column 22)",
            json!(["role", "sites", "expires_at", "expires_in"]),
        ),
        (
            "tokens",
            json!({ "role": "boss" }),
            "unknown value `boss`",
            json!(["admin", "reader", "writer"]),
        ),
        (
            "tokens",
            json!({ "role": "reader", "sites": 1 }),
            "\"all\" or a list",
            json!(null),
        ),
        (
            "tokens",
            json!({ "role": "admin", "expires_in": "soon" }),
            "90d",
            json!(null),
        ),
    ];
    for (path, body, expected, allowed) in cases {
        let problem = server.post(&format!("/api/v1/{path}"), body).await.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
        assert_eq!(problem["allowed"], allowed, "{detail}");
    }
}

#[tokio::test]
async fn body_of_another_type_is_refused() {
    let server = Server::start().await;
    let post = |name, value| {
        let request = server.client.post(format!("{}/api/v1/sites", server.url));
        let request = request.bearer_auth(server.admin.expose()).header(name, value);
        reply(request.body(r#"{"tracking_id": "shop"}"#))
    };
    for (name, value) in [(CONTENT_TYPE, "application/xml"), (CONTENT_ENCODING, "gzip")] {
        let field = Some(if name == CONTENT_TYPE {
            "Content-Type"
        } else {
            "Content-Encoding"
        });
        let expected = (415, "unsupported_media_type".to_owned(), field.map(str::to_owned));
        assert_eq!(post(name, value).await.refusal(), expected, "{value}");
    }
    assert_eq!(post(CONTENT_TYPE, "application/json; charset=utf-8").await.status, 201);
}

#[tokio::test]
async fn body_size_is_limited() {
    let server = Server::start().await;
    let site = r#"{"tracking_id": "shop"}"#;
    let padded = |length: usize| format!("{site}{}", " ".repeat(length - site.len()));
    let post = async |body| {
        server
            .send(Method::POST, "/api/v1/sites", Some(server.admin.expose()), body)
            .await
    };
    assert_eq!(
        post(padded(64 * 1024 + 1)).await.refusal(),
        (413, "too_large".to_owned(), None)
    );
    assert_eq!(post(padded(64 * 1024)).await.status, 201);
}

#[tokio::test]
async fn wrong_method_gets_allowed_methods() {
    let server = Server::start().await;
    let reply = server
        .send(Method::DELETE, "/api/v1/sites", Some(server.admin.expose()), "")
        .await;
    assert_eq!(reply.refusal(), (405, "method_not_allowed".to_owned(), None));
    assert_eq!(reply.headers[ALLOW], "GET,HEAD,POST");
}

#[tokio::test]
async fn unavailable_catalog_is_retryable() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/v1/sites").await.status, 200);
    server.catalog.close().await;
    for (secret, what) in [
        (server.admin.expose(), "the handler"),
        ("ffp_unknown", "the check of the token"),
    ] {
        let reply = server.send(Method::GET, "/api/v1/sites", Some(secret), "").await;
        assert_eq!(reply.refusal(), (503, "unavailable".to_owned(), None), "{what}");
        assert_eq!(reply.headers[RETRY_AFTER], "1");
        assert!(
            !reply.text.contains("pool"),
            "the cause is the operator's: {}",
            reply.text
        );
    }
}
