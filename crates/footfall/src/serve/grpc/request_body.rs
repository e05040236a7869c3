//! A request body that reserves memory for a message before it reads it, and limits how long a message may take.
//!
//! A message's memory is reserved when its length is announced, because the decoder allocates it then. Until the
//! reservation succeeds, the body is not read: the client's window fills, and the client waits.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use footfall_ingest::collect::{Exhausted, Reservation};
use futures::future::BoxFuture;
use http::HeaderValue;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use super::calls::{Class, Lane, Messages};
use super::framing::{Framing, TooLarge};
use super::open_calls::OpenCall;
use super::stopwatch::Stopwatch;

/// How long a message may wait for memory that other calls hold.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a call holds from the first read of its body until it is answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<Holding>>);

#[derive(Debug, Default)]
struct Holding {
    call: Option<OpenCall>,
    /// For messages that were read.
    small: Option<Reservation>,
    large: Option<Reservation>,
    /// For the message being read.
    reading: Option<(Lane, Reservation)>,
}

impl Held {
    /// When the call has been answered.
    pub(super) fn give_back(&self) {
        *self.0.lock() = Holding::default();
    }

    fn forget_read(&self) {
        let mut holding = self.0.lock();
        (holding.small, holding.large) = (None, None);
    }

    fn end_message(&self) {
        let mut holding = self.0.lock();
        if let Some((lane, ended)) = holding.reading.take() {
            holding.add_read(lane, ended);
        }
    }

    /// `reserved`, of which `begun` bytes belong to an incomplete message.
    fn add(&self, lane: Lane, mut reserved: Reservation, begun: usize) {
        let mut holding = self.0.lock();
        if begun > 0 {
            holding.reading = reserved.split(begun).map(|reading| (lane, reading));
        }
        holding.add_read(lane, reserved);
    }
}

impl Holding {
    fn add_read(&mut self, lane: Lane, more: Reservation) {
        let read = match lane {
            Lane::Small => &mut self.small,
            Lane::Large => &mut self.large,
        };
        match read {
            Some(read) => read.merge(more),
            None => *read = Some(more),
        }
    }
}

/// A chunk whose messages wait for memory.
struct Arrived {
    chunk: Bytes,
    lane: Lane,
    begun: usize,
    memory: BoxFuture<'static, Result<Reservation, Status>>,
}

pub(super) struct RequestBody {
    body: Body,
    class: Class,
    authorization: Option<HeaderValue>,
    messages: Messages,
    framing: Framing,
    stopwatch: Stopwatch,
    held: Held,
    arrived: Option<Arrived>,
    began: bool,
}

impl RequestBody {
    pub(super) fn new(body: Body, class: Class, messages: Messages, timeout: Duration, held: Held) -> Self {
        Self {
            body,
            class,
            authorization: None,
            messages,
            framing: Framing::default(),
            stopwatch: Stopwatch::new(timeout),
            held,
            arrived: None,
            began: false,
        }
    }

    /// The group of calls that this one counts towards.
    pub(super) fn of_token(mut self, authorization: Option<HeaderValue>) -> Self {
        self.authorization = authorization;
        self
    }

    /// A body is read once its call has passed every check of its headers.
    fn begin(&mut self) -> Result<(), Status> {
        if !self.began {
            let call = self.class.calls.open(self.authorization.as_ref());
            self.held.0.lock().call = Some(call.ok_or_else(|| refused("calls", "too many calls are open"))?);
            self.began = true;
        }
        Ok(())
    }

    /// Whether the client may take any time to send what comes next.
    fn is_idle(&self) -> bool {
        self.messages.endless && !self.framing.is_partial()
    }

    /// The chunk, if its memory is available at once.
    fn account(&mut self, chunk: Bytes) -> Result<Option<Bytes>, Status> {
        let progress = self.framing.advance(&chunk, self.messages.limit).map_err(too_large)?;
        if progress.earlier_ended {
            self.held.end_message();
        }
        if progress.any_ended {
            self.stopwatch.reset();
        }
        let bytes = progress.whole + progress.begun;
        if bytes == 0 {
            return Ok(Some(chunk));
        }
        let lane = Lane::of(bytes);
        let budget = self.class.budget(lane).clone();
        let begun = progress.begun;
        if let Ok(reserved) = budget.try_reserve(bytes) {
            self.held.add(lane, reserved, begun);
            return Ok(Some(chunk));
        }
        let memory = Box::pin(async move {
            match timeout(MEMORY_TIMEOUT, budget.reserve(bytes)).await {
                Ok(reserved) => reserved.map_err(|Exhausted| never_fits(bytes, budget.capacity())),
                Err(_) => Err(refused("memory", "too many requests are under way")),
            }
        });
        self.arrived = Some(Arrived {
            chunk,
            lane,
            begun,
            memory,
        });
        Ok(None)
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.begin()?;
        loop {
            if let Some(arrived) = &mut self.arrived {
                let reserved = std::task::ready!(arrived.memory.as_mut().poll(context))?;
                self.held.add(arrived.lane, reserved, arrived.begun);
                let chunk = self.arrived.take().map(|arrived| arrived.chunk).unwrap_or_default();
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            if self.messages.endless {
                // A service that polls for more has finished with the messages before.
                self.held.forget_read();
            }
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(frame) => {
                    self.stopwatch.pause();
                    frame
                }
                Poll::Pending if self.is_idle() => return Poll::Pending,
                Poll::Pending => {
                    std::task::ready!(self.stopwatch.poll_run(context));
                    return Poll::Ready(Some(Err(too_slow(self.stopwatch.limit()))));
                }
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => {
                    if let Some(chunk) = self.account(chunk)? {
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                }
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.get_mut().poll_chunk(context)
    }

    fn is_end_stream(&self) -> bool {
        self.arrived.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn count(reason: &'static str) {
    metrics::counter!("footfall_grpc_refused_total", "reason" => reason).increment(1);
}

/// Temporary: the same call may succeed later.
fn refused(reason: &'static str, text: &str) -> Status {
    count(reason);
    let mut status = Status::unavailable(format!("{text}; try again in 1 s"));
    status.metadata_mut().insert("retry-after", 1.into());
    status
}

fn too_slow(limit: Duration) -> Status {
    count("slow");
    Status::deadline_exceeded(format!("a message did not arrive within {} s", limit.as_secs_f64()))
}

fn too_large(TooLarge { length }: TooLarge) -> Status {
    count("size");
    Status::out_of_range(format!("a message of {length} bytes is larger than this method takes"))
}

fn never_fits(bytes: usize, capacity: usize) -> Status {
    count("size");
    Status::resource_exhausted(format!(
        "a message of {bytes} bytes does not fit in the {capacity} bytes that all such messages may take together; \
         send smaller ones"
    ))
}

#[cfg(test)]
mod tests;
