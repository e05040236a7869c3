//! Merges parts that belong together.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use footfall_model::clock::Micros;
use footfall_model::schema::REVENUE_SCALE;

use crate::columns::{Layout, Mark, PartColumn};
use crate::events::EventParts;
use crate::part::{OPEN, Part, PartRows, Place, Texts};
use crate::{GAP, MAX_DURATION};

/// What is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A part with the next one, if both are of one session and one day. In the order of an events file the fewest parts
    /// remain; in another order more of them, from which the same sessions follow.
    Parts,
    /// All parts of a session. They must be in the order of [`part_order`](crate::part_order).
    Sessions,
}

/// Merges parts, batch by batch. Holds the parts of one session at most, one for each of its days.
#[derive(Debug)]
pub struct Stitcher {
    layout: Arc<Layout>,
    rule: Rule,
    chain: Chain,
    /// Of `chain`, of the batch at hand, and nulls.
    texts: [Texts; 3],
}

/// The events of a visitor without a gap, as far as they are known.
#[derive(Debug, Default)]
struct Chain {
    /// One for each day, in order. Of a long chain only the last one.
    parts: Vec<Part>,
    start: Micros,
    end: Micros,
    /// Whether it lasts longer than a session may: its days are sessions of their own.
    is_long: bool,
}

impl Stitcher {
    /// Bytes that a row of a batch takes while it is merged, beside the batch.
    pub const ROW_BYTES: usize = size_of::<Part>();

    /// Parts with the columns of `parts`.
    pub fn new(parts: &EventParts, rule: Rule) -> Self {
        let layout = Arc::clone(parts.layout());
        let nulls = Texts::nulls(&layout);
        Self {
            texts: [nulls.clone(), nulls.clone(), nulls],
            layout,
            rule,
            chain: Chain::default(),
        }
    }

    /// The columns of what goes in and comes out.
    pub fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// Adds the next parts; returns what is complete.
    ///
    /// # Errors
    /// They are of another schema.
    pub fn push(&mut self, parts: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let (rows, texts) = PartRows::of(&self.layout, parts)?;
        let [_, batch, _] = &mut self.texts;
        *batch = texts;
        let mut done = Vec::new();
        for row in 0..parts.num_rows() {
            let part = rows.part(row);
            match self.rule {
                Rule::Parts => self.add_part(part, &mut done),
                Rule::Sessions => self.add_to_session(part, &mut done),
            }
        }
        let complete = self.batch_of(&done)?;
        self.keep_open()?;
        Ok(complete)
    }

