//! The stream of batches, over a real connection.

use std::time::Duration;

use footfall_model::proto::PublishSummary;
use footfall_model::proto::ingest_service_client::IngestServiceClient;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Status};

use super::super::grpc::WAITING;
use super::*;

struct Grpc {
    server: Server,
    client: IngestServiceClient<Channel>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Grpc {
    async fn start(options: CollectOptions) -> Self {
        let server = Server::with(options).await;
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let service = grpc(Arc::clone(&server.collector));
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        let client = IngestServiceClient::connect(format!("http://{address}")).await.unwrap();
        Self { server, client, task }
    }

    async fn publish(&mut self, batches: Vec<Vec<Event>>) -> Result<PublishSummary, Status> {
        self.publish_as(None, batches).await
    }

    async fn publish_as(&mut self, token: Option<&str>, batches: Vec<Vec<Event>>) -> Result<PublishSummary, Status> {
        let batches: Vec<EventBatch> = batches.into_iter().map(|events| EventBatch { events }).collect();
        let mut request = Request::new(futures::stream::iter(batches));
        if let Some(token) = token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        self.client.publish(request).await.map(tonic::Response::into_inner)
    }
}

fn event(site: &str, client: &str) -> Event {
    Event {
        tracking_id: site.into(),
        client_id: client.into(),
        event_type: "e".into(),
        ..Event::default()
    }
}

#[tokio::test]
async fn batches_are_records_with_summary() {
    let mut grpc = Grpc::start(CollectOptions::default()).await;
    let amount = Event {
        revenue: Some(i64::MAX),
        ..event("shop", "b")
    };
    let summary = grpc
        .publish(vec![
            vec![event("shop", "a"), amount],
            vec![event("nobody", "c"), event("blog", "d")],
        ])
        .await
        .unwrap();
    assert_eq!(summary.accepted, 2);
    let rejected: Vec<_> = summary
        .rejected
        .iter()
        .map(|r| (r.index, r.field.as_str(), r.reason.as_str()))
        .collect();
    assert_eq!(
        rejected,
        [
            (
                1,
                "revenue",
                "is too large; expected less than 100000000000000, either side of zero"
            ),
            (2, "tracking_id", "there is no site \"nobody\""),
        ]
    );
    let stored = grpc.server.log.batches();
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0][0].event_timestamp, NOW);
    assert_eq!(stored[0][0].session_id, None);
    assert_eq!(stored[0][0].event_id.len(), 32);
}

