//! Runs against a server that does nothing.

use std::net::SocketAddr;

use clap::Parser;
use footfall_model::proto::ingest_service_server::{IngestService, IngestServiceServer};
use footfall_model::proto::{EventBatch, PublishSummary};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::args::{Cli, Command};
use crate::report::Report;
use crate::{run, sink};

/// A server on a thread of its own, which ends with the test's process.
fn server(answer: fn(u64) -> &'static [u8]) -> SocketAddr {
    let (tell, port_receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            sink::serve(listener, answer).await;
        });
    });
    port_receiver.recv().unwrap()
}

fn send(address: SocketAddr, flags: &str) -> Report {
    let line = format!("footfall-load send --url http://{address} {flags}");
    let Command::Send(args) = Cli::parse_from(line.split_whitespace()).command else {
        panic!("not a run: {line}");
    };
    run::run(&args).unwrap()
}

fn good(_: u64) -> &'static [u8] {
    b"HTTP/1.1 204 No Content\r\n\r\n"
}

#[test]
fn closed_loop_counts_acknowledged_events() {
    let report = send(server(good), "--batch 10 --connections 4 --seconds 0.2");
    assert!(report.events_acknowledged > 100, "{report:?}");
    assert_eq!(report.events_acknowledged, report.replies["204"] * 10);
    assert_eq!((report.events_unanswered, report.requests_not_sent), (0, 0));
    assert!(report.errors.is_empty() && report.due_ms.is_none(), "{report:?}");
    let [first] = report.windows.as_slice() else {
        panic!("one window of ten seconds: {report:?}");
    };
    assert_eq!((first.from, first.accepted), (0, report.replies["204"]));
    assert_eq!(first.reply_ms, report.reply_ms);
}

#[test]
fn open_loop_keeps_its_rate() {
    let report = send(
        server(good),
        "--batch 10 --connections 4 --seconds 0.5 --rate 1000 --threads 2",
    );
    assert_eq!(report.events_acknowledged, 500);
    assert!(report.due_ms.is_some());
}

#[test]
fn refused_and_lost_requests_are_unacknowledged() {
    let report = send(
        server(|number| match number % 3 {
            0 => b"HTTP/1.1 204 No Content\r\n\r\n",
            1 => b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"accepted\":7}",
            _ => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
        }),
        "--batch 10 --connections 1 --seconds 0.2",
    );
    let count = |status: &str| report.replies[status];
    assert_eq!(report.events_acknowledged, count("204") * 10 + count("200") * 7);
    assert!(count("503") > 0 && report.refusal_ms.is_some(), "{report:?}");
    assert_eq!(report.samples["503"], "busy");
}

#[test]
fn unanswered_requests_are_counted_apart() {
    let report = send(
        server(|_| b"HTTP/1.1 2"),
        "--batch 10 --connections 1 --seconds 0.2 --timeout 0.05",
    );
    assert_eq!(report.events_acknowledged, 0);
    assert_eq!(report.events_unanswered, report.errors["no reply in time"] * 10);
    assert!(report.events_unanswered > 0);
}

#[test]
fn slow_and_half_open_clients_are_counted() {
    let report = send(
        server(good),
        "--connections 1 --seconds 0.5 --rate 100 --slow 3 --half-open 2",
    );
    let text = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&text["slow"]["open"], &text["half_open"]["open"]),
        (&3.into(), &2.into())
    );
}

#[test]
fn stall_counts_in_open_loop_latency() {
    // One connection and a stall at every tenth request: the requests behind it were due long before they were sent.
    let report = send(
        server(|number| {
            if number % 10 == 9 {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            good(number)
        }),
        "--batch 1 --connections 1 --seconds 0.5 --rate 200",
    );
    let (reply, due) = (report.reply_ms.unwrap(), report.due_ms.unwrap());
    assert!(reply.p50 < 10.0 && due.p50 > 20.0, "{reply:?} {due:?}");
}

/// Accepts every event that has a time.
struct Taker;

#[tonic::async_trait]
impl IngestService for Taker {
    async fn publish(&self, request: Request<Streaming<EventBatch>>) -> Result<Response<PublishSummary>, Status> {
        let (mut batches, mut summary) = (request.into_inner(), PublishSummary::default());
        while let Some(batch) = batches.message().await? {
            summary.accepted += batch.events.iter().filter(|event| event.event_timestamp > 0).count() as u64;
        }
        Ok(Response::new(summary))
    }
}

#[test]
fn grpc_stream_summaries_are_counted() {
    let (tell, port_receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell.send(incoming.local_addr().unwrap()).unwrap();
            let service = IngestServiceServer::new(Taker);
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    let report = send(
        port_receiver.recv().unwrap(),
        "--grpc --batch 20 --stream 3 --connections 2 --seconds 0.2",
    );
    assert!(report.events_acknowledged > 0, "{report:?}");
    assert_eq!(report.events_acknowledged, report.replies["ok"] * 60);
}
