//! HyperLogLog sketches: estimates of how many distinct values there are, in at most 4 KiB, that can be united.
//!
//! The bytes are those of [Apache DataSketches](https://datasketches.apache.org), which all its ports read. A sketch here
//! is a set: the same values give the same bytes and the same estimate, in whatever order and in however many parts they
//! came. (The library's own sketches estimate better while values come one by one, by remembering their order; that
//! would make an answer depend on how files were merged.)

mod bytes;

use std::fmt;

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType};

/// Logarithm of the number of registers.
pub const LG_K: u8 = 12;

/// The relative standard error of an estimate: 1.04 / sqrt(2^12). That of up to some hundred values is far smaller.
pub const RELATIVE_STANDARD_ERROR: f64 = 0.0163;

/// With more distinct values than this, a sketch keeps registers instead of the values' coupons, as the library does.
const MAX_COUPONS: usize = 384;

/// Bits of a coupon that name the register; the others are the register's value.
const SLOT_BITS: u32 = 26;

/// What a sketch keeps of a value: 26 bits of its hash, and the number of leading zeros in others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Coupon(u32);

impl Coupon {
    /// Of a text as all ports hash it; the empty text has none.
    pub fn of_text(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Self::made(|sketch| sketch.update(raw_bytes::from_str(text)))
    }

    /// Of a 64-bit integer as all ports hash it.
    pub fn of_integer(value: i64) -> Option<Self> {
        Self::made(|sketch| sketch.update(value))
    }

    fn made(update: impl FnOnce(&mut HllSketch)) -> Option<Self> {
        let mut sketch = HllSketch::new(LG_K, HllType::Hll8).ok()?;
        update(&mut sketch);
        let bytes = sketch.serialize();
        let coupon = bytes.get(bytes::LIST_HEADER..)?.first_chunk()?;
        Some(Self(u32::from_le_bytes(*coupon)))
    }

    fn slot(self, lg_k: u8) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1) & ((1 << lg_k) - 1)) as usize
    }

    fn value(self) -> u8 {
        u8::try_from(self.0 >> SLOT_BITS).unwrap_or(u8::MAX)
    }
}

/// Why bytes are not a sketch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SketchError(String);

impl fmt::Display for SketchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an HLL sketch of Apache DataSketches: {}", self.0)
    }
}

impl std::error::Error for SketchError {}

/// A sketch of a set of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch(State);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Sorted, each once.
    Coupons(Vec<Coupon>),
    Registers(Registers),
}

/// The greatest value of each register.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registers {
    /// At most [`LG_K`]: less after a union with a coarser sketch.
    lg_k: u8,
    /// 2^`lg_k`.
    values: Box<[u8]>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self(State::Coupons(Vec::new()))
    }
}

impl Sketch {
    /// Adds a value.
    pub fn add(&mut self, coupon: Coupon) {
        match &mut self.0 {
            State::Registers(registers) => registers.add(coupon),
            State::Coupons(coupons) => {
                let Err(position) = coupons.binary_search(&coupon) else {
                    return;
                };
                if coupons.len() < MAX_COUPONS {
                    coupons.insert(position, coupon);
                    return;
                }
                let mut registers = Registers::new(LG_K);
                for known in coupons.iter().chain([&coupon]) {
                    registers.add(*known);
                }
                self.0 = State::Registers(registers);
            }
        }
    }

    /// Adds all values of another sketch.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, State::Coupons(coupons)) => {
                for coupon in coupons {
                    self.add(*coupon);
                }
            }
            (State::Registers(registers), State::Registers(others)) => registers.merge(others),
            (State::Coupons(coupons), State::Registers(others)) => {
                let mut registers = others.clone();
                for coupon in coupons {
                    registers.add(*coupon);
                }
                self.0 = State::Registers(registers);
            }
        }
    }

    /// The estimated number of distinct values.
    pub fn estimate(&self) -> f64 {
        // Bytes of ours are always read.
        HllSketch::deserialize(&self.to_bytes()).map_or(f64::NAN, |sketch| sketch.composite_estimate())
    }

    /// The bytes, of which equal sketches have the same.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes::write(&self.0)
    }

    /// Reads a sketch of any port, of any of its three types and any precision. More precision than ours is dropped.
    ///
    /// # Errors
    /// What is wrong with the bytes; they may be hostile.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        bytes::read(bytes).map_err(SketchError)
    }

    /// The bytes that it takes in memory.
    pub fn size(&self) -> usize {
        let inner = match &self.0 {
            State::Coupons(coupons) => coupons.capacity() * size_of::<Coupon>(),
            State::Registers(registers) => registers.values.len(),
        };
        size_of::<Self>() + inner
    }
}

impl Registers {
    fn new(lg_k: u8) -> Self {
        Self {
            lg_k,
            values: vec![0; 1 << lg_k].into(),
        }
    }

    fn add(&mut self, coupon: Coupon) {
        self.raise(coupon.slot(self.lg_k), coupon.value());
    }

    fn raise(&mut self, slot: usize, value: u8) {
        if let Some(known) = self.values.get_mut(slot) {
            *known = value.max(*known);
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.lg_k < self.lg_k {
            *self = self.folded(other.lg_k);
        }
        for (slot, value) in other.values.iter().enumerate() {
            self.raise(slot & (self.values.len() - 1), *value);
        }
    }

    /// With fewer registers.
    fn folded(&self, lg_k: u8) -> Self {
        let mut folded = Self::new(lg_k);
        for (slot, value) in self.values.iter().enumerate() {
            folded.raise(slot & (folded.values.len() - 1), *value);
        }
        folded
    }
}

#[cfg(test)]
mod tests;
