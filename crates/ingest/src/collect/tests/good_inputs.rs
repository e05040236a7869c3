//! Valid requests and the events they store.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

#[tokio::test]
async fn specification_example_is_stored() {
    let server = Server::start().await;
    let body = r#"{
        "tracking_id": "shop", "client_id": "abc123.def456", "session_id": "sess_xyz789",
        "event_type": "pageview", "timestamp": "2026-02-02T10:29:00.000Z", "messageId": "m-1",
        "page": {"url": "https://example.com/products/shoes", "title": "Running \"Shoes\"",
                 "referrer": "https://google.com/search?q=running+shoes", "color": "blue"},
        "user": {"user_id": "user_12345", "country": "us", "city": "Boston", "device": "desktop",
                 "browser": "Chrome", "os": "Linux"},
        "utm": {"source": "news", "medium": "email", "campaign": "feb", "term": "t", "content": "c"},
        "revenue": "12.50",
        "custom_properties": {"product_id": "prod_789", "price": 99.99},
        "something_new": {"ignored": [1, 2]}
    }"#;
    let answer = server.post(body).await;
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    let event = server.log.events().remove(0);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(event.tracking_id, "shop");
    assert_eq!(event.client_id, "abc123.def456");
    assert_eq!(event.session_id.as_deref(), Some("sess_xyz789"));
    assert_eq!(event.event_type, "pageview");
    assert_eq!(event.event_id, "m-1");
    assert_eq!(event.event_timestamp, NOW - 60_000_000);
    assert_eq!(event.created_at, NOW);
    assert_eq!(event.page_url, text("https://example.com/products/shoes"));
    assert_eq!(event.page_title, text("Running \"Shoes\""));
    assert_eq!(event.referrer, text("https://google.com/search?q=running+shoes"));
    assert_eq!(event.user_id, text("user_12345"));
    assert_eq!(event.country, text("US"));
    assert_eq!(event.city, text("Boston"));
    assert_eq!(event.device, text("desktop"));
    assert_eq!(event.browser, text("Chrome"));
    assert_eq!(event.os, text("Linux"));
    assert_eq!(event.utm_source, text("news"));
    assert_eq!(event.utm_medium, text("email"));
    assert_eq!(event.utm_campaign, text("feb"));
    assert_eq!(event.utm_term, text("t"));
    assert_eq!(event.utm_content, text("c"));
    assert_eq!(event.revenue, Some(125_000));
    assert_eq!(
        event.custom_properties,
        text(r#"{"product_id":"prod_789","price":99.99}"#)
    );
}

