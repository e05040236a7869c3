//! The binary form of HLL sketches: <https://datasketches.apache.org/docs/HLL/HllMap.html>, little-endian.
//!
//! ```text
//! byte 0: words of 4 bytes before the data   1: version   2: family   3: lg k   4: lg of the array's length
//! byte 5: flags   6: coupons of a list, or the smallest register's value   7: mode, and type << 2
//!
//! list:      coupons from byte 8
//! set:       byte 8: number of coupons; coupons from byte 12
//! registers: byte 8: three doubles of estimators; 32: registers with the smallest value; 36: number of exceptions;
//!            from byte 40: 8, 6 or 4 bits per register, then the exceptions of 4 bits
//! ```
//!
//! Every number is checked against the bytes that there are before memory is taken, and what follows from the registers
//! (the doubles) is computed anew instead of believed.

use super::{Coupon, LG_K, Registers, Sketch, State};

pub(super) const LIST_HEADER: usize = 8;
const SET_HEADER: usize = 12;
const REGISTERS_HEADER: usize = 40;

const VERSION: u8 = 1;
const FAMILY: u8 = 7;

const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
/// Its estimate follows from the registers alone.
const OUT_OF_ORDER: u8 = 16;

const LIST: u8 = 0;
const SET: u8 = 1;
const REGISTERS: u8 = 2;

const BITS_4: u8 = 0;
const BITS_6: u8 = 1;
const BITS_8: u8 = 2;

/// A list is an array of 2^3 coupons, the last of which is never used.
const LG_LIST: u8 = 3;
const LIST_COUPONS: usize = 7;
/// The shortest array of a set.
const LG_SET: u8 = 5;

/// A register of 4 bits with this value is an exception: its value is in the list of these.
const EXCEPTION: u8 = 15;
/// The greatest value of a register.
const MAX_VALUE: u8 = 63;

