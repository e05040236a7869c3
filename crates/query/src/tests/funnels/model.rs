//! The plain computation: for each visitor and each first step, walk through all events.

use std::collections::{BTreeMap, HashSet};

use footfall_funnels::{Definition, Funnel, FunnelScope, Step};
use footfall_model::clock::{DAY, Micros};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TestEvent {
    pub(super) site: &'static str,
    pub(super) client: &'static str,
    pub(super) time: Micros,
    pub(super) arrived: Micros,
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) path: Option<&'static str>,
    pub(super) country: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) struct Entry {
    pub(super) site: String,
    pub(super) funnel: String,
    pub(super) client: String,
    pub(super) times: Vec<Micros>,
    pub(super) converted: bool,
    pub(super) seconds: Option<i64>,
    pub(super) deepest_of_day: bool,
    pub(super) country: Option<String>,
}

/// Site, funnel, day, step, name, users, rate, mean seconds to the next step.
pub(super) type DayStep = (String, String, i32, i32, String, i64, f64, Option<f64>);

fn matches(event: &TestEvent, step: &Step) -> bool {
    let path = step
        .filters
        .get("page_path")
        .is_none_or(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => event.path.is_some_and(|path| path.starts_with(prefix)),
            None => event.path == Some(pattern),
        });
    event.kind == step.event_type && path
}

/// Each id once per visitor and day, in the order of time and arrival.
fn distinct(events: &[TestEvent]) -> Vec<&TestEvent> {
    let mut sorted: Vec<_> = events.iter().collect();
    sorted.sort_by(|a, b| (a.time, a.arrived, &a.id).cmp(&(b.time, b.arrived, &b.id)));
    let mut seen = HashSet::new();
    sorted.retain(|event| seen.insert((event.site, event.client, event.time.div_euclid(DAY), &event.id)));
    sorted
}

pub(super) fn entries(events: &[TestEvent], funnels: &[Funnel]) -> Vec<Entry> {
    let mut visitors: BTreeMap<(&str, &str), Vec<&TestEvent>> = BTreeMap::new();
    for event in distinct(events) {
        visitors.entry((event.site, event.client)).or_default().push(event);
    }
    let mut entries = Vec::new();
    for funnel in funnels {
        for ((site, _), events) in &visitors {
            if *site == funnel.tracking_id {
                entries.extend(of_visitor(events, funnel));
            }
        }
    }
    entries
        .sort_by(|a, b| (&a.site, &a.funnel, &a.client, a.times[0]).cmp(&(&b.site, &b.funnel, &b.client, b.times[0])));
    entries
}

fn of_visitor(events: &[&TestEvent], funnel: &Funnel) -> Vec<Entry> {
    let steps = &funnel.definition.steps;
    let mut quarters: BTreeMap<i64, Entry> = BTreeMap::new();
    for (first, event) in events.iter().enumerate().filter(|(_, event)| matches(event, &steps[0])) {
        let end = match funnel.definition.scope {
            FunnelScope::Visitor => events.len(),
            FunnelScope::Session => session_end(events, first),
        };
        let times = attempt(&events[first..end], &funnel.definition);
        let converted = times.len() == steps.len();
        let entry = Entry {
            site: event.site.into(),
            funnel: funnel.id.clone(),
            client: event.client.into(),
            seconds: converted.then(|| (times[times.len() - 1] - times[0]) / 1_000_000),
            converted,
            times,
            deepest_of_day: false,
            country: event.country.map(str::to_owned),
        };
        let best = quarters
            .entry(event.time.div_euclid(900_000_000))
            .or_insert_with(|| entry.clone());
        if entry.times.len() > best.times.len() {
            *best = entry;
        }
    }
    let mut entries: Vec<_> = quarters.into_values().collect();
    let mut deepest: BTreeMap<i64, usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let best = deepest.entry(entry.times[0].div_euclid(DAY)).or_insert(index);
        if entry.times.len() > entries[*best].times.len() {
            *best = index;
        }
    }
    for index in deepest.into_values() {
        entries[index].deepest_of_day = true;
    }
    entries
}

/// The end of the session of `events[first]`: a gap of 30 minutes, or midnight if it would last longer than a day.
fn session_end(events: &[&TestEvent], first: usize) -> usize {
    let is_cut = |at: usize| events[at].time - events[at - 1].time >= DAY / 48;
    let start = (1..=first).rev().find(|at| is_cut(*at)).unwrap_or(0);
    let end = (first + 1..events.len()).find(|at| is_cut(*at)).unwrap_or(events.len());
    if events[end - 1].time - events[start].time <= DAY {
        return end;
    }
    let midnight = (events[first].time.div_euclid(DAY) + 1) * DAY;
    let next_day = |at: &usize| events[*at].time >= midnight;
    (first..end).find(next_day).unwrap_or(end)
}

/// The times of the steps that are taken from the first event on.
fn attempt(events: &[&TestEvent], funnel: &Definition) -> Vec<Micros> {
    let mut times = vec![events[0].time];
    for event in &events[1..] {
        let (taken, last) = (times.len(), times[times.len() - 1]);
        if taken == funnel.steps.len() {
            break;
        }
        let is_next = matches(event, &funnel.steps[taken]) && (!funnel.strict_increase || event.time > last);
        let is_late = event.time - times[0] > funnel.window.micros()
            || funnel
                .step_window
                .is_some_and(|window| event.time - last > window.micros());
        let repeats = |steps: &[Step]| steps.iter().any(|step| matches(event, step));
        let is_end = (funnel.strict_deduplication && repeats(&funnel.steps[1..taken]))
            || (funnel.strict_order && !repeats(&funnel.steps[..taken]));
        match (is_next, is_late) {
            (true, false) => times.push(event.time),
            (true, true) => break,
            (false, _) if is_end => break,
            (false, _) => {}
        }
    }
    times
}

pub(super) fn results(entries: &[Entry], funnels: &[Funnel]) -> Vec<DayStep> {
    let mut days: BTreeMap<(&str, &str, i64), Vec<&Entry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.deepest_of_day) {
        let key = (
            entry.site.as_str(),
            entry.funnel.as_str(),
            entry.times[0].div_euclid(DAY),
        );
        days.entry(key).or_default().push(entry);
    }
    let mut results = Vec::new();
    for ((site, id, day), entries) in days {
        let funnel = funnels.iter().find(|funnel| funnel.id == id).unwrap();
        for (index, step) in funnel.definition.steps.iter().enumerate() {
            let reached = |step: usize| entries.iter().filter(|entry| entry.times.len() > step).count();
            let (users, before) = (reached(index), reached(index.saturating_sub(1)));
            let gaps: Vec<f64> = entries
                .iter()
                .filter(|entry| entry.times.len() > index + 1)
                .map(|entry| (entry.times[index + 1] - entry.times[index]) as f64 / 1e6)
                .collect();
            results.push((
                site.to_owned(),
                id.to_owned(),
                i32::try_from(day).unwrap(),
                i32::try_from(index).unwrap(),
                step.name.clone(),
                i64::try_from(users).unwrap(),
                if before == 0 { 0.0 } else { users as f64 / before as f64 },
                (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64),
            ));
        }
    }
    results
}
