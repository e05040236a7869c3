//! DoAction: prepares and closes statements, answers session options, cancels streams.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Any, ProstMessageExt,
};
use arrow_flight::{Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use bytes::Bytes;
use footfall_model::access::Principal;
use footfall_query::Engine;
use prost::Message;
use tonic::Status;

use crate::active_queries::ActiveQueries;
use crate::client::ClientKind;
use crate::handle::{self, Malformed};
use crate::{call, session, statements, status};

/// The actions on offer, with what each expects and returns.
const OFFERED: [(&str, &str); 7] = [
    (
        "CreatePreparedStatement",
        "Prepares a statement. ActionCreatePreparedStatementRequest -> ActionCreatePreparedStatementResult",
    ),
    (
        "ClosePreparedStatement",
        "Closes a prepared statement. ActionClosePreparedStatementRequest -> nothing",
    ),
    (
        "CancelFlightInfo",
        "Cancels a statement whose rows are flowing. CancelFlightInfoRequest -> CancelFlightInfoResult",
    ),
    (
        "CancelQuery",
        "The same, in its older form. ActionCancelQueryRequest -> ActionCancelQueryResult",
    ),
    (
        "SetSessionOptions",
        "Accepts the only catalog and schema. SetSessionOptionsRequest -> SetSessionOptionsResult",
    ),
    (
        "GetSessionOptions",
        "Returns the catalog and the schema. GetSessionOptionsRequest -> GetSessionOptionsResult",
    ),
    (
        "CloseSession",
        "Succeeds: no session is kept. CloseSessionRequest -> CloseSessionResult",
    ),
];

/// Actions that Flight SQL defines and this server does not offer, with the reason.
const REFUSED: [(&str, &str); 6] = [
    (
        "BeginTransaction",
        "Footfall has no transactions: each statement reads one snapshot",
    ),
    (
        "EndTransaction",
        "Footfall has no transactions: each statement reads one snapshot",
    ),
    ("BeginSavepoint", "Footfall has no transactions, so no savepoints"),
    ("EndSavepoint", "Footfall has no transactions, so no savepoints"),
    (
        "CreatePreparedSubstraitPlan",
        "Substrait plans are not supported; send SQL",
    ),
    (
        "RenewFlightEndpoint",
        "endpoints don't expire, so there is nothing to renew",
    ),
];

/// The actions, for ListActions.
pub(crate) fn offered() -> Vec<ActionType> {
    let types = OFFERED.iter().map(|(name, description)| ActionType {
        r#type: (*name).to_owned(),
        description: (*description).to_owned(),
    });
    types.collect()
}

/// The results of an action: none or one.
///
/// # Errors
/// UNIMPLEMENTED for an action that is not offered, INVALID_ARGUMENT for a damaged body, and the statement's own errors
/// if it can't be prepared.
pub(crate) async fn act(
    engine: &Engine,
    running: &ActiveQueries,
    principal: &Principal,
    client: ClientKind,
    action: Action,
) -> Result<Option<Bytes>, Status> {
    call::record_command(&action.r#type);
    let body = &action.body;
    handle::check_size("the action's body", body).map_err(status::of_malformed)?;
    let reply = match action.r#type.as_str() {
        "CreatePreparedStatement" => {
            let request: ActionCreatePreparedStatementRequest = unpack(body)?;
            statements::refuse_transaction(request.transaction_id.as_ref())?;
            let prepared = statements::prepare(engine, principal, client, &request.query).await?;
            prepared.as_any().encode_to_vec()
        }
        "ClosePreparedStatement" => {
            // A handle stays valid: pandas closes before it fetches.
            let _: ActionClosePreparedStatementRequest = unpack(body)?;
            return Ok(None);
        }
        "CancelFlightInfo" => {
            let request = CancelFlightInfoRequest::decode(&**body).map_err(|error| damaged(&error))?;
            let info = request
                .info
                .ok_or_else(|| malformed("CancelFlightInfo without a FlightInfo"))?;
            let status = cancel(running, principal, &info)?;
            CancelFlightInfoResult::new(status).encode_to_vec()
        }
        "CancelQuery" => {
            let request: ActionCancelQueryRequest = unpack(body)?;
            let info = FlightInfo::decode(request.info).map_err(|error| damaged(&error))?;
            // The older enumeration has the same numbers.
            let result = cancel(running, principal, &info)?.into();
            ActionCancelQueryResult { result }.as_any().encode_to_vec()
        }
        "SetSessionOptions" => session::set(body).map_err(status::of_malformed)?.encode_to_vec(),
        "GetSessionOptions" => session::get().encode_to_vec(),
        "CloseSession" => session::close().encode_to_vec(),
        other => return Err(unknown(other)),
    };
    Ok(Some(reply.into()))
}

/// A statement runs only while its rows are read: otherwise there is nothing to cancel.
fn cancel(running: &ActiveQueries, principal: &Principal, info: &FlightInfo) -> Result<CancelStatus, Status> {
    let statement = handle::promised(info).map_err(status::of_malformed)?;
    let stopped = running.cancel(statement.run, principal);
    Ok(if stopped > 0 {
        CancelStatus::Cancelled
    } else {
        CancelStatus::NotCancellable
    })
}

fn unknown(name: &str) -> Status {
    let reason = REFUSED.iter().find(|(refused, _)| *refused == name);
    match reason {
        Some((_, reason)) => Status::unimplemented(*reason),
        None => {
            let names = OFFERED.map(|(name, _)| name).join(", ");
            Status::unimplemented(format!("unknown action; available are {names}"))
        }
    }
}

fn unpack<M: ProstMessageExt>(body: &[u8]) -> Result<M, Status> {
    let any = Any::decode(body).map_err(|error| damaged(&error))?;
    let message = any
        .unpack()
        .map_err(|error| status::of_malformed(Malformed(error.to_string())))?;
    message.ok_or_else(|| status::of_malformed(Malformed(format!("the action's body is not a {}", M::type_url()))))
}

fn damaged(error: &prost::DecodeError) -> Status {
    status::of_malformed(Malformed(format!("the action's body is damaged: {error}")))
}

fn malformed(text: &str) -> Status {
    status::of_malformed(Malformed::new(text))
}
