//! A client: sends its events to the current process, and again until they are acknowledged.

use std::sync::Arc;

use bytes::Bytes;
use footfall_model::clock::Clock;
use parking_lot::Mutex;

use super::events;
use super::executor::Time;
use super::model::Model;
use super::process::SimWal;
use super::trace::Trace;
use crate::wal::{EventLog, WalError};

/// The WAL of the process that answers now; `None` while there is none.
pub(super) type Endpoint = Arc<Mutex<Option<Arc<SimWal>>>>;

/// How long a client waits before it sends again, in milliseconds.
const AGAIN_AFTER: u64 = 500;

pub(super) async fn send(events: Vec<u32>, tries: u32, endpoint: Endpoint, time: Time, model: Model, trace: Trace) {
    for _ in 0..tries {
        let log = endpoint.lock().clone();
        if let Some(log) = log
            && attempt(
                events::payload(&events, Clock::now(&time)),
                &events,
                &log,
                &model,
                &trace,
            )
            .await
        {
            return;
        }
        time.sleep_millis(AGAIN_AFTER).await;
    }
}

/// True if there is nothing more to send.
async fn attempt(payload: Bytes, events: &[u32], log: &SimWal, model: &Model, trace: &Trace) -> bool {
    let answer = tokio::select! { biased;
        // The connection ends before a reply is read.
        () = log.gone() => None,
        answer = log.append(payload) => Some(answer),
    };
    let mut expected = model.lock();
    trace.note(format_args!("{events:?}: {}", text_of(answer.as_ref())));
    match answer {
        Some(Ok(position)) => {
            expected.possible.extend(events);
            expected.acknowledge(position, events);
            true
        }
        // Refused: not a byte of it was stored.
        Some(Err(WalError::TooLarge { .. })) => true,
        Some(Err(WalError::Overloaded { .. })) => false,
        // A request in progress may be stored after a restart.
        Some(Err(_)) | None => {
            expected.possible.extend(events);
            false
        }
    }
}

fn text_of(answer: Option<&Result<u64, WalError>>) -> String {
    match answer {
        Some(Ok(position)) => format!("at {position}"),
        Some(Err(error)) => error.to_string(),
        None => "no answer".to_owned(),
    }
}
