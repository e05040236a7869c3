//! The fields of an event, under the names that JSON, query parameters and protobuf have for them.

use footfall_model::proto::Event;

/// One field of an event, or a group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The event as a whole.
    Event,
    TrackingId,
    EventId,
    ClientId,
    SessionId,
    EventType,
    Timestamp,
    SentAt,
    Revenue,
    CustomProperties,
    PropertiesRevenue,
    Page,
    PageUrl,
    PageTitle,
    Referrer,
    User,
    UserId,
    Country,
    City,
    Device,
    Browser,
    Os,
    Utm,
    UtmSource,
    UtmMedium,
    UtmCampaign,
    UtmTerm,
    UtmContent,
    Source,
    Channel,
}

/// Where an object of the JSON form stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Top,
    Page,
    User,
    Utm,
}

/// What a key of the JSON form leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Group(Field, Group),
    /// A string.
    Text(Field),
    /// Whatever its type, read as written.
    Raw(Field),
    /// Ignored, so that older servers take newer clients.
    Unknown,
}

impl Place {
    /// What `key` means inside `group`.
    pub(super) fn of(group: Group, key: &str) -> Self {
        match group {
            Group::Top => Self::at_top(key),
            Group::Page => match key {
                "url" => Self::Text(Field::PageUrl),
                "title" => Self::Text(Field::PageTitle),
                "referrer" => Self::Text(Field::Referrer),
                _ => Self::Unknown,
            },
            Group::User => match key {
                "user_id" => Self::Text(Field::UserId),
                "country" => Self::Text(Field::Country),
                "city" => Self::Text(Field::City),
                "device" => Self::Text(Field::Device),
                "browser" => Self::Text(Field::Browser),
                "os" => Self::Text(Field::Os),
                _ => Self::Unknown,
            },
            Group::Utm => match key {
                "source" => Self::Text(Field::UtmSource),
                "medium" => Self::Text(Field::UtmMedium),
                "campaign" => Self::Text(Field::UtmCampaign),
                "term" => Self::Text(Field::UtmTerm),
                "content" => Self::Text(Field::UtmContent),
                _ => Self::Unknown,
            },
        }
    }

    fn at_top(key: &str) -> Self {
        match key {
            "tracking_id" => Self::Text(Field::TrackingId),
            "client_id" => Self::Text(Field::ClientId),
            "session_id" => Self::Text(Field::SessionId),
            "event_type" => Self::Text(Field::EventType),
            "event_id" | "messageId" => Self::Text(Field::EventId),
            "timestamp" => Self::Raw(Field::Timestamp),
            "sent_at" => Self::Raw(Field::SentAt),
            "revenue" => Self::Raw(Field::Revenue),
            "custom_properties" => Self::Raw(Field::CustomProperties),
            "page" => Self::Group(Field::Page, Group::Page),
            "user" => Self::Group(Field::User, Group::User),
            "utm" => Self::Group(Field::Utm, Group::Utm),
            _ => Self::Unknown,
        }
    }

    /// What a query parameter means: the path of the JSON form (`page.url`), the name of the column (`page_url`), or a
    /// short name, because URLs are short of room.
    pub(super) fn of_parameter(name: &str) -> Self {
        let (group, key) = match name {
            "tid" => (Group::Top, "tracking_id"),
            "cid" => (Group::Top, "client_id"),
            "sid" => (Group::Top, "session_id"),
            "et" => (Group::Top, "event_type"),
            "eid" => (Group::Top, "event_id"),
            "ts" => (Group::Top, "timestamp"),
            "cp" => (Group::Top, "custom_properties"),
            "url" => (Group::Page, "url"),
            "title" => (Group::Page, "title"),
            "ref" | "referrer" => (Group::Page, "referrer"),
            "uid" | "user_id" => (Group::User, "user_id"),
            "country" | "city" | "device" | "browser" | "os" => (Group::User, name),
            _ => match name.split_once(['.', '_']) {
                Some(("page", key)) => (Group::Page, key),
                Some(("user", key)) => (Group::User, key),
                Some(("utm", key)) => (Group::Utm, key),
                _ => (Group::Top, name),
            },
        };
        match Self::of(group, key) {
            Self::Group(..) => Self::Unknown,
            index => index,
        }
    }

    /// The field, if it is one.
    pub(super) fn field(self) -> Option<Field> {
        match self {
            Self::Group(field, _) | Self::Text(field) | Self::Raw(field) => Some(field),
            Self::Unknown => None,
        }
    }
}

