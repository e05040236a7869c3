//! Observability of a call: a span with its caller and command, and a counter by its outcome.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use arrow_flight::FlightData;
use futures::Stream;
use futures::stream::BoxStream;
use metrics::counter;
use tonic::{Code, Status};
use tracing::{Instrument, Span, field, info_span};

use crate::active_queries::ActiveQuery;

/// One call, from its arrival to the end of its reply. Counted when dropped.
#[derive(Debug)]
pub(crate) struct Call {
    method: &'static str,
    span: Span,
    started: Instant,
    code: Code,
}

impl Call {
    /// The token check sets the span's `token_id`.
    pub(crate) fn begin(method: &'static str) -> Self {
        Self {
            method,
            span: info_span!("flight", method, token_id = field::Empty, command = field::Empty),
            started: Instant::now(),
            // A call that is dropped before it is answered was abandoned by its client.
            code: Code::Cancelled,
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Runs `reply` inside the span, to its end.
    pub(crate) async fn answer<T>(mut self, reply: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        self.run(reply).await
    }

    /// Runs `reply` inside the span; its stream remains part of this call.
    pub(crate) async fn stream(
        mut self,
        reply: impl Future<Output = Result<(Messages, Option<ActiveQuery>), Status>>,
    ) -> Result<Reply, Status> {
        let (messages, entry) = self.run(reply).await?;
        self.code = Code::Cancelled;
        Ok(Reply {
            messages,
            call: self,
            _entry: entry,
        })
    }

    async fn run<T>(&mut self, reply: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let reply = reply.instrument(self.span.clone()).await;
        self.code = reply.as_ref().map_or_else(Status::code, |_| Code::Ok);
        if let Err(status) = &reply {
            let _in_span = self.span.enter();
            tracing::debug!(code = ?status.code(), text = status.message(), "refused");
        }
        reply
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        counter!("footfall_flight_requests_total", "method" => self.method, "code" => format!("{:?}", self.code))
            .increment(1);
    }
}

/// Records the command of the current call.
pub(crate) fn record_command(type_url: &str) {
    let name = type_url.rsplit('.').next().unwrap_or(type_url);
    Span::current().record("command", name);
}

/// The messages of a DoGet.
pub(crate) type Messages = BoxStream<'static, Result<FlightData, Status>>;

/// The reply to a DoGet. Dropping it stops the statement.
pub(crate) struct Reply {
    messages: Messages,
    call: Call,
    _entry: Option<ActiveQuery>,
}

impl Stream for Reply {
    type Item = Result<FlightData, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let _in_span = this.call.span.enter();
        let item = ready!(this.messages.as_mut().poll_next(context));
        match &item {
            None if this.call.code == Code::Cancelled => this.call.code = Code::Ok,
            Some(Err(status)) => this.call.code = status.code(),
            _ => {}
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests;
