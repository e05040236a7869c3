//! Load above a limit of the server or of a site is rejected with a reply, not buffered.

use super::*;

fn events_of(site: &str, count: usize) -> String {
    vec![format!(r#"{{"tracking_id":"{site}","client_id":"c","event_type":"e"}}"#); count].join(",")
}

#[tokio::test]
async fn rate_limited_site_gets_retry_after() {
    let server = Server::with(CollectOptions {
        events_per_second: 10,
        batch_events: 20,
        ..CollectOptions::default()
    })
    .await;
    assert_eq!(server.post(&format!("[{}]", events_of("shop", 20))).await.status, 204);
    let answer = server.post(&format!("[{}]", events_of("shop", 15))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));

    let mixed = format!("[{},{}]", events_of("shop", 15), events_of("blog", 1));
    let answer = server.post(&mixed).await;
    assert_eq!((answer.status, answer.header("retry-after")), (200, Some("2")));
    let first = r#"{"accepted":1,"rejected":[{"index":0,"code":"rate","field":"tracking_id","reason":"rate: "#;
    assert!(answer.text().starts_with(first), "{}", answer.text());

    server.clock.advance_millis(2_000);
    assert_eq!(server.post(&format!("[{}]", events_of("shop", 15))).await.status, 204);
    assert_eq!(server.log.events().len(), 36);
}

#[tokio::test]
async fn failing_wal_gives_503() {
    let server = Server::start().await;
    let overloaded = || WalError::Overloaded { retry_after_seconds: 3 };
    let full = || WalError::Disk {
        path: "/secret/place".into(),
        source: std::io::ErrorKind::StorageFull.into(),
    };
    for (error, retry_after, code) in [
        (overloaded as fn() -> WalError, "3", "overloaded"),
        (full, "5", "log_unavailable"),
        (|| WalError::Closed, "5", "log_unavailable"),
    ] {
        server.log.refuse(Some(error));
        let answer = server.post(&event_with("")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some(retry_after)));
        assert!(answer.text().contains(code), "{}", answer.text());
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        let pixel = server.send(&get("/api/v1/beacon?tid=shop&cid=c&et=e")).await;
        assert_eq!(pixel.status, 503);
    }
    server.log.refuse(Some(overloaded));
    assert_eq!(
        server.post("{").await.status,
        503,
        "no work is spent on what can't be stored"
    );
    server.log.refuse(None);
    assert_eq!(server.post("{").await.status, 400);
    assert_eq!(server.post(&event_with("")).await.status, 204);
    assert_eq!(server.log.events().len(), 1);
}

#[tokio::test]
async fn exhausted_memory_gives_503() {
    let server = Server::with(CollectOptions {
        in_flight_bytes: 1_000,
        ..CollectOptions::default()
    })
    .await;
    let large = event_with(&format!(r#","page":{{"title":"{}"}}"#, "t".repeat(1_000)));
    let answer = server.post(&large).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(server.post(&event_with("")).await.status, 204);
}

#[tokio::test]
async fn turns_do_not_serialize_syncs() {
    let server = Server::with(CollectOptions {
        turns: 1,
        ..CollectOptions::default()
    })
    .await;
    server.log.wait_for_as_many_as(2);
    let (first, second) = (event_with(r#","event_id":"1""#), event_with(r#","event_id":"2""#));
    let (first, second) = tokio::join!(server.post(&first), server.post(&second));
    assert_eq!((first.status, second.status), (204, 204));
}
