//! Over HTTP, on a listener, with a catalog in a file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use footfall_catalog::{Catalog, DEFAULT_TENANT, Directory, NewSite, NewToken, Secret, SqliteCatalog};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, DAY, Micros, RandomIds};
use footfall_model::hash::DedupeBy;
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::client::{Admin, AdminError};

/// 2026-02-02T10:30:00Z.
const START: Micros = 1_770_028_200_000_000;

#[derive(Debug)]
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

struct Server {
    url: String,
    catalog: Arc<SqliteCatalog>,
    directory: Arc<Directory>,
    clock: Arc<ManualClock>,
    admin: Secret,
    client: reqwest::Client,
    folder: TempDir,
    serving: JoinHandle<()>,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let catalog = Arc::new(open(folder.path(), clock.clone()).await);
        let (_, admin) = catalog.create_token(token(Role::Admin, SiteScope::All)).await.unwrap();
        let directory = Arc::new(Directory::new(catalog.clone()));
        let (url, serving) = serve(super::router(directory.clone(), clock.clone())).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            url,
            catalog,
            directory,
            clock,
            admin,
            client,
            folder,
            serving,
        }
    }

    async fn send(&self, method: Method, path: &str, secret: Option<&str>, body: impl Into<reqwest::Body>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).body(body);
        if let Some(secret) = secret {
            request = request.bearer_auth(secret);
        }
        reply(request).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Some(self.admin.expose()), "").await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(self.admin.expose()), body.to_string())
            .await
    }

    fn remote(&self) -> Admin {
        Admin::remote(&self.url, self.admin.clone()).unwrap()
    }
}

impl Reply {
    fn json(&self) -> Value {
        assert_eq!(
            self.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes),
            Some(&b"application/json"[..])
        );
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status, code and field of a refusal.
    fn refusal(&self) -> (u16, String, Option<String>) {
        let body = self.json();
        let error = body["error"].as_object().unwrap();
        assert!(error["message"].as_str().unwrap().len() > 10, "{}", self.text);
        let field = error.get("field").map(|field| field.as_str().unwrap().to_owned());
        (self.status, error["code"].as_str().unwrap().to_owned(), field)
    }
}

async fn open(folder: &Path, clock: Arc<ManualClock>) -> SqliteCatalog {
    SqliteCatalog::open(&folder.join("catalog.db"), clock, Arc::new(RandomIds))
        .await
        .unwrap()
}

async fn serve(router: axum::Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (
        url,
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
    )
}

async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply {
        status,
        headers,
        text: response.text().await.unwrap(),
    }
}

fn token(role: Role, sites: SiteScope) -> NewToken {
    NewToken {
        role,
        sites,
        expires_at: None,
    }
}

fn site(tracking_id: &str) -> NewSite {
    NewSite {
        tracking_id: tracking_id.into(),
        tenant: DEFAULT_TENANT.into(),
        name: "The shop".into(),
        url: Some("https://example.com/".into()),
        timezone: "Asia/Kathmandu".into(),
        currency: "NPR".into(),
        writer_token_required: true,
        dedupe_by: Some(DedupeBy::Key),
    }
}

const ENDPOINTS: [(Method, &str); 6] = [
    (Method::PATCH, "/api/v1/sites/shop"),
    (Method::GET, "/api/v1/sites"),
    (Method::POST, "/api/v1/sites"),
    (Method::GET, "/api/v1/tokens"),
    (Method::POST, "/api/v1/tokens"),
    (Method::POST, "/api/v1/tokens/tok_x/revoke"),
];

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
        "currency": "USD", "writer_token_required": false, "dedupe_by": null, "created_at": "2026-02-02T10:30:00Z",
    });
    assert_eq!((made.status, made.json()), (201, expected));
}

