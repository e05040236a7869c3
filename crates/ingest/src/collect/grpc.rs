//! `footfall.v1.IngestService/Publish`: a stream of batches from other servers.
//!
//! Each message is one WAL record. The summary is sent after all of them are durable. On overload, on a rate limit and
//! on a batch that is too large, the stream ends early with an error that names the first unprocessed event. Resending
//! from there is safe, because event ids identify what is stored already: a few later messages may be stored too, since
//! messages don't wait for each other's sync.
//!
//! The sender is another server, so its address and user agent don't describe the visitor: the client has to fill in
//! `country` to `os`.

mod codec;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use footfall_model::proto::ingest_service_server::SERVICE_NAME;
use footfall_model::proto::{ChangedValue, EventBatch, PublishSummary, Rejection};
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt, poll};
use prost::{DecodeError, Message};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::{Code, Request, Response, Status, Streaming};

use super::Collector;
use super::access::Credentials;
use super::draft::Draft;
use super::publish::{Caller, Outcome, Prepared, Refusal};
use super::reject::{Cause, Reject};
use super::{reply, sender};
use crate::enrich::Sender;

/// Messages of a stream that wait for a sync at the same time. With one, a stream could send only one message per sync.
pub(super) const WAITING: usize = 8;

/// A message that is being stored, and its number of events.
type Storing<'a> = BoxFuture<'a, (Result<Outcome, Stop>, usize)>;

/// Why the server ends a stream early.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("a batch has {events} events; at most {limit} are taken in one message")]
    TooLarge { events: usize, limit: usize },
    #[error("a message is not an EventBatch: {0}")]
    Malformed(#[from] DecodeError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Bytes for the protobuf overhead of a batch.
const MESSAGE_OVERHEAD: usize = 16 << 10;

/// The path of the stream of batches.
const PUBLISH: &str = "/footfall.v1.IngestService/Publish";

/// The gRPC service of a [`Collector`]. Hand-written, because the generated one decodes a message before its events can
/// be counted.
#[derive(Debug, Clone)]
pub struct GrpcIngest(Arc<Collector>);

/// The service, with the limits of the collector.
pub fn grpc(collector: Arc<Collector>) -> GrpcIngest {
    GrpcIngest(collector)
}

impl NamedService for GrpcIngest {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for GrpcIngest {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != PUBLISH {
            return Box::pin(ready(Ok(
                Status::unimplemented("IngestService offers Publish").into_http()
            )));
        }
        let publish = self.clone();
        let limit = self.0.options.body_bytes + MESSAGE_OVERHEAD;
        Box::pin(async move {
            let mut grpc = Grpc::new(codec::RawBatches).apply_max_message_size_config(Some(limit), None);
            Ok(grpc.client_streaming(publish, request).await)
        })
    }
}

impl ClientStreamingService<Bytes> for GrpcIngest {
    type Response = PublishSummary;
    type Future = BoxFuture<'static, Result<Response<PublishSummary>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let collector = Arc::clone(&self.0);
        Box::pin(async move {
            let start = Instant::now();
            let result = collector.publish_stream(request).await;
            let class = match &result {
                Ok(_) => "2xx",
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Internal) => "5xx",
                Err(_) => "4xx",
            };
            metrics::histogram!("footfall_ingest_request_seconds", "endpoint" => "grpc", "status" => class)
                .record(start.elapsed());
            result.map(Response::new)
        })
    }
}

impl Collector {
    /// Rejects an invalid token by the request's headers, before a message is read.
    async fn publish_stream(&self, request: Request<Streaming<Bytes>>) -> Result<PublishSummary, Status> {
        let authorization = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = authorization.and_then(sender::bearer_of).map(str::to_owned);
        let debug = reply::is_debug(request.metadata().as_ref());
        let stream = StreamState::new(self.options.listed_rejections, debug);
        match self.credentials(token.as_deref()).await {
            Ok(Credentials::Unknown) => Err(Status::unauthenticated(
                "the token is not known, has expired or was revoked; sites that are open take events without one",
            )),
            Ok(Credentials::None | Credentials::Known(_)) => {
                self.drain(request.into_inner(), stream, token.as_deref()).await
            }
            Err(refusal) => Err(stream.stopped(&refusal.into())),
        }
    }

