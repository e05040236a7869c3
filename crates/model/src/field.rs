//! The fields of an event, declared once.
//!
//! From this declaration come the Arrow schema ([`crate::schema`]), the wire schema (`proto/footfall/v1/ingest.proto`),
//! the writer's columns, what collection and import accept and how long a text may be, and `docs/events.md`. A new field
//! is one entry here, plus the code that computes its value if the client does not send it. `tests/generated.rs` fails
//! while the two generated files differ from the declaration, and writes them with `UPDATE_GENERATED=1`.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::proto::Event;
use crate::schema::REVENUE_SCALE;

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Text,
    /// A JSON object, as text.
    Json,
    /// UTC, microseconds since 1970-01-01.
    Time,
    /// Money, exact to [`REVENUE_SCALE`] digits after the point; on the wire in units of the last of them.
    Amount,
    Flag,
    /// The 64 bits of a hash as a signed number, because Delta has no unsigned type.
    Hash,
    /// A day, UTC.
    Day,
}

impl FieldType {
    /// The column's type.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Amount => DataType::Decimal128(18, REVENUE_SCALE),
            Self::Flag => DataType::Boolean,
            Self::Hash => DataType::Int64,
            Self::Day => DataType::Date32,
        }
    }

    /// The type in the wire schema, if it can be there.
    pub const fn proto(self) -> Option<&'static str> {
        match self {
            Self::Text | Self::Json => Some("string"),
            Self::Time => Some("int64"),
            Self::Amount => Some("sint64"),
            Self::Flag => Some("bool"),
            Self::Hash | Self::Day => None,
        }
    }

    /// The type in SQL.
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Json => "VARCHAR",
            Self::Time => "TIMESTAMP WITH TIME ZONE",
            Self::Amount => "DECIMAL(18, 4)",
            Self::Flag => "BOOLEAN",
            Self::Hash => "BIGINT",
            Self::Day => "DATE",
        }
    }

    /// Whether the column is text.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Json)
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOrigin {
    /// The client; the server never fills it in.
    Client,
    /// The client, or the server on arrival if the client sends none.
    ClientOrServer,
    /// The server on arrival. A value that the client sends is ignored.
    Server,
    /// The writer and the import, from other fields. It is not on the wire, and a file's column of this name is
    /// ignored.
    Derived,
}

/// The declaration of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// The name of the column, and of the field in the wire schema.
    pub name: &'static str,
    /// The number in the wire schema. `None`: the field is only a column.
    pub tag: Option<u32>,
    pub field_type: FieldType,
    /// Whether the column may be null, and whether the wire schema distinguishes absent from empty.
    pub nullable: bool,
    pub origin: FieldOrigin,
    /// The path in the JSON form, such as `page.url`. `None`: JSON and query parameters can't set it.
    pub json: Option<&'static str>,
    /// Maximum length of a text in characters. `None`: no limit of its own.
    pub max_chars: Option<usize>,
    /// One line for documentation and for the comment of the column.
    pub description: &'static str,
}

impl FieldSpec {
    /// The column.
    pub fn arrow(&self) -> Field {
        Field::new(self.name, self.field_type.arrow(), self.nullable)
    }

    /// Whether the client must send it.
    pub const fn is_required(&self) -> bool {
        !self.nullable && matches!(self.origin, FieldOrigin::Client)
    }

    /// The number of characters of a text that is over the limit; `None` if it is not.
    pub fn excess_chars(&self, text: &str) -> Option<usize> {
        let limit = self.max_chars?;
        // A text never has fewer bytes than characters, and mostly as many.
        if text.len() <= limit {
            return None;
        }
        Some(text.chars().count()).filter(|chars| *chars > limit)
    }
}

/// A text field of an event on the wire. Empty and absent are equivalent.
#[derive(Debug)]
pub enum TextSlot<'a> {
    Required(&'a mut String),
    Optional(&'a mut Option<String>),
}

impl TextSlot<'_> {
    pub fn set(self, text: String) {
        match self {
            Self::Required(slot) => *slot = text,
            Self::Optional(slot) => *slot = Some(text),
        }
    }

    /// Makes the text absent.
    pub fn clear(self) {
        match self {
            Self::Required(slot) => slot.clear(),
            Self::Optional(slot) => *slot = None,
        }
    }
}