#[tokio::test]
async fn dedupe_by_of_site_changes() {
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
        ("/api/v1/sites/shop", "{}", 400),
    ] {
        assert_eq!(patch(path, body).await.status, status, "{path} {body}");
    }
    assert_eq!(server.catalog.site("shop").await.unwrap().unwrap().dedupe_by, None);

    for admin in [server.remote(), Admin::Local(server.catalog.clone())] {
        for dedupe_by in [Some(DedupeBy::Content), None] {
            assert_eq!(
                admin.set_dedupe_by("shop", dedupe_by).await.unwrap().dedupe_by,
                dedupe_by
            );
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
async fn all_sites_is_a_word() {
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
        ("sites", r#"{"name": "no id"}"#, 400, "invalid_json", None),
        ("sites", r#"{"tracking_id": 7}"#, 400, "invalid_json", None),
        (
            "sites",
            r#"{"tracking_id": "a", "timezon": "UTC"}"#,
            400,
            "invalid_json",
            None,
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
        ("tokens", "{}", 400, "invalid_json", None),
        ("tokens", r#"{"role": "boss"}"#, 400, "invalid_json", None),
        (
            "tokens",
            r#"{"role": "reader", "sites": "taken"}"#,
            400,
            "invalid_json",
            None,
        ),
        (
            "tokens",
            r#"{"role": "reader", "sites": [1]}"#,
            400,
            "invalid_json",
            None,
        ),
        (
            "tokens",
            r#"{"role": "reader", "scope": []}"#,
            400,
            "invalid_json",
            None,
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
async fn message_names_expected_value() {
    let server = Server::start().await;
    let cases = [
        (
            "sites",
            json!({ "tracking_id": "a", "timezone": "Mars" }),
            "Europe/Berlin",
        ),
        ("sites", json!({ "name": "no id" }), "tracking_id"),
        ("sites", json!({ "tracking_id": "a", "timezon": "UTC" }), "timezone"),
        ("tokens", json!({ "role": "boss" }), "`admin`, `reader`, `writer`"),
        ("tokens", json!({ "role": "reader", "sites": 1 }), "\"all\" or a list"),
        ("tokens", json!({ "role": "admin", "expires_in": "soon" }), "90d"),
    ];
    for (path, body, expected) in cases {
        let reply = server.post(&format!("/api/v1/{path}"), body).await.json();
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
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

/// The same script on the state folder and on the server must print the same.
#[tokio::test]
async fn folder_and_server_output_match() {
    let server = Server::start().await;
    let beside = open(server.folder.path(), server.clock.clone()).await;
    for (name, admin) in [("local", Admin::Local(Arc::new(beside))), ("remote", server.remote())] {
        let tracking_id = format!("shop-{name}");
        let made = admin.create_site(site(&tracking_id)).await.unwrap();
        assert_eq!(made.created_at, START);
        assert_eq!(server.catalog.site(&tracking_id).await.unwrap(), Some(made));
        assert_eq!(admin.list_sites().await.unwrap(), server.catalog.sites().await.unwrap());

        let sites = SiteScope::Only(Arc::new([tracking_id.clone()].into()));
        // To the microsecond.
        let new = NewToken {
            expires_at: Some(START + 1),
            ..token(Role::Writer, sites.clone())
        };
        let (made, secret) = admin.create_token(new).await.unwrap();
        assert_eq!(
            (made.role, &made.sites, made.expires_at),
            (Role::Writer, &sites, Some(START + 1))
        );
        assert_eq!(
            server
                .catalog
                .principal(secret.expose())
                .await
                .unwrap()
                .unwrap()
                .token_id,
            made.id
        );
        admin.create_token(token(Role::Reader, SiteScope::All)).await.unwrap();
        assert_eq!(
            admin.list_tokens().await.unwrap(),
            server.catalog.tokens().await.unwrap()
        );
        let revoked = admin.revoke_token(&made.id).await.unwrap();
        assert_eq!(revoked.revoked_at, Some(START));
        assert_eq!(server.catalog.principal(secret.expose()).await.unwrap(), None);

        let taken = admin.create_site(site(&tracking_id)).await.unwrap_err().to_string();
        assert_eq!(taken, format!("site {tracking_id:?} exists already"));
        let bad = admin
            .create_site(NewSite {
                currency: "euro".into(),
                ..site("x")
            })
            .await
            .unwrap_err()
            .to_string();
        assert!(
            bad.starts_with("currency: \"euro\" is not a currency; expected"),
            "{bad}"
        );
        let unknown = admin.revoke_token("no such/token?").await.unwrap_err().to_string();
        assert_eq!(unknown, "there is no token \"no such/token?\"");
    }
}

#[tokio::test]
async fn command_line_shows_server_refusal() {
    let server = Server::start().await;
    let foreign_writer = Admin::remote(&server.url, Secret::new("ffp_guess".into())).unwrap();
    let error = foreign_writer.list_sites().await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Refused { message } if message.contains("unknown, revoked or expired")),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_address_differs_from_server_down() {
    let secret = || Secret::new("ffp_any".into());
    for bad in [
        "",
        "127.0.0.1:8080",
        "localhost:8080",
        "grpc://127.0.0.1:31337",
        "http://",
    ] {
        let error = Admin::remote(bad, secret()).unwrap_err();
        assert!(matches!(error, AdminError::BadUrl { .. }), "{bad}: {error}");
    }

    let (url, other) = serve(axum::Router::new().fallback(|| async { "hello" })).await;
    let error = Admin::remote(&url, secret()).unwrap().list_sites().await.unwrap_err();
    assert!(matches!(&error, AdminError::NotFootfall { .. }), "{error}");
    other.abort();

    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Admin::remote(&format!("http://{free}"), secret())
        .unwrap()
        .list_sites()
        .await
        .unwrap_err();
    assert!(matches!(&error, AdminError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn redirect_does_not_carry_token() {
    let server = Server::start().await;
    let target = format!("{}/api/v1/sites", server.url);
    let redirect = axum::Router::new().fallback(move || async move { axum::response::Redirect::temporary(&target) });
    let (url, serving) = serve(redirect).await;
    let error = Admin::remote(&url, server.admin.clone())
        .unwrap()
        .list_sites()
        .await
        .unwrap_err();
    assert!(matches!(&error, AdminError::NotFootfall { .. }), "{error}");
    serving.abort();
}

#[tokio::test]
async fn token_is_not_in_client_debug() {
    let server = Server::start().await;
    assert!(!format!("{:?}", server.remote()).contains(&server.admin.expose()[4..]));
}
