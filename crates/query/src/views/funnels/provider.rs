//! Entries as a table: from a statement's conditions to the plan that computes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType, col, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::union::UnionExec;
use footfall_funnels::table::{REVISION, funnel_steps, progress};
use footfall_funnels::{Funnel, Matcher, Progress};
use footfall_model::clock::Micros;
use footfall_model::table::{self, SITE_COLUMN};

use super::cover::CoverCache;
use super::filters::EntryFilters;
use super::stage_exec::StageExec;
use super::stages::{FindEntries, MatchSteps};
use crate::segments::ScopedLake;

const EVENT_TYPE: &str = "event_type";

/// As many as a site may have.
const MAX_FUNNELS: usize = 100;

/// A longer list of types is no condition on events: comparing them would cost more than it saves.
const MAX_TYPES: usize = 32;

/// The entries into the funnels of a caller's sites.
#[derive(Debug)]
pub(crate) struct FunnelEntries {
    lake: ScopedLake,
    pub(crate) funnels: Vec<Funnel>,
    cache: Arc<CoverCache>,
}

#[async_trait]
impl TableProvider for FunnelEntries {
    fn schema(&self) -> SchemaRef {
        progress()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(progress().project(projection)?),
            None => progress(),
        };
        let filters = EntryFilters::of(filters);
        let funnels: Arc<[Funnel]> = self.asked(&filters).into();
        if funnels.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let columns = Progress::new(&funnels, Arc::clone(&schema));
        let columns = columns.columns();
        let steps = self.steps(session, &funnels, &filters, &columns).await?;
        let stage = FindEntries::try_new(funnels, schema, &steps.schema())?;
        Ok(Arc::new(StageExec::new(steps, Arc::new(stage))))
    }
}

impl FunnelEntries {
    pub(super) fn new(lake: &ScopedLake, cache: &Arc<CoverCache>) -> Self {
        Self::of(lake, cache, lake.pinned.funnels.of(&lake.sites, |_| true))
    }

    /// Of these funnels alone.
    pub(super) fn of(lake: &ScopedLake, cache: &Arc<CoverCache>, funnels: Vec<Funnel>) -> Self {
        Self {
            funnels,
            lake: lake.clone(),
            cache: Arc::clone(cache),
        }
    }

    fn asked(&self, filters: &EntryFilters) -> Vec<Funnel> {
        let asked = |funnel: &&Funnel| {
            filters
                .funnels
                .as_ref()
                .is_none_or(|funnels| funnels.contains(&funnel.id))
                && filters
                    .sites
                    .as_ref()
                    .is_none_or(|sites| sites.contains(&funnel.tracking_id))
        };
        self.funnels.iter().filter(asked).cloned().collect()
    }

    /// The step rows of `funnels`: of segments, and of events that no segment covers.
    async fn steps(
        &self,
        session: &dyn Session,
        funnels: &[Funnel],
        filters: &EntryFilters,
        columns: &[&str],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let steps = funnel_steps().file_schema();
        let indices = columns.iter().map(|name| steps.index_of(name));
        let indices = indices.collect::<Result<Vec<_>, _>>()?;
        let needed = funnels.iter().map(|funnel| funnel.revision).max().unwrap_or_default();
        let sources = self.lake.sources_by(funnel_steps().name(), |events, segments| {
            let catalog = &self.lake.pinned.funnels.catalog;
            self.cache.cover(events, segments, catalog, needed)
        })?;

        let mut conditions = filters.of_times(reach(funnels));
        let mut of_events = [&filters.visitors[..], &conditions].concat();
        of_events.extend(only_site(funnels));
        // Rows of several funnels alternate: skipping them in the file would cost more than leaving them out afterwards.
        let of_steps = of_events.clone();
        conditions.extend(only_funnels(funnels));
        let matcher = Matcher::new(funnels, Arc::new(steps.project(&indices)?));
        let read = matcher
            .columns()
            .iter()
            .map(|name| table::events().table_schema().index_of(name));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        let segments = sources.segments.scan(session, Some(&indices), &of_steps, None).await?;
        let segments = rows_where(session, segments, conditions)?;
        of_events.extend(step_types(funnels));
        let uncovered = sources.uncovered.scan(session, Some(&read), &of_events, None).await?;
        let matched = StageExec::new(uncovered, Arc::new(MatchSteps(Arc::new(matcher))));
        UnionExec::try_new(vec![segments, Arc::new(matched)])
    }
}

/// How far one of the funnels reaches from a first step, before and after it.
fn reach(funnels: &[Funnel]) -> (Micros, Micros) {
    let reaches = funnels.iter().map(|funnel| funnel.definition.reach());
    reaches.fold((0, 0), |most, reach| (most.0.max(reach.0), most.1.max(reach.1)))
}

/// The rows for which all of the conditions hold. Those of the scan itself need not be exact, and what is read too much is
/// sorted. Never a user's condition: on rows that it leaves out, it could fail.
fn rows_where(
    session: &dyn Session,
    input: Arc<dyn ExecutionPlan>,
    conditions: Vec<Expr>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(condition) = conjunction(conditions) else {
        return Ok(input);
    };
    let schema = DFSchema::try_from(input.schema())?;
    let condition = session.create_physical_expr(condition, &schema)?;
    Ok(Arc::new(FilterExec::try_new(condition, input)?))
}

/// The funnels, each by the revision that is its own, unless they are too many to compare with.
fn only_funnels(funnels: &[Funnel]) -> Option<Expr> {
    let revisions = || {
        funnels
            .iter()
            .map(|funnel| lit(funnel.revision.cast_signed()))
            .collect()
    };
    (funnels.len() <= MAX_FUNNELS).then(|| col(REVISION).in_list(revisions(), false))
}

/// Where all funnels are of one site: its events, whether or not the statement names it.
fn only_site(funnels: &[Funnel]) -> Option<Expr> {
    let (first, others) = funnels.split_first()?;
    let one = others.iter().all(|funnel| funnel.tracking_id == first.tracking_id);
    one.then(|| col(SITE_COLUMN).eq(lit(first.tracking_id.as_str())))
}

/// The types of events that may matter, unless any event does.
fn step_types(funnels: &[Funnel]) -> Option<Expr> {
    if funnels.iter().any(|funnel| funnel.definition.needs_every_event()) {
        return None;
    }
    let steps = funnels.iter().flat_map(|funnel| &funnel.definition.steps);
    let types: BTreeSet<&str> = steps.map(|step| step.event_type.as_str()).collect();
    (types.len() <= MAX_TYPES).then(|| col(EVENT_TYPE).in_list(types.into_iter().map(lit).collect(), false))
}