#[tokio::test]
async fn visitor_fields_are_kept_and_validated() {
    let mut grpc = Grpc::start(CollectOptions::default()).await;
    let good = Event {
        event_timestamp: NOW - 5,
        revenue: Some(-12_345),
        custom_properties: Some(r#"{"revenue":7}"#.into()),
        country: Some("de".into()),
        created_at: 7,
        ..event("shop", "a")
    };
    assert_eq!(grpc.publish(vec![vec![good.clone()]]).await.unwrap().accepted, 1);
    let stored = grpc.server.log.events().remove(0);
    assert_eq!(
        (stored.event_timestamp, stored.created_at, stored.revenue),
        (NOW - 5, NOW, Some(-12_345))
    );
    assert_eq!(stored.country.as_deref(), Some("DE"));

    for bad in [
        Event {
            revenue: Some(i64::MIN),
            ..good.clone()
        },
        Event {
            custom_properties: Some("{".into()),
            ..good.clone()
        },
        Event {
            custom_properties: Some("[]".into()),
            ..good.clone()
        },
        Event {
            event_timestamp: 1,
            ..good.clone()
        },
        Event {
            client_id: String::new(),
            ..good.clone()
        },
        Event {
            client_id: " ".into(),
            ..good.clone()
        },
        Event {
            page_title: Some("x".repeat(40_000)),
            ..good.clone()
        },
    ] {
        let status = grpc.publish(vec![vec![bad]]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(grpc.server.log.events().len(), 1);
}

#[tokio::test]
async fn odd_text_is_changed_and_told_on_request() {
    let mut grpc = Grpc::start(CollectOptions::default()).await;
    let odd = Event {
        page_title: Some("x".repeat(1_025)),
        user_id: Some("\0".into()),
        channel: Some(" ".into()),
        country: Some("Germany".into()),
        custom_properties: Some(r#"{ "revenue": "high" }"#.into()),
        ..event("shop", "a")
    };
    let batches = vec![
        EventBatch {
            events: vec![event("shop", "b")],
        },
        EventBatch { events: vec![odd] },
    ];
    for debug in [false, true] {
        let mut request = Request::new(futures::stream::iter(batches.clone()));
        if debug {
            request
                .metadata_mut()
                .insert("x-debug-request", "true".parse().unwrap());
        }
        let summary = grpc.client.publish(request).await.unwrap().into_inner();
        assert_eq!(summary.accepted, 2);
        let changed = summary.changed.iter();
        let changed = changed.map(|c| (c.index, c.field.as_str(), c.what.as_str(), c.before, c.after));
        let expected = [
            (1, "user_id", "replaced", 1, 1),
            (1, "page_title", "cut", 1_025, 1_024),
            (1, "country", "ignored", 7, 0),
            (1, "channel", "blanked", 1, 0),
            (1, "revenue", "ignored", 6, 0),
        ];
        assert_eq!(changed.collect::<Vec<_>>(), expected[..if debug { 5 } else { 0 }]);
    }
    let stored = grpc.server.log.events().remove(1);
    assert_eq!(stored.user_id.as_deref(), Some("\u{fffd}"));
    assert_eq!(stored.page_title.map(|title| title.len()), Some(1_024));
    assert_eq!((stored.country, stored.revenue), (None, None));
    assert_eq!(stored.channel.as_deref(), Some("Direct"), "as if none had been sent");
    assert_eq!(stored.custom_properties.as_deref(), Some(r#"{"revenue":"high"}"#));
}

#[tokio::test]
async fn identity_is_that_of_http() {
    let mut grpc = Grpc::start(CollectOptions::default()).await;
    let json = r#","timestamp":"2026-02-02T10:00:00Z","revenue":"9.90","page":{"url":"https://a.example/?utm_source=x"},
        "user":{"country":"de"},"custom_properties":{ "a": "\u00fc" }"#;
    assert_eq!(grpc.server.post(&event_with(json)).await.status, 204);
    let same = Event {
        event_type: "pageview".into(),
        event_timestamp: NOW - 30 * 60_000_000,
        revenue: Some(99_000),
        page_url: Some("https://a.example/?utm_source=x".into()),
        country: Some("DE".into()),
        city: Some(String::new()),
        custom_properties: Some(r#"{"a":"ü"}"#.into()),
        ..event("shop", "c")
    };
    let other = Event {
        utm_source: Some("x".into()),
        ..same.clone()
    };
    grpc.publish(vec![vec![same, other]]).await.unwrap();
    let ids: Vec<String> = grpc
        .server
        .log
        .events()
        .into_iter()
        .map(|event| event.event_id)
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2], "what enrichment finds is not what was sent");
}

#[tokio::test]
async fn failures_have_grpc_codes() {
    let mut grpc = Grpc::start(CollectOptions {
        batch_events: 20,
        events_per_second: 10,
        ..CollectOptions::default()
    })
    .await;
    let code = |result: Result<PublishSummary, Status>| result.unwrap_err().code();
    let writer = grpc.server.token(Role::Writer, &["vault"]).await;
    let reader = grpc.server.token(Role::Reader, &["vault"]).await;
    assert_eq!(
        code(grpc.publish(vec![vec![event("nobody", "a")]]).await),
        Code::NotFound
    );
    assert_eq!(
        code(grpc.publish(vec![vec![event("vault", "a")]]).await),
        Code::Unauthenticated
    );
    assert_eq!(
        code(grpc.publish_as(Some(&reader), vec![vec![event("vault", "a")]]).await),
        Code::PermissionDenied
    );
    assert_eq!(
        grpc.publish_as(Some(&writer), vec![vec![event("vault", "a")]])
            .await
            .unwrap()
            .accepted,
        1
    );
    assert_eq!(
        code(grpc.publish(vec![vec![event("shop", "a"); 21]]).await),
        Code::InvalidArgument
    );
    assert_eq!(grpc.publish(vec![]).await.unwrap(), PublishSummary::default());

    let status = grpc
        .publish(vec![vec![event("shop", "a"); 20], vec![event("shop", "b"); 20]])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("again from event 20 on"), "{status}");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "2");

    grpc.server
        .log
        .refuse(Some(|| WalError::Overloaded { retry_after_seconds: 4 }));
    let status = grpc.publish(vec![vec![event("blog", "a")]]).await.unwrap_err();
    assert_eq!(
        (
            status.code(),
            status.metadata().get("retry-after").unwrap().to_str().unwrap()
        ),
        (Code::Unavailable, "4")
    );
}

#[tokio::test]
async fn listed_rejections_are_bounded() {
    let mut grpc = Grpc::start(CollectOptions {
        listed_rejections: 3,
        ..CollectOptions::default()
    })
    .await;
    let summary = grpc
        .publish(vec![vec![event("nobody", "x"); 5], vec![event("shop", "a")]])
        .await
        .unwrap();
    assert_eq!((summary.accepted, summary.rejected.len()), (1, 3));
}

#[tokio::test]
async fn stream_messages_sync_together_in_order() {
    let mut grpc = Grpc::start(CollectOptions::default()).await;
    grpc.server.log.wait_for_as_many_as(WAITING);
    let clients: Vec<String> = (0..3 * WAITING).map(|nth| nth.to_string()).collect();
    let batches = clients.iter().map(|client| vec![event("shop", client)]).collect();
    let timeout = Duration::from_secs(20);
    let summary = tokio::time::timeout(timeout, grpc.publish(batches))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(summary.accepted, clients.len() as u64);
    let stored = grpc.server.log.events().into_iter().map(|event| event.client_id);
    assert_eq!(stored.collect::<Vec<_>>(), clients);
}

#[tokio::test]
async fn broken_stream_reports_resume_index() {
    let mut grpc = Grpc::start(CollectOptions {
        batch_events: 2,
        ..CollectOptions::default()
    })
    .await;
    grpc.server.log.wait_for_as_many_as(3);
    let event = || event("shop", "a");
    let mut batches = vec![vec![event(), event()]; 3];
    batches.push(vec![event(), event(), event()]);
    batches.push(vec![event()]);
    let status = grpc.publish(batches).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("again from event 6 on"), "{status}");
    assert_eq!(grpc.server.log.batches().len(), 3);
}
