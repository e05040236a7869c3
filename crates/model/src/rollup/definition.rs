//! A rollup as its owner writes it, in TOML or JSON: name, sites, grain, dimensions and measures.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::session_measures::SESSION_MEASURES;
use super::{Function, Grain, MAX_DIMENSIONS, Measure, Rollup, RollupView, UNIQUE_USERS, VISITOR_COLUMN, built_in};
use crate::access::SiteScope;
use crate::clock::Micros;
use crate::schema;
use crate::table::SITE_COLUMN;

/// The largest number of measures of a configured rollup.
pub const MAX_MEASURES: usize = 32;

/// The largest number of sites that a rollup may be limited to.
const MAX_SITES: usize = 100;

/// Characters of a name.
const MAX_NAME: usize = 63;

/// Characters of a description, and of the value that events are counted by.
const MAX_TEXT: usize = 200;

/// Names in SQL that are no rollup's.
const TABLES: [&str; 6] = [
    "events",
    "sessions",
    "session_parts",
    "funnel_steps",
    "funnel_progress",
    "funnel_results",
];

/// Texts of which nearly each event, visitor or visit has its own: a rollup by them would be a copy of the events.
const IDENTITIES: [&str; 4] = ["event_id", "client_id", "session_id", "user_id"];

/// A rollup that is made by configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupDefinition {
    /// Its name in SQL.
    pub name: String,
    /// Only the events of these sites; `None`: of all, those created later included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<BTreeSet<String>>,
    pub grain: Grain,
    /// Whether a row is of one visitor.
    #[serde(default)]
    pub per_visitor: bool,
    pub dimensions: Vec<String>,
    /// Those of most built-in rollups, unless they are given.
    #[serde(default = "default_measures")]
    pub measures: Vec<MeasureDefinition>,
}

/// A measure of a configured rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureDefinition {
    pub name: String,
    pub function: MeasureFunction,
    /// The column of `events` that it reads; a count without one counts all events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Counts the events whose column has this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The name of a [`Function`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureFunction {
    Count,
    Sum,
    Min,
    Max,
    Sketch,
}

/// A definition that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredRollup {
    pub definition: RollupDefinition,
    /// When it was made, in the order of all changes of the catalog's rollups. No other definition ever has the same.
    pub revision: u64,
    pub created_at: Micros,
}

/// All configured rollups of a catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredRollups {
    /// The revision of the newest change.
    pub revision: u64,
    /// By revision.
    pub rollups: Vec<ConfiguredRollup>,
}

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// `name`, `sites`, `dimensions` or `measures`.
    pub field: &'static str,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for DefinitionError {}

fn wrong(field: &'static str, reason: String) -> DefinitionError {
    DefinitionError { field, reason }
}

impl ConfiguredRollup {
    /// What it declares.
    ///
    /// # Errors
    /// As [`RollupDefinition::validate`]: another version of Footfall has made it.
    pub fn rollup(&self) -> Result<Rollup, DefinitionError> {
        self.definition.validate()?;
        self.definition.rollup(self.revision)
    }
}

impl RollupDefinition {
    /// # Errors
    /// With the field, what is wrong in it, and what is allowed.
    pub fn validate(&self) -> Result<(), DefinitionError> {
        self.validate_name()?;
        if let Some(sites) = &self.sites
            && !(1..=MAX_SITES).contains(&sites.len())
        {
            let reason = format!(
                "there are {}; expected 1 to {MAX_SITES}, or no sites at all for all of them",
                sites.len()
            );
            return Err(wrong("sites", reason));
        }
        self.validate_dimensions()?;
        self.validate_measures()?;
        let table = self.rollup(1)?.table();
        table.map(drop).map_err(|error| wrong("measures", error.to_string()))
    }

    fn validate_name(&self) -> Result<(), DefinitionError> {
        check_identifier(&self.name).map_err(|reason| wrong("name", reason))?;
        let mut views = super::views().into_iter().map(|view| view.name);
        if TABLES.contains(&self.name.as_str()) || views.any(|name| name == self.name) {
            let reason = format!("{:?} is a table or view of every lake; choose another", self.name);
            return Err(wrong("name", reason));
        }
        Ok(())
    }

    fn validate_dimensions(&self) -> Result<(), DefinitionError> {
        let count = self.dimensions.len();
        if count > MAX_DIMENSIONS {
            let reason = format!("there are {count}; expected at most {MAX_DIMENSIONS}");
            return Err(wrong("dimensions", reason));
        }
        for (nth, name) in self.dimensions.iter().enumerate() {
            if !possible_dimensions().any(|possible| possible == name) {
                let possible: Vec<_> = possible_dimensions().collect();
                let reason = format!("{name:?} can't be one; possible are {}", possible.join(", "));
                return Err(wrong("dimensions", reason));
            }
            if self.dimensions[..nth].contains(name) {
                return Err(wrong("dimensions", format!("{name:?} is there twice")));
            }
        }
        Ok(())
    }

