//! gRPC: streams of prebuilt messages. The server replies at the end of a stream.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bytes::{Buf, BufMut, Bytes};
use footfall_model::clock::{Clock, SystemClock};
use footfall_model::proto::PublishSummary;
use futures::stream;
use http::uri::PathAndQuery;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::{sleep_until, timeout};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::events::Filler;
use crate::run::Job;
use crate::tally::{Tally, Times};

/// A connection of its own.
pub(crate) async fn connect(authority: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))?.tcp_nodelay(true);
    endpoint
        .connect()
        .await
        .with_context(|| format!("no gRPC connection to {authority}"))
}

/// Sends streams of `messages` messages, one after another, until the schedule ends.
pub(crate) async fn work(job: Arc<Job>, tally: Arc<Mutex<Tally>>, channel: Channel, index: usize, messages: u32) {
    let mut client = Grpc::new(channel);
    let mut index = index;
    while let Some(due) = job.schedule.next(Instant::now()) {
        if due > Instant::now() {
            sleep_until(due.into()).await;
        }
        if client.ready().await.is_err() {
            tally.lock().error("connection lost", 0);
            return;
        }
        index += 1;
        let sizes = (0..messages).map(|message| job.templates[of(index, message, &job)].bytes().len());
        let (bytes, sent_events) = (sizes.sum(), u64::from(messages) * job.templates[0].events());
        let sent = Instant::now();
        let path = PathAndQuery::from_static("/footfall.v1.IngestService/Publish");
        let call = client.client_streaming(Request::new(batches(&job, index, messages)), path, Prebuilt);
        let answer = timeout(job.timeout, call).await;
        let times = Times {
            due,
            sent,
            replied: Instant::now(),
        };
        let mut tally = tally.lock();
        match answer {
            Ok(Ok(summary)) => {
                let summary = summary.into_inner();
                let body = summary
                    .rejected
                    .first()
                    .map(|first| format!("{}: {}", first.field, first.reason));
                tally.reply(
                    "ok",
                    summary.accepted,
                    bytes,
                    times,
                    body.unwrap_or_default().as_bytes(),
                );
            }
            Ok(Err(status)) => {
                tally.reply(name(status.code()), 0, bytes, times, status.message().as_bytes());
                tally.unanswered += sent_events;
            }
            Err(_) => tally.error("no reply in time", sent_events),
        }
    }
}

fn of(index: usize, message: u32, job: &Job) -> usize {
    (index + usize::try_from(message).unwrap_or(0)) % job.templates.len()
}

/// Messages that are filled when the connection has room for them.
fn batches(job: &Arc<Job>, index: usize, messages: u32) -> impl futures::Stream<Item = Bytes> + Send + 'static {
    let job = Arc::clone(job);
    let mut filler = Filler::new(job.sequence);
    stream::iter((0..messages).map(move |message| {
        let template = &job.templates[of(index, message, &job)];
        let mut bytes = Vec::new();
        filler.fill(template, &mut bytes, job.take(template.events()), SystemClock.now());
        Bytes::from(bytes)
    }))
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Unavailable => "unavailable",
        Code::ResourceExhausted => "resource exhausted",
        Code::InvalidArgument => "invalid argument",
        Code::NotFound => "not found",
        Code::Unauthenticated | Code::PermissionDenied => "refused",
        _ => "failed",
    }
}

/// Messages that are bytes already.
#[derive(Debug)]
struct Prebuilt;

impl Codec for Prebuilt {
    type Encode = Bytes;
    type Decode = PublishSummary;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Prebuilt {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Prebuilt {
    type Item = PublishSummary;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<PublishSummary>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        PublishSummary::decode(message)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
