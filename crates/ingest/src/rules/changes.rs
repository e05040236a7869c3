//! What the rules changed in an event.

use footfall_model::field::EventField;

/// What was done to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Too long: the rest is gone.
    Cut,
    /// NUL or halves of surrogate pairs became U+FFFD.
    Replaced,
    /// Nothing but white space: absent.
    Blanked,
    /// Not of the kind that the field needs: absent.
    Ignored,
}

impl What {
    /// The name in replies, and the `reason` of the metric.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Replaced => "replaced",
            Self::Blanked => "blanked",
            Self::Ignored => "ignored",
        }
    }
}

/// One change of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) field: EventField,
    pub(crate) what: What,
    /// Characters before and after.
    pub(crate) before: usize,
    pub(crate) after: usize,
}

impl Change {
    /// The path in the JSON form of the value that was changed.
    pub(crate) fn path(&self) -> &'static str {
        match (self.field, self.what) {
            // `revenue` itself is rejected rather than ignored.
            (EventField::Revenue, What::Ignored) => "custom_properties.revenue",
            (field, _) => field.spec().json.unwrap_or(field.name()),
        }
    }
}

/// All changes of an event; for nearly all events there are none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    pub(crate) fn record(&mut self, field: EventField, what: What, before: &str, after: &str) {
        self.0.push(Change {
            field,
            what,
            before: before.chars().count(),
            after: after.chars().count(),
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds them to the metric.
    pub(crate) fn count(&self) {
        for change in &self.0 {
            metrics::counter!("footfall_ingest_values_changed_total", "reason" => change.what.name()).increment(1);
        }
    }
}
