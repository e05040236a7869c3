//! Clients that hold a connection and send next to nothing, to test the server's timeouts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{sleep, sleep_until, timeout_at};

use crate::events::AGENTS;
use crate::http::{Connection, head};
use crate::run::Job;
use crate::tally::{add, count};

/// Of the body that a slow sender announces: it never gets there.
const ANNOUNCED_BYTES: usize = 10_000;

/// Between bytes of a slow sender, and until a connection that the server has ended is made anew.
const PAUSE: Duration = Duration::from_secs(1);

/// How a connection is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The whole head at once, and then a byte of the body every second.
    Slow,
    /// Half of the head, and then nothing.
    HalfOpen,
}

/// What became of such connections.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Crawlers {
    /// Connections that were made, those included that replaced one that the server had ended.
    opened: u64,
    /// Replies by status.
    replies: BTreeMap<String, u64>,
    /// Ended by the server without a reply.
    closed: u64,
    /// Still open at the end.
    open: u64,
    /// What else went wrong.
    errors: BTreeMap<String, u64>,
    /// The longest that the server kept one open, in seconds.
    longest_seconds: f64,
}

impl Crawlers {
    pub(crate) fn merge(&mut self, other: Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.open += other.open;
        self.longest_seconds = self.longest_seconds.max(other.longest_seconds);
        add(&mut self.replies, other.replies);
        add(&mut self.errors, other.errors);
    }
}

/// Holds one connection, made anew whenever the server ends it, until the schedule ends.
pub(crate) async fn work(job: Arc<Job>, manner: Manner, crawlers: Arc<Mutex<Crawlers>>) {
    let end = job.schedule.end();
    while Instant::now() < end {
        match Connection::open(&job.authority).await {
            Ok(connection) => {
                crawlers.lock().opened += 1;
                let began = Instant::now();
                let held = timeout_at(end.into(), hold(connection, manner, &job.authority)).await;
                let mut crawlers = crawlers.lock();
                crawlers.longest_seconds = crawlers.longest_seconds.max(began.elapsed().as_secs_f64());
                match held {
                    Err(_) => crawlers.open += 1,
                    Ok(Ok(status)) => count(&mut crawlers.replies, &status.to_string()),
                    Ok(Err(_)) => crawlers.closed += 1,
                }
            }
            Err(error) => count(&mut crawlers.lock().errors, &format!("connect: {}", error.kind())),
        }
        sleep_until(end.min(Instant::now() + PAUSE).into()).await;
    }
}

/// Until the server replies or closes.
async fn hold(mut connection: Connection, manner: Manner, authority: &str) -> io::Result<u16> {
    let head = head(authority, AGENTS[0], ANNOUNCED_BYTES);
    match manner {
        Manner::HalfOpen => connection.send(&head.as_bytes()[..head.len() / 2]).await?,
        Manner::Slow => connection.send(head.as_bytes()).await?,
    }
    loop {
        tokio::select! {
            reply = connection.receive() => return reply.map(|reply| reply.status),
            () = sleep(PAUSE) => {}
        }
        if manner == Manner::Slow {
            connection.send(b"[").await?;
        }
    }
}
