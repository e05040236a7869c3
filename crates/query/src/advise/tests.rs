use footfall_model::rollup::{Grain, MeasureDefinition, MeasureFunction, RollupDefinition};

use super::*;

fn measure(name: &str, function: MeasureFunction, column: Option<&str>, equals: Option<&str>) -> MeasureDefinition {
    MeasureDefinition {
        name: name.to_owned(),
        function,
        column: column.map(str::to_owned),
        equals: equals.map(str::to_owned),
        description: String::new(),
    }
}

fn count() -> MeasureDefinition {
    measure("event_count", MeasureFunction::Count, None, None)
}

fn rollup(grain: Grain, dimensions: &[&str]) -> RollupDefinition {
    RollupDefinition {
        name: "advised".into(),
        sites: None,
        grain,
        per_visitor: false,
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
        measures: vec![count()],
    }
}

fn fact(grain: Grain, dimensions: &[&str], rows: u64) -> QueryFacts {
    QueryFacts {
        rollup: rollup(grain, dimensions),
        rows,
    }
}

/// Each dimension makes a rollup three times as large, a finer grain twice.
fn measured(rollup: RollupDefinition) -> Measured {
    let grain = if rollup.grain == Grain::Day { 1.0 } else { 2.0 };
    let rows_per_event = 0.01 * grain * 3_f64.powi(i32::try_from(rollup.dimensions.len()).unwrap());
    Measured { rollup, rows_per_event }
}

#[test]
fn rollup_that_saves_most_rows_is_proposed_first() {
    let facts = [
        fact(Grain::Day, &["city"], 1_000),
        fact(Grain::Day, &["city"], 1_000),
        fact(Grain::Hour, &["city", "region"], 900),
        fact(Grain::Day, &["page_title"], 50_000),
    ];
    let all: Vec<_> = candidates(&facts).into_iter().map(measured).collect();
    let proposals = advise(&facts, &all, 5);
    let shown: Vec<_> = proposals
        .iter()
        .map(|proposal| {
            (
                proposal.rollup.dimensions.join(" "),
                proposal.aggregates,
                proposal.rows_saved,
            )
        })
        .collect();
    // One by title and city saves more than one by title alone; the hours of cities and regions pay by themselves.
    assert_eq!(
        shown,
        [
            ("page_title".to_owned(), 1, 48_500),
            ("city region".to_owned(), 3, 2_378)
        ]
    );
    assert_eq!(advise(&facts, &all, 1).len(), 1);
    assert_eq!(advise(&[], &all, 5), []);
    assert_eq!(advise(&facts, &[], 5), []);
}

#[test]
fn copies_of_the_events_are_not_proposed() {
    let facts = [fact(Grain::Day, &["page_url"], 1_000)];
    let copy = Measured {
        rollup: facts[0].rollup.clone(),
        rows_per_event: 0.6,
    };
    assert_eq!(advise(&facts, &[copy], 5), []);
}

#[test]
fn candidates_are_few_whatever_was_asked() {
    let names: Vec<String> = (0..100).map(|nth| format!("column_{nth}")).collect();
    let facts: Vec<_> = names
        .iter()
        .map(|name| fact(Grain::Day, &[name.as_str()], 10))
        .collect();
    assert_eq!(candidates(&facts).len(), 20);
}

#[test]
fn rollup_by_type_covers_counts_of_types() {
    let mut of_type = rollup(Grain::Day, &["city"]);
    of_type.measures.push(measure(
        "signups",
        MeasureFunction::Count,
        Some("event_type"),
        Some("signup"),
    ));
    let by_type = rollup(Grain::Hour, &["event_type", "city"]);
    assert!(covers(&by_type, &of_type));
    assert!(!covers(&of_type, &by_type));
    assert!(!covers(&rollup(Grain::Day, &["city"]), &of_type));
    let one_site = RollupDefinition {
        sites: Some(["shop".to_owned()].into()),
        ..by_type
    };
    assert!(!covers(&one_site, &of_type));
}

#[test]
fn names_are_possible_and_not_taken() {
    let daily = rollup(Grain::Day, &["city"]);
    assert_eq!(name(&daily, &[]), "by_city_daily");
    let taken = ["by_city_daily".to_owned(), "by_city_daily_2".to_owned()];
    assert_eq!(name(&daily, &taken), "by_city_daily_3");
    assert_eq!(name(&rollup(Grain::Hour, &[]), &[]), "totals_hourly");
    let visitors = RollupDefinition {
        per_visitor: true,
        ..rollup(Grain::QuarterHour, &[])
    };
    assert_eq!(name(&visitors, &[]), "visitors_quarterly");
    let many = rollup(
        Grain::Day,
        &[
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_content",
            "utm_term",
            "browser",
        ],
    );
    let long = RollupDefinition {
        name: name(&many, &[]),
        ..many
    };
    assert_eq!(long.name, "by_utm_source_utm_medium_utm_campaign_etc_daily");
    long.validate().unwrap();
}

#[test]
fn facts_are_read_as_they_are_written() {
    let missing = MissingRollup {
        aggregate: 0,
        rollup: rollup(Grain::Hour, &["city"]),
        rows: 500,
    };
    let text = to_json(std::slice::from_ref(&missing)).unwrap();
    assert_eq!(facts(&text, 400).unwrap(), [fact(Grain::Hour, &["city"], 400)]);
    assert_eq!(facts(&text, 4_000).unwrap(), [fact(Grain::Hour, &["city"], 500)]);
    assert_eq!(to_json(&[]), None);
    assert!(facts("[{\"rollup\": {\"colour\": 1}}]", 1).is_err());
}
