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

/// Orders as the rows of a segment do: by visitor, then by the ids, null first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    visitor: i64,
    /// Hashes of the rollup's ids, then nothing.
    ids: [Option<i64>; IDS],
}

#[derive(Debug)]
pub(super) struct Visitors {
    ids: Vec<IdColumn>,
    /// By number.
    identities: Vec<Identity>,
    /// The numbers of the identities, if there are ids: a visitor may come back to one.
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
        if self.identities.last() == Some(&identity) {
            return number_of(self.identities.len() - 1);
        }
        let Self { identities, index, .. } = self;
        let number = number_of(identities.len());
        if !self.ids.is_empty() {
            let hash = hash(&identity);
            let known = index.find(hash, |number| identities[*number as usize] == identity);
            if let Some(known) = known {
                return *known;
            }
            index.insert_unique(hash, number, |number| self::hash(&identities[*number as usize]));
        }
        identities.push(identity);
        number
    }

    /// Whether two numbers are of one visitor.
    pub(super) fn are_one(&self, number: u32, other: u32) -> bool {
        self.identities[number as usize].visitor == self.identities[other as usize].visitor
    }

    /// For each number its rank in the order of a segment's rows.
    pub(super) fn ranks(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..number_of(self.identities.len())).collect();
        numbers.sort_unstable_by_key(|number| self.identities[*number as usize]);
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
        let Self { identities, index, .. } = self;
        let last = identities.last().map(|identity| identity.visitor);
        let forgotten = identities.partition_point(|identity| Some(identity.visitor) != last);
        identities.drain(..forgotten);
        if !self.ids.is_empty() {
            index.clear();
            for (number, identity) in (0..).zip(identities.iter()) {
                let rehash = |number: &u32| hash(&identities[*number as usize]);
                index.insert_unique(hash(identity), number, rehash);
            }
        }
        number_of(forgotten)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.identities.clear();
        self.index.clear();
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
