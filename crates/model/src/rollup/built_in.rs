//! The rollups of every lake, and their views.

use super::{Function, Grain, HashedId, Measure, Period, Rollup, RollupView};
use crate::access::SiteScope;

/// The rollups of every lake.
pub fn built_in() -> Vec<Rollup> {
    let rollup = |name: &str, grain, dimensions: &[&str]| Rollup {
        name: name.to_owned(),
        revision: 0,
        sites: SiteScope::All,
        grain,
        per_visitor: false,
        ids: Vec::new(),
        dimensions: names(dimensions),
        measures: measures(),
    };
    let with_sketch = |name: &str, grain, dimensions: &[&str]| {
        let mut rollup = rollup(name, grain, dimensions);
        rollup.measures.push(visitors_sketch());
        rollup
    };
    vec![
        with_sketch("events_totals", Grain::QuarterHour, &["event_type"]),
        with_sketch("events_hourly", Grain::Hour, &["event_type", "country", "device"]),
        // For reports over days, which would read up to a hundred rows of the finer ones for each row of these.
        with_sketch("totals_daily", Grain::Day, &["event_type"]),
        with_sketch("countries_daily", Grain::Day, &["event_type", "country", "device"]),
        // Its groups are of so few visitors that a sketch would be a list of them, which `visits` is already.
        without_times(rollup("events_daily", Grain::Day, &DAILY)),
        without_times(with_sketch("pages_daily", Grain::Day, &["page_host", "page_path"])),
        with_sketch(
            "sources_daily",
            Grain::Day,
            &["source", "channel", "utm_source", "utm_medium", "utm_campaign"],
        ),
        // The first with a view's dimensions counts its visitors.
        per_visitor(
            rollup("visitors_daily", Grain::Day, &["country", "device"]),
            counts_and_sums(),
        ),
        per_visitor(
            rollup("visits", Grain::Hour, &[&DAILY[..], &["source"]].concat()),
            vec![event_count(), revenue_count(), total_revenue()],
        ),
    ]
}

/// A rollup of many rows, without the times of first and last events: two bytes an event that hardly anybody asks for.
fn without_times(mut rollup: Rollup) -> Rollup {
    let times = ["first_event", "last_event"];
    rollup
        .measures
        .retain(|measure| !times.contains(&measure.name.as_str()));
    rollup
}

/// A rollup with a row for each visitor, session and user, and few measures, since it has many rows.
fn per_visitor(rollup: Rollup, measures: Vec<Measure>) -> Rollup {
    Rollup {
        per_visitor: true,
        ids: HashedId::ALL.to_vec(),
        measures,
        ..rollup
    }
}

/// The views of every lake: one of each rollup, and those by longer periods.
pub fn views() -> Vec<RollupView> {
    let rollups = built_in();
    let mut views: Vec<_> = rollups
        .iter()
        .map(|rollup| RollupView::new(rollup.clone(), &rollups))
        .collect();
    let daily = rollups.iter().find(|rollup| rollup.name == "events_daily");
    views.extend(daily.into_iter().flat_map(|daily| {
        let by = |name, period, dimensions: &[&str]| {
            RollupView::grouped(name, daily.clone(), period, names(dimensions), &rollups)
        };
        [
            by("events_weekly", Period::Week, &["country", "device"]),
            by("events_monthly", Period::Month, &["country"]),
        ]
    }));
    views
}

/// The dimensions of days.
const DAILY: [&str; 9] = [
    "event_type",
    "country",
    "device",
    "browser",
    "os",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "channel",
];

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn measure(name: &str, function: Function, description: &str) -> Measure {
    Measure {
        name: name.to_owned(),
        function,
        description: description.to_owned(),
    }
}

fn event_count() -> Measure {
    measure("event_count", Function::Count, "Number of events.")
}

/// What is added up over the events of a row.
fn counts_and_sums() -> Vec<Measure> {
    vec![
        event_count(),
        measure("pageviews", of_type("pageview"), "Number of events of type `pageview`."),
        measure("purchases", of_type("purchase"), "Number of events of type `purchase`."),
        revenue_count(),
        total_revenue(),
    ]
}

fn of_type(value: &str) -> Function {
    Function::CountWhere {
        column: "event_type".to_owned(),
        value: value.to_owned(),
    }
}

fn revenue_count() -> Measure {
    let of = Function::CountOf("revenue".to_owned());
    measure("revenue_count", of, "Number of events with revenue.")
}

fn total_revenue() -> Measure {
    let of = Function::Sum("revenue".to_owned());
    measure("total_revenue", of, "Sum of revenue; null if no event has any.")
}

fn visitors_sketch() -> Measure {
    measure(
        "visitors_sketch",
        Function::Sketch("client_id".to_owned()),
        "HLL sketch of the visitors, for `hll_union` and `hll_estimate`.",
    )
}

/// Those of most rollups.
pub(super) fn measures() -> Vec<Measure> {
    let revenue = || "revenue".to_owned();
    let time = || "event_timestamp".to_owned();
    let mut measures = counts_and_sums();
    measures.extend([
        measure(
            "min_revenue",
            Function::Min(revenue()),
            "Smallest revenue of one event.",
        ),
        measure("max_revenue", Function::Max(revenue()), "Largest revenue of one event."),
        measure("first_event", Function::Min(time()), "Time of the first event."),
        measure("last_event", Function::Max(time()), "Time of the last event."),
    ]);
    measures
}

#[cfg(test)]
mod tests {
    use super::super::Visitors;
    use super::*;

    #[test]
    fn built_in_rollups_are_tables() {
        for rollup in built_in() {
            let table = rollup.table().unwrap();
            assert_eq!(table.folder(), rollup.folder());
            let keys =
                usize::from(rollup.grain.column().is_some()) + usize::from(rollup.per_visitor) + rollup.ids.len();
            assert_eq!(table.sort_columns().count(), 1 + keys + rollup.dimensions.len());
        }
    }

    #[test]
    fn visits_count_visitors_of_hours_and_longer_periods() {
        let from_events: Vec<_> = views()
            .into_iter()
            .filter(|view| view.visitors == Visitors::Events)
            .map(|view| view.name)
            .collect();
        assert_eq!(from_events, ["events_totals", "pages_daily"]);
    }
}
