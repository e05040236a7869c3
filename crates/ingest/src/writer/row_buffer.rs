//! Events buffered until they are written: encoded as in their records, in order of arrival, each with its sort key.
//! They are decoded into columns once, in the order of the file, when they are written.

use std::collections::HashMap;
use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use footfall_model::clock::DAY;
use footfall_model::field::EventField;
use footfall_model::hash::client_hash;

use super::columns::{Columns, Room};
use super::dedupe::EventKey;
use super::wire::{Fields, Malformed, RecordEvents, TEXTS, index};

/// Bytes of a block of events; a larger event has one of its own.
const BLOCK_BYTES: usize = 1 << 20;

/// Rows decoded into columns at the same time.
const PIECE_ROWS: usize = if cfg!(test) { 7 } else { 8 * 1_024 };

/// Events whose memory is prefetched together.
const FETCHED_TOGETHER: usize = 16;

/// Events that are not yet in the lake.
#[derive(Debug, Default)]
pub(super) struct RowBuffer {
    /// The events' bytes. A copy, because a record kept here would keep the whole buffer that it was read into alive.
    blocks: Vec<Vec<u8>>,
    /// Blocks to be used again.
    spare: Vec<Vec<u8>>,
    rows: Vec<Row>,
    sites: Sites,
    /// Bytes of each column of text.
    texts: [usize; TEXTS],
    bytes: usize,
}

/// An event, and its sort key within files.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Days since 1970-01-01.
    day: i32,
    /// The number in [`Sites`]; when sorted, the site's rank.
    site: u32,
    client_hash: i64,
    time: i64,
    block: u32,
    start: u32,
    length: u32,
}

impl RowBuffer {
    /// An empty buffer that uses `blocks` again.
    pub(super) fn reusing(mut blocks: Vec<Vec<u8>>) -> Self {
        blocks.retain(|block| block.capacity() == BLOCK_BYTES);
        Self {
            spare: blocks,
            ..Self::default()
        }
    }

    /// Adds the events of a record that are `new`; returns how many were not.
    ///
    /// # Errors
    /// The record is not a batch of events; some of its events may have been added.
    pub(super) fn add(&mut self, record: &[u8], mut new: impl FnMut(EventKey) -> bool) -> Result<u64, Malformed> {
        let mut duplicates = 0;
        for event in RecordEvents::of(record) {
            let event = event?;
            let fields = Fields::read(event)?;
            fields.check_texts()?;
            if new(EventKey::new(fields.tracking_id(), fields.event_id())) {
                self.push(event, &fields)?;
            } else {
                duplicates += 1;
            }
        }
        Ok(duplicates)
    }

