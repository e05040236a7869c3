//! The last line of defence between sites: rows of others go no further, whatever the scan below did.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

/// Whether the row's site is one of `sites`.
///
/// The scan below is given the same condition, and the Parquet reader applies it while it decodes. But the reader
/// drops, without an error, a condition that it fails to prepare. This one stays in the plan: to the optimizer it is
/// volatile, so it is neither pushed down nor removed.
#[derive(Debug, Eq)]
pub(super) struct SiteCondition {
    tracking_id: Arc<dyn PhysicalExpr>,
    sites: Arc<BTreeSet<String>>,
}

impl PartialEq for SiteCondition {
    fn eq(&self, other: &Self) -> bool {
        self.tracking_id.eq(&other.tracking_id) && self.sites == other.sites
    }
}

impl Hash for SiteCondition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tracking_id.hash(state);
        self.sites.hash(state);
    }
}

impl SiteCondition {
    pub(super) fn new(tracking_id: Arc<dyn PhysicalExpr>, sites: Arc<BTreeSet<String>>) -> Self {
        Self { tracking_id, sites }
    }
}

impl fmt::Display for SiteCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of_sites({})", self.tracking_id)
    }
}

impl PhysicalExpr for SiteCondition {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let sites = self.tracking_id.evaluate(batch)?.into_array(batch.num_rows())?;
        // Files are sorted by site: most rows are of the same one as the row before.
        let mut last: Option<(&str, bool)> = None;
        let allowed = sites.as_string::<i32>().iter().map(|site| {
            let Some(site) = site else {
                return false;
            };
            let allowed = match last {
                Some((known, allowed)) if known == site => allowed,
                _ => self.sites.contains(site),
            };
            last = Some((site, allowed));
            allowed
        });
        let allowed: BooleanArray = allowed.map(Some).collect();
        Ok(ColumnarValue::Array(Arc::new(allowed)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.tracking_id]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [tracking_id] = children.as_slice() else {
            return internal_err!("of_sites has one argument");
        };
        Ok(Arc::new(Self::new(Arc::clone(tracking_id), Arc::clone(&self.sites))))
    }

    fn is_volatile_node(&self) -> bool {
        true
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_expr_common::physical_expr::is_volatile;

    use super::*;

    #[test]
    fn rows_of_other_sites_and_of_none_are_told_apart() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![
            Some("a"),
            Some("a"),
            Some("b"),
            None,
            Some("a"),
            Some("c"),
        ]));
        let batch = RecordBatch::try_from_iter([("tracking_id", column)]).unwrap();
        let sites = Arc::new(["a".to_owned(), "c".to_owned()].into());
        let site_filter = SiteCondition::new(col("tracking_id", &batch.schema()).unwrap(), sites);
        let allowed = site_filter.evaluate(&batch).unwrap().into_array(6).unwrap();
        let allowed: Vec<_> = allowed.as_boolean().iter().flatten().collect();
        assert_eq!(allowed, [true, true, false, false, true, true]);
        let site_filter: Arc<dyn PhysicalExpr> = Arc::new(site_filter);
        assert!(is_volatile(&site_filter), "the optimizer may not move it");
    }
}
