//! HTTP/1.1 on connections that are kept: one request at a time on each.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use footfall_model::clock::{Clock, SystemClock};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, sleep_until, timeout};

use crate::events::{AGENTS, Filler, Form, Template, templates};
use crate::reply;
use crate::run::Job;
use crate::tally::{Tally, Times};

/// After a connection could not be made.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The requests of a run.
pub(crate) fn requests(authority: &str, tracking_id: &str, batch: u32) -> anyhow::Result<Vec<Template>> {
    let bodies = templates(Form::Json, tracking_id, batch)?;
    let agents = AGENTS.iter().cycle();
    Ok(bodies
        .into_iter()
        .zip(agents)
        .map(|(body, agent)| {
            let head = head(authority, agent, body.bytes().len());
            body.after(head.as_bytes())
        })
        .collect())
}

/// The head of a request whose body has so many bytes.
pub(crate) fn head(authority: &str, agent: &str, body: usize) -> String {
    format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
         Content-Type: application/json\r\nContent-Length: {body}\r\n\r\n"
    )
}

/// Sends requests, one after another, until the schedule ends.
pub(crate) async fn work(job: Arc<Job>, tally: Arc<Mutex<Tally>>, mut index: usize) {
    let mut filler = Filler::new(job.sequence);
    let mut request = Vec::new();
    let mut open = None;
    while let Some(due) = job.schedule.next(Instant::now()) {
        if due > Instant::now() {
            sleep_until(due.into()).await;
        }
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => match timeout(job.timeout, Connection::open(&job.authority)).await {
                Ok(Ok(connection)) => connection,
                failed => {
                    tally
                        .lock()
                        .error(&format!("connect: {}", kind(failed.ok().and_then(Result::err))), 0);
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
            },
        };
        index = (index + 1) % job.templates.len();
        let template = &job.templates[index];
        filler.fill(template, &mut request, job.take(template.events()), SystemClock.now());
        let sent = Instant::now();
        let answer = timeout(job.timeout, connection.exchange(&request)).await;
        let replied = Instant::now();
        let times = Times { due, sent, replied };
        match answer {
            Ok(Ok(reply)) => {
                let (status, body) = (reply.status, reply.body.as_slice());
                let acknowledged = acknowledged(status, body, template.events());
                let mut status_text = [0; 3];
                let status_text = text(status, &mut status_text);
                tally
                    .lock()
                    .reply(status_text, acknowledged, request.len(), times, body);
                if !reply.close {
                    open = Some(connection);
                }
            }
            failed => tally
                .lock()
                .error(&kind(failed.ok().and_then(Result::err)), template.events()),
        }
    }
}

/// The three digits of a status.
fn text(status: u16, digits: &mut [u8; 3]) -> &str {
    *digits = [100, 10, 1].map(|unit| b'0' + (status / unit % 10).to_le_bytes()[0]);
    std::str::from_utf8(digits).unwrap_or("???")
}

/// Events that a reply says are stored.
fn acknowledged(status: u16, body: &[u8], sent: u64) -> u64 {
    #[derive(Deserialize)]
    struct Partly {
        accepted: u64,
    }
    match status {
        204 => sent,
        200 => serde_json::from_slice(body).map_or(0, |partly: Partly| partly.accepted),
        _ => 0,
    }
}

fn kind(error: Option<io::Error>) -> String {
    error.map_or_else(|| "no reply in time".to_owned(), |error| error.kind().to_string())
}

/// A connection with nothing under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) close: bool,
}

impl Connection {
    pub(crate) async fn open(authority: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(4 << 10),
        })
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        let written = self.stream.write_all(request).await;
        // A server that refuses may reply and close before it has read all.
        match (written, self.receive().await) {
            (_, Ok(reply)) => Ok(reply),
            (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for a reply; `UnexpectedEof` if the server closes instead. Can be dropped while it waits.
    pub(crate) async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            let head =
                reply::parse(&self.received).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some(head) = head
                && let Some(body) = self.received.get(head.bytes..head.bytes + head.body)
            {
                let reply = Reply {
                    status: head.status,
                    body: body.to_vec(),
                    close: head.close,
                };
                self.received.drain(..head.bytes + head.body);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
