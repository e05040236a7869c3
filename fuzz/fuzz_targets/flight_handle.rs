//! Commands, tickets and handles of prepared statements, as clients hand them to the Flight SQL server.
//!
//! Checked: no panic; what was decoded is encoded and decoded to the same; limits hold.

#![no_main]

#[allow(dead_code, reason = "a file of the Flight server, which uses all of it")]
#[path = "../../crates/flight-server/src/handle.rs"]
mod handle;

#[path = "../../crates/flight-server/src/message.rs"]
mod message;

use arrow_flight::FlightInfo;
use arrow_flight::sql::Command;
use handle::{MAX_HANDLE_BYTES, MAX_ROWS, Statement};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|data: &[u8]| {
    decode(data);
    if let Ok(command) = handle::command(data) {
        match command {
            Command::TicketStatementQuery(query) => decode(&query.statement_handle),
            Command::CommandPreparedStatementQuery(query) => decode(&query.prepared_statement_handle),
            Command::CommandPreparedStatementUpdate(query) => decode(&query.prepared_statement_handle),
            Command::ActionClosePreparedStatementRequest(request) => decode(&request.prepared_statement_handle),
            _ => {}
        }
    }
    if let Ok(info) = FlightInfo::decode(data)
        && let Ok(statement) = handle::promised(&info)
    {
        assert_same(&statement);
    }
});

fn decode(bytes: &[u8]) {
    if let Ok(statement) = Statement::decode(bytes) {
        assert!(bytes.len() <= MAX_HANDLE_BYTES && statement.rows.len() <= MAX_ROWS);
        assert_same(&statement);
    }
}

fn assert_same(statement: &Statement) {
    let encoded = statement.encode().expect("what was decoded can be encoded");
    assert_eq!(Statement::decode(&encoded).as_ref(), Ok(statement));
    let ticket = statement.ticket().expect("and be a ticket");
    match handle::command(&ticket.ticket) {
        Ok(Command::TicketStatementQuery(query)) => assert_eq!(query.statement_handle, encoded),
        other => panic!("a ticket is a TicketStatementQuery, not {other:?}"),
    }
}
