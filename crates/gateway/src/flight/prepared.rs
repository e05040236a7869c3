//! Statements with parameters: a text is prepared once, and its values are bound for each request.
//!
//! A server may keep nothing of a statement, and put its text and then the values into the handle: so does Footfall's. Such a
//! handle serves everybody's requests, since what a caller may read is decided when the statement is described and run. A
//! server that keeps the values itself, under the handle that it gave, returns none for the bound statement: its handles are
//! not shared.

use arrow::array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery,
    DoPutPreparedStatementResult, ProstMessageExt,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use moka::sync::Cache;
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};

type Client = FlightSqlServiceClient<Channel>;

/// Of all texts and handles, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// Handles by the text of their statement, which is all that they stand for.
#[derive(Debug, Clone)]
pub(super) struct PreparedHandles(Cache<String, Bytes>);

impl Default for PreparedHandles {
    fn default() -> Self {
        let weight = |text: &String, handle: &Bytes| u32::try_from(text.len() + handle.len()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weight).build())
    }
}

impl PreparedHandles {
    /// What the server says of the statement with these values.
    pub(super) async fn execute(
        &self,
        client: &mut Client,
        text: &str,
        parameters: RecordBatch,
    ) -> Result<FlightInfo, FlightError> {
        if let Some(handle) = self.0.get(text) {
            let found = match bind(client, &handle, parameters.clone()).await {
                Ok(bound) => info(client, bound).await,
                Err(error) => Err(error),
            };
            match found {
                // It may be another server than the one that gave the handle.
                Err(error) if is_misunderstood(&error) => self.0.invalidate(text),
                found => return found,
            }
        }
        let handle = prepare(client, text).await?;
        let bound = bind(client, &handle, parameters).await?;
        if bound != handle {
            self.0.insert(text.to_owned(), handle);
        }
        info(client, bound).await
    }
}

fn is_misunderstood(error: &FlightError) -> bool {
    match error {
        FlightError::Tonic(status) => matches!(status.code(), Code::InvalidArgument | Code::NotFound),
        _ => false,
    }
}

async fn prepare(client: &mut Client, text: &str) -> Result<Bytes, FlightError> {
    let request = ActionCreatePreparedStatementRequest {
        query: text.to_owned(),
        transaction_id: None,
    };
    let action = Action::new("CreatePreparedStatement", request.as_any().encode_to_vec());
    let result = client.do_action(action).await?.message().await?;
    let result = result.ok_or_else(|| FlightError::protocol("a prepared statement without a result"))?;
    let any = Any::decode(&*result.body)?;
    let prepared: Option<ActionCreatePreparedStatementResult> = any.unpack()?;
    let prepared = prepared.ok_or_else(|| FlightError::protocol("the result is not of a prepared statement"))?;
    Ok(prepared.prepared_statement_handle)
}

/// The handle of the statement with its values; the same one if the server returns no other.
async fn bind(client: &mut Client, handle: &Bytes, parameters: RecordBatch) -> Result<Bytes, FlightError> {
    let messages = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor(handle.clone())))
        .with_schema(parameters.schema())
        .build(stream::iter([Ok(parameters)]));
    let messages: Vec<_> = messages.try_collect().await?;
    let Some(result) = client.do_put(stream::iter(messages)).await?.message().await? else {
        return Ok(handle.clone());
    };
    let bound = DoPutPreparedStatementResult::decode(&*result.app_metadata)?;
    Ok(bound.prepared_statement_handle.unwrap_or_else(|| handle.clone()))
}

async fn info(client: &mut Client, handle: Bytes) -> Result<FlightInfo, FlightError> {
    let mut request = Request::new(descriptor(handle));
    if let Some(token) = client.token() {
        let bearer = MetadataValue::try_from(format!("Bearer {token}"));
        let bearer = bearer.map_err(|_| FlightError::protocol("the token is not printable ASCII"))?;
        request.metadata_mut().insert("authorization", bearer);
    }
    Ok(client.inner_mut().get_flight_info(request).await?.into_inner())
}

fn descriptor(handle: Bytes) -> FlightDescriptor {
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: handle,
    };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}
