use super::*;

/// The specification's example.
const PURCHASE: &str = r#"{
    "name": "Purchase Funnel",
    "steps": [
        {"name": "View Product", "event_type": "pageview", "filters": {"page_path": "/products/*"}},
        {"name": "Add to Cart", "event_type": "click", "filters": {"element_id": "add-to-cart"}},
        {"name": "Checkout", "event_type": "pageview", "filters": {"page_path": "/checkout"}},
        {"name": "Purchase", "event_type": "purchase"}
    ],
    "window": "7d"
}"#;

fn parse(json: &str) -> Result<Definition, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn specified_example_round_trips() {
    let definition = parse(PURCHASE).unwrap();
    definition.validate().unwrap();
    assert_eq!(definition.window.micros(), 7 * DAY);
    assert_eq!(definition.steps[1].filters["element_id"], "add-to-cart");
    let again = serde_json::to_string(&definition).unwrap();
    assert_eq!(parse(&again).unwrap(), definition);
    let expected: serde_json::Value = serde_json::from_str(PURCHASE).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), expected);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (key, known) in [("strict_once", "window"), ("session", "scope")] {
        let json = PURCHASE.replacen('{', &format!("{{\"{key}\": true,"), 1);
        let error = parse(&json).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(known), "{error}");
    }
    let error = parse(&PURCHASE.replace("\"filters\"", "\"filter\""))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unknown field `filter`") && error.contains("event_type"),
        "{error}"
    );
}

#[test]
fn bad_values_are_refused_with_what_is_expected() {
    let refused = |from: &str, to: &str| match parse(&PURCHASE.replacen(from, to, 1)) {
        Ok(definition) => definition.validate().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let cases = [
        ("Purchase Funnel", "", "name: expected 1 to 200"),
        ("\"7d\"", "\"7\"", "expected 1s to 366d"),
        ("\"7d\"", "\"7d\", \"step_window\": \"0s\"", "expected 1s to 366d"),
        ("\"7d\"", "\"7d\", \"strict_order\": 1", "invalid type"),
        (
            "\"7d\"",
            "\"7d\", \"scope\": \"visit\"",
            "expected `visitor` or `session`",
        ),
        ("\"7d\"", "\"0s\"", "expected 1s to 366d"),
        ("\"7d\"", "\"367d\"", "expected 1s to 366d"),
        ("\"7d\"", "\"99999999999999999d\"", "expected 1s to 366d"),
        ("\"/products/*\"", "null", "expected a text, a number, true or false"),
        (
            "page_path",
            "revenue",
            "steps: step 1 (\"View Product\"): filters.revenue: no filter compares this column; expected one of",
        ),
        ("page_path", "event_type", "or a key of custom_properties"),
        (
            "\"click\"",
            "\" \"",
            "step 2 (\"Add to Cart\"): event_type: expected 1 to 128",
        ),
    ];
    for (from, to, expected) in cases {
        let error = refused(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
    let mut definition = parse(PURCHASE).unwrap();
    definition.steps.truncate(1);
    assert!(
        definition
            .validate()
            .unwrap_err()
            .reason
            .contains("there are 1; expected 2 to 20")
    );
}

#[test]
fn numbers_and_flags_are_compared_as_text() {
    let json = PURCHASE
        .replacen("\"add-to-cart\"", "3", 1)
        .replacen("\"/checkout\"", "false", 1);
    let definition = parse(&json).unwrap();
    assert_eq!(definition.steps[1].filters["element_id"], "3");
    assert_eq!(definition.steps[2].filters["page_path"], "false");
}

#[test]
fn scope_is_written_unless_it_is_the_default() {
    for (scope, written) in [("visitor", false), ("session", true)] {
        let json = PURCHASE.replacen('{', &format!("{{\"scope\": \"{scope}\","), 1);
        let definition = parse(&json).unwrap();
        assert_eq!(definition.needs_every_event(), written);
        let again = serde_json::to_string(&definition).unwrap();
        assert_eq!(again.contains("scope"), written, "{again}");
        assert_eq!(parse(&again).unwrap(), definition);
    }
}

#[test]
fn windows_are_written_in_their_largest_unit() {
    for (text, written) in [
        ("7d", "7d"),
        ("24h", "1d"),
        ("90m", "90m"),
        ("90s", "90s"),
        ("3600s", "1h"),
    ] {
        assert_eq!(text.parse::<Window>().unwrap().to_string(), written);
    }
}

#[test]
fn filter_names_column_or_property() {
    assert_eq!(
        FilterSource::of("page_path"),
        Ok(FilterSource::Column(EventField::PagePath))
    );
    assert_eq!(FilterSource::of("element_id"), Ok(FilterSource::Property("element_id")));
    assert_eq!(
        FilterSource::of("custom_properties.page_path"),
        Ok(FilterSource::Property("page_path"))
    );
    assert!(FilterSource::of("created_at").is_err());
}
