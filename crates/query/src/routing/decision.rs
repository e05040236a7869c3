//! What was decided for each aggregate over events, and why.

use std::fmt;
use std::sync::Arc;

use footfall_model::rollup::RollupDefinition;
use parking_lot::Mutex;

use super::budget::{Budget, Excess};
use super::missing::MissingRollup;
use super::sampled::SHARE;
use super::segment::Unfit;
use crate::QueryError;

/// From where an aggregate over events is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// From segments of these rollups, and from events that they don't cover.
    Routed {
        rollups: Vec<String>,
        /// Whether the asked time cuts buckets, whose events are read raw.
        edges: bool,
        /// `None` for readers of some sites: files hold other sites' rows too.
        figures: Option<Figures>,
    },
    /// From events.
    Raw(Reason),
    /// From the events of a tenth of the visitors, because of the excess.
    Sampled(Reason, Excess),
    /// Not at all.
    Refused(Reason, Excess),
}

impl Decision {
    /// Whether a further rollup could answer what is read, or would be read, from events.
    pub(super) fn needs_rollup(&self) -> bool {
        let (Self::Raw(reason) | Self::Sampled(reason, _) | Self::Refused(reason, _)) = self else {
            return false;
        };
        matches!(reason, Reason::Unfit { .. } | Reason::NoRollup)
    }
}

/// What is read, by the files' statistics, before pages are skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) segments: u64,
    pub(crate) segment_rows: u64,
    /// Files of events: those without a segment, and those at the edges.
    pub(crate) files: u64,
    pub(crate) rows: u64,
    /// Rows of all files of events in the asked time.
    pub(crate) rows_of_events: u64,
}

/// Why segments were not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The caller turned routing off.
    Off,
    /// There is no rollup.
    NoRollup,
    /// All that the closest rollup lacks.
    Unfit { closest: String, lacks: Vec<Unfit> },
    /// No segment covers a file in the asked time, or the events have fewer rows than the segments.
    FewRows,
}

/// How one statement is routed.
#[derive(Debug, Clone)]
pub(crate) struct StatementRouting {
    pub(crate) budget: Budget,
    /// In the order of the plan; `None` before it is optimized.
    decisions: Arc<Mutex<Option<Vec<Decision>>>>,
    missing: Arc<Mutex<Vec<MissingRollup>>>,
}

impl StatementRouting {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            budget,
            decisions: Arc::default(),
            missing: Arc::default(),
        }
    }

    /// Whether this is the first time: rules run repeatedly, and what others make of an aggregate is not its shape.
    pub(super) fn begin(&self) -> bool {
        let mut decisions = self.decisions.lock();
        let first = decisions.is_none();
        decisions.get_or_insert_default();
        first
    }

    pub(super) fn push(&self, decision: Decision) {
        self.decisions.lock().get_or_insert_default().push(decision);
    }

    /// What would have answered the aggregate that is decided next. Keeps the first few of a statement.
    pub(super) fn push_missing(&self, rollup: RollupDefinition, rows: u64) {
        const KEPT: usize = 20;
        let aggregate = self.decisions.lock().as_ref().map_or(0, Vec::len);
        let mut known = self.missing.lock();
        if known.len() < KEPT {
            known.push(MissingRollup {
                aggregate,
                rollup,
                rows,
            });
        }
    }

    /// What would have answered the aggregates that no rollup answers.
    pub(crate) fn missing(&self) -> Vec<MissingRollup> {
        self.missing.lock().clone()
    }

    /// The share of visitors that an aggregate reads, if one is sampled.
    pub(crate) fn sample(&self) -> Option<f64> {
        let is_sampled = |decision: &Decision| matches!(decision, Decision::Sampled(..));
        self.decisions().iter().any(is_sampled).then_some(SHARE)
    }

    /// # Errors
    /// An aggregate was refused.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        let refused = self.decisions().into_iter().find_map(|decision| match decision {
            Decision::Refused(reason, excess) => Some((reason, excess)),
            _ => None,
        });
        refused.map_or(Ok(()), |(reason, excess)| {
            Err(QueryError::Limit(format!(
                "the statement would read too many events: {excess} (query.raw_row_limit), and {reason}; ask for a \
                 shorter time, create a rollup that answers it (footfall rollup advise), or read a sample of the visitors \
                 (FROM events TABLESAMPLE SYSTEM (10))"
            )))
        })
    }

    /// One for each aggregate over events.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.decisions.lock().clone().unwrap_or_default()
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(reason) => write!(f, "raw events: {reason}"),
            Self::Sampled(reason, excess) => {
                write!(f, "raw events of a tenth of the visitors: {excess}, and {reason}")
            }
            Self::Refused(reason, excess) => write!(f, "refused: {excess}, and {reason}"),
            Self::Routed {
                rollups,
                edges,
                figures,
            } => {
                let (several, they) = if rollups.len() > 1 {
                    ("s", "they do")
                } else {
                    ("", "it does")
                };
                write!(f, "rollup{several} {}", rollups.join(" and "))?;
                match figures {
                    Some(figures) => write!(f, ": {figures}")?,
                    None => write!(f, ", and events that {they} not cover yet")?,
                }
                if *edges {
                    f.write_str("; the edges of the asked time are read from events")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let segments = counted(self.segments, "segment");
        write!(f, "{segments} with {}", counted(self.segment_rows, "row"))?;
        if self.files > 0 {
            let files = counted(self.files, "file");
            write!(f, " and {files} of events with {}", counted(self.rows, "row"))?;
        }
        write!(f, " instead of {}", counted(self.rows_of_events, "event"))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("routing is off"),
            Self::NoRollup => f.write_str("there is no rollup"),
            Self::FewRows => f.write_str("no segment covers them yet, or segments have as many rows"),
            Self::Unfit { closest, lacks } => {
                let lacks: Vec<_> = lacks.iter().map(ToString::to_string).collect();
                write!(f, "the closest rollup, {closest}, lacks {}", lacks.join("; "))
            }
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => write!(f, "the column {name}"),
            Self::Time(expr) => write!(f, "times as fine as {expr}"),
            Self::Sites => f.write_str("other sites"),
            Self::Aggregate(expr) => write!(f, "{expr}"),
        }
    }
}
