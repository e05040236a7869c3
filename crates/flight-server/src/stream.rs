//! Rows to Flight messages.
//!
//! ```text
//! rows -> slices below the message size -> Flight messages -> with keep-alives while idle
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::utils::batches_to_flight_data;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt, future};
use metrics::histogram;
use tonic::Status;

use crate::{FlightOptions, slices, status};

/// Rows and their columns.
pub(crate) struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: BoxStream<'static, Result<RecordBatch, Status>>,
    /// The `app_metadata` of the schema's and the first rows' message: where the rows come from, as JSON.
    pub(crate) provenance: Bytes,
}

impl Rows {
    /// A single batch.
    pub(crate) fn once(batch: RecordBatch) -> Self {
        Self {
            schema: batch.schema(),
            batches: stream::once(future::ready(Ok(batch))).boxed(),
            provenance: Bytes::new(),
        }
    }
}

/// The messages of a DoGet: the schema, even without rows, then the rows. Dropping it drops the rows' stream.
///
/// # Errors
/// INTERNAL if the schema can't be encoded.
pub(crate) fn encode(
    rows: Rows,
    options: &FlightOptions,
) -> Result<BoxStream<'static, Result<FlightData, Status>>, Status> {
    let alive = sign_of_life(&rows.schema)?;
    let max_bytes = options.max_message_bytes;
    let slices = rows
        .batches
        .map_ok(move |batch| stream::iter(slices::split(batch, max_bytes)).map(Ok::<_, Status>))
        .try_flatten();
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(rows.schema)
        .with_max_flight_data_size(usize::MAX) // the slices have the right size already
        .build(slices.map_err(FlightError::from))
        .map_err(Status::from);
    let provenance = rows.provenance;
    // Some clients show the metadata of the schema's message, others only those of rows.
    let messages = messages.enumerate().map(move |(nth, message)| {
        message.map(|message| match nth {
            0 | 1 => message.with_app_metadata(provenance.clone()),
            _ => message,
        })
    });
    Ok(keep_alive(messages.boxed(), alive, options.keep_alive))
}

/// Repeats `alive` whenever `messages` is silent for `period`, because proxies close silent streams.
fn keep_alive(
    messages: BoxStream<'static, Result<FlightData, Status>>,
    alive: FlightData,
    period: Duration,
) -> BoxStream<'static, Result<FlightData, Status>> {
    stream::unfold((messages, alive), move |(mut messages, alive)| async move {
        match tokio::time::timeout(period, messages.next()).await {
            Ok(message) => message.map(|message| (message, (messages, alive))),
            Err(_) => Some((Ok(alive.clone()), (messages, alive))),
        }
    })
    .boxed()
}

/// A batch without rows, which clients skip.
fn sign_of_life(schema: &SchemaRef) -> Result<FlightData, Status> {
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    let mut messages = batches_to_flight_data(schema, vec![empty]).map_err(status::internal)?;
    messages
        .pop()
        .ok_or_else(|| status::internal("an empty batch has no message"))
}

/// Measures the time from `started` to the first batch.
pub(crate) fn timed(rows: Rows, started: Instant) -> Rows {
    let mut waiting = Some(started);
    let batches = rows.batches.inspect_ok(move |_| {
        if let Some(started) = waiting.take() {
            histogram!("footfall_flight_first_batch_seconds").record(started.elapsed());
        }
    });
    Rows {
        schema: rows.schema,
        batches: batches.boxed(),
        provenance: rows.provenance,
    }
}

/// A stream that ends with CANCELLED if it was aborted.
pub(crate) fn abortable<S>(
    rows: S,
    registration: future::AbortRegistration,
) -> impl Stream<Item = Result<FlightData, Status>> + Send
where
    S: Stream<Item = Result<FlightData, Status>> + Send,
{
    let handle = registration.handle();
    let last = stream::once(async move {
        let cancelled = || Err(Status::cancelled("the statement was cancelled by another call"));
        handle.is_aborted().then(cancelled)
    });
    stream::Abortable::new(rows, registration).chain(last.filter_map(future::ready))
}

#[cfg(test)]
mod tests;
