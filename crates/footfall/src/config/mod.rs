//! The one place where configuration is defined.
//!
//! ```text
//! defaults < file (--config, else ./footfall.toml) < environment FOOTFALL_* < flags
//! ```
//!
//! `load` layers the sources and reports which of them a bad value came from; `values` are the kinds of
//! value (sizes, durations, roles, secrets); `options` derives each part's options.

mod by_name;
mod load;
mod networks;
mod options;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use footfall_ingest::collect::AddressHeader;
use footfall_lake::Location;
use footfall_model::hash::DedupeBy;
use footfall_query::Beyond;
use serde::{Deserialize, Serialize};

pub(crate) use load::{Setting, Sources};
pub(crate) use networks::Networks;
pub(crate) use values::{ByteSize, Hops, LogFormat, Masked, Roles, Span};

/// The whole configuration. Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The lake's location: a folder, or `s3://bucket/prefix`.
    #[serde(deserialize_with = "values::location")]
    pub(crate) data: String,
    /// The folder of the catalog, the WAL and the first token. Use [`Config::state_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<PathBuf>,
    pub(crate) roles: Roles,
    pub(crate) http: Http,
    pub(crate) flight: Flight,
    pub(crate) s3: S3,
    pub(crate) log: Log,
    pub(crate) wal: Wal,
    pub(crate) ingest: Ingest,
    pub(crate) query: Query,
    pub(crate) compact: Compact,
    pub(crate) gateway: Gateway,
}

/// Where HTTP is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) addr: SocketAddr,
}

/// Where gRPC is served: Flight SQL and the collection of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Flight {
    pub(crate) addr: SocketAddr,
    /// Limit of received bytes that the server has not read yet, over all connections. Each connection may send 64 KiB
    /// or more, so the number of connections is limited to what fits.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) receive_bytes: ByteSize,
}

/// Access to S3. Unset values come from the standard `AWS_*` variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct S3 {
    /// URL of a server that is not Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key_id: Option<Masked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_access_key: Option<Masked>,
    /// Whether plain HTTP is allowed.
    pub(crate) allow_http: bool,
}

/// The server's logging, on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or levels per module: `info,footfall_ingest=debug`.
    #[serde(deserialize_with = "values::log_level")]
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

/// The write-ahead log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wal {
    /// Size at which a segment file is full and the next one begins.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) segment_bytes: ByteSize,
    /// Maximum size on disk; beyond it events are refused (503) until the lake has caught up.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) max_bytes: ByteSize,
    /// Maximum bytes queued for the disk; beyond it events are refused (503).
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) queue_bytes: ByteSize,
}

/// Collection of events and the writer to the lake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ingest {
    /// Maximum time before an event is written to the lake.
    pub(crate) flush_interval: Span,
    /// Number of buffered rows that triggers a write.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) flush_rows: usize,
    /// Number of buffered bytes that triggers a write.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) buffer_bytes: ByteSize,
    /// Minimum time for which an event id is remembered, so that a repeated event is stored once; shorter if
    /// `dedupe_ids` is reached (the metric `footfall_writer_dedupe_window_seconds` reports the current length).
    pub(crate) dedupe_window: Span,
    /// Maximum number of remembered ids, of which the newest half is always kept; each costs about 20 bytes. For a
    /// window of `w` seconds at `r` events per second: `2 * w * r`.
    pub(crate) dedupe_ids: usize,
    /// What tells events without an id apart: `content`, all that was sent except `sent_at`; or `key`, the site, client,
    /// session, time and type alone. A site can have its own.
    #[serde(with = "by_name")]
    pub(crate) dedupe_by: DedupeBy,
    /// Rate limit of a site; beyond it events are refused (429).
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) events_per_second: u32,
    /// Limit of one request's body, also after decompression, and of one gRPC message.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) body_bytes: ByteSize,
    /// Time limit for a request's body or a gRPC message to arrive.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) body_timeout: Span,
    /// Limit of all HTTP bodies and gRPC messages together, including Flight SQL; beyond it requests are refused (503,
    /// UNAVAILABLE).
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) in_flight_bytes: ByteSize,
    /// Limit of one event.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) event_bytes: ByteSize,
    /// Limit of events per request.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) batch_events: usize,
    /// How far in the future an event's time may be.
    pub(crate) max_future: Span,
    /// Maximum age of an event.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) retention: Span,
    /// Number of our own proxies in front, if `trusted_proxies` does not name them; the sender's address is taken from
    /// `address_header` as they wrote it.
    pub(crate) trust_forwarded_for: Hops,
    /// The addresses of our own proxies, or their networks: `["10.0.0.0/8", "192.0.2.7"]`. From other addresses no header
    /// is believed.
    pub(crate) trusted_proxies: Networks,
    /// The header in which our proxies name the sender: `x-forwarded-for`, `forwarded`, `x-real-ip` or
    /// `cf-connecting-ip`. The others are ignored, because the sender may have written them.
    #[serde(with = "by_name")]
    pub(crate) address_header: AddressHeader,
    /// A country or city database in MaxMind's format; without it countries come from a built-in table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) geo_database: Option<PathBuf>,
}

