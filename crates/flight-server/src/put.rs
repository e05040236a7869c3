//! DoPut: binds parameters, and refuses whatever would change data.

use arrow_flight::sql::{Command, DoPutPreparedStatementResult};
use arrow_flight::{FlightData, PutResult};
use footfall_model::access::Principal;
use footfall_query::Engine;
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::Status;

use crate::binding::Binding;
use crate::handle::{self, Malformed, Statement};
use crate::{call, statements, status};

const NO_INGEST: &str = "ingest over Flight SQL is not offered yet; send events to POST /api/v1/events";

/// The reply to a DoPut.
///
/// # Errors
/// For every command except the binding of parameters, and for values that can't be bound.
pub(crate) async fn put(
    engine: &Engine,
    principal: &Principal,
    mut messages: impl Stream<Item = Result<FlightData, Status>> + Unpin,
) -> Result<PutResult, Status> {
    let first = messages.next().await.transpose()?;
    let first = first.ok_or_else(|| malformed("a DoPut without a message"))?;
    let descriptor = first
        .flight_descriptor
        .as_ref()
        .ok_or_else(|| malformed("the first message of a DoPut has no descriptor"))?;
    let command = handle::command(&descriptor.cmd).map_err(status::of_malformed)?;
    call::record_command(command.type_url());
    match command {
        Command::CommandPreparedStatementQuery(query) => {
            let statement = decode(&query.prepared_statement_handle)?;
            bind(statement, first, messages).await
        }
        Command::CommandStatementUpdate(update) => {
            statements::refuse_transaction(update.transaction_id.as_ref())?;
            Err(statements::refuse_update(engine, principal, &update.query).await)
        }
        Command::CommandPreparedStatementUpdate(update) => {
            let statement = decode(&update.prepared_statement_handle)?;
            Err(statements::refuse_update(engine, principal, &statement.sql).await)
        }
        Command::CommandStatementIngest(_) => Err(Status::unimplemented(NO_INGEST)),
        other => Err(Status::unimplemented(format!(
            "DoPut of {} is not offered",
            other.type_url()
        ))),
    }
}

/// The handle of `statement` with the rows of parameters that follow: the server keeps nothing.
async fn bind(
    mut statement: Statement,
    first: FlightData,
    mut messages: impl Stream<Item = Result<FlightData, Status>> + Unpin,
) -> Result<PutResult, Status> {
    let mut binding = Binding::default();
    binding.push(&first).map_err(status::of_malformed)?;
    while let Some(message) = messages.next().await.transpose()? {
        binding.push(&message).map_err(status::of_malformed)?;
    }
    statement.rows = binding.finish().map_err(status::of_malformed)?;
    let result = DoPutPreparedStatementResult {
        prepared_statement_handle: Some(statement.encode().map_err(status::of_malformed)?),
    };
    Ok(PutResult {
        app_metadata: result.encode_to_vec().into(),
    })
}

fn decode(handle: &[u8]) -> Result<Statement, Status> {
    Statement::decode(handle).map_err(status::of_malformed)
}

fn malformed(text: &str) -> Status {
    status::of_malformed(Malformed::new(text))
}
