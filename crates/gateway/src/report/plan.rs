//! A report as it will be answered: every name known, every pair possible, every default filled in.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::buckets::Bucket;
use super::column::Column;
use super::cursor::Cursor;
use super::dates::{self, Period};
use super::filter::Condition;
use super::request::{Direction, ReportRequest};
use super::sampling::{SampleRate, Sampling};
use crate::problem::Problem;
use crate::segment::{Scope, Segments};
use crate::vocabulary::{Base, DIMENSIONS, METRICS, Measure, Metric, find_metric, measure};

pub(crate) const DEFAULT_LIMIT: usize = 100;
pub(crate) const MAX_LIMIT: usize = 10_000;
const MAX_METRICS: usize = 30;
const MAX_DIMENSIONS: usize = 10;

/// What is known of a site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SiteZone {
    pub(crate) zone: Tz,
    /// False if this gateway can't know it.
    pub(crate) known: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) tracking_id: String,
    pub(crate) zone: Tz,
    pub(crate) period: Period,
    pub(crate) compared: Option<Period>,
    pub(crate) metrics: Vec<&'static Metric>,
    pub(crate) dimensions: Vec<Column>,
    pub(crate) condition: Option<Condition>,
    /// Of the columns: dimensions, then metrics.
    pub(crate) order: Vec<(usize, Direction)>,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) totals: bool,
    pub(crate) fill: bool,
    pub(crate) warnings: Vec<String>,
    /// The share of visitors that are read; `None`: all.
    pub(crate) sample: Option<SampleRate>,
    request: ReportRequest,
}

impl Report {
    pub(crate) fn plan(
        request: ReportRequest,
        site: SiteZone,
        now: DateTime<Utc>,
        segments: &Segments,
    ) -> Result<Self, Problem> {
        let zone = match &request.time_zone {
            Some(name) => dates::zone(name, "time_zone")?,
            None => site.zone,
        };
        let cursor = request
            .cursor
            .as_deref()
            .map(|text| Cursor::decode(text, &request))
            .transpose()?;
        let period = match cursor.as_ref().and_then(Cursor::period) {
            Some(period) => period,
            None => Period::parse(&request.date_range, "date_range", now, zone)?,
        };
        let compared = request
            .compare
            .as_ref()
            .map(|given| period.compared(given, now, zone))
            .transpose()?;
        let metrics = metrics(&request.metrics)?;
        let dimensions = dimensions(&request.dimensions)?;
        let scope = Scope {
            tracking_id: &request.tracking_id,
            zone,
            now,
        };
        let condition = request.condition()?;
        let condition = condition.map(|given| given.resolved(segments, scope)).transpose()?;
        check_pairs(&metrics, &dimensions, condition.as_ref())?;
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::invalid("limit", format!("the limit is 1 to {MAX_LIMIT}")));
        }
        let rate = SampleRate::of(request.sample_rate)?;
        let mut report = Self {
            sample: (request.sampling == Sampling::Sampled).then_some(rate),
            tracking_id: request.tracking_id.clone(),
            order: order(&request, &metrics, &dimensions)?,
            totals: request.totals && !dimensions.is_empty(),
            fill: request.fill && dimensions.len() == 1 && dimensions[0].unit().is_some(),
            offset: cursor.map_or(0, |cursor| cursor.offset),
            warnings: Vec::new(),
            zone,
            period,
            compared,
            metrics,
            dimensions,
            condition,
            limit,
            request,
        };
        report.warnings = report.warnings(site);
        Ok(report)
    }

    fn warnings(&mut self, site: SiteZone) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.request.time_zone.is_none() && !site.known {
            warnings
                .push("this gateway does not know the site's time zone: days are UTC; name one in `time_zone`".into());
        }
        if self.fill && self.buckets(self.period).is_none() {
            self.fill = false;
            warnings.push(format!(
                "there are more than {MAX_LIMIT} periods: empty ones are left out"
            ));
        }
        let visitors = ["unique_users", "new_users", "returning_users", "active_users"];
        let of_visitors = self.metrics.iter().filter(|metric| visitors.contains(&metric.name));
        let of_visitors: Vec<_> = of_visitors.map(|metric| format!("`{}`", metric.name)).collect();
        if !self.dimensions.is_empty() && !of_visitors.is_empty() {
            let names = of_visitors.join(", ");
            warnings.push(format!(
                "{names}: a visitor may be in several rows; rows need not add up to the total"
            ));
        }
        warnings
    }

    /// Whether it is still to be decided if it is sampled.
    pub(crate) fn is_undecided(&self) -> bool {
        self.request.sampling == Sampling::Auto
    }

    /// Reads a sample, for this reason.
    pub(crate) fn sample(&mut self, reason: &str) -> Result<(), Problem> {
        self.sample = Some(SampleRate::of(self.request.sample_rate)?);
        self.warnings.push(reason.to_owned());
        Ok(())
    }

    /// The measures that it needs, and the bases that they come from, each once.
    pub(crate) fn measures(&self) -> (Vec<&'static Measure>, BTreeSet<Base>) {
        let mut found: Vec<&'static Measure> = Vec::new();
        for name in self.metrics.iter().flat_map(|metric| metric.measures) {
            if let Some(measure) = measure(name)
                && !found.contains(&measure)
            {
                found.push(measure);
            }
        }
        let bases = found.iter().map(|measure| measure.base).collect();
        (found, bases)
    }

    /// The periods of the one dimension that is time; `None` if there is none, or if they are too many.
    pub(crate) fn buckets(&self, period: Period) -> Option<Vec<Bucket>> {
        let unit = self.dimensions.iter().find_map(Column::unit)?;
        period.buckets(unit, self.zone, MAX_LIMIT)
    }

    pub(crate) fn cursor(&self, offset: usize) -> String {
        Cursor::new(&self.request, self.period, offset).encode()
    }

    /// The request with all that was implied.
    pub(crate) fn normalised(&self) -> Value {
        let columns = self.column_names();
        let order = |(index, direction): &(usize, Direction)| json!({"field": columns[*index], "direction": direction});
        json!({
            "tracking_id": self.tracking_id,
            "date_range": self.period.to_json(),
            "compare": self.compared.map(Period::to_json),
            "time_zone": self.zone.name(),
            "metrics": self.metrics.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            "dimensions": self.dimensions.iter().map(Column::name).collect::<Vec<_>>(),
            "filters": self.request.filters,
            "segments": self.request.segments,
            "order_by": self.order.iter().map(order).collect::<Vec<_>>(),
            "limit": self.limit,
            "fill": self.fill,
            "sampling": self.request.sampling,
            "sample_rate": self.sample.map(SampleRate::to_json),
            "totals": self.totals,
        })
    }

    /// Dimensions, then metrics.
    pub(crate) fn column_names(&self) -> Vec<String> {
        let metrics = self.metrics.iter().map(|metric| metric.name.to_owned());
        self.dimensions.iter().map(Column::name).chain(metrics).collect()
    }
}

