//! Whose the rows of a rollup per visitor are: the visitors of one site and, where the rollup tells them apart, their
//! sessions and users. They are numbered in the order in which they come: visitors in that of their hashes.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use footfall_model::hash::id_hash;
use footfall_model::rollup::{HashedId, VISITOR_COLUMN};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The most ids that a rollup has.
const IDS: usize = HashedId::ALL.len();

/// So many are searched one by one; most visitors have fewer sessions in a file. Fewer in tests, where some have more.
const FEW: usize = if cfg!(test) { 3 } else { 16 };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    visitor: i64,
    /// Hashes of the rollup's ids, then nothing. Rows are in the order of these, null first.
    ids: [Option<i64>; IDS],
}

#[derive(Debug)]
pub(super) struct Visitors {
    ids: Vec<IdColumn>,
    /// By number.
    identities: Vec<Identity>,
    /// Where those of the last visitor begin, who may come back to each of them.
    start: usize,
    /// Their places from there on, if they are more than [`FEW`].
    index: HashTable<u32>,
    /// The numbers of the current rows.
    rows: Vec<u32>,
}

/// The hashes of an id in the current rows.
#[derive(Debug)]
struct IdColumn {
    name: &'static str,
    hashes: Vec<Option<i64>>,
}

impl Visitors {
    pub(super) fn new(ids: &[HashedId]) -> Self {
        let column = |id: &HashedId| IdColumn {
            name: id.column(),
            hashes: Vec::new(),
        };
        Self {
            ids: ids.iter().map(column).collect(),
            identities: Vec::new(),
            start: 0,
            index: HashTable::new(),
            rows: Vec::new(),
        }
    }

    /// The number of each row's visitor and ids. Rows of `site` come in the order of visitors.
    pub(super) fn assign(&mut self, site: &str, run: &RecordBatch) -> Result<&[u32], ArrowError> {
        let hashes = run
            .column_by_name(VISITOR_COLUMN)
            .and_then(|column| column.as_primitive_opt::<Int64Type>());
        let hashes = hashes.ok_or_else(|| wrong(VISITOR_COLUMN))?;
        for column in &mut self.ids {
            column.assign(site, run)?;
        }
        self.rows.clear();
        let mut last = None;
        for (row, visitor) in hashes.values().iter().enumerate() {
            let mut identity = Identity {
                visitor: *visitor,
                ids: [None; IDS],
            };
            for (id, column) in identity.ids.iter_mut().zip(&self.ids) {
                *id = column.hashes[row];
            }
            let number = match last {
                // A visitor's events mostly belong to the session of the previous event.
                Some((known, number)) if known == identity => number,
                _ => self.number(identity),
            };
            last = Some((identity, number));
            self.rows.push(number);
        }
        Ok(&self.rows)
    }

    fn number(&mut self, identity: Identity) -> u32 {
        let last = self.identities.last();
        if last.is_none_or(|last| last.visitor != identity.visitor) {
            self.start = self.identities.len();
            self.index.clear();
        } else if let Some(known) = self.known(&identity) {
            return known;
        }
        self.identities.push(identity);
        self.index_last();
        number_of(self.identities.len() - 1)
    }

    /// Takes the last identity into the index, or all of the last visitor if they have become many.
    fn index_last(&mut self) {
        let of_visitor = &self.identities[self.start..];
        let first = match of_visitor.len() - 1 {
            0..FEW => return,
            FEW => 0,
            last => last,
        };
        for place in first..of_visitor.len() {
            let hash_of = |place: &u32| hash(&of_visitor[*place as usize]);
            let place = number_of(place);
            self.index.insert_unique(hash_of(&place), place, hash_of);
        }
    }

    /// The number of an identity that the last visitor has had before.
    fn known(&self, identity: &Identity) -> Option<u32> {
        let of_visitor = &self.identities[self.start..];
        let place = if of_visitor.len() <= FEW {
            of_visitor.iter().rposition(|known| known == identity)
        } else {
            let is_same = |place: &u32| of_visitor[*place as usize] == *identity;
            self.index.find(hash(identity), is_same).map(|place| *place as usize)
        };
        place.map(|place| number_of(self.start + place))
    }

    /// Whether two numbers are of one visitor.
    pub(super) fn are_one(&self, number: u32, other: u32) -> bool {
        self.identities[number as usize].visitor == self.identities[other as usize].visitor
    }

    /// For each number its rank in the order of a segment's rows.
    pub(super) fn ranks(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..number_of(self.identities.len())).collect();
        let mut rest = numbers.as_mut_slice();
        // The visitors are in order already.
        for of_visitor in self.identities.chunk_by(|one, other| one.visitor == other.visitor) {
            let (numbers, others) = rest.split_at_mut(of_visitor.len());
            numbers.sort_unstable_by_key(|number| self.identities[*number as usize].ids);
            rest = others;
        }
        let mut ranks = vec![0; numbers.len()];
        for (rank, number) in (0..).zip(numbers) {
            ranks[number as usize] = rank;
        }
        ranks
    }

    /// The columns of these numbers: the visitors' hashes, then those of each id.
    pub(super) fn columns(&self, numbers: impl Iterator<Item = u32> + Clone) -> impl Iterator<Item = Int64Array> {
        let of = move || numbers.clone().map(|number| &self.identities[number as usize]);
        let visitors = Int64Array::from_iter_values(of().map(|identity| identity.visitor));
        let ids = (0..self.ids.len()).map(move |nth| of().map(|identity| identity.ids[nth]).collect());
        std::iter::once(visitors).chain(ids)
    }

    /// Forgets all but the last visitor. Returns how many numbers were before its first, by which its numbers decrease.
    pub(super) fn keep_last(&mut self) -> u32 {
        let forgotten = std::mem::take(&mut self.start);
        self.identities.drain(..forgotten);
        number_of(forgotten)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.identities.clear();
        self.start = 0;
        self.index = HashTable::new();
    }
}

impl IdColumn {
    /// Equal ids mostly follow one another: each run of them is hashed once.
    fn assign(&mut self, site: &str, run: &RecordBatch) -> Result<(), ArrowError> {
        let texts = run
            .column_by_name(self.name)
            .and_then(|column| column.as_string_opt::<i32>())
            .ok_or_else(|| wrong(self.name))?;
        self.hashes.clear();
        if texts.null_count() == texts.len() {
            self.hashes.resize(texts.len(), None);
            return Ok(());
        }
        let mut last: Option<(&str, i64)> = None;
        let hashes = texts.iter().map(|text| {
            let text = text?;
            let hash = match last {
                Some((known, hash)) if known == text => hash,
                _ => id_hash(site, text).cast_signed(),
            };
            last = Some((text, hash));
            Some(hash)
        });
        self.hashes.extend(hashes);
        Ok(())
    }
}

/// There are never more than events of a file, which 32 bits can number.
fn number_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn hash(identity: &Identity) -> u64 {
    let mut bytes = [0; 8 * (1 + IDS)];
    let hashes = [Some(identity.visitor)].into_iter().chain(identity.ids);
    for (hash, bytes) in hashes.zip(bytes.chunks_exact_mut(8)) {
        // An id whose hash is 0 only shares its place with null.
        bytes.copy_from_slice(&hash.unwrap_or_default().to_le_bytes());
    }
    xxh3_64(&bytes)
}

fn wrong(column: &str) -> ArrowError {
    ArrowError::SchemaError(format!("events without a column {column} of the right type"))
}
