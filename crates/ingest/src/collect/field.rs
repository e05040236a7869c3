//! Maps JSON keys and query parameters to the fields of an event, and fields to their names in replies. The fields
//! are declared in [`footfall_model::field`].

use std::collections::HashMap;
use std::sync::LazyLock;

use footfall_model::field::{EventField, FieldType};

/// The subject of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// An object of the JSON form; [`Group::Top`] is the event as a whole.
    Group(Group),
    /// A stored field.
    Stored(EventField),
    /// The client's time of sending: corrects the event's time, and is not stored.
    SentAt,
}

/// An object of the JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Top,
    Page,
    User,
    Utm,
}

impl Group {
    const ALL: [Self; 4] = [Self::Top, Self::Page, Self::User, Self::Utm];

    const fn path(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Page => "page",
            Self::User => "user",
            Self::Utm => "utm",
        }
    }
}

/// The meaning of a JSON key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Group(Group),
    Value(Field),
    /// Ignored, so that older servers take newer clients.
    Unknown,
}

/// Aliases of fields, as used by clients of other systems.
pub(crate) const ALIASES: [(&str, EventField); 1] = [("messageId", EventField::EventId)];

/// Short names of query parameters, because URLs are limited in length.
pub(crate) const SHORT_NAMES: [(&str, EventField); 11] = [
    ("tid", EventField::TrackingId),
    ("cid", EventField::ClientId),
    ("sid", EventField::SessionId),
    ("et", EventField::EventType),
    ("eid", EventField::EventId),
    ("ts", EventField::EventTimestamp),
    ("cp", EventField::CustomProperties),
    ("url", EventField::PageUrl),
    ("title", EventField::PageTitle),
    ("ref", EventField::Referrer),
    ("uid", EventField::UserId),
];

type Keys = Vec<(&'static str, Target)>;

/// The keys of a group by their length, of which few have the same.
type KeysByLength = Vec<Keys>;

/// The keys of each group, by its number.
static KEYS: LazyLock<[KeysByLength; Group::ALL.len()]> = LazyLock::new(|| Group::ALL.map(keys_by_length));

/// Fields by parameter name.
static PARAMETERS: LazyLock<HashMap<String, Target>> = LazyLock::new(|| {
    let stored = EventField::ALL
        .iter()
        .filter_map(|field| Some((field, field.spec().json?)));
    let names = stored.flat_map(|(field, path)| {
        let names = [path.to_owned(), path.replace('.', "_"), field.name().to_owned()];
        names.map(|name| (name, Target::stored(*field)))
    });
    let others = ALIASES.iter().chain(&SHORT_NAMES);
    let others = others.map(|(name, field)| ((*name).to_owned(), Target::stored(*field)));
    let sent_at = ("sent_at".to_owned(), Target::Value(Field::SentAt));
    names.chain(others).chain([sent_at]).collect()
});

fn keys_by_length(group: Group) -> KeysByLength {
    let mut by_length = KeysByLength::new();
    for (key, target) in keys(group) {
        by_length.resize_with(by_length.len().max(key.len() + 1), Keys::new);
        by_length[key.len()].push((key, target));
    }
    by_length
}

fn keys(group: Group) -> Keys {
    let stored = EventField::ALL.iter().filter_map(|field| {
        let (parent, key) = field
            .spec()
            .json
            .map(|path| path.split_once('.').unwrap_or(("", path)))?;
        (parent == group.path()).then_some((key, Target::stored(*field)))
    });
    let mut keys: Keys = stored.collect();
    if group == Group::Top {
        let groups = Group::ALL.into_iter().filter(|group| *group != Group::Top);
        keys.extend(groups.map(|group| (group.path(), Target::Group(group))));
        keys.extend(ALIASES.map(|(name, field)| (name, Target::stored(field))));
        keys.push(("sent_at", Target::Value(Field::SentAt)));
    }
    keys
}

impl Target {
    /// What `key` means inside `group`.
    pub(super) fn of(group: Group, key: &str) -> Self {
        let keys = KEYS.get(group as usize).and_then(|keys| keys.get(key.len()));
        Self::found(
            keys.into_iter()
                .flatten()
                .copied()
                .find(|(name, _)| *name == key)
                .map(|(_, target)| target),
        )
    }

    /// What a query parameter means: the path of the JSON form (`page.url`), the name of the column (`page_url`), or a
    /// short name.
    pub(super) fn of_parameter(name: &str) -> Self {
        Self::found(PARAMETERS.get(name).copied())
    }

    fn found(target: Option<Self>) -> Self {
        target.unwrap_or(Self::Unknown)
    }

    fn stored(field: EventField) -> Self {
        Self::Value(Field::Stored(field))
    }

    /// The field, if it is one.
    pub(super) fn field(self) -> Option<Field> {
        match self {
            Self::Group(group) => Some(Field::Group(group)),
            Self::Value(field) => Some(field),
            Self::Unknown => None,
        }
    }
}

impl From<EventField> for Field {
    fn from(field: EventField) -> Self {
        Self::Stored(field)
    }
}

impl Field {
    /// The event as a whole.
    pub(super) const EVENT: Self = Self::Group(Group::Top);

    /// The path in the JSON form; empty for the event as a whole.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Group(group) => group.path(),
            Self::Stored(field) => field.spec().json.unwrap_or(field.name()),
            Self::SentAt => "sent_at",
        }
    }

    /// The name in the protobuf form.
    pub(super) fn proto_name(self) -> &'static str {
        match self {
            Self::Stored(field) => field.name(),
            other => other.path(),
        }
    }

    /// Whether its value is any text.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Stored(field) if field.spec().field_type == FieldType::Text)
    }

    /// A bit that is unique to this field.
    pub(super) fn bit(self) -> u64 {
        let index = match self {
            Self::Stored(field) => field as usize,
            Self::SentAt => EventField::ALL.len(),
            Self::Group(group) => EventField::ALL.len() + 1 + group as usize,
        };
        1 << index
    }
}

const _: () = assert!(EventField::ALL.len() + 1 + Group::ALL.len() <= 64, "a field has no bit");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_paths_resolve_to_fields() {
        for (path, field) in EventField::ALL
            .iter()
            .filter_map(|field| Some((field.spec().json?, *field)))
        {
            let (parent, key) = path.split_once('.').unwrap_or(("", path));
            let group = Group::ALL.into_iter().find(|group| group.path() == parent);
            let group = group.unwrap_or_else(|| panic!("{path} is in no group"));
            assert_eq!(Target::of(group, key).field(), Some(Field::Stored(field)));
            for name in [path, &path.replace('.', "_"), field.name()] {
                assert_eq!(Target::of_parameter(name).field(), Some(Field::Stored(field)), "{name}");
            }
        }
    }

    #[test]
    fn server_set_fields_have_no_key() {
        for name in [
            "created_at",
            "client_hash",
            "page_host",
            "page_path",
            "event_date",
            "is_bot",
            "channel",
        ] {
            assert_eq!(Target::of(Group::Top, name), Target::Unknown);
            assert_eq!(Target::of_parameter(name), Target::Unknown);
        }
        assert_eq!(Target::of_parameter("page"), Target::Unknown);
        assert_eq!(Target::of(Group::Top, "url"), Target::Unknown);
    }
}
