//! Statements: their description and their rows.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{ActionCreatePreparedStatementResult, Command};
use arrow_flight::{IpcMessage, SchemaAsIpc, Ticket};
use bytes::Bytes;
use footfall_model::access::Principal;
use footfall_query::{Caller, Description, Engine, QueryError, ScalarValue};
use futures::{StreamExt, TryStreamExt, stream};
use tonic::Status;

use crate::active_queries::ActiveQueries;
use crate::client::ClientKind;
use crate::handle::{Malformed, Statement};
use crate::stream::Rows;
use crate::{parameter_types, status};

const NO_TRANSACTIONS: &str = "Footfall has no transactions: each statement reads one snapshot. Leave the \
                               transaction out (autocommit)";
const NO_SUBSTRAIT: &str = "Substrait plans are not supported; send SQL";

/// The statement of a command; `None` if the command is for something else.
///
/// # Errors
/// INVALID_ARGUMENT for a damaged handle or a transaction, UNIMPLEMENTED for Substrait.
pub(crate) fn asked(command: &Command) -> Result<Option<Statement>, Status> {
    let decode = |handle: &Bytes| Statement::decode(handle).map_err(status::of_malformed);
    match command {
        Command::CommandStatementQuery(query) => {
            refuse_transaction(query.transaction_id.as_ref())?;
            Ok(Some(Statement::new(&query.query)))
        }
        Command::CommandPreparedStatementQuery(query) => decode(&query.prepared_statement_handle).map(Some),
        Command::TicketStatementQuery(ticket) => decode(&ticket.statement_handle).map(Some),
        Command::CommandStatementSubstraitPlan(_) => Err(Status::unimplemented(NO_SUBSTRAIT)),
        _ => Ok(None),
    }
}

/// # Errors
/// INVALID_ARGUMENT if a transaction is named.
pub(crate) fn refuse_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(Status::invalid_argument(NO_TRANSACTIONS)),
        _ => Ok(()),
    }
}

/// The reply to a client before it asks for the rows.
///
/// # Errors
/// The statement is invalid, or its parameters are not bound.
pub(crate) async fn promise(
    engine: &Engine,
    running: &ActiveQueries,
    principal: &Principal,
    mut statement: Statement,
) -> Result<(SchemaRef, Ticket), Status> {
    let bound = statement.rows.first().map_or(&[][..], Vec::as_slice);
    let (schema, version) = match engine.describe_known(principal, &statement.sql, bound) {
        Some(known) => known,
        None => {
            let described = describe(engine, principal, &statement.sql, bound).await?;
            if bound.is_empty() && !described.parameters.is_empty() {
                return Err(Status::invalid_argument(format!(
                    "the statement has {} parameters and none is bound; bind them by DoPut of \
                     CommandPreparedStatementQuery",
                    described.parameters.len()
                )));
            }
            (described.schema, described.version)
        }
    };
    statement.run = running.number();
    statement.version = Some(version);
    let ticket = statement.ticket().map_err(status::of_malformed)?;
    Ok((schema, ticket))
}

/// A prepared statement: its handle, columns and parameters.
///
/// # Errors
/// The statement is invalid; DDL and DML are refused here already.
pub(crate) async fn prepare(
    engine: &Engine,
    principal: &Principal,
    client: ClientKind,
    sql: &str,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let described = describe(engine, principal, sql, &[]).await?;
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: Statement::new(sql).encode().map_err(status::of_malformed)?,
        dataset_schema: ipc(&client.schema(&described.schema))?,
        parameter_schema: ipc(&parameter_types::announced(described.parameters))?,
    })
}

/// Why `sql` is not an update: it is refused, or it returns rows.
pub(crate) async fn refuse_update(engine: &Engine, principal: &Principal, sql: &str) -> Status {
    match describe(engine, principal, sql, &[]).await {
        Err(refusal) => refusal,
        Ok(_) => Status::invalid_argument("the statement returns rows and changes none: send it as a query"),
    }
}

async fn describe(
    engine: &Engine,
    principal: &Principal,
    sql: &str,
    bound: &[ScalarValue],
) -> Result<Description, Status> {
    tracing::debug!(sql, "describe");
    let described = match bound {
        [] => engine.describe(principal, sql).await,
        bound => engine.describe_bound(principal, sql, bound).await,
    };
    described.map_err(status::of_query)
}

/// The rows of a statement, run once for each row of parameters, one run after the other.
///
/// # Errors
/// Errors before the first row; later ones are in the stream.
pub(crate) async fn rows(engine: &Arc<Engine>, caller: Caller, statement: Statement) -> Result<Rows, Status> {
    tracing::debug!(sql = statement.sql, runs = statement.rows.len().max(1), "execute");
    let engine = Arc::clone(engine);
    let (sql, version): (Arc<str>, _) = (statement.sql.into(), statement.version);
    let mut runs = statement.rows.into_iter();
    let first = run(&engine, &caller, &sql, &runs.next().unwrap_or_default(), version).await?;
    let schema = Arc::clone(&first.schema);
    let rest = stream::iter(runs)
        .then(move |bound| {
            let (engine, caller, sql) = (Arc::clone(&engine), caller.clone(), Arc::clone(&sql));
            async move { run(&engine, &caller, &sql, &bound, version).await }
        })
        .and_then({
            let schema = Arc::clone(&schema);
            move |rows| std::future::ready(same_columns(rows, &schema))
        })
        .map_ok(|rows| rows.batches)
        .try_flatten();
    Ok(Rows {
        schema,
        batches: first.batches.chain(rest).boxed(),
        provenance: first.provenance,
    })
}

async fn run(
    engine: &Engine,
    caller: &Caller,
    sql: &str,
    bound: &[ScalarValue],
    version: Option<u64>,
) -> Result<Rows, Status> {
    let answer = engine.execute_at(caller.clone(), sql, bound, version).await;
    let answer = answer.map_err(status::of_query)?;
    Ok(Rows {
        schema: answer.rows.schema(),
        provenance: answer.provenance.to_json().to_string().into(),
        batches: answer
            .rows
            .map_err(|error| status::of_query(QueryError::from(error)))
            .boxed(),
    })
}

fn same_columns(rows: Rows, schema: &SchemaRef) -> Result<Rows, Status> {
    if rows.schema == *schema {
        return Ok(rows);
    }
    let reason = "the statement returns other columns for a later row of parameters than for the first";
    Err(status::of_malformed(Malformed::new(reason)))
}

/// A schema as Flight SQL embeds it in messages.
pub(crate) fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error: arrow::error::ArrowError| status::internal(error))?;
    Ok(bytes)
}
