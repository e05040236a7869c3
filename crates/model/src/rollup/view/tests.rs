use super::super::{Function, Grain, HashedId};
use super::*;
use crate::access::SiteScope;

fn rollup(name: &str, dimensions: &[&str], per_visitor: bool) -> Rollup {
    Rollup {
        name: name.into(),
        revision: 0,
        sites: SiteScope::All,
        grain: Grain::Hour,
        per_visitor,
        ids: Vec::new(),
        dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
        measures: vec![Measure {
            name: "event_count".into(),
            function: Function::Count,
            description: String::new(),
        }],
    }
}

fn view(period: Period) -> RollupView {
    let others = [rollup("visits", &["country", "device"], true)];
    let dimensions = vec!["country".to_owned()];
    RollupView::grouped("mine", rollup("r", &["country"], false), period, dimensions, &others)
}

#[test]
fn measures_come_from_segments_and_uncovered_events() {
    let sql = view(Period::Buckets(Grain::Hour)).sql(|name| name == "event_count", TimeRange::ALL);
    insta::assert_snapshot!(sql);
}

#[test]
fn visitors_alone_need_no_other_branch() {
    let times = TimeRange {
        from: Some(5),
        until: None,
    };
    insta::assert_snapshot!(view(Period::Week).sql(|name| name == UNIQUE_USERS, times));
}

#[test]
fn keys_alone_are_those_of_segments_and_uncovered_events() {
    let sql = view(Period::Buckets(Grain::Day)).sql(|_| false, TimeRange::ALL);
    insta::assert_snapshot!(sql);
}

#[test]
fn visitors_are_counted_where_all_keys_are_known() {
    let others = [rollup("visits", &["country"], true)];
    let of = |dimension: &str, period| {
        let rollup = rollup("r", &[dimension], false);
        RollupView::grouped("mine", rollup, period, vec![dimension.to_owned()], &others).visitors
    };
    assert!(matches!(of("country", Period::Month), Visitors::Of(_)));
    assert_eq!(of("page_path", Period::Month), Visitors::Events);
    assert_eq!(of("country", Period::Buckets(Grain::QuarterHour)), Visitors::Events);
    let own = RollupView::new(others[0].clone(), &others);
    assert_eq!(own.visitors, Visitors::OnePerRow);
    assert_eq!(
        own.keys(),
        ["tracking_id", "client_hash", "event_date", "hour", "country"]
    );
}

#[test]
fn ids_are_stored_in_segments_and_hashed_in_events() {
    let rollup = Rollup {
        ids: vec![HashedId::Session, HashedId::User],
        ..rollup("visits", &["country"], true)
    };
    let view = RollupView::new(rollup, &[]);
    assert_eq!(
        view.keys(),
        [
            "tracking_id",
            "client_hash",
            "session_hash",
            "user_hash",
            "event_date",
            "hour",
            "country"
        ]
    );
    insta::assert_snapshot!(view.sql(|name| name == "event_count", TimeRange::ALL));
}

#[test]
fn sources_are_known_by_their_names() {
    let rollup = rollup("r", &[], false);
    let named = |source: Source<'_>| {
        let name = source.table();
        match SourceTable::named(&name) {
            Some(SourceTable::Segments(name, days)) => format!("segments {name} {days:?}"),
            Some(SourceTable::Uncovered(name)) => format!("uncovered {name}"),
            Some(SourceTable::Events) => "events".into(),
            Some(SourceTable::Sessions) => "sessions".into(),
            None => "none".into(),
        }
    };
    for days in [Days::All, Days::Whole, Days::Rest] {
        assert_eq!(named(Source::Segments(&rollup, days)), format!("segments r {days:?}"));
    }
    assert_eq!(named(Source::Uncovered(&rollup)), "uncovered r");
    assert_eq!(named(Source::Events), "events");
    assert_eq!(SourceTable::named("visits"), None);
}
