use datasketches::hll::HllUnion;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn sketch<'a>(values: impl IntoIterator<Item = &'a str>) -> Sketch {
    let mut sketch = Sketch::default();
    for value in values {
        sketch.add(Coupon::of_text(value).unwrap());
    }
    sketch
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn of_numbers(range: std::ops::Range<u32>) -> Sketch {
    sketch(numbers(range).iter().map(String::as_str))
}

/// What the library makes of the same values.
fn library(range: std::ops::Range<u32>, lg_k: u8, kind: HllType) -> HllSketch {
    let mut sketch = HllSketch::new(lg_k, kind).unwrap();
    for value in numbers(range) {
        sketch.update(raw_bytes::from_str(&value));
    }
    sketch
}

const TYPES: [HllType; 3] = [HllType::Hll4, HllType::Hll6, HllType::Hll8];

#[test]
fn library_reads_every_form() {
    for size in [0, 1, 7, 8, 24, 25, 384, 385, 5_000] {
        let ours = of_numbers(0..size);
        let read = HllSketch::deserialize(&ours.to_bytes()).unwrap();
        let theirs = library(0..size, LG_K, HllType::Hll8);
        assert_eq!(read.composite_estimate(), theirs.composite_estimate(), "{size}");
        assert_eq!(
            read.estimate(),
            ours.estimate(),
            "{size}: no other port estimates otherwise"
        );
        // What it adds later counts too.
        let mut union = HllUnion::new(LG_K).unwrap();
        union.update(&read);
        union.update(&library(size..2 * size, LG_K, HllType::Hll4));
        assert_eq!(union.composite_estimate(), of_numbers(0..2 * size).estimate(), "{size}");
    }
}

#[test]
fn sketches_of_the_library_are_read() {
    for kind in TYPES {
        for lg_k in [4, 7, 8, 10, 12, 14] {
            for size in [0, 1, 8, 100, 400, 3_000, 60_000] {
                let theirs = library(0..size, lg_k, kind);
                let read = Sketch::from_bytes(&theirs.serialize()).unwrap();
                let mut union = HllUnion::new(LG_K).unwrap();
                union.update(&theirs);
                assert_eq!(read.estimate(), union.composite_estimate(), "{kind:?} {lg_k} {size}");
                assert_eq!(Sketch::from_bytes(&read.to_bytes()), Ok(read));
            }
        }
    }
}

#[test]
fn empty_text_is_no_value() {
    assert_eq!(Coupon::of_text(""), None);
    assert_ne!(Coupon::of_integer(1), Coupon::of_text("1"));
}

#[test]
fn damaged_bytes_are_refused_with_the_reason() {
    let refused = |bytes: &[u8]| Sketch::from_bytes(bytes).unwrap_err().to_string();
    let damaged = |size, at: usize, byte| {
        let mut bytes = of_numbers(0..size).to_bytes();
        bytes[at] = byte;
        refused(&bytes)
    };
    assert!(refused(b"").contains("it has 0 bytes, and a sketch at least 8"));
    assert!(damaged(3, 1, 2).contains("version is 2"));
    assert!(damaged(3, 2, 8).contains("family is 8"));
    assert!(damaged(3, 3, 22).contains("lg k is 22"));
    assert!(damaged(3, 6, 200).contains("ends after 20 bytes, and needs 808"));
    assert!(damaged(3, 7, 3).contains("mode is 3"));
    assert!(damaged(50, 11, 255).contains("ends after"));
    assert!(damaged(5_000, 7, 14).contains("type is 3"));
    assert!(damaged(5_000, 500, 64).contains("a register has the value 64"));
    assert!(refused(&of_numbers(0..5_000).to_bytes()[..4_000]).contains("ends after 4000 bytes"));
}

proptest! {
    /// Any order, any parts, any precision of one of them: one result.
    #[test]
    fn union_is_of_sets(
        sizes in vec(0_u32..900, 1..6), starts in vec(0_u32..2_000, 6), coarse in proptest::option::of(4_u8..12),
        seed in any::<u64>()
    ) {
        let mut parts: Vec<_> = sizes.iter().zip(&starts).map(|(size, start)| of_numbers(*start..start + size)).collect();
        if let Some(lg_k) = coarse {
            let theirs = library(0..500, lg_k, HllType::Hll6);
            parts.push(Sketch::from_bytes(&theirs.serialize()).unwrap());
        }
        let union = |parts: &[Sketch]| parts.iter().fold(Sketch::default(), |mut union, part| {
            union.merge(part);
            union
        });
        let forwards = union(&parts);
        parts.reverse();
        let middle = usize::try_from(seed % (parts.len() as u64 + 1)).unwrap();
        let halves = [union(&parts[..middle]), union(&parts[middle..])];
        prop_assert_eq!(&union(&halves), &forwards);
        prop_assert_eq!(union(&halves).to_bytes(), forwards.to_bytes());
        if coarse.is_none() {
            let all: std::collections::BTreeSet<u32> =
                sizes.iter().zip(&starts).flat_map(|(size, start)| *start..start + size).collect();
            let all: Vec<_> = all.iter().map(u32::to_string).collect();
            prop_assert_eq!(sketch(all.iter().map(String::as_str)), forwards);
        }
    }

    #[test]
    fn hostile_bytes_do_no_harm(
        noise in vec(any::<u8>(), 0..100), at in 0_usize..60, byte in any::<u8>(), size in 0_u32..600, kind in 0_usize..3,
        cut in 0_usize..5_000
    ) {
        let mut bytes = library(0..size, 10, TYPES[kind]).serialize();
        if let Some(known) = bytes.get_mut(at) {
            *known = byte;
        }
        bytes.truncate(cut);
        for bytes in [noise, bytes] {
            if let Ok(sketch) = Sketch::from_bytes(&bytes) {
                prop_assert!(sketch.estimate().is_finite());
                prop_assert!(sketch.size() < 5_000);
            }
        }
    }
}

/// The relative errors of the estimates of `sets` random sets of 1 to `most` values.
fn errors(sets: u32, most: f64, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut random = move || {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let one = |_| {
        let size = most.powf(random() as f64 / u64::MAX as f64).round();
        let mut sketch = Sketch::default();
        for _ in 0..size as u64 {
            sketch.add(Coupon::of_integer(random().cast_signed()).unwrap());
        }
        sketch.estimate() / size - 1.0
    };
    (0..sets).map(one).collect()
}

fn assert_errors_are_small(errors: &[f64]) {
    let mean_square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    let worst = errors.iter().fold(0_f64, |worst, error| worst.max(error.abs()));
    eprintln!(
        "{} sets: root mean square {:.4}, worst {worst:.4}",
        errors.len(),
        mean_square.sqrt()
    );
    assert!(mean_square.sqrt() < 1.1 * RELATIVE_STANDARD_ERROR);
    assert!(worst < 5.0 * RELATIVE_STANDARD_ERROR);
}

#[test]
fn error_is_within_the_stated_one() {
    assert_errors_are_small(&errors(60, 20_000.0, 1));
}

/// `make sketch-error`.
#[test]
#[ignore = "takes minutes"]
fn error_of_many_large_sets_is_within_the_stated_one() {
    assert_errors_are_small(&errors(1_000, 10_000_000.0, 2));
}
