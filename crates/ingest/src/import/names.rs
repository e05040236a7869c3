//! The names that a file may give to the fields of an event.
//!
//! Of two columns for one field the one with the lower [`Name::Field::rank`] counts: the names of the HTTP API first, so
//! that a file of what was sent there means the same here; then the columns of `events`; then the other spellings, which
//! are those of the beacon.

use std::collections::HashMap;
use std::sync::LazyLock;

use footfall_model::field::{EventField, FieldOrigin};

use crate::collect::{ALIASES, SHORT_NAMES};

/// What a column, or a key of a JSON object, stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Field {
        field: EventField,
        rank: u8,
    },
    /// An object of the HTTP API, whose keys are named by [`Name::in_group`].
    Group(Group),
    /// Derived anew from other fields, or of no use in a file.
    Unused,
    Unknown,
}

/// An object inside an event of the HTTP API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Page,
    User,
    Utm,
}

impl Group {
    const ALL: [Self; 3] = [Self::Page, Self::User, Self::Utm];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::User => "user",
            Self::Utm => "utm",
        }
    }
}

/// By [`EventField`], with the columns that no import takes.
static FLAT: LazyLock<HashMap<String, Name>> = LazyLock::new(|| {
    let mut names = HashMap::new();
    // The first meaning of a name counts.
    let mut add = |name: String, meaning: Name| {
        names.entry(name).or_insert(meaning);
    };
    let fields = || EventField::ALL.iter().copied();
    let imported = || fields().filter(|field| is_imported(*field));
    for field in imported() {
        if let Some(path) = field.spec().json {
            add(path.to_owned(), Name::Field { field, rank: 0 });
        }
    }
    for (alias, field) in ALIASES {
        add(alias.to_owned(), Name::Field { field, rank: 0 });
    }
    for field in imported() {
        add(field.name().to_owned(), Name::Field { field, rank: 1 });
    }
    for field in imported() {
        if let Some(path) = field.spec().json {
            add(path.replace('.', "_"), Name::Field { field, rank: 2 });
        }
    }
    for (short, field) in SHORT_NAMES {
        add(short.to_owned(), Name::Field { field, rank: 2 });
    }
    for field in fields().filter(|field| !is_imported(*field)) {
        add(field.name().to_owned(), Name::Unused);
    }
    add("sent_at".to_owned(), Name::Unused);
    names
});

static GROUPED: LazyLock<HashMap<&'static str, EventField>> = LazyLock::new(|| {
    let fields = EventField::ALL.iter();
    fields.filter_map(|field| Some((field.spec().json?, *field))).collect()
});

/// Whether a file may give the field: it is not derived from others.
pub(super) fn is_imported(field: EventField) -> bool {
    field.spec().origin != FieldOrigin::Derived
}

impl Name {
    /// What a column means.
    pub(super) fn of_column(name: &str) -> Self {
        FLAT.get(name.trim()).copied().unwrap_or(Self::Unknown)
    }

    /// What a key of an event as a JSON object means.
    pub(super) fn of_key(key: &str) -> Self {
        let group = Group::ALL.into_iter().find(|group| group.name() == key);
        group.map_or_else(|| Self::of_column(key), Self::Group)
    }

    /// What a key inside a group means.
    pub(super) fn in_group(group: Group, key: &str) -> Self {
        let field = GROUPED.get(format!("{}.{key}", group.name()).as_str());
        field.map_or(Self::Unknown, |field| Self::Field { field: *field, rank: 0 })
    }
}

/// The columns of a file: which of them gives each field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// By the place of the column. `None`: it is not imported.
    pub fields: Vec<Option<EventField>>,
    /// The names of those that mean nothing here, or for whose field there is a better one.
    pub ignored: Vec<String>,
}

impl Columns {
    /// # Errors
    /// Two names that mean the same field and of which neither is the better one.
    pub(super) fn of(names: &[&str]) -> Result<Self, (String, String, EventField)> {
        let meanings: Vec<_> = names.iter().map(|name| Name::of_column(name)).collect();
        let mut columns = Self::default();
        for (index, meaning) in meanings.iter().enumerate() {
            let mut used = None;
            match meaning {
                Name::Field { field, rank } => {
                    let others = meanings.iter().zip(names).enumerate();
                    let mut same = others.filter_map(|(at, (other, name))| match other {
                        Name::Field { field: other, rank } if other == field && at != index => Some((*rank, *name)),
                        _ => None,
                    });
                    used = Some(*field);
                    if let Some((other, name)) = same.find(|(other, _)| other <= rank) {
                        if other == *rank {
                            return Err((name.to_owned(), names[index].to_owned(), *field));
                        }
                        used = None;
                        columns.ignored.push(names[index].to_owned());
                    }
                }
                Name::Unused => {}
                Name::Group(_) | Name::Unknown => columns.ignored.push(names[index].to_owned()),
            }
            columns.fields.push(used);
        }
        Ok(columns)
    }

    pub(super) fn has(&self, field: EventField) -> bool {
        self.fields.contains(&Some(field))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn field(name: &str) -> Option<EventField> {
        match Name::of_column(name) {
            Name::Field { field, .. } => Some(field),
            _ => None,
        }
    }

    #[test]
    fn every_spelling_of_http_and_beacon_is_a_column() {
        for (name, expected) in [
            ("event_timestamp", EventField::EventTimestamp),
            ("timestamp", EventField::EventTimestamp),
            ("ts", EventField::EventTimestamp),
            ("messageId", EventField::EventId),
            ("url", EventField::PageUrl),
            ("page.url", EventField::PageUrl),
            ("page_url", EventField::PageUrl),
            (" page_url ", EventField::PageUrl),
            ("user.country", EventField::Country),
            ("user_country", EventField::Country),
            ("country", EventField::Country),
            ("utm.source", EventField::UtmSource),
            ("utm_source", EventField::UtmSource),
            ("is_bot", EventField::IsBot),
            ("channel", EventField::Channel),
            ("created_at", EventField::CreatedAt),
        ] {
            assert_eq!(field(name), Some(expected), "{name}");
        }
        for name in ["client_hash", "page_host", "page_path", "event_date", "sent_at"] {
            assert_eq!(Name::of_column(name), Name::Unused, "{name}");
        }
        for name in ["timestmap", "page", "Country"] {
            assert_eq!(Name::of_column(name), Name::Unknown, "{name}");
        }
        assert_eq!(Name::of_key("page"), Name::Group(Group::Page));
        assert!(matches!(
            Name::in_group(Group::Page, "url"),
            Name::Field {
                field: EventField::PageUrl,
                rank: 0
            }
        ));
        assert_eq!(Name::in_group(Group::Page, "source"), Name::Unknown);
    }

    #[test]
    fn better_name_of_a_field_wins() {
        let columns = Columns::of(&["ts", "event_timestamp", "timestamp", "client_hash", "x"]).unwrap();
        assert_eq!(
            columns.fields,
            [None, None, Some(EventField::EventTimestamp), None, None]
        );
        assert_eq!(columns.ignored, ["ts", "event_timestamp", "x"]);
        assert!(columns.has(EventField::EventTimestamp) && !columns.has(EventField::ClientId));
    }

    #[test]
    fn two_equal_names_of_a_field_are_refused() {
        for names in [["messageId", "event_id"], ["client_id", "client_id"]] {
            let (first, second, _) = Columns::of(&names).unwrap_err();
            assert_eq!(BTreeSet::from([first.as_str(), second.as_str()]), BTreeSet::from(names));
        }
        assert!(Columns::of(&["url", "page_url"]).is_ok());
    }
}