    /// The end: returns what is left. The next parts begin anew.
    ///
    /// # Errors
    /// Arrow's.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut done = Vec::new();
        self.end_chain(&mut done);
        self.batch_of(&done)
    }

    fn add_part(&mut self, mut part: Part, done: &mut Vec<Part>) {
        let open = self.chain.parts.last();
        let is_same = open.is_some_and(|open| is_same_visitor(open, &part, &self.texts));
        let joins = is_same && open.is_some_and(|open| open.is_near(&part) && open.day() == part.day());
        match self.chain.parts.last_mut() {
            Some(open) if joins => open.absorb(&part, &self.layout, &self.texts),
            open => {
                if let Some(open) = open.filter(|open| !is_same && open.hash == part.hash) {
                    open.shares_hash = true;
                    part.shares_hash = true;
                }
                done.append(&mut self.chain.parts);
                self.chain.parts.push(part);
            }
        }
    }

    fn add_to_session(&mut self, part: Part, done: &mut Vec<Part>) {
        let joins = self.chain.parts.last().is_some_and(|open| {
            part.start.saturating_sub(self.chain.end) < GAP && is_same_visitor(open, &part, &self.texts)
        });
        if !joins {
            self.end_chain(done);
            self.chain = Chain {
                start: part.start,
                end: part.end,
                parts: vec![part],
                is_long: false,
            };
            return;
        }
        let Chain {
            parts,
            start,
            end,
            is_long,
        } = &mut self.chain;
        *end = part.end.max(*end);
        match parts.last_mut().filter(|open| open.day() == part.day()) {
            Some(open) => open.absorb(&part, &self.layout, &self.texts),
            None => parts.push(part),
        }
        *is_long |= end.saturating_sub(*start) > MAX_DURATION;
        if *is_long {
            done.extend(parts.drain(..parts.len() - 1));
        }
    }

    fn end_chain(&mut self, done: &mut Vec<Part>) {
        let mut parts = self.chain.parts.drain(..);
        let Some(mut session) = parts.next() else { return };
        // A long chain has one part left.
        for part in parts {
            session.absorb(&part, &self.layout, &self.texts);
        }
        done.push(session);
    }

    /// Copies the texts of the open parts, so that the batch can go.
    fn keep_open(&mut self) -> Result<(), ArrowError> {
        let texts = self.texts_of(&self.chain.parts)?;
        for (row, part) in self.chain.parts.iter_mut().enumerate() {
            let place = Place { texts: OPEN, row };
            part.key = place;
            part.attributes = [place; _];
        }
        let nulls = Texts::nulls(&self.layout);
        self.texts = [texts, nulls.clone(), nulls];
        Ok(())
    }

    fn texts_of(&self, parts: &[Part]) -> Result<Texts, ArrowError> {
        let keys = |of: fn(&Texts) -> &StringArray| self.gather(of, parts.iter().map(|part| part.key));
        let attributes = (0..self.layout.attributes.len()).map(|index| {
            let places = parts.iter().map(|part| part.attributes[index]);
            self.gather(|texts| &texts.attributes[index], places)
        });
        Ok(Texts {
            sites: keys(|texts| &texts.sites)?,
            clients: keys(|texts| &texts.clients)?,
            attributes: attributes.collect::<Result<_, _>>()?,
        })
    }

    fn gather<'a>(
        &'a self,
        of: impl Fn(&'a Texts) -> &'a StringArray,
        places: impl Iterator<Item = Place>,
    ) -> Result<StringArray, ArrowError> {
        let sources: Vec<&dyn Array> = self.texts.iter().map(|texts| of(texts) as &dyn Array).collect();
        let places: Vec<_> = places.map(|place| (place.texts, place.row)).collect();
        Ok(interleave(&sources, &places)?.as_string().clone())
    }

    fn batch_of(&self, parts: &[Part]) -> Result<RecordBatch, ArrowError> {
        let mut texts = self.texts_of(parts)?;
        let mut attributes = texts.attributes.drain(..);
        let columns = self.layout.columns.iter().map(|column| {
            Ok(match column {
                PartColumn::Site => Arc::new(texts.sites.clone()) as ArrayRef,
                PartColumn::Client => Arc::new(texts.clients.clone()),
                // They are in the order of the columns.
                PartColumn::Attribute(_) => {
                    Arc::new(attributes.next().unwrap_or_else(|| StringArray::new_null(parts.len())))
                }
                _ => numbers_of(*column, parts)?,
            })
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        RecordBatch::try_new(Arc::clone(&self.layout.schema), columns)
    }
}

/// A column that is not text.
fn numbers_of(column: PartColumn, parts: &[Part]) -> Result<ArrayRef, ArrowError> {
    let parts = parts.iter();
    let numbers = |of: &dyn Fn(&Part) -> i64| Arc::new(Int64Array::from_iter_values(parts.clone().map(of)));
    Ok(match column {
        PartColumn::Hash => numbers(&|part| part.hash),
        PartColumn::Duration => numbers(&|part| part.end.saturating_sub(part.start)),
        PartColumn::Count(count) => numbers(&|part| part.counts[count]),
        PartColumn::Start => {
            let starts = TimestampMicrosecondArray::from_iter_values(parts.map(|part| part.start));
            Arc::new(starts.with_timezone("UTC"))
        }
        PartColumn::IsBot => Arc::new(parts.map(|part| Some(part.is_bot)).collect::<BooleanArray>()),
        PartColumn::Settled => Arc::new(parts.map(|part| Some(part.is_settled())).collect::<BooleanArray>()),
        PartColumn::Revenue => {
            let sums: Decimal128Array = parts.map(|part| part.revenue).collect();
            Arc::new(sums.with_precision_and_scale(38, REVENUE_SCALE)?)
        }
        PartColumn::Offset(mark) => {
            let offset = |part: &Part| {
                let at = part.marks[mark as usize]?.at;
                Some(match mark {
                    Mark::Exit => part.end.wrapping_sub(at),
                    _ => at.wrapping_sub(part.start),
                })
            };
            Arc::new(parts.map(offset).collect::<Int64Array>())
        }
        PartColumn::Arrival(mark) => {
            let arrival = |part: &Part| {
                let since = match mark {
                    Mark::First => part.start,
                    _ => part.marks[Mark::First as usize]?.arrived,
                };
                Some(part.marks[mark as usize]?.arrived.wrapping_sub(since))
            };
            Arc::new(parts.map(arrival).collect::<Int64Array>())
        }
        PartColumn::Site | PartColumn::Client | PartColumn::Attribute(_) => {
            return Err(ArrowError::InvalidArgumentError(format!("{} is text", column.name())));
        }
    })
}

fn is_same_visitor(one: &Part, other: &Part, texts: &[Texts; 3]) -> bool {
    if one.hash != other.hash {
        return false;
    }
    let sites = |part: &Part| texts[part.key.texts].sites.value(part.key.row);
    let clients = |part: &Part| texts[part.key.texts].clients.value(part.key.row);
    clients(one) == clients(other) && sites(one) == sites(other)
}
