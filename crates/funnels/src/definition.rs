//! A funnel as its owner writes it: JSON with a name, steps and a window.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::field::{EventField, FieldType};
use footfall_sessions::MARGIN_DAYS;
use serde::{Deserialize, Deserializer, Serialize};

use crate::attempts::Rules;

/// A funnel has at least two steps, and at most so many: the steps of an event are bits of a number.
pub const MAX_STEPS: usize = 20;

const MAX_NAME: usize = 200;
const MAX_EVENT_TYPE: usize = 128;
const MAX_FILTERS: usize = 16;
const MAX_PATTERN: usize = 1024;
const MAX_WINDOW: Micros = 366 * DAY;

/// Which events decide where the session of an event begins and ends: see [`MARGIN_DAYS`].
const SESSION_REACH: Micros = MARGIN_DAYS as Micros * DAY;

/// What addresses a custom property that has the name of a column.
const PROPERTY: &str = "custom_properties.";

/// Steps that a visitor takes one after the other within a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    pub name: String,
    pub steps: Vec<Step>,
    /// How long after the first step the last one may be.
    #[serde(default)]
    pub window: Window,
    /// How long after a step the next one may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_window: Option<Window>,
    /// Whether an event that is none of the steps taken so far ends an attempt, unless it takes the next.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_order: bool,
    /// Whether an event that repeats a step ends an attempt, unless it takes the next one or repeats the first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_deduplication: bool,
    /// Whether each step must be later than the one before, and not at the same time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict_increase: bool,
    /// Within what an attempt must stay.
    #[serde(default, skip_serializing_if = "FunnelScope::is_default")]
    pub scope: FunnelScope,
}

/// Within what an attempt must stay, beside its windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FunnelScope {
    /// All that a visitor does.
    #[default]
    Visitor,
    /// One session, as of the view `sessions`.
    Session,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Which events take a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    pub event_type: String,
    /// All of them must hold: a column of `events` or a key of `custom_properties`, and the text that its value must
    /// equal, in which `*` stands for any characters.
    #[serde(default, deserialize_with = "filters", skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, String>,
}

/// A length of time in JSON: `7d`, `12h`, `30m` or `45s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Window(Micros);

/// Why a definition is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DefinitionError {
    /// `name`, `steps` or `window`.
    pub field: &'static str,
    /// What is wrong, where, and what is expected.
    pub reason: String,
}

/// Where the value of a filter is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterSource<'a> {
    Column(EventField),
    Property(&'a str),
}

impl Definition {
    /// # Errors
    /// With the field, what is wrong in it, and what is expected.
    pub fn validate(&self) -> Result<(), DefinitionError> {
        let wrong = |field, reason| DefinitionError { field, reason };
        check_text(&self.name, MAX_NAME).map_err(|reason| wrong("name", reason))?;
        if !(2..=MAX_STEPS).contains(&self.steps.len()) {
            let count = self.steps.len();
            let reason =
                format!("there are {count}; expected 2 to {MAX_STEPS}, in the order in which visitors take them");
            return Err(wrong("steps", reason));
        }
        for (nth, step) in self.steps.iter().enumerate() {
            let check = step.validate();
            check.map_err(|reason| wrong("steps", format!("step {} ({:?}): {reason}", nth + 1, step.name)))?;
        }
        Ok(())
    }
}

impl Definition {
    /// What decides how far an attempt gets.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            steps: self.steps.len(),
            window: self.window.micros(),
            step_window: self.step_window.map_or(Micros::MAX, Window::micros),
            strict_order: self.strict_order,
            strict_deduplication: self.strict_deduplication,
            strict_increase: self.strict_increase,
            scope: self.scope,
        }
    }

    /// Whether events of no step matter, too: they may end an attempt, or keep a session going.
    pub fn needs_every_event(&self) -> bool {
        self.strict_order || self.scope == FunnelScope::Session
    }

    /// How long before its first step, and how long after it, an attempt depends on events.
    pub fn reach(&self) -> (Micros, Micros) {
        match self.scope {
            FunnelScope::Visitor => (0, self.window.micros()),
            FunnelScope::Session => (SESSION_REACH, SESSION_REACH),
        }
    }
}