#[tokio::test]
async fn request_is_one_wal_record() {
    let server = Server::start().await;
    let batch = format!(
        "[{},{},{}]",
        event_with(""),
        event_with(r#","page":{"url":"/a"}"#),
        event_with("")
    );
    assert_eq!(server.post(&batch).await.status, 204);
    assert_eq!(server.post(&event_with("")).await.status, 204);
    assert_eq!(server.log.batches().iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
}

#[tokio::test]
async fn limits_are_inclusive() {
    let server = Server::start().await;
    let nested = format!("{}{{}}{}", r#"{"a":"#.repeat(7), "}".repeat(7));
    let keys = (0..256).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(",");
    for more in [
        format!(r#","page":{{"url":"{}"}}"#, "u".repeat(2048)),
        format!(r#","page":{{"title":"{}"}}"#, "ü".repeat(1024)),
        format!(r#","custom_properties":{nested}"#),
        format!(r#","custom_properties":{{{keys}}}"#),
        r#","timestamp":"2026-02-02T11:30:00.000Z""#.to_owned(),
        r#","timestamp":"2025-01-02T10:30:00.000Z""#.to_owned(),
        r#","revenue":99999999999999.9999"#.to_owned(),
        r#","custom_properties":{"emoji":"\ud83d\ude00"},"page":{"title":"\ud83d\ude00"}"#.to_owned(),
        r#","session_id":null,"page":null,"user":{"user_id":null},"revenue":null,"custom_properties":null"#.to_owned(),
    ] {
        let answer = server.post(&event_with(&more)).await;
        assert_eq!(answer.status, 204, "{more}: {}", answer.text());
    }
    let batch = vec![event_with(""); 500].join(",");
    assert_eq!(server.post(&format!("[{batch}]")).await.status, 204);
    let padded = format!("{}{}", event_with(""), " ".repeat((1 << 20) - event_with("").len()));
    assert_eq!(padded.len(), 1 << 20);
    assert_eq!(server.post(&padded).await.status, 204);
}

#[tokio::test]
async fn no_session_is_assigned() {
    let server = Server::start().await;
    assert_eq!(server.post(&event_with("")).await.status, 204);
    assert_eq!(server.log.events()[0].session_id, None);
}

#[tokio::test]
async fn revenue_falls_back_to_properties() {
    let server = Server::start().await;
    for (more, units) in [
        (
            r#","custom_properties":{"a":{"revenue":1},"revenue":19.99}"#,
            Some(199_900),
        ),
        (r#","custom_properties":{"revenue":"7"}"#, Some(70_000)),
        (r#","revenue":5,"custom_properties":{"revenue":7}"#, Some(50_000)),
        (r#","custom_properties":{"revenue":7},"revenue":5"#, Some(50_000)),
        (r#","custom_properties":{"revenue":null}"#, None),
        (r#","revenue":0.30000000000000004"#, Some(3_000)),
        (r#","revenue":-0"#, Some(0)),
        ("", None),
    ] {
        assert_eq!(server.post(&event_with(more)).await.status, 204, "{more}");
        assert_eq!(server.log.events().pop().unwrap().revenue, units, "{more}");
    }
}

#[tokio::test]
async fn sender_is_enriched_from_headers() {
    let server = Server::with(CollectOptions {
        trusted_proxies: 1,
        ..CollectOptions::default()
    })
    .await;
    let event = event_with("");
    let headers = [
        "X-Forwarded-For: 1.1.1.1, 194.25.0.1",
        "User-Agent: Googlebot/2.1 (+http://www.google.com/bot.html)",
    ];
    assert_eq!(
        server
            .send(&post("/api/v1/events", &headers, event.as_bytes()))
            .await
            .status,
        204
    );
    let stored = server.log.events().remove(0);
    assert_eq!(stored.country.as_deref(), Some("DE"));
    assert!(stored.is_bot);
}

#[tokio::test]
async fn gzip_and_browser_content_types() {
    let server = Server::start().await;
    let plain = event_with("");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain.as_bytes()).unwrap();
    let zipped = encoder.finish().unwrap();
    for (path, headers, body) in [
        (
            "/api/v1/events",
            &["Content-Type: application/json", "Content-Encoding: gzip"][..],
            zipped.as_slice(),
        ),
        (
            "/api/v1/beacon",
            &["Content-Type: text/plain;charset=UTF-8"],
            plain.as_bytes(),
        ),
        (
            "/api/v1/beacon",
            &["Content-Type: application/json; charset=utf-8"],
            plain.as_bytes(),
        ),
        ("/api/v1/events", &[], plain.as_bytes()),
    ] {
        let answer = server.send(&post(path, headers, body)).await;
        assert_eq!(answer.status, 204, "{path} {headers:?}: {}", answer.text());
    }
    let chunked = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &plain[..5],
        plain.len() - 5,
        &plain[5..]
    );
    assert_eq!(server.send(chunked.as_bytes()).await.status, 204);
    assert_eq!(server.log.events().len(), 5);
}

#[tokio::test]
async fn pixel_stores_event_uncached() {
    let server = Server::start().await;
    let query = "tid=shop&cid=c1&event_type=open&url=https%3A%2F%2Fx.org%2Fa%3Fb%3Dc&page.title=A+B&utm_source=mail\
                 &user.country=de&revenue=1.5&ts=1770028199000&cp=%7B%22a%22%3A1%7D&other=1&referrer=";
    let answer = server.send(&get(&format!("/api/v1/beacon?{query}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("image/gif"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.body.starts_with(b"GIF89a"));
    let event = server.log.events().remove(0);
    assert_eq!((event.client_id.as_str(), event.event_type.as_str()), ("c1", "open"));
    assert_eq!(event.page_url.as_deref(), Some("https://x.org/a?b=c"));
    assert_eq!(event.page_title.as_deref(), Some("A B"));
    assert_eq!(event.utm_source.as_deref(), Some("mail"));
    assert_eq!(event.country.as_deref(), Some("DE"));
    assert_eq!(event.revenue, Some(15_000));
    assert_eq!(event.event_timestamp, NOW - 1_000_000);
    assert_eq!(event.custom_properties.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(event.referrer, None);
}

#[tokio::test]
async fn cors_allows_every_origin_with_credentials() {
    let server = Server::start().await;
    for path in ["/api/v1/events", "/api/v1/beacon"] {
        let preflight = format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: https://a.example\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n"
        );
        let answer = server.send(preflight.as_bytes()).await;
        assert_eq!(answer.status, 200);
        assert_cors(&answer);
        assert_eq!(answer.header("access-control-allow-methods"), Some("post,get,options"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("content-type,content-encoding,authorization,x-debug-request")
        );
        assert_eq!(answer.header("access-control-max-age"), Some("86400"));

        let headers = ["Origin: https://a.example", "Content-Type: application/json"];
        for (body, status) in [("{}", 400), (event_with("").as_str(), 204)] {
            let answer = server.send(&post(path, &headers, body.as_bytes())).await;
            assert_eq!(answer.status, status);
            assert_cors(&answer);
        }
    }
}

/// A browser passes the reply to a request with credentials only with these.
fn assert_cors(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let vary = answer.header("vary").unwrap_or_default();
    assert!(vary.split(',').any(|name| name.trim() == "origin"), "{vary}");
}

#[tokio::test]
async fn protected_site_requires_writer_token() {
    let server = Server::start().await;
    let writer = server.token(Role::Writer, &["vault"]).await;
    let foreign_writer = server.token(Role::Writer, &["shop"]).await;
    let reader = server.token(Role::Reader, &["vault"]).await;
    let admin = server.token(Role::Admin, &[]).await;
    let event = br#"{"tracking_id":"vault","client_id":"c","event_type":"e"}"#;
    for (token, status) in [(&writer, 204), (&admin, 204), (&foreign_writer, 403), (&reader, 403)] {
        let authorization = format!("Authorization: Bearer {token}");
        let answer = server.send(&post("/api/v1/events", &[&authorization], event)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(server.log.events().len(), 2);
}
