//! The groups of one rollup and one site: a group is a visitor with its ids (in rollups per visitor, see
//! [`super::visitors`]), a time bucket and a code for each dimension.

use arrow::array::TimestampMicrosecondArray;
use footfall_model::clock::Micros;
use footfall_model::rollup::MAX_DIMENSIONS;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

/// The numbers of a key before its dimensions' codes: the visitor's and the bucket's.
const FIRST_CODE: usize = 2;

#[derive(Debug)]
pub(super) struct Groups {
    grain: Micros,
    /// Numbers per key.
    width: usize,
    index: HashTable<u32>,
    /// `width` numbers per group.
    keys: Vec<u32>,
    key: Vec<u32>,
    recycled: Vec<u32>,
}

impl Groups {
    pub(super) fn new(grain: Micros, dimensions: usize) -> Self {
        Self {
            grain,
            width: FIRST_CODE + dimensions,
            index: HashTable::new(),
            keys: Vec::new(),
            key: Vec::new(),
            recycled: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len() / self.width
    }

    /// The group of each row. `visitors` has the number of each row's visitor, if the rollup is per visitor.
    pub(super) fn assign(&mut self, visitors: Option<&[u32]>, times: &[Micros], codes: &[&[u32]]) -> Vec<u32> {
        let mut groups = std::mem::take(&mut self.recycled);
        let mut last: Option<u32> = None;
        for (row, time) in times.iter().enumerate() {
            self.key.clear();
            self.key.push(visitors.map_or(0, |visitors| visitors[row]));
            self.key.push(bucket(*time, self.grain));
            self.key.extend(codes.iter().map(|codes| codes[row]));
            let group = match last {
                // A visitor's events mostly belong to the group of the previous event.
                Some(last) if key_of(&self.keys, self.width, last) == self.key => last,
                _ => self.group(),
            };
            last = Some(group);
            groups.push(group);
        }
        groups
    }

    /// Takes memory back to use it for the next rows.
    pub(super) fn recycle(&mut self, mut groups: Vec<u32>) {
        groups.clear();
        self.recycled = groups;
    }

    /// The group of `self.key`.
    fn group(&mut self) -> u32 {
        let Self {
            width,
            index,
            keys,
            key,
            ..
        } = self;
        let hash = hash(key);
        if let Some(group) = index.find(hash, |group| key_of(keys, *width, *group) == *key) {
            return *group;
        }
        let group = u32::try_from(keys.len() / *width).unwrap_or(u32::MAX);
        keys.extend_from_slice(key);
        index.insert_unique(hash, group, |group| self::hash(key_of(keys, *width, *group)));
        group
    }

    /// The first `count` groups in the order of a segment: by visitor, by bucket, then by the dimensions' values. `visitors`
    /// has the visitors' numbers, and `ranks` each dimension's codes, as ranks in the order of their values.
    pub(super) fn sorted(&self, count: usize, visitors: Option<&[u32]>, ranks: &[&[u32]]) -> Vec<u32> {
        let keys = self.keys.chunks_exact(self.width).take(count);
        let mut ranked = Vec::with_capacity(count * ranks.len());
        for key in keys.clone() {
            let codes = key.iter().skip(FIRST_CODE);
            ranked.extend(codes.zip(ranks).map(|(code, ranks)| ranks[*code as usize]));
        }
        let of = |group: u32| key_of(&ranked, ranks.len(), group);
        let visitor = |number: u32| visitors.map_or(number, |ranks| ranks[number as usize]);
        let starts = keys.map(|key| (visitor(key[0]), key[1].cast_signed()));
        let mut order: Vec<_> = starts.zip(0..).collect();
        order.sort_unstable_by(|(start, group), (other_start, other)| {
            start.cmp(other_start).then_with(|| of(*group).cmp(of(*other)))
        });
        order.into_iter().map(|(_, group)| group).collect()
    }

    /// The number of a group's visitor.
    pub(super) fn visitor(&self, group: u32) -> u32 {
        key_of(&self.keys, self.width, group)[0]
    }

    /// The start times of the groups' buckets.
    pub(super) fn buckets(&self, groups: &[u32]) -> TimestampMicrosecondArray {
        let starts = groups.iter().map(|group| {
            let bucket = key_of(&self.keys, self.width, *group)[1];
            Micros::from(bucket.cast_signed()) * self.grain
        });
        TimestampMicrosecondArray::from_iter_values(starts).with_timezone("UTC")
    }

    /// The code of a group's `nth` dimension.
    pub(super) fn code(&self, group: u32, nth: usize) -> u32 {
        key_of(&self.keys, self.width, group)[FIRST_CODE + nth]
    }

    /// Forgets the first `count` groups, and the first numbers of visitors: the others decrease by as much.
    pub(super) fn drain(&mut self, count: usize, forgotten: u32) {
        let Self { width, index, keys, .. } = self;
        keys.drain(..count * *width);
        index.clear();
        for (group, key) in (0..).zip(keys.chunks_exact_mut(*width)) {
            key[0] -= forgotten;
            let hash = hash(key);
            index.insert_unique(hash, group, |_| hash);
        }
    }
}

/// The number of the bucket since 1970. Quarter hours fit into 32 bits for 60,000 years in either direction.
fn bucket(time: Micros, grain: Micros) -> u32 {
    let number = time.div_euclid(grain).clamp(i32::MIN.into(), i32::MAX.into());
    i32::try_from(number).unwrap_or_default().cast_unsigned()
}

fn key_of(keys: &[u32], width: usize, group: u32) -> &[u32] {
    let start = group as usize * width;
    &keys[start..start + width]
}

fn hash(key: &[u32]) -> u64 {
    let mut bytes = [0; 4 * (FIRST_CODE + MAX_DIMENSIONS)];
    let mut used = 0;
    for (number, bytes) in key.iter().zip(bytes.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&number.to_le_bytes());
        used += 4;
    }
    xxh3_64(&bytes[..used])
}
