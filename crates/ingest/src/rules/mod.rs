//! What becomes of each value of an event: one set of rules for HTTP, the beacon, gRPC and the import. Pure.
//!
//! Odd text never costs the event. [`text`] cuts what is too long, replaces what no text may hold and takes blank for
//! absent; [`properties`] does the same inside `custom_properties`. What is done is recorded in [`Changes`]. A
//! [`Problem`] is left for what has no meaning: a time or an amount that is none, or properties that are too big.
//!
//! [`event_id`] gives an event that has no id of its own its identity, over the values that these rules left.
//!
//! Applying the rules twice equals applying them once, so a stored event may pass here again.

mod amount;
mod changes;
mod identity;
mod properties;
mod scalar;
mod text;
mod time;

use std::borrow::Cow;

pub use properties::PropertyLimits;

pub(crate) use amount::{AMOUNT, amount, checked_amount};
pub(crate) use changes::{Changes, What};
pub(crate) use identity::{Moment, Value, event_id};
pub(crate) use properties::{Properties, normal_properties, properties};
pub(crate) use scalar::{Scalar, kind, scalar};
pub(crate) use text::text;
pub(crate) use time::{TIME, check_time, corrected_time, time};

/// Why a value can't be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong, to be read behind the field's name: `is not a number`.
    pub(crate) reason: Cow<'static, str>,
    /// What would be valid, if there is one answer.
    pub(crate) expected: Option<Cow<'static, str>>,
}

impl Problem {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            expected: None,
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// A value of the wrong type, which is named in words: `an object`.
    pub(crate) fn wrong_type(found: &str, expected: &'static str) -> Self {
        Self::new(format!("is {found}")).expected(expected)
    }
}

/// The beginning of a value, to keep messages short.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
