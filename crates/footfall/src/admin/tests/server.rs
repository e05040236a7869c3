//! A server with a catalog in a file, on a listener of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use footfall_catalog::{Catalog, DEFAULT_TENANT, Directory, NewSite, NewToken, Secret, SqliteCatalog};
use footfall_funnels::FunnelDefinitions;
use footfall_lake::{Lake, Location, S3Options};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, Micros, RandomIds};
use footfall_model::hash::DedupeBy;
use footfall_model::table::events;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::admin::client::Admin;

/// 2026-02-02T10:30:00Z.
pub(super) const START: Micros = 1_770_028_200_000_000;

#[derive(Debug)]
pub(super) struct ManualClock(pub(super) AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) struct Server {
    pub(super) url: String,
    pub(super) catalog: Arc<SqliteCatalog>,
    pub(super) directory: Arc<Directory>,
    pub(super) funnels: Arc<FunnelDefinitions>,
    pub(super) lake: Lake,
    pub(super) clock: Arc<ManualClock>,
    pub(super) admin: Secret,
    pub(super) client: reqwest::Client,
    pub(super) folder: TempDir,
    pub(super) serving: JoinHandle<()>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock(AtomicI64::new(START)));
        let catalog = Arc::new(open(folder.path(), clock.clone()).await);
        let (_, admin) = catalog.create_token(token(Role::Admin, SiteScope::All)).await.unwrap();
        let directory = Arc::new(Directory::new(catalog.clone()));
        let funnels = Arc::new(FunnelDefinitions::new(catalog.funnels().await.unwrap()));
        let location = Location::Local(folder.path().join("lake"));
        let store = location.shard_store(0, &S3Options::default()).unwrap();
        let lake = Lake::open(store, &[Arc::clone(events())], clock.clone()).await.unwrap();
        let router = crate::admin::router(directory.clone(), funnels.clone(), lake.clone(), clock.clone());
        let (url, serving) = serve(router).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            url,
            catalog,
            directory,
            funnels,
            lake,
            clock,
            admin,
            client,
            folder,
            serving,
        }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        secret: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).body(body);
        if let Some(secret) = secret {
            request = request.bearer_auth(secret);
        }
        reply(request).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Some(self.admin.expose()), "").await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(self.admin.expose()), body.to_string())
            .await
    }

    pub(super) fn remote(&self) -> Admin {
        Admin::remote(&self.url, self.admin.clone()).unwrap()
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        let expected = match self.status {
            200..300 => "application/json",
            _ => "application/problem+json",
        };
        assert_eq!(self.headers[CONTENT_TYPE], expected);
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status, code and field of a refusal.
    pub(super) fn refusal(&self) -> (u16, String, Option<String>) {
        let error = self.json();
        assert_eq!(error["status"], self.status);
        assert!(error["detail"].as_str().unwrap().len() > 10, "{}", self.text);
        let field = error.get("field").map(|field| field.as_str().unwrap().to_owned());
        (self.status, error["code"].as_str().unwrap().to_owned(), field)
    }
}

pub(super) async fn open(folder: &Path, clock: Arc<ManualClock>) -> SqliteCatalog {
    SqliteCatalog::open(&folder.join("catalog.db"), clock, Arc::new(RandomIds))
        .await
        .unwrap()
}

pub(super) async fn serve(router: axum::Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (
        url,
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
    )
}

pub(super) async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Reply {
        status,
        headers,
        text: response.text().await.unwrap(),
    }
}

pub(super) fn token(role: Role, sites: SiteScope) -> NewToken {
    NewToken {
        role,
        sites,
        expires_at: None,
    }
}

pub(super) fn site(tracking_id: &str) -> NewSite {
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
