//! Values that clients bind to a statement: Arrow messages, hostile ones among them.
//!
//! The bytes are messages, each: length of the header (two bytes, little-endian), length of the body (the same), the
//! header, the body.
//!
//! Checked: no panic in Arrow's reader; limits hold; what was bound can be handed out and comes back.

#![no_main]

#[allow(dead_code, reason = "a file of the Flight server, which uses all of it")]
#[path = "../../crates/flight-server/src/binding.rs"]
mod binding;
#[allow(dead_code, reason = "a file of the Flight server, which uses all of it")]
#[path = "../../crates/flight-server/src/handle.rs"]
mod handle;

#[path = "../../crates/flight-server/src/message.rs"]
mod message;

use arrow_flight::FlightData;
use binding::Binding;
use bytes::Bytes;
use handle::{MAX_ROWS, Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut binding = Binding::default();
    let mut rest = data;
    while let Some(message) = next(&mut rest) {
        if binding.push(&message).is_err() {
            return;
        }
    }
    let Ok(rows) = binding.finish() else { return };
    assert!(rows.len() <= MAX_ROWS);
    assert!(rows.iter().all(|row| row.len() == rows[0].len() && !row.is_empty()));
    let mut statement = Statement::new("SELECT $1");
    statement.rows = rows;
    let Ok(encoded) = statement.encode() else { return };
    let Ok(decoded) = Statement::decode(&encoded) else {
        return;
    };
    assert_eq!(decoded.rows.len(), statement.rows.len());
    assert_eq!(decoded.encode(), Ok(encoded), "the same once more");
});

fn next(data: &mut &[u8]) -> Option<FlightData> {
    let (&[a, b, c, d], rest) = data.split_first_chunk()?;
    let (header, rest) = rest.split_at_checked(u16::from_le_bytes([a, b]).into())?;
    let (body, rest) = rest.split_at(rest.len().min(u16::from_le_bytes([c, d]).into()));
    *data = rest;
    Some(
        FlightData::new()
            .with_data_header(Bytes::copy_from_slice(header))
            .with_data_body(Bytes::copy_from_slice(body)),
    )
}
