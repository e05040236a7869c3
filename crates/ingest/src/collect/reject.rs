//! Why an event was rejected.

use std::borrow::Cow;

use super::field::Field;
use crate::rules::Problem;

/// The kind of a rejection: the `code` of the reply and the `reason` of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Invalid,
    TooBig,
    UnknownSite,
    Unauthenticated,
    Forbidden,
    Rate,
}

impl Cause {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooBig => "too_big",
            Self::UnknownSite => "unknown_site",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Rate => "rate",
        }
    }
}

/// One event's rejection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reject {
    pub(super) cause: Cause,
    pub(super) field: Field,
    /// What is wrong.
    pub(super) reason: Cow<'static, str>,
    /// What would be valid, if there is one answer.
    pub(super) expected: Option<Cow<'static, str>>,
    /// Seconds after which the same event may be sent again, if a retry can help.
    pub(super) retry_after: Option<u32>,
}

impl Reject {
    pub(super) fn new(cause: Cause, field: impl Into<Field>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause,
            field: field.into(),
            reason: reason.into(),
            expected: None,
            retry_after: None,
        }
    }

    pub(super) fn invalid(field: impl Into<Field>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Invalid, field, reason)
    }

    /// The rules leave no value.
    pub(super) fn of(field: impl Into<Field>, problem: Problem) -> Self {
        Self {
            expected: problem.expected,
            ..Self::invalid(field, problem.reason)
        }
    }

    /// A single event exceeds the size limit.
    pub(super) fn too_big(bytes: usize, limit: usize) -> Self {
        Self::new(Cause::TooBig, Field::EVENT, format!("has {bytes} bytes")).expected(format!("at most {limit} bytes"))
    }

    pub(super) fn expected(mut self, expected: impl Into<Cow<'static, str>>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}
