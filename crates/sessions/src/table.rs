//! The table of the parts that cover merged files of events.

use std::sync::{Arc, LazyLock};

use footfall_model::field::EventField;
use footfall_model::table::{TableColumns, TableSpec};

use crate::columns::{PartColumn, file_fields};

/// The table's name.
pub const TABLE: &str = "session_parts";

/// The order of a file.
const SORT: [&str; 3] = ["tracking_id", "client_hash", "part_start"];

/// The declaration of the table.
#[expect(clippy::expect_used, reason = "a constant, and a test makes it")]
pub fn session_parts() -> &'static Arc<TableSpec> {
    static PARTS: LazyLock<Arc<TableSpec>> = LazyLock::new(|| {
        let columns = TableColumns {
            file: file_fields(),
            partition: EventField::EventDate.spec().arrow(),
            sort: &SORT,
            statistics: &SORT,
        };
        let spec = TableSpec::new(TABLE, "rollups/session_parts", 1, columns);
        Arc::new(spec.expect("session_parts is declared right"))
    });
    &PARTS
}

/// The columns by which parts must be sorted, ascending, for [`Rule::Sessions`](crate::Rule). Those of one visitor have
/// the same `client_hash`; visitors with the same hash are told apart by `client_id`.
pub fn part_order() -> [&'static str; 4] {
    let order = [
        PartColumn::Site,
        PartColumn::Hash,
        PartColumn::Client,
        PartColumn::Start,
    ];
    order.map(PartColumn::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declaration_is_valid() {
        let parts = session_parts();
        assert_eq!(parts.sort_columns().collect::<Vec<_>>(), SORT);
        assert_eq!(parts.partition().name(), "event_date");
        assert_eq!(parts.file_schema(), &crate::columns::Layout::whole().schema);
    }
}
