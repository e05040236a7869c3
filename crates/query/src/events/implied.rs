//! Filters that follow from what was asked and from who asks. Pure.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::prelude::{col, lit};
use footfall_lake::DataFile;
use footfall_model::access::SiteScope;
use footfall_model::hash::client_hash;

/// Longer values may be cut in a file's statistics.
const EXACT_CHARS: usize = 32;

/// The look-up of one visitor: files are sorted by its hash, so that a page is read instead of a day.
pub(super) fn visitor(filters: &[Expr]) -> Option<Expr> {
    let parts = || filters.iter().flat_map(split_conjunction);
    let equals = |column: &str| parts().find_map(|filter| text_equal_to(filter, column));
    let hash = client_hash(equals("tracking_id")?, equals("client_id")?);
    Some(col("client_hash").eq(lit(hash.cast_signed())))
}

fn text_equal_to<'a>(filter: &'a Expr, column: &str) -> Option<&'a str> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = filter
    else {
        return None;
    };
    let (name, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(name), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(name)) => (name, value),
        _ => return None,
    };
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text))
            if name.name == column =>
        {
            Some(text)
        }
        _ => None,
    }
}

/// The rows that `scope` may see; `None`: all.
pub(super) fn of_scope(scope: &SiteScope) -> Option<Expr> {
    match scope {
        SiteScope::All => None,
        SiteScope::Only(sites) if sites.is_empty() => Some(lit(false)),
        SiteScope::Only(sites) => {
            Some(col("tracking_id").in_list(sites.iter().map(|site| lit(site.as_str())).collect(), false))
        }
    }
}

/// Whether every row of `file` is of one of `sites`, as far as its statistics can prove it.
pub(super) fn wholly_of(file: &DataFile, sites: &BTreeSet<String>) -> bool {
    file.tracking_id
        .as_ref()
        .is_some_and(|range| range.min == range.max && range.min.len() < EXACT_CHARS && sites.contains(&range.min))
}
