//! Derives the options of each part of the server.

use std::path::PathBuf;
use std::time::Duration;

use footfall_compactor::Policy;
use footfall_gateway::RateLimit;
use footfall_ingest::collect::{CollectOptions, TrustedProxies};
use footfall_ingest::enrich::EnrichOptions;
use footfall_ingest::wal::WalOptions;
use footfall_ingest::writer::{DedupeOptions, FlushPolicy, WriterOptions};
use footfall_lake::S3Options;
use footfall_query::{EngineOptions, RawLimit};

use super::{Compact, Gateway, Ingest, Masked, Query, S3, Wal};

impl S3 {
    pub(crate) fn options(&self) -> S3Options {
        let secret = |secret: &Option<Masked>| secret.as_ref().map(|secret| secret.expose().to_owned());
        S3Options {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: secret(&self.access_key_id),
            secret_access_key: secret(&self.secret_access_key),
            allow_http: self.allow_http,
        }
    }
}

impl Wal {
    pub(crate) fn options(&self) -> WalOptions {
        WalOptions {
            segment_bytes: self.segment_bytes.0,
            queue_bytes: self.queue_bytes.bytes(),
            max_log_bytes: self.max_bytes.0,
            ..WalOptions::default()
        }
    }
}

impl Ingest {
    pub(crate) fn enrich(&self) -> EnrichOptions {
        EnrichOptions {
            geo_database: self.geo_database.clone(),
        }
    }

    pub(crate) fn collect(&self) -> CollectOptions {
        CollectOptions {
            body_bytes: self.body_bytes.bytes(),
            event_bytes: self.event_bytes.bytes(),
            batch_events: self.batch_events,
            events_per_second: self.events_per_second,
            max_future: self.max_future.0,
            retention: self.retention.0,
            dedupe_by: self.dedupe_by,
            trusted_proxies: TrustedProxies {
                networks: self.trusted_proxies.0.clone(),
                hops: self.trust_forwarded_for.0,
                header: self.address_header,
            },
            body_timeout: self.body_timeout.0,
            in_flight_bytes: self.in_flight_bytes.bytes(),
            ..CollectOptions::default()
        }
    }

    pub(crate) fn writer(&self) -> WriterOptions {
        WriterOptions {
            flush: FlushPolicy {
                interval: self.flush_interval.0,
                rows: self.flush_rows,
                bytes: self.buffer_bytes.bytes(),
                ..FlushPolicy::default()
            },
            dedupe: DedupeOptions {
                window: self.dedupe_window.0,
                ids: self.dedupe_ids,
            },
        }
    }
}

impl Query {
    /// `spill`: the folder for spilled data.
    pub(crate) fn options(&self, spill: PathBuf) -> EngineOptions {
        EngineOptions {
            memory_bytes: self.memory_bytes.bytes(),
            spill_bytes: self.spill_bytes.0,
            statement_timeout: self.timeout.0,
            idle_timeout: self.idle_timeout.0,
            concurrent_queries: self.concurrency,
            open_queries: self.open,
            open_queries_per_token: self.open_per_token,
            queue_timeout: self.queue_timeout.0,
            target_partitions: self.partitions,
            metadata_cache_bytes: self.metadata_cache_bytes.bytes(),
            result_cache_bytes: self.result_cache_bytes.bytes(),
            raw_limit: RawLimit {
                rows: self.raw_row_limit,
                beyond: self.beyond_raw_row_limit,
            },
            ..EngineOptions::new(spill)
        }
    }
}

impl Gateway {
    pub(crate) fn rate_limit(&self) -> RateLimit {
        RateLimit {
            per_second: self.requests_per_second,
            burst: self.burst,
        }
    }
}

impl Compact {
    /// `dedupe_window`: the writer's.
    pub(crate) fn policy(&self, dedupe_window: Duration) -> Policy {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Policy {
            target_bytes: self.target_bytes.0,
            fresh_age: micros(self.fresh_age.0),
            fresh_bytes: self.fresh_bytes.0,
            // Row groups as they are stored: rows are held decoded for a moment only, but a row group until it is read.
            input_bytes: self.memory_bytes.0.saturating_mul(2),
            dedupe_window: micros(dedupe_window),
            ..Policy::default()
        }
    }
}
