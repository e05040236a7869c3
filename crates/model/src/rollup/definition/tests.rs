use super::*;

fn parse(json: &str) -> RollupDefinition {
    serde_json::from_str(json).unwrap()
}

fn signups() -> RollupDefinition {
    parse(
        r#"{
            "name": "signups", "sites": ["shop"], "grain": "hour", "dimensions": ["country", "is_bot"],
            "measures": [
                {"name": "event_count", "function": "count"},
                {"name": "signups", "function": "count", "column": "event_type", "equals": "signup"},
                {"name": "order", "function": "sum", "column": "revenue"}
            ]
        }"#,
    )
}

#[test]
fn definition_becomes_a_table_of_its_own() {
    let made = ConfiguredRollup {
        definition: signups(),
        revision: 17,
        created_at: 0,
    };
    let rollup = made.rollup().unwrap();
    assert!(rollup.sites.allows("shop") && !rollup.sites.allows("blog"));
    let table = rollup.table().unwrap();
    assert_eq!((table.name(), table.folder()), ("signups", "rollups/signups-17"));
    let columns: Vec<_> = table.file_schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(
        columns,
        [
            "tracking_id",
            "hour",
            "country",
            "is_bot",
            "event_count",
            "signups",
            "order"
        ]
    );
}

#[test]
fn definition_round_trips_through_json() {
    let defined = signups();
    let json = serde_json::to_string(&defined).unwrap();
    assert_eq!(parse(&json), defined);
    let short = parse(r#"{"name": "x", "grain": "day", "dimensions": []}"#);
    assert_eq!(short.measures.len(), super::super::built_in::measures().len());
    let functions = short.measures.iter().map(|measure| measure.function().unwrap());
    let built_in = super::super::built_in::measures().into_iter();
    assert!(functions.eq(built_in.map(|measure| measure.function)));
    short.validate().unwrap();
}

#[test]
fn invalid_definitions_are_refused_with_what_is_allowed() {
    type Change = fn(&mut RollupDefinition);
    let refused = |change: Change| {
        let mut definition = signups();
        change(&mut definition);
        definition.validate().unwrap_err().to_string()
    };
    let cases: [(Change, &str); 16] = [
        (|d| d.name = "Signups".into(), "name: expected a lowercase letter"),
        (|d| d.name = "a-b".into(), "name: expected a lowercase letter"),
        (|d| d.name = "a".repeat(64), "name: expected a lowercase letter"),
        (|d| d.name = "events_daily".into(), "is a table or view of every lake"),
        (|d| d.name = "events_weekly".into(), "is a table or view of every lake"),
        (|d| d.name = "funnel_steps".into(), "is a table or view of every lake"),
        (
            |d| d.sites = Some(BTreeSet::new()),
            "sites: there are 0; expected 1 to 100",
        ),
        (
            |d| d.dimensions = vec!["colour".into()],
            "dimensions: \"colour\" can't be one; possible are event_type",
        ),
        (
            |d| d.dimensions = vec!["client_id".into()],
            "\"client_id\" can't be one",
        ),
        (|d| d.dimensions = vec!["revenue".into()], "\"revenue\" can't be one"),
        (|d| d.dimensions = vec!["os".into(); 2], "\"os\" is there twice"),
        (
            |d| d.dimensions = vec!["os".into(); 17],
            "there are 17; expected at most 16",
        ),
        (|d| d.measures.clear(), "measures: there are 0; expected 1 to 32"),
        (
            |d| d.measures[2].column = Some("price".into()),
            "can't read \"price\"; possible are revenue",
        ),
        (|d| d.measures[2].column = None, "needs a column"),
        (|d| d.measures[2].equals = Some("x".into()), "equals stands only with"),
    ];
    for (change, expected) in cases {
        let reason = refused(change);
        assert!(reason.contains(expected), "{reason}");
    }
    for taken in [
        "country",
        "hour",
        "event_date",
        "tracking_id",
        "unique_users",
        "sessions",
        "signups",
    ] {
        let mut definition = signups();
        definition.measures[2].name = taken.into();
        let reason = definition.validate().unwrap_err().to_string();
        assert!(reason.contains("has a column of this name"), "{reason}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    let unknown =
        serde_json::from_str::<RollupDefinition>(r#"{"name": "x", "grain": "day", "dimensions": [], "a": 1}"#);
    assert!(unknown.unwrap_err().to_string().contains("unknown field `a`"));
    let unknown = serde_json::from_str::<RollupDefinition>(r#"{"name": "x", "grain": "week", "dimensions": []}"#);
    assert!(
        unknown
            .unwrap_err()
            .to_string()
            .contains("`quarter_hour`, `hour`, `day`")
    );
}