    fn push(&mut self, event: &[u8], fields: &Fields<'_>) -> Result<(), Malformed> {
        let time = fields.event_timestamp();
        let day = i32::try_from(time.div_euclid(DAY)).map_err(|_| Malformed::Time(time))?;
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8);
        let client_hash = client_hash(text(fields.tracking_id())?, text(fields.client_id())?).cast_signed();
        let (block, start, length) = self.store(event)?;
        self.rows.push(Row {
            day,
            site: self.sites.index(fields.tracking_id()),
            client_hash,
            time,
            block,
            start,
            length,
        });
        for (sum, text) in self.texts.iter_mut().zip(fields.texts) {
            *sum += text.map_or(0, <[u8]>::len);
        }
        self.bytes += event.len() + size_of::<Row>();
        Ok(())
    }

    /// Copies an event; returns its block, offset and length.
    fn store(&mut self, event: &[u8]) -> Result<(u32, u32, u32), Malformed> {
        let full = |block: &Vec<u8>| block.capacity() - block.len() < event.len();
        if self.blocks.last().is_none_or(full) {
            let used = self.spare.pop_if(|_| event.len() <= BLOCK_BYTES);
            let mut block = used.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES.max(event.len())));
            block.clear();
            self.blocks.push(block);
        }
        let (count, Some(block)) = (self.blocks.len(), self.blocks.last_mut()) else {
            return Err(Malformed::Length);
        };
        let start = block.len();
        block.extend_from_slice(event);
        let number = |size| u32::try_from(size).map_err(|_| Malformed::Length);
        Ok((number(count - 1)?, number(start)?, number(event.len())?))
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes in memory of the events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The memory of written events, to be used again: allocating it anew costs as much as filling it. Blocks not used
    /// this time are freed, so that a burst does not keep its memory for long.
    pub(super) fn into_blocks(self) -> Vec<Vec<u8>> {
        self.blocks
    }

    /// The events by day, each day in the order of its file, which is that of [`footfall_lake::partitions`]: rows that
    /// are equal in all sort columns keep their order of arrival.
    pub(super) fn into_days(mut self) -> (Arc<Self>, Vec<DayRows>) {
        let ranks = self.sites.ranks();
        for row in &mut self.rows {
            row.site = ranks.get(row.site as usize).copied().unwrap_or_default();
        }
        let order = |row: &Row| (row.day, row.site, row.client_hash, row.time, row.block, row.start);
        self.rows.sort_unstable_by_key(order);
        let all = Arc::new(self);
        let mut days = Vec::new();
        let mut start = 0;
        for day in all.rows.chunk_by(|one, next| one.day == next.day) {
            let rows = start..start + day.len();
            start = rows.end;
            days.push(DayRows {
                all: Arc::clone(&all),
                rows,
            });
        }
        (all, days)
    }

    /// Touches some events, so that their cache misses overlap. Read one after another in sorted order, which is not
    /// that of memory, each would be a miss of its own.
    fn fetch(&self, rows: &[Row]) {
        const LINE: usize = 64;
        let lines = rows.iter().flat_map(|row| self.event(row).iter().step_by(LINE));
        black_box(lines.fold(0_u8, |sum, byte| sum ^ byte));
    }

    fn event(&self, row: &Row) -> &[u8] {
        let (start, length) = (row.start as usize, row.length as usize);
        let block = self.blocks.get(row.block as usize);
        block
            .and_then(|block| block.get(start..start + length))
            .unwrap_or_default()
    }
}

/// The events of one day.
#[derive(Debug, Clone)]
pub(super) struct DayRows {
    all: Arc<RowBuffer>,
    rows: Range<usize>,
}

impl DayRows {
    /// Days since 1970-01-01.
    pub(super) fn date(&self) -> i32 {
        self.rows().first().map_or(0, |row| row.day)
    }

    /// The day's events as columns, a piece at a time: all at once would take as much memory again as the events.
    ///
    /// # Errors
    /// A column's text is over the limit of its type.
    pub(super) fn columns(&self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        self.rows().chunks(PIECE_ROWS).map(|piece| self.piece(piece))
    }

    fn rows(&self) -> &[Row] {
        self.all.rows.get(self.rows.clone()).unwrap_or_default()
    }

    fn piece(&self, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
        let mut columns = Columns::new(&self.room(rows.len()));
        for together in rows.chunks(FETCHED_TOGETHER) {
            self.all.fetch(together);
            for row in together {
                let event = Fields::read(self.all.event(row)).map_err(|e| ArrowError::from_external_error(e.into()))?;
                columns.push(&event, row.client_hash)?;
            }
        }
        columns.finish()
    }

    /// The capacity of columns of `rows` rows: the average and an eighth more.
    fn room(&self, rows: usize) -> Room {
        let all = self.all.rows.len().max(1);
        let share = |bytes: usize| bytes / all * rows + bytes % all * rows / all;
        let mut texts = self.all.texts.map(|bytes| share(bytes) * 9 / 8);
        // A page's host and path are parts of its URL.
        for derived in [EventField::PageHost, EventField::PagePath] {
            texts[index(derived)] = texts[index(EventField::PageUrl)];
        }
        Room { rows, texts }
    }
}

/// The sites of the events, numbered by first appearance.
#[derive(Debug, Default)]
struct Sites {
    numbers: HashMap<Box<[u8]>, u32>,
    /// The last site looked up: consecutive events nearly always have the same.
    last: Option<(Box<[u8]>, u32)>,
}

