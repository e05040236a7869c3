//! Odd values that cost no event: what is sent, what is stored, and what the client is told on request.

use footfall_model::field::EventField;
use serde_json::{Value, json};

use super::*;

const DEBUG: &str = "X-Debug-Request: true";

/// The event that is stored of a body's one event.
async fn stored(server: &Server, body: &str) -> Event {
    let answer = server.post(body).await;
    assert_eq!((answer.status, answer.text().as_str()), (204, ""), "{body}");
    server.log.events().pop().unwrap()
}

/// The field of an event of `shop` with `more`.
async fn field(server: &Server, more: &str, field: EventField) -> Option<String> {
    let event = stored(server, &event_with(&format!(",{more}"))).await;
    field.text(&event).map(str::to_owned)
}

fn long(chars: usize) -> String {
    "x".repeat(chars)
}

#[tokio::test]
async fn odd_text_is_stored_as_far_as_it_goes() {
    let server = Server::start().await;
    let (umlauts, referrer) = ("ü".repeat(1_025), format!("https://x.org/{}", long(5_004)));
    assert_eq!(referrer.len(), 5_018);
    for (more, name, expected) in [
        (
            format!(r#""page":{{"title":"{umlauts}"}}"#),
            EventField::PageTitle,
            Some("ü".repeat(1_024)),
        ),
        (
            format!(r#""utm":{{"term":"{}"}}"#, long(300)),
            EventField::UtmTerm,
            Some(long(256)),
        ),
        (
            format!(r#""page":{{"referrer":"{referrer}"}}"#),
            EventField::Referrer,
            Some(referrer[..4_096].into()),
        ),
        (
            format!(r#""page":{{"url":"https://x/{}"}}"#, long(2_048)),
            EventField::PageUrl,
            Some(format!("https://x/{}", long(2_038))),
        ),
        (
            format!(r#""user":{{"browser":"{}"}}"#, long(65)),
            EventField::Browser,
            Some(long(64)),
        ),
        (
            r#""page":{"title":"Shoes \ud83d"}"#.into(),
            EventField::PageTitle,
            Some("Shoes \u{fffd}".into()),
        ),
        (
            r#""page":{"title":"\udc00\ud83d\ude00"}"#.into(),
            EventField::PageTitle,
            Some("\u{fffd}😀".into()),
        ),
        (
            r#""page":{"title":"a\u0000b"}"#.into(),
            EventField::PageTitle,
            Some("a\u{fffd}b".into()),
        ),
        (
            r#""session_id":"\u0000""#.into(),
            EventField::SessionId,
            Some("\u{fffd}".into()),
        ),
        (r#""page":{"title":" \t\n"}"#.into(), EventField::PageTitle, None),
        (r#""user":{"user_id":"  "}"#.into(), EventField::UserId, None),
        (r#""user":{"country":"Germany"}"#.into(), EventField::Country, None),
        (
            r#""user":{"country":"de"}"#.into(),
            EventField::Country,
            Some("DE".into()),
        ),
        (
            r#""\ud83d":1,"page":{"\udc00":2,"title":"t"}"#.into(),
            EventField::PageTitle,
            Some("t".into()),
        ),
        (
            r#""p\u0061ge":{"t\u0069tle":"t"}"#.into(),
            EventField::PageTitle,
            Some("t".into()),
        ),
    ] {
        assert_eq!(field(&server, &more, name).await, expected, "{name:?}");
    }
}

#[tokio::test]
async fn odd_text_costs_no_batch() {
    let server = Server::start().await;
    let odd = event_with(r#","page":{"title":"\ud83d"}"#);
    let batch = format!("[{},{odd},{}]", event_with(""), event_with(r#","utm":{"source":" "}"#));
    assert_eq!(server.post(&batch).await.status, 204);
    assert_eq!(server.log.events().len(), 3);
}

#[tokio::test]
async fn ids_and_labels_may_be_numbers_and_booleans() {
    let server = Server::start().await;
    let body = r#"{"tracking_id":"shop","client_id":98765432109876543210987,"event_type":true,"session_id":1.10,
        "event_id":1e400,"user":{"user_id":-0,"city":false},"page":{"title":17}}"#;
    let event = stored(&server, body).await;
    assert_eq!(event.client_id, "98765432109876543210987");
    assert_eq!((event.event_type.as_str(), event.event_id.as_str()), ("true", "1e400"));
    assert_eq!(
        (event.session_id.as_deref(), event.user_id.as_deref()),
        (Some("1.10"), Some("-0"))
    );
    assert_eq!(
        (event.city.as_deref(), event.page_title.as_deref()),
        (Some("false"), Some("17"))
    );
}

#[tokio::test]
async fn long_ids_are_cut_and_stay_different() {
    let server = Server::start().await;
    for end in ["a", "b"] {
        let id = format!("{}{end}", long(256));
        stored(
            &server,
            &format!(r#"{{"tracking_id":"shop","client_id":"{id}","event_type":"e"}}"#),
        )
        .await;
    }
    let events = server.log.events();
    assert_eq!((events[0].client_id.len(), events[1].client_id.len()), (256, 256));
    assert_ne!(events[0].client_id, events[1].client_id);
}

#[tokio::test]
async fn properties_are_in_normal_form() {
    let server = Server::start().await;
    let more = r#""custom_properties": { "b" : 1.10, "a" : "\u00fc\/", "order":123456789012345678901234567890 }"#;
    let expected = r#"{"b":1.10,"a":"ü/","order":123456789012345678901234567890}"#;
    assert_eq!(
        field(&server, more, EventField::CustomProperties).await.as_deref(),
        Some(expected)
    );
    let more = r#""custom_properties":{"a":"\udc00","b":"\u0000"}"#;
    let expected = "{\"a\":\"\u{fffd}\",\"b\":\"\u{fffd}\"}";
    assert_eq!(
        field(&server, more, EventField::CustomProperties).await.as_deref(),
        Some(expected)
    );
}

#[tokio::test]
async fn revenue_of_properties_that_is_no_amount_stays_a_property() {
    let server = Server::start().await;
    for revenue in [r#""high""#, r#""""#, "true", r#"{"amount":1}"#, "[1]", "1e400", "null"] {
        let properties = format!(r#"{{"plan":"pro","revenue":{revenue}}}"#);
        let event = stored(&server, &event_with(&format!(r#","custom_properties":{properties}"#))).await;
        assert_eq!((event.revenue, event.custom_properties), (None, Some(properties)));
    }
    for (revenue, status) in [
        (r#""high""#, 400),
        ("true", 400),
        ("{}", 400),
        (r#""""#, 204),
        (r#"" ""#, 204),
    ] {
        let answer = server.post(&event_with(&format!(r#","revenue":{revenue}"#))).await;
        assert_eq!(answer.status, status, "{revenue}: {}", answer.text());
    }
}

#[tokio::test]
async fn byte_order_mark_is_skipped() {
    let server = Server::start().await;
    stored(&server, &format!("\u{feff}{}", event_with(""))).await;
    stored(&server, &format!("\u{feff} [{}]", event_with(""))).await;
}

#[tokio::test]
async fn pixels_first_parameter_counts() {
    let server = Server::start().await;
    let query = "tid=shop&cid=c&et=e&utm_source=&utm_source=news&utm_source=mail&client_id=d&title=%00%FFx";
    assert_eq!(server.send(&get(&format!("/api/v1/beacon?{query}"))).await.status, 200);
    let event = server.log.events().remove(0);
    assert_eq!(
        (event.client_id.as_str(), event.utm_source.as_deref()),
        ("c", Some("news"))
    );
    assert_eq!(event.page_title.as_deref(), Some("\u{fffd}\u{fffd}x"));
}

#[tokio::test]
async fn times_in_many_spellings() {
    let server = Server::start().await;
    for (timestamp, expected) in [
        ("1770028199123.5", NOW - 1_000_000 + 123_500),
        (r#""1770028199123.5""#, NOW - 1_000_000 + 123_500),
        (r#""2026-02-02T10:29:59+0000""#, NOW - 1_000_000),
        (r#""2026-02-02T11:29:59+01""#, NOW - 1_000_000),
        (r#""2026-02-02 10:29:59Z""#, NOW - 1_000_000),
        (r#""2026-02-02t10:29:59z""#, NOW - 1_000_000),
        (r#""2026-02-02 10:29:59 UTC""#, NOW - 1_000_000),
        (r#""""#, NOW),
        ("null", NOW),
    ] {
        let event = stored(&server, &event_with(&format!(r#","timestamp":{timestamp}"#))).await;
        assert_eq!(event.event_timestamp, expected, "{timestamp}");
    }
    let answer = server.post(&event_with(r#","timestamp":1770028200"#)).await;
    assert!(
        answer.text().contains("seconds instead of milliseconds"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn sent_at_corrects_only_a_wrong_clock() {
    let server = Server::start().await;
    for (sent_at, expected) in [
        ("2026-02-02T10:29:59Z", NOW - 5_000_000),
        ("2026-02-02T10:29:00Z", NOW - 5_000_000),
        ("2026-02-02T10:31:00Z", NOW - 5_000_000),
        ("2026-02-02T10:28:59Z", NOW + 56_000_000),
        ("2026-02-02T11:30:00Z", NOW - 3_605_000_000),
    ] {
        let more = format!(r#","timestamp":"2026-02-02T10:29:55Z","sent_at":"{sent_at}""#);
        assert_eq!(
            stored(&server, &event_with(&more)).await.event_timestamp,
            expected,
            "{sent_at}"
        );
    }
}

#[tokio::test]
async fn debug_reply_says_what_was_changed() {
    let server = Server::start().await;
    let batch = format!(
        "[{},{},{{}}]",
        event_with(""),
        event_with(&format!(
            r#","page":{{"title":"{}","url":" "}},"utm":{{"term":"a\u0000"}},"custom_properties":{{"revenue":"high"}}"#,
            long(1_025)
        ))
    );
    let answer = server.send(&post("/api/v1/events", &[DEBUG], batch.as_bytes())).await;
    let reply: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &reply["accepted"]), (200, &json!(2)));
    assert_eq!(reply["rejected"][0]["index"], json!(2));
    assert_eq!(
        reply["changed"],
        json!([
            {"index": 1, "field": "page.title", "what": "cut", "before": 1025, "after": 1024},
            {"index": 1, "field": "page.url", "what": "blanked", "before": 1, "after": 0},
            {"index": 1, "field": "utm.term", "what": "replaced", "before": 2, "after": 2},
            {"index": 1, "field": "custom_properties.revenue", "what": "ignored", "before": 6, "after": 0},
        ])
    );

    for (path, body) in [("/api/v1/events", event_with("")), ("/api/v1/beacon", event_with(""))] {
        let answer = server.send(&post(path, &[DEBUG], body.as_bytes())).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, r#"{"accepted":1,"changed":[]}"#)
        );
    }
    let pixel = "GET /api/v1/beacon?tid=shop&cid=c&et=e&user.country=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                 X-Debug-Request: True\r\n\r\n";
    let answer = server.send(pixel.as_bytes()).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let changed = r#"{"index":0,"field":"user.country","what":"ignored","before":1,"after":0}"#;
    assert_eq!(answer.text(), format!(r#"{{"accepted":1,"changed":[{changed}]}}"#));
}
