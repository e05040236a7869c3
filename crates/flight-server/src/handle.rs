//! What clients send back to us: commands, tickets and handles of prepared statements. They hold a statement
//! completely, so the server keeps nothing between two calls. They never hold the principal: only the call does.
//!
//! Pure and total: any bytes decode to a value or to [`Malformed`], within bounded memory.

use arrow_flight::sql::{Any, Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightInfo, Ticket};
use bytes::Bytes;
use footfall_query::ScalarValue;
use prost::encoding::{self, DecodeContext, WireType};
use prost::{DecodeError, Message};

use crate::message::{RowMessage, StatementMessage};

/// Size limit of a statement with its bound values, in bytes. A reply repeats a handle up to three times and must stay
/// below the 4 MiB that clients accept by default.
pub(crate) const MAX_HANDLE_BYTES: usize = 1 << 20;

/// Size limit of a command or an action's body, in bytes: a handle and its envelope.
const MAX_COMMAND_BYTES: usize = 2 * MAX_HANDLE_BYTES;

/// Maximum number of rows of values that one statement may be run for.
pub(crate) const MAX_ROWS: usize = 1000;

/// Maximum number of values in all rows of a statement. A value takes two bytes to send and a hundred in memory.
pub(crate) const MAX_VALUES: usize = 100_000;

/// Why bytes from a client can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Refuses what would take much memory to decode: protobuf's empty texts and messages take two bytes to send, and tens
/// in memory.
pub(crate) fn check_size(what: &str, bytes: &[u8]) -> Result<(), Malformed> {
    if bytes.len() > MAX_COMMAND_BYTES {
        let length = bytes.len();
        return Err(Malformed(format!(
            "{what} has {length} bytes; {MAX_COMMAND_BYTES} are allowed"
        )));
    }
    Ok(())
}

/// The Flight SQL command in the bytes of a descriptor, a ticket or an action.
pub(crate) fn command(bytes: &[u8]) -> Result<Command, Malformed> {
    if bytes.is_empty() {
        return Err(Malformed::new(
            "a Flight SQL command was expected, but the descriptor or ticket is empty; paths are not served",
        ));
    }
    check_size("the Flight SQL command", bytes)?;
    let any = Any::decode(bytes).map_err(|error| Malformed(format!("not a Flight SQL command: {error}")))?;
    Command::try_from(any).map_err(|error| Malformed(format!("a damaged Flight SQL command: {error}")))
}

/// The statement that one of our `FlightInfo`s promised, for a client that wants to cancel it.
pub(crate) fn promised(info: &FlightInfo) -> Result<Statement, Malformed> {
    let ticket = info
        .endpoint
        .first()
        .and_then(|endpoint| endpoint.ticket.as_ref())
        .ok_or_else(|| Malformed::new("the FlightInfo holds no ticket"))?;
    match command(&ticket.ticket)? {
        Command::TicketStatementQuery(query) => Statement::decode(&query.statement_handle),
        _ => Err(Malformed::new("the FlightInfo is not one of a statement")),
    }
}

/// SQL and its bound values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// One entry per run of the statement; empty if nothing was bound.
    pub(crate) rows: Vec<Vec<ScalarValue>>,
    /// The number of the `FlightInfo` that promised it, by which it is cancelled; 0 before there is one.
    pub(crate) run: u64,
    /// The version of the lake that it was described over; it is executed over the same one as long as the engine keeps
    /// it.
    pub(crate) version: Option<u64>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            rows: Vec::new(),
            run: 0,
            version: None,
        }
    }

    /// Encodes it as a handle of a prepared statement.
    pub(crate) fn encode(&self) -> Result<Bytes, Malformed> {
        let rows = self.rows.iter().map(|row| RowMessage::encode_row(row));
        let message = StatementMessage {
            sql: self.sql.clone(),
            rows: rows.collect::<Result<_, _>>()?,
            run: self.run,
            version: self.version,
        };
        let length = message.encoded_len();
        if length > MAX_HANDLE_BYTES {
            return Err(Malformed(format!(
                "the statement and its parameters take {length} bytes; {MAX_HANDLE_BYTES} are allowed"
            )));
        }
        Ok(message.encode_to_vec().into())
    }

    /// Encodes it as the ticket that returns its rows.
    pub(crate) fn ticket(&self) -> Result<Ticket, Malformed> {
        let query = TicketStatementQuery {
            statement_handle: self.encode()?,
        };
        Ok(Ticket::new(query.as_any().encode_to_vec()))
    }

    pub(crate) fn decode(handle: &[u8]) -> Result<Self, Malformed> {
        if handle.len() > MAX_HANDLE_BYTES {
            return Err(Malformed(format!(
                "the statement's handle has {} bytes; this server's have {MAX_HANDLE_BYTES} at most",
                handle.len()
            )));
        }
        let damaged = |error| {
            Malformed(format!(
                "the statement's handle is damaged, or not this server's: {error}"
            ))
        };
        // Counted before anything is allocated.
        if count_values(handle).map_err(damaged)? > MAX_VALUES {
            return Err(too_many_values());
        }
        let message = StatementMessage::decode(handle).map_err(damaged)?;
        if message.rows.len() > MAX_ROWS {
            return Err(Malformed(format!(
                "the statement's handle binds {} rows; {MAX_ROWS} are allowed",
                message.rows.len()
            )));
        }
        let rows = message.rows.into_iter().map(RowMessage::decode_row);
        Ok(Self {
            sql: message.sql,
            rows: rows.collect::<Result<_, _>>()?,
            run: message.run,
            version: message.version,
        })
    }
}

/// The error for more than [`MAX_VALUES`].
pub(crate) fn too_many_values() -> Malformed {
    Malformed(format!("more than {MAX_VALUES} values are bound to the statement"))
}

/// The number of values in an encoded [`StatementMessage`], each row counted as one more.
fn count_values(mut handle: &[u8]) -> Result<usize, DecodeError> {
    let mut count = 0;
    while !handle.is_empty() {
        let (tag, wire_type) = encoding::decode_key(&mut handle)?;
        let mut field = handle;
        encoding::skip_field(wire_type, tag, &mut handle, DecodeContext::default())?;
        if (tag, wire_type) == (2, WireType::LengthDelimited) {
            encoding::decode_varint(&mut field)?;
            let row = field.get(..field.len() - handle.len()).unwrap_or_default();
            count += 1 + count_fields(row)?;
        }
    }
    Ok(count)
}

fn count_fields(mut message: &[u8]) -> Result<usize, DecodeError> {
    let mut count = 0;
    while !message.is_empty() {
        let (tag, wire_type) = encoding::decode_key(&mut message)?;
        encoding::skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
