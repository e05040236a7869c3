//! Invalid requests and their replies. The snapshot next to this file is the table.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const JSON: &str = "Content-Type: application/json";

struct Case {
    name: &'static str,
    request: Vec<u8>,
}

fn case(name: &'static str, request: Vec<u8>) -> Case {
    Case { name, request }
}

/// A body with valid headers.
fn body(name: &'static str, body: impl AsRef<[u8]>) -> Case {
    case(name, post("/api/v1/events", &[JSON], body.as_ref()))
}

/// A valid event with these further fields.
fn field(name: &'static str, more: &str) -> Case {
    body(name, event_with(&format!(",{more}")))
}

fn headers(name: &'static str, headers: &[&str], body: &[u8]) -> Case {
    case(name, post("/api/v1/events", headers, body))
}

fn query(name: &'static str, more: &str) -> Case {
    case(name, get(&format!("/api/v1/beacon?{more}")))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn long(chars: usize) -> String {
    "x".repeat(chars)
}

/// A valid event of its own client.
fn good(client: &str) -> String {
    format!(r#"{{"tracking_id":"shop","client_id":"{client}","event_type":"pageview"}}"#)
}

fn malformed() -> Vec<Case> {
    vec![
        body("empty body", ""),
        body("blank body", "  \n\t "),
        body("not JSON", "hello"),
        body("form data as JSON", "tracking_id=shop&client_id=c"),
        body("event cut off", r#"{"tracking_id":"shop","client_id":"#),
        body(
            "event cut off inside a string",
            r#"{"tracking_id":"shop","client_id":"c"#,
        ),
        body("array cut off", format!("[{},", good("x"))),
        body("trailing comma in an object", r#"{"tracking_id":"shop",}"#),
        body("trailing comma in an array", format!("[{},]", good("x"))),
        body("single quotes", "{'tracking_id':'shop'}"),
        body("comment", format!("/* x */{}", good("x"))),
        body("two events without an array", format!("{}\n{}", good("x"), good("y"))),
        body("text behind the event", format!("{} x", good("x"))),
        body(
            "broken event spoils the syntax of a batch",
            format!(r#"[{},{{"tracking_id":}}]"#, good("x")),
        ),
        body("key without quotes", "{tracking_id:\"shop\"}"),
        body(
            "NaN",
            r#"{"tracking_id":"shop","client_id":"c","event_type":"e","revenue":NaN}"#,
        ),
        body(
            "Infinity",
            r#"{"tracking_id":"shop","client_id":"c","event_type":"e","revenue":Infinity}"#,
        ),
        body(
            "leading zero",
            r#"{"tracking_id":"shop","client_id":"c","event_type":"e","revenue":007}"#,
        ),
        body("bad escape", r#"{"tracking_id":"sh\op"}"#),
        body("raw control character in a string", "{\"tracking_id\":\"sh\nop\"}"),
        body("raw NUL in a string", "{\"tracking_id\":\"sh\0op\"}"),
        body("NUL behind the event", format!("{}\0", good("x"))),
        body("bad UTF-8", b"{\"tracking_id\":\"sh\xff\"}"),
        body("UTF-8 cut off", b"{\"tracking_id\":\"\xe2\x82\"}"),
        body("overlong UTF-8", b"{\"tracking_id\":\"\xc0\xaf\"}"),
        body(
            "UTF-16",
            good("x").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        ),
        body("a million brackets", "[".repeat(1_000_000)),
    ]
}

fn wrong_types() -> Vec<Case> {
    vec![
        body("null", "null"),
        body("a string", r#""shop""#),
        body("a number", "1e400"),
        body("empty array", "[]"),
        body("array of other things", r#"[1,"x",null,[],true]"#),
        body("array in an array", format!("[[{}]]", good("x"))),
        body("empty object", "{}"),
        body("tracking_id missing", r#"{"client_id":"c","event_type":"e"}"#),
        body(
            "tracking_id null",
            r#"{"tracking_id":null,"client_id":"c","event_type":"e"}"#,
        ),
        body(
            "tracking_id empty",
            r#"{"tracking_id":"","client_id":"c","event_type":"e"}"#,
        ),
        body(
            "tracking_id a number",
            r#"{"tracking_id":5,"client_id":"c","event_type":"e"}"#,
        ),
        body(
            "tracking_id an object",
            r#"{"tracking_id":{"a":[]},"client_id":"c","event_type":"e"}"#,
        ),
        body(
            "tracking_id beyond all numbers",
            r#"[{"tracking_id":1e400,"client_id":"c","event_type":"e"}]"#,
        ),
        body("client_id missing", r#"{"tracking_id":"shop","event_type":"e"}"#),
        body(
            "client_id an array",
            r#"{"tracking_id":"shop","client_id":["c"],"event_type":"e"}"#,
        ),
        body(
            "client_id twice",
            r#"{"tracking_id":"shop","client_id":"c","client_id":"d","event_type":"e"}"#,
        ),
        body("event_type missing", r#"{"tracking_id":"shop","client_id":"c"}"#),
        body(
            "client_id blank",
            r#"{"tracking_id":"shop","client_id":" \u00a0","event_type":"e"}"#,
        ),
        body(
            "client_id an object",
            r#"{"tracking_id":"shop","client_id":{"id":1},"event_type":"e"}"#,
        ),
        field("user.user_id an array", r#""user":{"user_id":[1]}"#),
        field("event_id and messageId", r#""event_id":"1","messageId":"2""#),
        field("page a string", r#""page":"https://example.com/""#),
        field("page an array", r#""page":[]"#),
        field("page twice", r#""page":{"url":"/"},"page":{"title":"t"}"#),
        field("page.url twice", r#""page":{"url":"/","url":"/"}"#),
        field("utm a string", r#""utm":"google""#),
        field("custom_properties a string", r#""custom_properties":"{}""#),
        field("custom_properties an array", r#""custom_properties":[1]"#),
    ]
}

fn numbers_and_times() -> Vec<Case> {
    vec![
        field("revenue beyond all numbers", r#""revenue":1e400"#),
        field("revenue too large", r#""revenue":100000000000000"#),
        field("revenue too small", r#""revenue":"-100000000000000.0000""#),
        field("revenue NaN in a string", r#""revenue":"NaN""#),
        field("revenue with a currency", r#""revenue":"12.50 EUR""#),
        field("revenue with a comma", r#""revenue":"12,50""#),
        field("revenue a boolean", r#""revenue":true"#),
        field("revenue an object", r#""revenue":{"amount":1}"#),
        field("timestamp no time", r#""timestamp":"yesterday""#),
        field("timestamp without offset", r#""timestamp":"2026-02-02T10:30:00""#),
        field("timestamp a day that isn't", r#""timestamp":"2026-02-30T10:30:00Z""#),
        field("timestamp a boolean", r#""timestamp":true"#),
        field("timestamp an object", r#""timestamp":{"$date":1}"#),
        field("timestamp beyond all numbers", r#""timestamp":1e400"#),
        field("timestamp larger than 64 bits", r#""timestamp":92233720368547758070"#),
        field("timestamp minus nothing", r#""timestamp":-0"#),
        field("timestamp in seconds", r#""timestamp":1770028200"#),
        field("timestamp in microseconds", r#""timestamp":1770028200000000"#),
        field("timestamp in nanoseconds", r#""timestamp":1770028200000000000"#),
        field("timestamp in seconds with a fraction", r#""timestamp":1770028200.5"#),
        field("timestamp in the future", r#""timestamp":"2026-02-02T11:30:00.001Z""#),
        field("timestamp in the year 9999", r#""timestamp":"9999-12-31T23:59:59Z""#),
        field("timestamp ancient", r#""timestamp":"2025-01-02T10:29:59.999Z""#),
        field("timestamp before 1970", r#""timestamp":"1815-12-10T00:00:00Z""#),
        field("sent_at no time", r#""timestamp":"2026-02-02T10:30:00Z","sent_at":"x""#),
        field(
            "sent_at long before timestamp",
            r#""timestamp":"2026-02-02T10:30:00Z","sent_at":"2026-02-02T08:00:00Z""#,
        ),
    ]
}

fn too_much() -> Vec<Case> {
    let event = |client: usize| good(&client.to_string());
    let batch = (0..501).map(event).collect::<Vec<_>>().join(",");
    let keys = |count: usize| {
        (0..count)
            .map(|n| format!(r#""k{n}":{n}"#))
            .collect::<Vec<_>>()
            .join(",")
    };
    let nested = |levels: usize| format!("{}{}", r#"{"a":"#.repeat(levels - 1) + "{}", "}".repeat(levels - 1));
    let spaces = " ".repeat((1 << 20) - 100);
    let chunk = "x".repeat((1 << 20) + 1);
    vec![
        body("tracking_id too long", format!(r#"{{"tracking_id":"{}","client_id":"c","event_type":"e"}}"#, long(129))),
        field("custom_properties too deep", &format!(r#""custom_properties":{}"#, nested(9))),
        field("custom_properties with arrays too deep", r#""custom_properties":{"a":[[[[[[[[1]]]]]]]]}"#),
        field("custom_properties with too many keys", &format!(r#""custom_properties":{{{}}}"#, keys(257))),
        field("event too large", &format!(r#""custom_properties":{{"a":"{}"}}"#, long(33_000))),
        body("too many events", format!("[{batch}]")),
        body("half a million of nothing", format!("[{}0]", "0,".repeat(500_000))),
        body("body too large by declaration", "x".repeat((1 << 20) + 1)),
        case(
            "body too large without declaration",
            format!(
                "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {:x}\r\n{chunk}\r\n0\r\n\r\n",
                chunk.len()
            )
            .into_bytes(),
        ),
        headers("gzip bomb", &[JSON, "Content-Encoding: gzip"], &gzip(&vec![b' '; 16 << 20])),
        headers("nothing but spaces in gzip", &[JSON, "Content-Encoding: gzip"], &gzip(spaces.as_bytes())),
    ]
}

fn envelope() -> Vec<Case> {
    let event = good("x");
    let event = event.as_bytes();
    let zipped = gzip(event);
    let gzip_header = "Content-Encoding: gzip";
    let mut wrong_sum = zipped.clone();
    let sum = wrong_sum.len() - 5;
    wrong_sum[sum] ^= 0xff;
    vec![
        headers(
            "content type of a form",
            &["Content-Type: application/x-www-form-urlencoded"],
            event,
        ),
        headers("content type XML", &["Content-Type: text/xml"], event),
        headers("content type that is none", &["Content-Type: json"], event),
        headers(
            "content type in another charset",
            &["Content-Type: application/json; charset=latin1"],
            event,
        ),
        headers("encoding compress", &[JSON, "Content-Encoding: compress"], event),
        headers("zstd that isn't", &[JSON, "Content-Encoding: zstd"], event),
        headers("brotli that isn't", &[JSON, "Content-Encoding: br"], event),
        headers("deflate that isn't", &[JSON, "Content-Encoding: deflate"], event),
        headers("encoding twice", &[JSON, "Content-Encoding: gzip, gzip"], event),
        headers("gzip that isn't", &[JSON, gzip_header], event),
        headers("gzip of nothing", &[JSON, gzip_header], b""),
        headers("gzip cut off", &[JSON, gzip_header], &zipped[..zipped.len() - 9]),
        headers(
            "gzip without its sum",
            &[JSON, gzip_header],
            &zipped[..zipped.len() - 8],
        ),
        headers("gzip with a wrong sum", &[JSON, gzip_header], &wrong_sum),
        headers(
            "gzip and a tail",
            &[JSON, gzip_header],
            &[zipped.as_slice(), b"tail"].concat(),
        ),
        headers("gzip within gzip", &[JSON, gzip_header], &gzip(&zipped)),
        case(
            "PUT",
            b"PUT /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        case("GET of events", get("/api/v1/events")),
        case("HEAD of the beacon", {
            b"HEAD /api/v1/beacon?tid=shop&cid=c&et=e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".into()
        }),
        case("not HTTP", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".into()),
        case(
            "wrong content length",
            b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: x\r\n\r\n".into(),
        ),
        case(
            "body that never ends",
            format!(
                "POST /api/v1/events HTTP/1.1\r\nHost: x\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{\"tra"
            )
            .into_bytes(),
        ),
        case(
            "body shorter than declared",
            format!("POST /api/v1/events HTTP/1.1\r\nHost: x\r\n{JSON}\r\nContent-Length: 100\r\n\r\n{{").into_bytes(),
        ),
        case(
            "chunk of no size",
            format!(
                "POST /api/v1/events HTTP/1.1\r\nHost: x\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"
            )
            .into_bytes(),
        ),
    ]
}

fn sites_and_tokens() -> Vec<Case> {
    let vault = br#"{"tracking_id":"vault","client_id":"c","event_type":"e"}"#;
    vec![
        body(
            "unknown site",
            r#"{"tracking_id":"nobody","client_id":"c","event_type":"e"}"#,
        ),
        body(
            "unknown site that can be none",
            r#"{"tracking_id":"'; DROP TABLE sites; --","client_id":"c","event_type":"e"}"#,
        ),
        body(
            "only unknown sites",
            r#"[{"tracking_id":"a","client_id":"c","event_type":"e"},{"tracking_id":"b","client_id":"c","event_type":"e"}]"#,
        ),
        headers("no token", &[JSON], vault),
        headers("wrong token", &[JSON, "Authorization: Bearer nonsense"], vault),
        headers(
            "password instead of a token",
            &[JSON, "Authorization: Basic dTpw"],
            vault,
        ),
    ]
}

fn beacons() -> Vec<Case> {
    vec![
        query("beacon without anything", ""),
        query("beacon without client", "tid=shop&et=e"),
        query("beacon of an unknown site", "tid=nobody&cid=c&et=e"),
        query("beacon with a blank client", "tid=shop&cid=+%09&et=e"),
        query("beacon with a wrong time", "tid=shop&cid=c&et=e&timestamp=now"),
        query(
            "beacon with wrong properties",
            "tid=shop&cid=c&et=e&custom_properties=%7B%22a%22",
        ),
        query(
            "beacon with properties that are none",
            "tid=shop&cid=c&et=e&custom_properties=7",
        ),
        query("beacon with a wrong amount", "tid=shop&cid=c&et=e&revenue=1%2C5"),
        query("beacon too long", &format!("tid=shop&cid=c&et=e&x={}", long(33_000))),
    ]
}

/// Batches of valid and invalid events: the valid ones are stored.
fn mixed() -> Vec<Case> {
    let event =
        |site: &str, client: &str| format!(r#"{{"tracking_id":"{site}","client_id":"{client}","event_type":"e"}}"#);
    vec![
        body(
            "blank client beside a good one",
            format!(r#"[{},{}]"#, event("shop", r" \t"), good("good-3")),
        ),
        body(
            "one good, one without client",
            format!(r#"[{},{{"tracking_id":"shop","event_type":"e"}}]"#, good("good-1")),
        ),
        body(
            "unknown, good, locked",
            format!("[{},{},{}]", event("nobody", "x"), good("good-2"), event("vault", "x")),
        ),
        body(
            "too large beside a good one",
            format!("[{},{}]", event("shop", &long(33_000)), good("good-4")),
        ),
        body(
            "number and array beside a good one",
            format!("[1,{},[]]", good("good-5")),
        ),
    ]
}

fn table() -> Vec<Case> {
    [
        malformed(),
        wrong_types(),
        numbers_and_times(),
        too_much(),
        envelope(),
        sites_and_tokens(),
        beacons(),
        mixed(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_input_gets_its_reply_and_the_server_is_as_well_afterwards_as_before() {
    let server = Server::with(CollectOptions {
        body_timeout: Duration::from_millis(200),
        ..CollectOptions::default()
    })
    .await;
    let mut replies = String::new();
    let cases = table();
    assert!(cases.len() >= 100);
    for Case { name, request } in &cases {
        let answer = server.send(request).await;
        assert!(
            answer.status >= 400 || answer.status == 200,
            "{name}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(answer.body.len() < 3_000, "{name}: the reply is long");
        writeln!(replies, "{name}\n    {} {}", answer.status, answer.text()).unwrap();
    }
    insta::assert_snapshot!("replies", replies);

    assert_eq!(server.post(&good("good-6")).await.status, 204);
    let stored: Vec<String> = server.log.events().into_iter().map(|event| event.client_id).collect();
    assert_eq!(stored, ["good-3", "good-1", "good-2", "good-4", "good-5", "good-6"]);
}