pub(super) fn write(state: &State) -> Vec<u8> {
    match state {
        State::Coupons(coupons) if coupons.len() <= LIST_COUPONS => {
            let flags = if coupons.is_empty() { COMPACT | EMPTY } else { COMPACT };
            let count = u8::try_from(coupons.len()).unwrap_or(u8::MAX);
            let mut bytes = header(2, LG_K, LG_LIST, flags, count, LIST);
            bytes.extend(coupons.iter().flat_map(|coupon| coupon.0.to_le_bytes()));
            bytes
        }
        State::Coupons(coupons) => {
            // At most three quarters full.
            let lg_size = (LG_SET..).find(|lg| 4 * coupons.len() <= 3 << lg).unwrap_or(LG_SET);
            let mut bytes = header(3, LG_K, lg_size, COMPACT, 0, SET);
            bytes.extend(u32::try_from(coupons.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(coupons.iter().flat_map(|coupon| coupon.0.to_le_bytes()));
            bytes
        }
        State::Registers(registers) => write_registers(registers),
    }
}

fn header(words: u8, lg_k: u8, lg_size: u8, flags: u8, count: u8, mode: u8) -> Vec<u8> {
    vec![words, VERSION, FAMILY, lg_k, lg_size, flags, count, mode | BITS_8 << 2]
}

fn write_registers(registers: &Registers) -> Vec<u8> {
    // Sums of powers of two within 53 bits: exact in any order.
    let sum = |of: fn(&u8) -> bool| -> f64 {
        let powers = registers.values.iter().filter(|value| of(value));
        powers.map(|value| (-f64::from(*value)).exp2()).sum()
    };
    let zeros = registers.values.iter().filter(|value| **value == 0).count();
    let mut bytes = header(10, registers.lg_k, 0, OUT_OF_ORDER, 0, REGISTERS);
    bytes.extend(0_f64.to_le_bytes());
    bytes.extend(sum(|value| *value < 32).to_le_bytes());
    bytes.extend(sum(|value| *value >= 32).to_le_bytes());
    bytes.extend(u32::try_from(zeros).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(&registers.values);
    bytes
}

pub(super) fn read(bytes: &[u8]) -> Result<Sketch, String> {
    let Some(&[_, version, family, lg_k, lg_size, flags, count, mode]) = bytes.first_chunk() else {
        return Err(format!(
            "it has {} bytes, and a sketch at least {LIST_HEADER}",
            bytes.len()
        ));
    };
    if family != FAMILY {
        return Err(format!("its family is {family}, and that of HLL {FAMILY}"));
    }
    if version != VERSION {
        return Err(format!("its version is {version}, and {VERSION} is known"));
    }
    if !(4..=21).contains(&lg_k) {
        return Err(format!("its lg k is {lg_k}, and must be from 4 to 21"));
    }
    let compact = flags & COMPACT != 0;
    match mode & 3 {
        LIST => read_coupons(bytes, LIST_HEADER, usize::from(count), lg_size, compact),
        SET => {
            let count = number_at(bytes, LIST_HEADER)?;
            read_coupons(bytes, SET_HEADER, count, lg_size, compact)
        }
        REGISTERS => {
            let registers = read_registers(bytes, lg_k, mode >> 2 & 3, count, lg_size, compact)?;
            Ok(Sketch(State::Registers(registers)))
        }
        other => Err(format!("its mode is {other}, and 0, 1 and 2 are known")),
    }
}

fn number_at(bytes: &[u8], at: usize) -> Result<usize, String> {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    let number = number.ok_or_else(|| ends_early(bytes, at + 4))?;
    usize::try_from(u32::from_le_bytes(*number)).map_err(|error| error.to_string())
}

fn ends_early(bytes: &[u8], needed: usize) -> String {
    format!("it ends after {} bytes, and needs {needed}", bytes.len())
}

/// Coupons from `start` on; in a form that is not compact, zeros stand between them.
fn read_coupons(bytes: &[u8], start: usize, count: usize, lg_size: u8, compact: bool) -> Result<Sketch, String> {
    let slots = if compact { count } else { slots(lg_size)? };
    let coupons = coupons(bytes, start, slots)?.filter(|coupon| coupon.0 != 0);
    let mut sketch = Sketch::default();
    let mut found = 0;
    for coupon in coupons {
        if coupon.value() == 0 {
            return Err("one of its coupons has no value".to_owned());
        }
        sketch.add(coupon);
        found += 1;
    }
    if found != count {
        return Err(format!("it has {found} coupons, and says {count}"));
    }
    Ok(sketch)
}

fn slots(lg_size: u8) -> Result<usize, String> {
    let slots = 1_usize.checked_shl(u32::from(lg_size)).filter(|_| lg_size <= 21);
    slots.ok_or_else(|| format!("its array's lg length is {lg_size}, and at most 21 is possible"))
}

fn coupons(bytes: &[u8], start: usize, slots: usize) -> Result<impl Iterator<Item = Coupon>, String> {
    let length = slots.saturating_mul(4);
    let all = bytes.get(start..).and_then(|rest| rest.get(..length));
    let all = all.ok_or_else(|| ends_early(bytes, start.saturating_add(length)))?;
    let (coupons, _) = all.as_chunks();
    Ok(coupons.iter().map(|coupon| Coupon(u32::from_le_bytes(*coupon))))
}

fn read_registers(
    bytes: &[u8],
    lg_k: u8,
    bits: u8,
    smallest: u8,
    lg_size: u8,
    compact: bool,
) -> Result<Registers, String> {
    let k = 1_usize << lg_k;
    let length = match bits {
        BITS_4 => k / 2,
        BITS_6 => k * 3 / 4 + 1,
        BITS_8 => k,
        other => return Err(format!("its type is {other}, and 0, 1 and 2 are known")),
    };
    let exceptions = number_at(bytes, 36)?;
    let data = bytes.get(REGISTERS_HEADER..).and_then(|rest| rest.get(..length));
    let data = data.ok_or_else(|| ends_early(bytes, REGISTERS_HEADER + length))?;
    let mut registers = Registers::new(lg_k.min(LG_K));
    let mask = registers.values.len() - 1;
    for slot in 0..k {
        let value = match bits {
            BITS_4 => match data[slot / 2] >> (4 * (slot % 2)) & 15 {
                EXCEPTION => continue,
                offset => offset.saturating_add(smallest),
            },
            BITS_6 => {
                let (byte, shift) = (slot * 6 / 8, slot * 6 % 8);
                let pair = u16::from_le_bytes([data[byte], data[byte + 1]]);
                u8::try_from(pair >> shift & 63).unwrap_or(MAX_VALUE)
            }
            _ => data[slot],
        };
        if value > MAX_VALUE {
            return Err(format!(
                "a register has the value {value}, and {MAX_VALUE} is the greatest"
            ));
        }
        registers.raise(slot & mask, value);
    }
    if bits == BITS_4 && exceptions > 0 {
        let slots = if compact { exceptions } else { slots(lg_size)? };
        for exception in coupons(bytes, REGISTERS_HEADER + length, slots)? {
            registers.add(exception);
        }
    }
    Ok(registers)
}