impl FunnelScope {
    /// What JSON leaves out.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Step {
    fn validate(&self) -> Result<(), String> {
        check_text(&self.name, MAX_NAME).map_err(|reason| format!("name: {reason}"))?;
        check_text(&self.event_type, MAX_EVENT_TYPE).map_err(|reason| format!("event_type: {reason}"))?;
        if self.filters.len() > MAX_FILTERS {
            return Err(format!("filters: expected at most {MAX_FILTERS}"));
        }
        for (key, pattern) in &self.filters {
            FilterSource::of(key)?;
            if pattern.chars().count() > MAX_PATTERN {
                return Err(format!(
                    "filters.{key}: expected a text of at most {MAX_PATTERN} characters"
                ));
            }
        }
        Ok(())
    }
}

impl<'a> FilterSource<'a> {
    /// # Errors
    /// The key names a column that can't be compared with a text.
    pub(crate) fn of(key: &'a str) -> Result<Self, String> {
        if let Some(property) = key.strip_prefix(PROPERTY) {
            return Ok(Self::Property(property));
        }
        let Some(field) = EventField::ALL.iter().find(|field| field.name() == key) else {
            return Ok(Self::Property(key));
        };
        if is_comparable(*field) {
            return Ok(Self::Column(*field));
        }
        let columns = EventField::ALL.iter().filter(|field| is_comparable(**field));
        let columns: Vec<_> = columns.map(|field| field.name()).collect();
        Err(format!(
            "filters.{key}: no filter compares this column; expected one of {}, or a key of custom_properties",
            columns.join(", ")
        ))
    }
}

/// The site and the type of the event have their own places in a definition.
fn is_comparable(field: EventField) -> bool {
    let own = matches!(field, EventField::TrackingId | EventField::EventType);
    matches!(field.spec().field_type, FieldType::Text | FieldType::Flag) && !own
}

fn check_text(text: &str, max: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > max || text.chars().any(char::is_control) {
        return Err(format!(
            "expected 1 to {max} characters, none of them a control character"
        ));
    }
    Ok(())
}

/// Numbers and truth values are compared as JSON writes them.
fn filters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "filters: expected a text, a number, true or false for each key"
    )]
    enum Value {
        Text(String),
        Flag(bool),
        Number(serde_json::Number),
    }
    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let text = |value| match value {
        Value::Text(text) => text,
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
    };
    Ok(values.into_iter().map(|(key, value)| (key, text(value))).collect())
}

const UNITS: [(char, Micros); 4] = [('d', DAY), ('h', 3_600 * SECOND), ('m', 60 * SECOND), ('s', SECOND)];

impl Window {
    pub fn micros(self) -> Micros {
        self.0
    }
}

/// The specification's seven days.
impl Default for Window {
    fn default() -> Self {
        Self(7 * DAY)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, micros)| self.0 % micros == 0);
        let (unit, micros) = whole.unwrap_or(&('s', SECOND));
        write!(f, "{}{unit}", self.0 / micros)
    }
}

impl FromStr for Window {
    type Err = DefinitionError;

    fn from_str(text: &str) -> Result<Self, DefinitionError> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit));
        let number = unit.and_then(|(unit, micros)| {
            let number: Micros = text.strip_suffix(*unit)?.parse().ok()?;
            number.checked_mul(*micros)
        });
        let window = number.filter(|window| (SECOND..=MAX_WINDOW).contains(window));
        window.map(Self).ok_or_else(|| DefinitionError {
            field: "window",
            reason: format!("{text:?} is not a window; expected 1s to 366d, such as 7d, 12h, 30m or 45s"),
        })
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl TryFrom<String> for Window {
    type Error = DefinitionError;

    fn try_from(text: String) -> Result<Self, DefinitionError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
