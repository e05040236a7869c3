//! Campaign, source and channel where the file says nothing of them, as over HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder};
use arrow::error::ArrowError;
use footfall_model::field::EventField;
use footfall_model::proto::Event;
use xxhash_rust::xxh3::xxh3_128;

use super::text;
use crate::enrich::{Enricher, Sender};

/// What is filled in.
const FILLED: [EventField; 7] = [
    EventField::UtmSource,
    EventField::UtmMedium,
    EventField::UtmCampaign,
    EventField::UtmTerm,
    EventField::UtmContent,
    EventField::Source,
    EventField::Channel,
];

/// What it is found in besides.
const ADDRESSES: [EventField; 2] = [EventField::PageUrl, EventField::Referrer];

/// Different visits whose results are remembered.
const REMEMBERED: usize = 16 * 1_024;

type Found = [Option<Box<str>>; FILLED.len()];

/// Fills in what says where visits came from. Pages and referrers repeat, so results are remembered.
pub(super) struct Attribution {
    enricher: Arc<Enricher>,
    found: HashMap<u128, Found>,
    key: Vec<u8>,
}

impl Attribution {
    pub(super) fn new(enricher: Arc<Enricher>) -> Self {
        Self {
            enricher,
            found: HashMap::new(),
            key: Vec::new(),
        }
    }

    /// The columns that have changed; `None` if none has.
    pub(super) fn columns(&mut self, rows: &RecordBatch) -> Result<Option<Vec<(EventField, ArrayRef)>>, ArrowError> {
        let columns = |fields: &[EventField]| {
            fields
                .iter()
                .map(|field| text(rows, *field))
                .collect::<Result<Vec<_>, _>>()
        };
        let (given, addresses) = (columns(&FILLED)?, columns(&ADDRESSES)?);
        if given.iter().all(|column| column.null_count() == 0) {
            return Ok(None);
        }
        let mut filled = FILLED.map(|_| StringBuilder::new());
        for row in 0..rows.num_rows() {
            if is_complete(row, &given, &addresses) {
                for (column, given) in filled.iter_mut().zip(&given) {
                    column.append_option(value(given, row));
                }
                continue;
            }
            for (column, text) in filled.iter_mut().zip(self.find(row, &given, &addresses)) {
                column.append_option(text.as_deref());
            }
        }
        let filled = FILLED.into_iter().zip(filled);
        Ok(Some(
            filled
                .map(|(field, mut column)| (field, Arc::new(column.finish()) as ArrayRef))
                .collect(),
        ))
    }

    fn find(&mut self, row: usize, given: &[&StringArray], addresses: &[&StringArray]) -> &Found {
        self.key.clear();
        for column in given.iter().chain(addresses) {
            // No text has these bytes.
            match value(column, row) {
                Some(text) => self.key.extend_from_slice(text.as_bytes()),
                None => self.key.push(0xfe),
            }
            self.key.push(0xff);
        }
        let key = xxh3_128(&self.key);
        if self.found.len() >= REMEMBERED && !self.found.contains_key(&key) {
            self.found.clear();
        }
        let enricher = &self.enricher;
        self.found
            .entry(key)
            .or_insert_with(|| enriched(enricher, row, given, addresses))
    }
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// Whether nothing can be found that the file does not say: a campaign is in the parameters of the page's address.
fn is_complete(row: usize, given: &[&StringArray], addresses: &[&StringArray]) -> bool {
    let [utm @ .., source, channel] = given else {
        return false;
    };
    let has_parameters = || {
        addresses
            .first()
            .and_then(|urls| value(urls, row))
            .is_some_and(|url| url.contains('='))
    };
    source.is_valid(row)
        && channel.is_valid(row)
        && (utm.iter().all(|column| column.is_valid(row)) || !has_parameters())
}

fn enriched(enricher: &Enricher, row: usize, given: &[&StringArray], addresses: &[&StringArray]) -> Found {
    let mut event = Event::default();
    let fields = FILLED.iter().chain(&ADDRESSES).zip(given.iter().chain(addresses));
    for (field, column) in fields {
        if let (Some(slot), Some(text)) = (field.text_mut(&mut event), value(column, row)) {
            slot.set(text.to_owned());
        }
    }
    enricher.enrich(&mut event, Sender::default());
    FILLED.map(|field| field.text(&event).map(Box::from))
}
