//! The widgets of a dashboard: each is checked by the code of the endpoint that will answer it.
//!
//! ```json
//! {"title": "Visitors", "type": "line", "query": {"metrics": ["unique_users"], "dimensions": ["date"],
//!   "date_range": "last_30_days"}, "position": {"x": 0, "y": 0, "width": 6, "height": 3}}
//! ```

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::funnel::{AnalysisQuery, AnalysisRequest};
use super::retention::RetentionQuery;
use crate::problem::{Problem, fit, printable};
use crate::report::{Report, ReportRequest, SiteZone};
use crate::segment::Segments;

const MAX_WIDGETS: usize = 50;
const MAX_TITLE: usize = 200;
/// Columns and rows of the grid.
const MAX_CELLS: u32 = 1_000;

/// What a widget asks, and how it may be shown.
const SOURCES: [(&str, &[&str]); 4] = [
    ("query", &["number", "line", "bar", "pie", "table"]),
    ("funnel", &["funnel", "bar", "table"]),
    ("retention", &["retention", "table"]),
    ("realtime", &["realtime"]),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Widget {
    title: String,
    #[serde(rename = "type")]
    shown_as: String,
    query: Option<Json>,
    funnel: Option<Json>,
    retention: Option<Json>,
    realtime: Option<Json>,
    position: Option<Position>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// Whether each widget can be answered; an error names the widget.
pub(crate) fn check(widgets: &Json, now: DateTime<Utc>) -> Result<(), Problem> {
    let Json::Array(widgets) = widgets else {
        return Err(Problem::invalid("widgets", "expected a list of widgets"));
    };
    if widgets.len() > MAX_WIDGETS {
        let detail = format!("a dashboard has at most {MAX_WIDGETS} widgets");
        return Err(Problem::invalid("widgets", detail));
    }
    for (index, given) in widgets.iter().enumerate() {
        let checked = checked(given, now);
        checked.map_err(|problem| problem.within(&format!("widgets[{index}]")).about(&titled(given)))?;
    }
    Ok(())
}

/// For messages.
fn titled(widget: &Json) -> String {
    let title = widget["title"].as_str().unwrap_or_default();
    match title {
        "" => String::new(),
        title => format!("widget `{}`", printable(title)),
    }
}

fn checked(given: &Json, now: DateTime<Utc>) -> Result<(), Problem> {
    let widget: Widget = read("widget", given.clone())?;
    let chars = widget.title.chars().count();
    if widget.title.trim().is_empty() || chars > MAX_TITLE || widget.title.chars().any(char::is_control) {
        let detail = format!("expected 1 to {MAX_TITLE} characters, none of them a control character");
        return Err(Problem::invalid("title", detail));
    }
    if let Some(Position { x, y, width, height }) = widget.position
        && (x.max(y).max(width).max(height) > MAX_CELLS || width.min(height) == 0)
    {
        let detail = format!("expected a width and a height of at least 1, and at most {MAX_CELLS} cells");
        return Err(Problem::invalid("position", detail));
    }
    let given = [&widget.query, &widget.funnel, &widget.retention, &widget.realtime];
    let mut given = SOURCES.iter().zip(given).filter(|(_, value)| value.is_some());
    let (Some(((source, types), Some(value))), None) = (given.next(), given.next()) else {
        let detail = "a widget has one of `query`, `funnel`, `retention` and `realtime`";
        return Err(Problem::invalid("query", detail));
    };
    if !types.contains(&widget.shown_as.as_str()) {
        let what = format!("type of a widget with `{source}`");
        return Err(Problem::unknown("type", &what, &widget.shown_as, types.iter().copied()));
    }
    answerable(source, value, &widget.shown_as, now).map_err(|problem| problem.within(source))
}

fn answerable(source: &str, value: &Json, shown_as: &str, now: DateTime<Utc>) -> Result<(), Problem> {
    let Json::Object(request) = value else {
        return Err(Problem::invalid("", "expected an object"));
    };
    if request.contains_key("tracking_id") {
        let detail = "a widget asks for the site of its dashboard: leave it out";
        return Err(Problem::invalid("tracking_id", detail));
    }
    match source {
        "query" => report(request, shown_as, now),
        "funnel" if request.contains_key("funnel_id") => {
            let mut query = request.clone();
            if !query.remove("funnel_id").is_some_and(|id| id.is_string()) {
                return Err(Problem::invalid("funnel_id", "expected the id of a funnel"));
            }
            read::<AnalysisQuery>("funnel", query.into())?.check(now)
        }
        "funnel" => of_site::<AnalysisRequest>("funnel", request)?.check(now),
        "retention" => of_site::<RetentionQuery>("retention", request)?.check(now),
        _ => match request.keys().next() {
            Some(key) => Err(Problem::invalid(printable(key), "`realtime` has no options: {}")),
            None => Ok(()),
        },
    }
}

/// A number has no dimensions, and a line goes over time.
fn report(request: &Map<String, Json>, shown_as: &str, now: DateTime<Utc>) -> Result<(), Problem> {
    let request: ReportRequest = of_site("report", request)?;
    if request.cursor.is_some() || request.explain {
        return Err(Problem::invalid(
            "cursor",
            "a widget has neither `cursor` nor `explain`",
        ));
    }
    let site = SiteZone {
        zone: Tz::UTC,
        known: true,
    };
    let report = Report::plan(request, site, now, &Segments::unchecked())?;
    match shown_as {
        "number" if !report.dimensions.is_empty() => {
            Err(Problem::invalid("dimensions", "a `number` has no dimensions"))
        }
        "line" if report.dimensions.first().is_none_or(|first| first.unit().is_none()) => Err(Problem::invalid(
            "dimensions",
            "the first dimension of a `line` is a time, such as `date`",
        )),
        _ => Ok(()),
    }
}

fn of_site<T: DeserializeOwned>(what: &str, request: &Map<String, Json>) -> Result<T, Problem> {
    let mut request = request.clone();
    request.insert("tracking_id".to_owned(), Json::from("site"));
    read(what, request.into())
}

fn read<T: DeserializeOwned>(what: &str, value: Json) -> Result<T, Problem> {
    fit(value).map_err(|problem| problem.about(&format!("it is not a {what}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::dates::time;

    fn checked(widgets: &Json) -> Result<(), String> {
        check(widgets, time("2026-02-01T10:00:00Z").unwrap()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn widgets_of_every_kind_are_accepted() {
        let steps = json!([{"name": "a", "event_type": "pageview"}, {"name": "b", "event_type": "purchase"}]);
        let widgets = json!([
            {"title": "Visitors", "type": "number", "query": {"metrics": ["unique_users"], "date_range": "today"}},
            {"title": "Trend", "type": "line", "position": {"x": 0, "y": 1, "width": 6, "height": 3},
             "query": {"metrics": ["pageviews"], "dimensions": ["date", "device"], "date_range": "last_7_days",
                       "segments": ["any"]}},
            {"title": "Saved", "type": "funnel", "funnel": {"funnel_id": "funnel_1", "date_range": "last_7_days"}},
            {"title": "Unsaved", "type": "bar", "funnel": {"steps": steps, "breakdown_by": "country"}},
            {"title": "Cohorts", "type": "retention", "retention": {"cohort": "week", "after": "1,2"}},
            {"title": "Now", "type": "realtime", "realtime": {}},
        ]);
        assert_eq!(checked(&widgets), Ok(()));
        assert_eq!(checked(&json!([])), Ok(()));
    }

    #[test]
    fn refusals_name_the_widget() {
        let number = |query: Json| json!({"title": "T", "type": "number", "query": query});
        for (widget, expected) in [
            (json!(1), "widgets[0]: it is not a widget"),
            (
                json!({"title": "T", "type": "number"}),
                "widgets[0].query: widget `T`: a widget has one of",
            ),
            (
                json!({"title": "", "type": "realtime", "realtime": {}}),
                "widgets[0].title: expected 1 to 200",
            ),
            (
                json!({"title": "T", "type": "gauge", "realtime": {}}),
                "unknown type of a widget with `realtime` `gauge`",
            ),
            (
                json!({"title": "T", "type": "realtime", "realtime": {"x": 1}}),
                "no options",
            ),
            (
                number(json!({"metrics": ["pageview"], "date_range": "today"})),
                "widgets[0].query.metrics[0]: widget `T`: unknown metric `pageview`; did you mean `pageviews`?",
            ),
            (
                number(json!({"metrics": ["events"]})),
                "widgets[0].query.date_range: widget `T`: it is not a report: the field `date_range` is missing",
            ),
            (
                number(json!({"metrics": ["events"], "date_range": "today", "dimensions": ["country"]})),
                "a `number` has no dimensions",
            ),
            (
                number(json!({"tracking_id": "other", "metrics": ["events"], "date_range": "today"})),
                "site of its dashboard",
            ),
            (
                json!({"title": "T", "type": "line", "query": {"metrics": ["events"], "date_range": "today"}}),
                "is a time",
            ),
            (
                json!({"title": "T", "type": "funnel", "funnel": {"funnel_id": 1}}),
                "expected the id of a funnel",
            ),
            (
                json!({"title": "T", "type": "funnel", "funnel": {"steps": []}}),
                "steps: widget `T`: there are 0",
            ),
            (
                json!({"title": "T", "type": "retention", "retention": {"after": "x"}}),
                "retention.after",
            ),
            (
                json!({"title": "T", "type": "realtime", "realtime": {}, "position": {"x": 0, "y": 0, "width": 0, "height": 1}}),
                "position: widget `T`: expected a width",
            ),
        ] {
            let refusal = checked(&json!([widget])).unwrap_err();
            assert!(refusal.contains(expected), "{widget}: {refusal}");
        }
    }
}