    async fn drain(
        &self,
        mut batches: Streaming<Bytes>,
        mut stream: StreamState,
        token: Option<&str>,
    ) -> Result<PublishSummary, Status> {
        let caller = Caller {
            sender: Sender::default(),
            token,
        };
        // In stream order, so that a reported status covers everything up to one event.
        let mut pending = FuturesOrdered::new();
        let mut going_on = true;
        loop {
            tokio::select! { biased;
                Some((stored, events)) = pending.next(), if !pending.is_empty() => match stored {
                    Ok(outcome) => stream.add(&outcome, events)?,
                    Err(stop) => return Err(stream.stopped(&stop)),
                },
                batch = batches.message(), if going_on && pending.len() < WAITING => match batch {
                    Ok(Some(batch)) => {
                        let storing;
                        (storing, going_on) = self.begin(batch, caller).await;
                        pending.push_back(storing);
                    }
                    Ok(None) => going_on = false,
                    Err(status) => return Err(stream.unread(&status)),
                },
                else => return stream.finish(),
            }
        }
    }

    /// Appends a message to the WAL. Returns whether the next one may be read before this one is durable.
    async fn begin(&self, batch: Bytes, caller: Caller<'_>) -> (Storing<'_>, bool) {
        let (prepared, events) = match self.prepare_message(batch, caller).await {
            Ok(prepared) => prepared,
            Err(stop) => return (ready((Err(stop), 0)).boxed(), false),
        };
        let known = |stored: Result<Outcome, Stop>| ready((stored, events)).boxed();
        let too_fast = reply::longest_wait(prepared.rejected()).is_some();
        let mut storing = self.store(prepared).boxed();
        // Polled at once: this fixes the WAL's order to the stream's, and a refusal is returned by the first poll.
        match poll!(&mut storing) {
            Poll::Ready(Ok(outcome)) => (known(Ok(outcome)), !too_fast),
            Poll::Ready(Err(refusal)) => (known(Err(refusal.into())), false),
            Poll::Pending => {
                let storing = storing.map(move |stored| (stored.map_err(Stop::from), events));
                (storing.boxed(), !too_fast)
            }
        }
    }

    /// Decodes a message, validates its events and returns their number. Takes a turn as HTTP requests do: decoded
    /// events take many times the memory of the message, so `turns` bounds the messages decoded at a time.
    async fn prepare_message(&self, batch: Bytes, caller: Caller<'_>) -> Result<(Prepared, usize), Stop> {
        let (events, limit) = (codec::count_events(&batch)?, self.options.batch_events);
        if events > limit {
            return Err(Stop::TooLarge { events, limit });
        }
        let _turn = self.turns.acquire().await;
        let batch = EventBatch::decode(batch)?;
        let drafts = batch.events.into_iter().map(|event| self.draft(event)).collect();
        Ok((self.prepare(drafts, caller).await?, events))
    }

    fn draft(&self, event: footfall_model::proto::Event) -> Result<Draft, Reject> {
        let bytes = event.encoded_len();
        if bytes > self.options.event_bytes {
            return Err(Reject::too_big(bytes, self.options.event_bytes));
        }
        Ok(Draft::of_proto(event, &self.options.properties))
    }
}

/// The results of a stream so far.
struct StreamState {
    summary: PublishSummary,
    /// Events of all processed batches.
    seen: u64,
    /// The cause that all rejections share; `Invalid` if they differ.
    cause: Option<Cause>,
    listed: usize,
    /// Whether the client wants to know what was changed.
    debug: bool,
}

