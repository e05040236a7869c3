use super::*;

#[test]
fn taken_port_falls_back_to_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    assert_eq!(free_or_any(addr), SocketAddr::new(addr.ip(), 0));
    drop(taken);
    assert_eq!(free_or_any(addr), addr);
}

#[test]
fn summary_line_has_promised_fields() {
    let summary = Summary {
        events_sent: 103,
        duplicates_sent: 3,
        events_found: 100,
        seconds: 1.5,
    };
    assert_eq!(
        serde_json::to_string(&summary).unwrap(),
        r#"{"events_sent":103,"duplicates_sent":3,"events_found":100,"seconds":1.5}"#
    );
}

#[test]
fn snippets_name_addresses_and_token() {
    let text = report::snippets("http://127.0.0.1:8080", "grpc://127.0.0.1:31337", "ffp_x");
    for part in [
        "flightsql.connect(\"grpc://127.0.0.1:31337\"",
        "Bearer ffp_x",
        "sql --server grpc://127.0.0.1:31337 --token ffp_x",
        "curl -i http://127.0.0.1:8080/api/v1/events",
        "'{\"tracking_id\": \"demo\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
}
