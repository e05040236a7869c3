use arrow::array::{TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, Int32Type};
use footfall_model::schema;

use super::*;
use crate::table::funnel_steps;
use crate::{Definition, Step};

fn step(event_type: &str, filters: &[(&str, &str)]) -> Step {
    Step {
        name: "step".into(),
        event_type: event_type.into(),
        filters: filters
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn funnel(id: &str, site: &str, steps: Vec<Step>) -> Funnel {
    Funnel {
        id: id.into(),
        tracking_id: site.into(),
        revision: 7,
        definition: Definition {
            name: id.into(),
            steps,
            window: Default::default(),
            ..Definition::default()
        },
        created_at: 0,
    }
}

/// Site, type, path, properties and country.
type Event<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>);

fn events(rows: &[Event<'_>]) -> RecordBatch {
    let schema = schema::event_file();
    let texts =
        |of: fn(&Event<'_>) -> Option<String>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let columns = schema
        .fields()
        .iter()
        .map(|field| match (field.name().as_str(), field.data_type()) {
            ("tracking_id", _) => texts(|row| Some(row.0.to_owned())),
            ("event_type", _) => texts(|row| Some(row.1.to_owned())),
            ("page_path", _) => texts(|row| row.2.map(str::to_owned)),
            ("custom_properties", _) => texts(|row| row.3.map(str::to_owned)),
            ("country", _) => texts(|row| row.4.map(str::to_owned)),
            ("is_bot", _) => Arc::new(BooleanArray::from(vec![false; rows.len()])),
            ("client_hash", _) => Arc::new(Int64Array::from(vec![1; rows.len()])),
            (_, DataType::Timestamp(..)) => {
                Arc::new(TimestampMicrosecondArray::from(vec![0; rows.len()]).with_timezone("UTC"))
            }
            (_, DataType::Utf8) if !field.is_nullable() => texts(|_| Some("x".to_owned())),
            (_, other) => new_null_array(other, rows.len()),
        });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Funnel, steps as bits, and the country.
fn found(matcher: &Matcher, events: &RecordBatch) -> Vec<(String, i32, Option<String>)> {
    let indices: Vec<_> = matcher
        .columns()
        .iter()
        .map(|name| events.schema().index_of(name).unwrap())
        .collect();
    // It reads no other columns.
    let rows = matcher.rows(&events.project(&indices).unwrap()).unwrap();
    let ids = rows.column_by_name("funnel_id").unwrap().as_string::<i32>();
    let steps = rows.column_by_name("steps").unwrap().as_primitive::<Int32Type>();
    let countries = rows.column_by_name("country").unwrap().as_string::<i32>();
    (0..rows.num_rows())
        .map(|row| {
            let country = countries.is_valid(row).then(|| countries.value(row).to_owned());
            (ids.value(row).to_owned(), steps.value(row), country)
        })
        .collect()
}

#[test]
fn rows_are_made_for_each_funnel_that_matches() {
    let purchase = vec![
        step("pageview", &[("page_path", "/products/*"), ("is_bot", "false")]),
        step("click", &[("element_id", "add-to-cart")]),
        step("pageview", &[("page_path", "*")]),
    ];
    let other = vec![step("click", &[]), step("click", &[("element_id", "add*"), ("n", "3")])];
    let funnels = [
        funnel("purchase", "a", purchase.clone()),
        funnel("clicks", "a", other),
        funnel("elsewhere", "b", purchase),
    ];
    let matcher = Matcher::new(&funnels, Arc::clone(funnel_steps().file_schema()));
    assert_eq!(matcher.site_range(), Some(("a", "b")));
    let cart = Some(r#"{"n":3,"element_id":"add-to-cart"}"#);
    let events = events(&[
        ("a", "pageview", Some("/products/1"), None, Some("DE")),
        ("a", "pageview", Some("/checkout"), None, Some("DE")),
        ("a", "pageview", None, None, Some("DE")),
        ("a", "click", None, cart, Some("FR")),
        ("a", "click", None, None, None),
        ("a", "purchase", None, None, None),
        ("c", "click", None, cart, None),
        ("b", "click", None, cart, Some("FR")),
    ]);
    let country = |name: &str| Some(name.to_owned());
    assert_eq!(
        found(&matcher, &events),
        [
            ("purchase".into(), 0b101, country("DE")),
            ("purchase".into(), 0b100, None),
            ("purchase".into(), 0b010, None),
            ("clicks".into(), 0b11, country("FR")),
            ("clicks".into(), 0b01, None),
            ("elsewhere".into(), 0b010, None),
        ]
    );
}

#[test]
fn no_funnels_find_nothing() {
    let matcher = Matcher::new(&[], Arc::clone(funnel_steps().file_schema()));
    assert_eq!(found(&matcher, &events(&[("a", "click", None, None, None)])), []);
    assert_eq!(matcher.site_range(), None);
}

#[test]
fn every_event_of_the_site_has_a_row_where_it_may_matter() {
    let steps = || vec![step("pageview", &[]), step("purchase", &[])];
    let mut funnels = [
        funnel("plain", "a", steps()),
        funnel("strict", "a", steps()),
        funnel("session", "a", steps()),
    ];
    funnels[1].definition.strict_order = true;
    funnels[2].definition.scope = crate::FunnelScope::Session;
    let matcher = Matcher::new(&funnels, Arc::clone(funnel_steps().file_schema()));
    let events = events(&[
        ("a", "scroll", None, None, None),
        ("a", "purchase", None, None, None),
        ("b", "purchase", None, None, None),
    ]);
    let rows = matcher.rows(&events).unwrap();
    let ids = rows["funnel_id"].as_string::<i32>();
    let steps = rows["steps"].as_primitive::<Int32Type>();
    let found: Vec<_> = (0..rows.num_rows())
        .map(|row| (ids.value(row), steps.value(row)))
        .collect();
    assert_eq!(
        found,
        [
            ("strict", 0),
            ("session", 0),
            ("plain", 2),
            ("strict", 2),
            ("session", 2)
        ]
    );
}