impl StreamState {
    fn new(listed: usize, debug: bool) -> Self {
        Self {
            summary: PublishSummary::default(),
            seen: 0,
            cause: None,
            listed,
            debug,
        }
    }

    /// Counts a batch. A sender above its rate is stopped: a summary at the end would come too late.
    fn add(&mut self, outcome: &Outcome, events: usize) -> Result<(), Status> {
        if let Some(seconds) = reply::longest_wait(&outcome.rejected) {
            let mut status = self.broken_off(
                Code::ResourceExhausted,
                &format!("more events than the site may send; go on in {seconds} s"),
            );
            status.metadata_mut().insert("retry-after", seconds.into());
            return Err(status);
        }
        if !outcome.rejected.is_empty() {
            let cause = reply::common_cause(&outcome.rejected);
            self.cause = Some(
                self.cause
                    .map_or(cause, |before| if before == cause { cause } else { Cause::Invalid }),
            );
        }
        let room = self.listed.saturating_sub(self.summary.rejected.len());
        self.summary
            .rejected
            .extend(outcome.rejected.iter().take(room).map(|(index, reject)| Rejection {
                index: self.seen + *index as u64,
                field: reject.field.proto_name().to_owned(),
                reason: match &reject.expected {
                    Some(expected) => format!("{}; expected {expected}", reject.reason),
                    None => reject.reason.clone().into_owned(),
                },
            }));
        if self.debug {
            self.list_changes(outcome);
        }
        self.summary.accepted += outcome.accepted as u64;
        self.seen += events as u64;
        Ok(())
    }

    fn list_changes(&mut self, outcome: &Outcome) {
        let room = self.listed.saturating_sub(self.summary.changed.len());
        let changes = outcome
            .changed
            .iter()
            .flat_map(|(index, changes)| changes.iter().map(move |change| (*index, change)));
        let listed = changes.take(room).map(|(index, change)| ChangedValue {
            index: self.seen + index as u64,
            field: change.field.name().to_owned(),
            what: change.what.name().to_owned(),
            before: change.before as u64,
            after: change.after as u64,
        });
        self.summary.changed.extend(listed);
    }

    /// The client or the connection failed in the middle of the stream, or there was no memory for a message.
    fn unread(&self, status: &Status) -> Status {
        let mut unread = self.broken_off(status.code(), status.message());
        if let Some(seconds) = status.metadata().get("retry-after") {
            unread.metadata_mut().insert("retry-after", seconds.clone());
        }
        unread
    }

    fn stopped(&self, stop: &Stop) -> Status {
        let Stop::Refused(refusal) = stop else {
            return self.broken_off(Code::InvalidArgument, &stop.to_string());
        };
        let mut status = self.broken_off(Code::Unavailable, &refusal.to_string());
        status
            .metadata_mut()
            .insert("retry-after", refusal.retry_after().into());
        status
    }

    /// An error in the middle of a stream, with the index of the event to resume from.
    fn broken_off(&self, code: Code, reason: &str) -> Status {
        let message = format!(
            "{reason}; send again from event {} on, counted from 0 in this stream",
            self.seen
        );
        Status::new(code, message)
    }

    /// A summary if anything was stored or nothing was sent, else the error that all events share.
    fn finish(self) -> Result<PublishSummary, Status> {
        let (0, Some(cause)) = (self.summary.accepted, self.cause) else {
            return Ok(self.summary);
        };
        let code = match cause {
            Cause::Invalid | Cause::TooBig => Code::InvalidArgument,
            Cause::UnknownSite => Code::NotFound,
            Cause::Unauthenticated => Code::Unauthenticated,
            Cause::Forbidden => Code::PermissionDenied,
            Cause::Rate => Code::ResourceExhausted,
        };
        let first = self.summary.rejected.first();
        let example = first.map(|first| format!("event {}: {}: {}", first.index, first.field, first.reason));
        let message = format!(
            "none of the {} events was stored; {}",
            self.seen,
            example.unwrap_or_default()
        );
        Err(Status::new(code, message))
    }
}
