//! The rollups that are worth measuring.

use footfall_model::rollup::{
    Grain, MAX_DIMENSIONS, MAX_MEASURES, MeasureDefinition, MeasureFunction, RollupDefinition,
};

use super::QueryFacts;

/// Rollups that single aggregates lacked, and, beside these, ones that unite two of them.
const MOST_SINGLE: usize = 10;
const MOST_UNITED: usize = 10;

/// What the costliest aggregates lacked, and unions of these.
pub fn candidates(facts: &[QueryFacts]) -> Vec<RollupDefinition> {
    let mut single: Vec<(u64, RollupDefinition)> = Vec::new();
    for fact in facts {
        let normal = normal(fact.rollup.clone());
        match single.iter_mut().find(|(_, known)| is_same(known, &normal)) {
            Some((rows, _)) => *rows = rows.saturating_add(fact.rows),
            None => single.push((fact.rows, normal)),
        }
    }
    single.sort_by_key(|(rows, _)| std::cmp::Reverse(*rows));
    let single: Vec<_> = single.into_iter().map(|(_, rollup)| rollup).take(MOST_SINGLE).collect();
    let mut all = single.clone();
    // The costliest first: its unions with each other one, then those of the next.
    for (nth, one) in single.iter().enumerate() {
        for other in &single[nth + 1..] {
            let united = united(one, other);
            if let Some(united) = united
                && all.len() < single.len() + MOST_UNITED
                && !all.iter().any(|known| is_same(known, &united))
            {
                all.push(united);
            }
        }
    }
    all
}

/// Whether `rollup` answers what `wanted` does.
pub(crate) fn covers(rollup: &RollupDefinition, wanted: &RollupDefinition) -> bool {
    let has = |name: &String| rollup.dimensions.contains(name);
    let by_type = has(&"event_type".to_owned());
    // Events of a type are counted by the dimension.
    let counted = |measure: &MeasureDefinition| by_type && measure.column.as_deref() == Some("event_type");
    let stores = |measure: &MeasureDefinition| rollup.measures.iter().any(|known| is_same_measure(known, measure));
    rollup.sites.is_none()
        && rollup.per_visitor == wanted.per_visitor
        && rollup.grain.micros() <= wanted.grain.micros()
        && wanted.dimensions.iter().all(has)
        && wanted
            .measures
            .iter()
            .all(|measure| counted(measure) || stores(measure))
}

fn normal(mut rollup: RollupDefinition) -> RollupDefinition {
    rollup.dimensions.sort_unstable();
    rollup
}

fn is_same(a: &RollupDefinition, b: &RollupDefinition) -> bool {
    covers(a, b) && covers(b, a)
}

fn is_same_measure(a: &MeasureDefinition, b: &MeasureDefinition) -> bool {
    (a.function, &a.column, &a.equals) == (b.function, &b.column, &b.equals)
}

/// The smallest rollup that covers both; `None` if they are of different kinds, or it would be too large.
fn united(a: &RollupDefinition, b: &RollupDefinition) -> Option<RollupDefinition> {
    if a.per_visitor != b.per_visitor {
        return None;
    }
    let mut united = a.clone();
    united.grain = finer(a.grain, b.grain);
    for dimension in &b.dimensions {
        if !united.dimensions.contains(dimension) {
            united.dimensions.push(dimension.clone());
        }
    }
    for measure in &b.measures {
        if !united.measures.iter().any(|known| is_same_measure(known, measure)) {
            let mut measure = measure.clone();
            if united.measures.iter().any(|known| known.name == measure.name) {
                measure.name = format!("{}_{}", measure.name, united.measures.len());
            }
            united.measures.push(measure);
        }
    }
    if united.dimensions.iter().any(|name| name == "event_type") {
        let of_types = |measure: &MeasureDefinition| {
            measure.function == MeasureFunction::Count && measure.column.as_deref() == Some("event_type")
        };
        united.measures.retain(|measure| !of_types(measure));
    }
    let fits = united.dimensions.len() <= MAX_DIMENSIONS && united.measures.len() <= MAX_MEASURES;
    fits.then(|| normal(united))
}

fn finer(a: Grain, b: Grain) -> Grain {
    if a.micros() <= b.micros() { a } else { b }
}