fn metrics(names: &[String]) -> Result<Vec<&'static Metric>, Problem> {
    if names.is_empty() || names.len() > MAX_METRICS {
        return Err(Problem::invalid(
            "metrics",
            format!("a report has 1 to {MAX_METRICS} metrics"),
        ));
    }
    let each = names.iter().enumerate().map(|(index, name)| {
        let field = format!("metrics[{index}]");
        if names[..index].contains(name) {
            return Err(Problem::invalid(field, "the metric is named twice"));
        }
        find_metric(name).ok_or_else(|| Problem::unknown(field, "metric", name, METRICS.iter().map(|m| m.name)))
    });
    each.collect()
}

fn dimensions(names: &[String]) -> Result<Vec<Column>, Problem> {
    if names.len() > MAX_DIMENSIONS {
        return Err(Problem::invalid(
            "dimensions",
            format!("a report has at most {MAX_DIMENSIONS} dimensions"),
        ));
    }
    let each = names.iter().enumerate().map(|(index, name)| {
        let field = format!("dimensions[{index}]");
        if names[..index].contains(name) {
            return Err(Problem::invalid(field, "the dimension is named twice"));
        }
        Column::parse(name, &field)
    });
    each.collect()
}

/// Each metric's rows must have each dimension, in groups and in filters.
fn check_pairs(metrics: &[&Metric], dimensions: &[Column], condition: Option<&Condition>) -> Result<(), Problem> {
    let grouped = dimensions
        .iter()
        .enumerate()
        .map(|(index, column)| (column, format!("dimensions[{index}]")));
    let filtered = condition.map(Condition::columns).unwrap_or_default();
    let filtered = filtered.into_iter().map(|(column, field)| (column, field.to_owned()));
    for (column, field) in grouped.chain(filtered) {
        for metric in metrics {
            let bases = metric
                .measures
                .iter()
                .filter_map(|name| measure(name))
                .map(|measure| measure.base);
            for base in bases {
                if !column.has(base) {
                    return Err(impossible(metric, column, base, field));
                }
            }
        }
    }
    Ok(())
}

fn impossible(metric: &Metric, column: &Column, base: Base, field: String) -> Problem {
    let name = column.name();
    let reason = if base.of_events() {
        "which belongs to sessions and not to single events"
    } else {
        "which events have and sessions don't"
    };
    let detail = format!(
        "`{}` counts {} and can't be asked by `{name}`, {reason}",
        metric.name,
        base.counts()
    );
    let possible = DIMENSIONS.iter().filter(|dimension| dimension.has(base));
    Problem::invalid(field, detail).with_allowed(possible.map(|dimension| dimension.name))
}

/// As asked for, then by all dimensions, so that there is one order. Unasked: by time, or by the first metric, largest
/// first.
fn order(
    request: &ReportRequest,
    metrics: &[&Metric],
    dimensions: &[Column],
) -> Result<Vec<(usize, Direction)>, Problem> {
    let names: Vec<String> = dimensions.iter().map(Column::name).collect();
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(metrics.iter().map(|metric| metric.name))
        .collect();
    let mut order = Vec::new();
    for (index, by) in request.order_by.iter().enumerate() {
        let field = format!("order_by[{index}].field");
        let position = names.iter().position(|name| *name == by.field);
        let position = position
            .ok_or_else(|| Problem::unknown(field, "field of this report", &by.field, names.iter().copied()))?;
        order.push((position, by.direction));
    }
    if order.is_empty() {
        match dimensions.iter().position(|column| column.unit().is_some()) {
            Some(time) => order.push((time, Direction::Asc)),
            None => order.push((dimensions.len(), Direction::Desc)),
        }
    }
    for index in 0..dimensions.len() {
        if order.iter().all(|(known, _)| *known != index) {
            order.push((index, Direction::Asc));
        }
    }
    Ok(order)
}
