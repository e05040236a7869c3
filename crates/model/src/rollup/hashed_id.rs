//! The ids by which the rows of a rollup per visitor differ, beside the visitor: what tells sessions and users apart.

use crate::field::EventField;

/// A text of `events` with nearly as many values as there are visits. Segments have its 64-bit hash within the site (see
/// [`crate::hash::id_hash`]), by which distinct values are counted; null where the text is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashedId {
    Session,
    User,
}

impl HashedId {
    pub const ALL: [Self; 2] = [Self::Session, Self::User];

    /// The column of `events`.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Session => EventField::SessionId.name(),
            Self::User => EventField::UserId.name(),
        }
    }

    /// The column of segments.
    pub const fn hash_column(self) -> &'static str {
        match self {
            Self::Session => "session_hash",
            Self::User => "user_hash",
        }
    }

    /// What it names, in one word.
    pub const fn subject(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
        }
    }

    /// The expression in SQL over `events` of what segments have.
    pub(super) fn over_events(self) -> String {
        format!("id_hash({}, {})", crate::table::SITE_COLUMN, self.column())
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;
    use crate::schema;

    #[test]
    fn ids_are_nullable_texts_of_events() {
        for id in HashedId::ALL {
            let field = schema::event_file();
            let field = field.field_with_name(id.column()).unwrap();
            assert_eq!(
                (field.data_type(), field.is_nullable()),
                (&DataType::Utf8, true),
                "{id:?}"
            );
            assert!(
                schema::event_file().field_with_name(id.hash_column()).is_err(),
                "{id:?}"
            );
        }
    }
}
