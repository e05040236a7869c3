//! Damaged files: an answer, never a panic.

use std::sync::LazyLock;

use arrow::array::{BooleanArray, Int64Array, StringArray};
use proptest::prelude::*;

use super::super::fuzzing;
use super::*;

static ENRICHER: LazyLock<Arc<Enricher>> = LazyLock::new(|| Arc::new(Enricher::new(EnrichOptions::default()).unwrap()));

/// A file with a column of each kind.
static PARQUET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let columns = [
        ("tracking_id", text(["t"; 2])),
        ("client_id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("event_type", text(["x", ""])),
        ("timestamp", Arc::new(Int64Array::from(vec![1_770_028_199_000; 2]))),
        ("custom_properties", text(["{}", "[]"])),
        ("is_bot", Arc::new(BooleanArray::from(vec![true, false]))),
    ];
    fuzzing::to_parquet(&RecordBatch::try_from_iter(columns).unwrap())
        .unwrap()
        .to_vec()
});

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/import_reader");

/// The seeds of the fuzz target that are files, with their format.
fn seed() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let seeds = [("ndjson", Format::Ndjson), ("csv", Format::Csv)].map(|(name, format)| {
        let seed = std::fs::read(Path::new(SEEDS).join(name)).unwrap();
        (format, seed[1..].to_vec())
    });
    proptest::sample::select(seeds.to_vec())
}

/// Bytes to put over those of a file, at places that are shares of its length.
fn damage() -> impl Strategy<Value = Vec<(f64, Vec<u8>)>> {
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..4),
        "[\",:\\\\{}\\[\\]\n\r0-9eé]{1,6}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec((0.0..1.0, bytes), 1..6)
}

proptest! {
    #[test]
    fn damaged_text_is_rejected_row_by_row((format, mut file) in seed(), damage in damage(), cut in 0.5..1.0) {
        for (share, bytes) in damage {
            let at = (share * file.len() as f64) as usize;
            file.splice(at..(at + bytes.len()).min(file.len()), bytes);
        }
        file.truncate((cut * file.len() as f64) as usize);
        let sites = Arc::new(Sites::from([("t".to_owned(), None)]));
        if let Ok((batches, report)) = fuzzing::read(file.into(), format, &sites, &ENRICHER, 1_770_028_200_000_000) {
            let events: usize = batches.iter().map(RecordBatch::num_rows).sum();
            prop_assert_eq!(report.rows, events as u64 + report.rejected_rows());
        }
    }

    #[test]
    fn damaged_parquet_is_read_or_refused(damage in damage()) {
        let mut file = PARQUET.clone();
        for (share, bytes) in damage {
            let at = (share * file.len() as f64) as usize;
            let end = (at + bytes.len()).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        let sites = Arc::new(Sites::from([("t".to_owned(), None)]));
        // Whatever the answer is, there is one.
        let _ = fuzzing::read(file.into(), Format::Parquet, &sites, &ENRICHER, 1_770_028_200_000_000);
    }
}
