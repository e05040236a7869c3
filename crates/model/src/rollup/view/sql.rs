//! Pieces of SQL.

use crate::access::SiteScope;
use crate::table::SITE_COLUMN;

/// The condition that a row is of one of these sites.
pub(super) fn of_sites(sites: &SiteScope) -> Option<String> {
    let SiteScope::Only(sites) = sites else { return None };
    let sites = sites.iter().map(|site| format!("'{}'", site.replace('\'', "''")));
    let sites: Vec<_> = sites.collect();
    Some(match sites.is_empty() {
        true => "false".to_owned(),
        false => format!("{SITE_COLUMN} IN ({})", sites.join(", ")),
    })
}

/// A column's name in SQL, which may be a word of SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// `1, 2, 3`.
pub(super) fn positions(columns: usize) -> String {
    let positions: Vec<_> = (1..=columns).map(|position| position.to_string()).collect();
    positions.join(", ")
}
