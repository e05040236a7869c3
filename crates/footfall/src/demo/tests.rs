use super::*;

#[test]
fn a_taken_port_is_no_reason_to_fail() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    assert_eq!(free_or_any(addr), SocketAddr::new(addr.ip(), 0));
    drop(taken);
    assert_eq!(free_or_any(addr), addr);
}

#[test]
fn the_summary_is_one_line_with_the_promised_fields() {
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
fn the_snippets_name_the_addresses_and_the_token() {
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
