//! The rows of a statement as the body of a reply, encoded as they come.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};

use super::encode::Encoder;
use super::format::Encoding;
use crate::flight::Rows;
use crate::problem::Problem;

/// The share of visitors that were read: no format of rows has a place for it.
const SAMPLE_RATE: HeaderName = HeaderName::from_static("footfall-sample-rate");

/// Rows on their way.
pub(super) struct RowsStream {
    schema: SchemaRef,
    /// The share of visitors that were read, where it is not all.
    sample_rate: Option<f64>,
    batches: BoxStream<'static, Result<RecordBatch, Problem>>,
}

impl RowsStream {
    /// The rows of a statement, with the columns' own names or with others.
    pub(super) fn of_statement(rows: Rows, names: Option<&[String]>) -> Self {
        let schema = names.map_or_else(|| SchemaRef::clone(&rows.schema), |names| renamed(&rows.schema, names));
        let sampled = rows.provenance.as_ref().filter(|from| from.is_sampled);
        Self {
            sample_rate: sampled.map(|from| from.sample_rate),
            schema: SchemaRef::clone(&schema),
            batches: rows.stream().map(move |batch| with_schema(batch?, &schema)).boxed(),
        }
    }

    pub(super) fn of_table(table: RecordBatch) -> Self {
        Self {
            schema: table.schema(),
            sample_rate: None,
            batches: stream::once(std::future::ready(Ok(table))).boxed(),
        }
    }
}

/// The rows as the body of a reply.
pub(super) async fn streamed(rows: RowsStream, encoding: Encoding) -> Result<Response, Problem> {
    let mut encoder = Encoder::new(encoding, &rows.schema)?;
    let (sample_rate, mut batches) = (rows.sample_rate, rows.batches);
    // Many errors show with the first rows: these still have a status of their own.
    let first = batches.next().await.transpose()?;
    let mut start = encoder.start()?;
    if let Some(batch) = first {
        start.extend(encoder.batch(&batch)?);
    }
    let mut response = Body::from_stream(encoded(encoder, start, batches)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoding.format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    if let Some(rate) = sample_rate.and_then(|rate| HeaderValue::try_from(rate.to_string()).ok()) {
        headers.insert(SAMPLE_RATE, rate);
    }
    Ok(response)
}

fn renamed(schema: &Schema, names: &[String]) -> SchemaRef {
    let fields = schema.fields().iter().zip(names);
    let fields = fields.map(|(field, name)| Field::new(name, field.data_type().clone(), field.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Problem> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let batch = RecordBatch::try_new(SchemaRef::clone(schema), batch.columns().to_vec());
    batch.map_err(|error| Problem::internal(&error))
}

/// An error midway cuts the body off, so that no client takes a part for the whole.
fn encoded(
    encoder: Encoder,
    start: Vec<u8>,
    batches: impl Stream<Item = Result<RecordBatch, Problem>> + Unpin,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let rest = stream::unfold(Some((encoder, batches)), |state| async {
        let (mut encoder, mut batches) = state?;
        match batches.next().await {
            Some(batch) => {
                let bytes = batch
                    .and_then(|batch| encoder.batch(&batch))
                    .map_err(|problem| cut_off(&problem));
                let state = bytes.is_ok().then_some((encoder, batches));
                Some((bytes.map(Bytes::from), state))
            }
            None => Some((
                encoder.finish().map(Bytes::from).map_err(|problem| cut_off(&problem)),
                None,
            )),
        }
    });
    stream::once(std::future::ready(Ok(Bytes::from(start)))).chain(rest)
}

fn cut_off(problem: &Problem) -> std::io::Error {
    tracing::warn!(?problem, "a result was cut off");
    std::io::Error::other("the query failed")
}
