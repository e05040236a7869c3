//! What the tests run against.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::new_null_array;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_flight::flight_service_client::FlightServiceClient;
use footfall_catalog::{Catalog, DEFAULT_TENANT, Directory, NewSite, NewToken, SqliteCatalog};
use footfall_lake::{Commit, Location, NewFile, Origin, S3Options, Table, partitions, write_file};
use footfall_model::access::{Role, SiteScope};
use footfall_model::clock::{Clock, IdGen, Micros};
use footfall_model::table::events;
use footfall_model::{hash, schema};
use footfall_query::{Engine, EngineOptions};
use tempfile::TempDir;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};

use super::{Client, Raw};
use crate::FlightOptions;
use crate::active_queries::ActiveQueries;
use crate::service::FlightSql;

/// 2026-11-02T00:00:00Z.
const NOW: Micros = 1_793_577_600_000_000;

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Micros {
        NOW
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl IdGen for Counting {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Serves until it is dropped.
pub(super) struct Server {
    channel: Channel,
    pub(super) admin: String,
    /// Reads the site `acme`.
    pub(super) acme: String,
    /// Sends events to `acme`.
    pub(super) writer: String,
    pub(super) running: Arc<ActiveQueries>,
    serving: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// Three events of `acme`, two of `globex`.
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("catalog");
        let catalog = SqliteCatalog::open(&file, Arc::new(Fixed), Arc::new(Counting::default()));
        let catalog: Arc<dyn Catalog> = Arc::new(catalog.await.unwrap());
        for tracking_id in ["acme", "globex"] {
            catalog.create_site(site(tracking_id)).await.unwrap();
        }
        let acme = || SiteScope::Only(Arc::new(BTreeSet::from(["acme".to_owned()])));
        let admin = token(&catalog, Role::Admin, SiteScope::All).await;
        let reader = token(&catalog, Role::Reader, acme()).await;
        let writer = token(&catalog, Role::Writer, acme()).await;

        let options = EngineOptions {
            memory_bytes: 64 << 20,
            target_partitions: 2,
            ..EngineOptions::new(folder.path().join("spill"))
        };
        let engine = Engine::new(lake(&folder).await, &options).unwrap();
        let flight = FlightSql::new(
            Arc::new(engine),
            Arc::new(Directory::new(catalog)),
            FlightOptions {
                keep_alive: Duration::from_secs(1),
                ..FlightOptions::default()
            },
        );
        let running = flight.running();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let service = crate::serve(flight);
        let serving = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        });
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        Self {
            channel,
            admin,
            acme: reader,
            writer,
            running,
            serving,
            _folder: folder,
        }
    }

    /// A client that has no token yet.
    pub(super) fn anonymous(&self) -> Client {
        Client::new(self.channel.clone())
    }

    pub(super) fn client(&self, token: &str) -> Client {
        let mut client = self.anonymous();
        client.set_token(token.to_owned());
        client
    }

    pub(super) fn raw(&self) -> Raw {
        FlightServiceClient::new(self.channel.clone())
    }

    /// Waits until no statement runs: what a client drops reaches the server a moment later.
    pub(super) async fn idle(&self) {
        let idle = async {
            while self.running.count() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), idle).await.unwrap();
    }
}

fn site(tracking_id: &str) -> NewSite {
    NewSite {
        tracking_id: tracking_id.into(),
        tenant: DEFAULT_TENANT.into(),
        name: tracking_id.into(),
        url: None,
        timezone: "UTC".into(),
        currency: "EUR".into(),
        writer_token_required: false,
        dedupe_by: None,
    }
}

async fn token(catalog: &Arc<dyn Catalog>, role: Role, sites: SiteScope) -> String {
    let new = NewToken {
        role,
        sites,
        expires_at: None,
    };
    let (_, secret) = catalog.create_token(new).await.unwrap();
    secret.expose().to_owned()
}

async fn lake(folder: &TempDir) -> Arc<Table> {
    let root = Location::Local(folder.path().join("lake"));
    let store = root.shard_store(0, &S3Options::default()).unwrap();
    let table = Table::open(Arc::clone(&store), Arc::clone(events()), Arc::new(Fixed))
        .await
        .unwrap();
    let rows = rows(&[
        ("acme", "ann", "pageview", 1),
        ("acme", "ann", "click", 2),
        ("acme", "bob", "pageview", 3),
        ("globex", "eve", "pageview", 4),
        ("globex", "eve", "purchase", 5),
    ]);
    let mut add = Vec::new();
    for (number, day) in partitions(&rows).unwrap().into_iter().enumerate() {
        let new = NewFile::new(events(), day.event_date, format!("part-{number}"), Origin::Wal, NOW);
        add.push(write_file(&store, new, day.rows).await.unwrap());
    }
    table.commit(&Commit::append(1, add)).await.unwrap();
    Arc::new(table)
}

/// Site, visitor, type, and minutes after midnight.
fn rows(rows: &[(&str, &str, &str, i64)]) -> RecordBatch {
    let text = |pick: fn(&(&str, &str, &str, i64)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
    };
    let times = || {
        let micros = rows.iter().map(|row| NOW + row.3 * 60_000_000);
        TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC")
    };
    let hashes = rows.iter().map(|row| hash::client_hash(row.0, row.1).cast_signed());
    let hashes = Int64Array::from_iter_values(hashes);
    let file = schema::event_file();
    let columns = file.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "tracking_id" => text(|row| row.0.into()),
            "client_hash" => Arc::new(hashes.clone()),
            "event_timestamp" | "created_at" => Arc::new(times()),
            "event_id" => text(|row| format!("event-{}", row.3)),
            "client_id" | "session_id" => text(|row| row.1.into()),
            "event_type" => text(|row| row.2.into()),
            "is_bot" => Arc::new(BooleanArray::from(vec![false; rows.len()])),
            _ => new_null_array(field.data_type(), rows.len()),
        }
    });
    let columns = columns.collect();
    RecordBatch::try_new(file, columns).unwrap()
}
