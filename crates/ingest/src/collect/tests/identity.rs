//! Which events are one, where they have no id of their own.

use std::collections::BTreeSet;

use footfall_catalog::SiteChange;
use footfall_model::hash::{DedupeBy, derived_event_id};

use super::*;

/// The ids of what was stored since the last call.
fn new_ids(server: &Server) -> Vec<String> {
    let events = std::mem::take(&mut *server.log.records.lock());
    let decode = |record: Bytes| EventBatch::decode(record).unwrap().events;
    events
        .into_iter()
        .flat_map(decode)
        .map(|event| event.event_id)
        .collect()
}

fn different(ids: &[String]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}

fn purchase(more: &str) -> String {
    event_with(&format!(r#","timestamp":"2026-02-02T10:00:00Z"{more}"#))
}

#[tokio::test]
async fn events_of_one_millisecond_that_differ_are_two() {
    let server = Server::start().await;
    let (ten, more) = (purchase(r#","revenue":10"#), purchase(r#","revenue":25"#));
    assert_eq!(server.post(&format!("[{ten},{more}]")).await.status, 204);
    assert_eq!(different(&new_ids(&server)), 2);
    for body in [&ten, &more] {
        assert_eq!(server.post(body).await.status, 204);
    }
    assert_eq!(different(&new_ids(&server)), 2);
    for (one, other) in [
        ("", r#","page":{"title":"t"}"#),
        (r#","page":{"title":"t"}"#, r#","page":{"url":"t"}"#),
        (r#","custom_properties":{"a":1}"#, r#","custom_properties":{"a":2}"#),
        (r#","session_id":"s""#, r#","user":{"user_id":"s"}"#),
        (r#","revenue":0"#, ""),
    ] {
        assert_eq!(
            server
                .post(&format!("[{},{}]", purchase(one), purchase(other)))
                .await
                .status,
            204
        );
        assert_eq!(different(&new_ids(&server)), 2, "{one} and {other}");
    }
}

#[tokio::test]
async fn retry_is_the_same_event() {
    let server = Server::start().await;
    let attempt = |sent_at: &str| purchase(&format!(r#","revenue":1.5,"sent_at":"{sent_at}""#));
    assert_eq!(server.post(&attempt("2026-02-02T10:00:01Z")).await.status, 204);
    server.clock.advance_millis(5_250);
    let same = [
        attempt("2026-02-02T10:00:06Z"),
        purchase(r#","revenue":"1.50","session_id":"","user":{"city":null}"#),
        purchase(r#","revenue":1.5,"page":{"title":" "},"something":"new""#),
        event_with(r#","revenue":15e-1,"timestamp":1770026400000"#),
    ];
    for body in &same {
        assert_eq!(server.post(body).await.status, 204);
    }
    let query = "tid=shop&cid=c&et=pageview&ts=2026-02-02T11:00:00%2B0100&revenue=1.5";
    assert_eq!(server.send(&get(&format!("/api/v1/beacon?{query}"))).await.status, 200);
    let ids = new_ids(&server);
    assert_eq!((ids.len(), different(&ids)), (6, 1));
}

#[tokio::test]
async fn events_without_time_are_never_one() {
    let server = Server::start().await;
    let five = vec![event_with(""); 5].join(",");
    for _ in 0..2 {
        assert_eq!(server.post(&format!("[{five}]")).await.status, 204);
    }
    assert_eq!(different(&new_ids(&server)), 10, "the clock has not moved");
}

#[tokio::test]
async fn own_id_is_kept() {
    let server = Server::start().await;
    assert_eq!(server.post(&event_with(r#","event_id":"a""#)).await.status, 204);
    assert_eq!(new_ids(&server), ["a"]);
}

#[tokio::test]
async fn key_is_the_specifications_on_request() {
    let by_key = CollectOptions {
        dedupe_by: DedupeBy::Key,
        ..CollectOptions::default()
    };
    let server = Server::with(by_key).await;
    let batch = format!("[{},{}]", purchase(r#","revenue":10"#), purchase(r#","revenue":25"#));
    assert_eq!(server.post(&batch).await.status, 204);
    let key = derived_event_id("shop", "c", "", NOW - 30 * 60_000_000, "pageview");
    assert_eq!(new_ids(&server), [key.clone(), key]);
    assert_eq!(
        server
            .post(&format!("[{},{}]", event_with(""), event_with("")))
            .await
            .status,
        204
    );
    let received = derived_event_id("shop", "c", "", NOW, "pageview");
    assert_eq!(new_ids(&server), [received.clone(), received]);

    server
        .catalog
        .change_site(
            "shop",
            SiteChange {
                dedupe_by: Some(Some(DedupeBy::Content)),
                ..SiteChange::default()
            },
        )
        .await
        .unwrap();
    server.directory.forget_site("shop").await;
    assert_eq!(server.post(&batch).await.status, 204);
    assert_eq!(different(&new_ids(&server)), 2, "the site's own setting wins");
}
