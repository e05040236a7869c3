//! `custom_properties` in SQL.

use arrow::datatypes::DataType;
use footfall_model::access::SiteScope;

use crate::testing::{events, lake, only, rows, value};
use crate::{Engine, QueryError, ScalarValue};

const SENT: &str = r#"{"plan":"pro","count":3,"price":1.10,"big":123456789012345678901234567890,"text":"7","vip":true,
    "none":null,"list":[10,"x",{"a":[1,2]}],"nested":{"a":{"b":"deep"}},"quote":"say \"hi\"","city":"Z\u00fcrich",
    "":"blank","two words":1,"huge":1e400,"whole":2.0,"negative":-5}"#;

async fn engine() -> Engine {
    let lake = lake().await;
    lake.add("x", events().pageview("/").properties(SENT)).await;
    lake.engine()
}

async fn check(cases: &[(&str, &str)]) {
    let engine = engine().await;
    let mut wrong = Vec::new();
    for (expression, expected) in cases {
        let sql = format!(
            "SELECT {} FROM events",
            expression.replace("p->", "custom_properties->")
        );
        let sql = sql
            .replace("(p,", "(custom_properties,")
            .replace("(p)", "(custom_properties)");
        let got = value(&engine, &SiteScope::All, &sql).await;
        if got != *expected {
            wrong.push(format!("{expression}: {got}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_keeps_every_digit() {
    check(&[
        ("p->>'plan'", "pro"),
        ("p->>'count'", "3"),
        ("p->>'price'", "1.10"),
        ("p->>'big'", "123456789012345678901234567890"),
        ("p->>'huge'", "1e400"),
        ("p->>'vip'", "true"),
        ("p->>'list'", r#"[10,"x",{"a":[1,2]}]"#),
        ("p->>'quote'", r#"say "hi""#),
        ("p->>'city'", "Zürich"),
        ("p->>''", "blank"),
        ("p->>'two words'", "1"),
        ("(p->>'price')::decimal(10,2)", "1.10"),
        ("(p->>'big')::decimal(38,0)", "123456789012345678901234567890"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_gives_json_and_chains() {
    check(&[
        ("p->'plan'", r#""pro""#),
        ("p->'price'", "1.10"),
        ("p->'nested'", r#"{"a":{"b":"deep"}}"#),
        ("p->'nested'->'a'->>'b'", "deep"),
        ("p->'list'->0", "10"),
        ("p->'list'->-1", r#"{"a":[1,2]}"#),
        ("p->'list'->2->'a'->>1", "2"),
        ("p->'list'->>(1+1-1)", "x"),
        ("custom_properties #>> ARRAY['nested', 'a', 'b']", "deep"),
        ("custom_properties #>> '{nested,a,b}'", "deep"),
        ("custom_properties #> '{list,2,a}'", "[1,2]"),
        ("json_get(p, 'nested', 'a')", r#"{"b":"deep"}"#),
        ("json_extract_path_text(p, 'nested', 'a', 'b')", "deep"),
        ("json_as_text(p, 'list', 0)", "10"),
        ("json_get_json(p, 'city')", "\"Zürich\""),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_json_null_are_null() {
    check(&[
        ("p->>'absent' IS NULL", "true"),
        ("p->'absent' IS NULL", "true"),
        ("p->'none' IS NULL", "true"),
        ("p->>'none' IS NULL", "true"),
        ("p->'plan'->>'x' IS NULL", "true"),
        ("p->'list'->>9 IS NULL", "true"),
        ("p->'list'->>NULL IS NULL", "true"),
        ("json_get_str(NULL, 'a') IS NULL", "true"),
        ("json_get_int(p, 'absent') IS NULL", "true"),
        ("json_get_str('not json', 'a') IS NULL", "true"),
        ("json_contains(p, 'none')", "true"),
        ("json_contains(p, 'absent')", "false"),
        ("json_contains(p, 'nested', 'a', 'b')", "true"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_access_is_null_for_another_type() {
    check(&[
        ("json_get_int(p, 'count') + 1", "4"),
        ("json_get_int(p, 'negative')", "-5"),
        ("json_get_int(p, 'whole')", "2"),
        ("json_get_int(p, 'text')", "7"),
        ("json_get_int(p, 'price') IS NULL", "true"),
        ("json_get_int(p, 'big') IS NULL", "true"),
        ("json_get_int(p, 'plan') IS NULL", "true"),
        ("json_get_float(p, 'price') * 2", "2.2"),
        ("json_get_float(p, 'count')", "3.0"),
        ("json_get_float(p, 'vip') IS NULL", "true"),
        ("json_get_bool(p, 'vip')", "true"),
        ("json_get_bool(p, 'count') IS NULL", "true"),
        ("json_get_str(p, 'plan')", "pro"),
        ("json_get_str(p, 'count') IS NULL", "true"),
        ("json_length(p, 'list')", "3"),
        ("json_array_length(p->'list')", "3"),
        ("json_length(p)", "16"),
        ("json_length(p, 'plan') IS NULL", "true"),
        ("json_object_keys(p, 'nested')", "[a]"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_bind_tighter_than_comparisons() {
    check(&[
        ("p->>'plan' = 'pro'", "true"),
        ("'pro' = p->>'plan' AND NOT p->>'plan' = 'free'", "true"),
        ("p->>'plan' IN ('free', 'pro')", "true"),
        ("p->>'plan' LIKE 'p%'", "true"),
        ("p->>'plan' IS NOT NULL", "true"),
        ("p->>'plan' BETWEEN 'p' AND 'q'", "true"),
        ("coalesce(p->>'absent', p->>'plan')", "pro"),
        ("CASE WHEN p->>'plan' = 'pro' THEN 1 ELSE 0 END", "1"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_are_one_group() {
    let lake = lake().await;
    let sent = events()
        .pageview("/")
        .properties(r#"{"city":"Z\u00fcrich"}"#)
        .at("2026-11-02 10:00")
        .pageview("/")
        .properties("{ \"city\" : \"Zürich\" }")
        .at("2026-11-02 11:00")
        .pageview("/")
        .properties(r#"{"city":"\u005aürich"}"#);
    lake.add("x", sent).await;
    let engine = lake.engine();
    for key in [
        "custom_properties->>'city'",
        "custom_properties->'city'",
        "custom_properties",
    ] {
        let sql = format!("SELECT count(*) FROM (SELECT {key}, count(*) FROM events GROUP BY {key})");
        assert_eq!(value(&engine, &SiteScope::All, &sql).await, "1", "{key}");
    }
    let sql = "SELECT count(*) FROM events WHERE custom_properties->>'city' = 'Zürich'";
    assert_eq!(value(&engine, &SiteScope::All, sql).await, "3");
    let sql =
        "SELECT count(*) AS n FROM events GROUP BY custom_properties->>'city' ORDER BY custom_properties->>'city'";
    assert_eq!(value(&engine, &SiteScope::All, sql).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_known_before_execution() {
    let engine = engine().await;
    for (expression, expected) in [
        ("custom_properties->'a'", DataType::Utf8),
        ("custom_properties->>'a'", DataType::Utf8),
        ("json_get_int(custom_properties, 'a')", DataType::Int64),
        ("json_get_float(custom_properties, 'a')", DataType::Float64),
        ("json_get_bool(custom_properties, 'a')", DataType::Boolean),
        ("json_length(custom_properties)", DataType::Int64),
        ("json_contains(custom_properties, 'a')", DataType::Boolean),
    ] {
        let sql = format!("SELECT {expression} FROM events");
        let described = engine.describe(&SiteScope::All, &sql).await.unwrap();
        assert_eq!(described.schema.field(0).data_type(), &expected, "{expression}");
        let rows = rows(&engine, &SiteScope::All, &sql, &[]).await.unwrap();
        assert_eq!(rows[0].schema(), described.schema, "{expression}");
    }
    let described = engine
        .describe(&SiteScope::All, "SELECT custom_properties->'a'->>'b' FROM events")
        .await;
    assert_eq!(
        described.unwrap().schema.field(0).name(),
        "custom_properties -> 'a' ->> 'b'"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_can_be_bound() {
    let engine = engine().await;
    let sql = "SELECT custom_properties->?->>? FROM events WHERE custom_properties->>? = ?";
    let described = engine.describe(&SiteScope::All, sql).await.unwrap();
    let types: Vec<_> = described
        .parameters
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Utf8]);
    let values = ["list", "1", "plan", "pro"].map(ScalarValue::from);
    let rows = rows(&engine, &SiteScope::All, sql, &values).await.unwrap();
    assert_eq!(rows[0].column(0).as_ref(), &arrow::array::StringArray::from(vec!["x"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_paths_and_types_are_refused() {
    let engine = engine().await;
    for (sql, part) in [
        ("SELECT custom_properties #>> 'a' FROM events", "ARRAY['a', 'b']"),
        (
            "SELECT custom_properties #>> '{\"a b\",c}' FROM events",
            "special characters",
        ),
        ("SELECT custom_properties #>> city FROM events", "ARRAY['a', 'b']"),
        ("SELECT revenue->>'a' FROM events", "reads JSON text"),
        ("SELECT custom_properties->>1.5 FROM events", "text as keys"),
        (
            "SELECT json_contains(custom_properties) FROM events",
            "the key to look for",
        ),
        ("SELECT json_get() FROM events", "json_get"),
    ] {
        match rows(&engine, &SiteScope::All, sql, &[]).await {
            Err(QueryError::Invalid(text)) => assert!(text.contains(part), "{sql}: {text}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_of_other_sites_stay_hidden() {
    let lake = lake().await;
    let both = events()
        .site("a")
        .pageview("/")
        .properties(r#"{"n":"1"}"#)
        .site("b")
        .pageview("/")
        .properties(r#"{"n":"secret"}"#);
    lake.add("x", both).await;
    let engine = lake.engine();
    let a = only(&["a"]);
    for (sql, expected) in [
        ("SELECT sum((custom_properties->>'n')::int) FROM events", "1"),
        (
            "SELECT count(*) FROM events WHERE (custom_properties->>'n')::int > 0",
            "1",
        ),
        ("SELECT string_agg(custom_properties->>'n', ',') FROM events", "1"),
    ] {
        assert_eq!(value(&engine, &a, sql).await, expected, "{sql}");
    }
    let plan = "EXPLAIN SELECT custom_properties->>'n' FROM events WHERE custom_properties->>'n' = '1'";
    let plan = crate::testing::table(&engine, &a, plan).await;
    let filter = plan.find("SiteFilterExec").expect("a site filter");
    assert!(!plan[filter..].contains("json_as_text"), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_constants_are_bounded() {
    let lake = lake().await;
    lake.add("x", events().crowd(3)).await;
    let engine = lake.engine();
    let found = |length: usize| {
        let constant = format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
        format!("SELECT json_get_str('{constant}', substr(page_url, 1, 0) || 'a') FROM events")
    };
    assert_eq!(
        value(&engine, &SiteScope::All, &found(100_000)).await,
        "x".repeat(100_000)
    );
    let long = "repeat(page_url, 140000)";
    let sql = format!("SELECT json_get_str({long}, {long}) FROM events WHERE client_id = 'client-0'");
    let Err(QueryError::Limit(text)) = rows(&engine, &SiteScope::All, &sql, &[]).await else {
        panic!("a limit");
    };
    assert!(text.starts_with("json_get_str: "), "{text}");
}
