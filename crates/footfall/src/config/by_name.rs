//! Values of other crates that are written by their names.

use std::fmt::Display;
use std::str::FromStr;

use footfall_ingest::collect::AddressHeader;
use footfall_model::hash::DedupeBy;
use footfall_query::Beyond;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serializer};

pub(super) trait Named: FromStr<Err: Display> + Copy {
    fn name(self) -> &'static str;
}

impl Named for DedupeBy {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for AddressHeader {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

impl Named for Beyond {
    fn name(self) -> &'static str {
        Self::name(self)
    }
}

pub(super) fn serialize<S: Serializer>(value: &impl Named, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.name())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
