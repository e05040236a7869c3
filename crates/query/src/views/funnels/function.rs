//! Table functions over funnels, saved or not:
//!
//! ```sql
//! SELECT * FROM funnel('funnel_0123', '2026-01-01', '2026-02-01')               -- a saved one
//! SELECT * FROM funnel('funnel_0123', '2026-01-01', '2026-02-01', 'country')    -- for each country of the first step
//! SELECT * FROM funnel_of('{"tracking_id": "shop", "name": …, "steps": […]}', '2026-01-01', '2026-02-01')
//! SELECT * FROM funnel_progress_of('{"tracking_id": "shop", …}')                -- as funnel_progress of a saved one
//! ```
//!
//! All of them read [`FunnelEntries`], so that a funnel has the same numbers whether it is saved or not.

use std::sync::Arc;

use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col};
use footfall_funnels::table::DIMENSIONS;
use footfall_funnels::{Definition, Funnel};

use super::cover::CoverCache;
use super::provider::FunnelEntries;
use super::{ENTRIES, PROGRESS_SQL, STEPS, steps};
use crate::catalog::Tables;
use crate::segments::ScopedLake;
use crate::views::plan_view;

/// The id of a funnel that is not saved.
const UNSAVED: &str = "";

/// No segment has its steps: it is computed from events.
const NO_REVISION: u64 = u64::MAX;

/// Which funnel a function takes, and what it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Saved,
    Unsaved,
    UnsavedProgress,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Saved, Self::Unsaved, Self::UnsavedProgress];

    fn name(self) -> &'static str {
        match self {
            Self::Saved => "funnel",
            Self::Unsaved => "funnel_of",
            Self::UnsavedProgress => "funnel_progress_of",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Saved => "funnel('FUNNEL_ID', from, to [, 'BREAKDOWN'])",
            Self::Unsaved => "funnel_of('DEFINITION IN JSON', from, to [, 'BREAKDOWN'])",
            Self::UnsavedProgress => "funnel_progress_of('DEFINITION IN JSON')",
        }
    }
}

/// One of the functions, for one caller and one version of the lake.
#[derive(Debug)]
struct FunnelFunction {
    kind: Kind,
    lake: ScopedLake,
}

/// The functions by name.
pub(crate) fn functions(lake: &ScopedLake) -> impl Iterator<Item = (&'static str, Arc<dyn TableFunctionImpl>)> {
    Kind::ALL.into_iter().map(|kind| {
        let lake = lake.clone();
        (kind.name(), Arc::new(FunnelFunction { kind, lake }) as _)
    })
}

impl TableFunctionImpl for FunnelFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let usage = self.kind.usage();
        let (first, rest) = match args.exprs() {
            [first, rest @ ..] => (text(first, usage)?, rest),
            [] => return plan_err!("expected {usage}"),
        };
        let entries = match self.kind {
            Kind::Saved => FunnelEntries::saved(&self.lake, first)?,
            Kind::Unsaved | Kind::UnsavedProgress => FunnelEntries::unsaved(&self.lake, first)?,
        };
        match (self.kind, rest) {
            (Kind::UnsavedProgress, []) => {
                let tables = Tables::from([(ENTRIES.to_owned(), Arc::new(entries) as _)]);
                plan_view(self.kind.name(), PROGRESS_SQL, &self.lake, tables)
            }
            (Kind::Saved | Kind::Unsaved, [from, to]) => self.analysis(entries, from, to, None),
            (Kind::Saved | Kind::Unsaved, [from, to, by]) => {
                self.analysis(entries, from, to, Some(breakdown(text(by, usage)?)?))
            }
            _ => plan_err!("expected {usage}"),
        }
    }
}

impl FunnelFunction {
    /// A row for each step, of the entries that begin at `from` or later and before `to`.
    fn analysis(
        &self,
        entries: FunnelEntries,
        from: &Expr,
        to: &Expr,
        breakdown: Option<&'static str>,
    ) -> Result<Arc<dyn TableProvider>> {
        let steps = steps(&entries.funnels)?;
        let entered = || col("entered_at");
        let plan = LogicalPlanBuilder::scan(ENTRIES, provider_as_source(Arc::new(entries)), None)?
            .filter(entered().gt_eq(from.clone()).and(entered().lt(to.clone())))?
            .build()?;
        let tables = Tables::from([
            (ENTRIES.to_owned(), Arc::new(ViewTable::new(plan, None)) as _),
            (STEPS.to_owned(), Arc::new(steps) as _),
        ]);
        plan_view(self.kind.name(), &analysis_sql(breakdown), &self.lake, tables)
    }
}

