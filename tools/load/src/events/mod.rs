//! Events that look like a site's traffic, as prebuilt bytes.
//!
//! ```text
//! content    what visitors do: pages, referrers, campaigns, properties. Fixed in the prebuilt bytes
//! identity   who and which: event id, visitor, session. A pure function of the event's number
//! form       an event as JSON or protobuf, with slots of fixed width for what changes
//! template   a request's worth of events; `Filler` copies it and fills the slots
//! ```
//!
//! Ids are unique and look random, so that nothing is deduplicated and nothing compresses better than real ids do.

mod content;
mod form;
mod identity;
mod template;

pub(crate) use content::AGENTS;
pub(crate) use form::Form;
pub(crate) use identity::Sequence;
pub(crate) use template::{Filler, Template, templates};
