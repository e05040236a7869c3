//! The kinds of configuration values, each readable from TOML and from the text of a variable or a flag.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use tracing_subscriber::EnvFilter;

/// What `footfall config` prints instead of a secret.
const MASK: &str = "***";

/// Units of a size and their bytes, largest first. Units of 1,000 are read but never written.
const BINARY_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL_UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];

/// A number of bytes, written `64MiB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ByteSize(pub(crate) u64);

impl ByteSize {
    pub(crate) const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    pub(crate) const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// As a memory limit of this machine, at most `usize::MAX`.
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let unit = unit.trim();
        let factor = match unit {
            "" | "B" => 1,
            _ => {
                let mut units = BINARY_UNITS.into_iter().chain(DECIMAL_UNITS);
                units.find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1
            }
        };
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in BINARY_UNITS {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber {
            expected: "a size such as \"64MiB\" or a number of bytes",
            text: ByteSize::parse,
            number: |n| Some(ByteSize(n)),
            flag: |_| None,
        })
    }
}

/// A length of time, written `2s`, `250ms`, `90d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        if nanos == 0 {
            for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
                if seconds >= length && seconds.is_multiple_of(length) {
                    return write!(f, "{}{unit}", seconds / length);
                }
            }
            return write!(f, "{seconds}s");
        }
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber {
            expected: "a duration such as \"2s\", \"250ms\" or \"90d\"",
            text: |text| humantime::parse_duration(text).ok().map(Span),
            number: |_| None,
            flag: |_| None,
        })
    }
}

/// A number of proxies; `true` means one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Hops(pub(crate) usize);

impl Hops {
    fn of(flag: bool) -> Option<Self> {
        Some(Self(usize::from(flag)))
    }
}

impl<'de> Deserialize<'de> for Hops {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber {
            expected: "true, false or a number of proxies",
            text: |text| match text {
                "true" => Hops::of(true),
                "false" => Hops::of(false),
                _ => text.parse().ok().map(Hops),
            },
            number: |n| usize::try_from(n).ok().map(Hops),
            flag: Hops::of,
        })
    }
}

/// The roles of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    ingest: bool,
    query: bool,
    compact: bool,
    gateway: bool,
}

const ROLES: &str = "all, or a list of ingest, query, compact, gateway";

impl Roles {
    pub(crate) const ALL: Self = Self {
        ingest: true,
        query: true,
        compact: true,
        gateway: true,
    };

    const NONE: Self = Self {
        ingest: false,
        query: false,
        compact: false,
        gateway: false,
    };

    /// Whether it collects events and writes them into the lake.
    pub(crate) fn ingest(self) -> bool {
        self.ingest
    }

    /// Whether it answers queries.
    pub(crate) fn query(self) -> bool {
        self.query
    }

    /// Whether it merges files and takes care of the lake.
    pub(crate) fn compact(self) -> bool {
        self.compact
    }

    /// Whether it answers reports over HTTP.
    pub(crate) fn gateway(self) -> bool {
        self.gateway
    }

    /// Whether it needs neither lake nor catalog.
    pub(crate) fn only_gateway(self) -> bool {
        self == Self {
            gateway: true,
            ..Self::NONE
        }
    }

    fn with(self, name: &str) -> Result<Self, String> {
        match name.trim() {
            "all" => Ok(Self::ALL),
            "ingest" => Ok(Self { ingest: true, ..self }),
            "query" => Ok(Self { query: true, ..self }),
            "compact" => Ok(Self { compact: true, ..self }),
            "gateway" => Ok(Self { gateway: true, ..self }),
            unknown => Err(format!("{unknown:?} is not a role; expected {ROLES}")),
        }
    }

    /// `all`, or names separated by commas.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(',').try_fold(Self::NONE, Self::with)
    }
}

impl Serialize for Roles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::ALL {
            return serializer.serialize_str("all");
        }
        let names = [
            (self.ingest, "ingest"),
            (self.query, "query"),
            (self.compact, "compact"),
            (self.gateway, "gateway"),
        ];
        serializer.collect_seq(names.iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name))
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Roles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(ROLES)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Roles, E> {
                Roles::parse(text).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Roles, A::Error> {
                let mut roles = Roles::NONE;
                while let Some(name) = names.next_element::<String>()? {
                    roles = roles.with(&name).map_err(de::Error::custom)?;
                }
                if roles == Roles::NONE {
                    return Err(de::Error::custom(format!("no role is named; expected {ROLES}")));
                }
                Ok(roles)
            }
        }
        deserializer.deserialize_any(Names)
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Masked(String);

impl Masked {
    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Masked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Masked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = String::deserialize(deserializer)?;
        if secret == MASK {
            return Err(de::Error::custom(
                "it is masked; put the secret itself, or take the key out",
            ));
        }
        Ok(Self(secret))
    }
}

/// Refuses invalid locations of a lake.
pub(super) fn location<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.parse::<footfall_lake::Location>() {
        Ok(_) => Ok(text),
        Err(error) => Err(de::Error::custom(error)),
    }
}

/// Refuses invalid log levels.
pub(super) fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(de::Error::custom(format!(
            "{error}; expected error, warn, info, debug or trace, or a list such as info,footfall_ingest=debug"
        ))),
    }
}

/// Refuses zero for a limit, with which nothing would work.
pub(super) fn not_zero<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let value = T::deserialize(deserializer)?;
    if value == T::default() {
        return Err(de::Error::custom(
            "it is zero; expected more, or leave it out for the default",
        ));
    }
    Ok(value)
}

/// Reads a value that may be given as text, number or boolean.
struct TextOrNumber<T> {
    expected: &'static str,
    text: fn(&str) -> Option<T>,
    number: fn(u64) -> Option<T>,
    flag: fn(bool) -> Option<T>,
}

impl<T> Visitor<'_> for TextOrNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let unsigned = u64::try_from(number).ok();
        unsigned
            .and_then(self.number)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &self))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<T, E> {
        (self.flag)(flag).ok_or_else(|| E::invalid_value(de::Unexpected::Bool(flag), &self))
    }
}
