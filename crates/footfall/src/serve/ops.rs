//! Endpoints for operators: liveness, readiness, metrics.

use std::sync::OnceLock;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Upper bounds, in seconds, of the latency histograms.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// The process's metrics; installed at the first call.
pub(super) fn metrics() -> anyhow::Result<&'static PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle);
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .install_recorder()
        .context("the metrics can't be collected")?;
    Ok(HANDLE.get_or_init(|| handle))
}

/// `/health`: the process answers. `/ready`: it serves, and is not shutting down. `/metrics`: Prometheus text.
pub(super) fn router(metrics: &'static PrometheusHandle, stopping: CancellationToken) -> Router {
    let ready = move || async move {
        if stopping.is_cancelled() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
        } else {
            (StatusCode::OK, "ready\n")
        }
    };
    let text = move || async move {
        metrics.run_upkeep();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
    };
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(text))
}
