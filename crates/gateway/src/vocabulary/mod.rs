//! What reports can be asked for: metrics and dimensions, each declared once. SQL, `/api/v1/meta`, the OpenAPI document,
//! docs/api.md and error texts all come from here.
//!
//! ```text
//! metric  = expression over measures       bounce_rate = bounces / sessions
//! measure = aggregate over one base        bounces     = count(*) FILTER (WHERE bounced), of sessions
//! base    = a table, and the dimensions that its rows have
//! ```

mod dimensions;
mod metrics;

use serde::Serialize;

pub(crate) use dimensions::{DIMENSIONS, Dimension, Kind, PROPERTY_PREFIX, TimeUnit};
pub(crate) use metrics::{METRICS, Measure, Metric, MetricType, measure};

/// Which rows a measure aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Base {
    /// Events, by their own dimensions.
    Events,
    /// Events with what is known of their visitor from before the range.
    Visitors,
    /// Sessions, by the dimensions of their first event. A session counts where it starts.
    Sessions,
    /// Sessions, with the page on which they end.
    Exits,
}

impl Base {
    pub(crate) const ALL: [Self; 4] = [Self::Events, Self::Visitors, Self::Sessions, Self::Exits];

    pub(crate) fn of_events(self) -> bool {
        matches!(self, Self::Events | Self::Visitors)
    }

    pub(crate) fn time_column(self) -> &'static str {
        if self.of_events() {
            "event_timestamp"
        } else {
            "session_start"
        }
    }

    /// For messages.
    pub(crate) fn counts(self) -> &'static str {
        if self.of_events() { "events" } else { "sessions" }
    }
}

pub(crate) fn find_metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

pub(crate) fn find_dimension(name: &str) -> Option<&'static Dimension> {
    DIMENSIONS.iter().find(|dimension| dimension.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_measures_exist() {
        let names: Vec<_> = METRICS
            .iter()
            .map(|m| m.name)
            .chain(DIMENSIONS.iter().map(|d| d.name))
            .collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for metric in METRICS {
            assert!(!metric.measures.is_empty(), "{}", metric.name);
            for name in metric.measures {
                assert!(measure(name).is_some(), "{name} of {}", metric.name);
                assert!(metric.sql.contains(name), "{name} of {}", metric.name);
            }
        }
    }

    #[test]
    fn each_dimension_belongs_to_some_base() {
        for dimension in DIMENSIONS {
            assert!(Base::ALL.iter().any(|base| dimension.has(*base)), "{}", dimension.name);
        }
    }

    /// The tables of docs/api.md.
    #[test]
    fn documentation_lists_metrics_and_dimensions() {
        let page = include_str!("../../../../docs/api.md");
        let metrics = METRICS.iter().map(|metric| {
            let name = metric.name;
            format!("| `{name}` | {} | {} |\n", metric.format, metric.description)
        });
        let metrics = format!(
            "| metric | format | |\n| --- | --- | --- |\n{}",
            metrics.collect::<String>()
        );
        let dimensions = DIMENSIONS.iter().map(|dimension| {
            let of = match (dimension.has(Base::Events), dimension.has(Base::Sessions)) {
                (true, true) => "both",
                (true, false) => "events",
                (false, _) => "sessions",
            };
            format!("| `{}` | {of} | {} |\n", dimension.name, dimension.title)
        });
        let dimensions = format!(
            "| dimension | of | |\n| --- | --- | --- |\n{}",
            dimensions.collect::<String>()
        );
        for table in [metrics, dimensions] {
            assert!(page.contains(&table), "docs/api.md should have:\n{table}");
        }
    }
}