/// Limits of queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Query {
    /// Memory of all queries together; what does not fit is spilled to the state folder.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) memory_bytes: ByteSize,
    /// Limit of spilled bytes.
    pub(crate) spill_bytes: ByteSize,
    /// Cache of file metadata.
    pub(crate) metadata_cache_bytes: ByteSize,
    /// Cache of results of queries; 0 keeps none. An answer from it is never older than the lake.
    pub(crate) result_cache_bytes: ByteSize,
    /// Limit of the events that an aggregate reads which no rollup answers; 0: any number.
    pub(crate) raw_row_limit: u64,
    /// What becomes of an aggregate beyond it: `refuse`, or `sample` for an estimate from a tenth of the visitors where
    /// there is one.
    #[serde(with = "by_name")]
    pub(crate) beyond_raw_row_limit: Beyond,
    /// Limit of a statement's computing time; it does not run while its client takes no rows.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) timeout: Span,
    /// How long a client may leave a result without taking rows.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) idle_timeout: Span,
    /// Maximum number of queries that compute at the same time.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) concurrency: usize,
    /// Maximum number of queries that have begun and whose rows are not all taken.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) open: usize,
    /// Maximum number of these for one token.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) open_per_token: usize,
    /// How long a query may wait for a slot.
    pub(crate) queue_timeout: Span,
    /// Number of threads that one query's work is split over.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) partitions: usize,
}

/// Compaction: how files are merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Compact {
    /// Memory for the decoded events of a merge. The row groups that it reads take up to twice as much; a merge of files
    /// that would take more is done in several.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) memory_bytes: ByteSize,
    /// Size of a file up to which files are merged.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) target_bytes: ByteSize,
    /// Age at which the newest files are merged, and from then on read by queries through rollups.
    pub(crate) fresh_age: Span,
    /// Size of these files together below which they wait for more, unless they are many.
    pub(crate) fresh_bytes: ByteSize,
    /// How long rollups are kept, from their day on; their events are kept for `ingest.retention`.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) rollup_retention: Span,
    /// How long after a compactor's last sign of life another one takes over.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) lease: Span,
}

/// Reports over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    /// The Flight SQL server that reports are asked from; by default this process's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flight_url: Option<String>,
    /// Rate limit of a token, by this process; beyond it requests are refused (429). 0: no limit.
    pub(crate) requests_per_second: u32,
    /// Requests that a token may send at once, after sending none for a while.
    #[serde(deserialize_with = "values::not_zero")]
    pub(crate) burst: u32,
}

impl Config {
    /// The state folder: the configured one, else beside a local lake, else `./footfall-state`.
    pub(crate) fn state_dir(&self) -> PathBuf {
        match (&self.state, self.data.parse()) {
            (Some(state), _) => state.clone(),
            (None, Ok(Location::Local(root))) => root.join("state"),
            (None, Ok(Location::S3 { .. }) | Err(_)) => PathBuf::from("./footfall-state"),
        }
    }

    /// The effective configuration as a file that can be read again; secrets are masked.
    pub(crate) fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let effective = Self {
            state: Some(self.state_dir()),
            ..self.clone()
        };
        toml::to_string(&effective)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "./footfall-data".into(),
            state: None,
            roles: Roles::ALL,
            http: Http::default(),
            flight: Flight::default(),
            s3: S3::default(),
            log: Log::default(),
            wal: Wal::default(),
            ingest: Ingest::default(),
            query: Query::default(),
            compact: Compact::default(),
            gateway: Gateway::default(),
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Http {
    fn default() -> Self {
        Self { addr: loopback(8080) }
    }
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            addr: loopback(31337),
            receive_bytes: ByteSize::mib(64),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            flight_url: None,
            requests_per_second: 50,
            burst: 200,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Wal {
    fn default() -> Self {
        Self {
            segment_bytes: ByteSize::mib(64),
            max_bytes: ByteSize::mib(8 * 1024),
            queue_bytes: ByteSize::mib(64),
        }
    }
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            flush_interval: Span(Duration::from_secs(2)),
            flush_rows: 250_000,
            buffer_bytes: ByteSize::mib(32),
            dedupe_window: Span(Duration::from_hours(6)),
            dedupe_ids: 1_835_008,
            dedupe_by: DedupeBy::Content,
            events_per_second: 1_000,
            body_bytes: ByteSize::mib(1),
            body_timeout: Span(Duration::from_secs(10)),
            in_flight_bytes: ByteSize::mib(16),
            event_bytes: ByteSize::kib(32),
            batch_events: 500,
            max_future: Span(Duration::from_hours(1)),
            // 13 months.
            retention: Span(Duration::from_hours(24 * 396)),
            trust_forwarded_for: Hops(0),
            trusted_proxies: Networks::default(),
            address_header: AddressHeader::default(),
            geo_database: None,
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory_bytes: ByteSize::mib(1024),
            spill_bytes: ByteSize::mib(16 * 1024),
            metadata_cache_bytes: ByteSize::mib(64),
            result_cache_bytes: ByteSize::mib(64),
            raw_row_limit: 0,
            beyond_raw_row_limit: Beyond::Refuse,
            timeout: Span(Duration::from_mins(1)),
            idle_timeout: Span(Duration::from_mins(30)),
            concurrency: 2 * cores,
            open: 128,
            open_per_token: 16.max(4 * cores),
            queue_timeout: Span(Duration::from_secs(10)),
            partitions: cores,
        }
    }
}

impl Default for Compact {
    fn default() -> Self {
        Self {
            memory_bytes: ByteSize::mib(256),
            target_bytes: ByteSize::mib(384),
            fresh_age: Span(Duration::from_mins(1)),
            fresh_bytes: ByteSize::mib(1),
            // Two years.
            rollup_retention: Span(Duration::from_hours(24 * 731)),
            lease: Span(Duration::from_secs(30)),
        }
    }
}

#[cfg(test)]
mod tests;
