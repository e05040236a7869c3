//! A dimension as it was asked for: a declared one, or a key of `custom_properties`.

use crate::problem::Problem;
use crate::statement::{Statement, Value};
use crate::vocabulary::{Base, DIMENSIONS, Dimension, Kind, PROPERTY_PREFIX, TimeUnit, find_dimension};

/// Longer keys exist nowhere: an event has 32 KiB by default.
const MAX_KEY: usize = 256;

#[derive(Debug, Clone)]
pub(crate) enum Column {
    Declared(&'static Dimension),
    /// The key, which may be any text.
    Property(String),
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Column {
    pub(crate) fn parse(name: &str, field: &str) -> Result<Self, Problem> {
        if let Some(key) = name.strip_prefix(PROPERTY_PREFIX) {
            if key.is_empty() || key.len() > MAX_KEY {
                let detail = format!("the name of a custom property has 1 to {MAX_KEY} bytes");
                return Err(Problem::invalid(field, detail));
            }
            return Ok(Self::Property(key.to_owned()));
        }
        let declared = find_dimension(name).map(Self::Declared);
        declared.ok_or_else(|| {
            let names = DIMENSIONS.iter().map(|dimension| dimension.name);
            Problem::unknown(field, "dimension", name, names.chain(["custom_properties.KEY"]))
        })
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Declared(dimension) => dimension.name.to_owned(),
            Self::Property(key) => format!("{PROPERTY_PREFIX}{key}"),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Declared(dimension) => dimension.kind,
            Self::Property(_) => Kind::Text,
        }
    }

    /// What it is for comparisons by size; `None` if it has none.
    pub(crate) fn number_kind(&self) -> Option<Kind> {
        match self {
            Self::Declared(dimension) => {
                Some(dimension.kind).filter(|kind| !matches!(kind, Kind::Text | Kind::Boolean))
            }
            Self::Property(_) => Some(Kind::Number),
        }
    }

    pub(crate) fn unit(&self) -> Option<TimeUnit> {
        match self {
            Self::Declared(dimension) => dimension.unit(),
            Self::Property(_) => None,
        }
    }

    /// Whether rows of `base` have it.
    pub(crate) fn has(&self, base: Base) -> bool {
        match self {
            Self::Declared(dimension) => dimension.has(base),
            Self::Property(_) => base.of_events(),
        }
    }

    pub(crate) fn sql(&self, base: Base, zone: &str) -> Statement {
        match self {
            Self::Declared(dimension) => Statement::new(dimension.sql(base, zone)),
            Self::Property(key) => property("json_as_text", key),
        }
    }

    /// For comparisons by size.
    pub(crate) fn number_sql(&self, base: Base, zone: &str) -> Statement {
        match self {
            Self::Declared(_) => self.sql(base, zone),
            Self::Property(key) => property("json_get_float", key),
        }
    }
}

fn property(function: &str, key: &str) -> Statement {
    let mut statement = Statement::new(format!("{function}(custom_properties, "));
    statement.bind(Value::Text(key.to_owned())).sql(")");
    statement
}
