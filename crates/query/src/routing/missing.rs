//! The rollup that would have answered an aggregate: found by asking, again and again, what a candidate lacks. What the
//! router says of a candidate it will say of the rollup.

use std::fmt;

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use footfall_model::access::SiteScope;
use footfall_model::clock::Micros;
use footfall_model::rollup::{
    ConfiguredRollup, Function, Grain, Measure, MeasureDefinition, RollupDefinition, TimeRange, VISITOR_COLUMN,
    built_in,
};

use super::fit::Fit;
use super::segment::{Unfit, of_type};
use super::shape::Shape;

/// The name of a definition that has none yet.
const UNNAMED: &str = "advised";

/// What is larger is not looked at: each round takes as long as its routing.
const MOST_EXPRESSIONS: usize = 200;

/// A rollup has at most 16 dimensions, and three grains.
const ROUNDS: usize = 24;

/// An aggregate that was computed from events, since no rollup has all that it asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MissingRollup {
    /// Which of the statement's decisions it would have changed, from 0.
    pub(crate) aggregate: usize,
    /// The smallest that would do, for all sites.
    pub(crate) rollup: RollupDefinition,
    /// Rows of all files of events in the asked time.
    pub(crate) rows: u64,
}

impl fmt::Display for MissingRollup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rollup = &self.rollup;
        let grain = rollup.grain.column().unwrap_or("day");
        let visitors = rollup.per_visitor.then_some("visitor");
        let dimensions = rollup.dimensions.iter().map(String::as_str).chain(visitors);
        let measures = rollup.measures.iter().map(|measure| measure.name.as_str());
        let by: Vec<_> = [grain].into_iter().chain(dimensions).collect();
        let measures: Vec<_> = measures.collect();
        write!(
            f,
            "a rollup by {} with {} would answer it",
            by.join(", "),
            measures.join(", ")
        )
    }
}

/// The smallest rollup that answers `shape` for a caller of `sites`; `None` if none that can be configured does.
pub(super) fn missing(shape: &Shape, sites: &SiteScope) -> Option<RollupDefinition> {
    if shape.keys.len() + shape.aggregates.len() + shape.filters.len() > MOST_EXPRESSIONS {
        return None;
    }
    let mut candidate = RollupDefinition {
        name: UNNAMED.to_owned(),
        sites: None,
        grain: Grain::Day,
        per_visitor: shape.counts_visitors(),
        dimensions: Vec::new(),
        measures: shape.possible_measures(),
    };
    for _ in 0..ROUNDS {
        match lacks(shape, &candidate, sites)? {
            lacks if lacks.is_empty() => return Some(with_few_measures(shape, candidate, sites)),
            lacks => {
                for lack in &lacks {
                    add(&mut candidate, lack)?;
                }
            }
        }
    }
    None
}

/// What `candidate` lacks; `None` if it can't be configured.
fn lacks(shape: &Shape, candidate: &RollupDefinition, sites: &SiteScope) -> Option<Vec<Unfit>> {
    let configured = ConfiguredRollup {
        definition: candidate.clone(),
        revision: 1,
        created_at: 0,
    };
    let rollup = configured.rollup().ok()?;
    let fit = shape.fit(&rollup, sites);
    Some(match fit {
        Ok(fit) if finer(candidate.grain).is_some() && reads_mostly_edges(&fit) => {
            vec![Unfit::Time("the asked time".to_owned())]
        }
        Ok(_) => Vec::new(),
        Err(lacks) => lacks,
    })
}

/// Whether a fifth of the asked time or more lies in buckets that it cuts.
fn reads_mostly_edges(fit: &Fit<'_>) -> bool {
    let length = |range: TimeRange| {
        range
            .until
            .zip(range.from)
            .map(|(until, from)| until.saturating_sub(from))
    };
    let (asked, whole): (Option<Micros>, Option<Micros>) = (length(fit.asked), length(fit.whole));
    asked.zip(whole).is_some_and(|(asked, whole)| whole < asked / 5 * 4)
}

