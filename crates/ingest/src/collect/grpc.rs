//! `footfall.v1.IngestService/Publish`: a stream of batches from other servers.
//!
//! Each message is one record of the log. The summary comes after all of them are durable. A stream ends early, with an
//! error that names the first event that was not dealt with, where going on makes no sense: no room, too fast, a batch
//! too large. To send from there again is safe, because what was stored already is known by its event id: a few messages
//! behind that event may be stored too, since they do not wait for each other on the way to the disk.
//!
//! The sender is another server, so its address and its user agent say nothing of the visitor: `country` to `os` are
//! the client's to fill in.

use std::future::ready;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use footfall_model::proto::ingest_service_server::{IngestService, IngestServiceServer};
use footfall_model::proto::{EventBatch, PublishSummary, Rejection};
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt, poll};
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};

use super::Collector;
use super::draft::Draft;
use super::publish::{Caller, Outcome, Refusal};
use super::reject::{Cause, Reject};
use super::{reply, sender};
use crate::enrich::Sender;

/// Messages of a stream that wait for the disk at the same time. With one, a stream could send no more than a message
/// for each sync.
pub(super) const WAITING: usize = 8;

/// A message that is being stored, and how many events it has.
type Storing<'a> = BoxFuture<'a, (Result<Outcome, Stop>, usize)>;

/// Why a stream ends before its sender ended it.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("a batch has {events} events; at most {limit} are taken in one message")]
    TooLarge { events: usize, limit: usize },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Room for what protobuf wraps around a batch.
const MESSAGE_OVERHEAD: usize = 16 << 10;

/// The gRPC service of a [`Collector`].
#[derive(Debug, Clone)]
pub struct GrpcIngest(Arc<Collector>);

/// The service, with the limits of the collector.
pub fn grpc(collector: Arc<Collector>) -> IngestServiceServer<GrpcIngest> {
    let limit = collector.options.body_bytes + MESSAGE_OVERHEAD;
    IngestServiceServer::new(GrpcIngest(collector)).max_decoding_message_size(limit)
}

#[tonic::async_trait]
impl IngestService for GrpcIngest {
    async fn publish(&self, request: Request<Streaming<EventBatch>>) -> Result<Response<PublishSummary>, Status> {
        let start = Instant::now();
        let authorization = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = authorization.and_then(sender::bearer_of).map(str::to_owned);
        let result = self.0.drain(request.into_inner(), token.as_deref()).await;
        let class = match &result {
            Ok(_) => "2xx",
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Internal) => "5xx",
            Err(_) => "4xx",
        };
        metrics::histogram!("footfall_ingest_request_seconds", "endpoint" => "grpc", "status" => class)
            .record(start.elapsed());
        result.map(Response::new)
    }
}

impl Collector {
    async fn drain(&self, mut batches: Streaming<EventBatch>, token: Option<&str>) -> Result<PublishSummary, Status> {
        let mut stream = StreamState::new(self.options.listed_rejections);
        let caller = Caller {
            sender: Sender::default(),
            token,
        };
        // In the order of the stream, so that what is said of it is true up to one place.
        let mut waiting = FuturesOrdered::new();
        let mut going_on = true;
        loop {
            tokio::select! { biased;
                Some((stored, events)) = waiting.next(), if !waiting.is_empty() => match stored {
                    Ok(outcome) => stream.add(&outcome, events)?,
                    Err(stop) => return Err(stream.stopped(&stop)),
                },
                batch = batches.message(), if going_on && waiting.len() < WAITING => match batch? {
                    Some(batch) => {
                        let storing;
                        (storing, going_on) = self.begin(batch, caller).await;
                        waiting.push_back(storing);
                    }
                    None => going_on = false,
                },
                else => return stream.finish(),
            }
        }
    }

    /// Hands a message to the log, and whether the next one may be read before this one is durable.
    async fn begin(&self, batch: EventBatch, caller: Caller<'_>) -> (Storing<'_>, bool) {
        let events = batch.events.len();
        let known = |stored: Result<Outcome, Stop>| ready((stored, events)).boxed();
        if events > self.options.batch_events {
            let limit = self.options.batch_events;
            return (known(Err(Stop::TooLarge { events, limit })), false);
        }
        let drafts = batch.events.into_iter().map(|event| self.draft(event)).collect();
        let prepared = match self.prepare(drafts, caller).await {
            Ok(prepared) => prepared,
            Err(refusal) => return (known(Err(refusal.into())), false),
        };
        let too_fast = reply::longest_wait(prepared.rejected()).is_some();
        let mut storing = self.store(prepared).boxed();
        // At once, because the log's order is to be the stream's, and because a log that refuses says so at once.
        match poll!(&mut storing) {
            Poll::Ready(Ok(outcome)) => (known(Ok(outcome)), !too_fast),
            Poll::Ready(Err(refusal)) => (known(Err(refusal.into())), false),
            Poll::Pending => {
                let stored = storing.map(move |stored| (stored.map_err(Stop::from), events));
                (stored.boxed(), !too_fast)
            }
        }
    }

    fn draft(&self, event: footfall_model::proto::Event) -> Result<Draft, Reject> {
        let bytes = event.encoded_len();
        if bytes > self.options.event_bytes {
            return Err(Reject::too_big(bytes, self.options.event_bytes));
        }
        Ok(Draft::of_proto(event, &self.options.properties))
    }
}

/// What became of a stream so far.
struct StreamState {
    summary: PublishSummary,
    /// Events of the whole batches behind us.
    seen: u64,
    /// Of the first rejected event, and of all if they have it in common.
    cause: Option<Cause>,
    listed: usize,
}

impl StreamState {
    fn new(listed: usize) -> Self {
        Self {
            summary: PublishSummary::default(),
            seen: 0,
            cause: None,
            listed,
        }
    }

    /// Counts a batch. A sender that is too fast is stopped: in a summary at the end it would hear of it too late.
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
        self.summary.accepted += outcome.accepted as u64;
        self.seen += events as u64;
        Ok(())
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

    /// An error in the middle of a stream, with the place to go on from.
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