impl Sites {
    fn index(&mut self, site: &[u8]) -> u32 {
        if let Some((name, number)) = &self.last
            && **name == *site
        {
            return *number;
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(site.into()).or_insert(next);
        self.last = Some((site.into(), number));
        number
    }

    /// For each number, the site's rank in the order of names: comparing numbers is cheaper than comparing text.
    fn ranks(&self) -> Vec<u32> {
        let mut names: Vec<_> = self.numbers.iter().collect();
        names.sort_unstable();
        let mut ranks = vec![0; names.len()];
        for ((_, number), rank) in names.into_iter().zip(0..) {
            if let Some(index) = ranks.get_mut(*number as usize) {
                *index = rank;
            }
        }
        ranks
    }
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use footfall_lake::{Partition, partitions};
    use footfall_model::proto::{Event, EventBatch};
    use footfall_model::schema;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::writer::columns;

    fn record(events: &[Event]) -> Vec<u8> {
        let events = events.to_vec();
        EventBatch { events }.encode_to_vec()
    }

    fn whole(day: &DayRows) -> Partition {
        let pieces: Vec<_> = day.columns().map(Result::unwrap).collect();
        Partition {
            event_date: day.date(),
            rows: concat_batches(&schema::event_file(), &pieces).unwrap(),
        }
    }

    /// Few sites, visitors, times and days, so that there are equals; the id is the order of arrival.
    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = (0..4_u32, 0..3_u32, 0..3_i64, -1..2_i64);
        vec(event, 0..60).prop_map(|events| {
            let made = events
                .into_iter()
                .enumerate()
                .map(|(nth, (site, client, time, day))| Event {
                    tracking_id: format!("site{}", 13 * site),
                    event_id: nth.to_string(),
                    client_id: client.to_string(),
                    event_timestamp: day * DAY + time,
                    page_url: (nth % 3 == 0).then(|| format!("https://ä.example/{nth}")),
                    ..Event::default()
                });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn days_equal_sorted_partitions(events in events(), size in 1..7_usize) {
            let mut row_buffer = RowBuffer::default();
            for events in events.chunks(size) {
                prop_assert_eq!(row_buffer.add(&record(events), |_| true).unwrap(), 0);
            }
            let days: Vec<_> = row_buffer.into_days().1.iter().map(whole).collect();
            prop_assert_eq!(days, partitions(&columns::rows(&events)).unwrap());
        }
    }

    #[test]
    fn known_events_are_counted_and_dropped() {
        let events: Vec<_> = ["a", "b", "c"]
            .map(|id| Event {
                event_id: id.into(),
                ..Event::default()
            })
            .into();
        let known = EventKey::new("", "b");
        let mut row_buffer = RowBuffer::default();
        assert_eq!(row_buffer.add(&record(&events), |key| key != known).unwrap(), 1);
        assert_eq!(row_buffer.rows(), 2);
    }

    #[test]
    fn kept_event_does_not_keep_record_memory() {
        let events: Vec<_> = (0..500)
            .map(|id| Event {
                event_id: id.to_string(),
                page_url: Some("x".repeat(10_000)),
                ..Event::default()
            })
            .collect();
        let record = record(&events);
        let mut row_buffer = RowBuffer::default();
        let one = EventKey::new("", "7");
        for _ in 0..10 {
            row_buffer.add(&record, |key| key == one).unwrap();
        }
        let held: usize = row_buffer.blocks.iter().map(Vec::capacity).sum();
        assert_eq!((row_buffer.rows(), held), (10, BLOCK_BYTES));
    }

    #[test]
    fn large_event_gets_own_block() {
        let large = |size| Event {
            page_url: Some("x".repeat(size)),
            ..Event::default()
        };
        let mut row_buffer = RowBuffer::default();
        for size in [10, 3 * BLOCK_BYTES, 10] {
            row_buffer.add(&record(&[large(size)]), |_| true).unwrap();
        }
        assert_eq!(row_buffer.blocks.len(), 3);
        let (all, days) = row_buffer.into_days();
        assert_eq!(whole(&days[0]).rows.num_rows(), 3);
        drop(days);
        let again = RowBuffer::reusing(Arc::into_inner(all).unwrap().into_blocks());
        assert_eq!(again.spare.len(), 2);
    }
}