impl Field {
    /// The path in the JSON form; empty for the event as a whole.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Event => "",
            Self::TrackingId => "tracking_id",
            Self::EventId => "event_id",
            Self::ClientId => "client_id",
            Self::SessionId => "session_id",
            Self::EventType => "event_type",
            Self::Timestamp => "timestamp",
            Self::SentAt => "sent_at",
            Self::Revenue => "revenue",
            Self::CustomProperties => "custom_properties",
            Self::PropertiesRevenue => "custom_properties.revenue",
            Self::Page => "page",
            Self::PageUrl => "page.url",
            Self::PageTitle => "page.title",
            Self::Referrer => "page.referrer",
            Self::User => "user",
            Self::UserId => "user.user_id",
            Self::Country => "user.country",
            Self::City => "user.city",
            Self::Device => "user.device",
            Self::Browser => "user.browser",
            Self::Os => "user.os",
            Self::Utm => "utm",
            Self::UtmSource => "utm.source",
            Self::UtmMedium => "utm.medium",
            Self::UtmCampaign => "utm.campaign",
            Self::UtmTerm => "utm.term",
            Self::UtmContent => "utm.content",
            Self::Source => "source",
            Self::Channel => "channel",
        }
    }

    /// The name in the protobuf form, where it differs from the path.
    pub(super) fn proto_name(self) -> &'static str {
        match self {
            Self::Timestamp => "event_timestamp",
            Self::PageUrl => "page_url",
            Self::PageTitle => "page_title",
            Self::Referrer => "referrer",
            Self::UserId => "user_id",
            Self::Country => "country",
            Self::City => "city",
            Self::Device => "device",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::UtmSource => "utm_source",
            Self::UtmMedium => "utm_medium",
            Self::UtmCampaign => "utm_campaign",
            Self::UtmTerm => "utm_term",
            Self::UtmContent => "utm_content",
            other => other.path(),
        }
    }

    /// Where the field's text stands in an event; `None` if it isn't a text.
    pub(super) fn slot(self, event: &mut Event) -> Option<Slot<'_>> {
        Some(match self {
            Self::TrackingId => Slot::Required(&mut event.tracking_id),
            Self::EventId => Slot::Required(&mut event.event_id),
            Self::ClientId => Slot::Required(&mut event.client_id),
            Self::SessionId => Slot::Required(&mut event.session_id),
            Self::EventType => Slot::Required(&mut event.event_type),
            Self::PageUrl => Slot::Optional(&mut event.page_url),
            Self::PageTitle => Slot::Optional(&mut event.page_title),
            Self::Referrer => Slot::Optional(&mut event.referrer),
            Self::UserId => Slot::Optional(&mut event.user_id),
            Self::Country => Slot::Optional(&mut event.country),
            Self::City => Slot::Optional(&mut event.city),
            Self::Device => Slot::Optional(&mut event.device),
            Self::Browser => Slot::Optional(&mut event.browser),
            Self::Os => Slot::Optional(&mut event.os),
            Self::UtmSource => Slot::Optional(&mut event.utm_source),
            Self::UtmMedium => Slot::Optional(&mut event.utm_medium),
            Self::UtmCampaign => Slot::Optional(&mut event.utm_campaign),
            Self::UtmTerm => Slot::Optional(&mut event.utm_term),
            Self::UtmContent => Slot::Optional(&mut event.utm_content),
            Self::Source => Slot::Optional(&mut event.source),
            Self::Channel => Slot::Optional(&mut event.channel),
            _ => return None,
        })
    }
}

/// A text of an event. Empty and absent are the same.
#[derive(Debug)]
pub(super) enum Slot<'a> {
    Required(&'a mut String),
    Optional(&'a mut Option<String>),
}

impl Slot<'_> {
    pub(super) fn put(self, text: String) {
        match self {
            Self::Required(slot) => *slot = text,
            Self::Optional(slot) => *slot = Some(text),
        }
    }

    pub(super) fn get(&self) -> Option<&str> {
        match self {
            Self::Required(slot) => Some(slot.as_str()),
            Self::Optional(slot) => slot.as_deref(),
        }
    }

    pub(super) fn clear_if_empty(self) {
        if let Self::Optional(slot) = self
            && slot.as_deref() == Some("")
        {
            *slot = None;
        }
    }
}