/// Of each visitor the deepest entry counts, with the shortest time of those that took all steps.
fn analysis_sql(breakdown: Option<&'static str>) -> String {
    // A funnel that nobody entered has its steps still; a value of the breakdown is one that somebody has.
    let (key, comma, join) = match breakdown {
        Some(column) => (column, ", ", "CROSS JOIN depths d"),
        None => ("", "", "LEFT JOIN depths d ON true"),
    };
    let shown = breakdown.map(|column| format!("d.{column}, ")).unwrap_or_default();
    format!(
        "WITH depths AS (\
         SELECT {key}{comma}depth, count(*) AS users, avg(seconds) AS avg_seconds, median(seconds) AS median_seconds \
         FROM (SELECT {key}{comma}client_hash, max(steps_completed) AS depth, \
         CAST(min(time_to_convert) AS DOUBLE) AS seconds \
         FROM entries GROUP BY {key}{comma}client_hash) GROUP BY {key}{comma}depth), \
         counts AS (\
         SELECT {shown}s.step_index, s.step_name, \
         coalesce(sum(d.users) FILTER (WHERE d.depth > s.step_index), 0) AS users, \
         coalesce(sum(d.users) FILTER (WHERE d.depth >= s.step_index), 0) AS before, \
         max(d.avg_seconds) FILTER (WHERE s.step_index = s.last AND d.depth > s.step_index) AS avg_seconds, \
         max(d.median_seconds) FILTER (WHERE s.step_index = s.last AND d.depth > s.step_index) AS median_seconds \
         FROM (SELECT step_index, step_name, max(step_index) OVER () AS last FROM steps) s {join} \
         GROUP BY {shown}s.step_index, s.step_name) \
         SELECT {key}{comma}step_index, step_name, CAST(users AS BIGINT) AS users, {RATE} AS conversion_rate, \
         1.0 - {RATE} AS drop_off_rate, \
         avg_seconds AS avg_seconds_to_convert, median_seconds AS median_seconds_to_convert FROM counts"
    )
}

/// Against the step before. Nobody comes from a step that nobody took.
const RATE: &str = "CASE WHEN step_index = 0 THEN 1.0 WHEN before = 0 THEN 0.0 \
    ELSE CAST(users AS DOUBLE) / CAST(before AS DOUBLE) END";

fn breakdown(name: &str) -> Result<&'static str> {
    let known = DIMENSIONS.iter().find(|known| **known == name).copied();
    known.ok_or_else(|| {
        plan_datafusion_err!(
            "a funnel has no breakdown by {name:?}; expected one of {}",
            DIMENSIONS.join(", ")
        )
    })
}

fn text<'a>(argument: &'a Expr, usage: &str) -> Result<&'a str> {
    match argument {
        Expr::Literal(
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)),
            _,
        ) => Ok(text),
        _ => plan_err!("expected {usage}, with texts that are spelled out and not parameters"),
    }
}

impl FunnelEntries {
    /// Of one saved funnel.
    fn saved(lake: &ScopedLake, id: &str) -> Result<Self> {
        let funnels = lake.pinned.funnels.of(&lake.sites, |funnel| funnel.id == id);
        if funnels.is_empty() {
            return plan_err!("there is no funnel {id:?} that this token may read");
        }
        Ok(Self::of(lake, &Arc::default(), funnels))
    }

    /// Of a funnel in JSON, as it is created over HTTP.
    fn unsaved(lake: &ScopedLake, json: &str) -> Result<Self> {
        let (tracking_id, definition) = parse(json)?;
        let funnel = Funnel {
            id: UNSAVED.to_owned(),
            tracking_id,
            revision: NO_REVISION,
            definition,
            created_at: 0,
        };
        // A site that the caller may not read has no events, as one that does not exist.
        Ok(Self::of(lake, &Arc::<CoverCache>::default(), vec![funnel]))
    }
}

/// The site and the funnel.
fn parse(json: &str) -> Result<(String, Definition)> {
    let mut value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| plan_datafusion_err!("the funnel is not JSON: {error}"))?;
    let site = value.as_object_mut().and_then(|funnel| funnel.remove("tracking_id"));
    let Some(serde_json::Value::String(site)) = site else {
        return plan_err!("the funnel lacks its site: \"tracking_id\": \"SITE\"");
    };
    let definition: Definition =
        serde_json::from_value(value).map_err(|error| plan_datafusion_err!("the funnel is not valid: {error}"))?;
    let valid = definition.validate();
    valid.map_err(|error| plan_datafusion_err!("the funnel is not valid: {error}"))?;
    Ok((site, definition))
}
