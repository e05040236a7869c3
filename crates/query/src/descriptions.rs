//! The columns of statements that were described lately. They follow from the text and its values, and from what tables,
//! views and funnels there are; never from rows, so that a commit changes none of them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use footfall_model::access::SiteScope;
use moka::sync::Cache;

use crate::segments::{LakeDefinitions, PinnedLake};

/// Of all texts, values and columns, about.
const MAX_BYTES: u64 = 8 << 20;

/// About what a column takes.
const COLUMN_BYTES: usize = 200;

/// A statement with its values, for one that may read these sites.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DescriptionKey {
    sql: Arc<str>,
    values: Vec<ScalarValue>,
    sites: SiteScope,
    definitions: LakeDefinitions,
}

impl DescriptionKey {
    pub(crate) fn new(sql: &str, values: &[ScalarValue], sites: &SiteScope, lake: &PinnedLake) -> Self {
        Self {
            sql: sql.into(),
            values: values.to_vec(),
            sites: sites.clone(),
            definitions: lake.definitions(),
        }
    }

    fn weight(&self) -> usize {
        let values = self.values.iter().map(ScalarValue::size).sum::<usize>();
        size_of::<Self>() + self.sql.len() + values
    }
}

#[derive(Debug)]
pub(crate) struct Descriptions(Cache<DescriptionKey, SchemaRef>);

impl Default for Descriptions {
    fn default() -> Self {
        let weight = |key: &DescriptionKey, schema: &SchemaRef| {
            u32::try_from(key.weight() + schema.fields().len() * COLUMN_BYTES).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weight).build())
    }
}

impl Descriptions {
    pub(crate) fn get(&self, key: &DescriptionKey) -> Option<SchemaRef> {
        self.0.get(key)
    }

    pub(crate) fn insert(&self, key: DescriptionKey, schema: &SchemaRef) {
        self.0.insert(key, Arc::clone(schema));
    }
}