    fn validate_measures(&self) -> Result<(), DefinitionError> {
        let count = self.measures.len();
        if !(1..=MAX_MEASURES).contains(&count) {
            let reason = format!("there are {count}; expected 1 to {MAX_MEASURES}");
            return Err(wrong("measures", reason));
        }
        let view = RollupView::new(self.rollup(1)?, &built_in());
        for (nth, measure) in self.measures.iter().enumerate() {
            let name = &measure.name;
            let named = |reason: String| wrong("measures", format!("{name:?}: {reason}"));
            check_identifier(name).map_err(named)?;
            let is_other = |other: &&MeasureDefinition| other.name == *name;
            let taken = view.keys().contains(&name.as_str())
                || [UNIQUE_USERS, VISITOR_COLUMN, view.period.column()].contains(&name.as_str())
                || SESSION_MEASURES.iter().any(|of_sessions| of_sessions.name == name)
                || self.measures[..nth].iter().any(|other| is_other(&other));
            if taken {
                return Err(named(
                    "the view has a column of this name already; choose another".into(),
                ));
            }
            let texts = [Some(&measure.description), measure.equals.as_ref()];
            if texts.into_iter().flatten().any(|text| text.chars().count() > MAX_TEXT) {
                return Err(named(format!(
                    "description and equals have at most {MAX_TEXT} characters each"
                )));
            }
            measure.check_column().map_err(named)?;
        }
        Ok(())
    }

    /// # Errors
    /// A measure lacks what its function needs.
    fn rollup(&self, revision: u64) -> Result<Rollup, DefinitionError> {
        let measures = self.measures.iter().map(|measure| {
            Ok(Measure {
                name: measure.name.clone(),
                function: measure
                    .function()
                    .map_err(|reason| wrong("measures", format!("{:?}: {reason}", measure.name)))?,
                description: measure.description.clone(),
            })
        });
        Ok(Rollup {
            name: self.name.clone(),
            revision,
            sites: match &self.sites {
                Some(sites) => SiteScope::Only(Arc::new(sites.clone())),
                None => SiteScope::All,
            },
            grain: self.grain,
            per_visitor: self.per_visitor,
            ids: Vec::new(),
            dimensions: self.dimensions.clone(),
            measures: measures.collect::<Result<_, _>>()?,
        })
    }
}

impl MeasureDefinition {
    fn function(&self) -> Result<Function, String> {
        use MeasureFunction::{Count, Max, Min, Sketch, Sum};
        match (self.function, self.column.clone(), self.equals.clone()) {
            (Count, None, None) => Ok(Function::Count),
            (Count, Some(column), None) => Ok(Function::CountOf(column)),
            (Count, Some(column), Some(value)) => Ok(Function::CountWhere { column, value }),
            (Sum, Some(column), None) => Ok(Function::Sum(column)),
            (Min, Some(column), None) => Ok(Function::Min(column)),
            (Max, Some(column), None) => Ok(Function::Max(column)),
            (Sketch, Some(column), None) => Ok(Function::Sketch(column)),
            (_, _, Some(_)) => Err("equals stands only with the function count and a column".into()),
            (_, None, None) => Err("its function needs a column".into()),
        }
    }

    /// Whether the function can read the column.
    fn check_column(&self) -> Result<(), String> {
        let function = self.function()?;
        let events = schema::event_file();
        let fits = |column: &str| {
            let field = events.field_with_name(column).ok();
            field.is_some_and(|field| function.result(Some(field)).is_some())
        };
        let Some(column) = function.column().filter(|column| !fits(column)) else {
            return Ok(());
        };
        let possible: Vec<_> = events.fields().iter().map(|field| field.name().as_str()).collect();
        let possible: Vec<_> = possible.into_iter().filter(|column| fits(column)).collect();
        Err(format!(
            "its function can't read {column:?}; possible are {}",
            possible.join(", ")
        ))
    }
}

impl From<&Measure> for MeasureDefinition {
    fn from(measure: &Measure) -> Self {
        use MeasureFunction::{Count, Max, Min, Sketch, Sum};
        let (function, equals) = match &measure.function {
            Function::Count | Function::CountOf(_) => (Count, None),
            Function::CountWhere { value, .. } => (Count, Some(value.clone())),
            Function::Sum(_) => (Sum, None),
            Function::Min(_) => (Min, None),
            Function::Max(_) => (Max, None),
            Function::Sketch(_) => (Sketch, None),
        };
        Self {
            name: measure.name.clone(),
            function,
            column: measure.function.column().map(str::to_owned),
            equals,
            description: measure.description.clone(),
        }
    }
}

fn default_measures() -> Vec<MeasureDefinition> {
    super::built_in::measures()
        .iter()
        .map(MeasureDefinition::from)
        .collect()
}

/// The columns of events that a configured rollup can group by.
fn possible_dimensions() -> impl Iterator<Item = &'static str> {
    use crate::field::{EventField, FieldType};
    let fields = EventField::ALL.iter().map(|field| field.spec());
    let fields = fields.filter(|spec| matches!(spec.field_type, FieldType::Text | FieldType::Flag));
    let names = fields.map(|spec| spec.name);
    names.filter(|name| *name != SITE_COLUMN && !IDENTITIES.contains(name))
}

/// Names that are written in SQL as they are.
fn check_identifier(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|first| first.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if first && rest && name.len() <= MAX_NAME {
        return Ok(());
    }
    Err(format!(
        "expected a lowercase letter and up to {} of a-z, 0-9 and _",
        MAX_NAME - 1
    ))
}

#[cfg(test)]
mod tests;