/// Adds what is lacking, if that is possible.
fn add(candidate: &mut RollupDefinition, lack: &Unfit) -> Option<()> {
    const TYPE: &str = "event_type";
    let dimensions = &mut candidate.dimensions;
    match lack {
        Unfit::Column(name) if name == VISITOR_COLUMN && !candidate.per_visitor => candidate.per_visitor = true,
        Unfit::Column(name) if dimensions.contains(name) => {}
        Unfit::Column(name) => dimensions.push(name.clone()),
        Unfit::Time(_) => candidate.grain = finer(candidate.grain)?,
        // Only events are counted by their type alone.
        Unfit::Aggregate(_) if !dimensions.iter().any(|name| name == TYPE) => dimensions.push(TYPE.to_owned()),
        Unfit::Aggregate(_) | Unfit::Sites => return None,
    }
    Some(())
}

fn finer(grain: Grain) -> Option<Grain> {
    match grain {
        Grain::Day => Some(Grain::Hour),
        Grain::Hour => Some(Grain::QuarterHour),
        Grain::QuarterHour => None,
    }
}

/// Leaves out the measures without which it answers `shape` all the same.
fn with_few_measures(shape: &Shape, mut candidate: RollupDefinition, sites: &SiteScope) -> RollupDefinition {
    let mut nth = candidate.measures.len();
    while let Some(before) = nth.checked_sub(1) {
        nth = before;
        let mut fewer = candidate.clone();
        fewer.measures.remove(nth);
        // The number of events is of use to other statements too, and costs next to nothing.
        let counts = candidate.measures[nth].column.is_none();
        if !counts && lacks(shape, &fewer, sites).is_some_and(|lacks| lacks.is_empty()) {
            candidate = fewer;
        }
    }
    candidate
}

impl Shape {
    /// Whether it counts distinct visitors, which only rows of single visitors can answer.
    fn counts_visitors(&self) -> bool {
        self.calls().any(|call| {
            let mut columns = columns(call);
            call.params.distinct && columns.any(|name| name == "client_id" || name == VISITOR_COLUMN)
        })
    }

    /// Those of most rollups, and what its aggregates and conditions ask for.
    fn possible_measures(&self) -> Vec<MeasureDefinition> {
        let usual = built_in().into_iter().find(|rollup| rollup.name == "totals_daily");
        let mut measures = usual.map(|rollup| rollup.measures).unwrap_or_default();
        measures.retain(|measure| !matches!(measure.function, Function::Sketch(_)));
        let of_calls = self.calls().flat_map(|call| {
            let functions = columns(call).filter_map(|column| function(call.func.name(), column));
            functions.collect::<Vec<_>>()
        });
        let of_types = self.filters.iter().filter_map(super::fit::type_is).map(of_type);
        for function in of_types.chain(of_calls) {
            if !measures.iter().any(|known| known.function == function) {
                measures.push(Measure {
                    name: measure_name(&function, measures.len()),
                    function,
                    description: String::new(),
                });
            }
        }
        let mut definitions: Vec<_> = measures.iter().map(MeasureDefinition::from).collect();
        definitions.iter_mut().for_each(|measure| measure.description.clear());
        definitions.truncate(footfall_model::rollup::MAX_MEASURES);
        definitions
    }

    fn calls(&self) -> impl Iterator<Item = &AggregateFunction> {
        self.aggregates.iter().filter_map(|aggregate| match aggregate {
            Expr::AggregateFunction(call) => Some(call),
            _ => None,
        })
    }
}

fn columns(call: &AggregateFunction) -> impl Iterator<Item = &str> {
    let refs = call.params.args.iter().flat_map(Expr::column_refs);
    refs.map(Column::name)
}

/// What a segment must store for an aggregate over a column, beside sums and extremes of revenue and times.
fn function(aggregate: &str, column: &str) -> Option<Function> {
    let of_text = matches!(
        footfall_model::schema::events()
            .field_with_name(column)
            .map(|field| field.data_type().clone()),
        Ok(arrow::datatypes::DataType::Utf8)
    );
    match aggregate {
        "approx_distinct" | "hll_sketch" if of_text => Some(Function::Sketch(column.to_owned())),
        "count" if column != "revenue" => Some(Function::CountOf(column.to_owned())),
        _ => None,
    }
}

/// A name in SQL, unique by its number where the value can't be a part of it.
fn measure_name(function: &Function, nth: usize) -> String {
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 40
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match function {
        Function::CountWhere { value, .. } if plain(value) => format!("events_{value}"),
        Function::Sketch(column) => format!("sketch_of_{column}"),
        Function::CountOf(column) => format!("count_of_{column}"),
        _ => format!("measure_{nth}"),
    }
}