macro_rules! option {
    (none) => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

macro_rules! nullable {
    (Required) => {
        false
    };
    (Optional) => {
        true
    };
}

/// The text of an event's field, where it is one.
macro_rules! text {
    ($event:ident, $name:ident, none, $type:ident, $presence:ident) => {
        None
    };
    ($event:ident, $name:ident, $tag:literal, Text, Required) => {
        Some($event.$name.as_str())
    };
    ($event:ident, $name:ident, $tag:literal, Text, Optional) => {
        $event.$name.as_deref()
    };
    ($event:ident, $name:ident, $tag:literal, Json, Optional) => {
        $event.$name.as_deref()
    };
    ($event:ident, $name:ident, $tag:literal, $type:ident, $presence:ident) => {
        None
    };
}

macro_rules! text_mut {
    ($event:ident, $name:ident, none, $type:ident, $presence:ident) => {
        None
    };
    ($event:ident, $name:ident, $tag:literal, Text, Required) => {
        Some(TextSlot::Required(&mut $event.$name))
    };
    ($event:ident, $name:ident, $tag:literal, Text, Optional) => {
        Some(TextSlot::Optional(&mut $event.$name))
    };
    ($event:ident, $name:ident, $tag:literal, Json, Optional) => {
        Some(TextSlot::Optional(&mut $event.$name))
    };
    ($event:ident, $name:ident, $tag:literal, $type:ident, $presence:ident) => {
        None
    };
}

macro_rules! event_fields {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident($name:ident, $tag:tt, $type:ident, $presence:ident, $origin:ident, $json:tt, $max_chars:tt);
    )+) => {
        /// A field of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventField {
            $( $(#[doc = $doc])+ $field, )+
        }

        const SPECS: &[FieldSpec] = &[
            $( FieldSpec {
                name: stringify!($name),
                tag: option!($tag),
                field_type: FieldType::$type,
                nullable: nullable!($presence),
                origin: FieldOrigin::$origin,
                json: option!($json),
                max_chars: option!($max_chars),
                description: concat!($($doc),+).trim_ascii(),
            }, )+
        ];

        impl EventField {
            /// All fields, in the order of the columns.
            pub const ALL: &'static [Self] = &[ $( Self::$field, )+ ];

            /// The event's text in this field; `None` if it is absent, not a text, or not on the wire.
            pub fn text(self, event: &Event) -> Option<&str> {
                match self {
                    $( Self::$field => text!(event, $name, $tag, $type, $presence), )+
                }
            }

            /// The event's text field for writing; `None` if it is not a text or not on the wire.
            pub fn text_mut(self, event: &mut Event) -> Option<TextSlot<'_>> {
                match self {
                    $( Self::$field => text_mut!(event, $name, $tag, $type, $presence), )+
                }
            }
        }
    };
}

impl EventField {
    /// The field's declaration.
    pub const fn spec(self) -> &'static FieldSpec {
        &SPECS[self as usize]
    }

    /// The name of the column.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }
}

