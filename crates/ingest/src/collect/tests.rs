//! Collection over a real listener: bytes in, replies and WAL records out.

mod bad_inputs;
mod good_inputs;
mod grpc;
mod identity;
mod odd_inputs;
mod overload;
mod ways_in;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use footfall_catalog::{Catalog, Directory, NewSite, NewToken, SqliteCatalog};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, Micros, RandomIds};
use footfall_model::proto::{Event, EventBatch};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::*;
use crate::enrich::EnrichOptions;
use crate::wal::{Position, Record, WalError};

/// 2026-02-02T10:30:00Z, until a test advances it.
#[derive(Debug)]
pub(super) struct ManualClock(AtomicI64);

pub(super) const NOW: Micros = 1_770_028_200_000_000;

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(NOW))
    }
}

impl ManualClock {
    pub(super) fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis * 1_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Micros {
        self.0.load(Ordering::SeqCst)
    }
}

/// Shared by all tests: its rules take long to compile without optimization.
static ENRICHER: LazyLock<Arc<Enricher>> = LazyLock::new(|| Arc::new(Enricher::new(EnrichOptions::default()).unwrap()));

/// An in-memory WAL that can be made to fail.
#[derive(Debug, Default)]
pub(super) struct MemoryWal {
    records: Mutex<Vec<Bytes>>,
    refusal: Mutex<Option<fn() -> WalError>>,
    gate: Mutex<Option<Arc<Barrier>>>,
}

impl MemoryWal {
    /// All events, by record.
    fn batches(&self) -> Vec<Vec<Event>> {
        let records = self.records.lock();
        records
            .iter()
            .map(|record| EventBatch::decode(record.clone()).unwrap().events)
            .collect()
    }

    fn events(&self) -> Vec<Event> {
        self.batches().concat()
    }

    fn refuse(&self, error: Option<fn() -> WalError>) {
        *self.refusal.lock() = error;
    }

    /// From now on appends complete only when this many wait together.
    fn wait_for_as_many_as(&self, records: usize) {
        *self.gate.lock() = Some(Arc::new(Barrier::new(records)));
    }
}

#[async_trait]
impl EventLog for MemoryWal {
    fn id(&self) -> u128 {
        1
    }

    fn check_room(&self) -> Result<(), WalError> {
        match *self.refusal.lock() {
            Some(error) if matches!(error(), WalError::Overloaded { .. }) => Err(error()),
            _ => Ok(()),
        }
    }

    async fn append(&self, payload: Bytes) -> Result<Position, WalError> {
        if let Some(error) = *self.refusal.lock() {
            return Err(error());
        }
        let position = {
            let mut records = self.records.lock();
            records.push(payload);
            records.len() as Position
        };
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.wait().await;
        }
        Ok(position)
    }

    async fn read_from(&self, from: Position, _: usize) -> Result<Vec<Record>, WalError> {
        Err(WalError::NotHeld(from))
    }

    async fn wait_for(&self, _: Position) -> Result<(), WalError> {
        Ok(())
    }

    fn last(&self) -> Position {
        self.records.lock().len() as Position
    }

    async fn trim(&self, _: Position) -> Result<(), WalError> {
        Ok(())
    }
}

/// A server with the sites `shop`, `blog` and `vault`; the last demands a writer token.
struct Server {
    address: SocketAddr,
    collector: Arc<Collector>,
    log: Arc<MemoryWal>,
    clock: Arc<ManualClock>,
    catalog: Arc<dyn Catalog>,
    directory: Arc<Directory>,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(CollectOptions::default()).await
    }

    async fn with(options: CollectOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let ids = Arc::new(RandomIds);
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db"), Arc::clone(&clock) as _, ids)
            .await
            .unwrap();
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        for (tracking_id, writer_token_required) in [("shop", false), ("blog", false), ("vault", true)] {
            let site = NewSite {
                tracking_id: tracking_id.into(),
                tenant: footfall_catalog::DEFAULT_TENANT.into(),
                name: tracking_id.into(),
                url: None,
                timezone: "UTC".into(),
                currency: "EUR".into(),
                writer_token_required,
                dedupe_by: None,
            };
            catalog.create_site(site).await.unwrap();
        }
        let log = Arc::new(MemoryWal::default());
        let directory = Arc::new(Directory::new(Arc::clone(&catalog)));
        let parts = CollectorParts {
            log: Arc::clone(&log) as _,
            directory: Arc::clone(&directory),
            enricher: Arc::clone(&ENRICHER),
            clock: Arc::clone(&clock) as _,
        };
        let collector = Arc::new(Collector::new(parts, options));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router(Arc::clone(&collector)).into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            address,
            collector,
            log,
            clock,
            catalog,
            directory,
            task,
            _folder: folder,
        }
    }

    /// The secret of a new token.
    async fn token(&self, role: Role, sites: &[&str]) -> String {
        let sites = match role {
            Role::Admin => SiteScope::All,
            _ => SiteScope::Only(Arc::new(sites.iter().map(|&site| site.into()).collect())),
        };
        let token = NewToken {
            role,
            sites,
            expires_at: None,
        };
        self.catalog.create_token(token).await.unwrap().1.expose().to_owned()
    }

    /// Sends raw bytes, and returns the reply until the server closes.
    async fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that rejects early need not read to the end.
        let _ = stream.write_all(request).await;
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes).await {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        Answer::parse(&bytes)
    }

    async fn post(&self, body: &str) -> Answer {
        self.send(&post(
            "/api/v1/events",
            &["Content-Type: application/json"],
            body.as_bytes(),
        ))
        .await
    }
}

/// A whole request with a body of declared length.
fn post(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

struct Answer {
    status: u16,
    /// In lower case, one per line.
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let (first, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
        Self {
            status: first
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .unwrap_or(0),
            headers: headers.replace("\r\n", "\n"),
            body: bytes.get(end + 4..).unwrap_or_default().to_vec(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An event of `shop` by client `c`, with more fields as JSON: `, "a": 1`.
fn event_with(more: &str) -> String {
    format!(r#"{{"tracking_id":"shop","client_id":"c","event_type":"pageview"{more}}}"#)
}