// In the order of the columns: files are sorted by the first three, and the partition column is the last.
event_fields! {
    // (column, number on the wire, type, presence, origin, path in JSON, most characters); `none` where there is none

    /// The site that the event belongs to.
    TrackingId(tracking_id, 1, Text, Required, Client, "tracking_id", 128);
    /// 64-bit hash of the site and the visitor: files are sorted by it, samples are drawn from it.
    ClientHash(client_hash, none, Hash, Required, Derived, none, none);
    /// When it happened; without a time from the client, when it was received.
    EventTimestamp(event_timestamp, 7, Time, Required, ClientOrServer, "timestamp", none);
    /// The event's own id: what a site sends twice under one id is stored once. Without one, a hash of all that was sent.
    EventId(event_id, 2, Text, Required, ClientOrServer, "event_id", 256);
    /// The visitor: a browser, an app installation.
    ClientId(client_id, 3, Text, Required, Client, "client_id", 256);
    /// The client's own session id, as sent; the server assigns none.
    SessionId(session_id, 4, Text, Optional, Client, "session_id", 256);
    /// The person, where the site knows who it is.
    UserId(user_id, 5, Text, Optional, Client, "user.user_id", 256);
    /// What happened, such as `pageview` or `purchase`.
    EventType(event_type, 6, Text, Required, Client, "event_type", 128);
    /// The page's address, as sent.
    PageUrl(page_url, 8, Text, Optional, Client, "page.url", 2048);
    /// Host of `page_url` in lower case, with its port if that is not the scheme's own.
    PageHost(page_host, none, Text, Optional, Derived, none, 260);
    /// Path of `page_url`, without query, fragment and trailing slash.
    PagePath(page_path, none, Text, Optional, Derived, none, 2048);
    /// The page's title.
    PageTitle(page_title, 9, Text, Optional, Client, "page.title", 1024);
    /// The page that linked here.
    Referrer(referrer, 10, Text, Optional, Client, "page.referrer", 4096);
    /// Campaign source, else from the query of `page_url`.
    UtmSource(utm_source, 20, Text, Optional, ClientOrServer, "utm.source", 256);
    /// Campaign medium, else from the query of `page_url`.
    UtmMedium(utm_medium, 21, Text, Optional, ClientOrServer, "utm.medium", 256);
    /// Campaign name, else from the query of `page_url`.
    UtmCampaign(utm_campaign, 22, Text, Optional, ClientOrServer, "utm.campaign", 256);
    /// Campaign term, else from the query of `page_url`.
    UtmTerm(utm_term, 23, Text, Optional, ClientOrServer, "utm.term", 256);
    /// Campaign content, else from the query of `page_url`.
    UtmContent(utm_content, 24, Text, Optional, ClientOrServer, "utm.content", 256);
    /// ISO 3166-1 alpha-2, else from the sender's address.
    Country(country, 25, Text, Optional, ClientOrServer, "user.country", 64);
    /// City, else from the sender's address if a city database is configured.
    City(city, 26, Text, Optional, ClientOrServer, "user.city", 64);
    /// `desktop`, `mobile`, `tablet` or `other`, else from the User-Agent.
    Device(device, 27, Text, Optional, ClientOrServer, "user.device", 64);
    /// Browser, else from the User-Agent.
    Browser(browser, 28, Text, Optional, ClientOrServer, "user.browser", 64);
    /// Operating system, else from the User-Agent.
    Os(os, 29, Text, Optional, ClientOrServer, "user.os", 64);
    /// Where the visit came from: UTM, then click id, then referrer.
    Source(source, 30, Text, Optional, ClientOrServer, none, 256);
    /// The group of sources that the visit belongs to, such as `Organic Search`.
    Channel(channel, 31, Text, Optional, ClientOrServer, none, 64);
    /// Whether the sender is known to be a bot.
    IsBot(is_bot, 32, Flag, Required, ClientOrServer, none, none);
    /// In the site's currency, exact; on the wire in units of 1/10,000. Else `revenue` in `custom_properties`.
    Revenue(revenue, 11, Amount, Optional, Client, "revenue", none);
    /// What else the site wants to say: a JSON object, its digits and the order of its keys as sent.
    CustomProperties(custom_properties, 12, Json, Optional, Client, "custom_properties", none);
    /// When the event was received.
    CreatedAt(created_at, 33, Time, Required, Server, none, none);
    /// The day of `event_timestamp`, UTC. The table is partitioned by it.
    EventDate(event_date, none, Day, Required, Derived, none, none);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tags_and_paths_are_unique() {
        let fields = || EventField::ALL.iter().map(|field| field.spec());
        let names: BTreeSet<_> = fields().map(|spec| spec.name).collect();
        let tags: BTreeSet<_> = fields().filter_map(|spec| spec.tag).collect();
        let paths: BTreeSet<_> = fields().filter_map(|spec| spec.json).collect();
        assert_eq!(names.len(), EventField::ALL.len());
        assert_eq!(tags.len(), fields().filter(|spec| spec.tag.is_some()).count());
        assert_eq!(paths.len(), fields().filter(|spec| spec.json.is_some()).count());
    }

    #[test]
    fn derived_fields_are_not_on_the_wire() {
        for spec in EventField::ALL.iter().map(|field| field.spec()) {
            assert_eq!(spec.tag.is_none(), spec.origin == FieldOrigin::Derived, "{}", spec.name);
            assert!(spec.tag.is_none() || spec.field_type.proto().is_some(), "{}", spec.name);
            assert!(spec.json.is_none() || spec.tag.is_some(), "{}", spec.name);
        }
    }

    #[test]
    fn text_fields_are_independent() {
        let mut event = Event::default();
        let texts = || EventField::ALL.iter().filter(|field| field.spec().tag.is_some());
        for field in texts() {
            let is_text = field.spec().field_type.is_text();
            match field.text_mut(&mut event) {
                Some(slot) => slot.set(field.name().to_owned()),
                None => assert!(!is_text, "{field:?}"),
            }
        }
        for field in texts().filter(|field| field.spec().field_type.is_text()) {
            assert_eq!(field.text(&event), Some(field.name()));
            if let Some(slot) = field.text_mut(&mut event) {
                slot.clear();
            }
            assert_eq!(field.text(&event).is_none(), field.spec().nullable, "{field:?}");
        }
        assert_eq!((event.tracking_id.as_str(), event.page_url), ("", None));
    }

    #[test]
    fn limits_count_characters() {
        let spec = EventField::Country.spec();
        assert_eq!(spec.excess_chars(&"ü".repeat(64)), None);
        assert_eq!(spec.excess_chars(&"ü".repeat(65)), Some(65));
        assert_eq!(
            EventField::CustomProperties.spec().excess_chars(&"x".repeat(100_000)),
            None
        );
    }
}
